//! From an endpoint's name to the endpoint.

use std::collections::BTreeSet;

use futures_util::StreamExt;

use super::control::ServiceClient;
use super::error::LookupError;
use crate::document::{EndpointInfo, Info};

/// Asks the instances until one has the endpoint: they may differ while a new version is rolled out.
pub(super) async fn find_endpoint(
    service: &ServiceClient,
    endpoint: &str,
) -> Result<EndpointInfo, LookupError> {
    let name = service.name();
    let stream = service.info().stream().await;
    let mut instances = stream.map_err(|source| LookupError::Request {
        service: name.to_owned(),
        source,
    })?;
    let mut known = BTreeSet::new();
    let mut answered = false;
    while let Some(reply) = instances.next().await {
        // An instance that answers with something else is no instance to call.
        let Ok(info) = reply else { continue };
        answered = true;
        if let Some(found) = select(&info, endpoint)? {
            return Ok(found);
        }
        known.extend(info.endpoints.into_iter().map(|other| other.name));
    }
    if !answered {
        return Err(LookupError::UnknownService {
            service: name.to_owned(),
        });
    }
    Err(LookupError::UnknownEndpoint {
        service: name.to_owned(),
        endpoint: endpoint.to_owned(),
        known: known.into_iter().collect(),
    })
}

/// Several endpoints may share a name; those that share the subject too are one to a caller. spec: nats-micro 2.4
fn select(info: &Info, endpoint: &str) -> Result<Option<EndpointInfo>, LookupError> {
    let mut named = info.endpoints.iter().filter(|other| other.name == endpoint);
    let subjects: BTreeSet<_> = named.clone().map(|other| &other.subject).collect();
    if subjects.len() > 1 {
        return Err(LookupError::Ambiguous {
            service: info.name.clone(),
            endpoint: endpoint.to_owned(),
            subjects: subjects.into_iter().cloned().collect(),
        });
    }
    Ok(named.next().cloned())
}
