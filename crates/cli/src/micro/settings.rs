//! The connection's settings, from all places that have something to say.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::ServerAddr;

use super::connection_flags::ConnectionFlags;
use super::context_file;
use super::credentials::Credentials;
use super::environment::{self, Lookup, VARIABLES};
use super::servers;
use crate::failure::Failure;

const DEFAULT_MAX_RECONNECT: usize = 60;
const DEFAULT_RECONNECT_DELAY: Duration = Duration::from_secs(2);

/// How to connect.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Without credentials; empty if nobody named one.
    pub(super) servers: Vec<ServerAddr>,
    pub(super) credentials: Credentials,
    /// `None`: for ever.
    pub(crate) max_reconnect: Option<usize>,
    /// Whether somebody said so: then it holds for the first connect too.
    pub(crate) max_reconnect_is_given: bool,
    pub(super) reconnect_delay: Duration,
    pub(super) tls_ca: Option<PathBuf>,
    /// Certificate and key.
    pub(super) tls_client: Option<(PathBuf, PathBuf)>,
    pub(super) tls_first: bool,
    pub(super) inbox_prefix: Option<String>,
    pub(crate) control_prefix: Option<String>,
    /// How long to wait for replies, where no flag says so.
    pub(super) reply_timeout: Option<Duration>,
}

impl Settings {
    /// The first place that says something wins: flags of the command, flags before it, the variables of the flags,
    /// those of natscli, its context.
    pub(crate) fn resolve(
        own: ConnectionFlags,
        before: ConnectionFlags,
        lookup: Lookup<'_>,
    ) -> Result<Self, Failure> {
        let mut places = vec![
            own,
            before,
            environment::own(lookup)?,
            environment::natscli(lookup)?,
        ];
        let context = places.iter().find_map(|place| place.context.clone());
        places.push(context_file::load(context.as_deref(), lookup)?);
        for place in &mut places {
            servers::move_credentials(place)?;
        }
        Self::merge(&places)
    }

    fn merge(places: &[ConnectionFlags]) -> Result<Self, Failure> {
        let path = |get: fn(&ConnectionFlags) -> &Option<PathBuf>| {
            places.iter().find_map(|place| get(place).clone())
        };
        let text = |get: fn(&ConnectionFlags) -> &Option<String>| {
            places.iter().find_map(|place| get(place).clone())
        };
        let tls_client = match (path(|place| &place.tls_cert), path(|place| &place.tls_key)) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => {
                return Err(Failure::usage(
                    "there is a certificate, but no key: give --tls-key",
                ));
            }
            (None, Some(_)) => {
                return Err(Failure::usage(
                    "there is a key, but no certificate: give --tls-cert",
                ));
            }
        };
        let max_reconnect = places.iter().find_map(|place| place.max_reconnect);
        let servers = text(|place| &place.server);
        let settings = Self {
            servers: servers.as_deref().map_or(Ok(Vec::new()), servers::parse)?,
            credentials: Credentials::choose(places)?,
            max_reconnect: match max_reconnect {
                // Both the reference and async-nats take 0 so.
                Some(..=0) => None,
                Some(attempts) => usize::try_from(attempts).ok(),
                None => Some(DEFAULT_MAX_RECONNECT),
            },
            max_reconnect_is_given: max_reconnect.is_some(),
            reconnect_delay: places
                .iter()
                .find_map(|place| place.reconnect_delay)
                .unwrap_or(DEFAULT_RECONNECT_DELAY),
            tls_ca: path(|place| &place.tls_ca),
            tls_client,
            tls_first: places.iter().any(|place| place.tls_first),
            inbox_prefix: text(|place| &place.inbox_prefix),
            control_prefix: text(|place| &place.control_prefix),
            reply_timeout: places.iter().find_map(|place| place.reply_timeout),
        };
        match &settings.inbox_prefix {
            Some(prefix) if !is_inbox_prefix(prefix) => Err(Failure::usage(format!(
                "{prefix:?} cannot be the prefix of inboxes: names separated by dots, without wildcards"
            ))),
            _ => Ok(settings),
        }
    }

    /// The client's options.
    pub(super) fn options(&self) -> Result<async_nats::ConnectOptions, Failure> {
        let delay = self.reconnect_delay;
        let mut options = async_nats::ConnectOptions::new()
            .name("nodewire")
            // Here every attempt counts, there every round over all servers.
            .max_reconnects(self.max_reconnect.map(|rounds| rounds.saturating_mul(self.servers.len().max(1))))
            .reconnect_delay_callback(move |attempt| if attempt <= 1 { Duration::ZERO } else { delay });
        options = self.credentials.apply(options)?;
        if let Some(ca) = &self.tls_ca {
            options = options.add_root_certificates(ca.clone()).require_tls(true);
        }
        if let Some((cert, key)) = &self.tls_client {
            options = options
                .add_client_certificate(cert.clone(), key.clone())
                .require_tls(true);
        }
        if self.tls_first {
            options = options.tls_first().require_tls(true);
        }
        if let Some(prefix) = &self.inbox_prefix {
            options = options.custom_inbox_prefix(prefix);
        }
        Ok(options)
    }

    /// The environment that hands this connection on to a program: `None` takes a variable away.
    pub(super) fn variables(&self) -> Vec<(&'static str, Option<String>)> {
        let urls = servers::join(&self.servers);
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        let mut set = vec![("NATS_URL", urls.clone()), ("NATS_SERVER", urls)];
        set.extend(self.credentials.variables());
        if self.max_reconnect_is_given {
            let attempts = self
                .max_reconnect
                .map_or_else(|| "-1".to_owned(), |n| n.to_string());
            set.push(("NATS_MAX_RECONNECT", attempts));
        }
        if self.reconnect_delay != DEFAULT_RECONNECT_DELAY {
            set.push((
                "NATS_RECONNECT_DELAY",
                self.reconnect_delay.as_secs_f64().to_string(),
            ));
        }
        set.extend(self.tls_ca.iter().map(|ca| ("NATS_CA", path(ca))));
        if let Some((cert, key)) = &self.tls_client {
            set.extend([("NATS_CERT", path(cert)), ("NATS_KEY", path(key))]);
        }
        let value = |name: &str| {
            set.iter()
                .find(|(other, _)| *other == name)
                .map(|(_, value)| value.clone())
        };
        VARIABLES.iter().map(|name| (*name, value(name))).collect()
    }
}

fn is_inbox_prefix(prefix: &str) -> bool {
    let is_token = |token: &str| {
        !token.is_empty()
            && !token
                .contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '>'))
    };
    prefix.split('.').all(is_token)
}
