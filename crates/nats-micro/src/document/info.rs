//! `INFO`: what endpoints there are. spec: nats-micro 4.2

use serde::{Deserialize, Serialize};

use super::lenient;
use crate::metadata::Metadata;

/// The answer to `INFO`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// The service's name.
    pub name: String,
    /// The instance's id.
    pub id: String,
    /// The service's version.
    pub version: String,
    /// What the service is for; empty if nobody said.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub description: String,
    /// The service's metadata.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub metadata: Metadata,
    /// The endpoints, in the order in which they were added.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub endpoints: Vec<EndpointInfo>,
    /// `io.nats.micro.v1.info_response`.
    #[serde(rename = "type", default, deserialize_with = "lenient::or_default")]
    pub kind: String,
}

/// One endpoint in [`Info`]. A known decoder breaks on any further key here, so there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointInfo {
    /// Its name.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub name: String,
    /// Its whole subject.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub subject: String,
    /// Its metadata.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub metadata: Metadata,
    /// Its queue group; empty if it has none.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub queue_group: String,
}

super::document!(Info, super::Verb::Info, "io.nats.micro.v1.info_response");
