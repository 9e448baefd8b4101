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
use crate::transport::{ConnectionClosed, Subscription, Transport};

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
}

/// A running service instance. Clones are handles to the same; when the last is dropped, it stops as if
/// [`stop`](Self::stop) had been called.
#[derive(Clone)]
pub struct Service(Arc<Handle>);

/// Stops the service when the last handle is gone. The service's own tasks hold only what is inside.
struct Handle(Arc<Running>);

impl Drop for Handle {
    fn drop(&mut self) {
        // Without a runtime nothing runs that could be stopped.
        if tokio::runtime::Handle::try_current().is_ok() {
            stop::begin(&self.0, StopReason::Requested);
        }
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
        // Until this returns, the subscriptions belong to it: an early end gives up all of them.
        let control = Control::subscribe(&running).await?;
        let mut endpoints = Vec::new();
        for planned in planned {
            endpoints.push(Subscribed::new(&running, planned).await?);
        }
        running.transport.fence().await?;
        for endpoint in endpoints {
            endpoint.spawn(&running);
        }
        tokio::spawn(control.run(Arc::clone(&running)));
        Ok(Self(Arc::new(Handle(running))))
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
    /// The description cannot be used, the service stops, or the connection is closed.
    ///
    /// Dropping the future adds nothing, or the whole endpoint.
    pub async fn add_endpoint(&self, endpoint: Endpoint) -> Result<EndpointHandle, AddError> {
        let added = self.add_group(Group::new("").endpoint(endpoint)).await?;
        added.first().copied().ok_or(AddError::Stopping)
    }

    /// Adds all endpoints of a group, or none.
    ///
    /// # Errors
    /// As [`add_endpoint`](Self::add_endpoint).
    ///
    /// Dropping the future adds nothing, or all.
    pub async fn add_group(&self, group: Group) -> Result<Vec<EndpointHandle>, AddError> {
        let running = self.running();
        let planned = plan(
            &running.defaults.clone().group(group),
            &running.control_prefix,
        )?;
        if running.stopping.is_cancelled() {
            return Err(AddError::Stopping);
        }
        let mut endpoints = Vec::new();
        for planned in planned {
            let subscribed = Subscribed::new(running, planned).await;
            endpoints.push(subscribed.map_err(AddError::Closed)?);
        }
        running.transport.fence().await.map_err(AddError::Closed)?;
        endpoints
            .into_iter()
            .map(|endpoint| endpoint.spawn(running).ok_or(AddError::Stopping))
            .collect()
    }

    /// Takes an endpoint out of the service: no new requests, those that run and wait are answered, within the stop's
    /// time limit. `false` if it is not there any more.
    ///
    /// Dropping the future changes nothing: the endpoint ends all the same.
    pub async fn remove_endpoint(&self, endpoint: EndpointHandle) -> bool {
        let running = Arc::clone(self.running());
        let Some(entry) = running.remove(endpoint.0) else {
            return false;
        };
        let removal = tokio::spawn(async move { stop::stop_endpoint(&running, entry).await });
        removal.await.is_ok()
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
                // The runtime went down before the stop was done.
                Ok(None) | Err(_) => Arc::new(StopReason::Requested),
            }
        }
    }

    /// Calls a function when the service has stopped.
    pub fn on_stopped(&self, callback: impl FnOnce(&StopReason) + Send + 'static) {
        let stopped = self.stopped();
        tokio::spawn(async move { callback(&*stopped.await) });
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

/// An endpoint that the broker sends requests to, and nobody takes them yet.
struct Subscribed {
    core: Arc<EndpointCore>,
    subscription: Subscription,
    overflow: Overflow,
}

impl Subscribed {
    async fn new(running: &Running, planned: PlannedEndpoint) -> Result<Self, ConnectionClosed> {
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
        Ok(Self {
            core,
            subscription,
            overflow,
        })
    }

    /// Starts the endpoint's task, unless the service stops.
    fn spawn(self, running: &Arc<Running>) -> Option<EndpointHandle> {
        let on_overflow = (self.overflow == Overflow::StopService).then(|| {
            let (service, name) = (Arc::clone(running), self.core.info.name.clone());
            Box::new(move || stop::begin(&service, StopReason::Overflow(name))) as OnOverflow
        });
        let pump = Pump::new(Arc::clone(&self.core), self.subscription, on_overflow);
        let (stop, told_to_stop) = watch::channel(None);
        let (ending, ended) = watch::channel(None);
        let key = running.add(|key| EndpointEntry {
            key,
            core: self.core,
            stop,
            ended,
        })?;
        let service = Arc::clone(running);
        tokio::spawn(async move {
            let end = pump.run(told_to_stop).await;
            if end == PumpEnd::ConnectionClosed {
                stop::begin(&service, StopReason::ConnectionClosed);
            }
            ending.send_replace(Some(end));
        });
        Some(EndpointHandle(key))
    }
}
