//! Endpoints and groups as they are described before a service serves them. spec: nats-micro 2.4

mod plan;

pub(crate) use plan::{PlannedEndpoint, plan};

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::handler::{BlockingHandler, Chain, FnHandler, Handler, Innermost, JsonHandler};
use crate::metadata::Metadata;
use crate::middleware::{Layer, Middleware, MiddlewareLayer};
use crate::request::Request;
use crate::response::IntoResponse;
use crate::service_error::ServiceError;

/// How many requests of one endpoint run at the same time, unless it says otherwise.
pub const DEFAULT_CONCURRENCY: usize = 64;

/// How many requests of one endpoint may run at the same time at most.
pub const MAX_CONCURRENCY: usize = 1 << 20;

/// What may wait for an endpoint's handler. What goes beyond is answered with 503 at once and counted. 0 in either field
/// lets nothing wait: requests run at once or are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingLimits {
    /// Requests; 524,288 unless set.
    pub messages: usize,
    /// Their bytes, headers and subjects included; 128 MiB unless set.
    pub bytes: usize,
}

impl Default for PendingLimits {
    fn default() -> Self {
        Self {
            messages: 524_288,
            bytes: 134_217_728,
        }
    }
}

/// What happens when the pending limits are reached, besides the refusal of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The service goes on.
    #[default]
    Refuse,
    /// The service stops, as services in Go do.
    StopService,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum QueueGroup {
    Named(String),
    None,
}

/// What an endpoint or group may leave to the level above it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inherited {
    queue_group: Option<QueueGroup>,
    pending_limits: Option<PendingLimits>,
    concurrency: Option<usize>,
    /// Outermost first.
    layers: Vec<Arc<dyn Layer>>,
}

macro_rules! inherited_setters {
    () => {
        /// The queue group; what is not set here comes from the level above, at last `q`. Each request goes to one
        /// member of the group.
        #[must_use]
        pub fn queue_group(mut self, queue_group: impl Into<String>) -> Self {
            self.inherited.set_queue_group(queue_group.into());
            self
        }

        /// No queue group: every instance gets every request. Wins over a name given at the same level; a name given
        /// further in wins over this.
        #[must_use]
        pub fn no_queue_group(mut self) -> Self {
            self.inherited.set_no_queue_group();
            self
        }

        /// How much may wait for an endpoint's handler.
        #[must_use]
        pub fn pending_limits(mut self, limits: $crate::PendingLimits) -> Self {
            self.inherited.set_pending_limits(limits);
            self
        }

        /// How many requests of one endpoint run at the same time; 64 unless set. 1 gives serial order.
        #[must_use]
        pub fn concurrency(mut self, requests: usize) -> Self {
            self.inherited.set_concurrency(requests);
            self
        }

        /// Adds middleware, inside what was added before.
        #[must_use]
        pub fn middleware(mut self, middleware: impl $crate::middleware::Middleware) -> Self {
            self.inherited.add_middleware(middleware);
            self
        }

        /// Adds a layer of the `tower` package as middleware, inside what was added before. Each endpoint has its own
        /// service of the layer, made when its first request comes.
        #[cfg(feature = "tower")]
        #[must_use]
        pub fn tower_layer(mut self, layer: impl $crate::middleware::TowerLayer) -> Self {
            self.inherited.add_tower_layer(layer);
            self
        }
    };
}

impl Inherited {
    pub(crate) fn set_queue_group(&mut self, queue_group: String) {
        // Disabled wins over a name at the same level.
        if self.queue_group != Some(QueueGroup::None) {
            self.queue_group = Some(QueueGroup::Named(queue_group));
        }
    }

    pub(crate) fn set_no_queue_group(&mut self) {
        self.queue_group = Some(QueueGroup::None);
    }

    pub(crate) fn set_pending_limits(&mut self, limits: PendingLimits) {
        self.pending_limits = Some(limits);
    }

    pub(crate) fn set_concurrency(&mut self, requests: usize) {
        self.concurrency = Some(requests);
    }

    pub(crate) fn add_middleware(&mut self, middleware: impl Middleware) {
        self.layers.push(Arc::new(MiddlewareLayer(middleware)));
    }

    #[cfg(feature = "tower")]
    pub(crate) fn add_tower_layer(&mut self, layer: impl crate::middleware::TowerLayer) {
        let layer = crate::middleware::TowerLayered(layer);
        self.layers.push(Arc::new(layer));
    }

    /// What is said further in wins; middleware further in is further in.
    fn with_inner(&self, inner: &Self) -> Self {
        Self {
            queue_group: inner
                .queue_group
                .clone()
                .or_else(|| self.queue_group.clone()),
            pending_limits: inner.pending_limits.or(self.pending_limits),
            concurrency: inner.concurrency.or(self.concurrency),
            layers: self.layers.iter().chain(&inner.layers).cloned().collect(),
        }
    }

    fn wire_queue_group(&self) -> Option<String> {
        match &self.queue_group {
            Some(QueueGroup::Named(name)) => Some(name.clone()),
            Some(QueueGroup::None) => None,
            None => Some(crate::DEFAULT_QUEUE_GROUP.to_owned()),
        }
    }
}

/// A subject with its handler.
///
/// ```
/// use nats_micro::{Endpoint, Request, ServiceError};
///
/// // The handler returns the reply, or answers through the request.
/// let echo = Endpoint::new("echo", |request: Request| async move { request.payload().clone() });
/// let sum = Endpoint::json("sum", |numbers: Vec<i64>| async move {
///     Ok::<_, ServiceError>(numbers.iter().sum::<i64>())
/// });
/// let twice = Endpoint::new("twice", |request: Request| async move {
///     let _ = request.respond("1").await;
///     let _ = request.respond("2").await;
/// });
/// ```
#[derive(Clone)]
pub struct Endpoint {
    name: String,
    subject: Option<String>,
    metadata: Metadata,
    inherited: Inherited,
    overflow: Overflow,
    handler: Chain,
    spawned: bool,
    streaming: bool,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("name", &self.name)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// An endpoint whose handler is an async function of the request. Its return value is the reply: bytes, text,
    /// [`Json`](crate::Json), a [`Reply`](crate::Reply), a `Result` of those with a [`ServiceError`], or `()` for
    /// nothing more than what was said through [`Request::respond`]. It runs in the endpoint's task and must not block its
    /// thread; [`blocking`](Self::blocking) is for those that do.
    pub fn new<F, Fut>(name: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoResponse> + Send + 'static,
    {
        Self::from_handler(name, FnHandler(handler))
    }

    /// An endpoint whose handler takes and returns values that travel as JSON. A request that cannot be read as such is
    /// answered with 400.
    pub fn json<F, I, Fut, O, E>(name: impl Into<String>, handler: F) -> Self
    where
        F: Fn(I) -> Fut + Send + Sync + 'static,
        I: DeserializeOwned + 'static,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
        O: Serialize + 'static,
        E: Into<ServiceError> + 'static,
    {
        Self::from_handler(name, JsonHandler(handler, PhantomData))
    }

    /// An endpoint whose handler blocks its thread; it runs on tokio's blocking pool. When a stop takes too long the
    /// caller gets 503 and the thread is left to end on its own.
    pub fn blocking<F, R>(name: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Request) -> R + Send + Sync + 'static,
        R: IntoResponse + 'static,
    {
        Self::from_handler(name, BlockingHandler(Arc::new(handler)))
    }

    /// An endpoint with a handler of a type of its own.
    pub fn from_handler(name: impl Into<String>, handler: impl Handler) -> Self {
        Self {
            name: name.into(),
            subject: None,
            metadata: Metadata::new(),
            inherited: Inherited::default(),
            overflow: Overflow::default(),
            handler: Arc::new(Innermost(Arc::new(handler))),
            spawned: false,
            streaming: false,
        }
    }

    /// The subject below that of its groups; the name unless set. Wildcards are allowed.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Adds one pair of metadata.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    inherited_setters!();

    /// What happens when the pending limits are reached.
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Runs each request as a task of its own instead of in the endpoint's task: dearer, but a handler that computes for
    /// long between its awaits then holds up no other request.
    #[must_use]
    pub fn spawn(mut self) -> Self {
        self.spawned = true;
        self
    }

    /// Replies go out when the handler says them, also behind middleware.
    #[must_use]
    pub fn streaming(mut self) -> Self {
        self.streaming = true;
        self
    }
}

/// Endpoints that share the beginning of their subjects, and what they do not say themselves.
///
/// ```
/// use nats_micro::{Endpoint, Group, Request};
///
/// let get = Endpoint::new("get", |request: Request| async move { request.payload().clone() });
/// // Serves `shop.orders.get`.
/// let shop = Group::new("shop").group(Group::new("orders").endpoint(get));
/// ```
#[derive(Debug, Clone)]
pub struct Group {
    prefix: String,
    inherited: Inherited,
    members: Vec<Member>,
}

#[derive(Debug, Clone)]
enum Member {
    Endpoint(Box<Endpoint>),
    Group(Group),
}

impl Group {
    /// A group with a prefix of subjects; empty for none.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into(),
            inherited: Inherited::default(),
            members: Vec::new(),
        }
    }

    inherited_setters!();

    /// Adds an endpoint.
    #[must_use]
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.members.push(Member::Endpoint(Box::new(endpoint)));
        self
    }

    pub(crate) fn without_members(&self) -> Self {
        Self {
            members: Vec::new(),
            ..self.clone()
        }
    }

    /// Adds a group below this one.
    #[must_use]
    pub fn group(mut self, group: Self) -> Self {
        self.members.push(Member::Group(group));
        self
    }
}
