//! What a device publishes, to the broker.
//!
//! The subscription is the buffer: while the broker is away it fills, its oldest messages give way, and how many is published
//! as a gap.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::HeaderMap;
use autotrainer_api::{
    Delivery, Message, Remote, RemoteChange, RemoteChanges, Subscription, Topic,
};
use bytes::Bytes;

use super::fence::{Closed, Fence, Outgoing};
use super::log::Log;
use super::subject::Subjects;
use crate::device::show;

/// Confirmed at a time.
const BATCH_MAX: usize = 256;
const BATCH_BYTES_MAX: usize = 1 << 20;

/// What went to the broker, and what did not.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Messages that the broker had.
    pub(super) published: AtomicU64,
    /// Messages that are missing there: dropped while it was away, or too large for it.
    pub(super) lost: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Pump {
    pub(super) remote: Remote,
    pub(super) subjects: Subjects,
    pub(super) fence: Fence,
    pub(super) log: Log,
    pub(super) counts: Arc<Counts>,
    /// Tells the messages of this run from those of another.
    pub(super) run: String,
    pub(super) sequence: u64,
}

impl Pump {
    /// Until the remote is closed and everything is published. If the future is dropped, what is left is not.
    pub(super) async fn run(
        mut self,
        mut subscription: Subscription,
        mut changes: RemoteChanges,
    ) -> Result<(), Closed> {
        let mut has_changes = true;
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                delivery = subscription.next() => match delivery {
                    Some(delivery) => self.add_with_more(&mut batch, delivery, &mut subscription),
                    None => return Ok(()),
                },
                change = changes.next(), if has_changes => match change {
                    Some(change) => self.add_change(&mut batch, &change),
                    None => has_changes = false,
                },
            }
            self.publish(batch).await?;
        }
    }

    fn add_with_more(
        &mut self,
        batch: &mut Vec<Outgoing>,
        first: Delivery,
        subscription: &mut Subscription,
    ) {
        let mut next = Some(first);
        let mut bytes = 0;
        while let Some(delivery) = next {
            self.add(batch, &delivery);
            bytes += batch.last().map_or(0, |last| last.payload.len());
            let has_room = batch.len() < BATCH_MAX && bytes < BATCH_BYTES_MAX;
            next = has_room.then(|| subscription.try_next()).flatten();
        }
    }

    async fn publish(&mut self, batch: Vec<Outgoing>) -> Result<(), Closed> {
        if batch.is_empty() {
            return Ok(());
        }
        let confirmed = self.fence.publish(&batch).await?;
        let published = batch.len() as u64 - confirmed.too_large;
        self.counts
            .published
            .fetch_add(published, Ordering::Relaxed);
        if confirmed.too_large == 0 {
            return Ok(());
        }
        self.counts
            .lost
            .fetch_add(confirmed.too_large, Ordering::Relaxed);
        let missing = show::value(confirmed.too_large);
        let members = [("reason", "tooLarge".into()), ("missing", missing)];
        let gap = show::object("gap", members);
        let line = "a message is larger than the server takes";
        self.log.published("gap", &gap, line);
        let gap = self.own("gap", gap.into_bytes());
        self.fence.publish(&[gap]).await.map(drop)
    }

    fn add(&mut self, batch: &mut Vec<Outgoing>, delivery: &Delivery) {
        if let Delivery::Message(Message::Other { topic, payload }) = delivery {
            let message = self.message(*topic, payload);
            batch.push(message);
            return;
        }
        if let Delivery::Gap(gap) = delivery {
            if let autotrainer_api::Gap::SlowReader(dropped) = gap {
                self.counts.lost.fetch_add(*dropped, Ordering::Relaxed);
            }
            let json = show::delivery_json(delivery);
            self.log.published("gap", &json, &show::delivery(delivery));
            let gap = self.own("gap", json.into_bytes());
            batch.push(gap);
        }
    }

    fn add_change(&mut self, batch: &mut Vec<Outgoing>, change: &RemoteChange) {
        let Some((line, json)) = show::change(change) else {
            return;
        };
        self.log.published("status", &json, &line);
        let status = self.own("status", json.into_bytes());
        batch.push(status);
    }

    fn message(&mut self, topic: Topic, payload: &Bytes) -> Outgoing {
        let level = self.remote.level();
        let mut headers = self.headers();
        headers.insert("Nodewire-Topic", topic.0.to_string());
        if let Some(heartbeat) = self.remote.last_heartbeat() {
            headers.insert("Nodewire-Level", level.to_string());
            headers.insert("Nodewire-Version", one_line(&heartbeat.version));
        }
        Outgoing {
            subject: self.subjects.of(topic, payload, level),
            headers,
            payload: payload.clone(),
        }
    }

    /// Something that the bridge itself has to say.
    fn own(&mut self, what: &str, payload: Bytes) -> Outgoing {
        Outgoing {
            subject: self.subjects.below(&format!("bridge.{what}")),
            headers: self.headers(),
            payload,
        }
    }

    fn headers(&mut self) -> HeaderMap {
        self.sequence += 1;
        let mut headers = HeaderMap::new();
        headers.insert("Nodewire-Run", self.run.as_str());
        headers.insert("Nodewire-Sequence", self.sequence.to_string());
        headers.insert("Nats-Msg-Id", format!("{}-{}", self.run, self.sequence));
        headers
    }
}

/// What a device wrote, as a header can have it.
fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
