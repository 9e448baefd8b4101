//! The device service: publishes events and heartbeats, answers commands. spec: autotrainer 1 to 11
//!
//! Two tasks run while it is started. One owns the event socket: it takes publications from a bounded queue and sends a
//! heartbeat on a fixed schedule. The other owns the command socket: it receives requests into a bounded queue, runs the
//! handler, and replies. Each is woken by what it waits for; neither waits for the other.
//!
//! ```
//! use autotrainer_api::{Command, CommandRequest, CommandResponse, Event, ProtocolLevel, Service, UnixTime};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = Service::builder()
//!     .identifier("box-7")
//!     .subscriber_port(0) // any; without it 5556
//!     .command_port(0) // any; without it 5557
//!     .handler(async |request: CommandRequest| match request.command {
//!         Command::EmergencyStop => CommandResponse::success(),
//!         _ => CommandResponse::unavailable(),
//!     })
//!     .build();
//! service.start().await?;
//!
//! let launched = Event::numbered(201, UnixTime::now(), 1);
//! service.publisher().send_event(&launched).await?;
//! service.stop().await;
//! # Ok(())
//! # }
//! ```

mod builder;
mod commands;
mod counters;
mod deadline;
mod event_loop;
mod handler;
mod lifecycle;
mod log;
mod observed;
mod options;
mod publisher;
mod queue;
mod source;
mod waiting;

pub use builder::{HEARTBEAT_INTERVAL_MAX, HEARTBEAT_INTERVAL_MIN, ServiceBuilder};
pub use counters::{DURATION_BOUNDS, ServiceCounts};
pub use deadline::Deadline;
pub use handler::{
    Blocking, DefaultHandler, Handler, IntoCommandResponse, NotPending, Pending, WithPending,
    blocking, with_pending,
};
pub use lifecycle::{Service, StartError, Stopped};
pub use options::{DeviceOptions, HeartbeatIntervalError, RpcOptions, TelemetryOptions};
pub use publisher::{EventPublisher, PublishError};
pub use queue::WhenFull;
