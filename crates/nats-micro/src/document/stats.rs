//! `STATS`: what the endpoints have done. spec: nats-micro 4.3

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lenient;
use crate::metadata::Metadata;

/// The answer to `STATS`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// The service's name.
    pub name: String,
    /// The instance's id.
    pub id: String,
    /// The service's version.
    pub version: String,
    /// When counting began: UTC, RFC 3339, ending in `Z`.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub started: String,
    /// The endpoints, in the order in which they were added.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub endpoints: Vec<EndpointStats>,
    /// The service's metadata.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub metadata: Metadata,
    /// `io.nats.micro.v1.stats_response`.
    #[serde(rename = "type", default, deserialize_with = "lenient::or_default")]
    pub kind: String,
}

impl Stats {
    /// When counting began; `None` if the peer's text is no time.
    #[must_use]
    pub fn started_at(&self) -> Option<jiff::Timestamp> {
        self.started.parse().ok()
    }
}

/// One endpoint in [`Stats`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointStats {
    /// Its name.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub name: String,
    /// Its whole subject.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub subject: String,
    /// How many requests ended.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub num_requests: u64,
    /// How many of them ended with an error.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub num_errors: u64,
    /// The last error; empty if there was none.
    #[serde(default, deserialize_with = "lenient::last_error")]
    pub last_error: String,
    /// How long the handlers took together, in nanoseconds.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub processing_time: u64,
    /// How long they took on average, in nanoseconds.
    #[serde(default, deserialize_with = "lenient::integer")]
    pub average_processing_time: u64,
    /// Its queue group; empty if it has none.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub queue_group: String,
    /// What the service's statistics handler says; `{}` without one.
    #[serde(default = "lenient::empty_object", deserialize_with = "lenient::data")]
    pub data: Value,
}

super::document!(Stats, super::Verb::Stats, "io.nats.micro.v1.stats_response");
