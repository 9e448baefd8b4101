//! Tensors that are to be sent. spec: nnrp-wire 5, 7.5, 7.6

use bytes::Bytes;

use crate::body::{
    FlatBody, InlineObject, InlineTensor, ObjectReference, Section, TensorSection, TileIndex,
    field_u32,
};
use crate::error::{Category, WireError};
use crate::numbers::{InputProfile, ObjectKind, TileIndexMode};

/// Which tiles, and how that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiles<'t> {
    /// The ids; none unless set.
    pub ids: &'t [u16],
    /// How they are written; `RAW_U16` unless set.
    pub mode: TileIndexMode,
    /// The first id of a dense range; carried in other modes, 0 unless set.
    pub base_id: u32,
}

impl Default for Tiles<'_> {
    fn default() -> Self {
        Self::raw(&[])
    }
}

impl<'t> Tiles<'t> {
    /// Ids in any order.
    #[must_use]
    pub const fn raw(ids: &'t [u16]) -> Self {
        Self::new(ids, TileIndexMode::RawU16)
    }

    /// Increasing ids, written as differences; for submits only.
    #[must_use]
    pub const fn delta(ids: &'t [u16]) -> Self {
        Self::new(ids, TileIndexMode::DeltaU16)
    }

    /// Increasing ids, written as bits; for submits only.
    #[must_use]
    pub const fn bitset(ids: &'t [u16]) -> Self {
        Self::new(ids, TileIndexMode::Bitset)
    }

    /// Ids without a gap, which need not be written.
    #[must_use]
    pub fn range(ids: &'t [u16]) -> Self {
        Self {
            base_id: ids.first().copied().unwrap_or(0).into(),
            ..Self::new(ids, TileIndexMode::DenseRange)
        }
    }

    const fn new(ids: &'t [u16], mode: TileIndexMode) -> Self {
        Self {
            ids,
            mode,
            base_id: 0,
        }
    }
}

/// The tensor of a submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInput<'t> {
    /// In pixels.
    pub src_width: u16,
    /// In pixels.
    pub src_height: u16,
    /// In pixels.
    pub tile_width: u16,
    /// In pixels.
    pub tile_height: u16,
    /// What the input is; unspecified unless set.
    pub input_profile: InputProfile,
    /// The camera block; none unless set. Multiples of 8 bytes suit every reader (Q25).
    pub camera: Bytes,
    /// Which tiles.
    pub tiles: Tiles<'t>,
    /// A payload for each tile, in the order of the roles.
    pub sections: &'t [TensorSection<'t>],
}

impl Default for TensorInput<'_> {
    /// Zeros, and no content.
    fn default() -> Self {
        Self {
            src_width: 0,
            src_height: 0,
            tile_width: 0,
            tile_height: 0,
            input_profile: InputProfile::Unspecified,
            camera: Bytes::new(),
            tiles: Tiles::default(),
            sections: &[],
        }
    }
}

/// The tensor of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TensorOutput<'t> {
    /// All tiles that were asked for; `RAW_U16` or `DENSE_RANGE`.
    pub tiles: Tiles<'t>,
    /// A payload for each of them, in the order of the roles; an empty one for a dropped tile.
    pub sections: &'t [TensorSection<'t>],
    /// How many of them have no result; the others are covered. 0 unless set.
    pub dropped_tile_count: u16,
}

/// A tensor as it is on the wire.
#[derive(Debug)]
pub(super) struct EncodedTensor {
    pub(super) camera: Bytes,
    pub(super) tile_index: TileIndex,
    pub(super) sections: Vec<Section>,
    pub(super) section_count: u16,
}

impl EncodedTensor {
    /// Roles, payloads for each tile, sections, tile ids: checked in this order.
    pub(super) fn new(
        camera: Bytes,
        tiles: &Tiles<'_>,
        sections: &[TensorSection<'_>],
    ) -> Result<Self, WireError> {
        check_sections(sections, tiles.ids.len())?;
        // Roles increase, so that there are 65536 at most.
        let section_count = u16::try_from(sections.len()).map_err(|_| {
            let error = WireError::new(Category::ValueOutOfRange, "section_count");
            error.found(sections.len() as u64).limit(u16::MAX.into())
        })?;
        let encoded: Result<_, _> = sections.iter().map(TensorSection::encode).collect();
        Ok(Self {
            camera,
            sections: encoded?,
            tile_index: TileIndex::encode(tiles.ids, tiles.mode, tiles.base_id)?,
            section_count,
        })
    }

    pub(super) fn index_bytes(&self) -> Result<u32, WireError> {
        field_u32(self.tile_index.as_bytes().len() as u64, "tile_index_bytes")
    }

    pub(super) fn into_flat(self) -> FlatBody {
        FlatBody {
            camera: self.camera,
            tile_index: self.tile_index,
            sections: self.sections,
        }
    }

    /// Leaves out what comes by reference; the counts stay. spec: nnrp-wire 6.3
    pub(super) fn into_inline(self, references: &[ObjectReference]) -> Inlined {
        let is_inline = |kind| !references.iter().any(|reference| reference.kind == kind);
        let has_tiles = self.tile_index.count() > 0;
        let (has_camera, has_sections) = (!self.camera.is_empty(), self.section_count > 0);
        let camera = is_inline(ObjectKind::CameraBlock) && has_camera;
        let index = is_inline(ObjectKind::TileIndexBlock) && has_tiles;
        let sections = is_inline(ObjectKind::TensorSectionTable) && has_sections;
        Inlined {
            camera: camera.then_some(self.camera),
            tensor: InlineTensor {
                tile_index: index.then_some(self.tile_index),
                sections: sections.then_some(self.sections),
            },
        }
    }
}

/// What of a tensor is sent along in a composed body.
#[derive(Debug, Default)]
pub(super) struct Inlined {
    camera: Option<Bytes>,
    pub(super) tensor: InlineTensor,
}

impl Inlined {
    pub(super) fn camera_bytes(&self) -> u64 {
        self.camera.as_ref().map_or(0, |camera| camera.len() as u64)
    }

    pub(super) fn index_bytes(&self) -> u64 {
        let index = self.tensor.tile_index.as_ref();
        index.map_or(0, |index| index.as_bytes().len() as u64)
    }

    /// The standard objects, then others, by kind. A dense range has an empty tile index (Q32).
    pub(super) fn objects(&self, others: Vec<InlineObject>) -> Vec<InlineObject> {
        let camera = self.camera.clone().map(InlineObject::camera);
        let index = self.tensor.tile_index.as_ref();
        let sections = self.tensor.sections.clone();
        let mut objects = others;
        objects.extend(camera);
        objects.extend(index.map(InlineObject::tile_index));
        objects.extend(sections.map(InlineObject::section_table));
        objects.sort_by_key(|object| object.kind);
        objects
    }
}

fn check_sections(sections: &[TensorSection<'_>], tiles: usize) -> Result<(), WireError> {
    if let Some(pair) = sections
        .windows(2)
        .find(|pair| pair[0].role_id >= pair[1].role_id)
    {
        let error = WireError::new(Category::SectionRoleOrder, "role_id");
        return Err(error
            .found(pair[1].role_id.into())
            .limit(pair[0].role_id.into()));
    }
    match sections.iter().find(|section| section.tiles.len() != tiles) {
        None => Ok(()),
        Some(section) => {
            let error = WireError::new(Category::SectionTileCountMismatch, "tiles");
            Err(error.found(section.tiles.len() as u64).limit(tiles as u64))
        }
    }
}
