//! Leaving without losing a request. spec: nats-micro 8
//!
//! The client library forgets a subscription as soon as it has *sent* the unsubscription; what the broker delivers until
//! it has read that is lost. An unsubscription *with a maximum* has no such gap, because broker and client count the
//! same messages and both end at the same one. So: set the maximum a little further on than anything that can be on its
//! way, and go on serving until it is reached. Where too few requests come to reach it, wait for a quiet moment and
//! unsubscribe then.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::pump::{Pump, PumpEnd};

/// More than can be on its way to one endpoint between the client's reading and the broker's.
const IN_FLIGHT_MESSAGES: u64 = 256;

/// Without a message for so long, nothing is on its way on this machine's or a near network.
const QUIET: Duration = Duration::from_millis(15);

/// How long to look for a quiet moment where the maximum cannot be used, after a reconnect.
const QUIET_PATIENCE: Duration = Duration::from_millis(500);

/// How long answers that say "cut off" may take, beyond the deadline.
const CUT_OFF: Duration = Duration::from_secs(1);

impl Pump {
    pub(super) async fn drain_by(mut self, deadline: Instant) -> PumpEnd {
        let drained = tokio::select! {
            biased;
            () = self.drain() => true,
            () = sleep_until(deadline) => false,
        };
        if drained {
            return PumpEnd::Drained;
        }
        // Ends the subscription too, in case it has not.
        let _ = timeout(CUT_OFF, self.cut_off()).await;
        PumpEnd::CutOff
    }

    async fn drain(&mut self) {
        // A broken connection delivers nothing; when it comes back, this subscription is not renewed.
        if self.core.transport.is_connected() && !self.closed {
            self.end_subscription().await;
        }
        self.finish().await;
    }

    async fn end_subscription(&mut self) {
        self.read_ahead().await;
        let on_its_way = IN_FLIGHT_MESSAGES.max(2 * self.core.concurrency as u64);
        let counted = self
            .subscription
            .end_after(self.received + on_its_way)
            .await;
        let patience = (!counted).then_some(QUIET_PATIENCE);
        self.serve_until_quiet(patience).await;
        if !self.closed {
            self.subscription.drain().await;
            self.serve_until(|pump, _| {
                if pump.closed {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        }
    }

    /// Takes what has arrived here already, so that it is in the count.
    async fn read_ahead(&mut self) {
        while !self.closed && tokio::task::unconstrained(self.read_one()).await {
            if let Some(refusal) = self.refusing.take() {
                refusal.await;
            }
        }
    }

    /// Whether there was a message.
    fn read_one(&mut self) -> impl Future<Output = bool> {
        poll_fn(|cx| {
            let next = self.subscription.poll_next_unpin(cx);
            if let Poll::Ready(Some(message)) = next {
                self.take(message, cx);
                return Poll::Ready(true);
            }
            self.closed |= next.is_ready();
            Poll::Ready(false)
        })
    }

    /// Serves until the subscription has ended, no message has come for a while, or patience has run out.
    async fn serve_until_quiet(&mut self, patience: Option<Duration>) {
        let give_up = patience.map(|patience| Instant::now() + patience);
        let quiet = sleep(QUIET);
        tokio::pin!(quiet);
        let mut seen = self.received;
        self.serve_until(|pump, cx| {
            if pump.closed {
                return Poll::Ready(());
            }
            if pump.received != seen {
                seen = pump.received;
                if give_up.is_some_and(|at| Instant::now() >= at) {
                    return Poll::Ready(());
                }
                quiet.as_mut().reset(Instant::now() + QUIET);
            }
            quiet.as_mut().poll(cx)
        })
        .await;
    }
}
