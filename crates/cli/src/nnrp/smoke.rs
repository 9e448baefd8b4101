//! `nodewire nnrp smoke`: one exchange with fixed content. spec: nnrp-session 8

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use nnrp::tools::{
    SmokeClientOptions, SmokeHello, SmokeTranscript, smoke_client, smoke_hello_server, smoke_server,
};
use nnrp::{Endpoint, Link, TcpSecurity, TransportId};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use super::trust::{IdentityFlags, Transports, TrustFlags, deadline, leave, listen};
use crate::failure::{Failure, chain};
use crate::signals::Signals;
use crate::terminal;

const HELP: &str = "\
Examples:
  # Both sides, in two terminals
  nodewire nnrp smoke server --port 9444 --certificate-out smoke.pem
  nodewire nnrp smoke client --port 9444 --ca smoke.pem

  # Against the reference, over plain TCP and over QUIC
  nodewire nnrp smoke client --port 9444 --transport tcp
  nnrp-quic-smoke server-once --port 9444 --certificate cert.pem --private-key key.pem &
  nodewire nnrp smoke client --port 9444 --ca cert.pem

A hello, a submit with three tiles, a result with three tiles. What was negotiated is printed as key=value lines, or with --json as \
one object; on TCP, which has no streams, their numbers are those that the reference makes up. Nothing is printed before the \
exchange is done but, by servers, where they listen, on standard error. Unlike the reference, a client verifies the certificate \
unless told not to, and --timeout holds for everything together.

Exit status: 0 done; 1 no exchange: a time limit, a certificate, a file, the protocol; 2 wrong usage; 130 interrupted.";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct SmokeArgs {
    #[command(subcommand)]
    command: SmokeCommand,
}

#[derive(Debug, Subcommand)]
enum SmokeCommand {
    /// Submit a frame and wait for its result.
    Client(ClientArgs),
    /// Answer the frame of one client.
    #[command(visible_alias = "server-once")]
    Server(ServerArgs),
    /// Answer the hello of one client.
    HelloServer(ServerArgs),
}

impl SmokeCommand {
    /// Finds wrong usage.
    fn check(&self) -> Result<(), Failure> {
        match self {
            Self::Client(_) => Ok(()),
            Self::Server(args) | Self::HelloServer(args) => {
                args.identity.check(args.common.transport.listened_on())
            }
        }
    }
}

#[derive(Debug, clap::Args)]
struct ClientArgs {
    /// The server's name or address.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Its port.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The session id to ask for.
    #[arg(long, value_name = "ID", default_value_t = 1)]
    requested_session_id: u32,
    /// The frame's id.
    #[arg(long, value_name = "ID", default_value_t = 101)]
    frame_id: u32,
    /// Verify the certificate, which is done anyway.
    #[arg(long, hide = true, conflicts_with_all = ["insecure", "insecure_anywhere"])]
    verify_peer: bool,
    #[command(flatten)]
    trust: TrustFlags,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, clap::Args)]
struct ServerArgs {
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// The port; 0 is one that is free.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The session id to give the client.
    #[arg(long, value_name = "ID", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    session_id: u32,
    #[command(flatten)]
    identity: IdentityFlags,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, clap::Args)]
struct CommonArgs {
    /// The transport.
    #[arg(long, value_enum, default_value_t = Transport::Quic)]
    transport: Transport,
    /// For everything together, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = crate::micro::seconds)]
    timeout: Duration,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Transport {
    /// QUIC.
    Quic,
    /// Plain TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl Transport {
    const fn id(self) -> TransportId {
        match self {
            Self::Quic => TransportId::Quic,
            Self::Tcp | Self::Tls => TransportId::Tcp,
        }
    }

    const fn listened_on(self) -> Transports {
        match self {
            Self::Quic => Transports {
                tcp: None,
                quic: true,
            },
            Self::Tcp => Transports {
                tcp: Some(TcpSecurity::Plain),
                quic: false,
            },
            Self::Tls => Transports {
                tcp: Some(TcpSecurity::Tls),
                quic: false,
            },
        }
    }
}

pub(super) async fn smoke(args: SmokeArgs) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    args.command.check()?;
    // The reference has one status for all that can go wrong.
    let done = signals.unless_stopped(run(args)).await;
    done.map_err(Failure::into_failed)
}

async fn run(args: SmokeArgs) -> Result<(), Failure> {
    match args.command {
        SmokeCommand::Client(args) => Box::pin(client(args)).await,
        SmokeCommand::Server(args) => {
            let limit = Limit::begin(args.common.timeout);
            let link = Box::pin(accept(&args, &limit)).await?;
            let served = smoke_server(link.0, args.session_id);
            let transcript = limit.hold(Box::pin(served)).await?;
            leave(None, Some(&link.1.listener)).await;
            print(&transcript_lines("server", &transcript), args.common.json)
        }
        SmokeCommand::HelloServer(args) => {
            let limit = Limit::begin(args.common.timeout);
            let link = Box::pin(accept(&args, &limit)).await?;
            let served = smoke_hello_server(link.0, args.session_id);
            let hello = limit.hold(Box::pin(served)).await?;
            leave(None, Some(&link.1.listener)).await;
            print(&hello_lines("hello-server", &hello), args.common.json)
        }
    }
}

async fn client(args: ClientArgs) -> Result<(), Failure> {
    let limit = Limit::begin(args.common.timeout);
    let endpoint = if args.common.transport == Transport::Tcp {
        Endpoint::plain(&args.host, args.port)
    } else {
        Endpoint::tls(&args.host, args.port)
    };
    let endpoint = endpoint.map_err(|error| Failure::usage(error.to_string()))?;
    let dialer = args.trust.dialer()?;
    let link = dialer
        .dial(&endpoint, args.common.transport.id(), limit.at)
        .await;
    let link = link.map_err(|error| Failure::failed(chain(&error)))?;
    let options = SmokeClientOptions {
        requested_session_id: args.requested_session_id,
        frame_id: args.frame_id,
    };
    let transcript = limit.hold(Box::pin(smoke_client(link, options))).await?;
    leave(Some(&dialer), None).await;
    print(&transcript_lines("client", &transcript), args.common.json)
}

/// The first connection, with what has to stay until it ends.
async fn accept(
    args: &ServerArgs,
    limit: &Limit,
) -> Result<(Link, super::trust::Listening), Failure> {
    let address = SocketAddr::new(args.host, args.port);
    let transports = args.common.transport.listened_on();
    let listening = listen(address, transports, &args.identity).await?;
    // A program that chose port and certificate knows where it is.
    if args.port == 0 || listening.trust().is_some() {
        listening.tell(false);
    }
    let link = limit.hold(listening.listener.accept()).await?;
    Ok((link, listening))
}

/// The time for everything.
struct Limit {
    at: Instant,
    timeout: Duration,
}

impl Limit {
    fn begin(timeout: Duration) -> Self {
        Self {
            at: deadline(timeout),
            timeout,
        }
    }

    async fn hold<T, E: std::error::Error>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        match timeout_at(self.at, work).await {
            Ok(done) => done.map_err(|error| Failure::failed(chain(&error))),
            Err(_) => Err(Failure::failed(format!(
                "the exchange was not done within {:?}",
                self.timeout
            ))),
        }
    }
}

type Lines = Vec<(&'static str, Value)>;

fn hello_lines(role: &str, hello: &SmokeHello) -> Lines {
    vec![
        ("role", role.into()),
        ("requested_session_id", hello.requested_session_id.into()),
        ("negotiated_session_id", hello.negotiated_session_id.into()),
        ("control_stream_id", hello.control_stream_id.into()),
    ]
}

fn transcript_lines(role: &str, transcript: &SmokeTranscript) -> Lines {
    let mut lines = hello_lines(role, &transcript.hello);
    lines.insert(3, ("frame_id", transcript.frame_id.into()));
    lines.extend([
        ("submit_stream_id", transcript.submit_stream_id.into()),
        ("result_stream_id", transcript.result_stream_id.into()),
        ("submit_tile_count", transcript.submit_tile_count.into()),
        ("result_tile_count", transcript.result_tile_count.into()),
    ]);
    lines
}

fn print(lines: &Lines, json: bool) -> Result<(), Failure> {
    if json {
        let object: Map<_, _> = lines
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect();
        terminal::json(Value::Object(object));
    } else {
        for (key, value) in lines {
            // Texts without their quotes.
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            terminal::result(format_args!("{key}={value}"));
        }
    }
    terminal::results_written()
}
