//! What a server has done and refused.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of a server since it started. Read them with [`Self::snapshot`].
        #[derive(Debug, Default)]
        pub struct Stats {
            $(pub(super) $name: Counter,)*
        }

        /// The counters at one time.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct StatsSnapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Stats {
            /// All counters as they are now; each is exact, but they are not read at the same instant.
            #[must_use]
            pub fn snapshot(&self) -> StatsSnapshot {
                StatsSnapshot { $($name: self.$name.get(),)* }
            }
        }
    };
}

stats! {
    /// TCP connections accepted.
    connections_accepted,
    /// Of these, over.
    connections_ended,
    /// Connections refused because there were too many.
    connections_refused,
    /// Attempts to accept a connection that failed.
    accept_errors,
    /// HTTP requests answered, upgrades included.
    http_requests,
    /// HTTP requests refused: bad handshake, no token, wrong path or method.
    http_refused,
    /// WebSocket connections opened.
    websockets_opened,
    /// Connections closed because a message was too large.
    closed_too_large,
    /// Connections closed because the client broke the WebSocket protocol.
    closed_protocol_error,
    /// Connections lost without a closing handshake.
    closed_abruptly,
    /// Connections dropped because no pong came.
    closed_silent,
    /// Connections dropped because the client did not take what waited for it.
    closed_stalled,
    /// Executions handed to the backend.
    executions_started,
    /// Executions that ended with `complete`.
    executions_completed,
    /// Executions that ended with `error`.
    executions_failed,
    /// Executions refused because their connection has too many.
    executions_refused,
    /// Requests answered with `error` because something was missing or of the wrong type.
    requests_malformed,
    /// Messages ignored: no JSON object, no or an unknown `type`, nobody to answer.
    messages_ignored,
    /// Binary frames ignored.
    binary_ignored,
    /// Stops acknowledged.
    stops,
    /// Executions told to stop.
    executions_stopped,
    /// `running` statuses dropped because too much waited for the client.
    statuses_dropped,
    /// Statuses lost because the connection was gone.
    statuses_lost,
    /// Definitions updates broadcast.
    definitions_updates,
    /// Panics in the backend, each contained to one execution.
    backend_panics,
    /// Shutdown handlers that failed, panicked or took too long.
    shutdown_failures,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(super) fn increment(&self) {
        self.add(1);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
