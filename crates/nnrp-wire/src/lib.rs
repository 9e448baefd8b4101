//! NNRP/1: packets of a real-time AI protocol, and the state machines of its sessions, without sockets, clock or runtime.
//!
//! Bytes come in, [`Message`]s come out, and the other way round; nothing here waits, and nothing is copied when it is
//! read: payloads are slices of the received bytes.
//!
//! ```
//! use bytes::Bytes;
//! use nnrp_wire::{DecodeOptions, Envelope, Message};
//!
//! let mut bytes = Vec::new();
//! Message::Close("done".into()).encode(&Envelope::session(7), &mut bytes)?;
//!
//! let (header, message) = Message::decode_bytes(bytes.into(), &DecodeOptions::STRICT)?;
//! assert_eq!((header.session_id, message), (7, Message::Close(Bytes::from("done"))));
//! # Ok::<(), nnrp_wire::WireError>(())
//! ```
//!
//! | Module | What is in it |
//! |---|---|
//! | the root | [`Message`] and what it consists of, [`Packet`]s and their [`Header`]s, [`Splitter`] for streams, numbers and flags |
//! | [`metadata`], [`body`] | The parts of messages, each readable and writable by itself |
//! | [`build`] | Messages from what is to be said, so that they cannot be wrong |
//! | [`session`] | What both sides of a session do, as machines |
//! | [`replay`] | Recorded frames and results as packets, and how large they are |
//! | `inspect`, `manifest` | With the feature `inspect`: packets as JSON, and the golden vectors of all languages |
//! | [`names`] | Where each capability of the reference is |
//!
//! What must hold:
//! 1. No input panics, or loops. Reading a packet takes time in proportion to its length (and its logarithm, for very many
//!    extensions), and at most six times its length in memory, and 256 bytes, besides the packet itself. What is refused has a
//!    [`Category`], and where it stands, what was found and what it had to be ([`WireError`]).
//! 2. Two ways to read, [`Rules::STRICT`] and [`Rules::COMPATIBLE`]; each tolerated quirk of the reference is one switch.
//! 3. What was built with [`build`], or was read under the strict rules, is written so that the strict rules can read it. What
//!    is put together by hand, or was read under laxer rules, is written if [`Rules::COMPATIBLE`] can read it: a reserved field,
//!    a frame class or a version is written as it is given.
//! 4. What was read can be written again, and says the same. Two quirks that [`Rules::COMPATIBLE`] reads are never written: a
//!    FLOW_UPDATE whose session does not fit its scope (Q10), and a camera block that was cut (Q16).

#![forbid(unsafe_code)]

pub mod body;
pub mod build;
mod encode;
mod error;
mod extension;
mod field;
mod header;
#[cfg(feature = "inspect")]
pub mod inspect;
#[cfg(feature = "inspect")]
pub mod manifest;
mod message;
pub mod metadata;
#[doc = include_str!("../docs/names.md")]
pub mod names {}
mod numbers;
mod packet;
pub mod replay;
mod rules;
pub mod session;
mod splitter;

pub use encode::Pieces;
pub use error::{Category, WireError};
pub use extension::{
    ClientTransportPolicy, ControlExtension, ControlExtensionHeader, ControlExtensionType,
    KnownExtension, PayloadCapabilities, ServerTransportPolicy,
};
pub use field::{Reserved, Zero};
pub use header::{Header, VERSION_MAJOR};
pub use message::{
    CachePut, ClientHello, Composed, Envelope, ErrorReport, FrameSubmit, Message, ResultBody,
    ResultPush, ServerHelloAck, SessionMigrate, SessionMigrateAck, SessionPatch, SessionPatchAck,
    SubmitBody, TransportProbe,
};
pub use numbers::{
    BackpressureLevel, BudgetPolicy, CacheFlags, CacheStatus, CongestionState,
    ControlExtensionFlags, DType, ErrorCode, ErrorScope, ExtensionFrameFlags, FlowFlags,
    FlowReason, FlowScope, FrameClass, FrameClassField, FrameLossTolerance, HeaderFlags,
    HintPolicy, HintReason, InputProfile, InvalidateScope, Layout, LossTolerance, MessageType,
    ObjectKind, ObjectKinds, PatchAckStatus, PatchMask, PatchRejectReason, PayloadKinds,
    ResultClass, ResultFlags, ScalePolicy, SectionFlags, SubmitMode, TileIndexMode, TransportId,
    TransportPolicy, WideObjectKind, WireFormat,
};
pub use packet::Packet;
pub use rules::{DecodeOptions, Rules};
pub use splitter::{SplitLimits, Splitter};
