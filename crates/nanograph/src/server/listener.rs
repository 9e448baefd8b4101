//! Listening, and stopping.

use std::any::Any;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::announce::{Audience, announce_changes};
use super::connection::{Connection, status_start};
use super::registry::Registry;
use super::stats::Stats;
use super::{Backend, ServerError, ServerOptions, http};

/// How long to wait before accepting again after the system refused, as when there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A node server that listens; [`Self::serve`] makes it answer. See the [module](super).
#[must_use = "connections are only accepted while `serve` runs"]
pub struct Server<B: Backend> {
    listener: TcpListener,
    local_addr: SocketAddr,
    shared: Arc<Shared<B>>,
    shutdown_handlers: Vec<ShutdownHandler>,
}

/// What all connections of a server share.
pub(super) struct Shared<B: Backend> {
    pub(super) options: ServerOptions,
    pub(super) backend: B,
    pub(super) stats: Arc<Stats>,
    pub(super) registry: Arc<Registry<B::Handle>>,
    pub(super) audience: Audience,
    pub(super) stopping: CancellationToken,
    status_start: Arc<str>,
}

struct ShutdownHandler {
    name: String,
    work: Pin<Box<dyn Future<Output = Result<(), ShutdownError>> + Send>>,
}

/// Why a shutdown handler failed.
type ShutdownError = Box<dyn std::error::Error + Send + Sync>;

impl<B: Backend> Server<B> {
    /// Listens on `address`, such as `127.0.0.1:3017`; port 0 lets the system choose. There is no authentication unless
    /// [`ServerOptions::token`] is set: whoever can connect can execute nodes. spec: nanograph 19.5
    ///
    /// # Errors
    /// The address cannot be listened on.
    ///
    /// # Cancel safety
    /// Safe to drop: nothing listens then.
    pub async fn bind(
        address: &str,
        options: ServerOptions,
        backend: B,
    ) -> Result<Self, ServerError> {
        let refused = |source| ServerError::Bind {
            address: address.to_owned(),
            source,
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let local_addr = listener.local_addr().map_err(refused)?;
        let shared = Shared {
            status_start: status_start(&options.identity.server_uid),
            options,
            backend,
            stats: Arc::default(),
            registry: Arc::new(Registry::new()),
            audience: Audience::default(),
            stopping: CancellationToken::new(),
        };
        Ok(Self {
            listener,
            local_addr,
            shared: Arc::new(shared),
            shutdown_handlers: Vec::new(),
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Its counters, which live on after it.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.shared.stats)
    }

    /// Adds work to be done when the server stops, after all connections are closed, in the order it was added. A
    /// handler that fails, panics or takes longer than [`Limits::shutdown_handler_timeout`](super::Limits) is logged
    /// and counted, and the next one runs. spec: nanograph 2.3
    pub fn on_shutdown(
        &mut self,
        name: impl Into<String>,
        work: impl Future<Output = Result<(), ShutdownError>> + Send + 'static,
    ) {
        self.shutdown_handlers.push(ShutdownHandler {
            name: name.into(),
            work: Box::pin(work),
        });
    }

    /// Serves until `stop` completes, then closes every connection with code 1000, stops listening, and runs the
    /// shutdown handlers. Executions that still run get no status any more; stopping them is the backend's business.
    ///
    /// # Cancel safety
    /// Dropped before it completes, it drops the listener and all connections; shutdown handlers do not run.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let Self {
            listener,
            shared,
            shutdown_handlers,
            ..
        } = self;
        let mut connections = JoinSet::new();
        {
            let announcing = pin!(announce(&shared));
            let accepting = pin!(accept(&shared, &listener, &mut connections));
            tokio::select! {
                () = stop => {}
                () = announcing => {}
                () = accepting => {}
            }
        }
        close(&shared, connections).await;
        drop(listener);
        for handler in shutdown_handlers {
            handler
                .run(
                    shared.options.limits.shutdown_handler_timeout,
                    &shared.stats,
                )
                .await;
        }
    }
}

impl<B: Backend> Shared<B> {
    pub(super) fn connection(&self) -> Connection {
        let registry = Arc::clone(&self.registry);
        let outbound_bytes = self.options.limits.outbound_bytes;
        Connection::new(
            outbound_bytes,
            Arc::clone(&self.stats),
            registry,
            Arc::clone(&self.status_start),
        )
    }
}

/// Never returns.
async fn announce<B: Backend>(shared: &Shared<B>) {
    announce_changes(shared, shared.backend.changes()).await;
    std::future::pending().await
}

/// Never returns.
async fn accept<B: Backend>(
    shared: &Arc<Shared<B>>,
    listener: &TcpListener,
    connections: &mut JoinSet<()>,
) {
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => admit(shared, stream, connections),
                Err(error) => pause(shared, &error).await,
            },
            Some(ended) = connections.join_next() => note_end(shared, ended),
        }
    }
}

fn admit<B: Backend>(shared: &Arc<Shared<B>>, stream: TcpStream, connections: &mut JoinSet<()>) {
    if connections.len() >= shared.options.limits.connections {
        shared.stats.connections_refused.increment();
        // Best effort: a fresh socket takes this much at once.
        let _ = stream.try_write(http::TOO_MANY_CONNECTIONS);
        return;
    }
    shared.stats.connections_accepted.increment();
    // Replies are gathered by us, the system need not wait for more.
    let _ = stream.set_nodelay(true);
    let shared = Arc::clone(shared);
    connections.spawn(async move { http::serve(&*shared, stream).await });
}

async fn pause<B: Backend>(shared: &Shared<B>, error: &io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    shared.stats.accept_errors.increment();
    sleep(ACCEPT_PAUSE).await;
}

fn note_end<B: Backend>(shared: &Shared<B>, ended: Result<(), tokio::task::JoinError>) {
    shared.stats.connections_ended.increment();
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}

/// Closes all connections; those whose clients do not take part are dropped after a while.
async fn close<B: Backend>(shared: &Shared<B>, mut connections: JoinSet<()>) {
    shared.audience.close();
    shared.stopping.cancel();
    let all = async {
        while let Some(ended) = connections.join_next().await {
            note_end(shared, ended);
        }
    };
    // Each connection waits for its client within the same limit; one more for those that still have much to send.
    let _ = timeout(shared.options.limits.close_timeout * 2, all).await;
    connections.shutdown().await;
}

impl ShutdownHandler {
    async fn run(self, limit: Duration, stats: &Stats) {
        let outcome = timeout(limit, AssertUnwindSafe(self.work).catch_unwind()).await;
        let problem = match outcome {
            Ok(Ok(Ok(()))) => return,
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(panic)) => format!("it panicked: {}", panic_text(&*panic)),
            Err(_) => format!("it took longer than {limit:?}"),
        };
        stats.shutdown_failures.increment();
        tracing::error!(handler = %self.name, %problem, "a shutdown handler failed");
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

impl<B: Backend> fmt::Debug for Server<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("local_addr", &self.local_addr)
            .finish_non_exhaustive()
    }
}
