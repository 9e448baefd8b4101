//! [`AssetServer`]: the HTTP side. spec: nanograph 19.1, 19.2

mod access;
mod download;
mod error;
mod manage;
mod range;
mod receive;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::auth::Token;
use super::resources::Resources;
use super::store::AssetStore;
use error::ApiError;

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

/// What every request handler sees.
#[derive(Debug)]
struct Shared {
    store: AssetStore,
    resources: Resources,
    config: AssetServerConfig,
    endpoint: String,
    loopback: bool,
}

/// A running asset server. Dropping it stops it at once.
#[derive(Debug)]
pub struct AssetServer {
    shared: Arc<Shared>,
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
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let shared = Arc::new(Shared {
            store,
            resources: Resources::default(),
            config,
            endpoint,
            loopback,
        });
        let stop = CancellationToken::new();
        let serving = axum::serve(listener, router(&shared))
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        let task = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "asset server ended");
            }
        });
        Ok(Self {
            shared,
            address,
            stop,
            task: Some(task),
        })
    }

    /// The base address for `NANOCORE_HTTP_ENDPOINT`, without a slash at the end.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.shared.endpoint
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The token that callers must show.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.shared.config.token
    }

    /// The store behind it.
    #[must_use]
    pub fn store(&self) -> &AssetStore {
        &self.shared.store
    }

    /// What node servers hold in memory.
    #[must_use]
    pub fn resources(&self) -> &Resources {
        &self.shared.resources
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

fn router(shared: &Arc<Shared>) -> Router {
    let with_token = Router::new()
        .route("/assets", get(manage::list).post(receive::upload))
        .route(
            "/assets/{id}",
            get(manage::show)
                .patch(manage::change)
                .delete(manage::delete),
        )
        .route("/assets/{id}/exists", get(manage::exists))
        .route("/assets/{id}/presigned", get(manage::presigned))
        .route("/resources", post(manage::resource).get(manage::resources))
        .route_layer(from_fn_with_state(
            Arc::clone(shared),
            access::require_token,
        ));
    Router::new()
        .route("/assets/{id}/download", get(download::download))
        .merge(with_token)
        .fallback(|| async { ApiError::not_found("there is nothing at this address") })
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
        .layer(from_fn_with_state(Arc::clone(shared), access::check_host))
        // Uploads have their own limit, counted while they stream; JSON bodies are limited where they are read.
        .layer(DefaultBodyLimit::disable())
        .with_state(Arc::clone(shared))
}
