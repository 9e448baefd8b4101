//! Assets on this wire. JSON has no place for bytes, so bytes travel as assets.

use bytes::Bytes;
use nanograph::assets::{AssetClient, AssetError, AssetRef as WireRef, Upload};
use nodewire_core::{
    AssetRef, AssetStore, BoxFuture, Inputs, NewAsset, NodeDefinition, NodeError, NodeErrorKind,
    Outputs, PortValue, Value,
};

use super::NanographConfig;

/// The orchestrator's asset server as nodes see it.
#[derive(Debug)]
pub(super) struct RemoteAssets {
    client: AssetClient,
    /// For references of servers that do not give hashes.
    domain: String,
    fetch_bytes_max: u64,
}

impl RemoteAssets {
    pub(super) fn new(client: AssetClient, config: &NanographConfig) -> Self {
        let domain = config.server.domain.clone();
        Self {
            client,
            domain,
            fetch_bytes_max: config.fetch_bytes_max,
        }
    }

    async fn content(&self, asset: AssetRef, bytes_max: u64) -> Result<Bytes, NodeError> {
        let reference: WireRef = asset.as_str().parse().map_err(invalid_reference)?;
        let bytes_max = bytes_max.min(self.fetch_bytes_max);
        self.client
            .resolve_bytes(&reference, bytes_max)
            .await
            .map_err(asset_error)
    }
}

impl AssetStore for RemoteAssets {
    fn fetch(&self, asset: AssetRef) -> BoxFuture<'_, Result<Bytes, NodeError>> {
        Box::pin(self.content(asset, u64::MAX))
    }

    fn fetch_within(
        &self,
        asset: AssetRef,
        bytes_max: usize,
    ) -> BoxFuture<'_, Result<Bytes, NodeError>> {
        let bytes_max = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        Box::pin(self.content(asset, bytes_max))
    }

    fn store(&self, asset: NewAsset) -> BoxFuture<'_, Result<AssetRef, NodeError>> {
        Box::pin(async move {
            let mut upload = Upload::bytes(asset.content).named(asset.name);
            if !asset.kind.is_empty() {
                upload = upload.of_type(asset.kind);
            }
            let stored = self.client.upload(upload).await.map_err(asset_error)?;
            let reference = stored.reference(&self.domain).ok_or_else(|| {
                NodeError::new(
                    NodeErrorKind::Unavailable,
                    "the asset server named no asset in its answer",
                )
            })?;
            Ok(AssetRef::new(reference.to_string()))
        })
    }
}

fn invalid_reference(error: nanograph::assets::AssetRefError) -> NodeError {
    NodeError::invalid_input(error.to_string()).with_source(error)
}

fn asset_error(error: AssetError) -> NodeError {
    let kind = if matches!(error, AssetError::Status { status: 404, .. }) {
        NodeErrorKind::NotFound
    } else if matches!(error, AssetError::TooLarge { .. }) {
        NodeErrorKind::InvalidInput
    } else {
        NodeErrorKind::Unavailable
    };
    NodeError::new(kind, error.to_string()).with_source(error)
}

/// Texts at inputs that take bytes are references, where they have the form; the executor fetches what they refer to.
pub(super) fn find_references(inputs: &mut Inputs, definition: &NodeDefinition) {
    let takes_bytes = definition.inputs.iter().filter(|port| port.kind == "bytes");
    for port in takes_bytes {
        let Some(given) = inputs.get(&port.name) else {
            continue;
        };
        let values = given.values().iter().map(with_reference).collect();
        inputs.insert(port.name.as_str(), PortValue::List(values));
    }
}

fn with_reference(value: &Value) -> Value {
    let text = match value {
        Value::Json(json) => json.string(),
        Value::Asset(_) | Value::Bytes(_) => None,
    };
    match text.filter(|text| text.parse::<WireRef>().is_ok()) {
        Some(text) => Value::Asset(AssetRef::new(text)),
        None => value.clone(),
    }
}

/// Whether any output is bytes, and so cannot be written before it was stored.
pub(super) fn has_bytes(outputs: &Outputs) -> bool {
    outputs.iter().any(|(_, value)| {
        value
            .values()
            .iter()
            .any(|value| matches!(value, Value::Bytes(_)))
    })
}
