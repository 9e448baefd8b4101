//! [`Entry`]: one registered server.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use nanograph::config::Language;
use nodewire_json::Json;
use serde::de::DeserializeOwned;

use crate::assets::{ForeignAssets, Token};
use crate::workflow::InputStyle;

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
    /// `path`: the folder with `nanoserver.json`. An entry has this, or a url.
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
    /// `assetEndpoint` and `assetToken`: where the assets of a server that somebody else starts are, if not in this
    /// orchestrator's store.
    pub asset_server: Option<ForeignAssets>,
    /// The members as they stand in the file.
    members: Vec<(String, Json)>,
}

impl Entry {
    /// An entry that says nothing but who it is. It needs a path or a url before it can be put.
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

    /// Reads an element of the file; what is wrong with it goes to `problems`, with this place in front.
    pub(super) fn read(element: &Json, place: &str, problems: &mut Vec<String>) -> Option<Self> {
        let Some(members) = element.entries() else {
            problems.push(format!("{place}: must be an object"));
            return None;
        };
        let before = problems.len();
        let mut reader = Reader {
            members: &members,
            place,
            problems,
        };
        let entry = reader.entry();
        (problems.len() == before).then_some(Self { members, ..entry? })
    }

    /// The object as it is to stand in the file, one member a line.
    pub(super) fn write(&self) -> String {
        let mut members = self.members.clone();
        for (key, value) in self.known() {
            put(&mut members, key, value);
        }
        let lines: Vec<_> = members
            .iter()
            .map(|(key, value)| format!("    {}: {value}", Json::from(key.as_str())))
            .collect();
        format!("  {{\n{}\n  }}", lines.join(",\n"))
    }

    /// What each known key says; `None` leaves it out.
    fn known(&self) -> [(&'static str, Option<Json>); 18] {
        let text = |text: &str| Some(Json::from(text));
        // What is usual is not written, unless it stands there already.
        let unless = |usual: bool, key: &str, value: serde_json::Value| {
            let stands = self.members.iter().any(|(known, _)| known == key);
            (stands || !usual).then(|| Json::from(value))
        };
        let path = self
            .path
            .as_ref()
            .map(|path| Json::from(&*path.to_string_lossy()));
        let style = match self.input_style {
            InputStyle::List => "list",
            InputStyle::Scalar => "scalar",
        };
        let assets = self.asset_server.as_ref();
        let is_list = self.input_style == InputStyle::List;
        [
            ("serverDisplayName", text(&self.server_display_name)),
            ("serverPackageId", text(&self.server_package_id)),
            ("serverUid", text(&self.server_uid)),
            ("language", text(self.language.as_str())),
            ("path", path),
            ("url", self.url.as_deref().and_then(text)),
            ("port", self.port.map(number)),
            ("domain", self.domain.as_deref().and_then(text)),
            (
                "enabled",
                unless(self.enabled, "enabled", self.enabled.into()),
            ),
            (
                "env",
                unless(self.env.is_empty(), "env", serde_json::json!(self.env)),
            ),
            ("maxConcurrency", self.max_concurrency.map(number)),
            (
                "command",
                self.command
                    .as_ref()
                    .map(|words| Json::from(serde_json::Value::from(words.clone()))),
            ),
            ("inputStyle", unless(is_list, "inputStyle", style.into())),
            (
                "assetRefs",
                self.asset_refs.map(|refs| Json::from(refs.as_str())),
            ),
            ("sdkVersion", self.sdk_version.as_deref().and_then(text)),
            ("startTimeout", self.start_timeout.map(seconds)),
            ("assetEndpoint", assets.and_then(|at| text(&at.endpoint))),
            ("assetToken", assets.and_then(|at| text(at.token.reveal()))),
        ]
    }
}

fn number(value: impl Into<serde_json::Value>) -> Json {
    Json::from(value.into())
}

/// Whole seconds without a fraction.
fn seconds(time: Duration) -> Json {
    if time.subsec_nanos() == 0 {
        number(time.as_secs())
    } else {
        number(time.as_secs_f64())
    }
}

/// Sets or removes a member, in its place. A key that is there several times is set in all of them.
fn put(members: &mut Vec<(String, Json)>, key: &str, value: Option<Json>) {
    let Some(value) = value else {
        members.retain(|(known, _)| known != key);
        return;
    };
    let mut found = false;
    for (_, old) in members.iter_mut().filter(|(known, _)| known == key) {
        *old = value.clone();
        found = true;
    }
    if !found {
        members.push((key.to_owned(), value));
    }
}

struct Reader<'a> {
    members: &'a [(String, Json)],
    place: &'a str,
    problems: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn entry(&mut self) -> Option<Entry> {
        let path = self.get::<PathBuf>("path", "must be a text in quotes");
        let url = self.text("url");
        match (&path, &url) {
            (None, None) => self.report("path", "is missing; an entry has a path, or a url"),
            (Some(path), None) if !path.is_absolute() => {
                self.report("path", "must be absolute, starting with /");
            }
            (None, Some(url)) if !is_address(url) => {
                self.report("url", "must start with ws:// or wss://");
            }
            (Some(_), Some(_)) => self.report("url", "is there beside a path; keep one of them"),
            (Some(_), None) | (None, Some(_)) => {}
        }
        let server_uid = self.text("serverUid");
        if server_uid.is_none() {
            self.report("serverUid", "is missing, or no text in quotes");
        }
        let entry = Entry::new(server_uid?);
        let asset_server = self.asset_server();
        if path.is_some() && asset_server.is_some() {
            self.report(
                "assetEndpoint",
                "is there beside a path; servers started here use the assets of this orchestrator",
            );
        }
        Some(Entry {
            path,
            url,
            asset_server,
            ..self.settings(entry)
        })
    }

    fn settings(&mut self, mut entry: Entry) -> Entry {
        if let Some(package_id) = self.text("serverPackageId") {
            entry.server_package_id = package_id;
        }
        entry.server_display_name = self
            .text("serverDisplayName")
            .unwrap_or_else(|| entry.server_package_id.clone());
        entry.language = self
            .word(
                "language",
                &[Language::Python, Language::Javascript, Language::Rust],
                Language::as_str,
            )
            .unwrap_or_default();
        entry.port = self.get("port", "must be a whole number from 1 to 65535");
        if entry.port == Some(0) {
            self.report("port", "must be a whole number from 1 to 65535, not 0");
        }
        entry.domain = self.text("domain");
        entry.enabled = self.get("enabled", "must be true or false").unwrap_or(true);
        entry.env = self
            .get("env", "must be an object of texts in quotes")
            .unwrap_or_default();
        let invalid = |name: &&String| name.is_empty() || name.contains(['=', '\0']);
        if let Some(name) = entry.env.keys().find(invalid) {
            self.report(
                "env",
                &format!("has {name:?}, which cannot be the name of a variable"),
            );
        }
        entry.max_concurrency = self.get("maxConcurrency", "must be a whole number, 1 or more");
        if entry.max_concurrency == Some(0) {
            self.report(
                "maxConcurrency",
                "must be 1 or more; to stop a server, set \"enabled\": false",
            );
        }
        entry.command = self.get("command", "must be a list of texts in quotes");
        if entry.command.as_ref().is_some_and(Vec::is_empty) {
            self.report("command", "must name a program");
        }
        let styles = [InputStyle::List, InputStyle::Scalar];
        entry.input_style = self
            .word("inputStyle", &styles, |style| match style {
                InputStyle::List => "list",
                InputStyle::Scalar => "scalar",
            })
            .unwrap_or_default();
        entry.asset_refs = self.word(
            "assetRefs",
            &[AssetRefs::Uuid, AssetRefs::Hash],
            AssetRefs::as_str,
        );
        entry.sdk_version = self.text("sdkVersion");
        entry.start_timeout = self.seconds("startTimeout");
        entry
    }

    /// The address comes with its token, since the address in a server's handshake has none, and could be anybody's.
    fn asset_server(&mut self) -> Option<ForeignAssets> {
        let endpoint = self.text("assetEndpoint");
        let token = self.text("assetToken");
        match (&endpoint, &token) {
            (Some(_), None) => self.report("assetToken", "is missing; assetEndpoint needs it"),
            (None, Some(_)) => self.report("assetEndpoint", "is missing; assetToken is for it"),
            (Some(endpoint), Some(_)) if !is_http(endpoint) => {
                self.report("assetEndpoint", "must start with http:// or https://");
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        Some(ForeignAssets {
            endpoint: endpoint?,
            token: Token::new(token?),
        })
    }

    /// The value of a member, unless it is missing or `null`; of another type, it is a problem.
    fn get<T: DeserializeOwned>(&mut self, key: &str, rule: &str) -> Option<T> {
        let members = self.members;
        let (_, value) = members.iter().rev().find(|(known, _)| known == key)?;
        if value.is_null() {
            return None;
        }
        let decoded = value.decode().ok();
        if decoded.is_none() {
            self.report(key, rule);
        }
        decoded
    }

    fn text(&mut self, key: &str) -> Option<String> {
        self.get(key, "must be a text in quotes")
            .filter(|text: &String| !text.is_empty())
    }

    fn word<T: Copy>(
        &mut self,
        key: &str,
        all: &[T],
        as_str: impl Fn(T) -> &'static str,
    ) -> Option<T> {
        let text = self.text(key)?;
        let found = all.iter().copied().find(|one| as_str(*one) == text);
        if found.is_none() {
            let words: Vec<_> = all
                .iter()
                .map(|one| format!("{:?}", as_str(*one)))
                .collect();
            self.report(
                key,
                &format!("must be {}, not {text:?}", words.join(" or ")),
            );
        }
        found
    }

    fn seconds(&mut self, key: &str) -> Option<Duration> {
        const RULE: &str = "must be a number of seconds, more than 0";
        let seconds: f64 = self.get(key, RULE)?;
        let time = Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|time| !time.is_zero());
        if time.is_none() {
            self.report(key, RULE);
        }
        time
    }

    fn report(&mut self, key: &str, rule: &str) {
        self.problems
            .push(format!("{}: {key:?} {rule}", self.place));
    }
}

fn is_address(url: &str) -> bool {
    url.starts_with("ws://") || url.starts_with("wss://")
}

fn is_http(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}
