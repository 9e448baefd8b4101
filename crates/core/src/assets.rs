//! Content kept elsewhere, as nodes reach it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::error::{NodeError, NodeErrorKind};
use crate::node::BoxFuture;
use crate::value::AssetRef;

/// Where assets are kept. Whoever runs the executor provides one; see [`crate::Executor::with_assets`].
pub trait AssetStore: Send + Sync + 'static {
    /// Gets an asset's content. Stores bound how large it may be.
    fn fetch(&self, asset: AssetRef) -> BoxFuture<'_, Result<Bytes, NodeError>>;

    /// Gets an asset's content if it has at most so many bytes. Stores that know before they have it all refuse what is
    /// larger at once; without that, it is looked at when it is there.
    fn fetch_within(
        &self,
        asset: AssetRef,
        bytes_max: usize,
    ) -> BoxFuture<'_, Result<Bytes, NodeError>> {
        Box::pin(async move {
            let content = self.fetch(asset).await?;
            if content.len() > bytes_max {
                return Err(too_large(content.len(), bytes_max));
            }
            Ok(content)
        })
    }

    /// Keeps content and names it. Storing the same content again may give the same reference.
    fn store(&self, asset: NewAsset) -> BoxFuture<'_, Result<AssetRef, NodeError>>;
}

/// Content to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAsset {
    /// File name for people, such as `photo.jpg`.
    pub name: String,
    /// What it is, such as `image`; empty leaves it to the store.
    pub kind: String,
    /// The bytes.
    pub content: Bytes,
}

impl NewAsset {
    /// Content with a file name.
    pub fn new(name: impl Into<String>, content: impl Into<Bytes>) -> Self {
        Self {
            name: name.into(),
            kind: String::new(),
            content: content.into(),
        }
    }

    /// Says what it is, such as `image`.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = kind.into();
        self
    }
}

/// A node's way to assets; see [`crate::Context::assets`]. Without a store every call fails with
/// [`NodeErrorKind::Unavailable`].
#[derive(Clone, Default)]
pub struct Assets {
    store: Option<Arc<dyn AssetStore>>,
    timeout: Duration,
}

impl Assets {
    pub(crate) fn new(store: Arc<dyn AssetStore>, timeout: Duration) -> Self {
        Self {
            store: Some(store),
            timeout,
        }
    }

    /// Whether there is a store.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.store.is_some()
    }

    /// Gets an asset's content.
    ///
    /// # Errors
    /// If there is no such asset, the store cannot be reached or takes too long ([`ExecutorConfig::asset_timeout`]), or
    /// there is none.
    ///
    /// # Cancel safety
    /// Safe to drop at any time.
    ///
    /// [`ExecutorConfig::asset_timeout`]: crate::ExecutorConfig::asset_timeout
    pub async fn fetch(&self, asset: &AssetRef) -> Result<Bytes, NodeError> {
        self.in_time(self.available()?.fetch(asset.clone())).await
    }

    /// Gets an asset's content if it has at most so many bytes.
    ///
    /// # Errors
    /// As [`Self::fetch`], or if it is larger.
    ///
    /// # Cancel safety
    /// Safe to drop at any time.
    pub async fn fetch_within(
        &self,
        asset: &AssetRef,
        bytes_max: usize,
    ) -> Result<Bytes, NodeError> {
        let store = self.available()?;
        self.in_time(store.fetch_within(asset.clone(), bytes_max))
            .await
    }

    /// Keeps content and names it.
    ///
    /// # Errors
    /// If the store cannot be reached, refuses it or takes too long, or there is none.
    ///
    /// # Cancel safety
    /// When dropped before completion the content may have been kept or not.
    pub async fn keep(&self, asset: NewAsset) -> Result<AssetRef, NodeError> {
        self.in_time(self.available()?.store(asset)).await
    }

    async fn in_time<T>(
        &self,
        answer: BoxFuture<'_, Result<T, NodeError>>,
    ) -> Result<T, NodeError> {
        let answer = tokio::time::timeout(self.timeout, answer).await;
        answer.unwrap_or_else(|_| {
            let message = format!(
                "the asset store did not answer within {} ms; try again later",
                self.timeout.as_millis()
            );
            Err(NodeError::new(NodeErrorKind::Unavailable, message))
        })
    }

    fn available(&self) -> Result<&dyn AssetStore, NodeError> {
        self.store.as_deref().ok_or_else(|| {
            NodeError::new(
                NodeErrorKind::Unavailable,
                "this server has no asset store; start it under an orchestrator that keeps assets, or configure one",
            )
        })
    }
}

fn too_large(bytes: usize, bytes_max: usize) -> NodeError {
    NodeError::invalid_input(format!(
        "the asset has {bytes} bytes, more than the {bytes_max} that may be fetched here"
    ))
}

impl fmt::Debug for Assets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assets")
            .field("available", &self.is_available())
            .finish()
    }
}
