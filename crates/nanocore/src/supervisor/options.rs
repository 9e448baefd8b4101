//! What a supervisor is made of, and its limits.

use std::path::PathBuf;
use std::time::Duration;

use super::logs::LogOptions;
use super::machine::RestartPolicy;
use crate::assets::{AssetService, Tokens};
use crate::events::EventHub;
use crate::nats::NatsOptions;
use crate::process::{StopTimes, Tools};
use crate::registry::Registry;
use crate::workflow::ServerPool;

/// What a supervisor works with.
#[derive(Debug)]
pub struct SupervisorParts {
    /// Which servers there are. Assigned ports are written there.
    pub registry: Registry,
    /// Where connected servers are offered to runs.
    pub pool: ServerPool,
    /// Where `server_state` and `definitions_update` are published.
    pub events: EventHub,
    /// The assets; resources of a server are dropped there when its process ends.
    pub assets: AssetService,
    /// The file in which processes are recorded while they run.
    pub processes: PathBuf,
    /// The folder for logs, with a folder for each server.
    pub logs: PathBuf,
    /// What servers get as `NANOCORE_HTTP_ENDPOINT`: where they reach us, without a slash at the end.
    pub endpoint: String,
    /// Where servers' tokens come from.
    pub tokens: Tokens,
    /// The programs that servers are prepared and started with.
    pub tools: Tools,
    /// Limits and times.
    pub options: SupervisorOptions,
}

/// Limits and times of supervision.
#[derive(Debug, Clone)]
pub struct SupervisorOptions {
    /// When to start again, and when to give up.
    pub restart: RestartPolicy,
    /// How long each step of stopping may take.
    pub stop: StopTimes,
    /// How long a server may take to become ready, unless its entry says otherwise; 300 s, since it may load models.
    pub start_timeout: Duration,
    /// How long to wait for the handshake of a server that is ready; 10 s.
    pub handshake_timeout: Duration,
    /// How long a connection may be silent: then it is opened anew or, while executions are outstanding, the server
    /// counts as unresponsive; 30 s.
    pub keep_alive_timeout: Duration,
    /// How long executions may go on when a server is stopped or restarted; 30 s, zero for not at all.
    pub drain_timeout: Duration,
    /// Between looks at the registry and at servers' files; 1 s.
    pub watch_period: Duration,
    /// Restart servers whose `autoWatch` is off when their nodes' files change.
    pub watch: bool,
    /// Servers over NATS.
    pub nats: NatsOptions,
    /// The servers' logs.
    pub logs: LogOptions,
    /// What servers get as `NANOSDK_LOG_LEVEL`, unless their own variables say otherwise.
    pub log_level: Option<String>,
    /// Variables for all servers; a server's own replace them.
    pub env: Vec<(String, String)>,
}

impl Default for SupervisorOptions {
    fn default() -> Self {
        Self {
            restart: RestartPolicy::default(),
            stop: StopTimes::default(),
            start_timeout: Duration::from_secs(300),
            handshake_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
            watch_period: Duration::from_secs(1),
            watch: false,
            nats: NatsOptions::default(),
            logs: LogOptions::default(),
            log_level: None,
            env: Vec::new(),
        }
    }
}
