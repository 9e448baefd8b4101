//! From a user's function to what an endpoint's task runs.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;

use crate::endpoint::Call;
use crate::request::Request;
use crate::response::{IntoResponse, Json, Response};
use crate::service_error::ServiceError;

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A handler with all middleware around it.
pub(crate) type Chain = Arc<dyn DynHandler>;

/// What answers requests. Functions are turned into one by [`Endpoint::new`](crate::Endpoint::new) and its siblings;
/// implement it for a type that keeps state of its own.
///
/// ```
/// use nats_micro::{Endpoint, Handler, IntoResponse, Request, Response};
///
/// struct Greeter {
///     word: String,
/// }
///
/// impl Handler for Greeter {
///     async fn handle(&self, request: Request) -> Response {
///         let name = String::from_utf8_lossy(request.payload());
///         format!("{}, {name}!", self.word).into_response()
///     }
/// }
///
/// let greet = Endpoint::from_handler("greet", Greeter { word: "Hello".to_owned() });
/// ```
pub trait Handler: Send + Sync + 'static {
    /// Handles one request; an `async fn` will do. Requests run concurrently up to the endpoint's limit.
    ///
    /// The future is dropped when the service's stop takes too long, or by middleware that limits the time.
    fn handle(&self, request: Request) -> impl Future<Output = Response> + Send;
}

/// The object-safe twin of [`Handler`].
pub(crate) trait DynHandler: Send + Sync {
    /// One step of the chain.
    fn call(&self, request: Request) -> BoxFuture<Response>;

    /// The whole handling of a request, in one allocation.
    fn serve(&self, request: Request) -> BoxFuture<()>;
}

impl<H: Handler> DynHandler for Innermost<H> {
    fn call(&self, request: Request) -> BoxFuture<Response> {
        let call = Arc::clone(request.call());
        let handler = Arc::clone(&self.0);
        Box::pin(async move { settle(handler.handle(request).await, &call) })
    }

    // Without middleware nothing is held back.
    fn serve(&self, request: Request) -> BoxFuture<()> {
        let call = Arc::clone(request.call());
        // The handler is called when the future is polled, so that its panic is caught.
        let handler = Arc::clone(&self.0);
        Box::pin(call.run(async move { handler.handle(request).await }))
    }
}

/// What the handler returned, else what it last said where replies are held back.
fn settle(returned: Response, call: &Call) -> Response {
    match returned {
        Response::Silent => call.take_captured(),
        Response::Reply(_) | Response::Error(_) => returned,
    }
}

/// The end of the chain.
pub(crate) struct Innermost<H>(pub(crate) Arc<H>);

/// Runs each request as a task of its own: for handlers that compute for long between their awaits.
pub(crate) struct Spawned(pub(crate) Chain);

impl DynHandler for Spawned {
    fn call(&self, request: Request) -> BoxFuture<Response> {
        self.0.call(request)
    }

    fn serve(&self, request: Request) -> BoxFuture<()> {
        let task = AbortOnDrop(tokio::spawn(self.0.serve(request)));
        Box::pin(async move {
            // The task counts its own failures; it fails as a whole only when the runtime goes down.
            let _ = task.await;
        })
    }
}

/// A task that ends with its owner.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An async function of the request.
pub(crate) struct FnHandler<F>(pub(crate) F);

impl<F, Fut> Handler for FnHandler<F>
where
    F: Fn(Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoResponse> + Send + 'static,
{
    fn handle(&self, request: Request) -> impl Future<Output = Response> + Send {
        let answer = self.0(request);
        async move { answer.await.into_response() }
    }
}

/// An async function from a JSON value to a JSON value.
pub(crate) struct JsonHandler<F, I>(pub(crate) F, pub(crate) std::marker::PhantomData<fn(I)>);

impl<F, I, Fut, O, E> Handler for JsonHandler<F, I>
where
    F: Fn(I) -> Fut + Send + Sync + 'static,
    I: DeserializeOwned + 'static,
    Fut: Future<Output = Result<O, E>> + Send + 'static,
    O: Serialize + 'static,
    E: Into<ServiceError> + 'static,
{
    fn handle(&self, request: Request) -> impl Future<Output = Response> + Send {
        let answer = request.json().map(&self.0);
        async move {
            match answer {
                Ok(answer) => answer.await.map(Json).into_response(),
                Err(unreadable) => unreadable.into_response(),
            }
        }
    }
}

/// A function that blocks its thread.
pub(crate) struct BlockingHandler<F>(pub(crate) Arc<F>);

impl<F, R> Handler for BlockingHandler<F>
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: IntoResponse + 'static,
{
    fn handle(&self, request: Request) -> impl Future<Output = Response> + Send {
        let function = Arc::clone(&self.0);
        // One that has not begun when this is dropped does not begin.
        let task = AbortOnDrop(tokio::task::spawn_blocking(move || {
            function(request).into_response()
        }));
        async move {
            match task.await {
                Ok(response) => response,
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // The runtime goes down.
                Err(_) => ServiceError::unavailable().into_response(),
            }
        }
    }
}
