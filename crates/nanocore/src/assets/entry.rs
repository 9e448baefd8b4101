//! What is known about an asset, and how it is shown to clients.

use std::sync::Arc;

use jiff::Timestamp;
use nodewire_json::Json;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::id::ContentHash;

/// One asset as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// The identifier of the 0.1.x generation.
    pub uuid: Uuid,
    /// The content's hash, the identifier of the 0.2.x generation.
    pub hash: ContentHash,
    /// The file name given at upload; never part of a path here.
    pub name: String,
    /// `image`, `video`, `audio`, `mesh`, `text`, `file`, or what the uploader said.
    #[serde(rename = "type")]
    pub kind: String,
    /// The MIME type.
    pub mime: String,
    /// Length in bytes.
    pub size: u64,
    /// When the content was first uploaded.
    pub created_at: Timestamp,
    /// Free data of the uploader, a JSON object.
    pub meta: Json,
    /// Whether this may be deleted when nothing refers to it any more.
    pub ephemeral: bool,
    /// The uid of the node server that uploaded the content first; none if it was somebody with the master token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploaded_by: Option<Arc<str>>,
}

/// What an uploader says about the bytes. Everything may be left at its default.
#[derive(Debug, Clone, Default)]
pub struct NewAsset {
    /// File name; default `file`.
    pub name: Option<String>,
    /// MIME type; default from the name.
    pub mime: Option<String>,
    /// Asset type; default from the MIME type.
    pub kind: Option<String>,
    /// Free data, as JSON or as a Python literal.
    pub meta: Option<String>,
    /// See [`Entry::ephemeral`].
    pub ephemeral: bool,
    /// See [`Entry::uploaded_by`].
    pub uploaded_by: Option<Arc<str>>,
}

/// Changes to an entry; what is `None` stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// New name.
    pub name: Option<String>,
    /// New type.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// New free data, a JSON object.
    pub meta: Option<serde_json::Map<String, serde_json::Value>>,
    /// See [`Entry::ephemeral`].
    pub ephemeral: Option<bool>,
}

/// An asset as clients see it: the fields of both SDK generations. spec: nanograph 10.4, 19.1
#[derive(Debug, Serialize)]
pub struct Asset<'a> {
    uuid: Uuid,
    hash: ContentHash,
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    size: u64,
    created_at: Timestamp,
    meta: &'a Json,
    uri: String,
    ephemeral: bool,
    #[serde(rename = "alreadyExists")]
    already_exists: bool,
    mime: &'a str,
    #[serde(rename = "uploadedBy", skip_serializing_if = "Option::is_none")]
    uploaded_by: Option<&'a str>,
}

impl Entry {
    /// The entry of a new content.
    #[must_use]
    pub fn new(hash: ContentHash, size: u64, asset: &NewAsset) -> Self {
        let name = asset
            .name
            .as_deref()
            .and_then(base_name)
            .unwrap_or("file")
            .to_owned();
        let mime = asset
            .mime
            .clone()
            .filter(|mime| !is_unspecific(mime))
            .unwrap_or_else(|| mime_of_name(&name));
        let kind = asset
            .kind
            .clone()
            .filter(|kind| !kind.is_empty())
            .unwrap_or_else(|| kind_of_mime(&mime).to_owned());
        let meta = super::literal::meta_object(asset.meta.as_deref().unwrap_or_default());
        let (uuid, created_at) = (Uuid::new_v4(), Timestamp::now());
        Self {
            uuid,
            hash,
            name,
            kind,
            mime,
            size,
            created_at,
            meta,
            ephemeral: asset.ephemeral,
            uploaded_by: asset.uploaded_by.clone(),
        }
    }

    /// This entry as shown to clients. `domain` is the one of the asset server.
    #[must_use]
    pub fn show(&self, domain: &str, already_exists: bool) -> Asset<'_> {
        Asset {
            uuid: self.uuid,
            hash: self.hash,
            name: &self.name,
            kind: &self.kind,
            size: self.size,
            created_at: self.created_at,
            meta: &self.meta,
            uri: format!("nanocore://{domain}/asset/{}", self.uuid),
            ephemeral: self.ephemeral,
            already_exists,
            mime: &self.mime,
            uploaded_by: self.uploaded_by.as_deref(),
        }
    }

    pub(crate) fn patched(&self, patch: Patch) -> Self {
        let mut entry = self.clone();
        entry.name = patch
            .name
            .as_deref()
            .and_then(base_name)
            .map_or(entry.name, str::to_owned);
        entry.kind = patch
            .kind
            .filter(|kind| !kind.is_empty())
            .unwrap_or(entry.kind);
        entry.meta = patch.meta.map_or(entry.meta, |meta| {
            Json::from(serde_json::Value::Object(meta))
        });
        entry.ephemeral = patch.ephemeral.unwrap_or(entry.ephemeral);
        entry
    }
}

/// The last segment of a name that may be a path on the uploader's system.
fn base_name(name: &str) -> Option<&str> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    (!last.is_empty() && last != "." && last != "..").then_some(last)
}

fn is_unspecific(mime: &str) -> bool {
    mime.is_empty() || mime == "application/octet-stream" || !mime.contains('/')
}

fn mime_of_name(name: &str) -> String {
    mime_guess::from_path(name)
        .first_or_octet_stream()
        .essence_str()
        .to_owned()
}

fn kind_of_mime(mime: &str) -> &'static str {
    match mime.split('/').next() {
        Some("image") => "image",
        Some("video") => "video",
        Some("audio") => "audio",
        Some("model") => "mesh",
        Some("text") => "text",
        _ => "file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(asset: &NewAsset) -> Entry {
        Entry::new(ContentHash::new([1; 32]), 3, asset)
    }

    #[test]
    fn type_and_mime_come_from_the_name_unless_given() {
        let named = |name: &str| {
            entry(&NewAsset {
                name: Some(name.to_owned()),
                ..NewAsset::default()
            })
        };
        assert_eq!(
            (named("a.JPG").kind.as_str(), named("a.jpg").mime.as_str()),
            ("image", "image/jpeg")
        );
        assert_eq!(named("a.glb").kind, "mesh");
        assert_eq!(named("noext").mime, "application/octet-stream");
        let said = entry(&NewAsset {
            mime: Some("video/mp4".into()),
            kind: Some("clip".into()),
            ..NewAsset::default()
        });
        assert_eq!(
            (said.kind.as_str(), said.mime.as_str(), said.name.as_str()),
            ("clip", "video/mp4", "file")
        );
    }

    #[test]
    fn a_name_is_only_a_name() {
        for (given, kept) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\x\\a.png", "a.png"),
            ("..", "file"),
            ("/", "file"),
            ("", "file"),
        ] {
            assert_eq!(
                entry(&NewAsset {
                    name: Some(given.to_owned()),
                    ..NewAsset::default()
                })
                .name,
                kept
            );
        }
    }

    #[test]
    fn clients_see_the_fields_of_both_generations() {
        let entry = entry(&NewAsset {
            meta: Some("{'k': True}".into()),
            ..NewAsset::default()
        });
        let shown = serde_json::to_value(entry.show("d:1", true)).unwrap();
        assert_eq!(shown["uri"], format!("nanocore://d:1/asset/{}", entry.uuid));
        assert_eq!(shown["hash"], entry.hash.to_string());
        assert_eq!(shown["meta"], serde_json::json!({"k": true}));
        assert_eq!(shown["alreadyExists"], true);
        assert!(shown["created_at"].as_str().unwrap().ends_with('Z'));
    }
}
