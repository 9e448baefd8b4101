//! `nodewire nnrp record`: a proxy that writes down what goes by.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nnrp::tools::{RawLink, RelayOptions, relay};
use nnrp::{Dialer, Endpoint, Link, SplitLimits, TransportId};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::probe::transport_name;
use super::recording::{Event, Recorder, Title, side_name};
use super::trust::{ListenFlags, Policy, TrustFlags, deadline, leave, remote};
use crate::args::at_least_one;
use crate::failure::{Failure, chain};
use crate::signals::Signals;
use crate::terminal;

const HELP: &str = "\
Examples:
  # Clients connect to 9444 instead of 9445
  nodewire nnrp record --listen nnrps://127.0.0.1:9444 --certificate-out proxy.pem \\
      --to nnrps://127.0.0.1:9445 --ca server.pem --out session.jsonl
  nodewire nnrp record --listen nnrp+tcp://127.0.0.1:9444 --to nnrp+tcp://127.0.0.1:9445 --out session.jsonl

  # What was said: packets by type, or all of what they say
  jq -c 'select(.packet) | [.at_us, .connection, .side, .type, .frame_id, .bytes]' session.jsonl
  jq -r '.packet // empty' session.jsonl | nodewire nnrp inspect --lines -

TLS and QUIC end at the proxy, which has a certificate of its own, and begin again towards the server. Packets go on as they came, \
each by the same transport that it came by unless --transport says otherwise; only the packets of QUIC streams are kept apart, not \
the streams themselves. Both sides feel each other's backpressure.

The file has one JSON object per line: first {\"nnrp_recording\":1,..}, then for each connection {\"event\":\"begin\"} and \
{\"event\":\"end\"}, and for each packet at_us (since the recording began), connection, side (client or server: who sent it), stream \
(control, submit or result), type, session_id, frame_id, view_id, bytes, and packet, which is all of it in hex. It is a copy of \
everything that was said, secrets included. The side of an end is who ended the connection; where the recorder was stopped first, \
it has none. Beyond --max-bytes the file says {\"event\":\"full\"} and ends, and the proxy goes on.

Exit status: 0 stopped; 1 the file is not complete, as it could not be written; 2 wrong usage, or the file cannot be created; 3 \
the address cannot be listened on.";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct RecordArgs {
    #[command(flatten)]
    listen: ListenFlags,
    /// The server: nnrps://host:port, or nnrp+tcp://host:port for plain TCP.
    #[arg(long, value_name = "ENDPOINT")]
    to: Endpoint,
    /// The file; what was in it is gone.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Bytes of the file at most.
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 20, value_parser = clap::value_parser!(u64).range(4096..))]
    max_bytes: u64,
    /// Bytes of a packet's body at most; a longer one ends its connection.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    max_body_bytes: u32,
    /// Connections at the same time; further ones wait.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = at_least_one())]
    max_connections: usize,
    /// End after so many connections.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    connections: Option<u64>,
    /// Which transport to the server; without it, the one that the client came by.
    #[arg(long, value_enum)]
    transport: Option<Policy>,
    /// For connecting to the server, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = crate::micro::seconds)]
    timeout: Duration,
    /// Print JSON objects, one per line: `listening`, `recorded` at the end.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: TrustFlags,
}

/// How often what came goes to the disk at least.
const FLUSH: Duration = Duration::from_secs(1);

pub(super) async fn record(args: RecordArgs) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let dialer = args.trust.dialer()?;
    let listening = args.listen.bind().await?;
    let title = Title::new(&listening.endpoint, &args.to.to_string());
    let recorder = Recorder::create(&args.out, &title, args.max_bytes)?;
    listening.tell(args.json);
    let proxy = Arc::new(Proxy {
        recorder,
        dialer,
        args,
        stop: signals.stop.child_token(),
    });
    let mut connections = JoinSet::new();
    let mut number = 0;
    let mut flush = tokio::time::interval(FLUSH);
    let is_over = |number| proxy.args.connections.is_some_and(|max| number >= max);
    loop {
        let has_room = connections.len() < proxy.args.max_connections && !is_over(number);
        tokio::select! {
            biased;
            () = signals.stop.cancelled() => break,
            _ = flush.tick() => drop(proxy.recorder.flush()),
            Some(_) = connections.join_next() => if is_over(number) && connections.is_empty() { break },
            link = listening.listener.accept(), if has_room => {
                let Ok(link) = link else { break };
                number += 1;
                connections.spawn(Arc::clone(&proxy).connection(number, link));
            }
        }
    }
    // Their ends are written first.
    proxy.stop.cancel();
    while connections.join_next().await.is_some() {}
    leave(Some(&proxy.dialer), Some(&listening.listener)).await;
    proxy.end(number)
}

#[derive(Debug)]
struct Proxy {
    recorder: Recorder,
    dialer: Dialer,
    args: RecordArgs,
    stop: CancellationToken,
}

/// How a connection ends that nobody has ended.
const STOPPED: &str = "the recorder was stopped";

impl Proxy {
    async fn connection(self: Arc<Self>, number: u64, link: Link) {
        let who = remote(&link);
        let dialed = tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(STOPPED.to_owned()),
            dialed = Box::pin(self.dial(link.transport())) => dialed,
        };
        let begin = Event {
            from: Some(who.clone()),
            transport: Some(transport_name(link.transport())),
            ..Event::new(number, "begin")
        };
        let server = match dialed {
            Ok(server) => server,
            Err(error) => {
                terminal::say(format_args!("{who}: {error}"));
                self.recorder.event(Event {
                    how: Some(error),
                    ..begin
                });
                return;
            }
        };
        self.recorder.event(Event {
            to_transport: Some(transport_name(server.transport())),
            ..begin
        });
        self.relay(number, link, server).await;
        // What is not there at the end is told then.
        let _ = self.recorder.flush();
    }

    /// The server, for a client that came by this transport.
    async fn dial(&self, came_by: TransportId) -> Result<Link, String> {
        let deadline = deadline(self.args.timeout);
        let dialed = match self.args.transport {
            Some(policy) => {
                let dialing = self
                    .dialer
                    .dial_by_policy(&self.args.to, policy.into(), deadline);
                dialing.await
            }
            None => self.dialer.dial(&self.args.to, came_by, deadline).await,
        };
        dialed.map_err(|error| chain(&error))
    }

    async fn relay(&self, number: u64, client: Link, server: Link) {
        let limits = SplitLimits {
            body_bytes_max: self.args.max_body_bytes,
            probe_bytes_max: self.args.max_body_bytes,
            ..SplitLimits::BEFORE_HELLO
        };
        let [client, server] = [client, server].map(|link| RawLink::new(link, limits));
        let see = |side, packet: &_| self.recorder.packet(number, side, packet);
        let end = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            end = relay(client, server, RelayOptions::default(), see) => Some(end),
        };
        self.recorder.event(Event {
            side: end.map(|end| side_name(end.first)),
            how: Some(end.map_or_else(|| STOPPED.to_owned(), |end| end.how.to_string())),
            ..Event::new(number, "end")
        });
    }

    fn end(&self, connections: u64) -> Result<(), Failure> {
        let path = self.args.out.display();
        let totals = self.recorder.flush();
        let totals =
            totals.map_err(|error| Failure::failed(format!("{path} is not complete: {error}")))?;
        if self.args.json {
            terminal::json(json!({
                "type": "recorded", "file": path.to_string(), "connections": connections,
                "packets": totals.packets, "left_out": totals.left_out, "bytes": totals.bytes,
            }));
        } else {
            let left_out = match totals.left_out {
                0 => String::new(),
                count => format!(", and {count} left out as it is full"),
            };
            terminal::say(format_args!(
                "{path}: {} packets of {connections} connections{left_out}",
                totals.packets
            ));
        }
        terminal::results_written()
    }
}
