//! Tensor sections as applications have them. spec: nnrp-wire 5.1

use bytes::{Bytes, BytesMut};

use super::section::{TilePayloads, field_u32};
use super::{Section, SectionDescriptor};
use crate::error::{Category, WireError};
use crate::field::Reserved;
use crate::numbers::{DType, Layout, ScalePolicy, SectionFlags};

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

    /// As it is on the wire, but for the tiles: they stay where they are until the section is written.
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
        let payload_bytes = field_u32(self.payload_bytes(), "payload_bytes")?;
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
            payload_bytes,
            payload_stride_bytes: self.stride_bytes,
            reserved: Reserved(0),
        };
        Ok(Section {
            descriptor,
            codec_table,
            length_table: length_table.freeze(),
            payload: self.payload(),
        })
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

    fn payload_bytes(&self) -> u64 {
        match u64::from(self.stride_bytes) {
            0 => self.tiles.iter().map(|tile| tile.len() as u64).sum(),
            stride => stride.saturating_mul(self.tiles.len() as u64),
        }
    }

    /// Without a list if one tile is all there is.
    fn payload(&self) -> TilePayloads {
        match self.tiles {
            [tile] if self.stride_bytes == 0 => TilePayloads::Stored(tile.clone()),
            tiles => TilePayloads::Each(tiles.to_vec()),
        }
    }
}
