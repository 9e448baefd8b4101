//! `nodewire device bridge`: devices on NATS subjects, so that remote management crosses networks.

mod asked;
mod bridged;
mod commands;
mod fence;
mod fitting;
mod log;
mod policy;
mod pump;
mod reply;
mod subject;
mod target;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::connection::State;
use autotrainer_api::zmq::KeyPair;
use autotrainer_api::{RemoteOptions, TelemetryOptions};
use tokio::task::JoinSet;

use super::{key_files, show, telemetry};
use crate::failure::Failure;
use crate::micro::{ConnectionFlags, Place, Purpose, Settings, lookup};
use crate::signals::Signals;
use crate::terminal;
use bridged::{Ended, Shared};
use policy::Policy;
use target::Target;

const HELP: &str = "\
Examples:
  nodewire device bridge --device 192.168.1.20 --server nats://hub.example:4222
  nodewire device bridge --device left=10.0.0.7 --device right=10.0.0.8:5556:5557 --allow EMERGENCY_STOP
  nats sub 'devices.left.>'
  nodewire micro request devices.left.command.GET_STATUS
  nodewire micro ls

What a device publishes comes on subjects below devices.IDENTIFIER (--prefix for another word than devices), its payload byte
for byte:
  event.KIND  emergency.KIND  property  result  heartbeat  topic.NUMBER (of the application's own)  unreadable
KIND is an event's name, or its number if it has none. Letters, digits, - and _ of the identifier stand for themselves, other
bytes are % and two hexadecimal digits. The headers Nodewire-Topic, -Level and -Version say what the device speaks; Nodewire-Run
and -Sequence count what the bridge publishes of a device, 1, 2, 3 and so on, so that a missing number is a loss; Nats-Msg-Id lets
JetStream drop second copies. Without JetStream, a message may come twice after a lost connection to the server.
The bridge itself says, as JSON: bridge.gap (something is missing: why, and if known how much), bridge.status (connections and
presence of the device).

Commands are requests:
  command.NAME  command.NUMBER   the payload is the data, or empty; header Nodewire-Nonce: the nonce of the answer, header
                                 Nodewire-Custom-Command: the number of a USER_DEFINED command
  request                        the payload is a whole request: {\"command\": NAME or NUMBER, \"custom_command\": .., \"nonce\": ..,
                                 \"data\": ..}
The reply is the device's answer, with the caller's nonce. An answer PENDING_WITH_NOTIFICATION has the header Nodewire-Follow-Up:
pending; the result follows as a second reply to the same subject (`nats req --replies=2`), with Nodewire-Follow-Up: late. It is
on the subject result too, as the device published it: with the nonce that the header Nodewire-Device-Nonce of the answer tells.
What a device has kept (`device replay`) cannot be asked for here, only of the device itself: that command has a name for a number.
Nodewire-Request-Id is the same in all replies to a request, and in the log. Errors are those of NATS services:
  400 the request cannot be read   403 not allowed   404 no such command   413 too long   422 FAILED   429 too many at once
  500 EXCEPTION   502 the answer cannot be read   503 UNAVAILABLE, or not reached   504 no answer in time
Nodewire-Sent: not-sent says that the command was certainly not carried out. Nothing is sent twice. An answer that is longer
than the server takes (max_payload) comes as 413 \"too large for the server\" without its data: the headers, Nodewire-Result among
them, tell how the command went, and the payload has the rest, or is empty if even that is too long.

Whoever may publish to these subjects at the server commands the device. So only commands that read are passed on, unless --allow
or --allow-all say otherwise; with --read-only not even those. Run one bridge for a device.

Exit status: 0 stopped by a signal, and everything was published; 1 something was lost at the stop; 2 wrong usage; 3 the
connection to the server is lost for good.";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP, disable_version_flag = true)]
pub(super) struct BridgeArgs {
    /// A device: HOST, HOST:EVENT_PORT:COMMAND_PORT, or either behind IDENTIFIER= (else its heartbeats tell). May be repeated.
    #[arg(
        long,
        value_name = "DEVICE",
        required = true,
        env = "NODEWIRE_DEVICE_BRIDGE_DEVICES",
        value_delimiter = ','
    )]
    device: Vec<Target>,
    /// What subjects begin with.
    #[arg(long, default_value = "devices", value_parser = subject::check_prefix, env = "NODEWIRE_DEVICE_BRIDGE_PREFIX")]
    prefix: String,
    /// Pass on this command too: a name, a number, or custom:NUMBER. May be repeated.
    #[arg(long, value_name = "COMMAND", allow_negative_numbers = true, conflicts_with_all = ["allow_all", "read_only"])]
    allow: Vec<String>,
    /// Pass on all commands.
    #[arg(long, conflicts_with = "read_only")]
    allow_all: bool,
    /// Pass on no commands at all.
    #[arg(long)]
    read_only: bool,
    /// How long a device may take to answer.
    #[arg(short, long, value_name = "SECONDS", default_value = "2", value_parser = crate::micro::seconds, env = "NODEWIRE_DEVICE_TIMEOUT")]
    timeout: Duration,
    /// How long a result may take after PENDING_WITH_NOTIFICATION.
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = crate::micro::seconds)]
    result_timeout: Duration,
    /// How many messages of each device wait while the server is away; then the oldest are dropped, which is told.
    #[arg(long, value_name = "N", default_value_t = 65536, value_parser = clap::value_parser!(u32).range(1..))]
    buffer_messages: u32,
    /// How many bytes of them.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    buffer_bytes: usize,
    /// How long a stop waits for late results, and again for what is still to be published.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = crate::micro::seconds)]
    drain: Duration,
    /// A device's public key, or a file with it; one for all, or one for each --device in their order.
    #[arg(
        long,
        value_name = "KEY|FILE",
        allow_hyphen_values = true,
        env = "NODEWIRE_DEVICE_CURVE_SERVER_KEY",
        value_delimiter = ','
    )]
    curve_server_key: Vec<String>,
    /// Our key pair, for devices with an allow-list.
    #[arg(
        long,
        value_name = "FILE",
        requires = "curve_server_key",
        env = "NODEWIRE_DEVICE_CURVE_KEY_FILE"
    )]
    curve_key_file: Option<PathBuf>,
    /// Export metrics and traces of commands to this OTLP collector, http://HOST:4318 for instance; its key is in
    /// NODEWIRE_DEVICE_TELEMETRY_API_KEY.
    #[arg(long, value_name = "URL", env = "NODEWIRE_DEVICE_TELEMETRY")]
    telemetry: Option<String>,
    /// Log JSON objects on standard output, one per line. Errors are text on standard error all the same.
    #[arg(long)]
    json: bool,
    // Last: its heading holds for all that follows.
    #[command(flatten)]
    connection: ConnectionFlags,
}

pub(super) async fn bridge(args: BridgeArgs) -> Result<(), Failure> {
    let policy = args.policy()?;
    let devices = args.devices()?;
    let settings = args.settings()?;
    let control_prefix = settings.control_prefix.clone();
    let telemetry = telemetry::start(args.telemetry().as_ref())?;
    let signals = Signals::listen()?;
    let place = signals.unless_stopped(Place::find(settings, Purpose::Ask));
    let place = place.await?;
    let context = signals.unless_stopped(place.connect_patiently()).await?;
    let shared = Arc::new(Shared {
        context: context.clone(),
        prefix: args.prefix,
        policy,
        is_json: args.json,
        messages_max: usize::try_from(args.buffer_messages).unwrap_or(usize::MAX),
        bytes_max: args.buffer_bytes,
        result_timeout: args.result_timeout,
        drain: args.drain,
        control_prefix,
        services: place.client(&context)?,
        stop: signals.stop.child_token(),
        is_broker_silent: false.into(),
        taken: std::sync::Mutex::default(),
        telemetry: telemetry.clone(),
    });
    let bridging = Box::pin(bridge_all(&shared, devices));
    let bridged = signals.unless_killed(bridging).await;
    let closed = async {
        // A server that is away or hangs is not waited for: what was to be saved is, or never will be.
        let is_connected = context.client().connection_state() == State::Connected;
        if is_connected && !shared.is_broker_silent.load(Ordering::Relaxed) {
            context.close().await;
        }
        Ok(())
    };
    let closed = signals.unless_killed(closed).await;
    let exported = signals.unless_killed(telemetry::stop(telemetry)).await;
    let written = terminal::results_written();
    written.and(bridged).and(closed).and(exported)
}

/// Until all have ended; when one fails, or the connection to the server ends, the others stop.
async fn bridge_all(
    shared: &Arc<Shared>,
    devices: Vec<(Target, RemoteOptions)>,
) -> Result<(), Failure> {
    let mut running = JoinSet::new();
    for (target, options) in devices {
        let run = bridged::run(Arc::clone(shared), target, options);
        running.spawn(run);
    }
    let mut failure = None;
    let mut is_broker_gone = false;
    let mut all = Vec::new();
    loop {
        tokio::select! {
            () = shared.context.cancelled(), if !is_broker_gone => {
                is_broker_gone = true;
                shared.stop.cancel();
            }
            ended = running.join_next() => match ended {
                None => break,
                Some(Ok(Ok(ended))) => all.push(ended),
                Some(Ok(Err(error))) => {
                    failure.get_or_insert(error);
                    shared.stop.cancel();
                }
                Some(Err(panicked)) => {
                    failure.get_or_insert_with(|| Failure::failed(panicked.to_string()));
                    shared.stop.cancel();
                }
            },
        }
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    if is_broker_gone {
        return Err(Failure::servers(
            "the connection to the server is lost for good",
        ));
    }
    verdict(&all)
}

fn verdict(all: &[Ended]) -> Result<(), Failure> {
    let published: u64 = all.iter().map(|ended| ended.published).sum();
    let lost: u64 = all.iter().map(|ended| ended.lost).sum();
    terminal::say(format_args!(
        "published {}, lost {lost} before",
        show::counted(published, "message")
    ));
    if all.iter().all(|ended| ended.is_flushed) {
        return Ok(());
    }
    Err(Failure::failed(
        "the server did not take everything in time; --drain gives it more",
    ))
}

impl BridgeArgs {
    fn policy(&self) -> Result<Policy, Failure> {
        match (self.read_only, self.allow_all) {
            (true, _) => Ok(Policy::Nothing),
            (false, true) => Ok(Policy::Everything),
            (false, false) => Policy::listed(&self.allow),
        }
    }

    fn telemetry(&self) -> Option<TelemetryOptions> {
        let api_key = lookup("NODEWIRE_DEVICE_TELEMETRY_API_KEY");
        self.telemetry.as_ref().map(|endpoint| TelemetryOptions {
            enable: true,
            endpoint: Some(endpoint.clone()),
            api_key: api_key.unwrap_or_default(),
        })
    }

    fn devices(&self) -> Result<Vec<(Target, RemoteOptions)>, Failure> {
        let keys = match &self.curve_key_file {
            Some(path) => key_files::read_pair(path)?,
            None => KeyPair::generate(),
        };
        let servers = self.curve_server_key.len();
        if servers > 1 && servers != self.device.len() {
            return Err(Failure::usage(
                "give one --curve-server-key for all devices, or one for each",
            ));
        }
        let mut devices = Vec::new();
        for (place, target) in self.device.iter().enumerate() {
            let mut options = target.options();
            options.timeout = self.timeout;
            let server = self
                .curve_server_key
                .get(place.min(servers.saturating_sub(1)));
            if let Some(server) = server {
                options = options.with_curve(keys.clone(), key_files::public_key(server)?);
            }
            devices.push((target.clone(), options));
        }
        Ok(devices)
    }

    /// Without a word about it, the server is tried for ever.
    fn settings(&self) -> Result<Settings, Failure> {
        let none = ConnectionFlags::default();
        let mut settings = Settings::resolve(self.connection.clone(), none, &lookup)?;
        if !settings.max_reconnect_is_given {
            settings.max_reconnect = None;
        }
        Ok(settings)
    }
}
