//! Who waits for the answer to something.

use std::time::Duration;

use nnrp_wire::metadata::CacheAckMetadata;
use nnrp_wire::session::{MigrationFailure, ProbeSample};
use nnrp_wire::{MessageType, SessionPatchAck};
use tokio::sync::oneshot;

use super::event::Migrated;

/// An answer; `None` if there was none in time.
pub(super) type Answer<T> = oneshot::Sender<Option<T>>;

/// Who waits for the answer to something. Those who are gone are forgotten with the answer.
#[derive(Debug, Default)]
pub(super) struct Answers {
    patch: Option<Answer<SessionPatchAck>>,
    probe: Option<Answer<ProbeSample>>,
    puts: Vec<Put>,
    pings: Vec<Answer<Duration>>,
    migration: Option<oneshot::Sender<Result<Migrated, MigrationFailure>>>,
}

#[derive(Debug)]
struct Put {
    key: (u32, u32, u32),
    deadline: Duration,
    answer: Answer<CacheAckMetadata>,
}

impl Answers {
    pub(super) fn wait_for_patch(&mut self, answer: Answer<SessionPatchAck>) {
        self.patch = Some(answer);
    }

    pub(super) fn patched(&mut self, ack: SessionPatchAck) {
        send(self.patch.take(), Some(ack));
    }

    pub(super) fn wait_for_probe(&mut self, answer: Answer<ProbeSample>) {
        self.probe = Some(answer);
    }

    pub(super) fn probed(&mut self, sample: ProbeSample) {
        send(self.probe.take(), Some(sample));
    }

    /// The machine waits for the answer until the deadline, too, and for one of each key.
    pub(super) fn wait_for_put(
        &mut self,
        key: (u32, u32, u32),
        deadline: Duration,
        answer: Answer<CacheAckMetadata>,
    ) {
        self.puts.push(Put {
            key,
            deadline,
            answer,
        });
    }

    pub(super) fn put(&mut self, ack: &CacheAckMetadata) {
        let key = (ack.cache_namespace, ack.cache_key_hi, ack.cache_key_lo);
        let place = self.puts.iter().position(|put| put.key == key);
        if let Some(place) = place {
            send(Some(self.puts.swap_remove(place).answer), Some(*ack));
        }
    }

    /// Whether a PING is on its way that somebody waits for.
    pub(super) fn is_pinging(&mut self) -> bool {
        self.pings.retain(|answer| !answer.is_closed());
        !self.pings.is_empty()
    }

    pub(super) fn wait_for_pong(&mut self, answer: Answer<Duration>) {
        self.pings.push(answer);
    }

    pub(super) fn ponged(&mut self, round_trip: Duration) {
        for answer in self.pings.drain(..) {
            send(Some(answer), Some(round_trip));
        }
    }

    pub(super) fn wait_for_migration(
        &mut self,
        answer: oneshot::Sender<Result<Migrated, MigrationFailure>>,
    ) {
        self.migration = Some(answer);
    }

    pub(super) fn migrated(&mut self, outcome: Result<Migrated, MigrationFailure>) {
        if let Some(answer) = self.migration.take() {
            let _ = answer.send(outcome);
        }
    }

    pub(super) fn unanswered(&mut self, to: MessageType, now: Duration) {
        if to == MessageType::SessionPatch {
            send(self.patch.take(), None);
        } else if to == MessageType::TransportProbe {
            send(self.probe.take(), None);
        } else if to == MessageType::CachePut {
            for put in self.puts.extract_if(.., |put| put.deadline <= now) {
                send(Some(put.answer), None);
            }
        }
    }

    /// There are no answers any more: who waits is told by the sender's end.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }
}

fn send<T>(answer: Option<Answer<T>>, content: Option<T>) {
    if let Some(answer) = answer {
        // Whoever asked may have gone.
        let _ = answer.send(content);
    }
}
