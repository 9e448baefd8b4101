//! Metadata of services and endpoints. spec: nats-micro 2.1

use std::collections::BTreeMap;

use crate::name::ConfigError;

/// Key and value pairs that go with a service or an endpoint. They are taken when the service is created and cannot
/// change afterwards.
pub type Metadata = BTreeMap<String, String>;

/// How many bytes the keys and values of one map of metadata may have together.
pub const MAX_METADATA_BYTES: usize = 128 * 1024;

pub(crate) fn check_metadata(metadata: &Metadata) -> Result<(), ConfigError> {
    if let Some(key) = metadata.keys().find(|key| key.starts_with("_nats")) {
        return Err(ConfigError::ReservedMetadata(key.clone()));
    }
    let actual_bytes = metadata
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if actual_bytes > MAX_METADATA_BYTES {
        return Err(ConfigError::MetadataSize {
            actual_bytes,
            max_bytes: MAX_METADATA_BYTES,
        });
    }
    Ok(())
}
