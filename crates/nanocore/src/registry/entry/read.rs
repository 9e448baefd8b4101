//! Reading an entry, with what is wrong with it in words.

use std::path::PathBuf;
use std::time::Duration;

use nanograph::config::Language;
use nodewire_json::Json;
use serde::de::DeserializeOwned;

use super::{AssetRefs, Entry};
use crate::assets::{ForeignAssets, Token};
use crate::registry::nats::NatsService;
use crate::workflow::InputStyle;

impl Entry {
    /// Reads an element of the file; what is wrong with it goes to `problems`, with this place in front.
    pub(in crate::registry) fn read(
        element: &Json,
        place: &str,
        problems: &mut Vec<String>,
    ) -> Option<Self> {
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
}

/// Reads members, and notes what is wrong with them.
pub(in crate::registry) struct Reader<'a> {
    members: &'a [(String, Json)],
    place: &'a str,
    problems: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn entry(&mut self) -> Option<Entry> {
        let path = self.get::<PathBuf>("path", "must be a text in quotes");
        let nats = NatsService::read(self);
        let url = match nats {
            Read::Right(_) | Read::Wrong => None,
            Read::None => self.text("url"),
        };
        if path.as_ref().is_some_and(|path| !path.is_absolute()) {
            self.report("path", "must be absolute, starting with /");
        }
        if url.as_deref().is_some_and(|url| !is_address(url)) {
            self.report("url", "must start with ws:// or wss://");
        }
        let conflict = match (&path, &url, &nats) {
            (None, None, Read::None) => {
                let rule = "is missing; an entry has a path, a url, or \"transport\": \"nats\" and a service";
                self.report("path", rule);
                None
            }
            (Some(_), Some(_), _) => {
                Some("its entry has a \"url\" beside a \"path\"; keep one of them")
            }
            (Some(_), None, Read::Right(_)) => {
                Some("its entry has a \"path\" beside \"transport\": \"nats\"; keep one of them")
            }
            (_, _, _) => None,
        };
        let nats = match nats {
            Read::Right(nats) => Some(nats),
            Read::Wrong | Read::None => None,
        };
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
            nats,
            conflict,
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
    pub(in crate::registry) fn get<T: DeserializeOwned>(
        &mut self,
        key: &str,
        rule: &str,
    ) -> Option<T> {
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

    pub(in crate::registry) fn text(&mut self, key: &str) -> Option<String> {
        self.get(key, "must be a text in quotes")
            .filter(|text: &String| !text.is_empty())
    }

    pub(in crate::registry) fn word<T: Copy>(
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

    pub(in crate::registry) fn report(&mut self, key: &str, rule: &str) {
        self.problems
            .push(format!("{}: {key:?} {rule}", self.place));
    }
}

/// A part of an entry that may be there.
#[derive(Debug)]
pub(in crate::registry) enum Read<T> {
    Right(T),
    /// It is there, and what is wrong with it was noted.
    Wrong,
    None,
}

fn is_address(url: &str) -> bool {
    url.starts_with("ws://") || url.starts_with("wss://")
}

fn is_http(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}
