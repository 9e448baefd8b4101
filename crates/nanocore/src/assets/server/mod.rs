//! [`AssetServer`]: the HTTP side. spec: nanograph 19.1, 19.2

mod access;
mod download;
mod error;
mod manage;
mod range;
mod receive;
mod service;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tokio::net::TcpListener;

use super::auth::Token;
use super::resources::Resources;
use super::store::AssetStore;
use super::tokens::Tokens;
use crate::connections::{ConnectionLimits, Connections};
use crate::refusal::{ApiError, tell_as_json};
use access::Access;
pub(crate) use access::is_loopback;

use service::Shared;
pub use service::{AssetService, AssetServiceConfig};

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
    /// Connections at a time; further ones wait. Default 4,096.
    pub connections_max: usize,
    /// How long a request's head may take, and a connection may be idle. Default 30 s.
    pub head_timeout: Duration,
}

impl Default for AssetServerConfig {
    fn default() -> Self {
        Self {
            token: Token::random(),
            domain: "nanocore.local".to_owned(),
            endpoint: None,
            upload_idle_timeout: Duration::from_secs(60),
            connections_max: 4_096,
            head_timeout: Duration::from_secs(30),
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
    timed_out: Arc<AtomicU64>,
    connections: Connections,
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
        let limits = ConnectionLimits {
            connections_max: config.connections_max,
            head_timeout: config.head_timeout,
        };
        let timed_out = Arc::default();
        let router = router(&service, access);
        let connections = Connections::serve(listener, router, limits, Arc::clone(&timed_out));
        Ok(Self {
            service,
            address,
            timed_out,
            connections,
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

    /// How many connections were closed, as no request came within
    /// [`head_timeout`](AssetServerConfig::head_timeout).
    #[must_use]
    pub fn connections_timed_out(&self) -> u64 {
        self.timed_out.load(Ordering::Relaxed)
    }

    /// Refuses new requests and waits at most five seconds for those going on.
    ///
    /// Cancel safety: if dropped, the server stops at once.
    pub async fn shutdown(self) {
        self.connections.end().await;
    }
}

fn router(service: &AssetService, access: Access) -> Router {
    service
        .router()
        .fallback(|| async { ApiError::not_found("there is nothing at this address") })
        .layer(from_fn(tell_as_json))
        .layer(from_fn_with_state(access, access::check_host))
}
