//! Tiles of a host as tile ids and sections. spec: nnrp-session 7.1, 7.2

use bytes::Bytes;

use super::ReplayError;
use crate::body::{Section, TensorSection};
use crate::error::WireError;
use crate::numbers::DType;

/// How a tile's payload is compressed already; nothing is compressed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum ReplayCodec {
    /// It is not.
    #[default]
    None = 0,
    /// LZ4.
    Lz4 = 1,
}

impl ReplayCodec {
    /// By its name, in any case: `none` or nothing, `lz4`.
    ///
    /// # Errors
    /// [`ReplayError::UnknownCodec`].
    pub fn from_name(name: &str) -> Result<Self, ReplayError> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "none" => Ok(Self::None),
            "lz4" => Ok(Self::Lz4),
            _ => Err(ReplayError::UnknownCodec(name.to_owned())),
        }
    }
}

/// How many tiles stand side by side; at least one.
pub(super) fn columns(src_width: u32, tile_size: u32) -> Result<u32, ReplayError> {
    if tile_size == 0 {
        return Err(ReplayError::NoTileSize);
    }
    Ok(src_width.div_ceil(tile_size).max(1))
}

/// Row by row.
pub(super) fn tile_id(x: u32, y: u32, columns: u32) -> Result<u16, ReplayError> {
    let id = u64::from(y) * u64::from(columns) + u64::from(x);
    u16::try_from(id).map_err(|_| ReplayError::TileIdTooLarge(id))
}

/// The most frequent codec, the earliest of several; `None` without any.
pub(super) fn most_frequent(codecs: impl Iterator<Item = ReplayCodec>) -> ReplayCodec {
    let mut counts: Vec<(ReplayCodec, usize)> = Vec::new();
    for codec in codecs {
        match counts.iter_mut().find(|(counted, _)| *counted == codec) {
            Some((_, count)) => *count += 1,
            None => counts.push((codec, 1)),
        }
    }
    // Of equal ones, `max_by_key` takes the last.
    let most = counts.into_iter().rev().max_by_key(|(_, count)| *count);
    most.map_or(ReplayCodec::None, |(codec, _)| codec)
}

/// A section for one field of all tiles; `None` if no tile has it.
pub(super) fn section(
    role_id: u16,
    dtype: DType,
    default: ReplayCodec,
    tiles: &[(Bytes, ReplayCodec)],
) -> Result<Option<Section>, WireError> {
    if tiles.iter().all(|(payload, _)| payload.is_empty()) {
        return Ok(None);
    }
    let payloads: Vec<Bytes> = tiles.iter().map(|(payload, _)| payload.clone()).collect();
    let codecs = tiles.iter().map(|(_, codec)| *codec as u8).collect();
    let section = TensorSection {
        codec_id: default as u8,
        codecs: Some(codecs),
        ..TensorSection::new(role_id, dtype, &payloads)
    };
    section.encode().map(Some)
}
