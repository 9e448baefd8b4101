//! What a broker counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The client closed it, or the network did.
    Client,
    /// The client sent what is no operation, or reported an error.
    Protocol,
    /// A control line over the limit.
    ControlLine,
    /// A payload over the limit.
    Payload,
    /// `HPUB` from, or `no_responders` wanted by, a client that said it has no headers.
    HeadersRequired,
    /// Wrong or missing credentials.
    Authorization,
    /// No credentials in time.
    ConnectTimeout,
    /// Pings were not answered.
    Stale,
    /// It did not take its messages as fast as they came.
    SlowConsumer,
    /// Too much waited for all clients together, and most of it for this one.
    PendingTotal,
    /// There were too many connections already.
    TooManyConnections,
    /// [`Broker::drop_connections`](crate::Broker::drop_connections).
    Dropped,
    /// The broker ended.
    Shutdown,
}

impl CloseReason {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Client,
        Self::Protocol,
        Self::ControlLine,
        Self::Payload,
        Self::HeadersRequired,
        Self::Authorization,
        Self::ConnectTimeout,
        Self::Stale,
        Self::SlowConsumer,
        Self::PendingTotal,
        Self::TooManyConnections,
        Self::Dropped,
        Self::Shutdown,
    ];
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// A snapshot of the counters. Everything but the two `_open` values only grows.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[doc = $doc])+ pub $name: u64,)+
            closed: [u64; CloseReason::ALL.len()],
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)+
            closed: [Counter; CloseReason::ALL.len()],
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> Stats {
                Stats {
                    closed: std::array::from_fn(|at| self.closed[at].value()),
                    $($name: self.$name.value(),)+
                }
            }
        }
    };
}

counters! {
    /// Connections that are open.
    connections_open,
    /// Connections that were accepted, refused ones included.
    connections_total,
    /// Subscriptions that exist.
    subscriptions_open,
    /// Messages that clients published.
    messages_in,
    /// Bytes that clients sent.
    bytes_in,
    /// Messages that were put into the queues of clients.
    messages_out,
    /// Requests that nobody got, where the client was told so.
    no_responders,
    /// Requests to the JetStream API, which this broker has not.
    jetstream_requests,
    /// Messages to what is no subject: patterns, which are delivered all the same, and empty tokens, which are not.
    invalid_publish_subjects,
    /// Subscriptions that were refused because of their subject.
    invalid_subscribe_subjects,
    /// Subscriptions that were refused because the connection had too many.
    subscriptions_refused,
    /// How often a publisher was not read for a while because a client was slow.
    publisher_stalls,
    /// Bytes that waited for clients when their connections ended.
    bytes_undelivered,
    /// How often a connection could not be accepted, for lack of file descriptors for instance.
    accept_errors,
}

impl Stats {
    /// How many connections ended for a reason. `connections_total` is the sum of these and `connections_open`.
    #[must_use]
    pub fn closed(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize]
    }
}

impl Counters {
    pub(crate) fn count_closed(&self, reason: CloseReason) {
        self.closed[reason as usize].add(1);
    }
}

/// Counts up, and down for what is open.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// What it was before.
    pub(crate) fn add(&self, count: u64) -> u64 {
        self.0.fetch_add(count, Relaxed)
    }

    pub(crate) fn subtract(&self, count: u64) {
        self.0.fetch_sub(count, Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
