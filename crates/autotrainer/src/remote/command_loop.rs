//! The task that owns the command socket. spec: autotrainer 7.5, 8.5
//!
//! A request is handed to a connection that is there, or to none: what waits in a socket could be carried out much later,
//! when nobody expects it any more. A socket whose connection was lost is replaced, since its replies are lost with it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::changes::{Channel, RemoteChange};
use super::error::CallError;
use super::shared::Shared;
use crate::command::{CommandAnswer, ResponseError};
use crate::zmq::{ConnectionEvent, ConnectionEvents, RequestSocket, ZmqError};

/// A request on its way to the task.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) nonce: u64,
    pub(super) frame: Bytes,
    pub(super) deadline: Instant,
    pub(super) reply: oneshot::Sender<Result<CommandAnswer, CallError>>,
    /// Its place among those in flight.
    pub(super) permit: OwnedSemaphorePermit,
}

/// After so many timeouts in a row, without any reply, the connection is not trusted any more.
const SILENT_TIMEOUTS_MAX: u32 = 3;

/// What a service gets to take the subscriptions in, before the first command: ZeroMQ does not tell when it has.
const SUBSCRIPTION_TIME: Duration = Duration::from_millis(20);

pub(super) struct CommandLoop {
    shared: Arc<Shared>,
    submissions: mpsc::Receiver<Submission>,
    link: Link,
    in_flight: HashMap<u64, InFlight>,
    /// Those of them that are not sent yet, in order.
    waiting: VecDeque<u64>,
    deadlines: BTreeSet<(Instant, u64)>,
    /// Of those in flight.
    sent: usize,
    silent_timeouts: u32,
    /// Why there is no connection.
    last_failure: Option<String>,
    /// When the socket is replaced, after a refusal.
    relink_at: Option<Instant>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct InFlight {
    /// `None` once it is sent.
    frame: Option<Bytes>,
    deadline: Instant,
    reply: oneshot::Sender<Result<CommandAnswer, CallError>>,
    _permit: OwnedSemaphorePermit,
}

/// A socket for one connection.
#[derive(Debug)]
pub(super) struct Link {
    socket: RequestSocket,
    connections: ConnectionEvents,
    is_open: bool,
    /// Until then, nothing is sent before the event channel is connected too.
    held_until: Option<Instant>,
    is_full: bool,
    /// A request on this connection had no answer in time, so a reply without a nonce may be its.
    had_timeouts: bool,
}

impl Link {
    pub(super) async fn open(shared: &Shared) -> Result<Self, ZmqError> {
        let socket = RequestSocket::new(&shared.options.for_sockets())?;
        let connections = socket.events();
        socket.connect(&shared.options.command_endpoint).await?;
        Ok(Self {
            socket,
            connections,
            is_open: false,
            held_until: None,
            is_full: false,
            had_timeouts: false,
        })
    }

    const fn can_send(&self) -> bool {
        self.is_open && self.held_until.is_none() && !self.is_full
    }
}

impl CommandLoop {
    pub(super) fn new(
        shared: Arc<Shared>,
        link: Link,
        submissions: mpsc::Receiver<Submission>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            shared,
            submissions,
            link,
            in_flight: HashMap::new(),
            waiting: VecDeque::new(),
            deadlines: BTreeSet::new(),
            sent: 0,
            silent_timeouts: 0,
            last_failure: None,
            relink_at: None,
            stop,
        }
    }

    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        loop {
            let relink_at = self.relink_at.unwrap_or_else(Instant::now);
            let next_deadline = self.deadlines.first().map(|(deadline, _)| *deadline);
            let expire_at = next_deadline.unwrap_or_else(Instant::now);
            let held_until = self.link.held_until;
            let release_at = held_until.unwrap_or_else(Instant::now);
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.shared.events_opened.notified(), if held_until.is_some() => self.events_opened(),
                () = sleep_until(release_at), if held_until.is_some() => self.release(),
                submission = self.submissions.recv() => match submission {
                    Some(submission) => self.accept(submission),
                    None => break,
                },
                event = self.link.connections.next() => self.connection(event).await,
                () = self.link.socket.send_ready(), if self.link.is_full => self.retry_full().await,
                () = sleep_until(expire_at), if next_deadline.is_some() => self.expire().await,
                () = sleep_until(relink_at), if self.relink_at.is_some() => self.relink().await,
                reply = self.link.socket.receive() => match reply {
                    Ok(frames) => self.take_reply(&frames),
                    Err(_) => self.relink().await,
                },
            }
        }
        self.shared.set_connected(Channel::Commands, false);
    }

    fn accept(&mut self, submission: Submission) {
        let Submission {
            nonce,
            frame,
            deadline,
            reply,
            permit,
        } = submission;
        let entry = InFlight {
            frame: Some(frame),
            deadline,
            reply,
            _permit: permit,
        };
        self.deadlines.insert((deadline, nonce));
        self.in_flight.insert(nonce, entry);
        self.waiting.push_back(nonce);
        self.send_waiting();
    }

    /// Results are subscribed to before the first request. spec: autotrainer 8.5
    fn hold(&mut self) {
        let options = &self.shared.options;
        if options.event_endpoints.is_empty() {
            return;
        }
        self.link.held_until = Some(Instant::now() + options.event_channel_wait);
        self.events_opened();
    }

    /// What was told while nobody waited for it may not hold any more.
    fn events_opened(&mut self) {
        if self.shared.is_connected(Channel::Events) {
            self.settle();
        }
    }

    /// The event channel is open; the service takes the subscriptions in a moment later.
    fn settle(&mut self) {
        let settled = Instant::now() + SUBSCRIPTION_TIME;
        let held_until = &mut self.link.held_until;
        *held_until = held_until.map(|until| until.min(settled));
    }

    fn release(&mut self) {
        self.link.held_until = None;
        self.send_waiting();
    }

    fn send_waiting(&mut self) {
        while self.link.can_send() {
            let Some(nonce) = self.waiting.pop_front() else {
                return;
            };
            if !self.send_one(nonce) {
                self.waiting.push_front(nonce);
                self.link.is_full = true;
            }
        }
    }

    /// `false` if there is no room for it.
    fn send_one(&mut self, nonce: u64) -> bool {
        let Some(entry) = self.in_flight.get_mut(&nonce) else {
            return true;
        };
        if entry.reply.is_closed() {
            self.shared.counters.abandoned.count();
            self.end(nonce);
            return true;
        }
        let Some(frame) = entry.frame.clone() else {
            return true;
        };
        // Too late: it expires at the next turn.
        if entry.deadline <= Instant::now() {
            return true;
        }
        // An error says that the socket is closed, which the loop meets too.
        if !self.link.socket.try_send(frame).unwrap_or(false) {
            return false;
        }
        entry.frame = None;
        self.sent += 1;
        self.shared.counters.requests.count();
        true
    }

    /// The library may tell of room a moment before there is.
    async fn retry_full(&mut self) {
        self.link.is_full = false;
        self.send_waiting();
        if self.link.is_full {
            tokio::task::yield_now().await;
        }
    }

    fn take_reply(&mut self, frames: &[Bytes]) {
        self.silent_timeouts = 0;
        let (level, limits) = (self.shared.level(), &self.shared.options.limits);
        let answer = CommandAnswer::from_frames(frames, level, limits);
        let nonce = answer.as_ref().ok().and_then(CommandAnswer::nonce_number);
        match (nonce, answer) {
            (Some(nonce), Ok(answer)) if nonce != 0 => {
                if self.is_sent(nonce) {
                    self.shared.counters.answers.count();
                    self.finish(nonce, Ok(answer));
                } else {
                    self.shared.counters.late_replies.count();
                }
            }
            (_, answer) => self.attribute(answer),
        }
        self.send_waiting();
    }

    fn is_sent(&self, nonce: u64) -> bool {
        let entry = self.in_flight.get(&nonce);
        entry.is_some_and(|entry| entry.frame.is_none())
    }

    /// A reply without a nonce is for the only request that it can be for, or for nobody: the others must not be shifted.
    fn attribute(&mut self, answer: Result<CommandAnswer, ResponseError>) {
        let mut sent = self
            .in_flight
            .iter()
            .filter(|(_, entry)| entry.frame.is_none());
        let only = match (sent.next(), sent.next()) {
            (Some((nonce, _)), None) if !self.link.had_timeouts => Some(*nonce),
            _ => None,
        };
        let Some(nonce) = only else {
            self.shared.counters.unattributed_replies.count();
            return;
        };
        self.shared.counters.answers.count();
        let outcome = match answer {
            Ok(answer) if answer.is_unreadable_answer() => Err(CallError::NotUnderstood),
            Ok(answer) => Ok(answer),
            Err(error) => Err(CallError::Response(error)),
        };
        self.finish(nonce, outcome);
    }

    async fn connection(&mut self, event: Option<ConnectionEvent>) {
        let Some(event) = event else {
            return self.relink().await;
        };
        let change = RemoteChange::of_connection(Channel::Commands, event.clone());
        if let Some(change) = change {
            self.shared.tell(change);
        }
        match event {
            ConnectionEvent::Opened { .. } => {
                self.link.is_open = true;
                self.last_failure = None;
                self.shared.set_connected(Channel::Commands, true);
                self.hold();
                self.send_waiting();
            }
            // What was missed may be the end of the connection.
            ConnectionEvent::Closed { .. } | ConnectionEvent::Missed(_) => self.relink().await,
            ConnectionEvent::HandshakeFailed { reason } => self.last_failure = Some(reason),
            // It is not tried again by itself; the service may get other keys, though.
            ConnectionEvent::Refused { reason } => {
                let (_, pause) = self.shared.options.socket_options.reconnect_backoff;
                self.last_failure = Some(reason);
                self.relink_at = Some(Instant::now() + pause);
            }
            ConnectionEvent::Retrying { .. }
            | ConnectionEvent::Subscribed { .. }
            | ConnectionEvent::Unsubscribed { .. }
            | ConnectionEvent::SubscriptionRefused { .. } => {}
        }
    }

    async fn expire(&mut self) {
        let now = Instant::now();
        while let Some(&(deadline, nonce)) = self.deadlines.first() {
            if deadline > now {
                break;
            }
            if self.is_sent(nonce) {
                self.shared.counters.timeouts.count();
                self.silent_timeouts += 1;
                self.link.had_timeouts = true;
                self.finish(nonce, Err(CallError::TimedOut));
            } else {
                self.shared.counters.unsent.count();
                let reason = self.last_failure.clone();
                self.finish(nonce, Err(CallError::Unreachable { reason }));
            }
        }
        if self.silent_timeouts >= SILENT_TIMEOUTS_MAX && self.sent == 0 {
            self.relink().await;
        }
    }

    /// Replaces the socket. What was sent on the old one has no reply any more; what was not is sent on the new one.
    async fn relink(&mut self) {
        self.link.is_open = false;
        self.shared.set_connected(Channel::Commands, false);
        while let Ok(Some(frames)) = self.link.socket.try_receive() {
            self.take_reply(&frames);
        }
        let sent = self
            .in_flight
            .iter()
            .filter(|(_, entry)| entry.frame.is_none());
        for nonce in sent.map(|(nonce, _)| *nonce).collect::<Vec<_>>() {
            self.shared.counters.connection_lost.count();
            self.finish(nonce, Err(CallError::ConnectionLost));
        }
        self.silent_timeouts = 0;
        self.relink_at = None;
        self.shared.counters.rebuilt.count();
        match Link::open(&self.shared).await {
            Ok(link) => self.link = link,
            // The same options and endpoint were valid before.
            Err(error) => {
                tracing::error!(%error, "the command socket cannot be replaced");
                self.stop.cancel();
            }
        }
    }

    fn finish(&mut self, nonce: u64, outcome: Result<CommandAnswer, CallError>) {
        if let Some(entry) = self.end(nonce) {
            // An error says that nobody waits any more.
            let _ = entry.reply.send(outcome);
        }
    }

    fn end(&mut self, nonce: u64) -> Option<InFlight> {
        let entry = self.in_flight.remove(&nonce)?;
        self.deadlines.remove(&(entry.deadline, nonce));
        if entry.frame.is_none() {
            self.sent -= 1;
        } else {
            self.waiting.retain(|waiting| *waiting != nonce);
        }
        Some(entry)
    }
}
