//! The header that every packet begins with. spec: nnrp-wire 1

use crate::error::{Category, WireError};
use crate::field::Field;
use crate::metadata;
use crate::numbers::{HeaderFlags, MessageType, WireFormat};

/// What a header says. Its own length and the magic bytes are always the same.
///
/// ```
/// use nnrp_wire::{Header, MessageType};
///
/// let ping = Header { session_id: 7, trace_id: 41, ..Header::new(MessageType::Ping) };
/// let bytes = ping.encode();
/// assert_eq!(Header::decode(&bytes)?, ping);
/// # Ok::<(), nnrp_wire::WireError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// The version, 1. Reading keeps any; [`Message::decode`](crate::Message::decode) checks it (Q1).
    pub version_major: u8,
    /// How the packet is written.
    pub wire_format: WireFormat,
    /// What it is.
    pub message_type: MessageType,
    /// Flags; none has an effect on how the packet is read.
    pub flags: HeaderFlags,
    /// Bytes of the metadata.
    pub meta_len: u32,
    /// Bytes of the body.
    pub body_len: u32,
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

const HEADER_LEN: u8 = 40;
const MAGIC: [u8; 4] = *b"NNRP";
/// The only version there is.
pub const VERSION_MAJOR: u8 = 1;

impl Header {
    /// Bytes on the wire.
    pub const BYTES: usize = HEADER_LEN as usize;

    /// A header of this type with everything else 0, version 1.
    #[must_use]
    pub const fn new(message_type: MessageType) -> Self {
        Self {
            version_major: VERSION_MAJOR,
            wire_format: WireFormat::Current,
            message_type,
            flags: HeaderFlags::empty(),
            meta_len: 0,
            body_len: 0,
            session_id: 0,
            frame_id: 0,
            view_id: 0,
            route_id: 0,
            trace_id: 0,
        }
    }

    /// Reads the header at the start of `bytes`; what follows is not looked at. spec: nnrp-wire 1.4
    ///
    /// # Errors
    /// In this order: [`Category::HeaderTruncated`], [`Category::BadMagic`], [`Category::BadHeaderLen`],
    /// [`Category::UnknownWireFormat`], [`Category::UnknownMessageType`].
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let Some(bytes) = bytes.first_chunk::<{ Self::BYTES }>() else {
            return Err(WireError::new(Category::HeaderTruncated, "header")
                .at(0)
                .found(bytes.len() as u64)
                .limit(Self::BYTES as u64));
        };
        if bytes[..4] != MAGIC {
            let found = u64::from(u32::read(bytes, 0, "magic")?);
            return Err(WireError::new(Category::BadMagic, "magic")
                .at(0)
                .found(found));
        }
        if usize::from(bytes[7]) != Self::BYTES {
            return Err(WireError::new(Category::BadHeaderLen, "header_len")
                .at(7)
                .found(u64::from(bytes[7]))
                .limit(Self::BYTES as u64));
        }
        let unknown = |category, what, at: usize| {
            WireError::new(category, what)
                .at(at)
                .found(u64::from(bytes[at]))
        };
        let wire_format = WireFormat::from_number(u64::from(bytes[5]))
            .ok_or_else(|| unknown(Category::UnknownWireFormat, "wire_format", 5))?;
        let message_type = MessageType::from_number(u64::from(bytes[6]))
            .ok_or_else(|| unknown(Category::UnknownMessageType, "msg_type", 6))?;
        Ok(Self {
            version_major: bytes[4],
            wire_format,
            message_type,
            flags: HeaderFlags::read(bytes, 8, "flags")?,
            meta_len: u32::read(bytes, 12, "meta_len")?,
            body_len: u32::read(bytes, 16, "body_len")?,
            session_id: u32::read(bytes, 20, "session_id")?,
            frame_id: u32::read(bytes, 24, "frame_id")?,
            view_id: u16::read(bytes, 28, "view_id")?,
            route_id: u16::read(bytes, 30, "route_id")?,
            trace_id: u64::read(bytes, 32, "trace_id")?,
        })
    }

    /// The bytes on the wire.
    #[must_use]
    #[inline]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        self.write(&mut out);
        out
    }

    #[inline]
    pub(crate) fn write(&self, out: &mut [u8; Self::BYTES]) {
        out[..4].copy_from_slice(&MAGIC);
        out[4] = self.version_major;
        out[5] = self.wire_format.number();
        out[6] = self.message_type.number();
        out[7] = HEADER_LEN;
        self.flags.write(out, 8);
        self.meta_len.write(out, 12);
        self.body_len.write(out, 16);
        self.session_id.write(out, 20);
        self.frame_id.write(out, 24);
        self.view_id.write(out, 28);
        self.route_id.write(out, 30);
        self.trace_id.write(out, 32);
    }

    /// Bytes of the whole packet; more than [`u32::MAX`] is possible.
    #[must_use]
    pub const fn packet_bytes(&self) -> u64 {
        Self::BYTES as u64 + self.meta_len as u64 + self.body_len as u64
    }
}

impl MessageType {
    /// Bytes of the metadata that messages of this type have. spec: nnrp-wire 1.2
    #[must_use]
    pub const fn metadata_bytes(self) -> usize {
        match self {
            Self::ClientHello => metadata::ClientHelloMetadata::BYTES,
            Self::ServerHelloAck => metadata::ServerHelloAckMetadata::BYTES,
            Self::SessionPatch => metadata::SessionPatchMetadata::BYTES,
            Self::SessionPatchAck => metadata::SessionPatchAckMetadata::BYTES,
            Self::Error => metadata::ErrorMetadata::BYTES,
            Self::FrameSubmit => metadata::FrameSubmitMetadata::BYTES,
            Self::ResultPush => metadata::ResultPushMetadata::BYTES,
            Self::CachePut => metadata::CachePutMetadata::BYTES,
            Self::CacheAck => metadata::CacheAckMetadata::BYTES,
            Self::CacheInvalidate => metadata::CacheInvalidateMetadata::BYTES,
            Self::FlowUpdate => metadata::FlowUpdateMetadata::BYTES,
            Self::ResultHint => metadata::ResultHintMetadata::BYTES,
            Self::TransportProbe => metadata::TransportProbeMetadata::BYTES,
            Self::TransportProbeAck => metadata::TransportProbeAckMetadata::BYTES,
            Self::SessionMigrate => metadata::SessionMigrateMetadata::BYTES,
            Self::SessionMigrateAck => metadata::SessionMigrateAckMetadata::BYTES,
            Self::Close | Self::FrameCancel | Self::ResultDrop | Self::Ping | Self::Pong => 0,
        }
    }
}
