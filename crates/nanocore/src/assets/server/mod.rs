//! [`AssetServer`]: the HTTP side. spec: nanograph 19.1, 19.2

mod access;
mod download;
mod error;
mod manage;
mod range;
mod receive;
mod service;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::auth::Token;
use super::resources::Resources;
use super::store::AssetStore;
use super::tokens::Tokens;
use crate::refusal::ApiError;
use access::Access;
pub(crate) use access::is_loopback;

use service::Shared;
pub use service::{AssetService, AssetServiceConfig};

/// How long connections may take to finish at shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// What an [`AssetServer`] needs to know.
#[derive(Debug, Clone)]
pub struct AssetServerConfig {
    /// What callers must show. Default: random.
    pub token: Token,
    /// The domain in `nanocore://<domain>/asset/<uuid>`. Default `nanocore.local`.
    pub domain: String,
    /// The base address that callers use, if it is not the listener's.
    pub endpoint: Option<String>,
    /// How long an upload may stay silent. Default 60 s.
    pub upload_idle_timeout: Duration,
}

impl Default for AssetServerConfig {
    fn default() -> Self {
        Self {
            token: Token::random(),
            domain: "nanocore.local".to_owned(),
            endpoint: None,
            upload_idle_timeout: Duration::from_secs(60),
        }
    }
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Others could reach it, and guess the token.
    #[error(
        "refusing to listen on {address} with no token or the token \"changeme\"; set a secret token or listen on 127.0.0.1"
    )]
    WeakToken {
        /// Where it should have listened.
        address: SocketAddr,
    },
    /// The listener is of no use.
    #[error("the listener has no address")]
    Listener(#[from] std::io::Error),
}

/// A running asset server. Dropping it stops it at once.
#[derive(Debug)]
pub struct AssetServer {
    service: AssetService,
    address: SocketAddr,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl AssetServer {
    /// Serves `store` on `listener`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StartError::WeakToken`] if the listener can be reached from other machines and the token is weak.
    pub fn start(
        store: AssetStore,
        listener: TcpListener,
        config: AssetServerConfig,
    ) -> Result<Self, StartError> {
        let address = listener.local_addr()?;
        let loopback = address.ip().is_loopback();
        if !loopback && config.token.is_weak() {
            return Err(StartError::WeakToken { address });
        }
        let endpoint = config
            .endpoint
            .clone()
            .unwrap_or_else(|| format!("http://{address}"));
        let access = Access {
            loopback_only: loopback && config.endpoint.is_none(),
        };
        let service = AssetService::new(
            store,
            AssetServiceConfig {
                upload_idle_timeout: config.upload_idle_timeout,
                ..AssetServiceConfig::new(Tokens::new(config.token), config.domain, &endpoint)
            },
        );
        let stop = CancellationToken::new();
        let serving = axum::serve(listener, router(&service, access))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        let task = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "asset server ended");
            }
        });
        Ok(Self {
            service,
            address,
            stop,
            task: Some(task),
        })
    }

    /// The base address for `NANOCORE_HTTP_ENDPOINT`, without a slash at the end.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        self.service.endpoint()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The token that callers must show.
    #[must_use]
    pub fn token(&self) -> &Token {
        self.service.tokens().master()
    }

    /// The store behind it.
    #[must_use]
    pub fn store(&self) -> &AssetStore {
        self.service.store()
    }

    /// What node servers hold in memory.
    #[must_use]
    pub fn resources(&self) -> &Resources {
        self.service.resources()
    }

    /// Refuses new requests and waits at most five seconds for those going on.
    ///
    /// Cancel safety: if dropped, the server stops at once.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Some(mut task) = self.task.take()
            && tokio::time::timeout(SHUTDOWN_GRACE, &mut task)
                .await
                .is_err()
        {
            task.abort();
        }
    }
}

impl Drop for AssetServer {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn router(service: &AssetService, access: Access) -> Router {
    service
        .router()
        .fallback(|| async { ApiError::not_found("there is nothing at this address") })
        .layer(from_fn_with_state(access, access::check_host))
}
