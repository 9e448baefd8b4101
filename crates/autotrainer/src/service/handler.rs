//! What answers commands. spec: autotrainer 8.4, 8.5

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use futures_util::FutureExt;
use thiserror::Error;
use tokio::sync::oneshot;

use crate::command::{Command, CommandRequest, CommandResponse, ResultCode};

pub(super) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Answers commands. An `async` closure of the request will do; implement it for a type that keeps state of its own.
///
/// A handler runs on the task that serves commands: what computes for long, or blocks, belongs into [`blocking`].
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. A panic is answered with `EXCEPTION`. The future is dropped when a
    /// [`Deadline::FailAfter`](super::Deadline::FailAfter) is over, or when a stop takes too long.
    ///
    /// `pending` is for work that goes on after `PENDING_WITH_NOTIFICATION` was answered.
    fn handle(
        &self,
        request: CommandRequest,
        pending: Pending,
    ) -> impl Future<Output = CommandResponse> + Send;
}

impl<F, Fut> Handler for F
where
    F: Fn(CommandRequest) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoCommandResponse> + Send,
{
    async fn handle(&self, request: CommandRequest, pending: Pending) -> CommandResponse {
        pending.forget();
        self(request).await.into_command_response()
    }
}

/// What a handler's closure may return.
pub trait IntoCommandResponse {
    /// The response.
    fn into_command_response(self) -> CommandResponse;
}

impl IntoCommandResponse for CommandResponse {
    fn into_command_response(self) -> CommandResponse {
        self
    }
}

/// An error is answered with `EXCEPTION`; its text goes to the client.
impl<E: fmt::Display> IntoCommandResponse for Result<CommandResponse, E> {
    fn into_command_response(self) -> CommandResponse {
        self.unwrap_or_else(|error| CommandResponse::exception(error.to_string()))
    }
}

/// A handler of a closure that gets the [`Pending`] too.
///
/// ```
/// use autotrainer_api::{CommandRequest, CommandResponse, Pending, ResultCode, with_pending};
///
/// let handler = with_pending(async |_: CommandRequest, pending: Pending| {
///     tokio::spawn(async move {
///         // ... drive the motor home, then:
///         let _ = pending.complete(CommandResponse::success());
///     });
///     CommandResponse::new(ResultCode::PendingWithNotification)
/// });
/// # let _ = autotrainer_api::Service::builder().handler(handler);
/// ```
pub fn with_pending<F, Fut>(handler: F) -> WithPending<F>
where
    F: Fn(CommandRequest, Pending) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoCommandResponse> + Send,
{
    WithPending(handler)
}

/// Made by [`with_pending`].
#[derive(Debug, Clone)]
pub struct WithPending<F>(F);

impl<F, Fut> Handler for WithPending<F>
where
    F: Fn(CommandRequest, Pending) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoCommandResponse> + Send,
{
    async fn handle(&self, request: CommandRequest, pending: Pending) -> CommandResponse {
        (self.0)(request, pending).await.into_command_response()
    }
}

/// A handler of a function that blocks or computes; it runs on a thread of its own, so that deadlines hold for it too.
/// Once it runs, nothing ends it but itself.
pub fn blocking<F, R>(handler: F) -> Blocking<F>
where
    F: Fn(CommandRequest) -> R + Send + Sync + 'static,
    R: IntoCommandResponse,
{
    Blocking(Arc::new(handler))
}

/// Made by [`blocking`].
#[derive(Debug, Clone)]
pub struct Blocking<F>(Arc<F>);

impl<F, R> Handler for Blocking<F>
where
    F: Fn(CommandRequest) -> R + Send + Sync + 'static,
    R: IntoCommandResponse,
{
    async fn handle(&self, request: CommandRequest, pending: Pending) -> CommandResponse {
        pending.forget();
        let handler = Arc::clone(&self.0);
        let run = move || handler(request).into_command_response();
        match tokio::task::spawn_blocking(run).await {
            Ok(response) => response,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => CommandResponse::unavailable(),
            },
        }
    }
}

/// Answers `NONE` with `SUCCESS`, as the protocol's documentation promises, and nothing else. spec: autotrainer 7.4
#[derive(Debug, Clone, Copy, Default)]
pub struct DefaultHandler;

impl Handler for DefaultHandler {
    async fn handle(&self, request: CommandRequest, _: Pending) -> CommandResponse {
        if request.command == Command::None {
            CommandResponse::success()
        } else {
            CommandResponse::new(ResultCode::Unrecognized)
        }
    }
}

/// The result that is owed for one command, if it is answered with `PENDING_WITH_NOTIFICATION`.
///
/// It knows command and nonce, and its result is never published before the answer was sent. Dropped without a result,
/// it publishes `FAILED`, so that no client waits for ever.
#[derive(Debug)]
pub struct Pending(oneshot::Sender<Option<CommandResponse>>);

pub(super) type LateAnswer = oneshot::Receiver<Option<CommandResponse>>;

/// Nobody is owed the result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the command was not answered with PENDING_WITH_NOTIFICATION, or the service has stopped")]
pub struct NotPending;

impl Pending {
    pub(super) fn new() -> (Self, LateAnswer) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// Publishes the result; may be called before the answer is returned, too.
    ///
    /// # Errors
    /// If the command has been answered with something else, or the service has stopped.
    pub fn complete(self, response: CommandResponse) -> Result<(), NotPending> {
        self.0.send(Some(response)).map_err(|_| NotPending)
    }

    /// The application publishes the result by itself.
    pub fn forget(self) {
        // An error says that nobody waits for it.
        let _ = self.0.send(None);
    }
}

/// What a handler answered, and where its late result will come from.
pub(super) type Outcome = (CommandResponse, LateAnswer);

/// The object-safe twin of [`Handler`].
trait DynHandler: Send + Sync {
    fn call(self: Arc<Self>, request: CommandRequest) -> BoxFuture<Outcome>;
}

impl<H: Handler> DynHandler for H {
    fn call(self: Arc<Self>, request: CommandRequest) -> BoxFuture<Outcome> {
        Box::pin(async move {
            let (pending, late) = Pending::new();
            // The handler is called when the future is polled, so that its panic is caught.
            let answer = async { self.handle(request, pending).await };
            let answer = AssertUnwindSafe(answer).catch_unwind().await;
            (answer.unwrap_or_else(|panic| panicked(&*panic)), late)
        })
    }
}

/// What a panic says is for the log: the handler did not choose to tell it. spec: autotrainer 8.3
fn panicked(panic: &(dyn std::any::Any + Send)) -> CommandResponse {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(
        panic = text.unwrap_or("no text"),
        "a command handler panicked"
    );
    CommandResponse::exception("The command handler panicked.")
}

/// The handler of a service; it can be replaced at any time, and each request meets the old one or the new one.
#[derive(Default)]
pub(super) struct HandlerSlot(RwLock<Option<Arc<dyn DynHandler>>>);

impl HandlerSlot {
    pub(super) fn set(&self, handler: impl Handler) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(handler));
    }

    pub(super) fn clear(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// `None` if there is no handler.
    pub(super) fn call(&self, request: &CommandRequest) -> Option<BoxFuture<Outcome>> {
        let slot = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let handler = Arc::clone(slot.as_ref()?);
        drop(slot);
        Some(handler.call(request.clone()))
    }
}

impl fmt::Debug for HandlerSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandlerSlot(..)")
    }
}
