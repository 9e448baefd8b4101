//! A program around a context.

use std::error::Error;
use std::future::Future;
use std::io;
use std::sync::Arc;

use async_nats::{ConnectError, ToServerAddrs};
use thiserror::Error;

use super::{ConnectOptions, Context};
use crate::service::StopReason;

/// Why [`run`] failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The signals cannot be caught.
    #[error("signals cannot be caught")]
    Signals(#[source] io::Error),
    /// No connection.
    #[error("cannot connect to the broker")]
    Connect(#[source] ConnectError),
    /// The program's own setup failed.
    #[error("setup failed: {0}")]
    Setup(#[source] Box<dyn Error + Send + Sync>),
    /// The connection closed for good: the attempts to reconnect were used up.
    #[error("the connection to the broker is closed for good")]
    ConnectionClosed,
    /// A service stopped by itself.
    #[error("service {name}: {reason}")]
    Service {
        /// The service's name.
        name: String,
        /// Why it stopped.
        reason: Arc<StopReason>,
    },
    /// Somebody cancelled the context because of an error.
    #[error("{0}")]
    Cancelled(#[source] Box<dyn Error + Send + Sync>),
    /// A second signal came while the context was being left.
    #[error("interrupted before everything was done")]
    Interrupted,
}

/// Which signals end a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Signals {
    /// `SIGINT` and `SIGTERM`; elsewhere than on Unix, Ctrl-C. They stay caught when [`run`] has returned.
    #[default]
    Terminate,
    /// None.
    Ignore,
}

/// Runs a program: catches signals, connects, sets up, waits until the context is cancelled, and leaves it: services
/// stop in the reverse order, all that they have taken is answered, the connection is drained last.
///
/// The first signal cancels the context, a second one ends it at once. The connection closing for good cancels it too.
///
/// ```no_run
/// use nats_micro::{AddServiceError, ConnectOptions, Context, Endpoint, Request, Service, Signals, run};
///
/// async fn setup(context: Context) -> Result<(), AddServiceError> {
///     let echo = Endpoint::new("echo", |request: Request| async move { request.payload().clone() });
///     context.add_service(Service::builder("echo", "1.0.0").endpoint(echo)).await?;
///     Ok(())
/// }
///
/// # async fn example() -> Result<(), nats_micro::RunError> {
/// run(ConnectOptions::new(), "nats://127.0.0.1:4222", Signals::Terminate, setup).await
/// # }
/// ```
///
/// # Errors
/// Whatever kept it from running, or ended it otherwise than by a signal or [`Context::cancel`]. What had been set up
/// has been left properly by then, except after a second signal.
///
/// Dropping the future stops the services in the background; callbacks do not run.
pub async fn run<S, Fut, E>(
    options: ConnectOptions,
    servers: impl ToServerAddrs,
    signals: Signals,
    setup: S,
) -> Result<(), RunError>
where
    S: FnOnce(Context) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let mut trap = Trap::set(signals).map_err(RunError::Signals)?;
    let connected = tokio::select! {
        connected = Context::connect(options, servers) => connected,
        () = trap.sprung() => return Ok(()),
    };
    let context = connected.map_err(RunError::Connect)?;
    let set_up = tokio::select! {
        biased;
        () = trap.sprung() => Ok(()),
        set_up = Box::pin(context.wait_for(setup(context.clone()))) => set_up.unwrap_or(Ok(())),
    };
    match set_up {
        Ok(()) if !trap.has_sprung => tokio::select! {
            () = context.wait() => {}
            () = trap.sprung() => context.cancel(),
        },
        Ok(()) => context.cancel(),
        Err(error) => context.0.fail(RunError::Setup(error.into())),
    }
    let failure = context.take_failure();
    tokio::select! {
        biased;
        () = context.close() => failure.map_or(Ok(()), Err),
        () = trap.sprung() => Err(RunError::Interrupted),
    }
}

/// The signals, caught.
struct Trap {
    #[cfg(unix)]
    caught: Option<[tokio::signal::unix::Signal; 2]>,
    #[cfg(not(unix))]
    caught: bool,
    has_sprung: bool,
}

#[cfg(unix)]
impl Trap {
    fn set(signals: Signals) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let caught = match signals {
            Signals::Terminate => Some([
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
            ]),
            Signals::Ignore => None,
        };
        Ok(Self {
            caught,
            has_sprung: false,
        })
    }

    /// Completes at the next signal.
    async fn sprung(&mut self) {
        match &mut self.caught {
            Some([interrupt, terminate]) => tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            },
            None => std::future::pending().await,
        }
        self.has_sprung = true;
    }
}

#[cfg(not(unix))]
impl Trap {
    #[expect(clippy::unnecessary_wraps, reason = "as on Unix, where it can fail")]
    fn set(signals: Signals) -> io::Result<Self> {
        Ok(Self {
            caught: signals == Signals::Terminate,
            has_sprung: false,
        })
    }

    /// Completes at the next signal.
    async fn sprung(&mut self) {
        if !self.caught || tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.has_sprung = true;
    }
}
