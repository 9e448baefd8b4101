//! [`AssetService`]: the routes, without a listener.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use super::{access, download, manage, receive};
use crate::assets::resources::Resources;
use crate::assets::store::AssetStore;
use crate::assets::tokens::Tokens;

/// What an [`AssetService`] needs to know.
#[derive(Debug, Clone)]
pub struct AssetServiceConfig {
    /// Who may call.
    pub tokens: Tokens,
    /// The domain in `nanocore://<domain>/asset/<uuid>`.
    pub domain: String,
    /// The base address that callers use, for presigned addresses.
    pub endpoint: String,
    /// How long an upload may stay silent. [`AssetServiceConfig::new`] sets 60 s.
    pub upload_idle_timeout: Duration,
    /// How long a JSON body may take to arrive. [`AssetServiceConfig::new`] sets 60 s.
    pub body_timeout: Duration,
}

impl AssetServiceConfig {
    /// The defaults around what has none.
    #[must_use]
    pub fn new(tokens: Tokens, domain: impl Into<String>, endpoint: &str) -> Self {
        Self {
            tokens,
            domain: domain.into(),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            upload_idle_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(60),
        }
    }
}

/// Assets and resources over HTTP, to be merged into somebody's router. Cloning shares it.
#[derive(Debug, Clone)]
pub struct AssetService {
    shared: Arc<Shared>,
}

/// What every request handler sees.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: AssetStore,
    pub(super) resources: Resources,
    pub(super) config: AssetServiceConfig,
}

impl AssetService {
    /// A service over `store`.
    #[must_use]
    pub fn new(store: AssetStore, config: AssetServiceConfig) -> Self {
        let shared = Shared {
            store,
            resources: Resources::default(),
            config,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The routes below `/assets` and `/resources`, which check tokens themselves. They look at no `Host` header, have
    /// no fallback and refuse unknown methods without a body; bodies have limits of their own, so no other must be laid over them.
    pub fn router(&self) -> Router {
        let shared = &self.shared;
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
            // Uploads have their own limit, counted while they stream; JSON bodies are limited where they are read.
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(shared))
    }

    /// The store behind it.
    #[must_use]
    pub fn store(&self) -> &AssetStore {
        &self.shared.store
    }

    /// What node servers hold in memory. Tell it by [`Resources::drop_server`] when a server's process ends.
    #[must_use]
    pub fn resources(&self) -> &Resources {
        &self.shared.resources
    }

    /// The base address that callers use, without a slash at the end.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.shared.config.endpoint
    }

    /// Who may call.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.shared.config.tokens
    }
}
