//! Typed payloads. spec: nnrp-wire 3.4, 4.5

use bytes::Bytes;

use super::View;
use super::reference::{decode_table, encode_table};
use super::region::{Packer, Region, check_extents};
use crate::encode::Sink;
use crate::error::{Category, WireError};
use crate::field::{Field, Zero, fixed};
use crate::numbers::PayloadKinds;

/// What one payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum PayloadKind {
    /// Tensor sections; never the kind of a typed payload that this crate builds (Q19).
    Tensor = 0x01,
    /// Text or tokens, piece by piece.
    TokenChunk = 0x02,
    /// Sound.
    AudioChunk = 0x04,
    /// Pictures.
    VideoChunk = 0x08,
    /// An event, JSON by custom.
    StructuredEvent = 0x10,
    /// A tool call, piece by piece, JSON by custom.
    ToolDelta = 0x20,
    /// Anything.
    OpaqueBytes = 0x40,
}

impl PayloadKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Tensor,
        Self::TokenChunk,
        Self::AudioChunk,
        Self::VideoChunk,
        Self::StructuredEvent,
        Self::ToolDelta,
        Self::OpaqueBytes,
    ];

    /// Its bit in metadata.
    #[must_use]
    pub const fn bit(self) -> PayloadKinds {
        PayloadKinds::from_bits_retain(self as u32)
    }

    /// The kind that is this bit.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x01 => Self::Tensor,
            0x02 => Self::TokenChunk,
            0x04 => Self::AudioChunk,
            0x08 => Self::VideoChunk,
            0x10 => Self::StructuredEvent,
            0x20 => Self::ToolDelta,
            0x40 => Self::OpaqueBytes,
            _ => return None,
        })
    }
}

impl Field for PayloadKind {
    const BYTES: usize = 1;

    fn read(bytes: &[u8], at: usize, name: &'static str) -> Result<Self, WireError> {
        let bits = u8::read(bytes, at, name)?;
        Self::from_bits(bits).ok_or_else(|| {
            let known = PayloadKinds::all().number();
            let category = if u64::from(bits) & !known != 0 {
                Category::UnknownFlagBits
            } else {
                Category::PayloadKindNotSingle
            };
            let error = WireError::new(category, name).at(at);
            error.found(u64::from(bits)).limit(known)
        })
    }

    fn write(self, out: &mut [u8], at: usize) {
        (self as u8).write(out, at);
    }

    fn number(self) -> u64 {
        u64::from(self as u8)
    }
}

fixed! {
    /// Where a typed payload is.
    TypedPayloadDescriptor[16] {
        /// What it is.
        0 payload_kind: PayloadKind,
        /// Zero.
        1 descriptor_flags: Zero<u8>,
        /// The payload's schema, for applications.
        2 profile_id: u16,
        /// Where it begins in its region.
        4 payload_offset: u32,
        /// Its bytes.
        8 payload_length: u32,
        /// Zero.
        12 reserved: Zero<u32>,
    }
}

impl TypedPayloadDescriptor {
    /// Reads a region of them. spec: nnrp-wire 7.4
    ///
    /// # Errors
    /// [`Category::RegionSizeNotMultiple`], then the rules of a descriptor.
    pub fn decode_all(region: &Bytes) -> Result<Vec<Self>, WireError> {
        let view = View::new(region, 0);
        decode_table(&view, "typed payload descriptors", |descriptor| descriptor)
    }
}

/// A typed payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedPayload {
    /// What it is.
    pub kind: PayloadKind,
    /// Its schema, for applications.
    pub profile_id: u16,
    /// Its content.
    pub payload: Bytes,
}

impl TryFrom<u8> for PayloadKind {
    type Error = WireError;

    /// The kind that is exactly this bit.
    fn try_from(bits: u8) -> Result<Self, WireError> {
        Self::read(&[bits], 0, "payload_kind").map_err(WireError::unplaced)
    }
}

impl TypedPayload {
    /// A payload with profile 0. `TENSOR` is refused when it is packed.
    #[must_use]
    pub fn new(kind: PayloadKind, payload: impl Into<Bytes>) -> Self {
        Self {
            kind,
            profile_id: 0,
            payload: payload.into(),
        }
    }

    /// A piece of text or tokens.
    #[must_use]
    pub fn token_chunk(payload: impl Into<Bytes>) -> Self {
        Self::new(PayloadKind::TokenChunk, payload)
    }

    /// A piece of sound.
    #[must_use]
    pub fn audio_chunk(payload: impl Into<Bytes>) -> Self {
        Self::new(PayloadKind::AudioChunk, payload)
    }

    /// A piece of a film.
    #[must_use]
    pub fn video_chunk(payload: impl Into<Bytes>) -> Self {
        Self::new(PayloadKind::VideoChunk, payload)
    }

    /// An event, JSON by custom.
    #[must_use]
    pub fn structured_event(payload: impl Into<Bytes>) -> Self {
        Self::new(PayloadKind::StructuredEvent, payload)
    }

    /// A piece of a tool call, JSON by custom.
    #[must_use]
    pub fn tool_delta(payload: impl Into<Bytes>) -> Self {
        Self::new(PayloadKind::ToolDelta, payload)
    }

    /// Anything.
    #[must_use]
    pub fn opaque_bytes(payload: impl Into<Bytes>) -> Self {
        Self::new(PayloadKind::OpaqueBytes, payload)
    }

    /// The same of a schema.
    #[must_use]
    pub fn with_profile(self, profile_id: u16) -> Self {
        Self { profile_id, ..self }
    }

    /// The same, if it is of this kind.
    ///
    /// # Errors
    /// [`Category::WrongKind`].
    pub fn expect_kind(self, kind: PayloadKind) -> Result<Self, WireError> {
        if self.kind == kind {
            return Ok(self);
        }
        let error = WireError::new(Category::WrongKind, "payload_kind");
        Err(error.found(self.kind.number()).limit(kind.number()))
    }
}

/// Typed payloads as they are laid out; what this crate builds has no gaps (Q17).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TypedPayloads {
    descriptors: Vec<TypedPayloadDescriptor>,
    region: Region,
}

impl TypedPayloads {
    /// Payloads back to back.
    ///
    /// # Errors
    /// [`Category::TensorInTypedFrame`]; [`Category::ValueOutOfRange`] if they are longer than a body, or more than a
    /// message can have.
    pub fn new(payloads: impl IntoIterator<Item = TypedPayload>) -> Result<Self, WireError> {
        let mut packed = Packer::default();
        let payloads = payloads.into_iter();
        let mut descriptors = Vec::with_capacity(payloads.size_hint().0);
        for payload in payloads {
            if payload.kind == PayloadKind::Tensor {
                let error = WireError::new(Category::TensorInTypedFrame, "payload_kind");
                return Err(error.found(payload.kind.number()));
            }
            let (payload_offset, payload_length) = packed.push(payload.payload)?;
            descriptors.push(TypedPayloadDescriptor {
                payload_kind: payload.kind,
                descriptor_flags: Zero::default(),
                profile_id: payload.profile_id,
                payload_offset,
                payload_length,
                reserved: Zero::default(),
            });
        }
        let count_max = u64::from(u16::MAX);
        if descriptors.len() as u64 > count_max {
            let error = WireError::new(Category::ValueOutOfRange, "payload_frame_count");
            return Err(error.found(descriptors.len() as u64).limit(count_max));
        }
        Ok(Self {
            descriptors,
            region: packed.region,
        })
    }

    /// Reads a region of descriptors and the region that they are about. spec: nnrp-wire 7.4
    ///
    /// # Errors
    /// [`Category::RegionSizeNotMultiple`], the rules of a descriptor, [`Category::DescriptorOverlap`],
    /// [`Category::DescriptorOutOfRange`]. A descriptor may say that it is a tensor (Q19).
    pub fn from_regions(table: &Bytes, region: &Bytes) -> Result<Self, WireError> {
        Self::decode(&View::new(table, 0), View::new(region, 0))
    }

    /// The region of descriptors.
    #[must_use]
    pub fn encode_table(&self) -> Vec<u8> {
        encode_table(&self.descriptors)
    }

    pub(crate) fn decode(table: &View<'_>, region: View<'_>) -> Result<Self, WireError> {
        let descriptors =
            decode_table(table, "typed payload descriptors", |descriptor| descriptor)?;
        let extent = |descriptor: &TypedPayloadDescriptor| {
            (descriptor.payload_offset, descriptor.payload_length)
        };
        check_extents(descriptors.iter().map(extent), table, region.bytes_u64(), 4)?;
        Ok(Self {
            descriptors,
            region: Region::Whole(region.to_bytes()),
        })
    }

    /// Their descriptors.
    #[must_use]
    pub fn descriptors(&self) -> &[TypedPayloadDescriptor] {
        &self.descriptors
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.descriptors.len()
    }

    /// How many, as metadata has it.
    pub(crate) fn count(&self) -> u16 {
        // Checked when they were packed; received tables are compared with their metadata.
        u16::try_from(self.descriptors.len()).unwrap_or(u16::MAX)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.descriptors.is_empty()
    }

    /// The payloads, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = TypedPayload> + '_ {
        let descriptors = self.descriptors.iter().enumerate();
        descriptors.map(|(place, descriptor)| TypedPayload {
            kind: descriptor.payload_kind,
            profile_id: descriptor.profile_id,
            payload: self.region.payload(
                place,
                descriptor.payload_offset,
                descriptor.payload_length,
            ),
        })
    }

    /// The region that they are slices of; copied together if it was built.
    #[must_use]
    pub fn region(&self) -> Bytes {
        self.region.to_bytes()
    }

    /// Their kinds.
    #[must_use]
    pub fn kinds(&self) -> PayloadKinds {
        let kinds = self
            .descriptors
            .iter()
            .map(|descriptor| descriptor.payload_kind.bit());
        kinds.fold(PayloadKinds::empty(), |kinds, kind| kinds | kind)
    }

    pub(crate) fn region_bytes(&self) -> u64 {
        self.region.bytes()
    }

    pub(crate) fn write_region(&self, sink: &mut impl Sink) {
        self.region.write(sink);
    }
}
