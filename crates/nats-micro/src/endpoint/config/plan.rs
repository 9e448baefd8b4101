//! From descriptions to endpoints that are checked and know all that they inherit. spec: nats-micro 2.2, 2.4

use std::sync::Arc;

use super::{
    DEFAULT_CONCURRENCY, Endpoint, Group, Inherited, MAX_CONCURRENCY, Member, Overflow,
    PendingLimits,
};
use crate::document::EndpointInfo;
use crate::handler::{Chain, Spawned};
use crate::metadata::check_metadata;
use crate::middleware::Layer;
use crate::name::{
    ConfigError, check_endpoint_name, check_group, check_queue_group, check_subject,
};

/// An endpoint that has been checked and knows all that it inherits.
pub(crate) struct PlannedEndpoint {
    pub(crate) info: EndpointInfo,
    pub(crate) queue_group: Option<String>,
    pub(crate) limits: PendingLimits,
    pub(crate) concurrency: usize,
    pub(crate) overflow: Overflow,
    pub(crate) handler: Chain,
    pub(crate) captures: bool,
}

/// Checks everything below a group, in the order in which it was added. A service is a group without a prefix.
pub(crate) fn plan(
    group: &Group,
    control_prefix: &str,
) -> Result<Vec<PlannedEndpoint>, ConfigError> {
    let mut planned = Vec::new();
    plan_group(
        group,
        "",
        &Inherited::default(),
        control_prefix,
        &mut planned,
    )?;
    Ok(planned)
}

fn plan_group(
    group: &Group,
    outer_prefix: &str,
    outer: &Inherited,
    control_prefix: &str,
    planned: &mut Vec<PlannedEndpoint>,
) -> Result<(), ConfigError> {
    check_group(&group.prefix)?;
    let prefix = join(outer_prefix, &group.prefix);
    let inherited = outer.with_inner(&group.inherited);
    for member in &group.members {
        match member {
            Member::Endpoint(endpoint) => {
                planned.push(plan_endpoint(
                    endpoint,
                    &prefix,
                    &inherited,
                    control_prefix,
                )?);
            }
            Member::Group(inner) => {
                plan_group(inner, &prefix, &inherited, control_prefix, planned)?;
            }
        }
    }
    Ok(())
}

fn plan_endpoint(
    endpoint: &Endpoint,
    prefix: &str,
    outer: &Inherited,
    control_prefix: &str,
) -> Result<PlannedEndpoint, ConfigError> {
    check_endpoint_name(&endpoint.name)?;
    check_metadata(&endpoint.metadata)?;
    let own = endpoint.subject.as_ref().unwrap_or(&endpoint.name);
    // Alone first: a group must not make `""` or `.a` look right.
    check_subject(own, control_prefix)?;
    let subject = join(prefix, own);
    check_subject(&subject, control_prefix)?;
    let inherited = outer.with_inner(&endpoint.inherited);
    let queue_group = inherited.wire_queue_group();
    if let Some(queue_group) = &queue_group {
        check_queue_group(queue_group)?;
    }
    let concurrency = inherited.concurrency.unwrap_or(DEFAULT_CONCURRENCY);
    let limits = inherited.pending_limits.unwrap_or_default();
    if !(1..=MAX_CONCURRENCY).contains(&concurrency) {
        return Err(ConfigError::Concurrency {
            actual: concurrency,
            max: MAX_CONCURRENCY,
        });
    }
    Ok(PlannedEndpoint {
        info: EndpointInfo {
            name: endpoint.name.clone(),
            subject,
            metadata: endpoint.metadata.clone(),
            queue_group: queue_group.clone().unwrap_or_default(),
        },
        queue_group,
        limits,
        concurrency,
        overflow: endpoint.overflow,
        captures: !endpoint.streaming && !inherited.layers.is_empty(),
        handler: compose(endpoint, &inherited.layers),
    })
}

fn compose(endpoint: &Endpoint, layers: &[Arc<dyn Layer>]) -> Chain {
    let inner = Arc::clone(&endpoint.handler);
    let chain = layers
        .iter()
        .rev()
        .fold(inner, |inner, layer| Arc::clone(layer).wrap(inner));
    if endpoint.spawned {
        return Arc::new(Spawned(chain));
    }
    chain
}

fn join(prefix: &str, subject: &str) -> String {
    match (prefix, subject) {
        ("", only) | (only, "") => only.to_owned(),
        (prefix, subject) => format!("{prefix}.{subject}"),
    }
}
