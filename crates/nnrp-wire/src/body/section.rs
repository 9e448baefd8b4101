//! Tensor sections: one payload for each tile. spec: nnrp-wire 5.1

use bytes::{Bytes, BytesMut};

use super::View;
use crate::error::{Category, WireError};
use crate::field::{Fixed, Reserved, fixed};
use crate::numbers::{DType, Layout, ScalePolicy, SectionFlags};
use crate::rules::Rules;

fixed! {
    /// What a section holds.
    SectionDescriptor[32] {
        /// What it is for; sections come in the order of their roles.
        0 role_id: u16,
        /// The codec of tiles without one of their own.
        2 codec_id: u8,
        /// What an element is.
        3 dtype_id: DType,
        /// The order of the axes.
        4 layout_id: Layout,
        /// How elements become quantities.
        5 scale_policy: ScalePolicy,
        /// How tiles are stored.
        6 flags: SectionFlags,
        /// For information; nothing is checked against it.
        8 element_count_per_tile: u32,
        /// Bytes of the codec table: 0, or one for each tile.
        12 codec_table_bytes: u32,
        /// Bytes of the length table: four for each tile.
        16 length_table_bytes: u32,
        /// Bytes of all tiles.
        20 payload_bytes: u32,
        /// Bytes of a tile's slot, with `FIXED_STRIDE`.
        24 payload_stride_bytes: u32,
        /// Zero.
        28 reserved: Reserved<u32>,
    }
}

/// A section: a payload for each tile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    descriptor: SectionDescriptor,
    codec_table: Bytes,
    length_table: Bytes,
    payload: Bytes,
}

/// Bytes of an entry of the length table.
const LENGTH_BYTES: u64 = 4;

impl Section {
    /// A section of these parts; the lengths in the descriptor must be theirs.
    ///
    /// # Errors
    /// [`Category::DeclaredLengthMismatch`], then what reading such a section would say.
    pub fn from_parts(
        descriptor: SectionDescriptor,
        codec_table: Bytes,
        length_table: Bytes,
        payload: Bytes,
    ) -> Result<Self, WireError> {
        for (what, declared, bytes) in [
            (
                "codec_table_bytes",
                descriptor.codec_table_bytes,
                &codec_table,
            ),
            (
                "length_table_bytes",
                descriptor.length_table_bytes,
                &length_table,
            ),
            ("payload_bytes", descriptor.payload_bytes, &payload),
        ] {
            if u64::from(declared) != bytes.len() as u64 {
                let error = WireError::new(Category::DeclaredLengthMismatch, what);
                return Err(error.found(u64::from(declared)).limit(bytes.len() as u64));
            }
        }
        let section = Self {
            descriptor,
            codec_table,
            length_table,
            payload,
        };
        section.check(None)?;
        Ok(section)
    }

    /// Reads the section at the start of `view`; returns its bytes on the wire too.
    pub(crate) fn decode(view: &View, rules: &Rules) -> Result<(Self, u64), WireError> {
        const HEAD: u64 = SectionDescriptor::BYTES as u64;
        let truncated = |limit: u64| {
            let error = view.error(Category::SectionTruncated, "section");
            error.found(view.bytes_u64()).limit(limit)
        };
        if view.bytes_u64() < HEAD {
            return Err(truncated(HEAD));
        }
        let descriptor =
            SectionDescriptor::read(view, 0).map_err(|error| error.moved(view.at()))?;
        let codecs_end = HEAD + u64::from(descriptor.codec_table_bytes);
        let lengths_end = codecs_end + u64::from(descriptor.length_table_bytes);
        let end = lengths_end + u64::from(descriptor.payload_bytes);
        let part = |range| view.part(range).map(View::into_bytes);
        let (Some(codec_table), Some(length_table), Some(payload)) = (
            part(HEAD..codecs_end),
            part(codecs_end..lengths_end),
            part(lengths_end..end),
        ) else {
            return Err(truncated(end));
        };
        descriptor
            .check_reserved(rules)
            .map_err(|error| error.moved(view.at()))?;
        let section = Self {
            descriptor,
            codec_table,
            length_table,
            payload,
        };
        section.check(Some(view.at()))?;
        Ok((section, end))
    }

    /// The rules between its parts, in the specification's order.
    fn check(&self, at: Option<usize>) -> Result<(), WireError> {
        let SectionDescriptor {
            flags,
            codec_table_bytes,
            length_table_bytes,
            payload_stride_bytes: stride,
            ..
        } = self.descriptor;
        let error = |category, what, place: usize| {
            let error = WireError::new(category, what);
            at.map_or(error, |at| error.at(at + place))
        };
        if !u64::from(length_table_bytes).is_multiple_of(LENGTH_BYTES) {
            let error = error(Category::LengthTableNotMultiple, "length_table_bytes", 16);
            return Err(error
                .found(u64::from(length_table_bytes))
                .limit(LENGTH_BYTES));
        }
        if flags.contains(SectionFlags::FIXED_STRIDE) != (stride > 0) {
            let error = error(Category::StrideFlagConflict, "payload_stride_bytes", 24);
            return Err(error.found(u64::from(stride)));
        }
        if flags.contains(SectionFlags::MIXED_CODEC) != (codec_table_bytes > 0) {
            let error = error(Category::CodecFlagConflict, "codec_table_bytes", 12);
            return Err(error.found(u64::from(codec_table_bytes)));
        }
        if codec_table_bytes > 0 && u64::from(codec_table_bytes) != self.tile_count() {
            let error = error(Category::CodecCountMismatch, "codec_table_bytes", 12);
            return Err(error
                .found(u64::from(codec_table_bytes))
                .limit(self.tile_count()));
        }
        let tables = u64::from(codec_table_bytes) + u64::from(length_table_bytes);
        let payload_at = at.map(|at| at as u64 + SectionDescriptor::BYTES as u64 + tables);
        self.check_payload(payload_at.and_then(|at| usize::try_from(at).ok()))
    }

    fn check_payload(&self, at: Option<usize>) -> Result<(), WireError> {
        let error = |category, what, place: u64| {
            let error = WireError::new(category, what);
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            at.map_or(error, |at| error.at(at.saturating_add(place)))
        };
        let payload_bytes = self.payload.len() as u64;
        let stride = u64::from(self.descriptor.payload_stride_bytes);
        let expected = match stride {
            0 => self.tile_lengths().map(u64::from).sum(),
            // Both factors have at most 32 bits.
            stride => stride * self.tile_count(),
        };
        if payload_bytes != expected {
            let error = error(Category::SectionPayloadLengthMismatch, "payload_bytes", 0);
            return Err(error.found(payload_bytes).limit(expected));
        }
        if stride == 0 {
            return Ok(());
        }
        for (place, length) in (0..).zip(self.tile_lengths().map(u64::from)) {
            let start = place * stride;
            if length > stride {
                let error = error(Category::TileExceedsStride, "tile length", start);
                return Err(error.found(length).limit(stride));
            }
            let fill = slice(&self.payload, start + length..start + stride);
            if let Some(byte) = fill.iter().position(|byte| *byte != 0) {
                let place = start + length + byte as u64;
                let error = error(Category::NonzeroPadding, "tile fill", place);
                return Err(error.found(u64::from(fill[byte])).limit(0));
            }
        }
        Ok(())
    }

    /// What it holds.
    #[must_use]
    pub const fn descriptor(&self) -> &SectionDescriptor {
        &self.descriptor
    }

    /// Codecs of the tiles; empty if all have the descriptor's.
    #[must_use]
    pub const fn codec_table(&self) -> &Bytes {
        &self.codec_table
    }

    /// Lengths of the tiles, four bytes each.
    #[must_use]
    pub const fn length_table(&self) -> &Bytes {
        &self.length_table
    }

    /// All tiles, as they are stored.
    #[must_use]
    pub const fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// How many tiles it has.
    #[must_use]
    pub fn tile_count(&self) -> u64 {
        self.length_table.len() as u64 / LENGTH_BYTES
    }

    /// The length of each tile, in bytes.
    pub fn tile_lengths(&self) -> impl ExactSizeIterator<Item = u32> + Clone + '_ {
        let (lengths, _) = self.length_table.as_chunks();
        lengths.iter().map(|length| u32::from_le_bytes(*length))
    }

    /// The payload of each tile, without its fill.
    pub fn tiles(&self) -> impl Iterator<Item = Bytes> + '_ {
        let stride = u64::from(self.descriptor.payload_stride_bytes);
        let mut start = 0;
        self.tile_lengths().map(move |length| {
            let end = start + u64::from(length);
            let tile = slice(&self.payload, start..end);
            start = if stride == 0 { end } else { start + stride };
            tile
        })
    }

    /// The codec of each tile.
    pub fn codecs(&self) -> impl Iterator<Item = u8> + '_ {
        let default = self.descriptor.codec_id;
        let tiles = 0..self.tile_count();
        tiles.map(move |tile| {
            let tile = usize::try_from(tile).unwrap_or(usize::MAX);
            self.codec_table.get(tile).copied().unwrap_or(default)
        })
    }

    /// Bytes on the wire.
    pub(crate) fn wire_bytes(&self) -> u64 {
        let tables = self.codec_table.len() + self.length_table.len();
        (SectionDescriptor::BYTES + tables) as u64 + self.payload.len() as u64
    }
}

/// Parts of a checked payload are there.
fn slice(bytes: &Bytes, range: std::ops::Range<u64>) -> Bytes {
    let end = usize::try_from(range.end)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
    bytes.slice(start..end)
}

/// A section as an application has it: a payload for each tile.
///
/// ```
/// use bytes::Bytes;
/// use nnrp_wire::DType;
/// use nnrp_wire::body::TensorSection;
///
/// let tiles = [Bytes::from_static(b"aa"), Bytes::from_static(b"b")];
/// let section = TensorSection { codecs: Some(vec![0, 1]), ..TensorSection::new(1, DType::UInt8, &tiles) };
/// assert_eq!(section.encode()?.payload().as_ref(), b"aab");
/// # Ok::<(), nnrp_wire::WireError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSection<'t> {
    /// What it is for.
    pub role_id: u16,
    /// What an element is.
    pub dtype: DType,
    /// The order of the axes; channels last unless set.
    pub layout: Layout,
    /// How elements become quantities; they are, unless set.
    pub scale_policy: ScalePolicy,
    /// The codec of all tiles, or of those without one of their own; 0 unless set.
    pub codec_id: u8,
    /// A codec for each tile.
    pub codecs: Option<Vec<u8>>,
    /// For information; 0 unless set.
    pub element_count_per_tile: u32,
    /// Bytes of a slot for each tile; 0 is none, which is the default.
    pub stride_bytes: u32,
    /// The payload of each tile.
    pub tiles: &'t [Bytes],
}

impl<'t> TensorSection<'t> {
    /// A section of these tiles.
    #[must_use]
    pub const fn new(role_id: u16, dtype: DType, tiles: &'t [Bytes]) -> Self {
        Self {
            role_id,
            dtype,
            layout: Layout::Nhwc,
            scale_policy: ScalePolicy::None,
            codec_id: 0,
            codecs: None,
            element_count_per_tile: 0,
            stride_bytes: 0,
            tiles,
        }
    }

    /// As it is on the wire. One tile's payload is not copied unless it has a slot to fill.
    ///
    /// # Errors
    /// [`Category::CodecCountMismatch`] unless there is a codec for each tile; [`Category::TileExceedsStride`];
    /// [`Category::ValueOutOfRange`] if the tiles are longer than a section can be.
    pub fn encode(&self) -> Result<Section, WireError> {
        let codec_table = self.codec_table()?;
        let mut length_table = BytesMut::with_capacity(self.tiles.len() * 4);
        for tile in self.tiles {
            let length = field_u32(tile.len() as u64, "tile length")?;
            if self.stride_bytes > 0 && length > self.stride_bytes {
                let error = WireError::new(Category::TileExceedsStride, "tile length");
                return Err(error
                    .found(u64::from(length))
                    .limit(u64::from(self.stride_bytes)));
            }
            length_table.extend_from_slice(&length.to_le_bytes());
        }
        let payload = self.payload()?;
        let mut flags = SectionFlags::empty();
        flags.set(SectionFlags::MIXED_CODEC, !codec_table.is_empty());
        flags.set(SectionFlags::FIXED_STRIDE, self.stride_bytes > 0);
        let descriptor = SectionDescriptor {
            role_id: self.role_id,
            codec_id: self.codec_id,
            dtype_id: self.dtype,
            layout_id: self.layout,
            scale_policy: self.scale_policy,
            flags,
            element_count_per_tile: self.element_count_per_tile,
            codec_table_bytes: field_u32(codec_table.len() as u64, "codec_table_bytes")?,
            length_table_bytes: field_u32(length_table.len() as u64, "length_table_bytes")?,
            payload_bytes: field_u32(payload.len() as u64, "payload_bytes")?,
            payload_stride_bytes: self.stride_bytes,
            reserved: Reserved(0),
        };
        Section::from_parts(descriptor, codec_table, length_table.freeze(), payload)
    }

    /// None if all tiles have the default codec.
    fn codec_table(&self) -> Result<Bytes, WireError> {
        let Some(codecs) = &self.codecs else {
            return Ok(Bytes::new());
        };
        if codecs.len() != self.tiles.len() {
            let error = WireError::new(Category::CodecCountMismatch, "codecs");
            return Err(error
                .found(codecs.len() as u64)
                .limit(self.tiles.len() as u64));
        }
        let is_mixed = codecs.iter().any(|codec| *codec != self.codec_id);
        Ok(if is_mixed {
            Bytes::copy_from_slice(codecs)
        } else {
            Bytes::new()
        })
    }

    fn payload(&self) -> Result<Bytes, WireError> {
        let stride = usize::try_from(self.stride_bytes).unwrap_or(usize::MAX);
        if let [tile] = self.tiles
            && (stride == 0 || tile.len() == stride)
        {
            return Ok(tile.clone());
        }
        let total = match stride {
            0 => self.tiles.iter().map(|tile| tile.len() as u64).sum(),
            stride => (stride as u64).saturating_mul(self.tiles.len() as u64),
        };
        // Checked before anything is allocated.
        let total = field_u32(total, "payload_bytes")?;
        let mut payload = BytesMut::with_capacity(usize::try_from(total).unwrap_or(0));
        for tile in self.tiles {
            payload.extend_from_slice(tile);
            payload.resize(payload.len() + stride.saturating_sub(tile.len()), 0);
        }
        Ok(payload.freeze())
    }
}

/// A length that must fit its field.
pub(crate) fn field_u32(value: u64, what: &'static str) -> Result<u32, WireError> {
    u32::try_from(value).map_err(|_| {
        let error = WireError::new(Category::ValueOutOfRange, what);
        error.found(value).limit(u64::from(u32::MAX))
    })
}
