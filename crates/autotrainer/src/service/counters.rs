//! What a service counts. spec: autotrainer 12

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::command::{Command, RequestError, ResultCode};
use crate::level::ProtocolLevel;
use crate::topic::Topic;
use crate::zmq::{ConnectionCounts, ReplyError};

/// A service's counts, all since it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceCounts {
    /// Answered requests by command and result, those that occurred. Results without a name count as `Unknown(-1)`.
    pub requests: Vec<(Command, ResultCode, u64)>,
    /// Requests that could not be read, by [`RequestError::name`]; those that occurred.
    pub malformed: Vec<(&'static str, u64)>,
    /// Messages without an empty frame, which cannot be answered.
    pub undelimited: u64,
    /// Requests refused because too many of the same client waited. Part of `requests` too, except those of a client that
    /// does not read its answers: they are not looked at, and `replies_not_read` counts them.
    pub refused_per_client: u64,
    /// Requests refused because too many waited in all. Part of `requests` too.
    pub refused_in_all: u64,
    /// Replies to clients that were gone.
    pub replies_gone: u64,
    /// Replies to clients that do not read them.
    pub replies_not_read: u64,
    /// Commands that were answered `PENDING_WITH_NOTIFICATION` because their deadline was over.
    pub made_pending: u64,
    /// Commands that were answered `FAILED` because their deadline was over.
    pub timed_out: u64,
    /// Late results that were published by the service.
    pub late_results: u64,
    /// Late results that were given up: the handler let go of its `Pending`, or the service stopped.
    pub late_results_given_up: u64,
    /// Sent messages by topic, those that occurred; topics without a name are `None`.
    pub publications: Vec<(Option<Topic>, u64)>,
    /// Publications that were dropped to make room for newer ones.
    pub dropped: u64,
    /// Publications that were refused with an error.
    pub refused_publications: u64,
    /// Publications that the event log has kept.
    pub log_kept: u64,
    /// Publications that it could not keep, and that were published all the same.
    pub log_not_kept: u64,
    /// Publications that it could not keep, and that were held back until the stop: nobody got them.
    pub log_unpublished: u64,
    /// Pages of replays that were answered.
    pub replays: u64,
    /// Events in them.
    pub replayed_events: u64,
    /// Requests for a replay that were refused because too many waited, or that were not understood.
    pub replays_refused: u64,
    /// Requests by the time from their arrival to their answer: how many took at most the time at the same place of
    /// [`DURATION_BOUNDS`], and more than the one before; the last is for those that took longer than all.
    pub durations: [u64; DURATION_BOUNDS.len() + 1],
    /// Connections of the event socket.
    pub event_connections: ConnectionCounts,
    /// Connections of the command socket.
    pub command_connections: ConnectionCounts,
}

/// Upper bounds of [`ServiceCounts::durations`].
pub const DURATION_BOUNDS: [Duration; 12] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

const COMMANDS: usize = Command::UserDefined as usize + 1;
const RESULTS: usize = ResultCode::ALL.len() + 1;

#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: [[AtomicU64; RESULTS]; COMMANDS],
    malformed: [AtomicU64; RequestError::NAMES.len()],
    publications: [AtomicU64; Topic::NAMED.len() + 1],
    durations: [AtomicU64; DURATION_BOUNDS.len() + 1],
    pub(super) refused_per_client: Counter,
    pub(super) refused_in_all: Counter,
    replies_gone: Counter,
    replies_not_read: Counter,
    pub(super) made_pending: Counter,
    pub(super) timed_out: Counter,
    pub(super) late_results: Counter,
    pub(super) late_results_given_up: Counter,
    pub(super) dropped: Counter,
    pub(super) refused_publications: Counter,
    pub(super) log_kept: Counter,
    pub(super) log_not_kept: Counter,
    pub(super) log_unpublished: Counter,
    pub(super) replays: Counter,
    pub(super) replayed_events: Counter,
    pub(super) replays_refused: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn count(&self) {
        self.add(1);
    }

    pub(super) fn add(&self, events: u64) {
        self.0.fetch_add(events, Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(super) fn count_answer(&self, command: Command, result: ResultCode, took: Duration) {
        let named = ResultCode::ALL.iter().position(|named| *named == result);
        add(&self.requests[command as usize][named.unwrap_or(RESULTS - 1)]);
        let bound = DURATION_BOUNDS.iter().position(|bound| took <= *bound);
        add(&self.durations[bound.unwrap_or(DURATION_BOUNDS.len())]);
    }

    pub(super) fn count_malformed(&self, error: &RequestError) {
        let name = error.name();
        if let Some(place) = RequestError::NAMES.iter().position(|each| *each == name) {
            add(&self.malformed[place]);
        }
    }

    pub(super) fn count_publication(&self, topic: Topic) {
        let named = Topic::NAMED.iter().position(|(named, _)| *named == topic);
        add(&self.publications[named.unwrap_or(Topic::NAMED.len())]);
    }

    pub(super) fn count_lost_reply(&self, error: ReplyError) {
        match error {
            ReplyError::Gone | ReplyError::Closed => self.replies_gone.count(),
            ReplyError::NotReading => self.replies_not_read.count(),
        }
    }

    /// All but what the sockets count.
    pub(super) fn snapshot(&self) -> ServiceCounts {
        let occurred = |counter: &AtomicU64| Some(value(counter)).filter(|count| *count > 0);
        let mut requests = Vec::new();
        for member in Command::members(ProtocolLevel::NEWEST) {
            let of_command = &self.requests[member.member as usize];
            let results = ResultCode::ALL.iter().copied();
            let results = results.chain([ResultCode::Unknown(-1)]).zip(of_command);
            requests.extend(
                results.filter_map(|(result, counter)| {
                    Some((member.member, result, occurred(counter)?))
                }),
            );
        }
        let malformed = RequestError::NAMES.iter().zip(&self.malformed);
        let topics = Topic::NAMED.iter().map(|(topic, _)| Some(*topic));
        let publications = topics.chain([None]).zip(&self.publications);
        ServiceCounts {
            requests,
            malformed: malformed
                .filter_map(|(name, counter)| Some((*name, occurred(counter)?)))
                .collect(),
            publications: publications
                .filter_map(|(topic, counter)| Some((topic, occurred(counter)?)))
                .collect(),
            durations: std::array::from_fn(|place| value(&self.durations[place])),
            refused_per_client: self.refused_per_client.value(),
            refused_in_all: self.refused_in_all.value(),
            replies_gone: self.replies_gone.value(),
            replies_not_read: self.replies_not_read.value(),
            made_pending: self.made_pending.value(),
            timed_out: self.timed_out.value(),
            late_results: self.late_results.value(),
            late_results_given_up: self.late_results_given_up.value(),
            dropped: self.dropped.value(),
            refused_publications: self.refused_publications.value(),
            log_kept: self.log_kept.value(),
            log_not_kept: self.log_not_kept.value(),
            log_unpublished: self.log_unpublished.value(),
            replays: self.replays.value(),
            replayed_events: self.replayed_events.value(),
            replays_refused: self.replays_refused.value(),
            ..ServiceCounts::default()
        }
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn value(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
