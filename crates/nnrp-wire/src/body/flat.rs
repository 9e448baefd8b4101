//! Bodies of one tensor. spec: nnrp-wire 4.1, 5.1

use bytes::Bytes;

use super::{Section, TileIndex, View};
use crate::encode::Sink;
use crate::error::{Category, WireError};
use crate::field::align8;
use crate::header::Header;
use crate::metadata::{FrameSubmitMetadata, ResultPushMetadata};
use crate::numbers::TileIndexMode;
use crate::rules::Rules;

/// A camera block, tile ids and sections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlatBody {
    /// The camera; results have none.
    pub camera: Bytes,
    /// Which tiles.
    pub tile_index: TileIndex,
    /// A payload for each tile, section by section.
    pub sections: Vec<Section>,
}

impl FlatBody {
    pub(crate) fn decode_submit(
        metadata: &FrameSubmitMetadata,
        view: &View<'_>,
        rules: &Rules,
    ) -> Result<Self, WireError> {
        let camera_bytes = u64::from(metadata.camera_bytes);
        let camera = match view.part(0..camera_bytes) {
            Some(camera) => camera,
            // The reference takes what there is (Q16).
            None if rules.camera_padding => *view,
            None => {
                let error = view.error(Category::PacketTruncated, "camera block");
                return Err(error.found(view.bytes_u64()).limit(camera_bytes));
            }
        };
        let tensor = view.rest(align8(camera_bytes));
        if !rules.camera_padding {
            let padding = view.rest(camera_bytes);
            let padding = padding.part(0..padding.bytes_u64() - tensor.bytes_u64());
            padding.map_or(Ok(()), |padding| padding.check_zero("camera padding"))?;
        }
        let (tile_index, sections) = decode_tensor(
            &tensor,
            metadata.tile_index_bytes,
            metadata.section_count,
            Some(metadata.tile_count),
            rules,
        )?;
        let tile_index = TileIndex::read(
            &tile_index,
            metadata.tile_index_mode,
            metadata.tile_count,
            metadata.tile_base_id,
            rules,
        )?;
        Ok(Self {
            camera: camera.to_bytes(),
            tile_index,
            sections,
        })
    }

    pub(crate) fn decode_result(
        metadata: &ResultPushMetadata,
        view: &View<'_>,
        rules: &Rules,
    ) -> Result<Self, WireError> {
        let (tile_index, sections) = decode_tensor(
            view,
            metadata.tile_index_bytes,
            metadata.section_count,
            Some(metadata.tile_count),
            rules,
        )?;
        let tile_index = TileIndex::read(
            &tile_index,
            result_index_mode(metadata),
            metadata.tile_count,
            metadata.tile_base_id,
            rules,
        )?;
        Ok(Self {
            camera: Bytes::new(),
            tile_index,
            sections,
        })
    }

    /// That it is what metadata says.
    pub(crate) fn check_declared(&self, declared: &DeclaredTensor) -> Result<(), WireError> {
        check_equal(
            "camera_bytes",
            declared.camera_bytes,
            self.camera.len() as u64,
        )?;
        let index_bytes = self.tile_index.as_bytes().len() as u64;
        check_equal("tile_index_bytes", declared.tile_index_bytes, index_bytes)?;
        declared.check_index(&self.tile_index)?;
        check_built_sections(&self.sections, declared.section_count, declared.tile_count)
    }

    pub(crate) fn wire_bytes(&self) -> u64 {
        align8(self.camera.len() as u64) + tensor_bytes(self.tile_index.as_bytes(), &self.sections)
    }

    pub(crate) fn write(&self, sink: &mut impl Sink) {
        sink.payload(&self.camera);
        sink.pad8(self.camera.len() as u64);
        write_tensor(self.tile_index.as_bytes(), &self.sections, sink);
    }
}

/// What metadata says of a tensor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeclaredTensor {
    pub(super) camera_bytes: u32,
    pub(super) tile_index_bytes: u32,
    pub(super) section_count: u16,
    pub(super) tile_count: u16,
    pub(super) tile_base_id: u32,
    pub(super) tile_index_mode: TileIndexMode,
    /// Where the metadata has them.
    pub(super) at: DeclaredAt,
}

/// Offsets of fields in a packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeclaredAt {
    pub(super) tile_count: usize,
    pub(super) section_count: usize,
    pub(super) tile_index_bytes: usize,
}

impl DeclaredTensor {
    /// That a tile index is the one that metadata announces.
    pub(super) fn check_index(&self, index: &TileIndex) -> Result<(), WireError> {
        check_equal("tile_count", self.tile_count, index.count().into())?;
        check_equal("tile_base_id", self.tile_base_id, index.base_id().into())?;
        let mode = index.mode().number().into();
        check_equal("tile_index_mode", self.tile_index_mode.number(), mode)
    }
}

fn check_equal(what: &'static str, declared: impl Into<u64>, is: u64) -> Result<(), WireError> {
    let declared = declared.into();
    if declared == is {
        return Ok(());
    }
    let error = WireError::new(Category::DeclaredLengthMismatch, what);
    Err(error.found(declared).limit(is))
}

impl From<&FrameSubmitMetadata> for DeclaredTensor {
    fn from(metadata: &FrameSubmitMetadata) -> Self {
        Self {
            camera_bytes: metadata.camera_bytes,
            tile_index_bytes: metadata.tile_index_bytes,
            section_count: metadata.section_count,
            tile_count: metadata.tile_count,
            tile_base_id: metadata.tile_base_id,
            tile_index_mode: metadata.tile_index_mode,
            at: DeclaredAt {
                tile_count: Header::BYTES + 8,
                section_count: Header::BYTES + 10,
                tile_index_bytes: Header::BYTES + 32,
            },
        }
    }
}

impl From<&ResultPushMetadata> for DeclaredTensor {
    fn from(metadata: &ResultPushMetadata) -> Self {
        Self {
            camera_bytes: 0,
            tile_index_bytes: metadata.tile_index_bytes,
            section_count: metadata.section_count,
            tile_count: metadata.tile_count,
            tile_base_id: metadata.tile_base_id,
            tile_index_mode: result_index_mode(metadata),
            at: DeclaredAt {
                tile_count: Header::BYTES + 6,
                section_count: Header::BYTES + 4,
                tile_index_bytes: Header::BYTES + 24,
            },
        }
    }
}

/// Results have no field for it. spec: nnrp-wire 5.2
const fn result_index_mode(metadata: &ResultPushMetadata) -> TileIndexMode {
    match metadata.tile_index_bytes {
        0 => TileIndexMode::DenseRange,
        _ => TileIndexMode::RawU16,
    }
}

/// The tile index and the sections that are all of `view`.
pub(super) fn decode_tensor<'b>(
    view: &View<'b>,
    tile_index_bytes: u32,
    section_count: u16,
    tile_count: Option<u16>,
    rules: &Rules,
) -> Result<(View<'b>, Vec<Section>), WireError> {
    let truncated = |limit| {
        let error = view.error(Category::TensorBodyTruncated, "tensor body");
        error.found(view.bytes_u64()).limit(limit)
    };
    let index_end = u64::from(tile_index_bytes);
    let tile_index = view
        .part(0..index_end)
        .ok_or_else(|| truncated(index_end))?;
    let mut end = index_end;
    // As many as can be there.
    let sections_max = view.len() / super::SectionDescriptor::BYTES;
    let mut sections: Vec<Section> =
        Vec::with_capacity(usize::from(section_count).min(sections_max));
    for _ in 0..section_count {
        let start = align8(end);
        let padding = view.part(end..start).ok_or_else(|| truncated(start))?;
        padding.check_zero("section padding")?;
        let rest = view.rest(start);
        let (section, bytes) = Section::decode(&rest, rules)?;
        check_order(&section, sections.last(), tile_count, Some(rest.at()))?;
        sections.push(section);
        end = start + bytes;
    }
    if end < view.bytes_u64() {
        let error = view.rest(end).error(Category::TrailingBytes, "tensor body");
        return Err(error.found(view.bytes_u64()).limit(end));
    }
    Ok((tile_index, sections))
}

/// A section's role and tiles, behind the one before.
fn check_order(
    section: &Section,
    before: Option<&Section>,
    tile_count: Option<u16>,
    at: Option<usize>,
) -> Result<(), WireError> {
    let error = |category, what, place| {
        let error = WireError::new(category, what);
        at.map_or(error, |at| error.at(at + place))
    };
    let role = section.descriptor().role_id;
    if let Some(before) = before.map(|before| before.descriptor().role_id)
        && role <= before
    {
        let error = error(Category::SectionRoleOrder, "role_id", 0);
        return Err(error.found(u64::from(role)).limit(u64::from(before)));
    }
    let wanted = tile_count.map_or_else(|| section.tile_count(), u64::from);
    if section.tile_count() != wanted {
        let error = error(Category::SectionTileCountMismatch, "length_table_bytes", 16);
        return Err(error.found(section.tile_count()).limit(wanted));
    }
    Ok(())
}

/// That sections that were built are as many as announced, in order, with a payload for each tile.
pub(crate) fn check_built_sections(
    sections: &[Section],
    section_count: u16,
    tile_count: u16,
) -> Result<(), WireError> {
    if sections.len() != usize::from(section_count) {
        let error = WireError::new(Category::DeclaredLengthMismatch, "section_count");
        return Err(error
            .found(u64::from(section_count))
            .limit(sections.len() as u64));
    }
    for (place, section) in sections.iter().enumerate() {
        let before = place.checked_sub(1).and_then(|before| sections.get(before));
        check_order(section, before, Some(tile_count), None)?;
    }
    Ok(())
}

/// Bytes of a tile index and sections.
pub(crate) fn tensor_bytes(tile_index: &Bytes, sections: &[Section]) -> u64 {
    let start = tile_index.len() as u64;
    sections
        .iter()
        .fold(start, |end, section| align8(end) + section.wire_bytes())
}

/// A tile index and sections, paddings counted from its start.
pub(crate) fn write_tensor(tile_index: &Bytes, sections: &[Section], sink: &mut impl Sink) {
    let mut end = tile_index.len() as u64;
    sink.payload(tile_index);
    for section in sections {
        sink.pad8(end);
        section.write(sink);
        end = align8(end) + section.wire_bytes();
    }
}
