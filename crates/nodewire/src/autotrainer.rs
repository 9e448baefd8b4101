//! Nodes on the Autotrainer wire: a device service whose commands run nodes.
//!
//! A node runs by the command `USER_DEFINED`, with its number as `customCommand` or with its uid in `data`:
//! ```json
//! {"command": 99999, "custom_command": 1000, "nonce": 7, "data": {"inputs": {"text": ["a"]}}}
//! {"command": 99999, "nonce": 8, "data": {"node": "echo", "inputs": {"text": ["a"]}, "timeout_ms": 500}}
//! ```
//! `data` is a [`PlainRequest`](crate::plain::PlainRequest); `timeout_ms` and `caller_id` may be written so, too. The nonce
//! names the execution while it runs, so it is a number other than 0 or a string, and must be unique.
//!
//! | Execution | Wire |
//! |---|---|
//! | accepted | `PENDING_WITH_NOTIFICATION`, at once |
//! | progress, partial outputs | an event of kind `propertyChanged` on topic `PROPERTY_CHANGE`: `target` is the node's number, `name` is `progress` or `partial`, `newValue` the nonce and the plain [`event`](crate::plain::event) |
//! | completed | `SUCCESS` and `{"outputs": …}` on topic `COMMAND_RESULT`, with the nonce |
//! | failed, cancelled, dropped | a code of the table below on topic `COMMAND_RESULT` |
//! | refused | a code of the table below, at once |
//!
//! Changes wait for the publisher in number and bytes, 64 MiB; while that is more than half full, partial outputs wait in
//! their handler, and progress is dropped, which is counted.
//!
//! A node that is declared quick ([`AutotrainerConfig::quick_nodes`]) answers its result at once if it has it in time.
//!
//! Other commands: `customCommand` [`cancel_command`](AutotrainerConfig::cancel_command) with `{"nonce": 7}` cancels, and
//! [`nodes_command`](AutotrainerConfig::nodes_command) tells the nodes with their numbers, schemas and statistics,
//! all or with `{"node": "echo"}` one, and what the wire can express and has lost. `GET_CONFIGURATION` tells identifier and
//! version, `NONE` is answered `SUCCESS`, everything else `UNRECOGNIZED`. spec: autotrainer 7, 8.5
//!
//! `EMERGENCY_STOP` cancels everything that runs or waits on this server, whichever wire asked for it: there it ends as
//! cancelled. It has executions of this wire refused until `EMERGENCY_RESUME`; other wires go on to take requests, as their
//! callers know nothing of it. Both publish their event. spec: autotrainer 15.3
//!
//! Answers and results, with the numbers of [`error_code`]:
//!
//! | Error or refusal | Result | Error code |
//! |---|---|---|
//! | `InvalidInput`, also an input or a parameter that the node does not have | `FAILED` | 1 |
//! | `NotFound` | `FAILED` | 2 |
//! | `Cancelled`, and what was cancelled | `FAILED` | 3 |
//! | `Deadline`, and a deadline that passed before the start | `FAILED` | 4 |
//! | `Overloaded` | `UNAVAILABLE` | 5 |
//! | `Unsupported` | `FAILED` | 6 |
//! | `Unavailable` | `UNAVAILABLE` | 7 |
//! | `Internal`, panics included | `EXCEPTION` | 0, as the peers do |
//! | `UnknownNode`, an unknown number | `UNRECOGNIZED` | 20 |
//! | `QueueFull` | `UNAVAILABLE` | 21 |
//! | `TooManyInFlight`, of the server or of this wire | `UNAVAILABLE` | 22 |
//! | `ShuttingDown`, and what waited then | `UNAVAILABLE` | 23 |
//! | stopped by `EMERGENCY_STOP` | `UNAVAILABLE` | 24 |
//! | the nonce is in use | `FAILED` | 25 |
//! | outputs longer than a message, without an asset store | `FAILED` | 26 |
//!
//! References at inputs of type `bytes` (`{"$asset": "<reference>"}`) are fetched by the executor. With an asset store, outputs
//! that are longer than a message are kept there: their longest bytes, each with its reference in its place, or, where that
//! is not enough, all of them as one JSON document: `{"outputs": {"$asset": "<reference>"}}` instead of an object of lists. A
//! preview that is too long is lost, which is counted.
//!
//! The protocol has no authentication, and nonces are not bound to clients: whoever reaches the command port can run and
//! cancel everything here. It listens on loopback unless told otherwise; see [`AutotrainerConfig::security`].

mod answers;
mod binding;
mod config;
mod counts;
mod discovery;
mod executions;
mod numbers;
mod request;
mod sink;
mod waits;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use autotrainer_api::{Deadline, Limits, Service, StartError};
use nodewire_core::{BoxFuture, Executor};

use self::binding::Binding;
use self::executions::Executions;
use self::sink::Outlet;
use crate::capability::Losses;
use crate::nanograph::Transfers;
use crate::server::{Identity, RunningWire};

pub use self::answers::error_code;
pub use self::config::AutotrainerConfig;
pub use self::counts::AutotrainerCounts;
pub use autotrainer_api::ProtocolLevel;
pub use autotrainer_api::zmq::{AllowedClients, KeyPair, Security};

/// Commands that are served while all quick ones wait for their results.
const CONTROL_SLOTS: usize = 8;

/// Where the Autotrainer wire listens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AutotrainerAddress {
    /// Where events, results and heartbeats are published.
    pub events: Vec<SocketAddr>,
    /// Where commands are taken.
    pub commands: Vec<SocketAddr>,
}

/// Why the Autotrainer wire did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AutotrainerError {
    /// A command number that cannot be one.
    #[error("the command number {number} for {what} is not allowed; choose one from 1 on")]
    BadCommand {
        /// The number.
        number: i64,
        /// What it was chosen for.
        what: String,
    },
    /// Two meanings for the same number.
    #[error(
        "the command number {number} is both {first} and {second}; choose another for one of them"
    )]
    CommandTaken {
        /// The number.
        number: i64,
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// The service cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Starts to serve; returns once both ports can be reached.
///
/// # Errors
/// See [`AutotrainerError`]; nothing is left behind then.
pub(crate) async fn start(
    config: AutotrainerConfig,
    executor: Executor,
    losses: Losses,
    identity: &Identity,
) -> Result<RunningAutotrainer, AutotrainerError> {
    let transfers = Transfers::new(config.transfers_max);
    let service = service(&config);
    let outlet = Outlet {
        publisher: service.publisher(),
        executions: Arc::new(Executions::new(config.in_flight_max)),
        assets: executor.assets().clone(),
        transfers: transfers.clone(),
        losses,
        message_bytes_max: config.message_bytes_max(),
    };
    let binding = Binding::new(config, executor, identity.clone(), outlet)?;
    let status = Status {
        executions: binding.executions(),
        service: Arc::new(service),
    };
    // Only a service that was stopped refuses.
    let _ = status.service.set_handler(binding);
    status.service.start().await?;
    Ok(RunningAutotrainer { status, transfers })
}

fn service(config: &AutotrainerConfig) -> Service {
    let limits = Limits {
        frame_bytes_max: config.message_bytes_max(),
        ..Limits::default()
    };
    Service::builder()
        .identifier(&config.identifier)
        .heartbeat_interval(config.heartbeat_interval)
        .bind_addresses(config.listen.iter().copied())
        .subscriber_port(config.event_port)
        .command_port(config.command_port)
        .level(config.level)
        .security(config.security.clone())
        .limits(limits)
        .linger(config.linger)
        // The binding sees to it that handlers do not wait.
        .deadline(Deadline::Wait)
        .concurrency(config.quick_max.saturating_add(CONTROL_SLOTS))
        .pending_max(config.in_flight_max)
        .build()
}

/// The wire while it serves.
#[derive(Debug)]
pub(crate) struct RunningAutotrainer {
    status: Status,
    transfers: Transfers,
}

/// How the wire is; outlives it.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    service: Arc<Service>,
    executions: Arc<Executions>,
}

impl Status {
    pub(crate) fn address(&self) -> AutotrainerAddress {
        AutotrainerAddress {
            events: self.service.event_addresses(),
            commands: self.service.command_addresses(),
        }
    }

    pub(crate) fn counts(&self) -> AutotrainerCounts {
        self.executions.counts()
    }
}

impl RunningAutotrainer {
    pub(crate) fn status(&self) -> Status {
        self.status.clone()
    }
}

impl RunningWire for RunningAutotrainer {
    fn close(self: Box<Self>, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.transfers.finish(time).await;
            self.status.service.stop().await;
        })
    }
}
