//! What a remote counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Every count stands here once.
macro_rules! counts {
    ($($(#[$doc:meta])+ $name:ident;)+) => {
        /// What a remote has counted so far.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct RemoteCounts {
            $($(#[$doc])+ pub $name: u64,)+
        }

        #[cfg(feature = "telemetry")]
        impl RemoteCounts {
            pub(super) const fn named(&self) -> [(&'static str, u64); [$(stringify!($name)),+].len()] {
                [$((stringify!($name), self.$name)),+]
            }
        }

        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: Counter,)+
        }

        impl Counters {
            pub(super) fn snapshot(&self) -> RemoteCounts {
                RemoteCounts { $($name: self.$name.0.load(Ordering::Relaxed),)+ }
            }
        }
    };
}

counts! {
    /// Requests that were handed to a connection.
    requests;
    /// Requests that ended with their answer.
    answers;
    /// Requests that were sent and had no answer in time.
    timeouts;
    /// Requests that were not sent in time, and never will be.
    unsent;
    /// Requests whose connection was lost before the answer came.
    connection_lost;
    /// Requests that were dropped by their caller before they were sent.
    abandoned;
    /// Replies that came when nobody waited for them any more. Dropped.
    late_replies;
    /// Replies without a usable nonce, while it was not certain which request they are for. Dropped.
    unattributed_replies;
    /// Results that resolved a pending command.
    results;
    /// Results for nobody here: of other clients' commands, or too late. Not told to commands, but to subscriptions.
    foreign_results;
    /// Published messages that were received.
    messages;
    /// Messages that were dropped because the reader of a subscription was too slow.
    lagged;
    /// Messages that came by a replay, for a subscription that resumes.
    replayed;
    /// Second copies of emergencies that were dropped.
    merged_emergencies;
    /// Heartbeats of more services than are watched.
    unwatched_heartbeats;
    /// How often the command socket was made anew after a lost connection or a silence.
    rebuilt;
    /// Connections of the event channel that were lost.
    interruptions;
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn count(&self) {
        self.add(1);
    }

    pub(super) fn add(&self, events: u64) {
        self.0.fetch_add(events, Ordering::Relaxed);
    }
}
