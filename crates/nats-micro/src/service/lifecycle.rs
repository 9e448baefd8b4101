//! A running service: the handle that users hold.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::watch;

use super::builder::{ServiceBuilder, StartError};
use super::control::Control;
use super::running::{EndpointEntry, Running};
use super::stop;
use crate::document::{Info, Ping, Stats};
use crate::endpoint::{
    Counters, Endpoint, EndpointCore, EndpointSnapshot, Group, OnOverflow, Overflow,
    PlannedEndpoint, Pump, PumpEnd, plan,
};
use crate::name::ConfigError;
use crate::transport::{ConnectionClosed, FenceError, Subscription, Transport};

/// Why a service has stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StopReason {
    /// Somebody asked for it, or dropped the last handle.
    #[error("the service was stopped")]
    Requested,
    /// Somebody stopped it because of an error.
    #[error("the service was stopped: {0}")]
    Error(#[source] Box<dyn Error + Send + Sync>),
    /// The connection closed for good.
    #[error("the connection to the broker is closed")]
    ConnectionClosed,
    /// The runtime that it ran in was shut down before it had stopped.
    #[error("the runtime was shut down before the service had stopped")]
    Interrupted,
    /// An endpoint's pending limits were reached and it is set to [`Overflow::StopService`](crate::Overflow).
    #[error("endpoint {0} had more requests waiting than its pending limits allow")]
    Overflow(String),
}

impl StopReason {
    /// Whether this was a stop that somebody asked for without an error.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        matches!(self, Self::Requested)
    }
}

/// Why an endpoint was not added.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AddError {
    /// Its description cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The service stops or has stopped.
    #[error("the service stops; no endpoint can be added any more")]
    Stopping,
    /// The connection cannot be used.
    #[error("the endpoint cannot start: the connection to the broker is closed")]
    Closed(#[source] ConnectionClosed),
    /// The connection is lost at the moment, so that nobody knows whether the broker has the subscription.
    #[error("the endpoint cannot start: the broker is away; try again when it is back")]
    BrokerAway,
}

impl From<FenceError> for AddError {
    fn from(error: FenceError) -> Self {
        match error {
            FenceError::Closed => Self::Closed(ConnectionClosed),
            FenceError::Away => Self::BrokerAway,
        }
    }
}

/// A running service instance. Clones are handles to the same; when the last is dropped, it stops as if
/// [`stop`](Self::stop) had been called.
#[derive(Clone)]
pub struct Service(Arc<Handle>);

/// Stops the service when the last handle is gone. The service's own tasks hold only what is inside.
struct Handle(Arc<Running>);

impl Drop for Handle {
    fn drop(&mut self) {
        stop::begin(&self.0, StopReason::Requested);
    }
}

/// Names an endpoint that was added to a running service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EndpointHandle(u64);

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.name())
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

impl Service {
    /// Describes a service: its name, which all its instances share, and its version by Semantic Versioning.
    #[must_use]
    pub fn builder(name: impl Into<String>, version: impl Into<String>) -> ServiceBuilder {
        ServiceBuilder::new(name.into(), version.into())
    }

    pub(super) async fn start(
        builder: ServiceBuilder,
        id: String,
        planned: Vec<PlannedEndpoint>,
        transport: Transport,
    ) -> Result<Self, StartError> {
        let running = Arc::new(Running::new(builder, id, transport));
        let control = Control::subscribe(&running).await?;
        tokio::spawn(control.run(Arc::clone(&running)));
        // From here on an early end drops the handle, which stops what has begun.
        let service = Self(Arc::new(Handle(running)));
        let running = service.running();
        for planned in planned {
            start_endpoint(running, planned).await?;
        }
        running.transport.fence().await?;
        Ok(service)
    }

    /// The service's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.running().identity.name
    }

    /// The instance's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.running().identity.id
    }

    /// The service's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.running().identity.version
    }

    /// What `PING` answers.
    #[must_use]
    pub fn ping(&self) -> Ping {
        self.running().ping()
    }

    /// What `INFO` answers.
    #[must_use]
    pub fn info(&self) -> Info {
        self.running().info()
    }

    /// What `STATS` answers.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.running().stats()
    }

    /// More than `STATS` has room for: what waits, runs and was refused.
    #[must_use]
    pub fn snapshots(&self) -> Vec<EndpointSnapshot> {
        self.running().snapshots()
    }

    /// Counters, times and last errors begin anew, `started` is now. Requests that run count when they end.
    pub fn reset(&self) {
        self.running().reset();
    }

    /// Adds an endpoint. When this returns, the broker knows its subscription.
    ///
    /// # Errors
    /// The description cannot be used, the service stops, the connection is closed, or the broker is away.
    ///
    /// Dropping the future takes out what it had added.
    pub async fn add_endpoint(&self, endpoint: Endpoint) -> Result<EndpointHandle, AddError> {
        let added = self.add_group(Group::new("").endpoint(endpoint)).await?;
        added.first().copied().ok_or(AddError::Stopping)
    }

    /// Adds all endpoints of a group, or none.
    ///
    /// # Errors
    /// As [`add_endpoint`](Self::add_endpoint).
    ///
    /// Dropping the future takes out what it had added.
    pub async fn add_group(&self, group: Group) -> Result<Vec<EndpointHandle>, AddError> {
        let running = self.running();
        let planned = plan(
            &running.defaults.clone().group(group),
            &running.control_prefix,
        )?;
        let mut added = Adding {
            running,
            keys: Vec::new(),
        };
        for planned in planned {
            let key = start_endpoint(running, planned).await;
            let key = key.map_err(AddError::Closed)?;
            added.keys.push(key.ok_or(AddError::Stopping)?);
        }
        running.transport.fence().await?;
        Ok(added.keep())
    }

    /// Takes an endpoint out of the service: no new requests, those that run and wait are answered, within the stop's
    /// time limit. `false`, at once, if somebody takes or has taken it out already, or the service stops.
    ///
    /// Dropping the future changes nothing: the endpoint ends all the same.
    pub async fn remove_endpoint(&self, endpoint: EndpointHandle) -> bool {
        let running = self.running();
        let Some(ended) = running.remove(endpoint.0) else {
            return false;
        };
        stop::wait_for_removed(running, ended).await;
        true
    }

    /// The endpoints that are there, with their names and subjects, in the order in which they were added.
    #[must_use]
    pub fn endpoints(&self) -> Vec<(EndpointHandle, String, String)> {
        let state = self.running().state();
        let entries = state.endpoints.iter();
        entries
            .map(|entry| {
                let info = &entry.core.info;
                (
                    EndpointHandle(entry.key),
                    info.name.clone(),
                    info.subject.clone(),
                )
            })
            .collect()
    }

    /// Stops the service and waits until it has stopped. No new endpoint; all subscriptions are drained; what runs and
    /// waits is answered, and past the stop's time limit cut off with 503; the control subjects go last. The connection
    /// stays open; one that is closed already is no error. Calling it again only waits.
    ///
    /// Under load no request is lost: broker and client end at the same message. An endpoint that few requests come to is
    /// given up at a quiet moment, of at least 15 ms; there two requests within the one round trip that follows would be
    /// one lost. After a reconnect every endpoint is given up that way, since broker and client count apart then.
    ///
    /// Awaited in a handler of the service itself, it waits for that handler, until the time limit.
    ///
    /// Dropping the future changes nothing: the service stops all the same.
    pub async fn stop(&self) -> Arc<StopReason> {
        stop::begin(self.running(), StopReason::Requested);
        self.stopped().await
    }

    /// Stops the service because of an error, which [`stopped`](Self::stopped) then gives.
    ///
    /// Dropping the future changes nothing: the service stops all the same.
    pub async fn stop_with(
        &self,
        error: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Arc<StopReason> {
        stop::begin(self.running(), StopReason::Error(error.into()));
        self.stopped().await
    }

    /// Waits until the service has stopped, for whatever reason. Does not keep it from stopping when the last handle is
    /// dropped.
    ///
    /// Dropping the future changes nothing.
    pub fn stopped(&self) -> impl Future<Output = Arc<StopReason>> + Send + 'static {
        let mut stopped = self.running().stopped.subscribe();
        async move {
            match stopped.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(reason)) => Arc::clone(reason),
                // Nobody is left who could say more.
                Ok(None) | Err(_) => Arc::new(StopReason::Interrupted),
            }
        }
    }

    /// Calls a function when the service has stopped, before [`stop`](Self::stop) returns; at once if it has.
    pub fn on_stopped(&self, callback: impl FnOnce(&StopReason) + Send + 'static) {
        self.running().on_stopped(Box::new(callback));
    }

    /// Whether it stops or has stopped.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.running().stopping.is_cancelled()
    }

    fn running(&self) -> &Arc<Running> {
        &self.0.0
    }
}

/// Endpoints that leave again unless all goes well.
struct Adding<'a> {
    running: &'a Arc<Running>,
    keys: Vec<u64>,
}

impl Adding<'_> {
    fn keep(mut self) -> Vec<EndpointHandle> {
        let keys = std::mem::take(&mut self.keys);
        keys.into_iter().map(EndpointHandle).collect()
    }
}

impl Drop for Adding<'_> {
    fn drop(&mut self) {
        for key in &self.keys {
            self.running.remove(*key);
        }
    }
}

/// Subscribes, and takes requests from then on, so that none is lost whatever happens next. `None` if the service stops:
/// the endpoint leaves again.
async fn start_endpoint(
    running: &Arc<Running>,
    planned: PlannedEndpoint,
) -> Result<Option<u64>, ConnectionClosed> {
    let overflow = planned.overflow;
    let core = Arc::new(EndpointCore {
        service: Arc::clone(&running.identity),
        info: planned.info,
        queue_group: planned.queue_group,
        handler: planned.handler,
        captures: planned.captures,
        concurrency: planned.concurrency,
        limits: planned.limits,
        transport: running.transport.clone(),
        counters: Counters::default(),
        quiet: Arc::clone(&running.quiet),
        stopping: running.stopping.clone(),
    });
    let (subject, queue_group) = (core.info.subject.clone(), core.queue_group.clone());
    let subscription = core.transport.subscribe(subject, queue_group).await?;
    Ok(serve(running, core, subscription, overflow))
}

/// Starts the endpoint's task.
fn serve(
    running: &Arc<Running>,
    core: Arc<EndpointCore>,
    subscription: Subscription,
    overflow: Overflow,
) -> Option<u64> {
    let on_overflow = (overflow == Overflow::StopService).then(|| {
        let (service, name) = (Arc::clone(running), core.info.name.clone());
        Box::new(move || stop::begin(&service, StopReason::Overflow(name))) as OnOverflow
    });
    let pump = Pump::new(Arc::clone(&core), subscription, on_overflow);
    let (stop, told_to_stop) = watch::channel(None);
    let (ending, ended) = watch::channel(None);
    let service = Arc::clone(running);
    running.runtime.spawn(async move {
        let end = pump.run(told_to_stop).await;
        if end == PumpEnd::ConnectionClosed {
            stop::begin(&service, StopReason::ConnectionClosed);
        }
        ending.send_replace(Some(end));
    });
    running.add(|key| EndpointEntry {
        key,
        core,
        stop,
        ended,
    })
}
