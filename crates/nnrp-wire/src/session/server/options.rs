//! How a server's sessions are set up, and what comes of them.

use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use crate::body::ObjectReference;
use crate::error::WireError;
use crate::message::{ClientHello, Envelope, FrameSubmit, SessionMigrate};
use crate::metadata::{CacheInvalidateMetadata, FlowUpdateMetadata, ServerHelloAckMetadata};
use crate::numbers::{BudgetPolicy, ErrorCode, MessageType};
use crate::rules::Rules;
use crate::session::credit::NoCredit;
use crate::session::fault::{Failure, PathEnd, PeerError};
use crate::session::frame::{FrameKey, FrameOutcome};
use crate::session::hello::ServerCapabilities;
use crate::session::known::KnownExtensions;
use crate::session::liveness::LivenessOptions;
use crate::session::patch::{PatchRules, SessionSettings};
use crate::session::queue::Limits;
use crate::session::transmit::PathId;

/// How a server's sessions are set up. Everything that can grow has a limit here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct ServerOptions {
    /// What it can, and what it allows.
    pub capabilities: ServerCapabilities,
    /// What a client may change.
    pub patch_rules: PatchRules,
    /// How strictly messages are read; strictly.
    pub rules: Rules,
    /// Which extensions are understood; by default, those of this crate, and critical others are refused.
    pub extensions: KnownExtensions,
    /// From the connection to a session, at most; 10 s.
    pub hello_timeout: Duration,
    /// For frames in flight, when the session is closed; 5 s.
    pub drain_timeout: Duration,
    /// Before a connection is closed whose other side has not: the reference drops what it has received by then but not
    /// looked at; 1 s.
    pub close_grace: Duration,
    /// What a CLOSE says that answers one.
    pub close_reason: Bytes,
    /// When to give up on a silent connection.
    pub liveness: LivenessOptions,
    /// Whether a keep-alive is a FLOW_UPDATE that repeats the credit, which clients of the reference bear, and not a PING;
    /// yes.
    pub keeps_alive_by_credit: bool,
    /// Frames in flight at most, whatever a client was allowed; clients of the reference go beyond that. Further ones
    /// are refused one by one; 256.
    pub frames_max: usize,
    /// Frames in flight beyond the credit that the client was given, which are taken nevertheless; further ones are refused one
    /// by one, and nothing is a reason to end the session. 0 holds a client to its credit, but for frames that were
    /// under way when that was reduced; 256, as clients of the reference do not look at it.
    pub credit_excess_max: u32,
    /// Frames that are remembered after their end; 1024.
    pub finished_max: usize,
    /// Cancellations that came before their submit, which happens on QUIC; 256 at most.
    pub early_cancels_max: usize,
    /// How long such a cancellation is remembered; 1 s.
    pub early_cancel_time: Duration,
    /// Whether a cancellation of an unknown frame is answered with an error, where it cannot have come early; no.
    pub answers_unknown_cancels: bool,
    /// Whether references are looked up in the session's cache, and refused if they are not there; yes.
    pub resolves_references: bool,
    /// Whether frames end with RESULT_DROP when their latency budget is over; yes.
    pub enforces_budget: bool,
    /// Whether a RESULT_HINT says that a frame's budget is over, ahead of the RESULT_DROP that ends it for that; yes.
    pub explains_expiry: bool,
    /// Whether a result must not use a budget policy that its submit did not allow; yes.
    pub checks_policy: bool,
    /// Whether the last message of a frame says that it is, by [`HeaderFlags::EOS`](crate::HeaderFlags::EOS), which the
    /// reference ignores; yes.
    pub marks_end: bool,
    /// How long a connection that a session has moved away from may deliver; 2 s.
    pub migration_grace: Duration,
    /// Events that wait to be taken, before no more packets are taken in; 4096.
    pub events_max: usize,
    /// Bytes of the packets that these events came of, and of cached objects that they hold, before no more packets are
    /// taken in; 64 MiB. One packet more may be taken in below that.
    pub events_bytes_max: u64,
    /// Messages that wait to be sent, before no more packets and no more results are taken in; 4096. The last result of a
    /// frame is always taken.
    pub transmits_max: usize,
    /// Bytes of the bodies of messages that wait to be sent, before no more packets and no more results are taken in;
    /// 64 MiB. One message more may be taken in below that, and the last result of each frame that is in flight.
    pub transmits_bytes_max: u64,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            capabilities: ServerCapabilities::default(),
            patch_rules: PatchRules::default(),
            rules: Rules::STRICT,
            extensions: KnownExtensions::default(),
            hello_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(5),
            close_grace: Duration::from_secs(1),
            close_reason: Bytes::new(),
            liveness: LivenessOptions::default(),
            keeps_alive_by_credit: true,
            frames_max: 256,
            credit_excess_max: 256,
            finished_max: 1024,
            early_cancels_max: 256,
            early_cancel_time: Duration::from_secs(1),
            answers_unknown_cancels: false,
            resolves_references: true,
            enforces_budget: true,
            explains_expiry: true,
            checks_policy: true,
            marks_end: true,
            migration_grace: Duration::from_secs(2),
            events_max: 4096,
            events_bytes_max: 64 << 20,
            transmits_max: 4096,
            transmits_bytes_max: 64 << 20,
        }
    }
}

impl ServerOptions {
    pub(super) const fn transmit_limits(&self) -> Limits {
        Limits {
            items_max: self.transmits_max,
            bytes_max: self.transmits_bytes_max,
        }
    }

    pub(super) const fn event_limits(&self) -> Limits {
        Limits {
            items_max: self.events_max,
            bytes_max: self.events_bytes_max,
        }
    }
}

/// Where a connection is that has no session yet. spec: nnrp-session 5.1, 5.4
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// It waits for the first packet that says what it is for. Probes do not.
    Accepted,
    /// The caller has been asked, by an event.
    Deciding,
    /// It belongs to a session.
    Taken,
    /// It is over.
    Ended,
}

/// What comes of a connection that has no session yet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionEvent {
    /// A client asks for a session: accept or refuse.
    Hello(Box<HelloOffer>),
    /// A client asks to move a session here: have the session adopt the connection, or refuse.
    Migrate(Box<MigrateOffer>),
    /// It is over without a session. Send what is still to be sent, then close it.
    Failed(Box<Failure>),
    /// The other side has ended it.
    Ended(PathEnd),
}

/// Why a connection does not get a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AcceptRefusal {
    /// No client has asked for one, or the connection is over.
    #[error("no client has asked for a session here: wait for the hello")]
    NotAsked,
    /// Its client asks to move a session here.
    #[error("the client has a session: let that adopt the connection, or refuse the migration")]
    AsksToMigrate,
    /// A session needs an id.
    #[error("the answer names no session: give it an id other than 0")]
    NoSessionId,
    /// The answer breaks a rule between its fields.
    #[error("the answer cannot be sent: {0}")]
    Invalid(#[source] WireError),
}

/// A client asks for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelloOffer {
    /// What the header says.
    pub envelope: Envelope,
    /// What the client can, who it is, what else it says.
    pub hello: ClientHello,
    /// What both sides can: the answer, but for the session's id if none was asked for, or a taken one.
    pub ack: ServerHelloAckMetadata,
}

/// A client asks to move a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrateOffer {
    /// What the header says; its session is the one to move.
    pub envelope: Envelope,
    /// From where to where, and a proof that the session is this client's.
    pub migrate: SessionMigrate,
}

/// Where a session is. spec: nnrp-session 5.4
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServerState {
    /// There is a session.
    Active,
    /// It ends.
    Draining,
    /// It has ended in good order.
    Closed,
    /// It has ended otherwise.
    Failed,
}

/// Why a submit is not taken. The client has been told, where it can tell it from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SubmitFault {
    /// It is of another session.
    Foreign,
    /// The session ends.
    Draining,
    /// A frame of the same key is in flight; nothing is answered, as that would end the other.
    Duplicate,
    /// It came by the old connection, after the session moved and the client knew to send it by the new one.
    OldPath,
    /// Too many frames are in flight: by [`ServerOptions::frames_max`], or by the client's credit and
    /// [`ServerOptions::credit_excess_max`].
    TooMany,
    /// Its body is too large.
    TooLarge,
    /// It has payloads of kinds that were not agreed on.
    UnsupportedKinds,
    /// It was cancelled before it came.
    CancelledEarly,
    /// A referenced object is not there.
    CacheMiss,
    /// It cannot be read.
    Malformed,
}

/// Why a result is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResultRefusal {
    /// The frame has ended, or never was.
    #[error("the frame has ended")]
    FrameOver,
    /// The client has not allowed this.
    #[error("the result applies {applied:?} and the submit allows {allowed:?}")]
    PolicyNotAllowed {
        /// What the result says.
        applied: BudgetPolicy,
        /// What the submit says.
        allowed: BudgetPolicy,
    },
    /// It breaks a rule between its fields, so that it could not be sent.
    #[error("the result cannot be sent, build it with ResultPush::builder: {0}")]
    Invalid(#[source] WireError),
    /// The client takes no results now that are not the last of their frame.
    #[error("{0}")]
    NoCredit(#[source] NoCredit),
    /// Too much waits to be sent.
    #[error("packets wait to be sent: send them first")]
    Congested,
}

/// What comes of a session. Of each [`Self::FrameSubmitted`] exactly one end follows: the caller's last result, drop or
/// error, or [`Self::FrameOver`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerEvent {
    /// A frame is to be answered.
    FrameSubmitted {
        /// Which frame.
        key: FrameKey,
        /// What the header says.
        envelope: Envelope,
        /// Its input.
        submit: Box<FrameSubmit>,
        /// The objects that it references.
        objects: Vec<(ObjectReference, Bytes)>,
    },
    /// A frame has ended by itself, and the client knows: stop working on it.
    FrameOver {
        /// Which frame.
        key: FrameKey,
        /// How.
        outcome: FrameOutcome,
    },
    /// A submit was not taken.
    FrameRefused {
        /// Which frame.
        key: FrameKey,
        /// Why.
        fault: SubmitFault,
    },
    /// Settings of the session have changed.
    Patched(SessionSettings),
    /// The client has forgotten objects, or has the server forget them; that is done.
    CacheInvalidated(CacheInvalidateMetadata),
    /// The client has said how many results it takes.
    Flow(FlowUpdateMetadata),
    /// A keep-alive PING was answered, after this time.
    RoundTrip(Duration),
    /// The client reports an error that is not the end.
    Reported(PeerError),
    /// A message could not be read; the client has been told.
    Undecodable {
        /// What it was.
        message_type: MessageType,
        /// Why not.
        error: WireError,
    },
    /// The session has moved.
    Migrated {
        /// Where it is.
        path: PathId,
        /// The first frame that is expected here.
        resume_from_frame_id: u64,
    },
    /// A connection is not needed any more, and should be closed.
    ClosePath(PathId),
    /// The client ends the session; frames in flight have the drain time to end.
    CloseReceived(Bytes),
    /// The session has ended in good order. Send what is still to be sent, then close all connections.
    Closed,
    /// The session has ended otherwise. Send what is still to be sent, then close all connections.
    Failed(Box<Failure>),
}

/// What was refused or left out, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServerCounters {
    /// Packets that were taken in.
    pub packets: u64,
    /// Submits that were not taken.
    pub refused_submits: u64,
    /// Submits for which the client had no credit, whether or not they were taken.
    pub over_credit: u64,
    /// Messages of another session.
    pub foreign: u64,
    /// Cancellations of frames that had ended or never were.
    pub unknown_cancels: u64,
    /// Messages that a client does not send in a session.
    pub unexpected: u64,
    /// Messages that could not be read.
    pub undecodable: u64,
    /// Flow updates that were out of date, or of too many operations.
    pub ignored_updates: u64,
}

/// What a client is told of an error that concerns more than a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report<'r> {
    /// What went wrong.
    pub code: ErrorCode,
    /// When to try again, in ms; 0 says nothing.
    pub retry_after_ms: u32,
    /// In words.
    pub diagnostic: &'r str,
}
