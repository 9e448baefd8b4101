//! What an endpoint counts. spec: nats-micro 6, 7

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::document::EndpointInfo;

/// One endpoint's statistics, all of the same moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointSnapshot {
    /// Name, subject, queue group and metadata.
    pub info: EndpointInfo,
    /// Requests whose handling ended: with a reply, an error, a panic, silence or a cancellation.
    pub num_requests: u64,
    /// How many of them ended with an error: an error reply, a returned error, a panic, a cancellation or a reply that
    /// could not be published. A request counts at most once.
    pub num_errors: u64,
    /// The last error, for people; empty if there was none.
    pub last_error: String,
    /// How long handling took, summed over requests: from the handler's start until its reply was handed over.
    pub processing_time: Duration,
    /// How long requests waited for their handler, summed.
    pub queue_time: Duration,
    /// Requests that run now.
    pub in_flight: usize,
    /// Requests that wait now.
    pub queued: usize,
    /// Requests that were refused because the pending limits were reached. They are in no other count.
    pub rejected: u64,
}

impl EndpointSnapshot {
    /// The mean processing time; zero without requests.
    #[must_use]
    pub fn average_processing_time(&self) -> Duration {
        let nanos = self.processing_time.as_nanos();
        let average = nanos.checked_div(u128::from(self.num_requests));
        Duration::from_nanos(u64::try_from(average.unwrap_or_default()).unwrap_or(u64::MAX))
    }
}

/// A small lock: it is taken once or twice per request, by one task, and by whoever asks for statistics. That keeps a
/// snapshot consistent (average <= total) without cost that could be measured.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    num_requests: u64,
    num_errors: u64,
    last_error: String,
    processing_time: Duration,
    queue_time: Duration,
    in_flight: usize,
    queued: usize,
    rejected: u64,
}

impl Counters {
    /// A request that waited got its turn.
    pub(crate) fn waited(&self, waited: Duration) {
        self.lock().queue_time += waited;
    }

    pub(crate) fn ended(&self, took: Duration, error: Option<String>) {
        let mut counts = self.lock();
        counts.num_requests += 1;
        counts.processing_time += took;
        if let Some(error) = error {
            counts.num_errors += 1;
            counts.last_error = error;
        }
    }

    pub(crate) fn rejected(&self) {
        self.lock().rejected += 1;
    }

    /// What the endpoint's task has at the moment.
    pub(crate) fn set_load(&self, in_flight: usize, queued: usize) {
        let mut counts = self.lock();
        counts.in_flight = in_flight;
        counts.queued = queued;
    }

    /// What runs and waits is counted when it ends, into the new period.
    pub(crate) fn reset(&self) {
        let mut counts = self.lock();
        *counts = Counts {
            in_flight: counts.in_flight,
            queued: counts.queued,
            ..Counts::default()
        };
    }

    pub(crate) fn snapshot(&self, info: EndpointInfo) -> EndpointSnapshot {
        let counts = self.lock();
        EndpointSnapshot {
            info,
            num_requests: counts.num_requests,
            num_errors: counts.num_errors,
            last_error: counts.last_error.clone(),
            processing_time: counts.processing_time,
            queue_time: counts.queue_time,
            in_flight: counts.in_flight,
            queued: counts.queued,
            rejected: counts.rejected,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
