//! A packet before anything but its header is looked at. spec: nnrp-wire 1

use bytes::Bytes;

use crate::encode::{Pieces, Sink as _};
use crate::error::{Category, WireError};
use crate::header::Header;

/// Header, metadata and body as they came, or as they are to be sent.
///
/// ```
/// use nnrp_wire::{Header, MessageType, Packet};
///
/// let packet = Packet::new(Header::new(MessageType::Close), "".into(), "done".into())?;
/// let bytes = packet.encode();
/// assert_eq!(Packet::decode(bytes.into())?, packet);
/// # Ok::<(), nnrp_wire::WireError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    header: Header,
    metadata: Bytes,
    body: Bytes,
}

impl Packet {
    /// A packet of any content; its header's lengths become those of metadata and body.
    ///
    /// # Errors
    /// [`Category::ValueOutOfRange`] if one of them has more than `u32::MAX` bytes.
    pub fn new(header: Header, metadata: Bytes, body: Bytes) -> Result<Self, WireError> {
        let header = Header {
            meta_len: crate::body::field_u32(metadata.len() as u64, "meta_len")?,
            body_len: crate::body::field_u32(body.len() as u64, "body_len")?,
            ..header
        };
        Ok(Self {
            header,
            metadata,
            body,
        })
    }

    /// Splits the bytes of exactly one packet. spec: nnrp-wire 1.4
    ///
    /// # Errors
    /// As [`Header::decode`]; then [`Category::PacketTruncated`] or [`Category::PacketTrailingBytes`].
    pub fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let header = Self::decode_header(&bytes)?;
        Ok(Self::split(header, bytes))
    }

    /// The header of the bytes of exactly one packet.
    #[inline]
    pub(crate) fn decode_header(bytes: &[u8]) -> Result<Header, WireError> {
        let header = Header::decode(bytes)?;
        let expected = header.packet_bytes();
        let found = bytes.len() as u64;
        let wrong = |category| {
            WireError::new(category, "packet")
                .at(12)
                .found(found)
                .limit(expected)
        };
        if found < expected {
            return Err(wrong(Category::PacketTruncated));
        }
        if found > expected {
            return Err(wrong(Category::PacketTrailingBytes));
        }
        Ok(header)
    }

    /// The rest of the bytes is metadata and body, as long as the header says.
    pub(crate) fn split(header: Header, bytes: Bytes) -> Self {
        let body_at = (Header::BYTES + header.meta_len as usize).min(bytes.len());
        Self {
            header,
            metadata: bytes.slice(Header::BYTES.min(body_at)..body_at),
            body: bytes.slice(body_at..),
        }
    }

    /// The header; its lengths are right.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// What is between header and body.
    #[must_use]
    pub const fn metadata(&self) -> &Bytes {
        &self.metadata
    }

    /// What is behind the metadata.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Where the body stands in the packet.
    pub(crate) fn body_at(&self) -> usize {
        Header::BYTES + self.metadata.len()
    }

    /// Bytes of the packet.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.header.packet_bytes()
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.body_at() + self.body.len());
        self.encode_into(&mut out);
        out
    }

    /// Appends the bytes on the wire.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.header.encode());
        out.extend_from_slice(&self.metadata);
        out.extend_from_slice(&self.body);
    }

    /// As [`Self::encode_into`], behind the packets that `pieces` holds already, and with a large body left where it is.
    pub fn append_pieces(&self, pieces: &mut Pieces) {
        pieces.bytes(&self.header.encode());
        pieces.bytes(&self.metadata);
        pieces.payload(&self.body);
    }
}
