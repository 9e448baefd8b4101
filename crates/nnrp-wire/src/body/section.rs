//! Tensor sections: one payload for each tile. spec: nnrp-wire 5.1

use bytes::Bytes;

use super::View;
use crate::encode::Sink;
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
#[derive(Debug, Clone)]
pub struct Section {
    pub(super) descriptor: SectionDescriptor,
    pub(super) codec_table: Bytes,
    pub(super) length_table: Bytes,
    pub(super) payload: TilePayloads,
}

/// Where the tiles of a section are.
#[derive(Debug, Clone)]
pub(super) enum TilePayloads {
    /// As they are stored.
    Stored(Bytes),
    /// Each by itself: put one behind the other, slots filled, when they are written.
    Each(Vec<Bytes>),
}

impl PartialEq for Section {
    /// Fill is always zero, so the tiles say it all.
    fn eq(&self, other: &Self) -> bool {
        self.descriptor == other.descriptor
            && self.codec_table == other.codec_table
            && self.length_table == other.length_table
            && self.tiles().eq(other.tiles())
    }
}

impl Eq for Section {}

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
            payload: TilePayloads::Stored(payload),
        };
        section.check(None)?;
        Ok(section)
    }

    /// Reads the section at the start of `view`; returns its bytes on the wire too.
    pub(crate) fn decode(view: &View<'_>, rules: &Rules) -> Result<(Self, u64), WireError> {
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
        let part = |range| view.part(range).map(View::to_bytes);
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
            payload: TilePayloads::Stored(payload),
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
        self.check_payload(at)
    }

    /// Tiles that are not stored yet were checked when the section was built.
    fn check_payload(&self, at: Option<usize>) -> Result<(), WireError> {
        let TilePayloads::Stored(payload) = &self.payload else {
            return Ok(());
        };
        let error = |category, what, place: u64| {
            let error = WireError::new(category, what);
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            at.map_or(error, |at| error.at(at.saturating_add(place)))
        };
        let lengths_at = SectionDescriptor::BYTES as u64 + self.codec_table.len() as u64;
        let payload_at = lengths_at + self.length_table.len() as u64;
        let payload_bytes = payload.len() as u64;
        let stride = u64::from(self.descriptor.payload_stride_bytes);
        let expected = match stride {
            0 => self.tile_lengths().map(u64::from).sum(),
            // Both factors have at most 32 bits.
            stride => stride * self.tile_count(),
        };
        if payload_bytes != expected {
            let error = error(Category::SectionPayloadLengthMismatch, "payload_bytes", 20);
            return Err(error.found(payload_bytes).limit(expected));
        }
        if stride == 0 {
            return Ok(());
        }
        for (place, length) in (0..).zip(self.tile_lengths().map(u64::from)) {
            let start = place * stride;
            if length > stride {
                let place = lengths_at + LENGTH_BYTES * place;
                let error = error(Category::TileExceedsStride, "tile length", place);
                return Err(error.found(length).limit(stride));
            }
            let fill = slice(payload, start + length..start + stride);
            if let Some(byte) = fill.iter().position(|byte| *byte != 0) {
                let place = payload_at + start + length + byte as u64;
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

    /// All tiles, as they are stored; copied together if the section was built of several.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        match &self.payload {
            TilePayloads::Stored(payload) => payload.clone(),
            TilePayloads::Each(tiles) => {
                let mut payload = Vec::with_capacity(self.descriptor.payload_bytes as usize);
                self.write_tiles(tiles, &mut payload);
                payload.into()
            }
        }
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
    pub fn tiles(&self) -> impl ExactSizeIterator<Item = Bytes> + '_ {
        let stride = u64::from(self.descriptor.payload_stride_bytes);
        let mut start = 0;
        let lengths = self.tile_lengths().enumerate();
        lengths.map(move |(place, length)| match &self.payload {
            TilePayloads::Each(tiles) => tiles.get(place).cloned().unwrap_or_default(),
            TilePayloads::Stored(payload) => {
                let end = start + u64::from(length);
                let tile = slice(payload, start..end);
                start = if stride == 0 { end } else { start + stride };
                tile
            }
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

    /// Appends the bytes on the wire: descriptor, codec table, length table, tiles. spec: nnrp-wire 5.1
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.write(out);
    }

    pub(crate) fn wire_bytes(&self) -> u64 {
        let tables = self.codec_table.len() + self.length_table.len();
        (SectionDescriptor::BYTES + tables) as u64 + u64::from(self.descriptor.payload_bytes)
    }

    pub(crate) fn write(&self, sink: &mut impl Sink) {
        sink.fixed(&self.descriptor);
        sink.bytes(&self.codec_table);
        sink.payload(&self.length_table);
        match &self.payload {
            TilePayloads::Stored(payload) => sink.payload(payload),
            TilePayloads::Each(tiles) => self.write_tiles(tiles, sink),
        }
    }

    fn write_tiles(&self, tiles: &[Bytes], sink: &mut impl Sink) {
        let stride = self.descriptor.payload_stride_bytes as usize;
        for tile in tiles {
            sink.payload(tile);
            sink.zeros(stride.saturating_sub(tile.len()));
        }
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

/// A length that must fit its field.
pub(crate) fn field_u32(value: u64, what: &'static str) -> Result<u32, WireError> {
    u32::try_from(value).map_err(|_| {
        let error = WireError::new(Category::ValueOutOfRange, what);
        error.found(value).limit(u64::from(u32::MAX))
    })
}
