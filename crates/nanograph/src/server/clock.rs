//! When a silent or stalled client is given up on.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use super::options::{KeepAlive, ServerOptions};

/// How often a connection without keep-alive and without a backlog looks at the time.
const NOTHING_DUE: Duration = Duration::from_secs(3600);

/// The deadlines of one connection. The timer may ring too early, never too late.
#[derive(Debug)]
pub(super) struct Clock {
    keep_alive: Option<KeepAlive>,
    stall_timeout: Duration,
    timer: Pin<Box<Sleep>>,
    heard_at: Instant,
    pinged_at: Option<Instant>,
    backlog: Option<Backlog>,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// To ask whether the client is there.
    Ping,
    /// To give up: it did not answer.
    Silent,
    /// To give up: it takes nothing of what waits for it.
    Stalled,
}

/// Since when the client has taken nothing.
#[derive(Debug)]
struct Backlog {
    since: Instant,
    written_bytes: u64,
}

impl Clock {
    pub(super) fn new(options: &ServerOptions) -> Self {
        let idle = options
            .keep_alive
            .map_or(NOTHING_DUE, |keep_alive| keep_alive.idle);
        Self {
            keep_alive: options.keep_alive,
            stall_timeout: options.limits.stall_timeout,
            timer: Box::pin(sleep(idle)),
            heard_at: Instant::now(),
            pinged_at: None,
            backlog: None,
        }
    }

    /// Something was received, or nothing is read on purpose.
    pub(super) fn heard(&mut self) {
        self.heard_at = Instant::now();
        if let (Some(_), Some(keep_alive)) = (self.pinged_at.take(), self.keep_alive) {
            self.ring_by(self.heard_at + keep_alive.idle);
        }
    }

    /// Whether something waits for the client, and how many bytes it took so far.
    pub(super) fn blocked(&mut self, blocked: bool, written_bytes: u64) {
        match &self.backlog {
            _ if !blocked => self.backlog = None,
            Some(backlog) if backlog.written_bytes == written_bytes => {}
            _ => {
                let since = Instant::now();
                self.backlog = Some(Backlog {
                    since,
                    written_bytes,
                });
                self.ring_by(since + self.stall_timeout);
            }
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            let due = self.due(now);
            let next = self.next_deadline(now);
            self.timer.as_mut().reset(next);
            if let Some(due) = due {
                return Poll::Ready(due);
            }
        }
    }

    fn due(&mut self, now: Instant) -> Option<Due> {
        if self.stalls_at().is_some_and(|at| at <= now) {
            return Some(Due::Stalled);
        }
        let keep_alive = self.keep_alive?;
        match self.pinged_at {
            Some(pinged_at) => (pinged_at + keep_alive.timeout <= now).then_some(Due::Silent),
            None if self.heard_at + keep_alive.idle <= now => {
                self.pinged_at = Some(now);
                Some(Due::Ping)
            }
            None => None,
        }
    }

    fn next_deadline(&self, now: Instant) -> Instant {
        let keep_alive = self.keep_alive.map(|keep_alive| match self.pinged_at {
            Some(pinged_at) => pinged_at + keep_alive.timeout,
            None => self.heard_at + keep_alive.idle,
        });
        let deadlines = [Some(now + NOTHING_DUE), keep_alive, self.stalls_at()];
        deadlines.into_iter().flatten().min().unwrap_or(now)
    }

    fn stalls_at(&self) -> Option<Instant> {
        self.backlog
            .as_ref()
            .map(|backlog| backlog.since + self.stall_timeout)
    }

    fn ring_by(&mut self, deadline: Instant) {
        if self.timer.deadline() > deadline {
            self.timer.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::server::Identity;

    fn clock() -> Clock {
        Clock::new(&ServerOptions::new(Identity::new("s", "p")))
    }

    async fn next(clock: &mut Clock) -> Due {
        poll_fn(|cx| clock.poll(cx)).await
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_met_with_a_ping_and_then_given_up_on() {
        let (mut clock, start) = (clock(), Instant::now());
        assert_eq!(next(&mut clock).await, Due::Ping);
        assert_eq!(start.elapsed().as_secs_f64().round(), 25.0);
        assert_eq!(next(&mut clock).await, Due::Silent);
        assert_eq!(start.elapsed().as_millis() / 100, 375);
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_is_heard_starts_the_silence_again() {
        let (mut clock, start) = (clock(), Instant::now());
        tokio::time::advance(Duration::from_secs(20)).await;
        clock.heard();
        assert_eq!(next(&mut clock).await, Due::Ping);
        assert_eq!(start.elapsed().as_secs(), 45);
        clock.heard();
        assert_eq!(next(&mut clock).await, Due::Ping);
        assert_eq!(start.elapsed().as_secs(), 70);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answered_ping_does_not_delay_the_next() {
        let (mut clock, start) = (clock(), Instant::now());
        clock.keep_alive = Some(KeepAlive {
            idle: Duration::from_secs(1),
            timeout: Duration::from_secs(60),
        });
        clock.ring_by(start + Duration::from_secs(1));
        for seconds in 1..=3 {
            assert_eq!(next(&mut clock).await, Due::Ping);
            assert_eq!(start.elapsed().as_secs(), seconds);
            clock.heard();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up_on_and_a_slow_one_is_not() {
        let (mut clock, start) = (clock(), Instant::now());
        clock.keep_alive = None;
        clock.blocked(true, 10);
        tokio::time::advance(Duration::from_secs(100)).await;
        clock.blocked(true, 11);
        tokio::time::advance(Duration::from_secs(100)).await;
        clock.blocked(true, 11);
        assert_eq!(next(&mut clock).await, Due::Stalled);
        assert_eq!(start.elapsed().as_secs(), 220);
    }
}
