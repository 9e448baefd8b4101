//! Code around handlers. spec: nats-micro 11
//!
//! Middleware sees the request, may change it or answer itself, and sees and may change the response. It is added to a
//! service, a group or an endpoint; outer levels are outermost, and within one level the first added is outermost.
//!
//! ```
//! use nats_micro::middleware::{Middleware, Next};
//! use nats_micro::{Request, Response, ServiceError};
//!
//! struct Maintenance;
//!
//! impl Middleware for Maintenance {
//!     async fn handle(&self, request: Request, next: Next) -> Response {
//!         if request.header("X-Force").is_none() {
//!             return Response::Error(ServiceError::unavailable());
//!         }
//!         next.run(request).await
//!     }
//! }
//! ```
//!
//! With middleware around it, what a handler says through [`Request::respond`] is held back: the last one wins, and it
//! is published once, after the outermost middleware has returned. A handler that says nothing is silent.
//! [Streaming](crate::Endpoint::streaming) endpoints are the exception: there replies go out at once, and middleware
//! sees only what the handler returns.
//!
//! Ready-made, in the order in which they are best added:
//!
//! | Middleware | What it does | Feature |
//! |---|---|---|
//! | `Tracing` | a span within the caller's trace | `trace` (default) |
//! | `Metrics` | counts and times for Prometheus | `metrics` |
//! | [`Logging`] | an event in the log for each request | |
//! | [`Auth`] | lets through only those who may call | |
//! | [`RateLimit`] | so many requests in a time, else 429 | |
//! | [`ConcurrencyLimit`] | so many requests at the same time, else 503 | |
//! | [`Timeout`] | so much time, else 504 | |
//! | `Compression` | gzip and snappy | `compression` |
//! | `tower_layer` on [`Endpoint`](crate::Endpoint), [`Group`](crate::Group), [`ServiceBuilder`](crate::ServiceBuilder) | layers of the `tower` package | `tower` |
//!
//! Those that refuse count what they refuse: keep a clone to ask it.

mod auth;
#[cfg(feature = "compression")]
mod compression;
mod concurrency_limit;
mod logging;
#[cfg(feature = "metrics")]
mod metrics;
mod outcome;
mod rate_limit;
mod timeout;
#[cfg(feature = "tower")]
mod tower_layer;
#[cfg(feature = "trace")]
mod trace;

pub use auth::{Auth, AuthFn, Authenticate, BearerIdentity, BearerTokens};
#[cfg(feature = "compression")]
pub use compression::{Compression, CompressionRefusals};
pub use concurrency_limit::ConcurrencyLimit;
pub use logging::Logging;
#[cfg(feature = "metrics")]
pub use metrics::Metrics;
pub use rate_limit::{RETRY_AFTER, RETRY_AFTER_MS, RateLimit};
pub use timeout::Timeout;
#[cfg(feature = "tower")]
pub(crate) use tower_layer::TowerLayered;
#[cfg(feature = "tower")]
pub use tower_layer::{HandlerFuture, HandlerService, TowerLayer};
#[cfg(feature = "trace")]
pub use trace::{TraceContext, Tracing};

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::handler::{BoxFuture, Chain, DynHandler};
use crate::request::Request;
use crate::response::Response;

/// Code around a handler.
pub trait Middleware: Send + Sync + 'static {
    /// Handles a request, usually by passing it on to `next`.
    ///
    /// The future is dropped when the service's stop takes too long, or by middleware further out.
    fn handle(&self, request: Request, next: Next) -> impl Future<Output = Response> + Send;
}

/// What is further in: other middleware and, at last, the handler.
#[derive(Clone)]
pub struct Next(Chain);

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").finish_non_exhaustive()
    }
}

impl Next {
    /// Passes the request on.
    ///
    /// Dropping the future ends the handling of the request.
    pub async fn run(self, request: Request) -> Response {
        self.0.call(request).await
    }
}

/// One middleware at its place, to be put around a chain.
pub(crate) trait Layer: Send + Sync + fmt::Debug {
    fn wrap(self: Arc<Self>, inner: Chain) -> Chain;
}

pub(crate) struct MiddlewareLayer<M>(pub(crate) M);

impl<M> fmt::Debug for MiddlewareLayer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::any::type_name::<M>())
    }
}

impl<M: Middleware> Layer for MiddlewareLayer<M> {
    fn wrap(self: Arc<Self>, inner: Chain) -> Chain {
        Arc::new(Layered { layer: self, inner })
    }
}

struct Layered<M> {
    layer: Arc<MiddlewareLayer<M>>,
    inner: Chain,
}

impl<M: Middleware> DynHandler for Layered<M> {
    fn call(&self, request: Request) -> BoxFuture<Response> {
        let (layer, next) = (Arc::clone(&self.layer), Next(Arc::clone(&self.inner)));
        Box::pin(async move { layer.0.handle(request, next).await })
    }

    fn serve(&self, request: Request) -> BoxFuture<()> {
        let call = Arc::clone(request.call());
        let (layer, next) = (Arc::clone(&self.layer), Next(Arc::clone(&self.inner)));
        Box::pin(call.run(async move { layer.0.handle(request, next).await }))
    }
}
