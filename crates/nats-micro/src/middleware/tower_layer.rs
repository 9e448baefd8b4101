//! Layers of the `tower` package around handlers.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;
use tower::{BoxError, Service};

use super::Layer;
use super::timeout::deadline_exceeded;
use crate::handler::{BoxFuture, Chain, DynHandler};
use crate::request::Request;
use crate::response::Response;
use crate::service_error::ServiceError;

/// A `tower` layer that can be put around a handler; every layer with these properties is one.
///
/// What it makes is cloned for each request, so that layers whose services cannot be cloned (`RateLimitLayer`) need a
/// `BufferLayer` around them. Errors that it fails with become error replies: `Elapsed` 504, `Overloaded` 503, a
/// [`ServiceError`] itself, any other 500.
pub trait TowerLayer:
    tower::Layer<HandlerService, Service = Self::Stack> + Send + Sync + 'static
{
    /// What it makes of a handler.
    type Stack: Service<Request, Response = Response, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static;
}

impl<L> TowerLayer for L
where
    L: tower::Layer<HandlerService> + Send + Sync + 'static,
    L::Service: Service<Request, Response = Response, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
{
    type Stack = L::Service;
}

/// A handler, and what is around it further in, as a `tower` service. It is always ready: an endpoint's limits are
/// applied before.
#[derive(Clone)]
pub struct HandlerService(Chain);

impl fmt::Debug for HandlerService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerService").finish_non_exhaustive()
    }
}

impl Service<Request> for HandlerService {
    type Response = Response;
    type Error = Infallible;
    type Future = HandlerFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> HandlerFuture {
        HandlerFuture(self.0.call(request))
    }
}

/// The handling of one request.
pub struct HandlerFuture(BoxFuture<Response>);

impl fmt::Debug for HandlerFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerFuture").finish_non_exhaustive()
    }
}

impl Future for HandlerFuture {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

/// A `tower` layer at its place, to be put around a chain.
pub(crate) struct TowerLayered<L>(pub(crate) L);

impl<L> fmt::Debug for TowerLayered<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::any::type_name::<L>())
    }
}

impl<L: TowerLayer> Layer for TowerLayered<L> {
    fn wrap(self: Arc<Self>, inner: Chain) -> Chain {
        Arc::new(Stacked {
            layer: self,
            inner: HandlerService(inner),
            stack: Arc::default(),
        })
    }
}

/// One endpoint's stack.
struct Stacked<L: TowerLayer> {
    layer: Arc<TowerLayered<L>>,
    inner: HandlerService,
    /// Made once, so that what the layer counts or holds is kept from request to request; when the first comes, because
    /// some layers need a runtime.
    stack: Arc<OnceLock<Mutex<L::Stack>>>,
}

impl<L: TowerLayer> Stacked<L> {
    fn handle(&self, request: Request) -> impl Future<Output = Response> + Send + use<L> {
        let layer = Arc::clone(&self.layer);
        let (inner, stack) = (self.inner.clone(), Arc::clone(&self.stack));
        // Within the future, so that a panic of the layer is caught.
        async move {
            let made = stack.get_or_init(|| Mutex::new(layer.0.layer(inner)));
            let service = made.lock().unwrap_or_else(PoisonError::into_inner).clone();
            answer(service, request).await
        }
    }
}

impl<L: TowerLayer> DynHandler for Stacked<L> {
    fn call(&self, request: Request) -> BoxFuture<Response> {
        Box::pin(self.handle(request))
    }

    fn serve(&self, request: Request) -> BoxFuture<()> {
        let call = Arc::clone(request.call());
        Box::pin(call.run(self.handle(request)))
    }
}

async fn answer<S>(mut service: S, request: Request) -> Response
where
    S: Service<Request, Response = Response, Error: Into<BoxError>>,
{
    if let Err(error) = poll_fn(|cx| service.poll_ready(cx)).await {
        return Response::Error(service_error(error.into()));
    }
    match service.call(request).await {
        Ok(response) => response,
        Err(error) => Response::Error(service_error(error.into())),
    }
}

/// What a layer failed with may be wrapped by others (`BufferLayer`).
fn service_error(error: BoxError) -> ServiceError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&*error);
    while let Some(known) = cause {
        if let Some(error) = known.downcast_ref::<ServiceError>() {
            return error.clone();
        }
        if known.is::<Elapsed>() {
            return deadline_exceeded();
        }
        if known.is::<Overloaded>() {
            return ServiceError::unavailable();
        }
        cause = known.source();
    }
    ServiceError::internal(error)
}
