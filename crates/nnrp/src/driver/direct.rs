//! What is sent while little else is under way is written by whoever sends it: waking the writing task takes longer than
//! the write. Where much is under way, the task is woken, as it writes what many have sent in one go.

use std::future::Future as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use nnrp_wire::session::PathId;
use tokio::runtime::Handle;

use super::machine::{App, Machine as _};
use super::{Shared, State};
use crate::link::Writer;

/// A link's idle half, with something to write.
pub(super) struct DirectWrite {
    id: PathId,
    writer: Writer,
}

impl DirectWrite {
    /// If there is something to send on the session's path, nothing is being written there, and nothing else will follow at
    /// once.
    pub(super) fn begin<A: App>(
        shared: &Shared<A>,
        state: &mut State<A>,
        now: Duration,
    ) -> Option<Self> {
        if !state.machine.has_transmit() || !state.machine.is_quiet() {
            return None;
        }
        // A stream of the caller's own may need a runtime, which a thread of the caller's own has not.
        Handle::try_current().ok()?;
        let id = state.machine.primary_path()?;
        let path = state.path_mut(id)?;
        let mut writer = path.idle.take()?;
        if state.fill(id, &mut writer, now) {
            shared.tell_room(state);
            return Some(Self { id, writer });
        }
        if let Some(path) = state.path_mut(id) {
            path.idle = Some(writer);
        }
        None
    }

    /// Tries once, without the lock, and leaves the rest to the task.
    pub(super) fn write<A: App>(self, shared: &Shared<A>) {
        let Self { id, mut writer } = self;
        let is_written = try_flush(&mut writer);
        let mut state = shared.lock();
        let is_more = state.machine.has_transmit();
        if let Some(path) = state.path_mut(id) {
            if !is_written || is_more || !path.waiting.is_empty() || path.closing.is_cancelled() {
                path.wake.notify_one();
            }
            path.is_dirty |= !is_written;
            path.idle = Some(writer);
        }
    }
}

/// Says whether all is written. A stream of the caller's own may panic: then the task has to learn of it, as it waits for
/// the writer to come back.
fn try_flush(writer: &mut Writer) -> bool {
    let flush = || pin!(writer.flush()).poll(&mut Context::from_waker(Waker::noop()));
    match catch_unwind(AssertUnwindSafe(flush)) {
        Ok(flushed) => matches!(flushed, Poll::Ready(Ok(()))) && writer.has_room(),
        Err(_) => {
            tracing::error!("a link has panicked while it was written: it is given up");
            *writer = Writer::broken();
            false
        }
    }
}

#[cfg(test)]
mod tests;
