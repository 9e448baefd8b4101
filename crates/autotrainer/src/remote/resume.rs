//! Subscriptions that miss nothing which the service has kept.
//!
//! What is received live waits in the ring, as for every subscription. Where something is missing before a message, a
//! replay of what follows the last number is put in its place; what comes twice by it is dropped by its number. Nothing is
//! published that was not kept before, so that a replay reaches up to every message that was received when it was asked
//! for.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Remote;
use super::changes::Channel;
use super::error::CallError;
use super::hub::{Entry, Ring, Taken};
use super::replay::ReplayError;
use super::subscription::{Delivery, Gap, Message, SubscribeOptions};
use crate::command::CommandResult;
use crate::event::Event;
use crate::incoming::Anomaly;
use crate::replay::{ReplayPage, ReplayRequest, ReplayedEvent};
use crate::sequence::NUMBERED;
use crate::topic::Topic;

/// From where on a subscription misses nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resume {
    /// From now on.
    Now,
    /// From the oldest that is kept.
    Oldest,
    /// From what follows this position on. If the service's log is another one by now, from its oldest.
    After(ReplayPosition),
}

/// A place in a service's log; see [`Subscription::position`](super::Subscription::position).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayPosition {
    /// The log's identity.
    pub log_id: String,
    /// The last number.
    pub sequence: u64,
}

/// Attempts to get a page while the event channel is connected, before the gap is told and left.
const ATTEMPTS_MAX: u32 = 10;

/// The time between two of them.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The longest time before a busy service is asked again; it begins with [`RETRY_AFTER`] and doubles.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(1);

/// Fills the gaps of one subscription.
#[derive(Debug)]
pub(super) struct Resumer {
    remote: Remote,
    wanted: SubscribeOptions,
    log_id: Option<String>,
    /// The last number that was accounted for; `None` until there is one.
    last: Option<u64>,
    /// The last number that was handed out.
    delivered: Option<u64>,
    /// The number of the message that was skipped last; its second copy may be wanted.
    skipped: Option<u64>,
    /// Whether the service has a log, as far as is known.
    is_offered: bool,
    fill: Option<Fill>,
    ready: VecDeque<(Delivery, Option<u64>)>,
}

/// A replay that is due.
#[derive(Debug)]
struct Fill {
    /// What is told if it cannot be had.
    reason: Option<Gap>,
    /// Whether nothing was received before, so that the reason holds for what is kept only.
    is_beginning: bool,
    /// What showed the gap.
    held: Option<(Message, u64)>,
    /// The number that a heartbeat told, if it is known by that.
    up_to: Option<u64>,
    attempts: u32,
    busy: Busy,
}

/// How long the service has been too busy to replay.
#[derive(Debug)]
struct Busy {
    since: Option<Instant>,
    times: u32,
}

impl Busy {
    const NOT: Self = Self {
        since: None,
        times: 0,
    };

    /// How long to wait; `None` once the patience is used up.
    fn wait(&mut self, patience: Duration) -> Option<Duration> {
        let now = Instant::now();
        let left = patience.checked_sub(now - *self.since.get_or_insert(now))?;
        if left.is_zero() {
            return None;
        }
        let wait = RETRY_AFTER.saturating_mul(1_u32.checked_shl(self.times).unwrap_or(u32::MAX));
        self.times = self.times.saturating_add(1);
        Some(wait.min(BUSY_WAIT_MAX).min(left))
    }
}

impl Fill {
    const fn because(reason: Option<Gap>) -> Self {
        Self {
            reason,
            is_beginning: false,
            held: None,
            up_to: None,
            attempts: 0,
            busy: Busy::NOT,
        }
    }

    fn beginning(reason: Option<Gap>) -> Self {
        Self {
            is_beginning: true,
            ..Self::because(reason)
        }
    }
}

impl Resumer {
    pub(super) fn new(remote: Remote, wanted: SubscribeOptions) -> Self {
        let (log_id, last, reason) = match wanted.resume.clone() {
            None | Some(Resume::Now) => (None, None, None),
            Some(Resume::Oldest) => (None, Some(0), Some(Gap::Interrupted)),
            Some(Resume::After(ReplayPosition { log_id, sequence })) => {
                (Some(log_id), Some(sequence), Some(Gap::Interrupted))
            }
        };
        Self {
            remote,
            wanted,
            log_id,
            last,
            delivered: last,
            skipped: None,
            is_offered: true,
            fill: Some(Fill::beginning(reason)),
            ready: VecDeque::new(),
        }
    }

    pub(super) fn position(&self) -> Option<ReplayPosition> {
        let sequence = if self.ready.is_empty() {
            self.last
        } else {
            self.delivered
        };
        Some(ReplayPosition {
            log_id: self.log_id.clone()?,
            sequence: sequence?,
        })
    }

    /// Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self, ring: &Ring) -> Option<Delivery> {
        loop {
            if let Some(delivery) = self.pop() {
                return Some(delivery);
            }
            if self.fill.is_some() {
                self.try_fill().await;
            } else {
                let entry = ring.next().await?;
                self.take(entry);
            }
        }
    }

    pub(super) fn try_next(&mut self, ring: &Ring) -> Option<Delivery> {
        loop {
            if let Some(delivery) = self.pop() {
                return Some(delivery);
            }
            if self.fill.is_some() {
                return None;
            }
            match ring.take() {
                Taken::Entry(entry) => self.take(*entry),
                Taken::Empty | Taken::Ended => return None,
            }
        }
    }

    fn pop(&mut self) -> Option<Delivery> {
        let (delivery, sequence) = self.ready.pop_front()?;
        self.delivered = sequence.or(self.delivered);
        Some(delivery)
    }

    /// What was received live.
    fn take(&mut self, entry: Entry) {
        match (entry.delivery, entry.sequence) {
            (Delivery::Gap(gap), _) => {
                self.fill = Some(Fill {
                    is_beginning: entry.is_beginning,
                    ..Fill::because(Some(gap))
                });
            }
            (Delivery::Message(message), Some(sequence)) => match message.topic() {
                Topic::HEARTBEAT => self.take_heartbeat(message, sequence),
                _ => self.take_numbered(message, sequence),
            },
            (Delivery::Message(message), None) => self.deliver(message, None),
        }
    }

    /// It tells which number was the last.
    fn take_heartbeat(&mut self, message: Message, sequence: u64) {
        self.deliver(message, None);
        match self.last {
            None => self.last = Some(sequence),
            Some(last) if sequence > last => self.fill_or_leave(Fill {
                up_to: Some(sequence),
                ..Fill::because(Some(Gap::Sequence {
                    missing: sequence - last,
                }))
            }),
            Some(last) if sequence < last && !self.is_offered => {
                self.tell(Gap::SequenceWentBack { last, sequence });
                self.last = Some(sequence);
            }
            Some(_) => {}
        }
    }

    fn take_numbered(&mut self, message: Message, sequence: u64) {
        let Some(last) = self.last else {
            return self.deliver_live(message, sequence);
        };
        match sequence.checked_sub(last) {
            Some(1) => self.deliver_live(message, sequence),
            Some(0) if self.skipped == Some(sequence) => self.deliver_live(message, sequence),
            // The second copy of an emergency.
            Some(0) => {}
            // It came with a replay.
            None if self.is_offered => {}
            None => {
                self.tell(Gap::SequenceWentBack { last, sequence });
                self.deliver_live(message, sequence);
            }
            Some(ahead) => self.fill_or_leave(Fill {
                held: Some((message, sequence)),
                ..Fill::because(Some(Gap::Sequence { missing: ahead - 1 }))
            }),
        }
    }

    /// A service without a log is not asked for every number; it may have one after an interruption.
    fn fill_or_leave(&mut self, fill: Fill) {
        if self.is_offered {
            self.fill = Some(fill);
        } else {
            self.leave(fill);
        }
    }

    async fn try_fill(&mut self) {
        let limits = &self.remote.shared.options.limits;
        let request = ReplayRequest {
            after: self.last.unwrap_or(u64::MAX),
            log_id: self.log_id.clone(),
            bytes_max: Some((limits.frame_bytes_max / 2) as u64),
            ..ReplayRequest::default()
        };
        match self.remote.replay_page(&request).await {
            Ok(page) => self.take_page(page),
            Err(ReplayError::NotOffered) => {
                self.is_offered = false;
                self.log_id = None;
                self.give_up();
            }
            Err(ReplayError::Call(CallError::Closed)) => self.give_up(),
            Err(ReplayError::Busy(why)) => self.wait_while_busy(&why).await,
            Err(error) => {
                tracing::debug!(%error, "a replay is asked for again");
                if !self.has_another_attempt() {
                    return self.give_up();
                }
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }

    /// It is kept, and will be had later.
    async fn wait_while_busy(&mut self, why: &str) {
        let patience = self.remote.shared.options.replay_patience;
        let wait = self.fill.as_mut().and_then(|it| it.busy.wait(patience));
        match wait {
            Some(wait) => {
                tracing::debug!(why, ?wait, "a replay is asked for again");
                tokio::time::sleep(wait).await;
            }
            None => {
                tracing::warn!(why, ?patience, "what is kept is left out");
                self.give_up();
            }
        }
    }

    fn has_another_attempt(&mut self) -> bool {
        let is_connected = self.remote.is_connected(Channel::Events);
        let Some(fill) = &mut self.fill else {
            return false;
        };
        fill.attempts += u32::from(is_connected);
        fill.attempts < ATTEMPTS_MAX
    }

    fn take_page(&mut self, page: ReplayPage) {
        self.is_offered = true;
        if let Some(fill) = &mut self.fill {
            fill.attempts = 0;
            fill.busy = Busy::NOT;
        }
        let is_another = self.log_id.as_ref().is_some_and(|id| *id != page.log_id);
        let last = self.last.filter(|_| !is_another);
        if is_another {
            self.tell(Gap::LogReplaced);
        }
        let mut last = match last {
            // The service was started anew without what it had given, and gives the same numbers again.
            Some(last) if last > page.last => {
                let sequence = page.last;
                self.tell(Gap::SequenceWentBack { last, sequence });
                sequence
            }
            Some(last) => last,
            None if is_another => 0,
            None => page.next,
        };
        self.log_id = Some(page.log_id);
        for event in page.events {
            self.tell_missing(last, event.sequence);
            last = event.sequence;
            self.deliver_replayed(event);
        }
        self.last = Some(last.max(page.next));
        if page.is_complete {
            self.tell_missing(last, page.next.saturating_add(1));
            self.end_fill();
        }
    }

    /// Everything that is kept was delivered.
    fn end_fill(&mut self) {
        let Some(fill) = self.fill.take() else {
            return;
        };
        if !fill.is_beginning
            && self.wants_what_is_not_kept()
            && let Some(gap @ (Gap::Interrupted | Gap::SlowReader(_))) = fill.reason
        {
            self.tell(gap);
        }
        // What was not kept.
        if let Some(up_to) = fill.up_to
            && let Some(last) = self.last
            && up_to > last
        {
            self.tell_missing(last, up_to + 1);
            self.last = Some(up_to);
        }
        if let Some((message, sequence)) = fill.held
            && let Some(last) = self.last
            && sequence > last
        {
            self.tell_missing(last, sequence);
            self.deliver_live(message, sequence);
        }
    }

    fn give_up(&mut self) {
        if let Some(fill) = self.fill.take() {
            self.leave(fill);
        }
    }

    fn leave(&mut self, fill: Fill) {
        if let Some(gap) = fill.reason {
            self.tell(gap);
        }
        self.last = self.last.max(fill.up_to);
        if let Some((message, sequence)) = fill.held {
            self.deliver_live(message, sequence);
        }
    }

    fn tell_missing(&mut self, last: u64, sequence: u64) {
        let missing = sequence.saturating_sub(last).saturating_sub(1);
        if missing > 0 {
            self.tell(Gap::Sequence { missing });
        }
    }

    fn tell(&mut self, gap: Gap) {
        self.ready.push_back((Delivery::Gap(gap), None));
    }

    fn deliver_live(&mut self, message: Message, sequence: u64) {
        self.last = Some(sequence);
        self.deliver(message, Some(sequence));
    }

    fn deliver(&mut self, message: Message, sequence: Option<u64>) {
        let is_wanted = self.wanted.admits(message.topic());
        if sequence.is_some() {
            self.skipped = sequence.filter(|_| !is_wanted);
        }
        if is_wanted {
            let delivery = Delivery::Message(message);
            self.ready.push_back((delivery, sequence));
        }
    }

    fn wants_what_is_not_kept(&self) -> bool {
        let is_kept = |prefix: &Vec<u8>| NUMBERED.map(Topic::subscription_prefix).contains(prefix);
        !self.wanted.prefixes.iter().all(is_kept)
    }

    fn deliver_replayed(&mut self, event: ReplayedEvent) {
        let sequence = event.sequence;
        match self.read(event) {
            Ok(Some(message)) => self.deliver(message, Some(sequence)),
            // Too long for an answer.
            Ok(None) => self.tell(Gap::Sequence { missing: 1 }),
            Err(anomaly) => {
                self.remote.shared.anomalies.count(anomaly);
                self.tell(Gap::Sequence { missing: 1 });
            }
        }
        self.remote.shared.counters.replayed.count();
    }

    fn read(&self, event: ReplayedEvent) -> Result<Option<Message>, Anomaly> {
        let shared = &self.remote.shared;
        let limits = &shared.options.limits;
        let (topic, Some(payload)) = (event.topic, event.payload) else {
            return Ok(None);
        };
        if topic == Topic::COMMAND_RESULT {
            let result = CommandResult::parse(&payload, limits)?;
            shared.results.resolve(&result, &shared.counters);
            return Ok(Some(match self.wanted.verbatim {
                true => Message::Other { topic, payload },
                false => Message::Result(result),
            }));
        }
        let event = Event::parse(&payload, limits)?;
        let topic = self.topic_of(&event, topic);
        Ok(Some(match self.wanted.verbatim {
            true => Message::Other { topic, payload },
            false => Message::Event {
                topic,
                event,
                level: shared.level(),
            },
        }))
    }

    /// An emergency is kept as `EVENT`, and may be wanted as the other.
    fn topic_of(&self, event: &Event, kept: Topic) -> Topic {
        let mut published = event.topics().iter().copied();
        let is_kept_as_one = kept == Topic::EVENT && !self.wanted.admits(kept);
        let wanted = published.find(|topic| self.wanted.admits(*topic));
        wanted.filter(|_| is_kept_as_one).unwrap_or(kept)
    }
}
