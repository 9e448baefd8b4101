//! `nodewire micro broker`: the embedded broker in the foreground.

use std::fmt;
use std::net::SocketAddr;

use nats_broker::{Broker, Limits, StartError};

use crate::args::at_least_one;
use crate::failure::{Failure, chain};
use crate::signals::Signals;
use crate::terminal;

const HELP: &str = "\
Examples:
  # On the port that everything looks at first
  nodewire micro broker

  # On any free port; the address is the first line of standard output
  nodewire micro broker --listen 127.0.0.1:0

It has no JetStream, no clusters, no accounts and no TLS: it is for development and tests. In production use nats-server.
It ends at SIGINT and SIGTERM.";

#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct BrokerArgs {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4222")]
    listen: SocketAddr,
    /// Clients must give this user, with the password.
    #[arg(
        long,
        value_name = "NAME",
        env = "NODEWIRE_BROKER_USERNAME",
        requires = "password"
    )]
    username: Option<String>,
    /// The user's password.
    #[arg(
        long,
        value_name = "TEXT",
        allow_hyphen_values = true,
        env = "NODEWIRE_BROKER_PASSWORD",
        hide_env_values = true,
        requires = "username"
    )]
    password: Option<String>,
    /// Clients must give this token.
    #[arg(
        long,
        value_name = "TEXT",
        allow_hyphen_values = true,
        env = "NODEWIRE_BROKER_TOKEN",
        hide_env_values = true,
        conflicts_with = "username"
    )]
    token: Option<String>,
    /// The largest message, headers included.
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().payload_bytes_max, value_parser = at_least_one())]
    max_payload: usize,
    /// Connections at the same time.
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections_max, value_parser = at_least_one())]
    max_connections: usize,
    /// Listen where other machines can reach it, without encryption.
    #[arg(long)]
    allow_non_loopback: bool,
}

/// Without secrets.
impl fmt::Debug for BrokerArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerArgs")
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

pub(super) async fn broker(args: BrokerArgs) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let limits = Limits {
        payload_bytes_max: args.max_payload,
        connections_max: args.max_connections,
        ..Limits::default()
    };
    let mut builder = Broker::builder()
        .listen(args.listen)
        .limits(limits)
        .allow_non_loopback(args.allow_non_loopback);
    if let (Some(user), Some(password)) = (args.username, args.password) {
        builder = builder.user_password(user, password);
    }
    if let Some(token) = args.token {
        builder = builder.token(token);
    }
    let broker = builder.start().await.map_err(|error| not_started(&error))?;
    terminal::result(broker.url());
    signals.stop.cancelled().await;
    broker.shutdown().await;
    Ok(())
}

fn not_started(error: &StartError) -> Failure {
    if let StartError::NotLoopback(address) = error {
        return Failure::usage(format!(
            "{address} is not a loopback address: this broker is for development; use nats-server, or give --allow-non-loopback"
        ));
    }
    Failure::failed(chain(error))
}
