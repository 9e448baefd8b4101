//! What all tasks know of one client.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::outbox::{Outbox, Pushed};
use super::pending_total::PendingTotal;
use super::segments::Segments;
use super::turns::Turns;
use super::writer::write_rest;
use crate::protocol::Publish;
use crate::stats::CloseReason;

/// How many batches a publisher writes to one client before it leaves the rest to a task of its own.
const INLINE_BATCHES_MAX: usize = 4;

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(super) id: u64,
    pub(super) address: IpAddr,
    pub(super) opened_at: Instant,
    pub(super) pending_bytes_max: usize,
    pub(super) socket: OwnedWriteHalf,
    outbox: Mutex<Outbox>,
    /// Waiting publishers, woken when there is room again.
    pub(super) room: Notify,
    /// Nothing more is taken for it; its reading task ends.
    pub(super) closed: CancellationToken,
    /// Nothing more is written to it.
    pub(super) gone: CancellationToken,
    reason: OnceLock<CloseReason>,
    subscriptions: Mutex<HashMap<Box<[u8]>, Arc<Subscription>, foldhash::fast::RandomState>>,
    /// It sent its `CONNECT`, with the right credentials.
    pub(super) admitted: AtomicBool,
    pub(super) headers: AtomicBool,
    /// It understands an `INFO` at any time.
    pub(super) takes_info: AtomicBool,
    pub(super) pings_sent: AtomicU32,
    pub(super) pings_unanswered: AtomicU32,
    tasks: TaskTracker,
}

/// `SUB subject [queue] sid` of one client.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(super) client: Arc<Client>,
    pub(super) subject: Box<[u8]>,
    pub(super) queue: Option<Box<[u8]>>,
    pub(super) sid: Box<[u8]>,
    pub(super) turns: Turns,
}

impl PartialEq for Subscription {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Subscription {
    pub(super) fn new(
        client: &Arc<Client>,
        subject: &[u8],
        queue: Option<&[u8]>,
        sid: &[u8],
    ) -> Arc<Self> {
        Arc::new(Self {
            client: Arc::clone(client),
            subject: subject.into(),
            queue: queue.map(Into::into),
            sid: sid.into(),
            turns: Turns::default(),
        })
    }
}

impl Client {
    pub(super) fn new(
        id: u64,
        address: IpAddr,
        socket: OwnedWriteHalf,
        pending_bytes_max: usize,
        pending_total: Arc<PendingTotal>,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            id,
            address,
            opened_at: Instant::now(),
            pending_bytes_max,
            socket,
            outbox: Mutex::new(Outbox::new(pending_total)),
            room: Notify::new(),
            closed: CancellationToken::new(),
            gone: CancellationToken::new(),
            reason: OnceLock::new(),
            subscriptions: Mutex::default(),
            admitted: AtomicBool::new(false),
            headers: AtomicBool::new(false),
            takes_info: AtomicBool::new(false),
            pings_sent: AtomicU32::new(0),
            pings_unanswered: AtomicU32::new(0),
            tasks,
        }
    }

    /// Its subscriptions by sid.
    pub(super) fn subscriptions(
        &self,
    ) -> MutexGuard<'_, HashMap<Box<[u8]>, Arc<Subscription>, foldhash::fast::RandomState>> {
        self.subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether enough waits for it that publishers are slowed down.
    pub(super) fn is_behind(&self, pending_bytes: usize) -> bool {
        pending_bytes > self.pending_bytes_max / 2
    }

    /// Whether it is behind, but takes something now and then.
    pub(super) fn is_worth_waiting_for(&self, stuck_after: Duration) -> bool {
        let outbox = self.outbox();
        let blocked_since = outbox.blocked_since();
        let stuck = blocked_since.is_some_and(|since| since.elapsed() > stuck_after);
        self.is_behind(outbox.pending_bytes()) && !stuck && !self.closed.is_cancelled()
    }

    /// Queues bytes of the protocol.
    pub(super) fn push(&self, bytes: &[u8]) -> Pushed {
        self.put(|queue| queue.push(bytes))
    }

    /// Queues a message for one of its subscriptions.
    pub(super) fn push_message(&self, publish: &Publish, sid: &[u8]) -> Pushed {
        let headers = self.headers.load(Relaxed);
        self.put(|queue| queue.push_message(publish, sid, headers))
    }

    pub(super) fn put(&self, put: impl FnOnce(&mut Segments)) -> Pushed {
        let pushed = self.outbox().push(self.pending_bytes_max, put);
        if pushed == Pushed::Overflow {
            self.close(CloseReason::SlowConsumer, None);
        }
        pushed
    }

    /// Writes what waits, without waiting for the socket; how much is left, which a task of its own writes then.
    pub(super) fn flush(self: &Arc<Self>) -> usize {
        let Some(mut batch) = self.outbox().begin() else {
            return self.outbox().pending_bytes();
        };
        for _ in 0..INLINE_BATCHES_MAX {
            if !self.write(&mut batch) {
                break;
            }
            match self.outbox().next(batch) {
                Some(next) => batch = next,
                None => return 0,
            }
        }
        let mut outbox = self.outbox();
        outbox.blocked(&batch);
        let pending_bytes = outbox.pending_bytes();
        drop(outbox);
        self.tasks.spawn(write_rest(Arc::clone(self), batch));
        pending_bytes
    }

    /// Writes until the socket takes no more; whether all was written. A socket that fails counts as one that takes
    /// everything: its reading task learns of it too.
    pub(super) fn write(&self, batch: &mut Segments) -> bool {
        while !batch.is_empty() {
            match batch.write(|pieces| self.socket.try_write_vectored(pieces)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(_) => {
                    batch.clear();
                    self.close(CloseReason::Client, None);
                }
            }
        }
        true
    }

    /// Ends the connection; the first reason counts. With a farewell, what waits is still sent for a moment.
    pub(super) fn close(&self, reason: CloseReason, farewell: Option<&[u8]>) {
        if !self.outbox().close(farewell) {
            return;
        }
        let _ = self.reason.set(reason);
        self.closed.cancel();
        self.room.notify_waiters();
        if farewell.is_none() {
            self.gone.cancel();
        }
    }

    /// Drops all that waits for it, a farewell included, to make room for others.
    pub(super) fn give_up(&self) {
        self.close(CloseReason::PendingTotal, None);
        self.outbox().abandon();
        self.gone.cancel();
    }

    pub(super) fn close_reason(&self) -> CloseReason {
        *self.reason.get().unwrap_or(&CloseReason::Client)
    }
}
