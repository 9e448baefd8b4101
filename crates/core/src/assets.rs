//! Content kept elsewhere, as nodes reach it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{NodeError, NodeErrorKind};
use crate::node::BoxFuture;
use crate::value::AssetRef;

/// Where assets are kept. Whoever runs the executor provides one; see [`crate::Executor::with_assets`].
pub trait AssetStore: Send + Sync + 'static {
    /// Gets an asset's content. Stores bound how large it may be.
    fn fetch(&self, asset: AssetRef) -> BoxFuture<'_, Result<Bytes, NodeError>>;

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
}

impl Assets {
    pub(crate) fn new(store: Arc<dyn AssetStore>) -> Self {
        Self { store: Some(store) }
    }

    /// Whether there is a store.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.store.is_some()
    }

    /// Gets an asset's content.
    ///
    /// # Errors
    /// If there is no such asset, the store cannot be reached, or there is none.
    ///
    /// # Cancel safety
    /// Safe to drop at any time.
    pub async fn fetch(&self, asset: &AssetRef) -> Result<Bytes, NodeError> {
        self.available()?.fetch(asset.clone()).await
    }

    /// Keeps content and names it.
    ///
    /// # Errors
    /// If the store cannot be reached or refuses it, or there is none.
    ///
    /// # Cancel safety
    /// When dropped before completion the content may have been kept or not.
    pub async fn keep(&self, asset: NewAsset) -> Result<AssetRef, NodeError> {
        self.available()?.store(asset).await
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

impl fmt::Debug for Assets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assets")
            .field("available", &self.is_available())
            .finish()
    }
}
