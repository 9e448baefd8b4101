//! What metadata says of a composed body. spec: nnrp-wire 4.7
//!
//! The same checks for bodies that were read and bodies that are to be written.

mod inline;

pub(crate) use inline::InlineTensor;
use inline::{Inline, check_camera, check_index, check_sections};

use super::composed::PlacedBody;
use super::{ComposedBody, InlineObject, TypedPayloadDescriptor};
use crate::error::{Category, WireError};
use crate::field::Field;
use crate::header::Header;
use crate::metadata::{FrameSubmitMetadata, ResultPushMetadata};
use crate::numbers::{ObjectKind, ObjectKinds, PayloadKinds, SubmitMode};
use crate::rules::Rules;

/// Steps 1 to 12 for FRAME_SUBMIT.
pub(crate) fn check_submit(
    metadata: &FrameSubmitMetadata,
    placed: &PlacedBody<'_>,
    rules: &Rules,
) -> Result<InlineTensor, WireError> {
    let count = ("payload_frame_count", 68, metadata.payload_frame_count);
    check_payloads(placed, count, metadata.payload_kind_bitmap, rules)?;
    let mask = metadata.object_ref_mask;
    if mask & !SLOTS != 0 {
        let error = WireError::new(Category::UnknownFlagBits, "object_ref_mask").at(MASK_AT);
        return Err(error.found(u64::from(mask)).limit(u64::from(SLOTS)));
    }
    check_inline_mode(metadata, placed)?;
    let ComposedBody {
        inline_objects,
        references,
        ..
    } = placed.body;
    // Most bodies have none, and then most of it cannot fail.
    let has_objects = mask != 0 || !inline_objects.is_empty() || !references.is_empty();
    if has_objects {
        for kind in ObjectKind::SLOTS {
            check_slot(kind, mask, placed)?;
        }
    }
    check_reference_mode(metadata, placed, rules)?;
    let counts = metadata.tile_count | metadata.section_count;
    if !has_objects && counts == 0 && metadata.camera_bytes == 0 {
        return Ok(InlineTensor::default());
    }
    if has_objects {
        check_slot_order(mask, placed)?;
        if !rules.repeated_objects {
            check_no_repetition(placed)?;
        }
    }
    check_camera(metadata, placed)?;
    let tile_index = Inline::find(placed, ObjectKind::TileIndexBlock);
    let is_referenced = mask & slot(ObjectKind::TileIndexBlock) != 0;
    let tile_index = check_index(tile_index, &metadata.into(), is_referenced, rules)?;
    let sections = Inline::find(placed, ObjectKind::TensorSectionTable);
    let is_referenced = mask & slot(ObjectKind::TensorSectionTable) != 0;
    let sections = check_sections(sections, &metadata.into(), is_referenced, rules)?;
    Ok(InlineTensor {
        tile_index,
        sections,
    })
}

/// The coverage rule, then steps 1 to 11 for RESULT_PUSH.
pub(crate) fn check_result(
    metadata: &ResultPushMetadata,
    placed: &PlacedBody<'_>,
    rules: &Rules,
) -> Result<InlineTensor, WireError> {
    let coverage = metadata.check_coverage();
    coverage.map_err(|error| error.moved(Header::BYTES))?;
    let count = ("payload_frame_count", 60, metadata.payload_frame_count);
    check_payloads(placed, count, metadata.payload_kind_bitmap, rules)?;
    check_reference_order(placed)?;
    let kinds = [ObjectKind::TileIndexBlock, ObjectKind::TensorSectionTable];
    for kind in kinds {
        check_single_object(placed, kind)?;
    }
    check_result_object(placed, ObjectKind::TileIndexBlock)?;
    let inline = Inline::find(placed, ObjectKind::TileIndexBlock);
    let is_referenced = references_of(placed, ObjectKind::TileIndexBlock).count() > 0;
    let tile_index = check_index(inline, &metadata.into(), is_referenced, rules)?;
    check_result_object(placed, ObjectKind::TensorSectionTable)?;
    let inline = Inline::find(placed, ObjectKind::TensorSectionTable);
    let is_referenced = references_of(placed, ObjectKind::TensorSectionTable).count() > 0;
    let sections = check_sections(inline, &metadata.into(), is_referenced, rules)?;
    Ok(InlineTensor {
        tile_index,
        sections,
    })
}

const SLOTS: u32 = 0b1111;
/// Where a submit has its mask, and its camera's length.
const MASK_AT: usize = Header::BYTES + 56;
const CAMERA_BYTES_AT: usize = Header::BYTES + 28;

fn slot(kind: ObjectKind) -> u32 {
    kind.slot().unwrap_or(0)
}

fn inline_of(placed: &PlacedBody<'_>, kind: ObjectKind) -> impl Iterator<Item = usize> {
    let objects = placed.body.inline_objects.iter().enumerate();
    objects
        .filter(move |(_, object)| object.kind == kind)
        .map(|(place, _)| place)
}

fn references_of(placed: &PlacedBody<'_>, kind: ObjectKind) -> impl Iterator<Item = usize> {
    let references = placed.body.references.iter().enumerate();
    references
        .filter(move |(_, reference)| reference.kind == kind)
        .map(|(place, _)| place)
}

/// Steps 1 to 3.
fn check_payloads(
    placed: &PlacedBody<'_>,
    (what, at, count): (&'static str, usize, u16),
    declared: PayloadKinds,
    rules: &Rules,
) -> Result<(), WireError> {
    let ComposedBody {
        typed, extensions, ..
    } = placed.body;
    if typed.len() as u64 != u64::from(count) {
        let error = WireError::new(Category::PayloadFrameCountMismatch, what);
        return Err(error
            .at(Header::BYTES + at)
            .found(u64::from(count))
            .limit(typed.len() as u64));
    }
    if count == 0 && typed.region_bytes() > 0 {
        let error = WireError::new(Category::PayloadBytesWithoutFrames, "typed payloads");
        return Err(error
            .at(placed.at.typed)
            .found(typed.region_bytes())
            .limit(0));
    }
    let undeclared =
        |descriptor: &TypedPayloadDescriptor| !declared.contains(descriptor.payload_kind.bit());
    if let Some(place) = typed.descriptors().iter().position(undeclared) {
        let error = WireError::new(Category::PayloadKindUndeclared, "payload_kind");
        let at = placed.at.typed + place * TypedPayloadDescriptor::BYTES;
        let found = typed.descriptors()[place].payload_kind.number();
        return Err(error.at(at).found(found).limit(declared.number()));
    }
    if !rules.extension_bytes && extensions.is_empty() && extensions.region_bytes() > 0 {
        let error = WireError::new(Category::PayloadBytesWithoutFrames, "extension payloads");
        let at = placed.at.extension_payloads;
        return Err(error.at(at).found(extensions.region_bytes()).limit(0));
    }
    Ok(())
}

/// Step 5.
fn check_inline_mode(
    metadata: &FrameSubmitMetadata,
    placed: &PlacedBody<'_>,
) -> Result<(), WireError> {
    if metadata.submit_mode != SubmitMode::Inline {
        return Ok(());
    }
    let references = placed.body.references.len() as u64;
    let mask = u64::from(metadata.object_ref_mask);
    for (what, at, found) in [
        ("object_ref_mask", MASK_AT, mask),
        ("object references", placed.at.references, references),
    ] {
        if found != 0 {
            let error = WireError::new(Category::InlineModeWithReferences, what);
            return Err(error.at(at).found(found).limit(0));
        }
    }
    Ok(())
}

/// Step 6.
fn check_slot(kind: ObjectKind, mask: u32, placed: &PlacedBody<'_>) -> Result<(), WireError> {
    check_single_object(placed, kind)?;
    check_single_reference(placed, kind)?;
    let error = |category, at| Err(about(category, kind).at(at));
    let inline = inline_of(placed, kind).next();
    let reference = references_of(placed, kind).next();
    let is_announced = mask & slot(kind) != 0;
    match (is_announced, inline, reference) {
        (true, Some(place), _) => {
            let at = placed.object_at(place);
            error(Category::ObjectInlineAndReferenced, at)
        }
        (true, None, None) => error(Category::ReferenceMissing, MASK_AT),
        (false, _, Some(place)) => {
            let at = placed.reference_at(place);
            error(Category::ReferenceNotInMask, at)
        }
        (true, None, Some(_)) | (false, _, None) => Ok(()),
    }
}

/// At most one object of a kind.
fn check_single_object(placed: &PlacedBody<'_>, kind: ObjectKind) -> Result<(), WireError> {
    let Some(second) = inline_of(placed, kind).nth(1) else {
        return Ok(());
    };
    let error = WireError::new(Category::DuplicateObject, "inline object");
    let at = placed.object_at(second);
    Err(error.at(at).found(kind.number().into()))
}

/// At most one reference of a kind.
fn check_single_reference(placed: &PlacedBody<'_>, kind: ObjectKind) -> Result<(), WireError> {
    let Some(second) = references_of(placed, kind).nth(1) else {
        return Ok(());
    };
    let error = WireError::new(Category::DuplicateObject, "object reference");
    let at = placed.reference_at(second);
    Err(error.at(at).found(kind.number().into()))
}

/// Step 7. That MIXED and REFERENCE have a reference is the design's rule (Q21).
fn check_reference_mode(
    metadata: &FrameSubmitMetadata,
    placed: &PlacedBody<'_>,
    rules: &Rules,
) -> Result<(), WireError> {
    if metadata.submit_mode == SubmitMode::Reference {
        let has_slot = |object: &InlineObject| object.kind.slot().is_some();
        if let Some(place) = placed.body.inline_objects.iter().position(has_slot) {
            let kind = placed.body.inline_objects[place].kind;
            let error = about(Category::InlineObjectInReferenceMode, kind);
            return Err(error.at(placed.object_at(place)));
        }
    }
    let needs_reference = metadata.submit_mode != SubmitMode::Inline;
    if needs_reference && metadata.object_ref_mask == 0 && !rules.modes_without_reference {
        let error = WireError::new(Category::ReferenceMaskMissing, "object_ref_mask").at(MASK_AT);
        return Err(error.found(0));
    }
    Ok(())
}

/// Step 8.
fn check_slot_order(mask: u32, placed: &PlacedBody<'_>) -> Result<(), WireError> {
    let announced = ObjectKind::SLOTS
        .into_iter()
        .filter(|kind| mask & slot(*kind) != 0);
    let references = placed
        .body
        .references
        .iter()
        .map(|reference| reference.kind);
    if references.clone().eq(announced.clone()) {
        return Ok(());
    }
    let place = references
        .clone()
        .zip(announced.clone())
        .take_while(|(a, b)| a == b)
        .count();
    let at = placed.reference_at(place);
    let error = WireError::new(Category::ReferenceOrder, "object references").at(at);
    Err(match references.clone().nth(place) {
        Some(kind) => error.found(kind.number().into()),
        None => error,
    })
}

/// Step 4 for results.
fn check_reference_order(placed: &PlacedBody<'_>) -> Result<(), WireError> {
    let pairs = placed.body.references.windows(2);
    match pairs.clone().position(|pair| pair[0] >= pair[1]) {
        None => Ok(()),
        Some(place) => {
            let at = placed.reference_at(place + 1);
            let kind = placed.body.references[place + 1].kind;
            Err(about(Category::ReferenceOrder, kind).at(at))
        }
    }
}

/// That kinds without a slot do not repeat either (Q18).
fn check_no_repetition(placed: &PlacedBody<'_>) -> Result<(), WireError> {
    let mut seen = ObjectKinds::empty();
    for object in &placed.body.inline_objects {
        if seen.contains(object.kind.bit()) {
            return check_single_object(placed, object.kind);
        }
        seen |= object.kind.bit();
    }
    Ok(())
}

/// Steps 6, 7 and 10 for results.
fn check_result_object(placed: &PlacedBody<'_>, kind: ObjectKind) -> Result<(), WireError> {
    check_single_reference(placed, kind)?;
    let inline = inline_of(placed, kind).next();
    match inline.filter(|_| references_of(placed, kind).next().is_some()) {
        None => Ok(()),
        Some(place) => {
            let error = about(Category::ObjectInlineAndReferenced, kind);
            Err(error.at(placed.object_at(place)))
        }
    }
}

fn about(category: Category, kind: ObjectKind) -> WireError {
    WireError::new(category, kind.name()).found(kind.number().into())
}
