//! A service as it is described before it starts. spec: autotrainer 1.1, 1.2

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use super::commands::CommandSettings;
use super::counters::Counters;
use super::deadline::{Deadline, Deadlines};
use super::handler::{Handler, HandlerSlot};
use super::lifecycle::Service;
use super::options::RpcOptions;
use super::queue::{Queue, QueueLimits, WhenFull};
use super::waiting::WaitingLimits;
use crate::command::Command;
use crate::event_log::EventLogOptions;
use crate::json::Limits;
use crate::level::ProtocolLevel;
use crate::sequence::NUMBERED;
use crate::topic::Topic;
use crate::zmq::{Security, SocketOptions};

/// Describes a service; made by [`Service::builder`].
#[derive(Debug)]
pub struct ServiceBuilder {
    pub(super) identifier: String,
    pub(super) software: String,
    pub(super) heartbeat_interval: Duration,
    pub(super) bind_addresses: Vec<IpAddr>,
    pub(super) subscriber_port: u16,
    pub(super) command_port: u16,
    pub(super) level: ProtocolLevel,
    pub(super) linger: Duration,
    pub(super) handler: HandlerSlot,
    #[cfg(feature = "telemetry")]
    pub(super) telemetry: Option<crate::telemetry::Telemetry>,
    limits: Limits,
    socket_options: SocketOptions,
    when_full: WhenFull,
    queue_messages_max: usize,
    queue_bytes_max: usize,
    sequence: bool,
    pub(super) event_log: Option<EventLogOptions>,
    deadlines: Deadlines,
    concurrency: usize,
    pending_max: usize,
    waiting: WaitingLimits,
    replays: WaitingLimits,
}

/// Connecting a socket for datagrams only makes the system choose a route.
fn detect_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(8, 8, 8, 8), 80)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified()).then_some(address)
}

/// The shortest time between heartbeats: 10 ms. More often they only cost time.
pub const HEARTBEAT_INTERVAL_MIN: Duration = Duration::from_millis(10);

/// The longest time between heartbeats: a day.
pub const HEARTBEAT_INTERVAL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Longer times are cut to this, so that no time can overflow the clock.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl ServiceBuilder {
    pub(super) fn new() -> Self {
        let rpc = RpcOptions::default();
        Self {
            identifier: rpc.identifier,
            software: concat!("nodewire ", env!("CARGO_PKG_VERSION")).to_owned(),
            heartbeat_interval: Duration::from_secs(5),
            bind_addresses: vec![Ipv4Addr::LOCALHOST.into()],
            subscriber_port: rpc.subscriber_port,
            command_port: rpc.command_port,
            level: ProtocolLevel::NEWEST,
            linger: Duration::from_secs(1),
            handler: HandlerSlot::default(),
            #[cfg(feature = "telemetry")]
            telemetry: None,
            limits: Limits::default(),
            socket_options: SocketOptions::default(),
            when_full: WhenFull::default(),
            queue_messages_max: 8192,
            queue_bytes_max: 64 << 20,
            sequence: true,
            event_log: None,
            deadlines: Deadlines::default(),
            concurrency: 1,
            pending_max: 64,
            waiting: WaitingLimits {
                per_client_max: 256,
                in_all_max: 4096,
                bytes_max: 64 << 20,
            },
            replays: WaitingLimits {
                per_client_max: 2,
                in_all_max: 1024,
                bytes_max: 16 << 20,
            },
        }
    }

    /// What heartbeats call it; `autotrainer-device` unless set.
    #[must_use]
    pub fn identifier(mut self, identifier: impl Into<String>) -> Self {
        self.identifier = identifier.into();
        self
    }

    /// What heartbeats say after the version of the protocol level; `nodewire` and its version unless set.
    #[must_use]
    pub fn software(mut self, software: impl Into<String>) -> Self {
        self.software = software.into();
        self
    }

    /// The time before the first heartbeat and between heartbeats; 5 s unless set, and cut to
    /// [`HEARTBEAT_INTERVAL_MIN`] and [`HEARTBEAT_INTERVAL_MAX`].
    #[must_use]
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = interval.clamp(HEARTBEAT_INTERVAL_MIN, HEARTBEAT_INTERVAL_MAX);
        self
    }

    /// Where both sockets listen; `127.0.0.1` unless set. Without [`Self::security`], everyone who can reach an address
    /// can command the device.
    #[must_use]
    pub fn bind_addresses(mut self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.bind_addresses = addresses.into_iter().collect();
        self
    }

    /// Listens where a Python service would: at the address of this machine that leads to other networks, and at
    /// `127.0.0.1`. spec: autotrainer 1.1
    ///
    /// The system is asked which address it would send from; nothing is sent, and nothing waited for. If there is none,
    /// only `127.0.0.1` is left. As in [`Self::bind_addresses`], everyone who can reach the address can command the device.
    #[must_use]
    pub fn bind_detected_address(self) -> Self {
        let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
        let detected = detect_address().filter(|address| *address != loopback);
        self.bind_addresses(detected.into_iter().chain([loopback]))
    }

    /// The event port; 5556 unless set. 0 is any: see [`Service::event_addresses`].
    #[must_use]
    pub fn subscriber_port(mut self, port: u16) -> Self {
        self.subscriber_port = port;
        self
    }

    /// The command port; 5557 unless set. 0 is any: see [`Service::command_addresses`].
    #[must_use]
    pub fn command_port(mut self, port: u16) -> Self {
        self.command_port = port;
        self
    }

    /// Which numbers commands and events have; the newest unless set.
    #[must_use]
    pub fn level(mut self, level: ProtocolLevel) -> Self {
        self.level = level;
        self
    }

    /// What a request may be at most, and how long what is published.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Options of both sockets. Size, linger and security come from this builder's own options.
    #[must_use]
    pub fn socket_options(mut self, options: SocketOptions) -> Self {
        let security = std::mem::take(&mut self.socket_options.security);
        self.socket_options = SocketOptions {
            security,
            ..options
        };
        self
    }

    /// Who may connect; everybody unless set.
    #[must_use]
    pub fn security(mut self, security: Security) -> Self {
        self.socket_options.security = security;
        self
    }

    /// What answers commands; without it they are answered `UNAVAILABLE`. See [`Service::set_handler`].
    #[must_use]
    pub fn handler(self, handler: impl Handler) -> Self {
        self.handler.set(handler);
        self
    }

    /// How long handlers may take; see [`Deadline`] for what that is unless set.
    #[must_use]
    pub fn deadline(mut self, deadline: Deadline) -> Self {
        self.deadlines.default = deadline;
        self
    }

    /// How long the handler of this command may take.
    #[must_use]
    pub fn deadline_of(mut self, command: Command, deadline: Deadline) -> Self {
        self.deadlines.by_command.insert(command, deadline);
        self
    }

    /// How many handlers run at the same time; 1 unless set: applications rely on it. spec: autotrainer 9
    #[must_use]
    pub fn concurrency(mut self, handlers: usize) -> Self {
        self.concurrency = handlers.max(1);
        self
    }

    /// How many commands may go on behind a `PENDING_WITH_NOTIFICATION`, before they hold up others; 64 unless set.
    #[must_use]
    pub fn pending_max(mut self, commands: usize) -> Self {
        self.pending_max = commands;
        self
    }

    /// How many requests may wait for their handler, of one client and in all, before further ones are answered
    /// `UNAVAILABLE`; 256 and 4096 unless set.
    #[must_use]
    pub fn waiting_max(mut self, per_client: usize, in_all: usize) -> Self {
        self.waiting.per_client_max = per_client.max(1);
        self.waiting.in_all_max = in_all.max(1);
        self
    }

    /// Bytes of requests that may wait; 64 MiB unless set.
    #[must_use]
    pub fn waiting_bytes_max(mut self, bytes: usize) -> Self {
        self.waiting.bytes_max = bytes;
        self
    }

    /// How many replays may wait for the event log, of one client and in all, before further ones are answered
    /// `UNAVAILABLE`; 2 and 1024 unless set, of 16 MiB. Clients have their turns one after the other.
    #[must_use]
    pub fn replays_max(mut self, per_client: usize, in_all: usize) -> Self {
        self.replays.per_client_max = per_client.max(1);
        self.replays.in_all_max = in_all.max(1);
        self
    }

    /// What is done with a publication when the queue is full; its sender waits unless set.
    #[must_use]
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// How many publications may wait, and how many bytes of them; 8192 and 64 MiB unless set.
    #[must_use]
    pub fn queue_max(mut self, messages: usize, bytes: usize) -> Self {
        self.queue_messages_max = messages.max(1);
        self.queue_bytes_max = bytes;
        self
    }

    /// Whether events, changes of properties and results get a last field `sequence`, by which subscribers see what they
    /// missed ([`Gap::Sequence`](crate::Gap::Sequence)); they do unless set. The real packages' clients take it as any
    /// extra field. Without it, what is published is to the byte what a Python service would publish.
    ///
    /// Heartbeats carry the last number that was given, which tells of a loss before a silence.
    ///
    /// One series counts them all, by one, from 1 at each start; with an event log, it goes on where it was.
    #[must_use]
    pub fn sequence(mut self, is_numbered: bool) -> Self {
        self.sequence = is_numbered;
        self
    }

    /// Keeps events, changes of properties and results in an SQLite file before they are published, so that a client that
    /// was away gets them ([`ReplayRequest`](crate::ReplayRequest)). They are numbered whatever [`Self::sequence`] says.
    ///
    /// Needs the feature `event-log`; without it the start fails. A publication waits for its transaction, which takes up
    /// what has come meanwhile; batches on their way through the log hold up to six times what [`Self::queue_max`] says.
    #[must_use]
    pub fn event_log(mut self, options: EventLogOptions) -> Self {
        self.event_log = Some(options);
        self
    }

    /// How long a stop may wait for handlers, and for what is still to be sent; 1 s unless set.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger.min(DURATION_MAX);
        self
    }

    /// Tells this what the service does; nobody unless set.
    #[cfg(feature = "telemetry")]
    #[must_use]
    pub fn telemetry(mut self, telemetry: &crate::telemetry::Telemetry) -> Self {
        self.telemetry = Some(telemetry.clone());
        self
    }

    /// The service, not yet started.
    #[must_use]
    pub fn build(self) -> Service {
        let counters = Arc::new(Counters::default());
        let queue = Queue::new(self.queue_limits(), Arc::clone(&counters));
        Service::new(self, Arc::new(queue), counters)
    }

    fn queue_limits(&self) -> QueueLimits {
        QueueLimits {
            messages_max: self.queue_messages_max,
            bytes_max: self.queue_bytes_max,
            payload_bytes_max: self.limits.frame_bytes_max,
            when_full: self.when_full,
            numbered: self.numbered(),
        }
    }

    fn numbered(&self) -> Vec<Topic> {
        match &self.event_log {
            Some(log) => {
                let can_be = |topic: &Topic| NUMBERED.contains(topic);
                log.topics.iter().copied().filter(can_be).collect()
            }
            None if self.sequence => NUMBERED.to_vec(),
            None => Vec::new(),
        }
    }

    pub(super) fn command_settings(&self) -> CommandSettings {
        CommandSettings {
            level: self.level,
            limits: self.limits,
            deadlines: self.deadlines.clone(),
            concurrency: self.concurrency,
            pending_max: self.pending_max,
            waiting: self.waiting,
            replays: self.replays,
        }
    }

    /// A page of a replay leaves room for whoever reads no longer messages than this service.
    pub(super) const fn replay_bytes_max(&self) -> usize {
        self.limits.frame_bytes_max / 2
    }

    pub(super) fn command_socket_options(&self) -> SocketOptions {
        SocketOptions {
            message_bytes_max: self.limits.frame_bytes_max,
            frames_max: self.limits.frames_max,
            linger: self.linger,
            ..self.socket_options.clone()
        }
    }

    /// Subscribers send nothing but subscriptions.
    pub(super) fn event_socket_options(&self) -> SocketOptions {
        SocketOptions {
            message_bytes_max: 4096,
            frames_max: 1,
            linger: self.linger,
            ..self.socket_options.clone()
        }
    }
}
