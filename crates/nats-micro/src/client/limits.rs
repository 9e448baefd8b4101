//! When collecting replies ends. spec: nats-micro 10.2

use std::time::Duration;

/// What collecting replies may take. It ends at whichever limit is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The total time; 0.5 s unless set. Zero gives what is there at once, that is nothing.
    pub max_wait: Duration,
    /// The time without a reply after the last one; none unless set. Until the first reply only
    /// [`max_wait`](Self::max_wait) counts.
    pub max_interval: Option<Duration>,
    /// Replies; 65,536 unless set. Of documents those count that can be used.
    ///
    /// The connection keeps as many replies as its `subscription_capacity` says (65,536 unless set) until they are
    /// taken; it drops what goes beyond, and says so with an event (`SlowConsumer`).
    pub max_count: usize,
    /// Bytes of replies, subjects and headers included; 64 MiB unless set. The reply that goes beyond is dropped.
    pub max_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_wait: Duration::from_millis(500),
            max_interval: None,
            max_count: 65_536,
            max_bytes: 64 << 20,
        }
    }
}

/// Why collecting replies ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// [`Limits::max_wait`] is over.
    MaxWait,
    /// No reply came for [`Limits::max_interval`].
    MaxInterval,
    /// [`Limits::max_count`] replies came.
    MaxCount,
    /// More than [`Limits::max_bytes`] came.
    MaxBytes,
    /// The empty reply that was to be the last one came.
    Sentinel,
    /// The broker said that there is nobody to answer.
    NoResponders,
    /// The connection was closed.
    Closed,
}

/// The setters of everything that collects replies.
macro_rules! limit_setters {
    () => {
        /// The total time, instead of the client's.
        pub fn max_wait(mut self, time: std::time::Duration) -> Self {
            self.limits.max_wait = time;
            self
        }

        /// The time without a reply after the last one, instead of the client's.
        pub fn max_interval(mut self, time: std::time::Duration) -> Self {
            self.limits.max_interval = Some(time);
            self
        }

        /// How many replies are enough, instead of the client's number.
        pub fn max_count(mut self, replies: usize) -> Self {
            self.limits.max_count = replies;
            self
        }

        /// All limits at once, instead of the client's.
        pub fn limits(mut self, limits: $crate::client::Limits) -> Self {
            self.limits = limits;
            self
        }
    };
}
pub(super) use limit_setters;
