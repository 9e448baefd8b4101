//! The Autotrainer device API: events and commands of an acquisition device, over ZeroMQ.
//!
//! A service publishes events, heartbeats and late results of commands in two frames, topic and payload, and answers
//! requests of one frame. This crate turns those frames into typed values and back, for services and clients of every
//! version since 0.9.11: what a number means depends on the [`ProtocolLevel`] that a service's heartbeats tell.
//!
//! ```
//! use autotrainer_api::{
//!     Command, CommandAnswer, CommandRequest, CommandResponse, OutgoingRequest, ProtocolLevel, ResultCode,
//! };
//! use std::num::NonZeroU64;
//!
//! let (level, limits) = (ProtocolLevel::of_version("0.12.0"), Default::default());
//!
//! // A client asks,
//! let nonce = NonZeroU64::new(7).unwrap();
//! let request = OutgoingRequest::new(Command::EmergencyStop, level, nonce).unwrap();
//! let frame = request.to_frame();
//! assert_eq!(frame, r#"{"command":200,"nonce":7}"#);
//!
//! // a service answers,
//! let request = CommandRequest::from_frames(&[frame], level, &limits)?;
//! assert_eq!(request.command, Command::EmergencyStop);
//! let frame = CommandResponse::success().to_frame(&request, level);
//!
//! // and the client understands.
//! let answer = CommandAnswer::from_frames(&[frame], level, &limits)?;
//! assert_eq!((answer.nonce.as_str(), answer.result), ("7", ResultCode::Success));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What must hold:
//! 1. No input panics. What cannot be read has a typed reason that can be counted ([`Anomaly`], [`RequestError`],
//!    [`ResponseError`]), and a request that cannot be read has an answer ([`unreadable_answer`]).
//! 2. Values are never touched: strings, numbers of any size and the elements of lists come out byte for byte as they
//!    went in. Only keys of mappings change their casing, and those only where asked for.
//! 3. Limits ([`Limits`]) are checked before anything is built.
//! 4. A request that this crate writes arrives unchanged at services that rewrite the text of every request.
//! 5. Messages, in all modules but `service`, `remote` and [`zmq`], are pure: they read no clock and no socket. Nothing reads the
//!    environment.

#![forbid(unsafe_code)]

pub mod casing;
pub mod command;
mod enumeration;
pub mod event;
mod event_log;
mod heartbeat;
mod incoming;
pub mod json;
mod kinds;
mod level;
mod property_change;
mod remote;
mod replay;
mod sequence;
mod service;
pub mod status;
#[cfg(feature = "telemetry")]
pub mod telemetry;
mod topic;
pub mod zmq;

pub use command::{
    Command, CommandAnswer, CommandRequest, CommandResponse, CommandResult, ErrorKind,
    OutgoingRequest, RequestError, ResponseError, ResultCode, unreadable_answer,
};
pub use enumeration::{Member, ResolveError, resolve};
pub use event::{Event, EventKind, EventPayload};
pub use event_log::{Durability, EventLogError, EventLogOptions, EventLogStatus, OnLogFailure};
pub use heartbeat::Heartbeat;
pub use incoming::{Anomaly, AnomalyCounters, Received};
pub use json::{Json, Limits, UnixTime};
pub use kinds::{
    AlarmKind, AppStatus, ApplicationMode, DetectorKind, EmergencyResumeReason,
    EmergencyStopReason, PelletShiftSource, ReachMethod, ReachOutcome, TrainingMode, TrialResult,
};
pub use level::ProtocolLevel;
pub use property_change::PropertyChange;
pub use remote::{
    Answer, Call, CallError, Channel, ConnectError, Delivery, Gap, Message, NoHeartbeat,
    PendingResult, Presence, Remote, RemoteChange, RemoteChanges, RemoteCounts, RemoteOptions,
    Replay, ReplayError, ReplayPosition, ResultError, Resume, ServiceSeen, SubscribeOptions,
    Subscription,
};
pub use replay::{ReplayPage, ReplayRequest, ReplayedEvent};
pub use service::{
    Blocking, DURATION_BOUNDS, Deadline, DefaultHandler, DeviceOptions, EventPublisher,
    HEARTBEAT_INTERVAL_MAX, HEARTBEAT_INTERVAL_MIN, Handler, HeartbeatIntervalError,
    IntoCommandResponse, NotPending, Pending, PublishError, RpcOptions, Service, ServiceBuilder,
    ServiceCounts, StartError, Stopped, TelemetryOptions, WhenFull, WithPending, blocking,
    with_pending,
};
pub use topic::Topic;
