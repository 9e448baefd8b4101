//! How the wire is served.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use autotrainer_api::ProtocolLevel;
use autotrainer_api::zmq::Security;

/// The least that [`AutotrainerConfig::message_bytes_max`] can be: room for every error.
const MESSAGE_BYTES_MIN: usize = 64 << 10;

/// How to serve the Autotrainer wire.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AutotrainerConfig {
    /// Who the heartbeats say it is.
    pub identifier: String,
    /// Where to listen; loopback by default. Without [`Self::security`] whoever reaches it can run and cancel everything.
    pub listen: Vec<IpAddr>,
    /// The port for events; 5556 by default. 0 lets the system choose.
    pub event_port: u16,
    /// The port for commands; 5557 by default. 0 lets the system choose.
    pub command_port: u16,
    /// Who may connect; everybody by default, as the peers know nothing else.
    pub security: Security,
    /// Between heartbeats; 5 s by default.
    pub heartbeat_interval: Duration,
    /// Whose numbers commands and events have; the newest by default.
    pub level: ProtocolLevel,
    /// The number of each node by its uid, see [`Self::command`]. The others get numbers from [`Self::first_command`] on, in
    /// order of registration; a node keeps its number as long as the server runs.
    pub commands: BTreeMap<String, i64>,
    /// Where the numbers of nodes without a number of their own start; 1000 by default.
    pub first_command: i64,
    /// The number of the command that tells the nodes; 1 by default.
    pub nodes_command: i64,
    /// The number of the command that cancels; 2 by default.
    pub cancel_command: i64,
    /// Nodes that answer with their result, if they have it within [`Self::quick_node_wait`].
    pub quick_nodes: BTreeSet<String>,
    /// How long the answer of a quick node may wait for its result; 1 s by default. Clients wait for 2 s.
    pub quick_node_wait: Duration,
    /// How long the answers of all other nodes may wait for their results; 0, not at all, by default.
    pub quick_wait: Duration,
    /// Answers that wait for their results at once; 32 by default. Beyond them they are pending at once.
    pub quick_max: usize,
    /// Executions of this wire at once, their results under way included; 4096 by default. Beyond them they are refused.
    pub in_flight_max: usize,
    /// Bytes of a message, either way; 8 MiB by default, and 64 KiB at least. In requests, careful clients write each
    /// upper-case letter in six bytes, so that 1 MiB of bytes in base64 takes up to 5 MiB. Clients have limits of their
    /// own: 1 MiB for those of `autotrainer-api` unless set.
    pub message_bytes_max: usize,
    /// Outputs that are being stored as assets at once; others wait. 16 by default.
    pub transfers_max: usize,
    /// How long a stop may take to send what is still to be sent; 1 s by default.
    pub linger: Duration,
}

impl AutotrainerConfig {
    /// Serves on loopback, on the protocol's ports, under this identifier.
    #[must_use]
    pub fn new(identifier: impl Into<String>) -> Self {
        Self {
            identifier: identifier.into(),
            listen: vec![Ipv4Addr::LOCALHOST.into()],
            event_port: 5556,
            command_port: 5557,
            security: Security::None,
            heartbeat_interval: Duration::from_secs(5),
            level: ProtocolLevel::NEWEST,
            commands: BTreeMap::new(),
            first_command: 1000,
            nodes_command: 1,
            cancel_command: 2,
            quick_nodes: BTreeSet::new(),
            quick_node_wait: Duration::from_secs(1),
            quick_wait: Duration::ZERO,
            quick_max: 32,
            in_flight_max: 4096,
            message_bytes_max: 8 << 20,
            transfers_max: 16,
            linger: Duration::from_secs(1),
        }
    }

    /// Sets the `customCommand` of a node: from 1 on, and unique.
    #[must_use]
    pub fn command(mut self, uid: impl Into<String>, number: i64) -> Self {
        self.commands.insert(uid.into(), number);
        self
    }

    /// Has a node answer with its result; see [`Self::quick_nodes`].
    #[must_use]
    pub fn quick(mut self, uid: impl Into<String>) -> Self {
        self.quick_nodes.insert(uid.into());
        self
    }

    pub(super) fn message_bytes_max(&self) -> usize {
        self.message_bytes_max.max(MESSAGE_BYTES_MIN)
    }

    /// How long the answer of this node may wait for its result.
    pub(super) fn wait_of(&self, uid: &str) -> Duration {
        if self.quick_nodes.contains(uid) {
            self.quick_node_wait
        } else {
            self.quick_wait
        }
    }
}
