//! One client for nodes on any wire (feature `client`).
//!
//! A [`Target`] says where servers are, a [`Remote`] is a connection to them: it tells which servers and nodes there are
//! ([`Remote::describe`]) and executes nodes ([`Remote::execute`]). It uses the wires' own clients, so that servers that
//! other people wrote are seen too.
//!
//! ```no_run
//! use nodewire::capability::Wire;
//! use nodewire::client::{Call, Remote, RemoteEvent, RemoteOptions, Target};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let target = Target::parse(Wire::Nats, "nats://127.0.0.1:4222/greeter")?;
//! let remote = Remote::connect(&target, RemoteOptions::default()).await?;
//! for server in remote.describe().await? {
//!     tracing::info!(server.name, nodes = server.nodes.len(), "found");
//! }
//! let mut execution = remote.execute(Call::new("greet").input("names", "Ada")).await;
//! while let Some(event) = execution.next().await {
//!     if let RemoteEvent::Completed(outputs) = event {
//!         tracing::info!(?outputs, "done");
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! | Wire | What is described | What is executed, and how it is cancelled |
//! |---|---|---|
//! | Nanograph | any node server, by its handshake | any node; `stop_workflow_instance` |
//! | NATS | any service, by `$SRV.INFO` and `$SRV.STATS` | nodes of this crate's services; the control subject |
//! | Autotrainer | any device, by `GET_CONFIGURATION` and its heartbeat; nodes of this crate's | the same; the command to cancel |
//! | NNRP | any server, by its hello; nodes of this crate's | the same; FRAME_CANCEL |
//! | HTTP | this crate's servers | the same; the end of the connection |
//!
//! Nobody but this crate's own is asked for what could have an effect there, with one exception: an NNRP server is sent one
//! frame, with a structured event that names [`$nodes`](crate::nnrp::DISCOVERY_NODE).
//!
//! Not every call has a form and room on every wire: [`Remote::carries`] tells, by what the other side has said of itself.
//!
//! Bounds are those of [`RemoteOptions`]. An [`RemoteExecution`] ends with exactly one terminal event; dropped before, it is
//! cancelled. The program installs a TLS provider before it connects to anything but plain addresses.

#[cfg(feature = "autotrainer")]
mod autotrainer;
mod call;
mod description;
mod error;
mod execution;
mod http;
mod nanograph;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "nnrp")]
mod nnrp;
mod plain;
mod sse;
mod target;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use nodewire_core::Outputs;
use tokio::sync::Semaphore;
pub use tokio_util::sync::CancellationToken;

pub use self::call::Call;
pub use self::description::{
    Load, NodeDescription, ParameterDescription, PortDescription, ServerDescription,
};
pub use self::error::{RemoteError, RemoteErrorKind};
pub use self::execution::{RemoteEvent, RemoteExecution};
pub use self::target::{NatsLogin, NnrpTrust, Secret, Target, TargetError};
use self::wire::WireRef;
use crate::capability::Wire;

/// Bounds of a [`Remote`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RemoteOptions {
    /// For the connection, handshakes included; 5 s.
    pub connect_timeout: Duration,
    /// For all that is asked to describe servers; 2 s. What has not answered by then is left out.
    pub answer_timeout: Duration,
    /// For the first heartbeat of a device that is none of this crate's, from the beginning of a description; 6 s, as they
    /// come every 5 s.
    pub heartbeat_timeout: Duration,
    /// How long an execution may take to end once it was asked to, or its time was over; 5 s.
    pub cancel_timeout: Duration,
    /// Executions at once; 1,024. Further ones wait.
    pub executions_max: usize,
    /// Events of one execution that wait for their reader; 32. Beyond them progress is dropped, which is counted, and
    /// everything else waits, which reaches the handler where the wire can tell it.
    pub events_max: usize,
    /// Bytes of one message from a server; 64 MiB.
    pub message_bytes_max: usize,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(2),
            heartbeat_timeout: Duration::from_secs(6),
            cancel_timeout: Duration::from_secs(5),
            executions_max: 1_024,
            events_max: 32,
            message_bytes_max: 64 << 20,
        }
    }
}

/// A connection to the servers at one [`Target`]. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Remote {
    link: WireRef,
    target: Arc<Target>,
    options: Arc<RemoteOptions>,
    room: Arc<Semaphore>,
}

impl Remote {
    /// Connects. On the Autotrainer wire and over HTTP nothing is sent yet, so that a server that is not there is told of
    /// by what comes next.
    ///
    /// Dropping the future gives the connection up.
    ///
    /// # Errors
    /// The target is none, or there is no connection within [`RemoteOptions::connect_timeout`].
    pub async fn connect(target: &Target, options: RemoteOptions) -> Result<Self, RemoteError> {
        let options = Arc::new(options);
        let link = Box::pin(link(target, &options)).await?;
        Ok(Self {
            link,
            target: Arc::new(target.clone()),
            room: Arc::new(Semaphore::new(options.executions_max.max(1))),
            options,
        })
    }

    /// What it was connected to.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Which wire it is on.
    #[must_use]
    pub fn wire(&self) -> Wire {
        self.target.wire()
    }

    /// The servers there are, with their nodes, load and round trip, as far as the wire tells. None is no error on NATS.
    ///
    /// Dropping the future gives the answers up.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn describe(&self) -> Result<Vec<ServerDescription>, RemoteError> {
        self.link.describe(Duration::MAX).await
    }

    /// As [`Self::describe`], with what is told within this time, even if the options allow more.
    ///
    /// Dropping the future gives the answers up.
    ///
    /// # Errors
    /// As [`Self::describe`].
    pub async fn describe_within(
        &self,
        time: Duration,
    ) -> Result<Vec<ServerDescription>, RemoteError> {
        self.link.describe(time).await
    }

    /// Whether the call has a form and room on this wire: bytes, and how long a message the other side takes, where it has
    /// said so (NATS and NNRP when connecting, Autotrainer when it is described; HTTP does not). Priorities, deadlines and
    /// trace context are not looked at: see [`capability`](crate::capability).
    ///
    /// # Errors
    /// [`RemoteErrorKind::Unsupported`] or [`RemoteErrorKind::TooLarge`], with what to do. [`Self::execute`] would end with
    /// the same kind.
    pub fn carries(&self, call: &Call) -> Result<(), RemoteError> {
        self.link.carries(call)
    }

    /// Executes a node, in a task. Waits only while [`RemoteOptions::executions_max`] are in flight; that the node cannot
    /// be executed is told by the execution's end.
    ///
    /// Dropped before it is ready, nothing was sent.
    pub async fn execute(&self, call: Call) -> RemoteExecution {
        // It is never closed.
        let place = Arc::clone(&self.room).acquire_owned().await.ok();
        execution::start(Arc::clone(&self.link), call, &self.options, place)
    }

    /// Executes a node to its end.
    ///
    /// Dropping the future cancels the execution.
    ///
    /// # Errors
    /// It ended otherwise than completed.
    pub async fn call(&self, call: Call) -> Result<Outputs, RemoteError> {
        self.execute(call.quiet()).await.outcome().await
    }

    /// Ends the connection in good order.
    ///
    /// Dropped before it is ready, the connection ends nevertheless.
    pub async fn close(&self) {
        self.link.close().await;
    }
}

async fn link(target: &Target, options: &Arc<RemoteOptions>) -> Result<WireRef, RemoteError> {
    Ok(match target {
        Target::Nanograph { url } => Arc::new(nanograph::Nanograph::connect(url, options).await?),
        Target::Http { url, token } => Arc::new(http::Http::new(url, token.as_ref(), options)?),
        #[cfg(feature = "nats")]
        Target::Nats { .. } => Arc::new(nats::Nats::connect(target, options).await?),
        #[cfg(feature = "autotrainer")]
        Target::Autotrainer { events, commands } => {
            Arc::new(autotrainer::Autotrainer::connect(events, commands, options).await?)
        }
        #[cfg(feature = "nnrp")]
        Target::Nnrp { endpoint, trust } => {
            Arc::new(nnrp::Nnrp::connect(endpoint, trust, options).await?)
        }
        #[cfg(not(all(feature = "nats", feature = "autotrainer", feature = "nnrp")))]
        other => {
            return Err(RemoteError::new(
                RemoteErrorKind::Unsupported,
                format!("this program was built without the {} wire", other.wire()),
            ));
        }
    })
}
