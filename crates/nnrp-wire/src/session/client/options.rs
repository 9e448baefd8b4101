//! How a client's session is set up, and what comes of it.

use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use crate::body::ObjectReference;
use crate::error::WireError;
use crate::message::{ClientHello, Envelope, FrameSubmit, ResultPush, SessionPatchAck};
use crate::metadata::{
    CacheAckMetadata, CacheInvalidateMetadata, FlowUpdateMetadata, ResultHintMetadata,
};
use crate::numbers::{HeaderFlags, MessageType, PayloadKinds};
use crate::rules::Rules;
use crate::session::content::may_drop;
use crate::session::credit::NoCredit;
use crate::session::fault::{Failure, PeerError};
use crate::session::frame::{FrameKey, FrameOutcome, SlotRefusal};
use crate::session::hello::{Established, REFERENCE_HELLO};
use crate::session::known::KnownExtensions;
use crate::session::liveness::LivenessOptions;
use crate::session::migration::MigrationFailure;
use crate::session::probe::ProbeSample;
use crate::session::transmit::PathId;

/// How a client's session is set up. Everything that can grow has a limit here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// The hello; that of the reference.
    pub hello: ClientHello,
    /// How strictly messages are read; strictly.
    pub rules: Rules,
    /// Which extensions are understood; by default, those of this crate, and critical others are refused.
    pub extensions: KnownExtensions,
    /// From [`ClientSession::connect`](super::ClientSession::connect) to the hello's answer, at most; 10 s.
    pub connect_timeout: Duration,
    /// For the answer to a patch, a put or a probe; 10 s.
    pub answer_timeout: Duration,
    /// For the answer to a migration; 10 s.
    pub migration_timeout: Duration,
    /// For the answer to a cancellation, until then the frame uses credit; 5 s.
    pub cancel_timeout: Duration,
    /// For a result of a frame that was sent before the session moved, from the end of the old connection on: the result may
    /// have been lost with that, and the server sends it once. Then the frame ends as [`FrameOutcome::ConnectionLost`] and
    /// is cancelled; one that has brought a result by the new connection since has all the time it had; 30 s.
    pub stranded_timeout: Duration,
    /// For frames in flight, when the session is closed; 5 s.
    pub drain_timeout: Duration,
    /// For the other side's CLOSE; 1 s.
    pub close_grace: Duration,
    /// What a CLOSE says that answers one.
    pub close_reason: Bytes,
    /// When to give up on a silent connection.
    pub liveness: LivenessOptions,
    /// Frames that have not ended at most; 1024.
    pub frames_max: usize,
    /// Frames that wait for credit at most, among these; 64.
    pub pending_max: usize,
    /// Bytes of the bodies of these, before no more may wait; 64 MiB. One frame more may wait below that.
    pub pending_bytes_max: u64,
    /// Frames that are remembered after their end, to tell late results from wrong ones; 1024.
    pub finished_max: usize,
    /// Operations with credit of their own at most; one that is idle gives way to a new one, unless it is paused or
    /// otherwise held up; 256.
    pub operations_max: usize,
    /// Cached objects that are known of at most; 1024.
    pub cache_entries_max: usize,
    /// Whether objects are put although the server says that it keeps none; no.
    pub puts_without_cache: bool,
    /// Whether only objects are referenced that the server is known to keep; yes.
    pub checks_references: bool,
    /// Whether submits are kept until their frame ends, so that a migration can send them again; yes.
    pub keeps_submits: bool,
    /// Bytes of the bodies of submits that are kept, before no more are; 64 MiB. One more may be kept below that. A frame whose
    /// submit is not kept ends as [`FrameOutcome::ConnectionLost`] where it would be sent again.
    pub kept_bytes_max: u64,
    /// Events that wait to be taken, before no more packets are taken in; 4096.
    pub events_max: usize,
    /// Bytes of the packets that these events came of, before no more packets are taken in; 64 MiB. One packet more may be
    /// taken in below that.
    pub events_bytes_max: u64,
    /// Messages that wait to be sent, before nothing more is submitted; and answers among them, before no more packets are
    /// taken in; 4096.
    pub transmits_max: usize,
    /// Bytes of the bodies of messages that wait to be sent, before nothing more is submitted; 64 MiB. One message more may
    /// be submitted below that.
    pub transmits_bytes_max: u64,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            hello: ClientHello {
                metadata: REFERENCE_HELLO,
                extensions: Vec::new(),
                auth: Bytes::new(),
            },
            rules: Rules::STRICT,
            extensions: KnownExtensions::default(),
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(10),
            migration_timeout: Duration::from_secs(10),
            cancel_timeout: Duration::from_secs(5),
            stranded_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(5),
            close_grace: Duration::from_secs(1),
            close_reason: Bytes::new(),
            liveness: LivenessOptions::default(),
            frames_max: 1024,
            pending_max: 64,
            pending_bytes_max: 64 << 20,
            finished_max: 1024,
            operations_max: 256,
            cache_entries_max: 1024,
            puts_without_cache: false,
            checks_references: true,
            keeps_submits: true,
            kept_bytes_max: 64 << 20,
            events_max: 4096,
            events_bytes_max: 64 << 20,
            transmits_max: 4096,
            transmits_bytes_max: 64 << 20,
        }
    }
}

/// Where a session is. spec: nnrp-session 5.4
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientState {
    /// Nothing was done.
    Idle,
    /// A connection is made.
    Connecting,
    /// The hello is on its way.
    HelloSent,
    /// There is a session.
    Active,
    /// It ends.
    Draining,
    /// It has ended in good order.
    Closed,
    /// It has ended otherwise.
    Failed,
}

/// A frame to submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submit {
    /// What it is known by. Ids may come in any order, but after a migration they must grow.
    pub key: FrameKey,
    /// Its input.
    pub message: FrameSubmit,
    /// Of the header.
    pub flags: HeaderFlags,
    /// Of the header; comes back.
    pub route_id: u16,
    /// Of the header; comes back.
    pub trace_id: u64,
    /// The operation whose credit it needs too; 0 is none.
    pub operation_id: u64,
    /// When it ends without a result, on the caller's clock.
    pub deadline: Option<Duration>,
    /// Whether results go on until one says that it is the last, [`HeaderFlags::EOS`]. The reference never says so; then
    /// [`ClientSession::release`](super::ClientSession::release) ends it.
    pub is_stream: bool,
    /// Whether it waits for credit inside the session, and is not refused.
    pub waits: bool,
}

impl Submit {
    /// With nothing else set.
    #[must_use]
    pub const fn new(key: FrameKey, message: FrameSubmit) -> Self {
        Self {
            key,
            message,
            flags: HeaderFlags::empty(),
            route_id: 0,
            trace_id: 0,
            operation_id: 0,
            deadline: None,
            is_stream: false,
            waits: false,
        }
    }

    pub(super) fn may_drop(&self) -> bool {
        may_drop(&self.message, self.flags)
    }
}

/// Why a frame is not submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubmitRefusal {
    /// There is no session, or it ends.
    #[error("the session is not active")]
    NotActive,
    /// There is no credit now; see [`ClientEvent::CreditAvailable`].
    #[error("{0}")]
    NoCredit(#[source] NoCredit),
    /// As many frames wait for credit as may.
    #[error("{pending_max} frames wait for credit, which is the limit")]
    PendingFull {
        /// How many may.
        pending_max: usize,
    },
    /// The frames that wait for credit hold as much as they may.
    #[error("frames of {bytes_max} bytes wait for credit, which is the limit")]
    PendingBytesFull {
        /// How many bytes may.
        bytes_max: u64,
    },
    /// It cannot have a place among the frames.
    #[error("{0}")]
    Slot(#[source] SlotRefusal),
    /// It breaks a rule between its fields, so that it could not be sent.
    #[error("the submit cannot be sent, build it with FrameSubmit::builder: {0}")]
    Invalid(#[source] WireError),
    /// The server takes no body of this size.
    #[error("the body has {bytes} bytes and the server takes {bytes_max}")]
    TooLarge {
        /// Bytes of the body.
        bytes: u64,
        /// Bytes that the server takes.
        bytes_max: u32,
    },
    /// The server does not take such payloads.
    #[error("the server takes no payloads of kinds {kinds:?}")]
    UnsupportedKinds {
        /// Which of them.
        kinds: PayloadKinds,
    },
    /// An object is referenced that the server is not known to keep.
    #[error("the server is not known to keep a referenced object: put it and wait for the answer")]
    NotCached {
        /// Which.
        reference: ObjectReference,
    },
    /// After a migration, ids must be at least where the server resumes, and grow. They do not wrap around: once frame
    /// `u32::MAX` was submitted before or after a migration, nothing more can be, and it takes a new session.
    #[error("after a migration, frame ids must grow from {at_least} on")]
    NotResumable {
        /// The least that may come next.
        at_least: u64,
    },
    /// Too much waits to be sent.
    #[error("packets wait to be sent: send them first")]
    Congested,
}

/// A frame that is not submitted, and why.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{why}")]
pub struct SubmitRefused {
    /// Why.
    #[source]
    pub why: SubmitRefusal,
    /// As it was given.
    pub submit: Box<Submit>,
}

/// What is wrong with a frame that ended with an error.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The server says so.
    #[error("the server reports: {0}")]
    Peer(PeerError),
    /// Its result cannot be read.
    #[error("the result cannot be read: {0}")]
    Malformed(#[source] WireError),
    /// It waited for credit while the session moved, and the server resumes behind it.
    #[error("the server resumes behind this frame: submit it under another id")]
    NotResumable,
}

/// What comes of a session. Of each submitted frame exactly one [`Self::FrameDone`] comes, and nothing after it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// There is a session.
    Active(Box<Established>),
    /// A frame that waited for credit was submitted.
    FrameStarted(FrameKey),
    /// Output of a frame.
    FrameResult {
        /// Which frame.
        key: FrameKey,
        /// What the header says.
        envelope: Envelope,
        /// The result.
        result: Box<ResultPush>,
    },
    /// What to expect of a frame.
    FrameHint {
        /// Which frame.
        key: FrameKey,
        /// What.
        hint: ResultHintMetadata,
    },
    /// A frame has ended.
    FrameDone {
        /// Which frame.
        key: FrameKey,
        /// How.
        outcome: FrameOutcome,
        /// Why, if with an error.
        error: Option<FrameError>,
    },
    /// Credit has been refused before, and there is some now.
    CreditAvailable,
    /// The server has said how much may be in flight.
    Flow(FlowUpdateMetadata),
    /// The answer to a patch.
    Patched(Box<SessionPatchAck>),
    /// The answer to a put.
    CacheAnswer(CacheAckMetadata),
    /// The server has forgotten objects.
    CacheInvalidated(CacheInvalidateMetadata),
    /// There was no answer in time.
    Unanswered {
        /// To what.
        to: MessageType,
    },
    /// A PING was answered, after this time.
    RoundTrip(Duration),
    /// A probe was answered.
    Probed(ProbeSample),
    /// The server reports an error that is not the end.
    Reported(PeerError),
    /// A message could not be read, and nothing depends on it.
    Undecodable {
        /// What it was.
        message_type: MessageType,
        /// Why not.
        error: WireError,
    },
    /// The session has moved; the old connection may deliver what is in flight until it is to be closed.
    Migrated {
        /// Where it is.
        path: PathId,
        /// The first frame that the server expects here; 0 is any.
        resume_from_frame_id: u64,
        /// Frames that were submitted again.
        resubmitted: usize,
        /// How long it took.
        took: Duration,
    },
    /// The session has not moved, and goes on where it was.
    MigrationFailed {
        /// Where it was to go.
        path: PathId,
        /// Why it did not.
        failure: MigrationFailure,
    },
    /// A connection is not needed any more, and should be closed.
    ClosePath(PathId),
    /// The server ends the session.
    CloseReceived(Bytes),
    /// The session has ended in good order. Send what is still to be sent, then close all connections.
    Closed,
    /// The session has ended otherwise. Send what is still to be sent, then close all connections.
    Failed(Box<Failure>),
}

/// What was left out, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientCounters {
    /// Packets that were taken in.
    pub packets: u64,
    /// Messages of another session.
    pub foreign: u64,
    /// Results of frames that had ended.
    pub late: u64,
    /// Results of frames that never were.
    pub unknown: u64,
    /// Results that came on the old path of frames that were submitted again on the new one.
    pub duplicate: u64,
    /// Messages that a server does not send, or answers to nothing.
    pub unexpected: u64,
    /// Messages that could not be read.
    pub undecodable: u64,
    /// Flow updates that were out of date, or of too many operations.
    pub ignored_updates: u64,
    /// Submits that were refused for want of credit.
    pub credit_stalls: u64,
    /// Submits that were sent and could not be kept, for want of room.
    pub not_kept: u64,
}
