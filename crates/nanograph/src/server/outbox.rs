//! What waits to be sent on one connection.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

/// The largest buffer that is prepared in advance for the next replies.
const SPARE_BYTES_MAX: usize = 64 << 10;

/// Gathers the frames for one client; filled from any thread, emptied by the connection's task.
///
/// A std mutex: it is held for copying one frame at most, never across an await.
#[derive(Debug)]
pub(super) struct Outbox {
    state: Mutex<State>,
    waker: AtomicWaker,
    room: Notify,
    /// Bytes queued here or handed to the socket's writer but not yet taken by the system.
    unwritten_bytes: AtomicUsize,
    limit_bytes: usize,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    text: String,
    /// Where each frame in `text` ends.
    ends: Vec<usize>,
    /// Whether the connection's task will look here anyway, so that it need not be woken.
    attended: bool,
    /// Whether the server wants the connection to be closed.
    closing: bool,
}

/// Frames taken for sending, in order.
#[derive(Debug)]
pub(super) struct Batch {
    text: Bytes,
    ends: std::vec::IntoIter<usize>,
    sent: usize,
}

/// What the connection's task has to do next.
#[derive(Debug)]
pub(super) enum Next {
    Send(Batch),
    Close,
    /// Nothing; the task will be woken.
    Wait,
}

impl Outbox {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self {
            state: Mutex::default(),
            waker: AtomicWaker::new(),
            room: Notify::new(),
            unwritten_bytes: AtomicUsize::new(0),
            limit_bytes,
            closed: AtomicBool::new(false),
        }
    }

    /// Appends the frame that `write` writes. `write` may refuse by returning false, having written nothing.
    ///
    /// False if it refused. What is written once the connection is gone is dropped; see [`Self::is_closed`].
    pub(super) fn push(&self, write: impl FnOnce(&mut String) -> bool) -> bool {
        let mut state = self.lock();
        let before = state.text.len();
        if !write(&mut state.text) {
            return false;
        }
        if self.is_closed() {
            state.text.clear();
            return true;
        }
        let end = state.text.len();
        state.ends.push(end);
        self.unwritten_bytes
            .fetch_add(end - before, Ordering::AcqRel);
        self.wake(state);
        true
    }

    /// Asks the connection's task to close the connection once what is queued is sent.
    pub(super) fn request_close(&self) {
        let mut state = self.lock();
        state.closing = true;
        self.wake(state);
    }

    /// Drops what waits and everything to come: the connection is gone.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        self.closed.store(true, Ordering::Release);
        state.text = String::new();
        state.ends = Vec::new();
        drop(state);
        self.room.notify_waiters();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn has_room(&self) -> bool {
        self.unwritten_bytes.load(Ordering::Acquire) < self.limit_bytes
    }

    /// Waits until there is room, or the connection is gone.
    pub(super) async fn room(&self) {
        loop {
            let notified = self.room.notified();
            if self.has_room() || self.is_closed() {
                return;
            }
            notified.await;
        }
    }

    /// Registers the connection's task, and tells that it will call [`Self::next`] before it sleeps.
    pub(super) fn attend(&self, waker: &Waker) {
        self.waker.register(waker);
        self.lock().attended = true;
    }

    /// Everything gathered so far.
    pub(super) fn next(&self) -> Next {
        let mut state = self.lock();
        if !state.ends.is_empty() {
            return Next::Send(state.take());
        }
        if state.closing {
            return Next::Close;
        }
        state.attended = false;
        Next::Wait
    }

    /// Notes that the system took this many bytes.
    pub(super) fn written(&self, bytes: usize) {
        let before = self.unwritten_bytes.fetch_sub(bytes, Ordering::AcqRel);
        if before >= self.limit_bytes && before - bytes < self.limit_bytes {
            self.room.notify_waiters();
        }
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let attended = std::mem::replace(&mut state.attended, true);
        drop(state);
        if !attended {
            self.waker.wake();
        }
    }

    /// Nothing in here panics while it holds the lock, so a poisoned state is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self) -> Batch {
        let spare = String::with_capacity(self.text.len().min(SPARE_BYTES_MAX));
        let ends = Vec::with_capacity(self.ends.len());
        Batch {
            text: std::mem::replace(&mut self.text, spare).into(),
            ends: std::mem::replace(&mut self.ends, ends).into_iter(),
            sent: 0,
        }
    }
}

impl Iterator for Batch {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let end = self.ends.next()?;
        let frame = self.text.slice(self.sent..end);
        self.sent = end;
        Some(frame)
    }
}
