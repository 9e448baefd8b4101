//! What the asset server tells and is told.

use nodewire_json::{Json, Kind};
use serde::Serialize;

use super::{AssetError, AssetRef};

/// An asset as the server describes it. Every field but the raw text may be missing. spec: nanograph 10.4
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Identifier of the 0.1 generation.
    pub uuid: Option<String>,
    /// `sha256:<hex>`, the identifier since 0.2.1.
    pub hash: Option<String>,
    /// `nanocore://…`
    pub uri: Option<String>,
    /// File name.
    pub name: Option<String>,
    /// `image`, `video`, `mesh`, `file`, …
    pub kind: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
    /// When it was stored; its form is not fixed.
    pub created_at: Option<Json>,
    /// What the uploader attached.
    pub meta: Option<Json>,
    /// Whether the server may forget it.
    pub ephemeral: Option<bool>,
    /// Whether the upload found the same content there.
    pub already_exists: Option<bool>,
    /// The whole object.
    pub raw: Json,
}

impl Asset {
    pub(super) fn from_json(raw: Json) -> Result<Self, AssetError> {
        if raw.kind() != Kind::Object {
            return Err(AssetError::InvalidAnswer {
                reason: "an asset must be an object".to_owned(),
            });
        }
        let text = |key: &str| raw.get(key).and_then(|value| value.decode::<String>().ok());
        let flag = |key: &str| raw.get(key).and_then(|value| value.decode::<bool>().ok());
        let any = |key: &str| raw.get(key).filter(|value| !value.is_null());
        Ok(Self {
            uuid: text("uuid"),
            hash: text("hash"),
            uri: text("uri"),
            name: text("name"),
            kind: text("type"),
            size: raw.get("size").and_then(|value| value.decode().ok()),
            created_at: any("created_at"),
            meta: any("meta"),
            ephemeral: flag("ephemeral"),
            already_exists: flag("alreadyExists"),
            raw: raw.clone(),
        })
    }

    pub(super) fn list_from_json(raw: &Json) -> Result<Vec<Self>, AssetError> {
        let elements = raw.elements();
        let elements = elements.ok_or_else(|| AssetError::InvalidAnswer {
            reason: "a list of assets must be an array".to_owned(),
        })?;
        elements.into_iter().map(Self::from_json).collect()
    }

    /// How to refer to it: its URI, else its uuid in `domain`, else its hash; its hash first if the server's answer has
    /// what only the 0.2 generation knows, since SDKs of that generation take nothing else. spec: nanograph 10.1, 10.4
    #[must_use]
    pub fn reference(&self, domain: &str) -> Option<AssetRef> {
        let by_uri = self.uri.as_deref().and_then(|uri| uri.parse().ok());
        let by_uuid = || {
            self.uuid
                .as_deref()
                .and_then(|uuid| AssetRef::uuid(domain, uuid).ok())
        };
        let by_hash = || self.hash.as_deref().and_then(|hash| hash.parse().ok());
        if self.already_exists.is_some() || self.ephemeral.is_some() {
            return by_hash().or(by_uri).or_else(by_uuid);
        }
        by_uri.or_else(by_uuid).or_else(by_hash)
    }
}

/// Which assets to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssetFilter {
    /// Only of this type.
    pub kind: Option<String>,
    /// Only with this content, `sha256:<hex>`.
    pub hash: Option<String>,
}

/// A temporary address anyone may fetch from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresignedUrl {
    /// The address.
    pub url: String,
    /// How long it works, as the server states it; its form is not fixed.
    pub expires_in: Option<Json>,
}

impl PresignedUrl {
    pub(super) fn from_json(raw: &Json) -> Result<Self, AssetError> {
        let url = raw.get("url").and_then(|url| url.decode().ok());
        let url = url.ok_or_else(|| AssetError::InvalidAnswer {
            reason: "\"url\" is missing".to_owned(),
        })?;
        Ok(Self {
            url,
            expires_in: raw.get("expiresIn"),
        })
    }
}

/// Something that occupies memory of the machine, a loaded model for instance. spec: nanograph 10.5
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// Names it when it is freed.
    pub resource_id: String,
    /// What sort of thing it is, `model` for instance.
    #[serde(rename = "type")]
    pub kind: String,
    /// For people.
    pub name: String,
    /// Video memory in use. No unit is agreed on; the vendor's tools show the number as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vram_usage: Option<u64>,
    /// Anything else, an object.
    pub metadata: Json,
}
