//! Start and end of MCP over HTTP, on a listener of its own or on that of plain HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use nodewire_core::{BoxFuture, Executor};
use tokio::task::JoinHandle;

use super::config::{McpConfig, McpOptions};
use super::counts::McpCounts;
use super::error::McpError;
use super::routes::{self, Door};
use super::tools::Shared;
use crate::capability::Losses;
use crate::http::{ConnectionLimits, Listening};
use crate::server::RunningWire;

/// Last answers have so much time to leave the process, however short the drain time is.
const CLOSE_MIN: Duration = Duration::from_secs(1);

/// MCP over HTTP, not yet reachable.
#[derive(Debug)]
pub(crate) struct Prepared {
    door: Arc<Door>,
    address: Option<SocketAddr>,
    limits: ConnectionLimits,
}

/// The wire, serving. Dropping it cuts its connections off.
#[derive(Debug)]
pub(crate) struct RunningMcp {
    door: Arc<Door>,
    address: SocketAddr,
    /// `None` where plain HTTP listens.
    listening: Option<Listening>,
    sweeping: JoinHandle<()>,
}

/// What the wire counts, for whoever asks.
#[derive(Debug, Clone)]
pub(crate) struct Counted(Arc<Shared>);

/// Makes ready to serve the nodes that the executor has at any time.
///
/// # Errors
/// The token is empty.
pub(crate) fn prepare(
    config: McpConfig,
    options: McpOptions,
    executor: Executor,
    losses: Losses,
) -> Result<Prepared, McpError> {
    config.access.check_token().map_err(McpError::Http)?;
    let limits = ConnectionLimits {
        connections_max: config.connections_max,
        head_timeout: config.head_timeout,
        write_timeout: config.write_timeout,
    };
    let address = config.address;
    let shared = Shared::new(options, executor, losses);
    Ok(Prepared {
        door: Door::new(config, shared),
        address,
        limits,
    })
}

impl Prepared {
    /// The route, where plain HTTP is to serve it.
    pub(crate) fn beside_http(&self) -> Option<Router> {
        let is_beside = self.address.is_none();
        is_beside.then(|| routes::router(&self.door))
    }

    /// Listens, unless plain HTTP does at this address.
    ///
    /// # Errors
    /// See [`McpError`].
    ///
    /// Dropping the future leaves nothing behind.
    pub(crate) async fn start(self, http: Option<SocketAddr>) -> Result<RunningMcp, McpError> {
        let listening = match self.address {
            Some(address) => {
                let router = routes::router(&self.door);
                let counts = Arc::clone(&self.door.shared.counts.connections);
                let listening = Listening::start(address, self.limits, counts, router).await;
                Some(listening.map_err(McpError::Http)?)
            }
            None => None,
        };
        let address = listening.as_ref().map(Listening::address).or(http);
        Ok(RunningMcp {
            address: address.ok_or(McpError::NoHttp)?,
            listening,
            sweeping: tokio::spawn(Arc::clone(&self.door.sessions).sweep(self.door.idle_timeout)),
            door: self.door,
        })
    }
}

impl RunningMcp {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn counted(&self) -> Counted {
        Counted(Arc::clone(&self.door.shared))
    }
}

impl Counted {
    pub(crate) fn snapshot(&self) -> McpCounts {
        self.0.counts.snapshot()
    }
}

impl RunningWire for RunningMcp {
    fn close(mut self: Box<Self>, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let time = time.max(CLOSE_MIN);
            // What is being answered first; then the streams that clients keep open, which have no end of their own.
            self.door.answering.close();
            if tokio::time::timeout(time, self.door.answering.wait())
                .await
                .is_err()
            {
                tracing::warn!("answers over MCP were cut off: their clients take their time");
            }
            self.door.end.cancel();
            if let Some(listening) = self.listening.take() {
                listening.close(time).await;
            }
        })
    }
}

impl Drop for RunningMcp {
    fn drop(&mut self) {
        self.sweeping.abort();
        self.door.end.cancel();
    }
}
