//! The NATS wire.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::ServerAddr;

use super::Making;
use crate::config::layers::View;
use crate::config::problem::Problems;
use crate::config::secret_file;
use crate::config::setting::Table;
use crate::nats::{ConnectOptions, NatsConfig, NatsConnection};

/// The port of the broker is the protocol's.
const URL_DEFAULT: &str = "nats://127.0.0.1:4222";
/// Between attempts to connect at first.
const CONNECT_DELAY: Duration = Duration::from_secs(2);

/// Ways to say who we are; only one can be given.
const CREDENTIALS: [&str; 5] = [
    "credentials_file",
    "nkey_file",
    "user",
    "token",
    "token_file",
];
/// What else makes the connection anew, instead of the code's.
const CONNECTION: [&str; 7] = [
    "url",
    "password",
    "password_file",
    "tls_ca_file",
    "tls_cert_file",
    "tls_key_file",
    "connect_attempts",
];

pub(super) fn make(
    making: &Making<'_>,
    base: Option<NatsConfig>,
    problems: &mut Problems,
) -> NatsConfig {
    let view = making.view(Table::Nats);
    let mut config = base.unwrap_or_else(|| {
        let version = making.version.as_deref().unwrap_or("0.0.0");
        NatsConfig::new(making.token(), version, URL_DEFAULT)
    });
    view.set("service", &mut config.service);
    view.set("version", &mut config.version);
    view.set("description", &mut config.description);
    config.group = view.get("group").or(config.group);
    config.queue_group = view.get("queue_group").or(config.queue_group);
    view.set("requests_max", &mut config.requests_max);
    view.set("bytes_max", &mut config.bytes_max);
    view.set("unwritten_bytes_max", &mut config.unwritten_bytes_max);
    check_service(&config.service, view, problems);
    if view.has(&CREDENTIALS) || view.has(&CONNECTION) {
        config.connection = connection(&config, view, problems);
    }
    config
}

fn check_service(service: &str, view: View<'_>, problems: &mut Problems) {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if service.is_empty() || !service.chars().all(is_letter) {
        problems.add(
            &view.place("service"),
            "[nats] service must be of letters, digits, `_` and `-`",
        );
    }
}

fn connection(config: &NatsConfig, view: View<'_>, problems: &mut Problems) -> NatsConnection {
    let url = view.get("url").unwrap_or_else(|| match &config.connection {
        NatsConnection::Url { url, .. } => url.clone(),
        NatsConnection::Client(_) => URL_DEFAULT.to_owned(),
    });
    let is_address = |part: &str| part.trim().parse::<ServerAddr>().is_ok();
    if !url.split(',').all(is_address) {
        // Not repeated: it may have a password in it.
        problems.add(
            &view.place("url"),
            "[nats] url must be an address such as nats://127.0.0.1:4222, or several, separated by commas",
        );
    }
    let options = async_nats::ConnectOptions::new().name(&config.service);
    let options = tls(credentials(options, view, problems), view, problems);
    let mut options = ConnectOptions::from(options);
    if let Some(attempts) = view.get("connect_attempts") {
        options = options.connect_attempts(attempts, CONNECT_DELAY);
    }
    NatsConnection::Url {
        url,
        options: Some(Box::new(options)),
    }
}

fn credentials(
    options: async_nats::ConnectOptions,
    view: View<'_>,
    problems: &mut Problems,
) -> async_nats::ConnectOptions {
    let chosen = view.choose(&CREDENTIALS, problems);
    if chosen != Some("user") && view.has(&["password", "password_file"]) && !view.has(&["user"]) {
        let key = if view.has(&["password"]) {
            "password"
        } else {
            "password_file"
        };
        problems.add(&view.place(key), "[nats] a password needs a user");
    }
    match chosen {
        Some("user") => user(options, view, problems),
        Some("token") => match view.get("token") {
            Some(token) => options.token(token),
            None => options,
        },
        Some(key) => match secret_file::read(view, key, problems) {
            Some(secret) => with_secret(options, key, secret, view, problems),
            None => options,
        },
        None => options,
    }
}

fn with_secret(
    options: async_nats::ConnectOptions,
    key: &'static str,
    secret: String,
    view: View<'_>,
    problems: &mut Problems,
) -> async_nats::ConnectOptions {
    match key {
        "nkey_file" => options.nkey(secret),
        "token_file" => options.token(secret),
        _ => options.credentials(&secret).unwrap_or_else(|_| {
            // The cause is left out: it may repeat a part of the file.
            problems.add(
                &view.place(key),
                "[nats] credentials_file has no JWT with its seed, as `nsc generate creds` writes them",
            );
            async_nats::ConnectOptions::new()
        }),
    }
}

fn user(
    options: async_nats::ConnectOptions,
    view: View<'_>,
    problems: &mut Problems,
) -> async_nats::ConnectOptions {
    let password = match view.choose(&["password", "password_file"], problems) {
        Some("password") => view.get("password"),
        Some(key) => secret_file::read(view, key, problems),
        None => {
            problems.add(
                &view.place("user"),
                "[nats] user needs password_file or NODEWIRE_NATS_PASSWORD",
            );
            None
        }
    };
    match (view.get("user"), password) {
        (Some(user), Some(password)) => options.user_and_password(user, password),
        _ => options,
    }
}

fn tls(
    mut options: async_nats::ConnectOptions,
    view: View<'_>,
    problems: &mut Problems,
) -> async_nats::ConnectOptions {
    if let Some(authorities) = view.get::<PathBuf>("tls_ca_file") {
        options = options.add_root_certificates(authorities).require_tls(true);
    }
    let certificate = view.get::<PathBuf>("tls_cert_file");
    let key = view.get::<PathBuf>("tls_key_file");
    match (certificate, key) {
        (Some(certificate), Some(key)) => options
            .add_client_certificate(certificate, key)
            .require_tls(true),
        (None, None) => options,
        (Some(_), None) | (None, Some(_)) => {
            let missing = if view.has(&["tls_key_file"]) {
                "tls_cert_file"
            } else {
                "tls_key_file"
            };
            problems.add(
                &view.place(missing),
                format!("[nats] {missing} is missing: a certificate and its key belong together"),
            );
            options
        }
    }
}
