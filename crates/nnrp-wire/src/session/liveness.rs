//! Whether the other side is still there. spec: nnrp-session 2.5, 4.2

use std::time::Duration;

/// When to ask, and when to give up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LivenessOptions {
    /// Nothing received for so long ends the connection; `None` is never.
    pub idle_timeout: Option<Duration>,
    /// Something is sent when nothing was for so long; `None` is never.
    pub keep_alive: Option<Duration>,
    /// So many PINGs in a row without a PONG end the connection; but only if there ever was one, as the reference never
    /// answers.
    pub missed_pongs_max: u32,
}

impl Default for LivenessOptions {
    /// 120 s, no keep-alive, 3 PINGs.
    fn default() -> Self {
        Self {
            idle_timeout: Some(Duration::from_secs(120)),
            keep_alive: None,
            missed_pongs_max: 3,
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LivenessAction {
    KeepAlive,
    IdleTimeout,
    MissedPongs,
}

#[derive(Debug)]
pub(super) struct Liveness {
    options: LivenessOptions,
    received_at: Duration,
    sent_at: Duration,
    /// When the last PING went out that has not been answered, and by which trace id.
    ping: Option<(u64, Duration)>,
    unanswered: u32,
    ever_answered: bool,
}

impl Liveness {
    pub(super) const fn new(options: LivenessOptions, now: Duration) -> Self {
        Self {
            options,
            received_at: now,
            sent_at: now,
            ping: None,
            unanswered: 0,
            ever_answered: false,
        }
    }

    pub(super) fn received(&mut self, now: Duration) {
        self.received_at = now;
    }

    /// What comes is not looked at: it is not the other side that is silent.
    pub(super) const fn excused(&mut self, now: Duration) {
        self.received_at = now;
        self.unanswered = 0;
    }

    pub(super) fn sent(&mut self, now: Duration) {
        self.sent_at = now;
    }

    pub(super) fn pinged(&mut self, trace_id: u64, now: Duration) {
        self.ping = Some((trace_id, now));
        self.unanswered = self.unanswered.saturating_add(1);
    }

    /// The time there and back, if this answers the last PING.
    pub(super) fn ponged(&mut self, trace_id: u64, now: Duration) -> Option<Duration> {
        let (_, at) = self.ping.take_if(|(asked, _)| *asked == trace_id)?;
        self.unanswered = 0;
        self.ever_answered = true;
        Some(now.saturating_sub(at))
    }

    pub(super) fn due(&self, now: Duration) -> Option<LivenessAction> {
        if self.idle_at().is_some_and(|at| at <= now) {
            return Some(LivenessAction::IdleTimeout);
        }
        if self.keep_alive_at().is_none_or(|at| at > now) {
            return None;
        }
        if self.ever_answered && self.unanswered >= self.options.missed_pongs_max {
            return Some(LivenessAction::MissedPongs);
        }
        Some(LivenessAction::KeepAlive)
    }

    pub(super) fn next_timeout(&self) -> Option<Duration> {
        self.idle_at().into_iter().chain(self.keep_alive_at()).min()
    }

    fn idle_at(&self) -> Option<Duration> {
        let timeout = self.options.idle_timeout?;
        Some(self.received_at.saturating_add(timeout))
    }

    fn keep_alive_at(&self) -> Option<Duration> {
        // An interval of nothing would never end.
        let interval = self.options.keep_alive?.max(Duration::from_millis(1));
        Some(self.sent_at.saturating_add(interval))
    }
}
