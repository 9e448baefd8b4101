//! What metadata says of the inline parts of a tensor: steps 9 to 12 for FRAME_SUBMIT, 8 to 11 for RESULT_PUSH.

use super::{CAMERA_BYTES_AT, about, inline_of};
use crate::body::composed::PlacedBody;
use crate::body::flat::{DeclaredTensor, check_built_sections, decode_tensor};
use crate::body::inline_object::Content;
use crate::body::{InlineObject, Section, TileIndex, View};
use crate::error::{Category, WireError};
use crate::metadata::FrameSubmitMetadata;
use crate::numbers::ObjectKind;
use crate::rules::Rules;

/// The tensor part of a composed body, as far as it is inline; empty where it was known before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct InlineTensor {
    pub(crate) tile_index: Option<TileIndex>,
    pub(crate) sections: Option<Vec<Section>>,
}

/// Step 9.
pub(super) fn check_camera(
    metadata: &FrameSubmitMetadata,
    placed: &PlacedBody<'_>,
) -> Result<(), WireError> {
    let camera_bytes = metadata.camera_bytes;
    match Inline::find(placed, ObjectKind::CameraBlock) {
        Some(camera) => camera.check_size(camera_bytes, "camera_bytes", CAMERA_BYTES_AT),
        None if camera_bytes == 0 => Ok(()),
        None => {
            let error = about(Category::RequiredObjectMissing, ObjectKind::CameraBlock);
            let error = error.at(CAMERA_BYTES_AT);
            Err(error.found(u64::from(camera_bytes)).limit(0))
        }
    }
}

/// Steps 10 and 11; 8 and 9 for results.
pub(super) fn check_index(
    inline: Option<Inline<'_>>,
    declared: &DeclaredTensor,
    is_referenced: bool,
    rules: &Rules,
) -> Result<Option<TileIndex>, WireError> {
    let tile_index = match inline {
        Some(inline) => {
            let (bytes, at) = (declared.tile_index_bytes, declared.at.tile_index_bytes);
            inline.check_size(bytes, "tile_index_bytes", at)?;
            match inline.tensor {
                Some(tensor) => {
                    let index = tensor.tile_index.as_ref();
                    index.map_or(Ok(()), |index| declared.check_index(index))?;
                    None
                }
                None => Some(inline.read_index(declared, rules)?),
            }
        }
        None => {
            let at = declared.at.tile_count;
            require(declared.tile_count, at, is_referenced, "tile index")?;
            None
        }
    };
    if is_referenced {
        check_no_index_bytes(declared)?;
    }
    Ok(tile_index)
}

/// Step 12, and 11 for results.
pub(super) fn check_sections(
    inline: Option<Inline<'_>>,
    declared: &DeclaredTensor,
    is_referenced: bool,
    rules: &Rules,
) -> Result<Option<Vec<Section>>, WireError> {
    let DeclaredTensor {
        section_count,
        tile_count,
        ..
    } = *declared;
    let Some(inline) = inline else {
        let at = declared.at.section_count;
        require(section_count, at, is_referenced, "tensor section table")?;
        return Ok(None);
    };
    let known = match (&inline.object.content, inline.tensor) {
        (Content::Sections(sections), _) => Some(sections.as_slice()),
        (Content::Bytes(_), Some(tensor)) => tensor.sections.as_deref(),
        (Content::Bytes(_), None) => None,
    };
    match known {
        Some(sections) => {
            check_built_sections(sections, section_count, tile_count)?;
            Ok(inline.tensor.is_none().then(|| sections.to_vec()))
        }
        None => {
            let payload = inline.object.content();
            let view = View::new(&payload, inline.at);
            let (_, sections) = decode_tensor(&view, 0, section_count, Some(tile_count), rules)?;
            Ok(Some(sections))
        }
    }
}

/// That what the field at this place counts is there.
fn require(
    count: u16,
    at: usize,
    is_referenced: bool,
    what: &'static str,
) -> Result<(), WireError> {
    if count == 0 || is_referenced {
        return Ok(());
    }
    let error = WireError::new(Category::RequiredObjectMissing, what).at(at);
    Err(error.found(u64::from(count)).limit(0))
}

fn check_no_index_bytes(declared: &DeclaredTensor) -> Result<(), WireError> {
    let bytes = declared.tile_index_bytes;
    if bytes == 0 {
        return Ok(());
    }
    let error = WireError::new(Category::TileIndexBytesWithReference, "tile_index_bytes");
    let error = error.at(declared.at.tile_index_bytes);
    Err(error.found(u64::from(bytes)).limit(0))
}

/// An inline object, and where its payload stood.
pub(super) struct Inline<'p> {
    object: &'p InlineObject,
    at: usize,
    /// What it says, if that is known.
    tensor: Option<&'p InlineTensor>,
}

impl<'p> Inline<'p> {
    pub(super) fn find(placed: &PlacedBody<'p>, kind: ObjectKind) -> Option<Self> {
        let place = inline_of(placed, kind).next()?;
        let object = placed.body.inline_objects.get(place)?;
        let at = placed.content_at(place);
        Some(Self {
            object,
            at,
            tensor: placed.tensor,
        })
    }

    fn read_index(&self, declared: &DeclaredTensor, rules: &Rules) -> Result<TileIndex, WireError> {
        let DeclaredTensor {
            tile_index_mode: mode,
            tile_count: count,
            tile_base_id: base_id,
            ..
        } = *declared;
        let payload = self.object.content();
        let view = View::new(&payload, self.at);
        TileIndex::read(&view, mode, count, base_id, rules)
    }

    /// That it is as long as the field at this place says.
    fn check_size(&self, declared: u32, what: &'static str, at: usize) -> Result<(), WireError> {
        let object_bytes = self.object.object_bytes();
        if object_bytes == u64::from(declared) {
            return Ok(());
        }
        let error = WireError::new(Category::ObjectSizeMismatch, what).at(at);
        Err(error.found(u64::from(declared)).limit(object_bytes))
    }
}
