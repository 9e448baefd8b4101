//! What comes of frames, received by frame or as it comes. spec: nnrp-session 3.2 to 3.4, 12.5

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use nnrp_wire::session::FrameKey;

use super::error::{ReceiveError, SessionEnd};
use super::frame::FrameItem;
use super::inbox::CallEnd;
use super::session::Session;
use super::waiters::WaiterId;

impl Session {
    /// The next item of a frame that was submitted: results and hints in the order they came in, then the end.
    ///
    /// From the first call on the frame is its receiver's, and [`Self::next`] gives nothing of it. What is not received
    /// stays and counts against [`InboxLimits`](super::InboxLimits), so go on to the end; or [`Self::forget`] it.
    ///
    /// If this is dropped, nothing is lost: what comes is there for the next call.
    ///
    /// # Errors
    /// If the frame was not submitted, or its end was received, or a [call](Self::call) waits for it.
    pub async fn receive(&self, key: FrameKey) -> Result<FrameItem, ReceiveError> {
        let mut waiting = Waiting::new(self, key);
        poll_fn(|context| waiting.poll_item(context)).await
    }

    /// A frame's items as a stream, to its end. As with [`Self::receive`], the frame is the stream's from now on.
    #[must_use]
    pub fn stream(&self, key: FrameKey) -> FrameStream {
        self.core().inbox.claim(key);
        FrameStream::new(self.clone(), key)
    }

    /// The next item of any frame that nobody receives by itself, in the order they came in. Several may wait; each item
    /// goes to one of them.
    ///
    /// If this is dropped, nothing is lost.
    ///
    /// # Errors
    /// How the session ended, once everything was received.
    pub async fn next(&self) -> Result<(FrameKey, FrameItem), SessionEnd> {
        let core = self.core();
        core.inbox.next().await.map(|taken| core.received(taken))
    }

    /// As [`Self::next`], if there is something now.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn try_next(&self) -> Result<Option<(FrameKey, FrameItem)>, SessionEnd> {
        let core = self.core();
        let next = core.inbox.try_next().transpose()?;
        Ok(next.map(|taken| core.received(taken)))
    }

    /// Nobody wants this frame any more: as [`Self::cancel`], and what has come of it, its end included, cannot be received.
    pub fn forget(&self, key: FrameKey) {
        self.core().forget(key);
    }
}

/// The items of a frame, to its end. [`Session::stream`] and [`Session::submit_stream`] make it.
///
/// If it is dropped before the end, the frame goes on, and [`Session::next`] gives what comes of it; unless
/// [`Self::cancelling_on_drop`] says otherwise.
#[derive(Debug)]
pub struct FrameStream {
    session: Session,
    key: FrameKey,
    waiter: Option<WaiterId>,
    cancels: bool,
    is_over: bool,
}

impl FrameStream {
    pub(super) const fn new(session: Session, key: FrameKey) -> Self {
        Self {
            session,
            key,
            waiter: None,
            cancels: false,
            is_over: false,
        }
    }

    /// The same; dropped before the end, it cancels the frame, and nothing of it can be received any more.
    #[must_use]
    pub const fn cancelling_on_drop(mut self) -> Self {
        self.cancels = true;
        self
    }

    /// Which frame's.
    #[must_use]
    pub const fn key(&self) -> FrameKey {
        self.key
    }
}

impl Stream for FrameStream {
    type Item = FrameItem;

    /// `None` follows the end; or comes at once, if there is no such frame.
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<FrameItem>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let this = &mut *self;
        let core = this.session.core();
        let next = ready!(core.inbox.poll_item(this.key, &mut this.waiter, context));
        let item = next.ok().map(|taken| core.received(taken));
        this.is_over = matches!(item, None | Some(FrameItem::End(_)));
        Poll::Ready(item)
    }
}

impl Drop for FrameStream {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let core = self.session.core();
        if self.cancels {
            core.forget(self.key);
        } else {
            if let Some(waiter) = self.waiter {
                core.inbox.leave(self.key, waiter);
            }
            core.inbox.unclaim(self.key);
        }
    }
}

/// Somebody who waits for a frame, and leaves no trace when he does not any more.
struct Waiting<'s> {
    session: &'s Session,
    key: FrameKey,
    waiter: Option<WaiterId>,
}

impl<'s> Waiting<'s> {
    const fn new(session: &'s Session, key: FrameKey) -> Self {
        Self {
            session,
            key,
            waiter: None,
        }
    }

    fn poll_item(&mut self, context: &Context<'_>) -> Poll<Result<FrameItem, ReceiveError>> {
        let core = self.session.core();
        let next = ready!(core.inbox.poll_item(self.key, &mut self.waiter, context));
        Poll::Ready(next.map(|taken| core.received(taken)))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            self.session.core().inbox.leave(self.key, waiter);
        }
    }
}

/// The end of a frame that was submitted by a call. Dropped before, it cancels the frame.
pub(super) struct CallEnded<'s> {
    session: &'s Session,
    key: FrameKey,
    waiter: Option<WaiterId>,
    is_over: bool,
}

impl<'s> CallEnded<'s> {
    pub(super) const fn new(session: &'s Session, key: FrameKey) -> Self {
        Self {
            session,
            key,
            waiter: None,
            is_over: false,
        }
    }
}

impl Future for CallEnded<'_> {
    type Output = Result<CallEnd, ReceiveError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let core = this.session.core();
        let end = ready!(core.inbox.poll_call(this.key, &mut this.waiter, context));
        this.is_over = true;
        Poll::Ready(end.map(|taken| core.received(taken)))
    }
}

impl Drop for CallEnded<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.session.core().forget(self.key);
        }
    }
}
