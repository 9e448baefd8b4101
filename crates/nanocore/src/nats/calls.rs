//! What was sent and has not ended: replies find their executions here.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_nats::Message;
use bytes::Bytes;
use tokio::sync::Notify;

use super::cancelling::Canceller;
use super::options::NatsOptions;
use super::reply::{Accepted, ReplyKind, kind_of};

/// All executions that are outstanding on one server.
#[derive(Debug)]
pub(super) struct Calls {
    /// What reply subjects begin with; the execution's id follows.
    pub(super) inbox: String,
    // A std mutex: held for look-ups, never over an await.
    by_id: Mutex<HashMap<String, Arc<Waiting>>>,
    next: AtomicU64,
    interim_max: usize,
    interim_bytes_max: usize,
    pub(super) canceller: Canceller,
    pub(super) late_replies: AtomicU64,
    pub(super) dropped_replies: AtomicU64,
    pub(super) lost: AtomicU64,
}

/// One execution that waits for replies.
#[derive(Debug)]
struct Waiting {
    sent: Instant,
    state: Mutex<State>,
    /// Has a permit whenever something was added.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    accepted: Option<Accepted>,
    is_accepted_told: bool,
    interims: VecDeque<Bytes>,
    interim_bytes: usize,
    end: Option<End>,
}

#[derive(Debug, Clone)]
enum End {
    Reply(Box<Message>),
    NoResponders,
    Lost(Arc<str>),
}

/// What became known of an execution.
#[derive(Debug)]
pub(super) enum Told {
    Accepted(Accepted),
    Interim(Bytes),
    /// The last reply, and whether an instance had accepted.
    Last(Box<Message>, bool),
    NoResponders,
    Lost(Arc<str>),
}

/// An execution that was, or is about to be, sent. If it is dropped before its last reply came, it is cancelled wherever
/// it may be.
#[derive(Debug)]
pub(super) struct Outstanding {
    calls: Arc<Calls>,
    waiting: Arc<Waiting>,
    pub(super) id: String,
    /// Cancels it on whichever instance has it.
    cancel_anywhere: Option<String>,
}

impl Calls {
    pub(super) fn new(inbox: String, options: &NatsOptions, canceller: Canceller) -> Self {
        Self {
            inbox,
            by_id: Mutex::default(),
            next: AtomicU64::new(0),
            interim_max: options.interim_max.max(1),
            interim_bytes_max: options.interim_bytes_max,
            canceller,
            late_replies: AtomicU64::new(0),
            dropped_replies: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    /// Notes an execution, so that its replies find it. `cancel_prefix`: what the subjects begin with on which every
    /// instance hears cancellations.
    pub(super) fn begin(self: &Arc<Self>, cancel_prefix: Option<&str>) -> Outstanding {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        // Unlike those of any other orchestrator.
        let own = self.inbox.rsplit('.').next().unwrap_or_default();
        let id = format!("{own}-{number}");
        let waiting = Arc::new(Waiting {
            sent: Instant::now(),
            state: Mutex::default(),
            changed: Notify::new(),
        });
        self.lock().insert(id.clone(), Arc::clone(&waiting));
        Outstanding {
            calls: Arc::clone(self),
            waiting,
            cancel_anywhere: cancel_prefix.map(|prefix| format!("{prefix}{id}")),
            id,
        }
    }

    /// Hands a reply to its execution. One that is accepted although nobody waits for it any more is cancelled.
    pub(super) fn route(&self, message: Message) {
        let id = message.subject.rsplit('.').next().unwrap_or_default();
        let waiting = self.lock().get(id).cloned();
        let kind = kind_of(&message);
        let Some(waiting) = waiting else {
            self.late_replies.fetch_add(1, Ordering::Relaxed);
            if let ReplyKind::Accepted(Some(accepted)) = kind {
                self.canceller.cancel(accepted.cancel_subject);
            }
            return;
        };
        waiting.add(kind, message, self);
    }

    /// What one instance had, or may have had by then, is lost.
    pub(super) fn lose(&self, instance: &str, by: Instant, reason: &Arc<str>) {
        let is_lost = |waiting: &Waiting| match &waiting.state().accepted {
            Some(accepted) => accepted.instance == instance,
            None => waiting.sent < by,
        };
        self.lose_those(is_lost, reason);
    }

    /// Everything is lost.
    pub(super) fn lose_all(&self, reason: &Arc<str>) {
        self.lose_those(|_| true, reason);
    }

    fn lose_those(&self, is_lost: impl Fn(&Waiting) -> bool, reason: &Arc<str>) {
        let all: Vec<_> = self.lock().values().cloned().collect();
        for waiting in all.iter().filter(|waiting| is_lost(waiting)) {
            if waiting.end(End::Lost(Arc::clone(reason))) {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Waiting>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, kind: ReplyKind, message: Message, calls: &Calls) {
        match kind {
            ReplyKind::NoResponders => drop(self.end(End::NoResponders)),
            ReplyKind::End => drop(self.end(End::Reply(Box::new(message)))),
            ReplyKind::Accepted(accepted) => self.state().accepted = accepted,
            ReplyKind::Interim => self.keep(message.payload, calls),
        }
        self.changed.notify_one();
    }

    /// Keeps progress or a preview; if there is no room, in place of the oldest.
    fn keep(&self, payload: Bytes, calls: &Calls) {
        let mut state = self.state();
        state.interim_bytes += payload.len();
        state.interims.push_back(payload);
        while state.interims.len() > calls.interim_max
            || (state.interim_bytes > calls.interim_bytes_max && state.interims.len() > 1)
        {
            let oldest = state.interims.pop_front().unwrap_or_default();
            state.interim_bytes -= oldest.len();
            calls.dropped_replies.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether it had not ended before.
    fn end(&self, end: End) -> bool {
        let mut state = self.state();
        let is_new = state.end.is_none();
        state.end.get_or_insert(end);
        drop(state);
        self.changed.notify_one();
        is_new
    }

    fn take(&self) -> Option<Told> {
        let mut state = self.state();
        if let Some(accepted) = &state.accepted
            && !state.is_accepted_told
        {
            let accepted = accepted.clone();
            state.is_accepted_told = true;
            return Some(Told::Accepted(accepted));
        }
        if let Some(interim) = state.interims.pop_front() {
            state.interim_bytes -= interim.len();
            return Some(Told::Interim(interim));
        }
        let was_accepted = state.accepted.is_some();
        Some(match state.end.clone()? {
            End::Reply(message) => Told::Last(message, was_accepted),
            End::NoResponders => Told::NoResponders,
            End::Lost(reason) => Told::Lost(reason),
        })
    }
}

impl Outstanding {
    /// What became known next. Cancel safe. The end is told for ever.
    pub(super) async fn next(&self) -> Told {
        loop {
            if let Some(told) = self.waiting.take() {
                return told;
            }
            self.waiting.changed.notified().await;
        }
    }

    /// Where replies go.
    pub(super) fn reply_subject(&self) -> String {
        format!("{}.{}", self.calls.inbox, self.id)
    }

    /// Cancels it; how it ends is told.
    pub(super) fn cancel(&self) {
        let accepted = self.waiting.state().accepted.clone();
        let subject = accepted
            .map(|accepted| accepted.cancel_subject)
            .or_else(|| self.cancel_anywhere.clone());
        if let Some(subject) = subject {
            self.calls.canceller.cancel(subject);
        }
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.id);
        let has_ended = match &self.waiting.state().end {
            Some(End::Reply(_) | End::NoResponders) => true,
            Some(End::Lost(_)) | None => false,
        };
        if !has_ended {
            self.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;

    use super::*;

    fn calls(interim_max: usize) -> (Arc<Calls>, tokio::sync::mpsc::Receiver<String>) {
        let (canceller, cancelled) = Canceller::new();
        let options = NatsOptions {
            interim_max,
            interim_bytes_max: 8,
            ..NatsOptions::default()
        };
        (
            Arc::new(Calls::new("_INBOX.me".to_owned(), &options, canceller)),
            cancelled,
        )
    }

    fn reply(
        to: &str,
        event: &'static str,
        cancel: Option<&str>,
        payload: &'static str,
    ) -> Message {
        let mut headers = HeaderMap::new();
        headers.insert("Nodewire-Event", event);
        if let Some(cancel) = cancel {
            headers.insert("Nodewire-Cancel", cancel);
        }
        Message {
            subject: to.into(),
            reply: None,
            payload: Bytes::from_static(payload.as_bytes()),
            headers: Some(headers),
            status: None,
            description: None,
            length: payload.len(),
        }
    }

    #[tokio::test]
    async fn replies_come_in_order_and_only_interim_ones_are_dropped() {
        let (calls, mut cancelled) = calls(2);
        let one = calls.begin(Some("g.$cancel."));
        let to = one.reply_subject();
        calls.route(reply(&to, "accepted", Some("g.$cancel.I.x"), ""));
        for payload in ["first", "2", "3"] {
            calls.route(reply(&to, "progress", None, payload));
        }
        calls.route(reply(&to, "completed", None, "end"));
        calls.route(reply(&to, "completed", None, "twice"));
        assert!(matches!(one.next().await, Told::Accepted(accepted) if accepted.instance == "I"));
        for expected in ["2", "3"] {
            assert!(matches!(one.next().await, Told::Interim(payload) if payload == expected));
        }
        assert!(matches!(one.next().await, Told::Last(message, true) if message.payload == "end"));
        assert_eq!(calls.dropped_replies.load(Ordering::Relaxed), 1);
        drop(one);
        assert!(cancelled.try_recv().is_err(), "it had ended");
    }

    #[tokio::test]
    async fn what_an_instance_had_or_may_have_had_is_lost_with_it() {
        let (calls, mut cancelled) = calls(2);
        let [dead, alive, unknown] = [(); 3].map(|()| calls.begin(Some("g.$cancel.")));
        calls.route(reply(
            &dead.reply_subject(),
            "accepted",
            Some("g.$cancel.I.1"),
            "",
        ));
        calls.route(reply(
            &alive.reply_subject(),
            "accepted",
            Some("g.$cancel.J.2"),
            "",
        ));
        let by = Instant::now();
        let later = calls.begin(None);
        calls.lose("I", by, &"gone".into());
        drop(dead.next().await);
        assert!(matches!(dead.next().await, Told::Lost(_)));
        assert!(matches!(unknown.next().await, Told::Lost(_)));
        assert!(alive.waiting.state().end.is_none() && later.waiting.state().end.is_none());
        assert_eq!(calls.lost.load(Ordering::Relaxed), 2);
        // What nobody knows of is cancelled wherever it is; and again by whoever accepts it late.
        let (id, to) = (unknown.id.clone(), unknown.reply_subject());
        drop(unknown);
        assert_eq!(cancelled.try_recv().unwrap(), format!("g.$cancel.{id}"));
        calls.route(reply(&to, "accepted", Some("g.$cancel.J.late"), ""));
        assert_eq!(cancelled.try_recv().unwrap(), "g.$cancel.J.late");
        assert_eq!(calls.late_replies.load(Ordering::Relaxed), 1);
    }
}
