//! Who waits for a frame.

use std::task::{Context, Waker};

/// Who waits, among those who wait for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WaiterId(u64);

/// Those who wait for the same. All of them are woken at once: one, almost always.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    list: Vec<(WaiterId, Waker)>,
}

/// Gives out ids that no waiter has had.
#[derive(Debug, Default)]
pub(super) struct WaiterIds(u64);

impl Waiters {
    /// Once for each waiter, however often it is called.
    pub(super) fn wait(
        &mut self,
        id: &mut Option<WaiterId>,
        context: &Context<'_>,
        ids: &mut WaiterIds,
    ) {
        let waker = context.waker();
        let known = self.list.iter_mut().find(|(known, _)| Some(*known) == *id);
        if let Some((_, known)) = known {
            known.clone_from(waker);
            return;
        }
        ids.0 += 1;
        let new = WaiterId(ids.0);
        *id = Some(new);
        self.list.push((new, waker.clone()));
    }

    pub(super) fn leave(&mut self, id: WaiterId) {
        self.list.retain(|(known, _)| *known != id);
    }

    pub(super) fn wake(&mut self) {
        for (_, waker) in self.list.drain(..) {
            waker.wake();
        }
    }
}
