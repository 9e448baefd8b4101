//! [`NatsAddress`]: where a NATS is, and who we are there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nats_micro::{ConnectOptions, ConnectionEvent, Context};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The connection is asked so often whether it lives.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Replies that wait until they are handed to their executions, which takes no time to speak of.
const REPLIES_MAX: usize = 16_384;
/// Longest credentials file read, in bytes.
const CREDENTIALS_BYTES_MAX: u64 = 64 << 10;
/// What an address may begin with.
const SCHEMES: [&str; 2] = ["nats://", "tls://"];

/// Where a NATS is, and who we are there.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsAddress {
    /// Such as `nats://127.0.0.1:4222` or `tls://user:password@broker`; several are separated by commas.
    pub url: String,
    /// Who we are, if the address does not say so.
    pub auth: NatsAuth,
    /// A file with the authorities to trust, in place of those that the system trusts.
    pub tls_ca: Option<PathBuf>,
}

/// Who we are to a NATS.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum NatsAuth {
    /// Whoever the address says, or nobody.
    #[default]
    Url,
    /// A user.
    User {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token.
    Token(String),
    /// A credentials file (JWT and seed).
    Credentials(PathBuf),
}

/// Why there is no connection to a NATS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NatsConnectError {
    /// The credentials file cannot be used.
    #[error("cannot use the credentials file {}", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The broker cannot be reached, or refused us.
    #[error("cannot connect to {url}; is it running, and are address and credentials right?")]
    Connect {
        /// The address, without credentials.
        url: String,
        /// Why not.
        #[source]
        source: async_nats::ConnectError,
    },
    /// It says nothing.
    #[error("{url} did not answer within {} s", after.as_secs())]
    TimedOut {
        /// The address, without credentials.
        url: String,
        /// How long was waited.
        after: Duration,
    },
}

impl NatsAddress {
    /// An address that says itself who we are, or of a NATS that asks nobody.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            auth: NatsAuth::Url,
            tls_ca: None,
        }
    }

    /// What is wrong with the address, if anything.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        let is_wrong = |one: &str| {
            let rest = SCHEMES.iter().find_map(|scheme| one.strip_prefix(scheme));
            let host = rest.map(|rest| rest.rsplit('@').next().unwrap_or_default());
            host.is_none_or(|host| host.is_empty() || host.starts_with(':'))
                || one.chars().any(|c| c.is_whitespace() || c.is_control())
        };
        self.url
            .split(',')
            .any(|one| is_wrong(one.trim()))
            .then_some("must start with nats:// or tls:// and name a host")
    }

    /// The address for people: without credentials.
    #[must_use]
    pub fn shown(&self) -> String {
        let shown = |one: &str| {
            let one = one.trim();
            match (one.split_once("://"), one.rsplit_once('@')) {
                (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
                (_, _) => one.to_owned(),
            }
        };
        self.url.split(',').map(shown).collect::<Vec<_>>().join(",")
    }

    /// Connects; tells `on_event` what happens to the connection. Dropping the future leaves nothing behind.
    ///
    /// # Errors
    /// See [`NatsConnectError`].
    pub(super) async fn connect(
        &self,
        on_event: impl Fn(&ConnectionEvent) + Send + Sync + 'static,
    ) -> Result<Context, NatsConnectError> {
        let options = ConnectOptions::from(self.options().await?).on_event(on_event);
        let servers: Vec<&str> = self.url.split(',').map(str::trim).collect();
        let connecting = Context::connect(options, servers.as_slice());
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connected) => connected.map_err(|source| NatsConnectError::Connect {
                url: self.shown(),
                source,
            }),
            Err(_) => Err(NatsConnectError::TimedOut {
                url: self.shown(),
                after: CONNECT_TIMEOUT,
            }),
        }
    }

    async fn options(&self) -> Result<async_nats::ConnectOptions, NatsConnectError> {
        let mut options = async_nats::ConnectOptions::new()
            .name("nanocore")
            .subscription_capacity(REPLIES_MAX)
            .ping_interval(PING_INTERVAL);
        options = match &self.auth {
            NatsAuth::Url => options,
            NatsAuth::User { user, password } => {
                options.user_and_password(user.clone(), password.clone())
            }
            NatsAuth::Token(token) => options.token(token.clone()),
            NatsAuth::Credentials(path) => {
                let unusable = |source| NatsConnectError::Credentials {
                    path: path.clone(),
                    source,
                };
                let text = read(path).await.map_err(unusable)?;
                options.credentials(&text).map_err(unusable)?
            }
        };
        if let Some(authorities) = &self.tls_ca {
            options = options.add_root_certificates(authorities.clone());
        }
        Ok(options)
    }
}

async fn read(path: &Path) -> std::io::Result<String> {
    let length = tokio::fs::metadata(path).await?.len();
    if length > CREDENTIALS_BYTES_MAX {
        let message = format!("it is longer than {CREDENTIALS_BYTES_MAX} bytes");
        return Err(std::io::Error::other(message));
    }
    tokio::fs::read_to_string(path).await
}

/// Without credentials.
impl fmt::Debug for NatsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsAddress")
            .field("url", &self.shown())
            .field("auth", &self.auth)
            .field("tls_ca", &self.tls_ca)
            .finish()
    }
}

/// Without credentials.
impl fmt::Debug for NatsAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("Url"),
            Self::User { user, .. } => f.debug_tuple("User").field(user).finish(),
            Self::Token(_) => f.write_str("Token(..)"),
            Self::Credentials(path) => f.debug_tuple("Credentials").field(path).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_and_shown_without_secrets() {
        for right in ["nats://h:1", "tls://u:p@h", "nats://a, nats://t@b:2"] {
            assert_eq!(NatsAddress::new(right).problem(), None, "{right}");
        }
        for wrong in [
            "",
            "h:1",
            "http://h",
            "nats://",
            "nats://u@",
            "nats://:1",
            "nats://a b",
        ] {
            assert!(NatsAddress::new(wrong).problem().is_some(), "{wrong}");
        }
        let address = NatsAddress {
            auth: NatsAuth::User {
                user: "me".to_owned(),
                password: "secret".to_owned(),
            },
            ..NatsAddress::new("nats://u:secret@h:1,tls://secret@i")
        };
        assert_eq!(address.shown(), "nats://h:1,tls://i");
        assert!(!format!("{address:?}").contains("secret"), "{address:?}");
    }
}
