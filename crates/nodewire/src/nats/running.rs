//! The service: its start, its endpoints, its end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use nats_micro::{
    ConnectOptions, Context, Endpoint, EndpointHandle, Group, PendingLimits, Request, Response,
    Service, ServiceBuilder, ServiceError,
};
use nodewire_core::{BoxFuture, Executor, NodeDefinition};
use serde_json::json;
use tokio::sync::Semaphore;

use super::cancel::Cancels;
use super::config::{NatsConfig, NatsConnection};
use super::describe::{EXECUTE, describe, node_bytes_max, token, wire_metadata};
use super::error::NatsError;
use super::node::{Budget, Shared, Unwritten};
use super::stats::Statistics;
use crate::capability::Losses;
use crate::server::RunningWire;

/// What may wait for an endpoint beyond its requests at once.
const PENDING: PendingLimits = PendingLimits {
    messages: 256,
    bytes: 32 << 20,
};

/// Refusals take a place for a moment, too.
const REFUSALS_AT_ONCE: usize = 64;

/// Executions end when the executor shuts down, long before this.
const STOP_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// Last replies have so much time to leave the process, however short the drain time is.
const CLOSE_MIN: Duration = Duration::from_secs(1);

/// Under which names the wire can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatsAddress {
    /// The service.
    pub service: String,
    /// This instance of it.
    pub id: String,
    /// What the subjects begin with.
    pub group: String,
}

/// The wire, serving. Dropping it stops it in the background.
#[derive(Debug)]
pub(crate) struct RunningNats {
    context: Context,
    service: Service,
    address: NatsAddress,
}

/// Connects if need be, and serves the nodes that the executor has now. When this returns, the broker knows all subjects.
///
/// # Errors
/// See [`NatsError`].
///
/// Dropping the future leaves nothing behind.
pub(crate) async fn start(
    config: NatsConfig,
    executor: Executor,
    losses: Losses,
) -> Result<RunningNats, NatsError> {
    let definitions = executor.registry().definitions();
    check_subjects(&config, &definitions)?;
    let address = NatsAddress {
        service: config.service.clone(),
        id: nuid::next().to_string(),
        group: config.group().to_owned(),
    };
    let context = connect(&config).await?;
    let shared = Arc::new(Shared {
        cancels: Arc::new(Cancels::default()),
        bodies: Budget::new(config.bytes_max),
        unwritten: Unwritten::new(config.unwritten_bytes_max),
        transfers: Semaphore::new(config.transfers_max.clamp(1, Semaphore::MAX_PERMITS)),
        cancel_subject: format!("{}.$cancel.{}", address.group, address.id),
        client: context.client().clone(),
        executor: executor.clone(),
        losses: losses.clone(),
    });
    let group = group(&config, &address, &definitions, &shared);
    let statistics = Statistics::new(executor, losses);
    let builder = builder(&config, &address)
        .stats_handler(move |endpoint| statistics.data(endpoint))
        .group(group);
    let service = context.add_service(builder).await?;
    tell_early_end(&service);
    Ok(RunningNats {
        context,
        service,
        address,
    })
}

async fn connect(config: &NatsConfig) -> Result<Context, NatsError> {
    let (url, options) = match &config.connection {
        NatsConnection::Client(client) => return Ok(Context::new(client.clone())),
        NatsConnection::Url { url, options } => (url, options),
    };
    let options = match options {
        Some(options) => (**options).clone(),
        None => ConnectOptions::from(async_nats::ConnectOptions::new().name(&config.service)),
    };
    Context::connect(options, url.as_str())
        .await
        .map_err(NatsError::Connect)
}

fn builder(config: &NatsConfig, address: &NatsAddress) -> ServiceBuilder {
    let builder = Service::builder(&config.service, &config.version)
        .description(&config.description)
        .id(&address.id)
        .stop_timeout(STOP_TIMEOUT);
    let metadata = wire_metadata().into_iter().chain(config.metadata.clone());
    metadata.fold(builder, |builder, (key, value)| {
        builder.metadata(key, value)
    })
}

fn check_subjects(config: &NatsConfig, definitions: &[NodeDefinition]) -> Result<(), NatsError> {
    let mut taken = HashMap::new();
    for definition in definitions {
        let token = token(&definition.uid);
        let subject = format!("{}.{token}", config.group());
        if let Some(first) = taken.insert(token, &definition.uid) {
            return Err(NatsError::SameSubject {
                first: first.to_string(),
                second: definition.uid.to_string(),
                subject,
            });
        }
    }
    Ok(())
}

fn group(
    config: &NatsConfig,
    address: &NatsAddress,
    definitions: &[NodeDefinition],
    shared: &Arc<Shared>,
) -> Group {
    let mut group = Group::new(config.group()).pending_limits(PENDING);
    if let Some(queue_group) = &config.queue_group {
        group = group.queue_group(queue_group);
    }
    let bytes_max = node_bytes_max(definitions.len());
    for definition in definitions {
        let endpoint = node_endpoint(config, definition, shared);
        group = group.endpoint(describe(endpoint, definition, bytes_max));
    }
    group
        .endpoint(execute_endpoint(config, shared))
        .endpoint(cancel_anywhere(shared))
        .endpoint(cancel_here(address, shared))
}

fn node_endpoint(
    config: &NatsConfig,
    definition: &NodeDefinition,
    shared: &Arc<Shared>,
) -> Endpoint {
    let node = Arc::clone(&definition.uid);
    let shared = Arc::clone(shared);
    let admitted = definition
        .limits
        .concurrency
        .unwrap_or(0)
        .saturating_add(definition.limits.queue.unwrap_or(0));
    let requests = config
        .requests_max
        .max(admitted.saturating_add(REFUSALS_AT_ONCE));
    Endpoint::new(token(&definition.uid), move |request| {
        Arc::clone(&shared).serve(request, Some(Arc::clone(&node)))
    })
    .concurrency(requests.min(nats_micro::MAX_CONCURRENCY))
    .streaming()
}

fn execute_endpoint(config: &NatsConfig, shared: &Arc<Shared>) -> Endpoint {
    let shared = Arc::clone(shared);
    Endpoint::new(EXECUTE, move |request| {
        Arc::clone(&shared).serve(request, None)
    })
    .subject("$execute")
    .concurrency(config.requests_max.clamp(1, nats_micro::MAX_CONCURRENCY))
    .streaming()
}

/// Every instance gets these; the one that has the execution answers.
fn cancel_anywhere(shared: &Arc<Shared>) -> Endpoint {
    let cancels = Arc::clone(&shared.cancels);
    Endpoint::new("cancel", move |request: Request| {
        let cancelled = cancels.cancel(id(request.subject()));
        let answer = cancelled.map_or(Response::Silent, answer_cancel);
        std::future::ready(answer)
    })
    .subject("$cancel.*")
    .no_queue_group()
}

fn cancel_here(address: &NatsAddress, shared: &Arc<Shared>) -> Endpoint {
    let cancels = Arc::clone(&shared.cancels);
    Endpoint::new("cancel-here", move |request: Request| {
        let id = id(request.subject());
        let unknown = || {
            let text = format!("no execution `{id}` is in flight here; it may have ended");
            Response::Error(ServiceError::new(404, text))
        };
        let answer = cancels.cancel(id).map_or_else(unknown, answer_cancel);
        std::future::ready(answer)
    })
    .subject(format!("$cancel.{}.*", address.id))
    .no_queue_group()
}

/// The last token of a cancel subject.
fn id(subject: &str) -> &str {
    subject.rsplit('.').next().unwrap_or_default()
}

fn answer_cancel(cancelled: bool) -> Response {
    let body = json!({"cancelled": cancelled}).to_string();
    Response::Reply(body.into())
}

/// A service that ends by itself is an error that somebody should see.
fn tell_early_end(service: &Service) {
    let stopped = service.stopped();
    tokio::spawn(async move {
        let reason = stopped.await;
        if !reason.is_requested() {
            tracing::error!(%reason, "the NATS wire has ended");
        }
    });
}

impl RunningNats {
    pub(crate) fn address(&self) -> NatsAddress {
        self.address.clone()
    }

    /// The endpoints that take executions; those that cancel them stay until the end.
    fn executing(&self) -> Vec<EndpointHandle> {
        let cancels = |name: &str| name == "cancel" || name == "cancel-here";
        let endpoints = self.service.endpoints().into_iter();
        endpoints
            .filter(|(_, name, subject)| !(cancels(name) && subject.contains(".$cancel.")))
            .map(|(handle, _, _)| handle)
            .collect()
    }
}

impl RunningWire for RunningNats {
    fn leave(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let executing = self.executing().into_iter();
            join_all(executing.map(|handle| self.service.remove_endpoint(handle))).await;
        })
    }

    fn close(self: Box<Self>, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            // The executor has drained: what is left are last replies, and subjects that the broker is still to forget.
            let time = time.max(CLOSE_MIN);
            if tokio::time::timeout(time, self.context.close())
                .await
                .is_err()
            {
                tracing::warn!("the NATS wire closes in the background: the broker takes its time");
            }
        })
    }
}
