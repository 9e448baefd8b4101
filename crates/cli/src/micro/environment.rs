//! What the environment says about the connection: the variables of the flags, and those of natscli.
//! spec: nats-micro 12

use std::str::FromStr;

use super::connection_flags::ConnectionFlags;
use super::units::{go_duration, seconds};
use crate::failure::Failure;

/// Where variables are looked up.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// All variables that say something about the connection: a program that gets ours must not get others beside it.
pub(super) const VARIABLES: [&str; 17] = [
    "NATS_SERVER",
    "NATS_URL",
    "NATS_MAX_RECONNECT",
    "NATS_RECONNECT_DELAY",
    "NATS_USERNAME",
    "NATS_USER",
    "NATS_PASSWORD",
    "NATS_TOKEN",
    "NATS_CREDS",
    "NATS_NKEY",
    "NATS_JWT",
    "NATS_SEED",
    "NATS_CERT",
    "NATS_KEY",
    "NATS_CA",
    "NATS_TIMEOUT",
    "NATS_CONTEXT",
];

/// The process's own environment. An empty variable is as good as none.
pub(crate) fn lookup(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The variables that belong to the flags.
pub(super) fn own(lookup: Lookup<'_>) -> Result<ConnectionFlags, Failure> {
    Ok(ConnectionFlags {
        server: lookup("NATS_SERVER"),
        max_reconnect: read(lookup, "NATS_MAX_RECONNECT", |text| {
            i64::from_str(text).map_err(|_| format!("{text:?} is no whole number"))
        })?,
        reconnect_delay: read(lookup, "NATS_RECONNECT_DELAY", seconds)?,
        username: lookup("NATS_USERNAME"),
        password: lookup("NATS_PASSWORD"),
        token: lookup("NATS_TOKEN"),
        ..ConnectionFlags::default()
    })
}

/// The variables of natscli.
pub(super) fn natscli(lookup: Lookup<'_>) -> Result<ConnectionFlags, Failure> {
    let path = |name| lookup(name).map(Into::into);
    Ok(ConnectionFlags {
        server: lookup("NATS_URL"),
        username: lookup("NATS_USER"),
        creds: path("NATS_CREDS"),
        nkey: lookup("NATS_NKEY"),
        jwt: lookup("NATS_JWT"),
        seed: lookup("NATS_SEED"),
        tls_cert: path("NATS_CERT"),
        tls_key: path("NATS_KEY"),
        tls_ca: path("NATS_CA"),
        context: lookup("NATS_CONTEXT"),
        reply_timeout: read(lookup, "NATS_TIMEOUT", go_duration)?,
        ..ConnectionFlags::default()
    })
}

fn read<T>(
    lookup: Lookup<'_>,
    name: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, Failure> {
    let parsed = lookup(name).map(|text| parse(&text)).transpose();
    parsed.map_err(|problem| Failure::usage(format!("{name}: {problem}")))
}
