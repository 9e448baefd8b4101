//! Messages: what packets say. spec: nnrp-wire 1.2, 2, 3

mod decode;
mod encode;

use bytes::Bytes;

pub(crate) use encode::{check_frame_submit, check_result_push};

use crate::body::{ComposedBody, FlatBody, InlineTensor, PlacedBody, Section, TileIndex};
use crate::extension::ControlExtension;
use crate::header::{Header, VERSION_MAJOR};
use crate::metadata::{
    CacheAckMetadata, CacheInvalidateMetadata, CachePutMetadata, ClientHelloMetadata,
    ErrorMetadata, FlowUpdateMetadata, FrameSubmitMetadata, ProfilePatch, ResultHintMetadata,
    ResultPushMetadata, ServerHelloAckMetadata, SessionMigrateAckMetadata, SessionMigrateMetadata,
    SessionPatchAckMetadata, SessionPatchMetadata, TransportProbeAckMetadata,
    TransportProbeMetadata,
};
use crate::numbers::{HeaderFlags, MessageType};

/// What a packet says.
///
/// Lengths and counts in metadata that follow from a body are set when the message is encoded; see [`Message::encode`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A client says what it can.
    ClientHello(ClientHello),
    /// A server says what holds.
    ServerHelloAck(ServerHelloAck),
    /// Changes a session.
    SessionPatch(SessionPatch),
    /// What of the change holds.
    SessionPatchAck(SessionPatchAck),
    /// The end, with a reason, UTF-8 by custom.
    Close(Bytes),
    /// What went wrong.
    Error(ErrorReport),
    /// Input of a frame.
    FrameSubmit(FrameSubmit),
    /// A frame is not wanted any more; the header says which.
    FrameCancel,
    /// Output of a frame.
    ResultPush(ResultPush),
    /// A frame will have no output; the header says which.
    ResultDrop,
    /// An object to keep.
    CachePut(CachePut),
    /// Whether it is kept.
    CacheAck(CacheAckMetadata),
    /// Objects to forget.
    CacheInvalidate(CacheInvalidateMetadata),
    /// How much may be in flight.
    FlowUpdate(FlowUpdateMetadata),
    /// What to expect of a frame; the header says of which.
    ResultHint(ResultHintMetadata),
    /// Measures a transport.
    TransportProbe(TransportProbe),
    /// Answers a probe.
    TransportProbeAck(TransportProbeAckMetadata),
    /// Moves a session to another transport.
    SessionMigrate(SessionMigrate),
    /// Whether it has moved.
    SessionMigrateAck(SessionMigrateAck),
    /// Are you there?
    Ping,
    /// I am.
    Pong,
}

/// What the header of a message says beside its type and lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Envelope {
    /// The version, 1.
    pub version_major: u8,
    /// Flags.
    pub flags: HeaderFlags,
    /// The session; 0 is none.
    pub session_id: u32,
    /// The frame; 0 where a message has none.
    pub frame_id: u32,
    /// A view or lane within the frame.
    pub view_id: u16,
    /// For whoever routes.
    pub route_id: u16,
    /// For whoever traces.
    pub trace_id: u64,
}

impl Default for Envelope {
    /// Version 1, and zeros.
    fn default() -> Self {
        Self {
            version_major: VERSION_MAJOR,
            flags: HeaderFlags::empty(),
            session_id: 0,
            frame_id: 0,
            view_id: 0,
            route_id: 0,
            trace_id: 0,
        }
    }
}

impl Envelope {
    /// Of a session.
    #[must_use]
    pub fn session(session_id: u32) -> Self {
        Self {
            session_id,
            ..Self::default()
        }
    }

    /// Of a frame of a session.
    #[must_use]
    pub fn frame(session_id: u32, frame_id: u32) -> Self {
        Self {
            session_id,
            frame_id,
            ..Self::default()
        }
    }
}

impl From<&Header> for Envelope {
    fn from(header: &Header) -> Self {
        Self {
            version_major: header.version_major,
            flags: header.flags,
            session_id: header.session_id,
            frame_id: header.frame_id,
            view_id: header.view_id,
            route_id: header.route_id,
            trace_id: header.trace_id,
        }
    }
}

/// CLIENT_HELLO. spec: nnrp-wire 2.1
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHello {
    /// What the client can.
    pub metadata: ClientHelloMetadata,
    /// What it can beyond that.
    pub extensions: Vec<ControlExtension>,
    /// Proves who it is.
    pub auth: Bytes,
}

/// SERVER_HELLO_ACK. spec: nnrp-wire 2.2
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerHelloAck {
    /// What holds.
    pub metadata: ServerHelloAckMetadata,
    /// What holds beyond that.
    pub extensions: Vec<ControlExtension>,
    /// Anything; the reference puts the name of the active model here.
    pub payload: Bytes,
}

/// SESSION_PATCH. spec: nnrp-wire 2.4
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionPatch {
    /// What is to change.
    pub metadata: SessionPatchMetadata,
    /// Limits of a tensor profile.
    pub profile: Option<ProfilePatch>,
}

/// SESSION_PATCH_ACK. spec: nnrp-wire 2.5
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionPatchAck {
    /// What has changed.
    pub metadata: SessionPatchAckMetadata,
    /// Limits of the tensor profile.
    pub profile: Option<ProfilePatch>,
}

/// ERROR. spec: nnrp-wire 2.7
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorReport {
    /// What went wrong.
    pub metadata: ErrorMetadata,
    /// In words, UTF-8 by custom.
    pub diagnostic: Bytes,
}

/// FRAME_SUBMIT. spec: nnrp-wire 3.1
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameSubmit {
    /// How the frame is to be treated.
    pub metadata: FrameSubmitMetadata,
    /// Its input.
    pub body: SubmitBody,
}

/// What a frame's input is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmitBody {
    /// One tensor.
    Flat(FlatBody),
    /// Objects, references, typed payloads.
    Composed(Composed),
}

/// RESULT_PUSH. spec: nnrp-wire 3.2
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultPush {
    /// What the result is worth.
    pub metadata: ResultPushMetadata,
    /// The result.
    pub body: ResultBody,
}

/// What a result is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResultBody {
    /// Nothing but its metadata.
    Empty,
    /// One tensor.
    Flat(FlatBody),
    /// Objects, references, typed payloads.
    Composed(Composed),
}

/// A composed body, with its tensor as far as that is inline.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Composed {
    pub(crate) body: ComposedBody,
    pub(crate) tensor: InlineTensor,
}

impl Composed {
    /// As it is to be checked before it is written.
    pub(crate) fn placed(&self) -> PlacedBody<'_> {
        PlacedBody::built(&self.body, Some(&self.tensor))
    }

    /// The regions.
    #[must_use]
    pub const fn body(&self) -> &ComposedBody {
        &self.body
    }

    /// Which tiles, if that is inline.
    #[must_use]
    pub const fn tile_index(&self) -> Option<&TileIndex> {
        self.tensor.tile_index.as_ref()
    }

    /// Sections, if they are inline.
    #[must_use]
    pub fn sections(&self) -> Option<&[Section]> {
        self.tensor.sections.as_deref()
    }
}

/// CACHE_PUT. spec: nnrp-wire 2.12
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachePut {
    /// How to keep it.
    pub metadata: CachePutMetadata,
    /// The object.
    pub object: Bytes,
}

/// TRANSPORT_PROBE. spec: nnrp-wire 2.10
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportProbe {
    /// Which probe.
    pub metadata: TransportProbeMetadata,
    /// Anything; as long as what is to be measured.
    pub payload: Bytes,
}

/// SESSION_MIGRATE. spec: nnrp-wire 2.11
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionMigrate {
    /// From where to where.
    pub metadata: SessionMigrateMetadata,
    /// Anything; a proof of ownership.
    pub body: Bytes,
}

/// SESSION_MIGRATE_ACK. spec: nnrp-wire 2.11
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionMigrateAck {
    /// Whether it has moved.
    pub metadata: SessionMigrateAckMetadata,
    /// Anything.
    pub body: Bytes,
}

impl Message {
    /// Its type.
    #[must_use]
    pub const fn message_type(&self) -> MessageType {
        match self {
            Self::ClientHello(_) => MessageType::ClientHello,
            Self::ServerHelloAck(_) => MessageType::ServerHelloAck,
            Self::SessionPatch(_) => MessageType::SessionPatch,
            Self::SessionPatchAck(_) => MessageType::SessionPatchAck,
            Self::Close(_) => MessageType::Close,
            Self::Error(_) => MessageType::Error,
            Self::FrameSubmit(_) => MessageType::FrameSubmit,
            Self::FrameCancel => MessageType::FrameCancel,
            Self::ResultPush(_) => MessageType::ResultPush,
            Self::ResultDrop => MessageType::ResultDrop,
            Self::CachePut(_) => MessageType::CachePut,
            Self::CacheAck(_) => MessageType::CacheAck,
            Self::CacheInvalidate(_) => MessageType::CacheInvalidate,
            Self::FlowUpdate(_) => MessageType::FlowUpdate,
            Self::ResultHint(_) => MessageType::ResultHint,
            Self::TransportProbe(_) => MessageType::TransportProbe,
            Self::TransportProbeAck(_) => MessageType::TransportProbeAck,
            Self::SessionMigrate(_) => MessageType::SessionMigrate,
            Self::SessionMigrateAck(_) => MessageType::SessionMigrateAck,
            Self::Ping => MessageType::Ping,
            Self::Pong => MessageType::Pong,
        }
    }
}
