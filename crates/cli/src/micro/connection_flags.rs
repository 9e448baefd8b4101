//! The flags that say how to connect; before the command and after it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::units::seconds;

/// What one place says about the connection: flags, a set of variables, or a context. What is `None` is left to the
/// next.
#[derive(Clone, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionFlags {
    /// The server, or several separated by commas; may have user:password or a token. [env: NATS_SERVER, NATS_URL]
    #[arg(short, long, value_name = "URL")]
    pub(super) server: Option<String>,
    /// How often to try a server before giving up; -1 or 0 for ever. Without it the first connect is tried once, by `run`
    /// and `dev` like later ones, 60 times. [env: NATS_MAX_RECONNECT]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(super) max_reconnect: Option<i64>,
    /// How long to wait between attempts, 2 unless set. [env: NATS_RECONNECT_DELAY]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(super) reconnect_delay: Option<Duration>,
    /// The user. [env: NATS_USERNAME, NATS_USER]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["token", "creds", "nkey"])]
    pub(super) username: Option<String>,
    /// The password; better given by the environment, as others can see command lines. [env: NATS_PASSWORD]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(super) password: Option<String>,
    /// The token; better given by the environment. [env: NATS_TOKEN]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, conflicts_with_all = ["creds", "nkey"])]
    pub(super) token: Option<String>,
    /// A file with credentials: a JWT and its seed. [env: NATS_CREDS]
    #[arg(long, value_name = "FILE", conflicts_with = "nkey")]
    pub(super) creds: Option<PathBuf>,
    /// A file with an nkey's seed. [env: NATS_NKEY]
    #[arg(long, value_name = "FILE")]
    pub(super) nkey: Option<String>,
    /// natscli's context to use instead of the selected one. [env: NATS_CONTEXT]
    #[arg(long, value_name = "NAME")]
    pub(super) context: Option<String>,
    /// Certificates of the authorities to trust, PEM. [env: NATS_CA]
    #[arg(long, value_name = "FILE")]
    pub(super) tls_ca: Option<PathBuf>,
    /// Our certificate, PEM. [env: NATS_CERT]
    #[arg(long, value_name = "FILE")]
    pub(super) tls_cert: Option<PathBuf>,
    /// Its key, PEM. [env: NATS_KEY]
    #[arg(long, value_name = "FILE")]
    pub(super) tls_key: Option<PathBuf>,
    /// Begin with TLS instead of upgrading to it; for servers that are set so.
    #[arg(long)]
    pub(super) tls_first: bool,
    /// What the subjects begin with that replies come to; _INBOX unless set.
    #[arg(long, value_name = "PREFIX")]
    pub(super) inbox_prefix: Option<String>,
    /// What the control subjects of services begin with; $SRV unless set.
    #[arg(long, value_name = "PREFIX")]
    pub(super) control_prefix: Option<String>,
    /// A JWT, with its seed in `seed`.
    #[arg(skip)]
    pub(super) jwt: Option<String>,
    #[arg(skip)]
    pub(super) seed: Option<String>,
    /// How long to wait for replies.
    #[arg(skip)]
    pub(super) reply_timeout: Option<Duration>,
}

/// Without secrets.
impl fmt::Debug for ConnectionFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionFlags")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}
