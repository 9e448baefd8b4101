//! Why a host's object is no packet.

use thiserror::Error;

use super::CameraError;
use crate::error::WireError;
use crate::numbers::MessageType;

/// Why a frame or result cannot be exported, or a packet not be summarised.
///
/// Where the reference has a text of its own for it, the text is the same.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// A tile is compressed with something that has no number.
    #[error("unsupported replay codec/compression name: {0}")]
    UnknownCodec(String),
    /// Something must be there.
    #[error("object {object} is missing required field '{field}'")]
    MissingField {
        /// What lacks it.
        object: &'static str,
        /// What it lacks.
        field: &'static str,
    },
    /// Something is not what it must be.
    #[error("field '{field}' must be {expected}")]
    WrongField {
        /// Which.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// Tiles need a size.
    #[error("tile_size must be positive")]
    NoTileSize,
    /// A tile stands too far out.
    #[error("tile ids must fit into u16: {0}")]
    TileIdTooLarge(u64),
    /// A result has a tile twice.
    #[error("duplicate replay tile id: {0}")]
    DuplicateTile(u16),
    /// A tile was requested twice.
    #[error("requested_tile_ids must not contain duplicates")]
    DuplicateRequest,
    /// These tiles were delivered, but not requested.
    #[error("requested_tile_ids must contain every delivered tile id: missing {0:?}")]
    NotRequested(Vec<u16>),
    /// Tiles were dropped, but which is not known.
    #[error(
        "partial replay export requires requested_tile_ids to describe dropped tiles: expected at least {expected} tile ids, got {found}"
    )]
    DroppedUnknown {
        /// Covered and dropped tiles.
        expected: u32,
        /// Tiles whose id is known.
        found: usize,
    },
    /// More tiles were dropped than there are.
    #[error("dropped_tile_count must not exceed tile_count: {dropped} > {tiles}")]
    TooManyDropped {
        /// Dropped tiles.
        dropped: u64,
        /// Tiles.
        tiles: u64,
    },
    /// Not each tile is either covered or dropped.
    #[error(
        "covered_tile_count + dropped_tile_count must equal tile_count: {covered} + {dropped} != {tiles}"
    )]
    Coverage {
        /// Covered tiles.
        covered: u64,
        /// Dropped tiles.
        dropped: u64,
        /// Tiles.
        tiles: u64,
    },
    /// No client of the reference can read such a result (Q15 of nnrp-wire).
    #[error(
        "a tensor result with references is read by no client of the reference: allow composed_tensor_results, or send the objects inline"
    )]
    ReferencesInResult,
    /// Only frames and results are replayed.
    #[error("only FRAME_SUBMIT and RESULT_PUSH have a summary, not {}", .0.name())]
    NoSummary(MessageType),
    /// The camera.
    #[error(transparent)]
    Camera(#[from] CameraError),
    /// Any other rule of the wire.
    #[error(transparent)]
    Wire(#[from] WireError),
}
