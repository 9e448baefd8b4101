//! How a node is to be executed: retries, time limits, what its failure means. spec: nanograph 16.2

use std::time::Duration;

/// The longest time that can be set.
pub(crate) const MAX_TIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// Settings of one node (`nodes[].exec`), or of a whole run; what is `None` is inherited.
///
/// In files, times are numbers of seconds. Files with times over 30 days are refused; here they count as 30 days.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exec {
    /// Further attempts after an error of the node.
    pub retries: Option<u32>,
    /// Wait before the first further attempt.
    pub retry_delay: Option<Duration>,
    /// Factor from one wait to the next, in thousandths, so that settings can be compared.
    pub retry_backoff_milli: Option<u32>,
    /// The longest wait before a further attempt.
    pub retry_max_delay: Option<Duration>,
    /// Limit of one attempt, from dispatch.
    pub timeout: Option<Duration>,
    /// Limit between two statuses.
    pub idle_timeout: Option<Duration>,
    /// Limit until the first status, while the server does nothing else.
    pub start_timeout: Option<Duration>,
    /// What the failure of the node means for the others.
    pub on_error: Option<OnError>,
    /// Whether results may be reused.
    pub cache: Option<CacheMode>,
    /// Whether the node may be executed again after its server was lost.
    pub idempotent: Option<bool>,
}

impl Exec {
    /// The same, with no time over the limit, so that each can be added to the clock.
    pub(crate) fn limited(self) -> Self {
        let limited = |time: Option<Duration>| time.map(|time| time.min(MAX_TIME));
        Self {
            retry_delay: limited(self.retry_delay),
            retry_max_delay: limited(self.retry_max_delay),
            timeout: limited(self.timeout),
            idle_timeout: limited(self.idle_timeout),
            start_timeout: limited(self.start_timeout),
            ..self
        }
    }

    /// These settings, and where they say nothing, `defaults`.
    #[must_use]
    pub fn or(&self, defaults: &Self) -> Self {
        Self {
            retries: self.retries.or(defaults.retries),
            retry_delay: self.retry_delay.or(defaults.retry_delay),
            retry_backoff_milli: self.retry_backoff_milli.or(defaults.retry_backoff_milli),
            retry_max_delay: self.retry_max_delay.or(defaults.retry_max_delay),
            timeout: self.timeout.or(defaults.timeout),
            idle_timeout: self.idle_timeout.or(defaults.idle_timeout),
            start_timeout: self.start_timeout.or(defaults.start_timeout),
            on_error: self.on_error.or(defaults.on_error),
            cache: self.cache.or(defaults.cache),
            idempotent: self.idempotent.or(defaults.idempotent),
        }
    }
}

/// What the final failure of a node means for the others. spec: nanograph 16.3
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnError {
    /// Nothing new is dispatched; what runs may finish.
    #[default]
    Stop,
    /// As `Stop`, and what runs is stopped.
    Abort,
    /// Only what depends on the node is skipped.
    Continue,
}

impl OnError {
    /// Every word of the key, with what it stands for.
    pub(super) const WORDS: &[(&str, Self)] = &[
        ("stop", Self::Stop),
        ("abort", Self::Abort),
        ("continue", Self::Continue),
    ];
}

/// Whether results may be reused; kept for the result cache. spec: nanograph 18
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CacheMode {
    /// As the definition says.
    #[default]
    Auto,
    /// Reuse always.
    Use,
    /// Reuse never.
    Off,
}

impl CacheMode {
    /// Every word of the key, with what it stands for.
    pub(super) const WORDS: &[(&str, Self)] =
        &[("auto", Self::Auto), ("use", Self::Use), ("off", Self::Off)];
}
