//! Messages within one process: what the testing support carries requests with.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use async_nats::{HeaderMap, Message, StatusCode, Subject};
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::header;

/// Messages that wait for one subscriber. What goes beyond is dropped and counted, as a broker does.
const QUEUE_MESSAGES: usize = 65_536;

/// Subjects, subscriptions and queue groups in memory, with a broker's rules of delivery.
#[derive(Debug)]
pub(crate) struct Bus {
    state: Mutex<State>,
    max_payload_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    next_sid: u64,
    subscriptions: BTreeMap<u64, Entry>,
    /// Turns among the members of a queue group.
    turn: usize,
    dropped: u64,
}

#[derive(Debug)]
struct Entry {
    subject: String,
    queue_group: Option<String>,
    sender: mpsc::Sender<Message>,
}

#[derive(Debug)]
pub(crate) struct BusSubscription {
    sid: u64,
    bus: Weak<Bus>,
    receiver: mpsc::Receiver<Message>,
}

impl Bus {
    pub(crate) fn new(max_payload_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            max_payload_bytes,
        })
    }

    pub(crate) fn max_payload_bytes(&self) -> usize {
        self.max_payload_bytes
    }

    /// How many messages found their subscriber's queue full.
    pub(crate) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    pub(crate) fn subscribe(
        self: &Arc<Self>,
        subject: &str,
        queue_group: Option<String>,
    ) -> BusSubscription {
        let (sender, receiver) = mpsc::channel(QUEUE_MESSAGES);
        let mut state = self.lock();
        state.next_sid += 1;
        let sid = state.next_sid;
        let entry = Entry {
            subject: subject.to_owned(),
            queue_group,
            sender,
        };
        state.subscriptions.insert(sid, entry);
        BusSubscription {
            sid,
            bus: Arc::downgrade(self),
            receiver,
        }
    }

    /// Delivers to every plain subscription that matches, and to one member of each queue group. A request that nobody
    /// gets is answered with status 503.
    pub(crate) fn publish(
        &self,
        subject: Subject,
        reply: Option<Subject>,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) {
        let header_bytes = headers.as_ref().map_or(0, header::block_bytes);
        let message = Message {
            length: subject.len()
                + reply.as_ref().map_or(0, |reply| reply.len())
                + header_bytes
                + payload.len(),
            subject,
            reply,
            payload,
            headers,
            status: None,
            description: None,
        };
        let mut state = self.lock();
        if state.deliver(&message) == 0
            && let Some(reply) = message.reply
        {
            state.deliver(&no_responders(reply));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn deliver(&mut self, message: &Message) -> usize {
        let mut groups: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
        let mut chosen = Vec::new();
        for entry in self.subscriptions.values() {
            if !matches(&entry.subject, &message.subject) {
                continue;
            }
            match &entry.queue_group {
                Some(group) => groups.entry(group).or_default().push(entry),
                None => chosen.push(entry),
            }
        }
        // Only where there are turns: replies in between must not shift them.
        if !groups.is_empty() {
            self.turn = self.turn.wrapping_add(1);
        }
        chosen.extend(
            groups
                .values()
                .map(|members| members[self.turn % members.len()]),
        );
        let count = chosen.len();
        let full = chosen
            .iter()
            .filter(|entry| entry.sender.try_send(message.clone()).is_err())
            .count();
        self.dropped += full as u64;
        count
    }
}

fn no_responders(reply: Subject) -> Message {
    Message {
        subject: reply,
        reply: None,
        payload: Bytes::new(),
        headers: None,
        status: Some(StatusCode::NO_RESPONDERS),
        description: None,
        length: 0,
    }
}

fn matches(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in pattern.split('.') {
        match (wanted, tokens.next()) {
            (">", Some(_)) => return true,
            (_, None) => return false,
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            (_, Some(_)) => return false,
        }
    }
    tokens.next().is_none()
}

impl BusSubscription {
    /// No more messages; those that wait are still delivered.
    pub(crate) fn drain(&mut self) {
        if let Some(bus) = self.bus.upgrade() {
            bus.lock().subscriptions.remove(&self.sid);
        }
    }

    /// What has arrived, without waiting.
    pub(crate) fn try_next(&mut self) -> Option<Message> {
        self.receiver.try_recv().ok()
    }

    /// Waits for the next message; `None` after a drain, once all is delivered.
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        self.receiver.recv().await
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.receiver.poll_recv(cx)
    }
}

impl Drop for BusSubscription {
    fn drop(&mut self) {
        self.drain();
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn wildcards_match_whole_tokens() {
        for (pattern, subject, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            (">", "a", true),
            ("*.b", "a.c", false),
        ] {
            assert_eq!(matches(pattern, subject), expected, "{pattern} {subject}");
        }
    }
}
