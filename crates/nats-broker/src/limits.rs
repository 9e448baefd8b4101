//! Every bound of a broker.

use std::time::Duration;

use crate::protocol::DecodeLimits;

/// The bounds of a broker, with the defaults of nats-server where it has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time; more are refused. Default: 4096.
    pub connections_max: usize,
    /// Subscriptions of one connection; more are refused. Default: 100 000.
    pub subscriptions_max: usize,
    /// The arguments of one operation. Beyond: the connection is closed. Default: 4096.
    pub control_line_bytes_max: usize,
    /// Header block and payload of one message. Beyond: the connection is closed. Default: 1 MiB.
    pub payload_bytes_max: usize,
    /// What waits to be sent to one client. Beyond: it is closed as slow consumer. From half of it on, publishers are
    /// slowed down. Large messages count in full for each client, though clients share their memory. Default: 64 MiB.
    pub pending_bytes_max: usize,
    /// What waits to be sent to all clients together, but for up to 16 KiB of each. Beyond: the client that has most
    /// waiting is closed. Large messages count as for `pending_bytes_max`. Default: 1 GiB.
    pub pending_bytes_total_max: usize,
    /// How long a publisher is not read after what it sent in one turn (64 KiB, 16 384 deliveries, or one message) went to
    /// a client that has half its `pending_bytes_max` waiting. Default: 100 ms.
    pub publisher_stall_max: Duration,
    /// A client that takes nothing for so long slows no publisher down any more. Default: 1 s.
    pub stuck_after: Duration,
    /// A client that takes nothing for so long, while something waits for it, is closed as slow consumer. Default: 10 s.
    pub write_timeout: Duration,
    /// When credentials are needed: how long a client may take to send them. Default: 2 s.
    pub connect_timeout: Duration,
    /// How often clients are pinged. Default: 2 min.
    pub ping_interval: Duration,
    /// A client that owes this many answers at the next ping is closed. Default: 2.
    pub pings_unanswered_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            subscriptions_max: 100_000,
            control_line_bytes_max: 4096,
            payload_bytes_max: 1 << 20,
            pending_bytes_max: 64 << 20,
            pending_bytes_total_max: 1 << 30,
            publisher_stall_max: Duration::from_millis(100),
            stuck_after: Duration::from_secs(1),
            write_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(2),
            ping_interval: Duration::from_secs(120),
            pings_unanswered_max: 2,
        }
    }
}

/// Sizes above this are refused: spans of a frame are kept in 32 bits, and the wire has nine digits for a size.
const SIZE_MAX: usize = 999_999_999;

impl Limits {
    /// What is wrong with them.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        // What one message can add to a client's queue: its body, its subject, its reply subject and the sid.
        let message = self
            .payload_bytes_max
            .saturating_add(self.control_line_bytes_max.saturating_mul(3));
        if self.control_line_bytes_max > SIZE_MAX || self.payload_bytes_max > SIZE_MAX {
            return Some("sizes must be below 1 GB");
        }
        if message > self.pending_bytes_max / 2 {
            return Some("half of pending_bytes_max must have room for the largest message");
        }
        if self.pending_bytes_total_max < self.pending_bytes_max {
            return Some("pending_bytes_total_max must not be below pending_bytes_max");
        }
        let waits = [self.write_timeout, self.connect_timeout, self.ping_interval];
        if waits.iter().any(Duration::is_zero) {
            return Some("write_timeout, connect_timeout and ping_interval must not be zero");
        }
        None
    }

    pub(crate) fn decode(&self) -> DecodeLimits {
        DecodeLimits {
            control_line_bytes_max: self.control_line_bytes_max,
            payload_bytes_max: self.payload_bytes_max,
        }
    }
}
