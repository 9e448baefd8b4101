//! Connecting. spec: nats-micro 10.1

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::{Client, ConnectError, ConnectErrorKind, ServerAddr, ToServerAddrs};
use percent_encoding::percent_decode_str;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::events::{ConnectionEvent, Hub, Listener};
use super::{Context, Inner, RunError};

/// How a [`Context`] connects: the client's own options, and what a context adds.
///
/// ```
/// use std::time::Duration;
/// use nats_micro::ConnectOptions;
///
/// let options = ConnectOptions::from(async_nats::ConnectOptions::new().name("thumbnails").max_reconnects(60))
///     .connect_attempts(5, Duration::from_secs(2))
///     .reset_on_reconnect(true);
/// ```
#[derive(Clone, Default)]
pub struct ConnectOptions {
    nats: async_nats::ConnectOptions,
    retries: usize,
    retry_delay: Duration,
    reset_on_reconnect: bool,
    cancel_on_lame_duck: bool,
    listeners: Vec<Listener>,
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("nats", &self.nats)
            .field("retries", &self.retries)
            .field("retry_delay", &self.retry_delay)
            .field("reset_on_reconnect", &self.reset_on_reconnect)
            .field("cancel_on_lame_duck", &self.cancel_on_lame_duck)
            .finish_non_exhaustive()
    }
}

/// The client's options. Their event callback is replaced ([`ConnectOptions::on_event`] takes its place), and
/// `retry_on_initial_connect` must not be set: connecting would seem to have succeeded when it has not.
impl From<async_nats::ConnectOptions> for ConnectOptions {
    fn from(nats: async_nats::ConnectOptions) -> Self {
        Self {
            nats,
            ..Self::default()
        }
    }
}

impl ConnectOptions {
    /// The client's defaults: one attempt to connect, and afterwards reconnecting without end.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How often to try all servers at first, and how long to wait between; once unless set. A server that refuses us,
    /// or an address that is none, is not tried again.
    #[must_use]
    pub fn connect_attempts(mut self, attempts: usize, delay: Duration) -> Self {
        self.retries = attempts.saturating_sub(1);
        self.retry_delay = delay;
        self
    }

    /// Whether services begin to count anew after a reconnect; they go on counting unless set.
    #[must_use]
    pub fn reset_on_reconnect(mut self, reset: bool) -> Self {
        self.reset_on_reconnect = reset;
        self
    }

    /// Whether the context is cancelled when its server is about to shut down, so that its services leave while others
    /// can take over. Unless set, they stay and the client reconnects.
    #[must_use]
    pub fn cancel_on_lame_duck(mut self, cancel: bool) -> Self {
        self.cancel_on_lame_duck = cancel;
        self
    }

    /// Has a function called at every event of the connection, after those that were added before. It is called on the
    /// task that delivers the events, so it should be quick.
    #[must_use]
    pub fn on_event(mut self, callback: impl Fn(&ConnectionEvent) + Send + Sync + 'static) -> Self {
        self.listeners.push(Arc::new(callback));
        self
    }
}

pub(super) async fn connect(
    options: ConnectOptions,
    servers: impl ToServerAddrs,
) -> Result<Context, ConnectError> {
    let servers: Vec<_> = servers
        .to_server_addrs()
        .map_err(|error| ConnectError::with_source(ConnectErrorKind::ServerParse, error))?
        .collect();
    let nats = with_credentials(options.nats, &servers);
    let hub = Hub::with_listeners(options.listeners);
    let (client, closed) =
        retry(nats, &servers, &hub, options.retries, options.retry_delay).await?;
    let context = Context::with(client, Arc::clone(&hub), true);
    tokio::spawn(watch_end(
        Arc::downgrade(&context.0),
        Arc::clone(&hub),
        closed,
    ));
    hub.react(reactions(
        &context,
        options.reset_on_reconnect,
        options.cancel_on_lame_duck,
    ));
    Ok(context)
}

/// Tries until it succeeds or is in vain. The token is cancelled when the connection has ended for good.
async fn retry(
    nats: async_nats::ConnectOptions,
    servers: &[ServerAddr],
    hub: &Arc<Hub>,
    mut retries: usize,
    delay: Duration,
) -> Result<(Client, CancellationToken), ConnectError> {
    loop {
        let closed = CancellationToken::new();
        let end = closed.clone().drop_guard();
        let client = listening(nats.clone(), hub, end).connect(servers).await;
        match client {
            Ok(client) => return Ok((client, closed)),
            Err(error) if retries == 0 || !is_passing(&error) => return Err(error),
            Err(error) => tracing::info!(%error, retries, "cannot connect yet"),
        }
        retries -= 1;
        tokio::time::sleep(delay).await;
    }
}

/// The client drops its callback when the connection's task has ended: the one sign of a connection that is closed for
/// good which is there in all cases. Its event for that comes only when somebody asked for the end.
fn listening(
    nats: async_nats::ConnectOptions,
    hub: &Arc<Hub>,
    end: DropGuard,
) -> async_nats::ConnectOptions {
    let hub = Arc::clone(hub);
    let end = Arc::new(end);
    nats.event_callback(move |event| {
        let _until_here = Arc::clone(&end);
        hub.take(&event);
        std::future::ready(())
    })
}

/// Whether another attempt may succeed.
fn is_passing(error: &ConnectError) -> bool {
    match error.kind() {
        ConnectErrorKind::Dns | ConnectErrorKind::TimedOut | ConnectErrorKind::Io => true,
        ConnectErrorKind::ServerParse
        | ConnectErrorKind::Authentication
        | ConnectErrorKind::AuthorizationViolation
        | ConnectErrorKind::Tls
        | ConnectErrorKind::MaxReconnects => false,
    }
}

/// The credentials in the first address that has any; the client itself does not look at them. A user without password
/// is a token.
fn with_credentials(
    nats: async_nats::ConnectOptions,
    servers: &[ServerAddr],
) -> async_nats::ConnectOptions {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let Some(server) = servers.iter().find(|server| server.has_user_pass()) else {
        return nats;
    };
    let user = decoded(server.username().unwrap_or_default());
    match server.password() {
        Some(password) => nats.user_and_password(user, decoded(password)),
        None => nats.token(user),
    }
}

/// What the context itself does at events.
fn reactions(context: &Context, reset: bool, cancel_on_lame_duck: bool) -> Listener {
    let inner = Arc::downgrade(&context.0);
    Arc::new(move |event| {
        let Some(inner) = inner.upgrade() else {
            return;
        };
        match event {
            ConnectionEvent::Reconnected if reset => inner.reset(),
            ConnectionEvent::LameDuck if cancel_on_lame_duck => inner.cancelled.cancel(),
            ConnectionEvent::Closed
            | ConnectionEvent::Connected
            | ConnectionEvent::Disconnected
            | ConnectionEvent::LameDuck
            | ConnectionEvent::Missed { .. }
            | ConnectionEvent::Reconnected
            | ConnectionEvent::ServerError(_)
            | ConnectionEvent::SlowConsumer => {}
        }
    })
}

async fn watch_end(inner: Weak<Inner>, hub: Arc<Hub>, closed: CancellationToken) {
    closed.cancelled().await;
    // What listens may take its time; the context is to end now.
    if let Some(inner) = inner.upgrade() {
        inner.fail(RunError::ConnectionClosed);
    }
    hub.close();
}
