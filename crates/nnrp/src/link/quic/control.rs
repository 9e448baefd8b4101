//! Which stream is the control stream. spec: nnrp-session 1.4, receiver rule 1

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use quinn::{RecvStream, SendStream};

/// The first bidirectional stream that either side opens: the reader learns of the other side's, the writer opens ours.
#[derive(Debug, Default)]
pub(super) struct ControlSlot(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    is_known: bool,
    is_known_there: bool,
    /// For the writer, if the other side has opened it.
    send: Option<SendStream>,
    /// For the reader, if we have.
    recv: Option<RecvStream>,
    reader: Option<Waker>,
}

impl ControlSlot {
    /// The other side has opened a bidirectional stream; says whether it is the first. Only then, and if we have none, is
    /// its sending half used.
    pub(super) fn opened_there(&self, send: SendStream) -> bool {
        let mut state = self.lock();
        let is_first = !std::mem::replace(&mut state.is_known_there, true);
        if !state.is_known {
            state.is_known = true;
            state.send = Some(send);
        }
        is_first
    }

    /// The sending half, if the other side has opened the control stream.
    pub(super) fn take_send(&self) -> Option<SendStream> {
        self.lock().send.take()
    }

    /// We have opened one. Each side writes on its own if both do at the same time.
    pub(super) fn opened_here(&self, recv: RecvStream) {
        let mut state = self.lock();
        state.is_known = true;
        state.recv = Some(recv);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// The receiving half, once we have opened the control stream.
    pub(super) fn poll_recv(&self, context: &Context<'_>) -> Poll<RecvStream> {
        let mut state = self.lock();
        if let Some(recv) = state.recv.take() {
            return Poll::Ready(recv);
        }
        state.reader = Some(context.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
