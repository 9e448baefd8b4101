//! An accepted execution: what its handler, its task and its canceller share.

use std::cmp::Reverse;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::assets::Assets;
use crate::event::{ExecutionEvent, ExecutionId, Progress};
use crate::fetch::Fetched;
use crate::observe::{Ended, Watch};
use crate::queue::{NodeEntry, Turn};
use crate::request::ExecutionRequest;
use crate::sink::EventSink;
use crate::value::{Inputs, Outputs};

/// Why a handler should stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum StopReason {
    Cancelled = 1,
    Deadline = 2,
    Shutdown = 3,
}

/// [`Running::stop`] while nobody asked for a stop, and once the end is decided.
const NOT_STOPPED: u8 = 0;
const ENDED: u8 = 4;

pub(crate) struct Running {
    pub(crate) id: ExecutionId,
    pub(crate) request: ExecutionRequest,
    pub(crate) entry: Arc<NodeEntry>,
    pub(crate) origin: Option<&'static str>,
    pub(crate) assets: Assets,
    pub(crate) accepted_at: Instant,
    /// The inputs with what they referred to, where that was fetched.
    pub(crate) fetched: OnceLock<Fetched>,
    /// Notified when a place was taken for this execution.
    pub(crate) turn: Notify,
    sink: Arc<dyn EventSink>,
    watch: Option<Box<dyn Watch>>,
    /// Who keeps the place in the concurrency limit; it is free when nobody does.
    slot_holders: AtomicUsize,
    /// [`StopReason`], [`NOT_STOPPED`] or [`ENDED`]; changes once, so a stop and an end cannot both win.
    stop: AtomicU8,
    stop_changed: Notify,
    // A std mutex: held while one event is handed over, never across an await.
    gate: Mutex<Gate>,
}

/// What an execution has from the handle that it was submitted through.
pub(crate) struct Door {
    pub(crate) origin: Option<&'static str>,
    pub(crate) assets: Assets,
    pub(crate) watch: Option<Box<dyn Watch>>,
}

/// Keeps events in order and stops them after the terminal one.
#[derive(Debug, Default)]
struct Gate {
    closed: bool,
    progress_dropped: u64,
}

impl Running {
    pub(crate) fn new(
        id: ExecutionId,
        request: ExecutionRequest,
        entry: Arc<NodeEntry>,
        door: Door,
        sink: Arc<dyn EventSink>,
    ) -> Self {
        Self {
            id,
            request,
            entry,
            origin: door.origin,
            assets: door.assets,
            accepted_at: Instant::now(),
            fetched: OnceLock::new(),
            turn: Notify::new(),
            sink,
            watch: door.watch,
            slot_holders: AtomicUsize::new(0),
            stop: AtomicU8::new(NOT_STOPPED),
            stop_changed: Notify::new(),
            gate: Mutex::default(),
        }
    }

    /// What goes into the node.
    pub(crate) fn inputs(&self) -> &Inputs {
        self.fetched
            .get()
            .map_or(&self.request.inputs, |fetched| &fetched.inputs)
    }

    pub(crate) fn queue_key(&self) -> Turn {
        (Reverse(self.request.priority), self.id.0)
    }

    /// Asks the handler to stop; false if it has ended or was asked already.
    pub(crate) fn request_stop(&self, reason: StopReason) -> bool {
        let won = self
            .stop
            .compare_exchange(
                NOT_STOPPED,
                reason as u8,
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .is_ok();
        if won {
            self.stop_changed.notify_waiters();
        }
        won
    }

    /// Decides the end; the reason if a stop was asked for before.
    pub(crate) fn decide_end(&self) -> Option<StopReason> {
        match self
            .stop
            .compare_exchange(NOT_STOPPED, ENDED, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => {
                // For tasks that the handler left behind.
                self.stop_changed.notify_waiters();
                None
            }
            Err(stop) if stop == StopReason::Cancelled as u8 => Some(StopReason::Cancelled),
            Err(stop) if stop == StopReason::Deadline as u8 => Some(StopReason::Deadline),
            Err(stop) if stop == StopReason::Shutdown as u8 => Some(StopReason::Shutdown),
            Err(_) => None,
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire) != NOT_STOPPED
    }

    /// Completes when a stop was asked for, or the execution has ended otherwise.
    pub(crate) async fn stopping(&self) {
        loop {
            // Registered before the look at the flag, so that a stop in between is not missed.
            let changed = self.stop_changed.notified();
            if self.is_stopping() {
                return;
            }
            changed.await;
        }
    }

    /// Delivers a life-cycle event, unless the terminal one was delivered already.
    pub(crate) fn deliver(&self, event: ExecutionEvent) {
        let mut gate = self.gate();
        if gate.closed {
            return;
        }
        gate.closed = event.is_terminal();
        self.tell(event);
    }

    /// A sink that panics loses what it was told. The executor and the handler go on: neither is to blame.
    fn tell(&self, event: ExecutionEvent) {
        let tell = AssertUnwindSafe(|| self.sink.deliver(self.id, event));
        // The panic hook has reported it.
        let _ = std::panic::catch_unwind(tell);
    }

    pub(crate) fn report(&self, progress: Progress) {
        let mut gate = self.gate();
        if gate.closed {
            return;
        }
        if self.sink.has_room() {
            self.tell(ExecutionEvent::Progress(progress));
        } else {
            gate.progress_dropped += 1;
        }
    }

    pub(crate) async fn partial(&self, outputs: Outputs) {
        if !self.sink.has_room() {
            self.sink.room().await;
        }
        self.deliver(ExecutionEvent::Partial(outputs));
    }

    pub(crate) fn trace_parent(&self) -> Option<&str> {
        let watched = self.watch.as_ref().and_then(|watch| watch.trace_parent());
        watched.or(self.request.trace_parent.as_deref())
    }

    /// Tells whoever watches; their panics are no reason to owe the caller the end.
    pub(crate) fn tell_watch(&self, ended: &Ended<'_>) {
        if let Some(watch) = &self.watch {
            let tell = AssertUnwindSafe(|| watch.end(ended));
            let _ = std::panic::catch_unwind(tell);
        }
    }

    pub(crate) fn progress_dropped(&self) -> u64 {
        self.gate().progress_dropped
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("id", &self.id)
            .field("node", &self.entry.uid)
            .finish_non_exhaustive()
    }
}

/// Keeps an execution's place in its node's concurrency limit occupied; see [`crate::Context::hold_slot`].
#[derive(Debug)]
pub struct SlotGuard {
    held: Option<Arc<Running>>,
}

impl SlotGuard {
    /// The holder that stands for the place which admission took.
    pub(crate) fn first(running: Arc<Running>) -> Self {
        running.slot_holders.store(1, Ordering::Release);
        Self {
            held: Some(running),
        }
    }

    /// One more holder; holds nothing if the place was given back already.
    pub(crate) fn further(running: Arc<Running>) -> Self {
        let one_more = |holders| {
            if holders == 0 {
                None
            } else {
                Some(holders + 1)
            }
        };
        let held = running
            .slot_holders
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more)
            .is_ok();
        Self {
            held: held.then_some(running),
        }
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        let Some(running) = &self.held else {
            return;
        };
        if running.slot_holders.fetch_sub(1, Ordering::AcqRel) == 1 {
            running.entry.release();
        }
    }
}
