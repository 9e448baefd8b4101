//! The documents of a running service. spec: nats-micro 4.4

use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::Timestamp;
use serde_json::Value;

use super::builder::StatsHandler;
use crate::document::{Document, EndpointInfo, EndpointStats, Info, Ping, Stats};
use crate::endpoint::{EndpointSnapshot, ServiceIdentity};
use crate::metadata::Metadata;

/// What does not change while a service runs.
#[derive(Debug)]
pub(super) struct Description {
    pub(super) description: String,
    pub(super) metadata: Metadata,
}

pub(super) fn ping(identity: &ServiceIdentity, described: &Description) -> Ping {
    Ping {
        name: identity.name.clone(),
        id: identity.id.clone(),
        version: identity.version.clone(),
        metadata: described.metadata.clone(),
        kind: Ping::TYPE.to_owned(),
    }
}

pub(super) fn info(
    identity: &ServiceIdentity,
    described: &Description,
    endpoints: Vec<EndpointInfo>,
) -> Info {
    Info {
        name: identity.name.clone(),
        id: identity.id.clone(),
        version: identity.version.clone(),
        description: described.description.clone(),
        metadata: described.metadata.clone(),
        endpoints,
        kind: Info::TYPE.to_owned(),
    }
}

pub(super) fn stats(
    identity: &ServiceIdentity,
    described: &Description,
    started: Timestamp,
    endpoints: Vec<EndpointStats>,
) -> Stats {
    Stats {
        name: identity.name.clone(),
        id: identity.id.clone(),
        version: identity.version.clone(),
        started: started.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
        endpoints,
        metadata: described.metadata.clone(),
        kind: Stats::TYPE.to_owned(),
    }
}

pub(super) fn endpoint_stats(
    snapshot: EndpointSnapshot,
    handler: Option<&StatsHandler>,
) -> EndpointStats {
    let data = handler.and_then(|handler| {
        // The user's code must not end the task that answers control requests.
        catch_unwind(AssertUnwindSafe(|| handler(&snapshot)))
            .inspect_err(|_| {
                tracing::error!(
                    endpoint = snapshot.info.name,
                    "the statistics handler panicked"
                )
            })
            .ok()
    });
    let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    EndpointStats {
        num_requests: snapshot.num_requests,
        num_errors: snapshot.num_errors,
        processing_time: nanos(snapshot.processing_time),
        average_processing_time: nanos(snapshot.average_processing_time()),
        last_error: snapshot.last_error,
        name: snapshot.info.name,
        subject: snapshot.info.subject,
        queue_group: snapshot.info.queue_group,
        data: match data {
            Some(Value::Null) | None => Value::Object(serde_json::Map::new()),
            Some(data) => data,
        },
    }
}
