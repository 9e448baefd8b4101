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

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

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

    fn serve(&self, request: Request, waited: Duration) -> BoxFuture<()> {
        let call = Arc::clone(request.call());
        let (layer, next) = (Arc::clone(&self.layer), Next(Arc::clone(&self.inner)));
        Box::pin(call.run(waited, async move { layer.0.handle(request, next).await }))
    }
}
