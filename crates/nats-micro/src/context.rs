//! The run context: a connection, the services on it, and what is to be undone at the end. spec: nats-micro 10.1

mod connect;
mod events;
mod run;
mod unwind;

pub use connect::ConnectOptions;
pub use events::{ConnectionCounts, ConnectionEvent, ConnectionEvents};
pub use run::{RunError, Signals, run};

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::{Client, ToServerAddrs};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::service::{Service, ServiceBuilder, StartError, StopReason};
use events::Hub;
use unwind::{Entry, Stack};

/// The context was closed, or its connection was: nothing can be added to it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the context is closed; make a new one")]
pub struct ContextClosed;

/// Why a service was not added to a context.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AddServiceError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The context was closed meanwhile; the service is stopped again.
    #[error(transparent)]
    Closed(#[from] ContextClosed),
}

/// A connection with the services on it, a way to say that all of it is to end, and a stack of what is to be undone
/// then. Clones are handles to the same.
///
/// ```no_run
/// use nats_micro::{ConnectOptions, Context, Endpoint, Request, Service};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::connect(ConnectOptions::new(), "nats://127.0.0.1:4222").await?;
/// let echo = Endpoint::new("echo", |request: Request| async move { request.payload().clone() });
/// context.add_service(Service::builder("echo", "1.0.0").endpoint(echo)).await?;
/// context.push(|| async { println!("the last request was answered before this") })?;
/// context.wait().await;
/// context.close().await;
/// # Ok(()) }
/// ```
///
/// [`run`] does this, and ends it at a signal. When the last handle is dropped without [`close`](Self::close), services
/// stop in the background and callbacks do not run.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    client: Client,
    hub: Arc<Hub>,
    /// Whether the connection was made here, so that it is drained at the end.
    owns_connection: bool,
    cancelled: CancellationToken,
    unwound: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stack: Stack,
    /// Why the context was cancelled, if it was for an error; the first holds.
    failure: Option<RunError>,
    unwinding: bool,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("cancelled", &self.0.cancelled.is_cancelled())
            .finish_non_exhaustive()
    }
}

impl Context {
    /// A context on a connection that is somebody else's: closing the context leaves it open, and nothing is known of
    /// its events but what happens to services.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self::with(client, Hub::new(), false)
    }

    /// Connects. The context is cancelled when the connection closes for good, and [`close`](Self::close) drains it.
    ///
    /// # Errors
    /// No server could be reached within the attempts that the options allow, or one refused us.
    ///
    /// Dropping the future gives up connecting.
    pub async fn connect(
        options: ConnectOptions,
        servers: impl ToServerAddrs,
    ) -> Result<Self, async_nats::ConnectError> {
        Box::pin(connect::connect(options, servers)).await
    }

    fn with(client: Client, hub: Arc<Hub>, owns_connection: bool) -> Self {
        Self(Arc::new(Inner {
            client,
            hub,
            owns_connection,
            cancelled: CancellationToken::new(),
            unwound: CancellationToken::new(),
            state: Mutex::default(),
        }))
    }

    /// The connection.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// Starts a service, and stops it on leaving. A service that stops for another reason than that somebody asked for
    /// it cancels the context, which then counts as failed.
    ///
    /// # Errors
    /// It does not start, or the context is closed.
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn add_service(&self, service: ServiceBuilder) -> Result<Service, AddServiceError> {
        let service = service.start(self.client()).await?;
        self.push_entry(Entry::Service(service.clone()))?;
        let stopped = service.stopped();
        let (inner, name) = (Arc::downgrade(&self.0), service.name().to_owned());
        tokio::spawn(async move {
            let reason = stopped.await;
            if let Some(inner) = inner.upgrade() {
                inner.service_stopped(name, &reason);
            }
        });
        Ok(service)
    }

    /// Has a function called on leaving, before what was added earlier ends: after the services that are added later
    /// have stopped, while those before still serve. A panic in it is logged and stops nothing else.
    ///
    /// # Errors
    /// The context is closed already.
    pub fn push<F, Fut>(&self, callback: F) -> Result<(), ContextClosed>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.push_entry(Entry::Callback(Box::new(move || {
            Box::pin(callback()) as Pin<Box<dyn Future<Output = ()> + Send>>
        })))
    }

    fn push_entry(&self, entry: Entry) -> Result<(), ContextClosed> {
        self.0.state().stack.push(entry)
    }

    /// Says that all of it is to end. Nothing ends yet: whoever waits for it calls [`close`](Self::close).
    pub fn cancel(&self) {
        self.0.cancelled.cancel();
    }

    /// As [`cancel`](Self::cancel), because of an error: [`run`] then fails with it.
    pub fn cancel_with(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) {
        self.0.fail(RunError::Cancelled(error.into()));
    }

    /// Whether it is to end.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.is_cancelled()
    }

    /// Completes when it is to end, also for tasks that outlive the context.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static {
        self.0.cancelled.clone().cancelled_owned()
    }

    /// Waits until it is to end: because somebody cancelled it, its connection closed for good, or a service failed.
    ///
    /// Dropping the future changes nothing.
    pub async fn wait(&self) {
        self.0.cancelled.cancelled().await;
    }

    /// Runs a future until it is done, or drops it when the context is cancelled; `None` then.
    ///
    /// Dropping the future drops the one given.
    pub async fn wait_for<F: Future>(&self, future: F) -> Option<F::Output> {
        self.0.cancelled.run_until_cancelled(future).await
    }

    /// Sets the statistics of all services back. spec: nats-micro 7
    pub fn reset(&self) {
        self.0.reset();
    }

    /// The connection's events from now on; none for a connection that is somebody else's. The stream ends after
    /// [`ConnectionEvent::Closed`].
    #[must_use]
    pub fn events(&self) -> ConnectionEvents {
        self.0.hub.subscribe()
    }

    /// What has happened to the connection so far; nothing for one that is somebody else's.
    #[must_use]
    pub fn connection_counts(&self) -> ConnectionCounts {
        self.0.hub.counts()
    }

    /// Cancels the context and undoes what was added to it, the newest first: services stop, with all that they have
    /// taken answered, and callbacks run. The connection is drained last, if it was made by
    /// [`connect`](Self::connect). Calling it again only waits.
    ///
    /// Dropping the future changes nothing: all of it is undone all the same.
    pub async fn close(&self) {
        self.cancel();
        let first = !std::mem::replace(&mut self.0.state().unwinding, true);
        if first {
            tokio::spawn(unwind::unwind(Arc::clone(&self.0)));
        }
        self.0.unwound.cancelled().await;
    }

    /// Why it was cancelled, if it was for an error. Gives it once.
    fn take_failure(&self) -> Option<RunError> {
        self.0.state().failure.take()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens after the context was cancelled is part of leaving it, and no failure.
    fn fail(&self, error: RunError) {
        let mut state = self.state();
        if !self.cancelled.is_cancelled() && state.failure.is_none() {
            state.failure = Some(error);
        }
        drop(state);
        self.cancelled.cancel();
    }

    fn service_stopped(&self, name: String, reason: &Arc<StopReason>) {
        match **reason {
            StopReason::Requested => {}
            StopReason::ConnectionClosed => self.fail(RunError::ConnectionClosed),
            StopReason::Error(_) | StopReason::Interrupted | StopReason::Overflow(_) => {
                self.fail(RunError::Service {
                    name,
                    reason: Arc::clone(reason),
                });
            }
        }
    }

    fn reset(&self) {
        for service in self.state().stack.services() {
            service.reset();
        }
    }
}
