//! Writing an entry: known keys in the places where they stand, unknown ones as they are.

use std::time::Duration;

use nodewire_json::Json;

use super::Entry;
use crate::registry::nats::NatsService;
use crate::workflow::InputStyle;

impl Entry {
    /// The object as it is to stand in the file, one member a line.
    pub(in crate::registry) fn write(&self) -> String {
        let mut members = self.members.clone();
        let nats = self.nats.as_ref().map(NatsService::members);
        for (key, value) in self.known().into_iter().chain(nats.into_iter().flatten()) {
            put(&mut members, key, value);
        }
        let lines: Vec<_> = members
            .iter()
            .map(|(key, value)| format!("    {}: {value}", Json::from(key.as_str())))
            .collect();
        format!("  {{\n{}\n  }}", lines.join(",\n"))
    }

    fn stands(&self, key: &str) -> bool {
        self.members.iter().any(|(known, _)| known == key)
    }

    /// What each known key says; `None` leaves it out.
    fn known(&self) -> [(&'static str, Option<Json>); 18] {
        let text = |text: &str| Some(Json::from(text));
        // What is usual is not written, unless it stands there already.
        let unless = |usual: bool, key: &str, value: serde_json::Value| {
            (self.stands(key) || !usual).then(|| Json::from(value))
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
        let nats_url = self.nats.as_ref().and_then(NatsService::url);
        let url = self.url.as_deref().or(nats_url);
        // Of a service nobody says what it is written in.
        let language = match (&self.nats, self.stands("language")) {
            (Some(_), false) => None,
            (Some(_), true) | (None, _) => text(self.language.as_str()),
        };
        [
            ("serverDisplayName", text(&self.server_display_name)),
            ("serverPackageId", text(&self.server_package_id)),
            ("serverUid", text(&self.server_uid)),
            ("language", language),
            ("path", path),
            ("url", url.and_then(text)),
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
