//! A store of assets in memory, shared by the tests of several wires.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use nodewire::{AssetRef, AssetStore, BoxFuture, NewAsset, NodeError, NodeErrorKind};

/// Keeps assets under the references `memory:0`, `memory:1` and so on.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) kept: Mutex<Vec<Bytes>>,
}

impl Memory {
    /// One that has this already.
    pub(crate) fn of(content: &'static str) -> Arc<Self> {
        Arc::new(Self {
            kept: Mutex::new(vec![content.into()]),
        })
    }
}

impl AssetStore for Memory {
    fn fetch(&self, asset: AssetRef) -> BoxFuture<'_, Result<Bytes, NodeError>> {
        let place = asset.as_str().strip_prefix("memory:");
        let place = place.and_then(|place| place.parse::<usize>().ok());
        let kept = self.kept.lock().unwrap();
        let content = place.and_then(|place| kept.get(place).cloned());
        let missing = || NodeError::new(NodeErrorKind::NotFound, format!("no asset {asset}"));
        Box::pin(std::future::ready(content.ok_or_else(missing)))
    }

    fn store(&self, asset: NewAsset) -> BoxFuture<'_, Result<AssetRef, NodeError>> {
        let mut kept = self.kept.lock().unwrap();
        kept.push(asset.content);
        let reference = AssetRef::new(format!("memory:{}", kept.len() - 1));
        Box::pin(std::future::ready(Ok(reference)))
    }
}
