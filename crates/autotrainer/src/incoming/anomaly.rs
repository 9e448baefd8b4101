//! Published messages that are not as they should be.

use std::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;

/// Every kind of anomaly stands here once.
macro_rules! anomalies {
    ($($(#[doc = $doc:literal])+ $name:ident = $message:literal;)+) => {
        /// What is wrong with a published message.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
        #[non_exhaustive]
        pub enum Anomaly {
            $($(#[doc = $doc])+ #[error($message)] $name,)+
        }

        impl Anomaly {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// A word for a counter's label.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }
        }
    };
}

anomalies! {
    /// Frames before the payload that are no part of the message, a stale topic for instance. Received.
    SurplusFrames = "the message has more frames than a topic and a payload";
    /// A payload alone, whose topic was told by what it holds. Received.
    TopicMissing = "the message has no topic frame";
    /// A payload alone that fits no topic. Dropped.
    Unclassifiable = "the message has no topic frame, and its payload fits no topic";
    /// No frame before the payload is a topic. Dropped.
    NoTopic = "the message has no topic frame of four bytes";
    /// No frame at all. Dropped.
    NoFrames = "the message has no frames";
    /// More frames than the limit. Dropped.
    TooManyFrames = "the message has more frames than the limit";
    /// A payload beyond the limit. Dropped.
    TooLong = "the payload is longer than the limit";
    /// A payload that its topic does not allow: no JSON, no object, or a field that is needed is missing. Dropped.
    Payload = "the payload is not what its topic promises";
}

/// How often each kind of anomaly was met. Shared freely; counting never blocks.
#[derive(Debug, Default)]
pub struct AnomalyCounters {
    counts: [AtomicU64; Anomaly::ALL.len()],
}

impl AnomalyCounters {
    /// Counts one.
    pub fn count(&self, anomaly: Anomaly) {
        self.slot(anomaly).fetch_add(1, Ordering::Relaxed);
    }

    /// How many of this kind.
    #[must_use]
    pub fn of(&self, anomaly: Anomaly) -> u64 {
        self.slot(anomaly).load(Ordering::Relaxed)
    }

    /// How many in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        Anomaly::ALL.iter().map(|anomaly| self.of(*anomaly)).sum()
    }

    fn slot(&self, anomaly: Anomaly) -> &AtomicU64 {
        &self.counts[anomaly as usize]
    }
}
