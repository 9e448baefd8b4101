//! `PING`: who is there. spec: nats-micro 4.1

use serde::{Deserialize, Serialize};

use super::lenient;
use crate::metadata::Metadata;

/// The answer to `PING`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// The service's name.
    pub name: String,
    /// The instance's id.
    pub id: String,
    /// The service's version.
    pub version: String,
    /// The service's metadata.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub metadata: Metadata,
    /// `io.nats.micro.v1.ping_response`.
    #[serde(rename = "type", default, deserialize_with = "lenient::or_default")]
    pub kind: String,
}

super::document!(Ping, super::Verb::Ping, "io.nats.micro.v1.ping_response");
