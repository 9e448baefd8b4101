//! Entries with `"transport": "nats"`: services of which somebody else starts the instances.

use std::path::PathBuf;

use nodewire_json::Json;

use super::entry::{Read, Reader};
use crate::nats::{NatsAddress, NatsAuth};

/// A service on a NATS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsService {
    /// `service`: its name; letters, digits, `_` and `-`.
    pub service: String,
    /// `url`, one of `credentials`, `user` with `password`, and `token`, and `tlsCa`: where it is. `None`: on the NATS of
    /// the daemon.
    pub address: Option<NatsAddress>,
}

/// The transports that an entry may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Nanograph,
    Nats,
}

impl Transport {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Nanograph => "nanograph",
            Self::Nats => "nats",
        }
    }
}

/// Keys that say something of a process, which such an entry has none of.
const OF_PROCESSES: [&str; 3] = ["command", "port", "startTimeout"];

impl NatsService {
    /// A service on the daemon's NATS.
    #[must_use]
    pub fn new(service: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            address: None,
        }
    }

    /// What is wrong with a service's name, if anything.
    #[must_use]
    pub fn name_problem(service: &str) -> Option<&'static str> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        (service.is_empty() || !service.bytes().all(fits))
            .then_some("must have letters, digits, `_` and `-` only")
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Read<Self> {
        let all = [Transport::Nanograph, Transport::Nats];
        if reader.word("transport", &all, Transport::as_str) != Some(Transport::Nats) {
            return Read::None;
        }
        for key in OF_PROCESSES {
            if reader.get::<serde_json::Value>(key, "").is_some() {
                reader.report(
                    key,
                    "is there, but nobody starts a server with \"transport\": \"nats\" here; take it away",
                );
            }
        }
        let service = reader.text("service");
        match service.as_deref().map(Self::name_problem) {
            None => reader.report(
                "service",
                "is missing; it is the name under which the server's instances are on NATS",
            ),
            Some(Some(problem)) => reader.report("service", problem),
            Some(None) => {}
        }
        let address = address(reader);
        match service {
            Some(service) => Read::Right(Self { service, address }),
            None => Read::Wrong,
        }
    }

    pub(super) fn url(&self) -> Option<&str> {
        self.address.as_ref().map(|address| address.url.as_str())
    }

    /// What each key says that only such entries have, but for `url`; `None` leaves it out.
    pub(super) fn members(&self) -> [(&'static str, Option<Json>); 7] {
        let text = |text: &str| Some(Json::from(text));
        let path = |path: &PathBuf| text(&path.to_string_lossy());
        let auth = self.address.as_ref().map(|address| &address.auth);
        let (mut user, mut password, mut token, mut credentials) = (None, None, None, None);
        match auth {
            Some(NatsAuth::User {
                user: name,
                password: secret,
            }) => (user, password) = (text(name), text(secret)),
            Some(NatsAuth::Token(secret)) => token = text(secret),
            Some(NatsAuth::Credentials(file)) => credentials = path(file),
            Some(NatsAuth::Url) | None => {}
        }
        let authorities = self
            .address
            .as_ref()
            .and_then(|address| address.tls_ca.as_ref());
        [
            ("transport", text(Transport::Nats.as_str())),
            ("service", text(&self.service)),
            ("credentials", credentials),
            ("user", user),
            ("password", password),
            ("token", token),
            ("tlsCa", authorities.and_then(path)),
        ]
    }
}

fn address(reader: &mut Reader<'_>) -> Option<NatsAddress> {
    let url = reader.text("url");
    let auth = auth(reader);
    let tls_ca = file(reader, "tlsCa");
    let Some(url) = url else {
        if auth != NatsAuth::Url || tls_ca.is_some() {
            let rule = "is missing; who we are and whom to trust can be said for a NATS with an address only";
            reader.report("url", rule);
        }
        return None;
    };
    let address = NatsAddress { url, auth, tls_ca };
    if let Some(problem) = address.problem() {
        reader.report("url", problem);
    }
    Some(address)
}

fn auth(reader: &mut Reader<'_>) -> NatsAuth {
    let credentials = file(reader, "credentials");
    let (user, password) = (reader.text("user"), reader.text("password"));
    let token = reader.text("token");
    let ways = [
        ("credentials", credentials.is_some()),
        ("user", user.is_some()),
        ("token", token.is_some()),
    ];
    let given: Vec<_> = ways.iter().filter(|(_, is_given)| *is_given).collect();
    if let [(first, _), (second, _), ..] = given.as_slice() {
        let rule = format!("is there beside {first:?}; keep one of them");
        reader.report(second, &rule);
    }
    match (&user, &password) {
        (Some(_), None) => reader.report("password", "is missing; \"user\" needs it"),
        (None, Some(_)) => reader.report("user", "is missing; \"password\" is for it"),
        (Some(_), Some(_)) | (None, None) => {}
    }
    match (credentials, user.zip(password), token) {
        (Some(file), _, _) => NatsAuth::Credentials(file),
        (None, Some((user, password)), _) => NatsAuth::User { user, password },
        (None, None, Some(token)) => NatsAuth::Token(token),
        (None, None, None) => NatsAuth::Url,
    }
}

fn file(reader: &mut Reader<'_>, key: &str) -> Option<PathBuf> {
    let path = reader.text(key).map(PathBuf::from);
    if path.as_ref().is_some_and(|path| !path.is_absolute()) {
        reader.report(key, "must be absolute, starting with /");
    }
    path
}
