//! What can be chosen for a remote.

use std::time::Duration;

use crate::json::Limits;
use crate::zmq::{Heartbeats, KeyPair, PublicKey, Security, SocketOptions};

/// Where a service is, and how it is talked to.
///
/// ```
/// use autotrainer_api::RemoteOptions;
/// use std::time::Duration;
///
/// let options = RemoteOptions { timeout: Duration::from_secs(10), ..RemoteOptions::at("192.168.1.20") };
/// assert_eq!(options.command_endpoint, "tcp://192.168.1.20:5557");
/// ```
#[derive(Debug, Clone)]
pub struct RemoteOptions {
    /// Where events are published: `tcp://host:port`, one for each service.
    pub event_endpoints: Vec<String>,
    /// Where commands are taken.
    pub command_endpoint: String,
    /// Whose heartbeats tell the level of the commands; `None`: anybody's, the latest. Set it where several services
    /// are subscribed to.
    pub identifier: Option<String>,
    /// How long the answer to a command may take, unless the call says otherwise; 2 s. A Python service answers one
    /// request after the other, so this should be more than its slowest command takes.
    pub timeout: Duration,
    /// How long commands wait for the event channel once the command channel is connected, so that no result is published
    /// before it can be received; 250 ms. A service whose events cannot be had is commanded all the same.
    ///
    /// ZeroMQ does not tell when a service has taken a subscription in, which is a moment after the channel is open: the
    /// first command waits 20 ms for that. Under load a result that is published at once can still be missed. A heartbeat
    /// that was received says that results will be.
    pub event_channel_wait: Duration,
    /// Commands that wait for their answer at the same time; 256. Further calls wait for their turn.
    pub in_flight_max: usize,
    /// Commands whose late result is waited for at the same time; 4096. Further calls are refused.
    pub results_max: usize,
    /// How long a subscription that resumes waits for a service that is too busy to replay, before the gap is told and what
    /// is kept left out; 10 min. What comes meanwhile waits too. A page that comes gives it the whole time again.
    pub replay_patience: Duration,
    /// Time between heartbeats. `None`: the 5 s of the protocol until two have come, then as it is observed.
    pub heartbeat_interval: Option<Duration>,
    /// Services whose heartbeats are watched; 64. Those of further ones are counted and ignored.
    pub services_max: usize,
    /// What is read from a service at most.
    pub limits: Limits,
    /// Options of the sockets; what has a field above comes from there.
    pub socket_options: SocketOptions,
}

impl RemoteOptions {
    /// A service on the usual ports of this host.
    #[must_use]
    pub fn at(host: &str) -> Self {
        Self::ports(host, 5556, 5557)
    }

    /// A service on these ports of this host; a host with colons is an IPv6 address.
    #[must_use]
    pub fn ports(host: &str, event_port: u16, command_port: u16) -> Self {
        let is_bare_ipv6 = host.contains(':') && !host.starts_with('[');
        let host = if is_bare_ipv6 {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let event_endpoint = format!("tcp://{host}:{event_port}");
        Self::endpoints(event_endpoint, format!("tcp://{host}:{command_port}"))
    }

    /// A service at these endpoints.
    #[must_use]
    pub fn endpoints(
        event_endpoint: impl Into<String>,
        command_endpoint: impl Into<String>,
    ) -> Self {
        Self {
            event_endpoints: vec![event_endpoint.into()],
            command_endpoint: command_endpoint.into(),
            identifier: None,
            timeout: Duration::from_secs(2),
            event_channel_wait: Duration::from_millis(250),
            in_flight_max: 256,
            results_max: 4096,
            replay_patience: Duration::from_secs(600),
            heartbeat_interval: None,
            services_max: 64,
            limits: Limits::default(),
            socket_options: SocketOptions {
                // So that a peer whose machine is gone is noticed.
                heartbeats: Some(Heartbeats {
                    interval: Duration::from_secs(5),
                    timeout: Duration::from_secs(15),
                }),
                ..SocketOptions::default()
            },
        }
    }

    /// With CURVE: this side's keys, and the service's public key.
    #[must_use]
    pub fn with_curve(mut self, keys: KeyPair, server: PublicKey) -> Self {
        self.socket_options.security = Security::CurveClient { keys, server };
        self
    }

    /// Without linger: a command that was not sent in time is never sent.
    pub(super) fn for_sockets(&self) -> SocketOptions {
        SocketOptions {
            message_bytes_max: self.limits.frame_bytes_max,
            frames_max: self.limits.frames_max,
            linger: Duration::ZERO,
            ..self.socket_options.clone()
        }
    }
}

impl Default for RemoteOptions {
    /// A service on this machine.
    fn default() -> Self {
        Self::at("127.0.0.1")
    }
}
