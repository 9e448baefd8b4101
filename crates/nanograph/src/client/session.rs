//! One connection: reads, writes and time, in one task that owns the socket.
//!
//! Reading and writing take turns without waiting for each other, so a server that does not read cannot keep its
//! statuses from being read. All requests that are queued are written before one flush.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytestring::ByteString;
use futures_util::{Sink, SinkExt, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior, Sleep};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::counters::count;
use super::dial::{self, Socket};
use super::handle::MAX_PENDING_STOPS;
use super::outstanding::{Key, Outstanding, Verdict};
use super::shared::{self, Command, ConnectionState, Shared};
use super::{KeepAlive, StopError};
use crate::message::{Handshake, ServerMessage, Status, StopAck, unreadable_end};

/// Messages read before writes get their turn.
const READ_BATCH: usize = 128;

/// Why a session ended.
#[derive(Debug)]
pub(super) enum SessionEnd {
    /// Not on our wish.
    Lost(String),
    /// The client is to close; the connection is closed.
    Closed,
}

type StopAnswer = oneshot::Sender<Result<StopAck, StopError>>;

pub(super) struct Session<'a> {
    shared: &'a Arc<Shared>,
    queue: &'a mut mpsc::Receiver<Command>,
    socket: Socket,
    /// Something was written since the last flush.
    dirty: bool,
    answer_close: bool,
    /// Stops that wait for their answer. Those whose asker is gone stay, so that answers go to the right one.
    stops: HashMap<ByteString, VecDeque<StopAnswer>>,
    pending_stops: usize,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    pings: Interval,
    last_heard: Instant,
    deadline: Pin<Box<Sleep>>,
    deadline_at: Option<Instant>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        shared: &'a Arc<Shared>,
        queue: &'a mut mpsc::Receiver<Command>,
        socket: Socket,
    ) -> Self {
        let mut pings = tokio::time::interval(
            shared
                .config
                .keep_alive
                .interval
                .max(std::time::Duration::from_millis(1)),
        );
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.reset();
        Self {
            shared,
            queue,
            socket,
            dirty: false,
            answer_close: false,
            stops: HashMap::new(),
            pending_stops: 0,
            closing: Box::pin(shared.closing.clone().cancelled_owned()),
            pings,
            last_heard: Instant::now(),
            deadline: Box::pin(tokio::time::sleep(std::time::Duration::ZERO)),
            deadline_at: None,
        }
    }

    /// Runs until the connection is lost or the client is to close. All executions have ended then.
    pub(super) async fn run(mut self) -> SessionEnd {
        let end = poll_fn(|cx| self.poll(cx)).await;
        match &end {
            SessionEnd::Lost(reason) => {
                let state = ConnectionState::Reconnecting {
                    attempts: 0,
                    reason: reason.as_str().into(),
                };
                self.shared
                    .disconnect(state, |executions| executions.on_loss(reason));
            }
            SessionEnd::Closed => {
                let state = ConnectionState::Reconnecting {
                    attempts: 0,
                    reason: "closing".into(),
                };
                self.shared.disconnect(state, Outstanding::on_close);
                self.close().await;
            }
        }
        if self.answer_close {
            // The answer to the server's goodbye is queued in the socket.
            let _ =
                tokio::time::timeout(self.shared.config.close_timeout, self.socket.flush()).await;
        }
        end
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<SessionEnd> {
        if self.closing.as_mut().poll(cx).is_ready() {
            return Poll::Ready(SessionEnd::Closed);
        }
        if let Poll::Ready(lost) = self.poll_read(cx) {
            return Poll::Ready(SessionEnd::Lost(lost));
        }
        if let Poll::Ready(end) = self.poll_write(cx) {
            return Poll::Ready(end);
        }
        if let Poll::Ready(lost) = self.poll_time(cx) {
            return Poll::Ready(SessionEnd::Lost(lost));
        }
        self.poll_flush(cx).map(SessionEnd::Lost)
    }

    /// Reads what there is; ready with a reason when the connection is over.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        for _ in 0..READ_BATCH {
            match ready!(self.socket.poll_next_unpin(cx)) {
                Some(Ok(message)) => {
                    self.last_heard = Instant::now();
                    if let Some(lost) = self.on_frame(message) {
                        return Poll::Ready(lost);
                    }
                }
                Some(Err(error)) => return Poll::Ready(lost_reason(&error)),
                None => return Poll::Ready("the connection ended".to_owned()),
            }
        }
        // There may be more, but writes come first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn on_frame(&mut self, message: Message) -> Option<String> {
        match message {
            Message::Text(text) => self.on_text(text),
            Message::Binary(_) | Message::Frame(_) => count(&self.shared.tally.invalid_messages),
            // The library queues the pong; it goes out with the next flush.
            Message::Ping(_) => self.dirty = true,
            Message::Pong(_) => {}
            Message::Close(frame) => {
                self.answer_close = true;
                return Some(dial::close_reason(frame.as_ref()));
            }
        }
        None
    }

    fn on_text(&mut self, text: Utf8Bytes) {
        count(&self.shared.tally.messages);
        match dial::parse(text.clone()) {
            Some(ServerMessage::NodeStatus {
                instance_id,
                node_id,
                status,
                ..
            }) => {
                self.on_status(
                    &Key {
                        instance_id,
                        node_id,
                    },
                    status,
                );
            }
            Some(ServerMessage::AckStopWorkflow(ack)) => self.on_ack(ack),
            Some(ServerMessage::DefinitionsUpdate(update)) => {
                self.shared.handshake.send_modify(|handshake| {
                    let node_definitions = update.node_definitions;
                    *handshake = Arc::new(Handshake {
                        node_definitions,
                        ..Handshake::clone(handshake)
                    });
                })
            }
            Some(ServerMessage::Handshake(handshake)) => {
                self.shared.handshake.send_replace(Arc::new(handshake));
            }
            Some(ServerMessage::Unknown { .. }) => count(&self.shared.tally.invalid_messages),
            None => {
                count(&self.shared.tally.invalid_messages);
                self.on_unreadable(text);
            }
        }
    }

    /// An end that cannot be read is an end nevertheless: no other will come.
    fn on_unreadable(&self, text: Utf8Bytes) {
        let end = ByteString::try_from(bytes::Bytes::from(text))
            .ok()
            .and_then(|text| unreadable_end(&text));
        if let Some((instance_id, node_id)) = end {
            let key = Key {
                instance_id,
                node_id,
            };
            let verdict = self.shared.table().executions.on_unreadable(&key);
            if let Verdict::End(mailbox, end) = verdict {
                mailbox.finish(end);
            }
        }
    }

    fn on_status(&self, key: &Key, status: Status) {
        let verdict = self
            .shared
            .table()
            .executions
            .on_status(key, status, self.last_heard);
        match verdict {
            Verdict::Forward(mailbox, status) => {
                let dropped = mailbox.push(status);
                self.shared
                    .tally
                    .conflated_statuses
                    .fetch_add(dropped, std::sync::atomic::Ordering::Relaxed);
            }
            Verdict::End(mailbox, end) => mailbox.finish(end),
            Verdict::Hold | Verdict::Dropped => {}
        }
    }

    fn on_ack(&mut self, ack: StopAck) {
        let Some(waiting) = self.stops.get_mut(&ack.instance_id) else {
            return;
        };
        let answer = waiting.pop_front();
        if waiting.is_empty() {
            self.stops.remove(&ack.instance_id);
        }
        if let Some(answer) = answer {
            self.pending_stops -= 1;
            // The asker may have run out of patience.
            let _ = answer.send(Ok(ack));
        }
    }

    /// Writes what is queued, as far as the socket takes it.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<SessionEnd> {
        while let Poll::Ready(ready) = self.socket.poll_ready_unpin(cx) {
            if let Err(error) = ready {
                return Poll::Ready(SessionEnd::Lost(lost_reason(&error)));
            }
            let Some(command) = ready!(self.queue.poll_recv(cx)) else {
                return Poll::Ready(SessionEnd::Closed);
            };
            let Some(text) = self.accept(command) else {
                continue;
            };
            if let Err(error) = self.write(Message::Text(text)) {
                return Poll::Ready(SessionEnd::Lost(error));
            }
            count(&self.shared.tally.sent);
        }
        Poll::Pending
    }

    /// What to write for a command, if it still makes sense.
    fn accept(&mut self, command: Command) -> Option<Utf8Bytes> {
        match command {
            Command::Execute { key, ticket, text } => self
                .shared
                .table()
                .executions
                .mark_sent(&key, ticket)
                .then_some(text),
            Command::Stop {
                text,
                instance_id,
                answer,
            } => {
                if self.pending_stops >= MAX_PENDING_STOPS {
                    let _ = answer.send(Err(StopError::TooMany {
                        limit: MAX_PENDING_STOPS,
                    }));
                    return None;
                }
                self.shared.table().executions.stopping(&instance_id);
                self.pending_stops += 1;
                self.stops.entry(instance_id).or_default().push_back(answer);
                Some(text)
            }
        }
    }

    fn write(&mut self, message: Message) -> Result<(), String> {
        self.dirty = true;
        self.socket
            .start_send_unpin(message)
            .map_err(|error| lost_reason(&error))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        if !self.dirty {
            return Poll::Pending;
        }
        match ready!(self.socket.poll_flush_unpin(cx)) {
            Ok(()) => {
                self.dirty = false;
                count(&self.shared.tally.flushes);
                Poll::Pending
            }
            Err(error) => Poll::Ready(lost_reason(&error)),
        }
    }

    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        self.poll_deadline(cx);
        while self.pings.poll_tick(cx).is_ready() {
            let KeepAlive { timeout, .. } = self.shared.config.keep_alive;
            let silent = self.last_heard.elapsed() > timeout;
            if silent && self.shared.table().executions.is_empty() {
                return Poll::Ready(format!("nothing came from the server for {timeout:?}"));
            }
            self.set_responsive(!silent);
            // While the socket takes nothing, another ping would only queue up.
            if let Poll::Ready(Ok(())) = Pin::new(&mut self.socket).poll_ready(cx) {
                count(&self.shared.tally.pings);
                if let Err(lost) = self.write(Message::Ping(bytes::Bytes::new())) {
                    return Poll::Ready(lost);
                }
            }
        }
        Poll::Pending
    }

    fn set_responsive(&self, responsive: bool) {
        let state = if responsive {
            ConnectionState::Connected
        } else {
            ConnectionState::Unresponsive
        };
        self.shared.state.send_if_modified(|current| {
            let changed = *current != state;
            *current = state;
            changed
        });
    }

    /// Ends what is due and sets the alarm for what is due next.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) {
        loop {
            let next = self.shared.table().executions.next_deadline();
            if next != self.deadline_at {
                self.deadline_at = next;
                if let Some(at) = next {
                    self.deadline.as_mut().reset(at.into());
                }
            }
            if next.is_none() || self.deadline.as_mut().poll(cx).is_pending() {
                return;
            }
            let due = self.shared.table().executions.on_time(Instant::now());
            shared::finish(due);
            self.deadline_at = None;
        }
    }

    /// Says goodbye and waits for the answer, within bounds.
    async fn close(&mut self) {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: Utf8Bytes::from_static(""),
        };
        let goodbye = async {
            if self.socket.close(Some(frame)).await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
            }
        };
        let _ = tokio::time::timeout(self.shared.config.close_timeout, goodbye).await;
    }
}

fn lost_reason(error: &tungstenite::Error) -> String {
    format!("the connection failed: {error}")
}
