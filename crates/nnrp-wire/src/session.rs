//! Sessions as machines: what happens goes in, with the time; messages, events and the next deadline come out.
//! spec: nnrp-session 2 to 6
//!
//! Nothing here waits, looks at a clock, or makes up numbers. Whoever drives a machine holds the connections and:
//! 1. tells it what happened: [`ClientSession::handle_packet`], [`ClientSession::handle_path_end`],
//!    [`ClientSession::handle_timeout`], or a call for what is wanted;
//! 2. sends what `poll_transmit` gives until it gives nothing, each on the path and [`Carrier`] that it names;
//! 3. takes what `poll_event` gives until it gives nothing;
//! 4. waits for a packet, a wish, or the time that `next_timeout` says.
//!
//! Times are [`Duration`](std::time::Duration)s since a moment of the caller's choice, and never go back.
//!
//! | Machine | What it is |
//! |---|---|
//! | [`ClientSession`] | A client, from connecting to the end, over one transport or several |
//! | [`ServerConnection`] | A server's connection until it belongs to a session |
//! | [`ServerSession`] | A server, until the end |
//! | [`FrameSlots`] | What became of each frame |
//! | [`CreditWindow`] | How much may be in flight |
//! | [`CacheStore`], [`CacheClient`] | The objects that a server keeps, and what its client knows of them |
//! | [`Patching`] | What holds for a session, and how it changes |
//! | [`MigrationMonitor`], [`ProbeSummary`] | When to change transports, and to which |
//! | [`ResultOrder`] | Results in the order of their frames |

mod cache_client;
mod cache_store;
mod client;
mod content;
mod credit;
mod fault;
mod frame;
mod hello;
mod known;
mod liveness;
mod migration;
mod order;
mod output;
mod patch;
mod probe;
mod queue;
mod server;
mod transmit;

pub use cache_client::{CacheClient, PutRefusal};
pub use cache_store::{CacheLimits, CacheStore};
pub use client::{
    ClientCounters, ClientEvent, ClientOptions, ClientSession, ClientState, FrameError, Submit,
    SubmitRefusal, SubmitRefused,
};
pub use credit::{CreditUpdate, CreditWindow, NoCredit};
pub use fault::{Failure, HandleError, PathEnd, PeerError};
pub use frame::{FrameCounts, FrameKey, FrameOutcome, FrameSlots, FrameState, SlotRefusal};
pub use hello::{AckFault, Established, HelloRefusal, REFERENCE_HELLO, ServerCapabilities};
pub use known::KnownExtensions;
pub use liveness::LivenessOptions;
pub use migration::{
    Degraded, MigrateMisuse, MigrateRefusal, MigrationFailure, MigrationMonitor, MonitorOptions,
    PathSample,
};
pub use order::{OrderOptions, OrderRefusal, ResultOrder};
pub use output::OutputBudget;
pub use patch::{PatchRules, Patching, SessionSettings};
pub use probe::{Probe, ProbeSample, ProbeSummary};
pub use server::{
    AcceptRefusal, ConnectionEvent, ConnectionState, HelloOffer, MigrateOffer, Report,
    ResultRefusal, ServerConnection, ServerCounters, ServerEvent, ServerOptions, ServerSession,
    ServerState, SubmitFault,
};
pub use transmit::{Carrier, PathId, Transmit};

use crate::message::Envelope;
use crate::metadata::FlowUpdateMetadata;
use crate::numbers::FlowScope;

/// A PONG repeats session, route and trace. spec: nnrp-session 4.2
fn pong_envelope(ping: &Envelope) -> Envelope {
    Envelope {
        session_id: ping.session_id,
        route_id: ping.route_id,
        trace_id: ping.trace_id,
        ..Envelope::default()
    }
}

/// The connection has no session. spec: nnrp-session 4.1
fn flow_envelope(update: &FlowUpdateMetadata, session_id: u32) -> Envelope {
    match update.scope_kind {
        FlowScope::Connection => Envelope::default(),
        FlowScope::Session | FlowScope::Operation => Envelope::session(session_id),
    }
}
