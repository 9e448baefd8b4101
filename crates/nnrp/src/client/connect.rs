//! Sessions over connections that are made when they are needed, once or again and again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use nnrp_wire::session::{Failure, PeerError};
use nnrp_wire::{ControlExtension, ControlExtensionType, ErrorCode, TransportId, TransportPolicy};
use tokio::time::{Instant, sleep, timeout_at};

use super::core::Core;
use super::error::{ConnectError, SessionEnd};
use super::event::SessionEvent;
use super::options::{ConnectOptions, ReconnectOptions};
use super::session::{Session, begin};
use crate::dial::{DialPolicy, Dialer};
use crate::driver::later;
use crate::endpoint::Endpoint;
use crate::link::Link;
use crate::probe::probe;

/// Makes connections: for a session, for those that replace it, and for moving it to another transport.
#[derive(Clone)]
pub struct Connector(Arc<Make>);

type Make = dyn Fn(Wanted) -> BoxFuture<'static, Result<Link, DynError>> + Send + Sync;
type DynError = Arc<dyn std::error::Error + Send + Sync>;

/// Which connection is wanted.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Wanted {
    /// Of which transport; `None` is any.
    pub transport: Option<TransportId>,
    /// Until when; after that, nobody waits for it any more.
    pub deadline: Instant,
}

impl Connector {
    /// Any way to make connections.
    pub fn new<F, E>(connect: impl Fn(Wanted) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Link, E>> + Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        Self(Arc::new(move |wanted| {
            let connecting = connect(wanted);
            Box::pin(async move {
                let link = connecting.await;
                link.map_err(|error| -> DynError { Arc::new(error) })
            })
        }))
    }

    /// Dials, by this policy where no transport is wanted.
    #[must_use]
    pub fn dialing(dialer: &Dialer, endpoint: &Endpoint, policy: DialPolicy) -> Self {
        let (dialer, endpoint) = (dialer.clone(), endpoint.clone());
        Self::new(move |wanted| {
            let (dialer, endpoint) = (dialer.clone(), endpoint.clone());
            async move {
                match wanted.transport {
                    Some(transport) => dialer.dial(&endpoint, transport, wanted.deadline).await,
                    None => {
                        let dialing = dialer.dial_by_policy(&endpoint, policy, wanted.deadline);
                        dialing.await
                    }
                }
            }
        })
    }

    /// A connection of this transport, or of any.
    pub(super) async fn connect(
        &self,
        transport: Option<TransportId>,
        deadline: Instant,
    ) -> Result<Link, Option<DynError>> {
        let wanted = Wanted {
            transport,
            deadline,
        };
        match timeout_at(deadline, (self.0)(wanted)).await {
            Ok(link) => link.map_err(Some),
            Err(_) => Err(None),
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Session {
    /// Connects to a server and begins a session there. With [`ConnectOptions::probe`], its transports are probed first, and
    /// the better one is used; else [`ConnectOptions::policy`] says which. The hello tells the server what was chosen.
    ///
    /// If this is dropped before it is ready, what was begun ends.
    ///
    /// # Errors
    /// If there is no session within [`ClientOptions::connect_timeout`](nnrp_wire::session::ClientOptions::connect_timeout),
    /// which begins when probing is done. The first one is tried once, whatever [`ConnectOptions::reconnect`] says.
    pub async fn connect(
        dialer: &Dialer,
        endpoint: &Endpoint,
        mut options: ConnectOptions,
    ) -> Result<Self, ConnectError> {
        if let Some(probing) = &options.probe {
            // Boxed, as it holds the state of handshakes.
            let probed = Box::pin(probe(dialer, endpoint, probing)).await;
            let probed = probed.map_err(|error| ConnectError::Dial(Arc::new(error)))?;
            options.policy = match probed.winner {
                TransportId::Quic => DialPolicy::PreferQuic,
                TransportId::Tcp | TransportId::Unspecified => DialPolicy::PreferTcp,
            };
        }
        let policy = options.policy;
        let connector = Connector::dialing(dialer, endpoint, policy);
        Self::connect_with(connector, with_policy(options, policy)).await
    }

    /// As [`Self::connect`], with connections that are made in any way.
    ///
    /// If this is dropped before it is ready, what was begun ends.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_with(
        connector: Connector,
        options: ConnectOptions,
    ) -> Result<Self, ConnectError> {
        let core = Arc::new(Core::new(options, Some(connector.clone())));
        connect_once(&core, &connector).await?;
        if let Some(reconnect) = core.options.reconnect {
            tokio::spawn(keep_connected(Arc::clone(&core), connector, reconnect));
        }
        Ok(Self::new(core))
    }
}

/// The hello says what was chosen, unless it says so already. spec: nnrp-session 2.2
fn with_policy(options: ConnectOptions, policy: DialPolicy) -> ConnectOptions {
    let (policy, transport) = match policy {
        DialPolicy::Auto => return options,
        DialPolicy::PreferQuic => (TransportPolicy::PreferQuic, TransportId::Quic),
        DialPolicy::PreferTcp => (TransportPolicy::PreferTcp, TransportId::Tcp),
        DialPolicy::ForceQuic => (TransportPolicy::ForceQuic, TransportId::Quic),
        DialPolicy::ForceTcp => (TransportPolicy::ForceTcp, TransportId::Tcp),
    };
    let known = ControlExtensionType::ClientTransportPolicy.number();
    let mut extensions = options.session.hello.extensions.iter();
    if extensions.any(|extension| extension.ext_type == known) {
        return options;
    }
    options.with_extension(ControlExtension::client_transport_policy(policy, transport))
}

async fn connect_once(core: &Arc<Core>, connector: &Connector) -> Result<(), ConnectError> {
    let timeout = core.options.session.connect_timeout;
    let deadline = later(Instant::now(), timeout);
    let link = connector.connect(None, deadline).await;
    let link = link.map_err(|error| match error {
        Some(error) => ConnectError::Dial(error),
        None => ConnectError::Timeout { timeout },
    });
    begin(core, link?, deadline).await
}

/// Until the session has ended for good.
async fn keep_connected(core: Arc<Core>, connector: Connector, options: ReconnectOptions) {
    let (mut backoffs, mut began) = (0, Instant::now());
    while core.wait_lost().await {
        // A session that ends as soon as it is there is no reason to hurry.
        if began.elapsed() >= options.backoff_max {
            backoffs = 0;
        }
        let reconnected = tokio::select! {
            biased;
            _ = core.wait_ended() => return,
            reconnected = reconnect(&core, &connector, options, &mut backoffs) => reconnected,
        };
        match reconnected {
            Ok(()) => {
                began = Instant::now();
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
    backoffs: &mut u32,
) -> Result<(), SessionEnd> {
    let mut attempts = 0;
    let mut least = Duration::ZERO;
    loop {
        sleep(backoff(*backoffs, options).max(least)).await;
        *backoffs = backoffs.saturating_add(1);
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
fn backoff(before: u32, options: ReconnectOptions) -> Duration {
    let doubled = options
        .backoff_min
        .saturating_mul(1_u32.checked_shl(before).unwrap_or(u32::MAX));
    let longest = doubled.min(options.backoff_max);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// Not where the server will say the same again.
fn is_worth_another(error: &ConnectError) -> bool {
    match error {
        ConnectError::Hello(_) => false,
        ConnectError::Dial(_) | ConnectError::Timeout { .. } | ConnectError::Closed => true,
        ConnectError::Failed(failure) => {
            let code = said(failure).and_then(|error| error.metadata.known_code());
            let is_final = matches!(
                code,
                Some(
                    ErrorCode::AuthFailed
                        | ErrorCode::UnsupportedVersion
                        | ErrorCode::UnsupportedCapability
                )
            );
            !is_final && !matches!(**failure, Failure::Ack(_))
        }
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
    let wait_ms = said(failure).map_or(0, |error| error.metadata.retry_after_ms);
    Duration::from_millis(u64::from(wait_ms))
}

fn said(failure: &Failure) -> Option<&PeerError> {
    if let Failure::Peer(error) = failure {
        Some(error)
    } else {
        None
    }
}
