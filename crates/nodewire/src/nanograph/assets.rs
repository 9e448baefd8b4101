//! Assets on this wire. JSON has no place for bytes, so bytes travel as assets.

use bytes::Bytes;
use nanograph::assets::{AssetClient, AssetError, AssetRef as WireRef, Upload};
use nodewire_core::{
    AssetRef, AssetStore, Assets, BoxFuture, Inputs, NewAsset, NodeDefinition, NodeError,
    NodeErrorKind, Outputs, PortValue, Value,
};

/// Largest asset that is fetched into memory; 1 GiB.
const FETCH_BYTES_MAX: u64 = 1 << 30;

/// The orchestrator's asset server as nodes see it.
#[derive(Debug)]
pub(super) struct RemoteAssets {
    client: AssetClient,
    /// For references of servers that do not give hashes.
    domain: String,
}

impl RemoteAssets {
    pub(super) fn new(client: AssetClient, domain: String) -> Self {
        Self { client, domain }
    }
}

impl AssetStore for RemoteAssets {
    fn fetch(&self, asset: AssetRef) -> BoxFuture<'_, Result<Bytes, NodeError>> {
        Box::pin(async move {
            let reference: WireRef = asset.as_str().parse().map_err(invalid_reference)?;
            self.client
                .resolve_bytes(&reference, FETCH_BYTES_MAX)
                .await
                .map_err(asset_error)
        })
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
    } else {
        NodeErrorKind::Unavailable
    };
    NodeError::new(kind, error.to_string()).with_source(error)
}

/// Whether any input of this node takes bytes.
pub(super) fn takes_bytes(definition: &NodeDefinition) -> bool {
    definition.inputs.iter().any(|port| port.kind == "bytes")
}

/// Replaces the references at inputs that take bytes by what they refer to.
pub(super) async fn fetch_bytes(
    inputs: Inputs,
    definition: &NodeDefinition,
    assets: &Assets,
) -> Result<Inputs, NodeError> {
    let mut fetched = Inputs::new();
    for (port, value) in inputs {
        let takes_bytes = definition
            .input(&port)
            .is_some_and(|input| input.kind == "bytes");
        let value = if takes_bytes {
            fetch_port(value, assets).await?
        } else {
            value
        };
        fetched.insert(port, value);
    }
    Ok(fetched)
}

async fn fetch_port(value: PortValue, assets: &Assets) -> Result<PortValue, NodeError> {
    let mut values = Vec::new();
    for value in value.into_values() {
        values.push(match reference(&value) {
            Some(asset) => Value::Bytes(assets.fetch(&asset).await?),
            None => value,
        });
    }
    Ok(PortValue::List(values))
}

fn reference(value: &Value) -> Option<AssetRef> {
    match value {
        Value::Asset(asset) => Some(asset.clone()),
        Value::Json(json) => {
            let text: String = json.decode().ok()?;
            text.parse::<WireRef>().is_ok().then(|| AssetRef::new(text))
        }
        Value::Bytes(_) => None,
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

/// Stores all bytes and puts references in their places.
pub(super) async fn store_bytes(outputs: Outputs, assets: &Assets) -> Result<Outputs, NodeError> {
    let mut stored = Outputs::new();
    for (port, value) in outputs {
        let mut values = Vec::new();
        for value in value.into_values() {
            values.push(match value {
                Value::Bytes(content) => {
                    Value::Asset(assets.keep(NewAsset::new(&*port, content)).await?)
                }
                Value::Json(_) | Value::Asset(_) => value,
            });
        }
        stored.insert(port, PortValue::List(values));
    }
    Ok(stored)
}
