//! The task of one endpoint: takes requests off its subscription, runs them up to the concurrency limit, keeps what must
//! wait within the pending limits and refuses the rest. spec: nats-micro 9, 14.1
//!
//! Handlers run inside this task: a task per request would cost two to four times as much per request.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_nats::Message;
use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;

use super::call::Call;
use super::core::EndpointCore;
use super::pending::Pending;
use crate::handler::BoxFuture;
use crate::request::Request;
use crate::response::Response;
use crate::service_error::ServiceError;
use crate::transport::{Subscription, is_fence};

/// Why an endpoint's task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PumpEnd {
    /// It was told to, and everything was answered.
    Drained,
    /// It was told to, and what was not done by then was cut off.
    CutOff,
    /// The connection is closed.
    ConnectionClosed,
}

/// When to stop, for all endpoints of a service or for one: `None` as long as there is no stop, then its deadline.
pub(crate) type StopAt = watch::Receiver<Option<tokio::time::Instant>>;

pub(crate) struct Pump {
    pub(super) core: Arc<EndpointCore>,
    pub(super) subscription: Subscription,
    /// Messages taken off the subscription since its beginning.
    pub(super) received: u64,
    /// The subscription has ended.
    pub(super) closed: bool,
    pub(super) running: FuturesUnordered<Running>,
    pub(super) pending: Pending,
    /// What to do when the pending limits are reached for the first time, besides the refusal.
    on_overflow: Option<OnOverflow>,
    /// What the counters were last told: requests that run, and that wait.
    shown_load: (usize, usize),
    /// A refusal, or the answer to a fence, on its way. While there is one no further message is read, so that they cannot
    /// pile up.
    pub(super) refusing: Option<Refusal>,
}

pub(crate) type OnOverflow = Box<dyn FnOnce() + Send>;

pub(super) type Refusal = BoxFuture<()>;

/// A request that was not done at its first poll.
pub(super) struct Running {
    call: Arc<Call>,
    future: BoxFuture<()>,
}

impl Future for Running {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.future.poll_unpin(cx)
    }
}

impl Pump {
    pub(crate) fn new(
        core: Arc<EndpointCore>,
        subscription: Subscription,
        on_overflow: Option<OnOverflow>,
    ) -> Self {
        Self {
            pending: Pending::new(core.limits),
            core,
            subscription,
            received: 0,
            closed: false,
            running: FuturesUnordered::new(),
            on_overflow,
            shown_load: (0, 0),
            refusing: None,
        }
    }

    /// Serves until it is told to stop, then drains.
    pub(crate) async fn run(mut self, mut stop: StopAt) -> PumpEnd {
        let deadline = {
            let told = stop.wait_for(Option::is_some);
            tokio::pin!(told);
            self.serve_until(|pump, cx| {
                if pump.closed {
                    return Poll::Ready(None);
                }
                // A stop that nobody can announce any more is due now.
                told.as_mut()
                    .poll(cx)
                    .map(|told| told.map_or_else(|_| Some(tokio::time::Instant::now()), |at| *at))
            })
            .await
        };
        match deadline {
            Some(deadline) => self.drain_by(deadline).await,
            None => {
                self.finish().await;
                PumpEnd::ConnectionClosed
            }
        }
    }

    /// What runs and waits is brought to its end.
    pub(super) async fn finish(&mut self) {
        self.serve_until(|pump, _| {
            if pump.is_idle() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty() && self.pending.is_empty() && self.refusing.is_none()
    }

    /// Works until the condition is met. It is asked after each round of work.
    pub(super) async fn serve_until<T>(
        &mut self,
        mut condition: impl FnMut(&Self, &mut Context<'_>) -> Poll<T>,
    ) -> T {
        poll_fn(|cx| {
            loop {
                let progressed = self.work(cx);
                self.show_load();
                if let Poll::Ready(met) = condition(self, cx) {
                    return Poll::Ready(met);
                }
                if !progressed {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// One round: what has ended makes room for what waits, then new requests are taken. Whether anything happened that
    /// may allow more; if not, everything that can happen will wake this task.
    fn work(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progressed = false;
        while let Poll::Ready(Some(())) = self.running.poll_next_unpin(cx) {
            progressed = true;
        }
        progressed |= self.start_pending(cx);
        if let Some(refusal) = &mut self.refusing {
            if refusal.poll_unpin(cx).is_pending() {
                return progressed;
            }
            self.refusing = None;
            progressed = true;
        }
        while !self.closed && self.refusing.is_none() {
            match self.subscription.poll_next_unpin(cx) {
                Poll::Ready(Some(message)) => self.take(message, cx),
                Poll::Ready(None) => {
                    self.closed = true;
                    progressed = true;
                }
                Poll::Pending => return progressed,
            }
        }
        // A refusal was begun; it is polled in the next round.
        progressed || self.refusing.is_some()
    }

    /// Takes a message off the subscription: starts it, keeps it, or refuses it.
    pub(super) fn take(&mut self, message: Message, cx: &mut Context<'_>) {
        self.received += 1;
        if is_fence(&message.subject) {
            return self.answer_fence(message);
        }
        if self.pending.is_empty() && self.running.len() < self.core.concurrency {
            return self.start(message, cx);
        }
        if self.pending.has_room_for(&message) {
            self.pending.push(message);
        } else {
            self.refuse(message);
        }
    }

    fn start_pending(&mut self, cx: &mut Context<'_>) -> bool {
        let mut started = false;
        while self.running.len() < self.core.concurrency {
            let Some((message, since)) = self.pending.pop() else {
                break;
            };
            self.core.counters.waited(since.elapsed());
            self.start(message, cx);
            started = true;
        }
        started
    }

    /// Most handlers end at their first poll, and never come to the set of those that run.
    fn start(&mut self, message: Message, cx: &mut Context<'_>) {
        let call = Call::new(Arc::clone(&self.core), message);
        let request = Request::new(Arc::clone(&call));
        let mut future = self.core.handler.serve(request);
        if future.poll_unpin(cx).is_pending() {
            self.running.push(Running { call, future });
        }
    }

    /// Tells the counters what runs and waits, if that has changed.
    fn show_load(&mut self) {
        let load = (self.running.len(), self.pending.len());
        if load != self.shown_load {
            self.shown_load = load;
            self.core.counters.set_load(load.0, load.1);
        }
    }

    /// A round trip to the broker that a wildcard subscription got: it is no request.
    fn answer_fence(&mut self, fence: Message) {
        let transport = self.core.transport.clone();
        self.refusing = fence.reply.map(|reply| -> Refusal {
            Box::pin(async move {
                // A closed connection has nobody who waits.
                let _ = transport.publish(reply, Bytes::new(), None).await;
            })
        });
    }

    fn refuse(&mut self, message: Message) {
        self.core.counters.rejected();
        if let Some(on_overflow) = self.on_overflow.take() {
            on_overflow();
        }
        let call = Call::new(Arc::clone(&self.core), message);
        self.refusing = Some(Box::pin(async move { answer_unavailable(&call).await }));
    }

    /// Ends what runs and answers it, and what waits, with 503.
    pub(super) async fn cut_off(&mut self) {
        let running: Vec<_> = std::mem::take(&mut self.running).into_iter().collect();
        let mut calls: Vec<_> = running
            .iter()
            .map(|running| Arc::clone(&running.call))
            .collect();
        while let Some((message, since)) = self.pending.pop() {
            self.core.counters.waited(since.elapsed());
            calls.push(Call::new(Arc::clone(&self.core), message));
        }
        self.show_load();
        for call in calls {
            if call.cut_off() {
                answer_unavailable(&call).await;
            }
        }
        for running in running {
            // What the user's future does when it is dropped must not keep the others from their end.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(running)));
        }
    }
}

async fn answer_unavailable(call: &Call) {
    // A closed connection has no caller to tell.
    let _ = call
        .publish(Response::Error(ServiceError::unavailable()))
        .await;
}
