//! Limits and times of node servers over NATS.

use std::time::Duration;

use super::NatsAddress;

/// Limits and times of node servers over NATS, and the NATS they are looked for on.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// Where servers are looked for whose entry names no address; `None` if there is no such place.
    pub broker: Option<NatsAddress>,
    /// Whether that is a broker inside this process, for those who ask.
    pub is_embedded: bool,
    /// Between looks at which instances there are; 1 s.
    pub look_period: Duration,
    /// An instance that the broker knows, but that says nothing for so long, counts as gone; 15 s.
    pub silence_max: Duration,
    /// How long a server without instances is waited for before that is told, at the first try; 3 s. Later tries wait a
    /// minute.
    pub first_wait: Duration,
    /// Executions at a time on one server; further ones are refused. 1,024.
    pub in_flight_max: usize,
    /// Instances of one server that are looked at; 256.
    pub instances_max: usize,
    /// Replies with progress and previews that one execution keeps until they are taken; 16. The oldest go first.
    pub interim_max: usize,
    /// Their bytes; 2 MiB. One is always kept.
    pub interim_bytes_max: usize,
}

impl Default for NatsOptions {
    fn default() -> Self {
        Self {
            broker: None,
            is_embedded: false,
            look_period: Duration::from_secs(1),
            silence_max: Duration::from_secs(15),
            first_wait: Duration::from_secs(3),
            in_flight_max: 1024,
            instances_max: 256,
            interim_max: 16,
            interim_bytes_max: 2 << 20,
        }
    }
}
