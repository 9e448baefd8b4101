//! A service as it is described before it starts. spec: nats-micro 2.1

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;

use super::lifecycle::Service;
use crate::endpoint::{Endpoint, EndpointSnapshot, Group, PlannedEndpoint, plan};
use crate::metadata::{Metadata, check_metadata};
use crate::name::{ConfigError, check_control_prefix, check_id, check_service_name, check_version};
use crate::transport::{ConnectionClosed, FenceError, Transport};

/// How long a stop may take, unless a service says otherwise.
pub(crate) const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// Longer ones are cut to this, so that no time can overflow the clock.
const MAX_STOP_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pub(crate) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
pub(crate) type IdGenerator = Arc<dyn Fn() -> String + Send + Sync>;
pub(crate) type StatsHandler = Arc<dyn Fn(&EndpointSnapshot) -> Value + Send + Sync>;

/// Why a service did not start. Nothing of it is left then: starting is all or nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// Its description cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The connection cannot be used.
    #[error("the service cannot start: the connection to the broker is closed")]
    Closed(#[source] ConnectionClosed),
    /// The connection is lost at the moment, so that nobody knows whether the broker has the subscriptions.
    #[error("the service cannot start: the broker is away; try again when it is back")]
    BrokerAway,
}

impl From<FenceError> for StartError {
    fn from(error: FenceError) -> Self {
        match error {
            FenceError::Closed => Self::Closed(ConnectionClosed),
            FenceError::Away => Self::BrokerAway,
        }
    }
}

impl From<ConnectionClosed> for StartError {
    fn from(closed: ConnectionClosed) -> Self {
        Self::Closed(closed)
    }
}

/// Describes a service; made by [`Service::builder`].
#[derive(Clone)]
pub struct ServiceBuilder {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) description: String,
    pub(super) metadata: Metadata,
    /// Everything that all endpoints share, and the endpoints.
    root: Group,
    pub(crate) control_prefix: String,
    id: Option<String>,
    id_generator: IdGenerator,
    pub(super) clock: Clock,
    pub(super) stats_handler: Option<StatsHandler>,
    pub(super) stop_timeout: Duration,
}

impl fmt::Debug for ServiceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceBuilder")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

macro_rules! from_root {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $kind:ty),*);)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, $($argument: $kind),*) -> Self {
            self.root = self.root.$name($($argument),*);
            self
        }
    )*};
}

impl ServiceBuilder {
    pub(super) fn new(name: String, version: String) -> Self {
        Self {
            name,
            version,
            description: String::new(),
            metadata: Metadata::new(),
            root: Group::new(""),
            control_prefix: crate::DEFAULT_CONTROL_PREFIX.to_owned(),
            id: None,
            id_generator: Arc::new(|| nuid::next().to_string()),
            clock: Arc::new(Timestamp::now),
            stats_handler: None,
            stop_timeout: DEFAULT_STOP_TIMEOUT,
        }
    }

    /// What the service is for.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Adds one pair of metadata. Keys that begin with `_nats` are reserved.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    from_root! {
        /// Adds an endpoint.
        endpoint(endpoint: Endpoint);
        /// Adds a group of endpoints.
        group(group: Group);
        /// The queue group of all endpoints that do not say otherwise; `q` unless set.
        queue_group(queue_group: impl Into<String>);
        /// No queue group for endpoints that do not name one: every instance gets every request.
        no_queue_group();
        /// How much may wait for one endpoint's handler.
        pending_limits(limits: crate::PendingLimits);
        /// How many requests of one endpoint run at the same time; 64 unless set.
        concurrency(requests: usize);
        /// Adds middleware around all endpoints, inside what was added before.
        middleware(middleware: impl crate::middleware::Middleware);
    }

    #[cfg(feature = "tower")]
    from_root! {
        /// Adds a layer of the `tower` package around all endpoints, inside what was added before. Each endpoint has its
        /// own service of the layer, made when its first request comes.
        tower_layer(layer: impl crate::middleware::TowerLayer);
    }

    /// What control subjects begin with; `$SRV` unless set.
    #[must_use]
    pub fn control_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.control_prefix = prefix.into();
        self
    }

    /// The instance's id, instead of a generated one. Each instance needs its own.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// What makes ids for instances; without it, random ones of 22 characters.
    #[must_use]
    pub fn id_generator(mut self, generator: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.id_generator = Arc::new(generator);
        self
    }

    /// What tells the time for `started`; the system's clock unless set.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Makes the `data` of an endpoint's statistics. It is called when statistics are asked for, outside any lock, and
    /// must not block: other control requests wait meanwhile. A panic in it leaves `data` empty.
    #[must_use]
    pub fn stats_handler(
        mut self,
        handler: impl Fn(&EndpointSnapshot) -> Value + Send + Sync + 'static,
    ) -> Self {
        self.stats_handler = Some(Arc::new(handler));
        self
    }

    /// How long a stop may take before running requests are cut off with 503; 30 s unless set, a year at most.
    #[must_use]
    pub fn stop_timeout(mut self, timeout: Duration) -> Self {
        self.stop_timeout = timeout.min(MAX_STOP_TIMEOUT);
        self
    }

    /// Checks the description without starting anything.
    ///
    /// # Errors
    /// The first problem that is found.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.plan().map(drop)
    }

    /// Starts the service on a connection, which it shares with whatever else uses it, in the runtime that this is called
    /// in. When this returns, the broker has processed all subscriptions. One that it denied, for want of permission,
    /// cannot be told from here: it is a server error among the connection's events ([`Context`](crate::Context)).
    ///
    /// # Errors
    /// The description cannot be used, the connection is closed, or the broker is away. What had begun is stopped.
    ///
    /// Dropping the future stops what had begun, as [`Service::stop`] does.
    pub async fn start(self, client: &Client) -> Result<Service, StartError> {
        self.start_on(Transport::Nats(client.clone())).await
    }

    pub(crate) async fn start_on(self, transport: Transport) -> Result<Service, StartError> {
        let planned = self.plan()?;
        let id = self.id.clone().unwrap_or_else(|| (self.id_generator)());
        check_id(&id)?;
        Service::start(self, id, planned, transport).await
    }

    fn plan(&self) -> Result<Vec<PlannedEndpoint>, ConfigError> {
        check_service_name(&self.name)?;
        check_version(&self.version)?;
        check_metadata(&self.metadata)?;
        check_control_prefix(&self.control_prefix)?;
        plan(&self.root, &self.control_prefix)
    }

    /// What an endpoint that is added later inherits from the service.
    pub(super) fn defaults(&self) -> Group {
        self.root.without_members()
    }
}
