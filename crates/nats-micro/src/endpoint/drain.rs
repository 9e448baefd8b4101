//! Leaving without losing a request. spec: nats-micro 8
//!
//! The client library forgets a subscription as soon as it has *sent* the unsubscription, instead of when the broker has
//! answered; what the broker delivers in between is lost. An unsubscription *with a maximum* has no such gap, because
//! broker and client count the same messages and both end at the same one. So: set the maximum a little further on than
//! anything that can be on its way, and go on serving until it is reached.
//!
//! Where too few requests come to reach it, unsubscribe at a quiet moment: several round trips to the broker without a
//! message in between, and many times as long as one of them takes. What remains is that two requests come within the
//! one round trip that follows: one alone is still read, as long as nothing else is sent meanwhile, which
//! [`EndpointCore::quiet`] sees to within a service.
//!
//! [`EndpointCore::quiet`]: super::core::EndpointCore

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::pump::{Pump, PumpEnd};

/// What may be on its way to one endpoint between the client's reading and the broker's: at least this many messages, twice
/// as many as run and wait (their callers may ask again), and this many times what came during one round trip.
const ON_ITS_WAY_MESSAGES: u64 = 256;
const ON_ITS_WAY_ROUND_TRIPS: u64 = 4;

/// A quiet moment is at least this long...
const QUIET: Duration = Duration::from_millis(15);

/// ... and this many round trips to the broker, whose length tells how busy everything is.
const QUIET_ROUND_TRIPS: u32 = 20;

/// ... and nothing came in so many looks, each a pause and a round trip: where the machine stands still for a moment, time
/// alone says nothing, as nobody could send either, and all do so at once afterwards.
const QUIET_LOOKS: u32 = 5;

/// Between one round trip and the next.
const ROUND_TRIP_PAUSE: Duration = Duration::from_millis(3);

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
        let _ = timeout(CUT_OFF, self.cut_off_all()).await;
        PumpEnd::CutOff
    }

    /// Ends what runs and waits, and what still comes until the subscription has ended.
    async fn cut_off_all(&mut self) {
        self.subscription.drain().await;
        loop {
            let next = tokio::task::unconstrained(self.subscription.next()).now_or_never();
            match next {
                Some(Some(message)) => self.pending.push(message),
                // All that has arrived so far.
                None => {
                    self.cut_off().await;
                    let Some(message) = self.subscription.next().await else {
                        return;
                    };
                    self.pending.push(message);
                }
                Some(None) => {
                    self.cut_off().await;
                    return;
                }
            }
        }
    }

    async fn drain(&mut self) {
        // A broken connection delivers nothing; when it comes back, this subscription is not renewed.
        if self.core.transport.is_connected() && !self.closed {
            self.end_subscription().await;
        }
        self.finish().await;
    }

    async fn end_subscription(&mut self) {
        let before = self.received;
        self.serve_for_a_round_trip().await;
        self.read_ahead().await;
        let on_its_way = ON_ITS_WAY_MESSAGES
            .max(2 * (self.running.len() + self.pending.len()) as u64)
            .max(ON_ITS_WAY_ROUND_TRIPS * (self.received - before));
        let counted = self
            .subscription
            .end_after(self.received + on_its_way)
            .await;
        let patience = (!counted).then_some(QUIET_PATIENCE);
        self.serve_until_quiet(patience).await;
        if !self.closed {
            let quiet = Arc::clone(&self.core.quiet);
            let _nothing_else_is_sent = quiet.lock().await;
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

    /// Serves until the subscription has ended, there is a quiet moment, or patience has run out.
    async fn serve_until_quiet(&mut self, patience: Option<Duration>) {
        let give_up = patience.map(|patience| Instant::now() + patience);
        let mut quiet = Quiet::from(Instant::now());
        loop {
            let received = self.received;
            let round_trip = self.serve_for_a_round_trip().await;
            let now = Instant::now();
            if self.closed || give_up.is_some_and(|at| now >= at) {
                return;
            }
            if self.received != received {
                quiet = Quiet::from(now);
            } else if quiet.is_enough(now, round_trip) {
                return;
            }
        }
    }

    /// How long the round trip took.
    async fn serve_for_a_round_trip(&mut self) -> Duration {
        let transport = self.core.transport.clone();
        let quiet = Arc::clone(&self.core.quiet);
        let round_trip = async move {
            sleep(ROUND_TRIP_PAUSE).await;
            let _one_at_a_time = quiet.lock().await;
            let began = Instant::now();
            // A closed connection ends the subscription.
            let _ = transport.fence().await;
            began.elapsed()
        };
        tokio::pin!(round_trip);
        self.serve_until(|pump, cx| {
            if pump.closed {
                return Poll::Ready(Duration::ZERO);
            }
            round_trip.as_mut().poll(cx)
        })
        .await
    }
}

/// How long nothing has come.
struct Quiet {
    since: Instant,
    looks: u32,
}

impl Quiet {
    const fn from(now: Instant) -> Self {
        Self {
            since: now,
            looks: 0,
        }
    }

    /// Whether this is a quiet moment, after one more look at which nothing had come.
    fn is_enough(&mut self, now: Instant, round_trip: Duration) -> bool {
        self.looks += 1;
        let time = QUIET.max(QUIET_ROUND_TRIPS * round_trip);
        self.looks >= QUIET_LOOKS && now - self.since >= time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_micros(100);

    #[test]
    fn a_quiet_moment_is_long_beside_a_round_trip() {
        let began = Instant::now();
        let mut quiet = Quiet::from(began);
        let long = QUIET / 4;
        for look in 1..=QUIET_ROUND_TRIPS {
            assert!(!quiet.is_enough(began + long * (look - 1), long));
        }
        assert!(quiet.is_enough(began + long * QUIET_ROUND_TRIPS, long));
    }

    #[test]
    fn a_machine_that_stands_still_is_not_quiet() {
        let began = Instant::now();
        let mut quiet = Quiet::from(began);
        let after = began + 10 * QUIET;
        for _ in 1..QUIET_LOOKS {
            assert!(!quiet.is_enough(after, SHORT));
        }
        assert!(quiet.is_enough(after, SHORT));
    }
}
