//! Assets on this wire. JSON has no place for bytes, so bytes travel as assets.

use bytes::Bytes;
use nanograph::assets::{AssetClient, AssetError, AssetRef as WireRef, Upload};
use nodewire_core::{
    AssetRef, AssetStore, Assets, BoxFuture, Inputs, NewAsset, NodeDefinition, NodeError,
    NodeErrorKind, Outputs, PortValue, Value,
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
}

impl AssetStore for RemoteAssets {
    fn fetch(&self, asset: AssetRef) -> BoxFuture<'_, Result<Bytes, NodeError>> {
        Box::pin(async move {
            let reference: WireRef = asset.as_str().parse().map_err(invalid_reference)?;
            self.client
                .resolve_bytes(&reference, self.fetch_bytes_max)
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
        let value = match value {
            PortValue::Single(value) => PortValue::Single(store_value(&port, value, assets).await?),
            PortValue::List(values) => {
                let mut list = Vec::with_capacity(values.len());
                for value in values {
                    list.push(store_value(&port, value, assets).await?);
                }
                PortValue::List(list)
            }
        };
        stored.insert(port, value);
    }
    Ok(stored)
}

async fn store_value(port: &str, value: Value, assets: &Assets) -> Result<Value, NodeError> {
    match value {
        Value::Bytes(content) => Ok(Value::Asset(
            assets.keep(NewAsset::new(port, content)).await?,
        )),
        Value::Json(_) | Value::Asset(_) => Ok(value),
    }
}
