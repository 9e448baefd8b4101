//! Sessions over connections that are made when they are needed, once or again and again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use nnrp_wire::ErrorCode;
use nnrp_wire::session::Failure;
use tokio::time::{Instant, sleep, timeout_at};

use super::core::Core;
use super::error::{ConnectError, SessionEnd};
use super::event::SessionEvent;
use super::options::{ConnectOptions, ReconnectOptions};
use super::session::{Session, begin};
use crate::link::Link;

/// Makes connections, for a session and for those that replace it.
#[derive(Clone)]
pub struct Connector(Arc<Make>);

type Make = dyn Fn(Instant) -> BoxFuture<'static, Result<Link, DynError>> + Send + Sync;
type DynError = Arc<dyn std::error::Error + Send + Sync>;

impl Connector {
    /// `connect` makes a connection, and is told until when; it is dropped after that.
    pub fn new<F, E>(connect: impl Fn(Instant) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Link, E>> + Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        Self(Arc::new(move |deadline| {
            let connecting = connect(deadline);
            Box::pin(async move {
                let link = connecting.await;
                link.map_err(|error| -> DynError { Arc::new(error) })
            })
        }))
    }

    pub(super) async fn connect(&self, deadline: Instant) -> Result<Link, DynError> {
        (self.0)(deadline).await
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Session {
    /// Makes a connection and begins a session over it. With [`ConnectOptions::reconnect`], another one follows when it has
    /// ended without being asked to.
    ///
    /// If this is dropped before it is ready, what was begun ends.
    ///
    /// # Errors
    /// If there is no session in time. The first one is tried once.
    pub async fn connect_with(
        connector: Connector,
        options: ConnectOptions,
    ) -> Result<Self, ConnectError> {
        let core = Arc::new(Core::new(options));
        connect_once(&core, &connector).await?;
        if let Some(reconnect) = core.options.reconnect {
            tokio::spawn(keep_connected(Arc::clone(&core), connector, reconnect));
        }
        Ok(Self::new(core))
    }
}

async fn connect_once(core: &Arc<Core>, connector: &Connector) -> Result<(), ConnectError> {
    let timeout = core.options.session.connect_timeout;
    let deadline = Instant::now() + timeout;
    let link = timeout_at(deadline, connector.connect(deadline)).await;
    let link = link.map_err(|_| ConnectError::Timeout { timeout })?;
    begin(core, link.map_err(ConnectError::Dial)?, deadline).await
}

/// Until the session has ended for good.
async fn keep_connected(core: Arc<Core>, connector: Connector, options: ReconnectOptions) {
    while core.wait_lost().await {
        let reconnected = tokio::select! {
            biased;
            _ = core.wait_ended() => return,
            reconnected = reconnect(&core, &connector, options) => reconnected,
        };
        match reconnected {
            Ok(()) => {
                core.stats.reconnected();
                if let Some(established) = core.agreed().established.clone() {
                    core.tell(SessionEvent::Reconnected(established));
                }
            }
            Err(end) => core.ended(end),
        }
    }
}

async fn reconnect(
    core: &Arc<Core>,
    connector: &Connector,
    options: ReconnectOptions,
) -> Result<(), SessionEnd> {
    let mut attempts = 0;
    let mut least = Duration::ZERO;
    loop {
        sleep(backoff(attempts, options).max(least)).await;
        if core.is_closing() {
            return Err(SessionEnd::Closed);
        }
        attempts += 1;
        let Err(error) = connect_once(core, connector).await else {
            return Ok(());
        };
        tracing::debug!(%error, attempts, "no new session yet");
        let is_last = options.attempts_max.is_some_and(|max| attempts >= max);
        if is_last || !is_worth_another(&error) {
            let last = Box::new(error);
            return Err(SessionEnd::NotReconnected { attempts, last });
        }
        least = asked_to_wait(&error);
    }
}

/// Twice as long each time, half of it by chance: those who were cut off together do not come back together.
fn backoff(attempts: u32, options: ReconnectOptions) -> Duration {
    let doubled = options
        .backoff_min
        .saturating_mul(1_u32.checked_shl(attempts).unwrap_or(u32::MAX));
    let longest = doubled.min(options.backoff_max);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// Not where the server will say the same again.
fn is_worth_another(error: &ConnectError) -> bool {
    match error {
        ConnectError::Hello(_) => false,
        ConnectError::Dial(_) | ConnectError::Timeout { .. } | ConnectError::Closed => true,
        ConnectError::Failed(failure) => match &**failure {
            Failure::Ack(_) => false,
            Failure::Peer(error) => !matches!(
                error.metadata.known_code(),
                Some(
                    ErrorCode::AuthFailed
                        | ErrorCode::UnsupportedVersion
                        | ErrorCode::UnsupportedCapability
                )
            ),
            _ => true,
        },
    }
}

/// An overloaded server says when to come back.
fn asked_to_wait(error: &ConnectError) -> Duration {
    let failure = match error {
        ConnectError::Failed(failure) => failure,
        ConnectError::Dial(_)
        | ConnectError::Timeout { .. }
        | ConnectError::Hello(_)
        | ConnectError::Closed => return Duration::ZERO,
    };
    match &**failure {
        Failure::Peer(error) => Duration::from_millis(u64::from(error.metadata.retry_after_ms)),
        _ => Duration::ZERO,
    }
}
