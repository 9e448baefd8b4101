//! The task that owns the event socket. spec: autotrainer 4

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::counters::Counters;
use super::observed::Observed;
use super::source::Source;
use crate::heartbeat::Heartbeat;
use crate::json::UnixTime;
use crate::sequence;
use crate::topic::Topic;
use crate::zmq::{Publisher, ZmqError};

/// Where messages go; the event socket, but for tests.
pub(super) trait Outlet {
    async fn send(&mut self, topic: Topic, payload: Bytes) -> Result<(), ZmqError>;
}

impl Outlet for Arc<Publisher> {
    async fn send(&mut self, topic: Topic, payload: Bytes) -> Result<(), ZmqError> {
        Publisher::send(self, topic, payload).await
    }
}

/// Publishes what is queued, and a heartbeat whenever it is time.
pub(super) struct EventLoop<O> {
    pub(super) outlet: O,
    pub(super) source: Source,
    pub(super) counters: Arc<Counters>,
    pub(super) observed: Observed,
    pub(super) identifier: String,
    pub(super) version: String,
    pub(super) heartbeat_interval: Duration,
    /// The last number that was published; `None` if nothing is numbered.
    pub(super) sequence: Option<u64>,
}

impl<O: Outlet> EventLoop<O> {
    /// Until nothing more is to be published.
    pub(super) async fn run(mut self) {
        // A fixed schedule: what is late does not shift what follows, and what is too late is left out.
        let mut ticks = interval_at(
            Instant::now() + self.heartbeat_interval,
            self.heartbeat_interval,
        );
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => self.send_heartbeat().await,
                more = self.source.take(&mut batch) => {
                    if !more {
                        return;
                    }
                    for outgoing in batch.drain(..) {
                        self.sequence = outgoing.sequence.or(self.sequence);
                        for topic in outgoing.topics() {
                            self.send(topic, outgoing.payload.clone()).await;
                        }
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    async fn send_heartbeat(&mut self) {
        let heartbeat = Heartbeat {
            identifier: self.identifier.clone(),
            version: self.version.clone(),
            timestamp: UnixTime::now(),
        };
        let mut text = heartbeat.to_text();
        // So that a subscriber sees, too, that it missed the last before a silence.
        if let Some(sequence) = self.sequence {
            sequence::append(&mut text, sequence);
        }
        self.send(Topic::HEARTBEAT, text.into()).await;
    }

    async fn send(&mut self, topic: Topic, payload: Bytes) {
        let message = self.observed.message(topic, &payload);
        match self.outlet.send(topic, payload).await {
            Ok(()) => {
                self.counters.count_publication(topic);
                self.observed.published(topic, message);
            }
            // The socket is closed under it only when the runtime goes down.
            Err(error) => tracing::debug!(%error, %topic, "a publication went nowhere"),
        }
    }
}

#[cfg(test)]
mod tests;
