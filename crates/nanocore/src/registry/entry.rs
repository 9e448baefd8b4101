//! [`Entry`]: one registered server.

mod read;
mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use nanograph::config::Language;
use nodewire_json::Json;

use super::nats::NatsService;
use crate::assets::ForeignAssets;
use crate::workflow::InputStyle;

pub(super) use read::{Read, Reader};

/// How a server's SDK names assets. spec: nanograph 10.1, 12.3
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssetRefs {
    /// By uuid: Python SDKs before 0.2.1, JavaScript SDKs 0.1.x.
    Uuid,
    /// By the hash of the content.
    Hash,
}

impl AssetRefs {
    /// The word in the registry.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::Hash => "hash",
        }
    }
}

/// A registered node server. Keys that are not known here are kept as they stand in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// `serverUid`: identifies the installation.
    pub server_uid: String,
    /// `serverPackageId`; the uid where the file says nothing.
    pub server_package_id: String,
    /// `serverDisplayName`; the package id where the file says nothing.
    pub server_display_name: String,
    /// `language`
    pub language: Language,
    /// `path`: the folder with `nanoserver.json`. An entry has this, a url, or `"transport": "nats"`.
    pub path: Option<PathBuf>,
    /// `port`: the one assigned.
    pub port: Option<u16>,
    /// `domain`, where the server's own file names none.
    pub domain: Option<String>,
    /// `enabled`: whether it is started by itself; true.
    pub enabled: bool,
    /// `env`: variables for the server. They never replace those the server needs (spec 12.4).
    pub env: BTreeMap<String, String>,
    /// `maxConcurrency`: the most executions at a time.
    pub max_concurrency: Option<usize>,
    /// `command`: what starts the server, instead of what its language means; not empty.
    pub command: Option<Vec<String>>,
    /// `inputStyle`: `list` or `scalar`.
    pub input_style: InputStyle,
    /// `assetRefs`: `uuid` or `hash`.
    pub asset_refs: Option<AssetRefs>,
    /// `sdkVersion`: what was installed at registering.
    pub sdk_version: Option<String>,
    /// `startTimeout`, in seconds in the file: how long it may take to become ready.
    pub start_timeout: Option<Duration>,
    /// `url`: the address of a server that somebody else starts, `ws://` or `wss://`.
    pub url: Option<String>,
    /// `"transport": "nats"`: the service that somebody else starts instances of.
    pub nats: Option<NatsService>,
    /// Why the server cannot be started, though the entry can be read: it says two things at once. Others are not
    /// affected.
    pub(super) conflict: Option<&'static str>,
    /// `assetEndpoint` and `assetToken`: where the assets of a server that somebody else starts are, if not in this
    /// orchestrator's store.
    pub asset_server: Option<ForeignAssets>,
    /// The members as they stand in the file.
    members: Vec<(String, Json)>,
}

impl Entry {
    /// An entry that says nothing but who it is. It needs a path, a url or a service before it can be put.
    #[must_use]
    pub fn new(server_uid: impl Into<String>) -> Self {
        let server_uid = server_uid.into();
        Self {
            server_package_id: server_uid.clone(),
            server_display_name: server_uid.clone(),
            server_uid,
            language: Language::default(),
            path: None,
            port: None,
            domain: None,
            enabled: true,
            env: BTreeMap::new(),
            max_concurrency: None,
            command: None,
            input_style: InputStyle::default(),
            asset_refs: None,
            sdk_version: None,
            start_timeout: None,
            url: None,
            nats: None,
            conflict: None,
            asset_server: None,
            members: Vec::new(),
        }
    }

    /// Whether both mean the same process, started the same way; ports are compared apart.
    pub(crate) fn starts_like(&self, other: &Self) -> bool {
        let process = |entry: &Self| Self {
            port: None,
            enabled: true,
            asset_refs: None,
            sdk_version: None,
            members: Vec::new(),
            ..entry.clone()
        };
        process(self) == process(other)
    }

    /// Whether it is one of these: its uid, package id, display name, or path.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.server_uid == name
            || self.server_package_id == name
            || self.server_display_name == name
            || self
                .path
                .as_ref()
                .is_some_and(|path| path.as_os_str() == name)
    }

    /// Why the server cannot be started, though the entry can be read: it says two things at once.
    #[must_use]
    pub fn conflict(&self) -> Option<&'static str> {
        self.conflict
    }
}
