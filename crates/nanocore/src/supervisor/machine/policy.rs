//! When a server that failed is started again.

use std::time::Duration;

/// When to start again, and when to give up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RestartPolicy {
    /// The wait after the first failure; 0.5 s. It doubles with each further one.
    pub backoff_min: Duration,
    /// The longest wait; 30 s. Each is up to a fifth longer or shorter.
    pub backoff_max: Duration,
    /// Failures within the window after which a server is given up; 10.
    pub failures_max: u32,
    /// The window; 5 minutes.
    pub failures_window: Duration,
    /// After so long in `ready`, earlier failures are forgotten; 60 s.
    pub steady_after: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            backoff_min: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            failures_max: 10,
            failures_window: Duration::from_secs(5 * 60),
            steady_after: Duration::from_secs(60),
        }
    }
}

/// The wait after so many failures in a row: doubled each time, with a fifth of jitter either way.
pub(super) fn backoff(policy: &RestartPolicy, failures: u32, jitter: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let wait = policy
        .backoff_min
        .saturating_mul(1 << doublings)
        .min(policy.backoff_max);
    wait.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0))
}
