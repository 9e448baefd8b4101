//! A tile index and sections, wherever they stand. spec: nnrp-wire 5.1

use bytes::Bytes;

use super::flat::{decode_tensor, write_tensor};
use super::{Section, View};
use crate::error::WireError;
use crate::rules::Rules;

/// A tile index, not read, and sections: the tensor part of a flat body, or a section table, which has no index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorBody {
    /// As it came; [`TileIndex::decode`](super::TileIndex::decode) reads it.
    pub tile_index: Bytes,
    /// In the order of their roles.
    pub sections: Vec<Section>,
}

impl TensorBody {
    /// Reads what is all of `bytes`. Without a number of tiles, each section may have its own.
    ///
    /// # Errors
    /// The first check that fails, in the specification's order; offsets count from the first byte.
    pub fn decode(
        bytes: &Bytes,
        tile_index_bytes: u32,
        section_count: u16,
        tile_count: Option<u16>,
        rules: &Rules,
    ) -> Result<Self, WireError> {
        let view = View::new(bytes, 0);
        let (tile_index, sections) =
            decode_tensor(&view, tile_index_bytes, section_count, tile_count, rules)?;
        Ok(Self {
            tile_index: tile_index.to_bytes(),
            sections,
        })
    }

    /// Appends the bytes on the wire, paddings counted from the first of them.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write_tensor(&self.tile_index, &self.sections, out);
    }
}
