//! FRAME_SUBMIT. spec: nnrp-wire 7.5

use super::content::{Content, about};
use super::tensor::{EncodedTensor, TensorInput};
use crate::body::{
    ComposedBody, ExtensionFrame, InlineObject, ObjectReference, TypedPayload, field_u32,
};
use crate::error::{Category, WireError};
use crate::field::Reserved;
use crate::message::{FrameSubmit, SubmitBody, check_frame_submit};
use crate::metadata::FrameSubmitMetadata;
use crate::numbers::{
    BudgetPolicy, FrameClass, FrameLossTolerance, LossTolerance, PayloadKinds, SubmitMode,
};
use crate::rules::Rules;

/// How a frame is to be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubmitOptions {
    /// What the frame is among others; a key frame unless set.
    pub frame_class: FrameClass,
    /// How long it may take, in ms.
    pub latency_budget_ms: u16,
    /// Frames per second, times 100.
    pub target_fps_x100: u16,
    /// The frame that this one repeats; 0 is none.
    pub retry_of_frame: u32,
    /// What may be done when it is too much; nothing unless set.
    pub budget_policy: BudgetPolicy,
    /// The frame that this one builds on; 0 is none.
    pub dependency_frame_id: u32,
    /// How much may be lost; what the session has unless set.
    pub loss_tolerance: Option<LossTolerance>,
}

impl Default for SubmitOptions {
    fn default() -> Self {
        Self {
            frame_class: FrameClass::Keyframe,
            latency_budget_ms: 0,
            target_fps_x100: 0,
            retry_of_frame: 0,
            budget_policy: BudgetPolicy::empty(),
            dependency_frame_id: 0,
            loss_tolerance: None,
        }
    }
}

/// Puts a FRAME_SUBMIT together; see [`FrameSubmit::builder`].
#[derive(Debug, Clone, Default)]
#[must_use = "nothing is built yet"]
pub struct SubmitBuilder<'t> {
    tensor: Option<TensorInput<'t>>,
    content: Content,
    expected: Option<SubmitMode>,
    options: SubmitOptions,
}

impl FrameSubmit {
    /// Begins a FRAME_SUBMIT, of a tensor, typed payloads, or both.
    ///
    /// What is referenced is not sent. So the submit's mode follows: everything inline without a reference, everything by
    /// reference if nothing of a tensor is left to be sent, mixed otherwise.
    pub fn builder<'t>() -> SubmitBuilder<'t> {
        SubmitBuilder::default()
    }
}

impl<'t> SubmitBuilder<'t> {
    /// Declares a tensor. Tile ids and sections are needed for their numbers even if they are referenced.
    pub fn tensor(mut self, tensor: TensorInput<'t>) -> Self {
        self.tensor = Some(tensor);
        self
    }

    /// Adds a payload.
    pub fn payload(mut self, payload: TypedPayload) -> Self {
        self.content.payloads.push(payload);
        self
    }

    /// Adds payloads, at least one.
    pub fn payloads(mut self, payloads: impl IntoIterator<Item = TypedPayload>) -> Self {
        self.content.payloads.extend(payloads);
        self.content.is_payload_wanted = true;
        self
    }

    /// Says that the receiver has one of the four standard objects: camera, tile index, section table, payload layout
    /// template.
    pub fn reference(mut self, reference: ObjectReference) -> Self {
        self.content.references.push(reference);
        self
    }

    /// Adds an object that no tensor has, a payload layout template for instance.
    pub fn object(mut self, object: InlineObject) -> Self {
        self.content.objects.push(object);
        self
    }

    /// Adds an extension frame.
    pub fn extension(mut self, frame: ExtensionFrame) -> Self {
        self.content.extensions.push(frame);
        self
    }

    /// Declares kinds of payloads that do not occur; `TENSOR` follows from the tensor alone.
    pub fn declare(mut self, kinds: PayloadKinds) -> Self {
        self.content.declared |= kinds;
        self
    }

    /// Refuses to build if the mode would be another one: with `REFERENCE`, if anything would have to be sent.
    pub fn expect_mode(mut self, mode: SubmitMode) -> Self {
        self.expected = Some(mode);
        self
    }

    /// How the frame is to be treated.
    pub fn options(mut self, options: SubmitOptions) -> Self {
        self.options = options;
        self
    }

    /// Puts it together.
    ///
    /// # Errors
    /// In this order:
    /// - [`Category::NoFrames`]: there should be payloads.
    /// - [`Category::WrongKind`]: a reference to an object without a slot, or an object that belongs to a tensor;
    ///   [`Category::DuplicateObject`]: an object is there twice.
    /// - [`Category::InlineModeWithReferences`], [`Category::ReferenceMissing`], [`Category::ReferenceMaskMissing`]: the mode
    ///   is not the expected one.
    /// - [`Category::NoFrames`]: there is nothing to send (Q14); [`Category::NoTensorContent`]: a tensor of nothing beside
    ///   payloads; [`Category::TensorContentWithoutTensor`]: a reference to a part of no tensor.
    /// - What is wrong with sections and tile ids: [`Category::SectionRoleOrder`],
    ///   [`Category::SectionTileCountMismatch`], those of [`TensorSection::encode`](crate::body::TensorSection::encode) and
    ///   [`TileIndex::encode`](crate::body::TileIndex::encode).
    /// - [`Category::TensorInTypedFrame`], [`Category::UnknownFlagBits`], [`Category::ValueOutOfRange`].
    pub fn build(mut self) -> Result<FrameSubmit, WireError> {
        self.content.check_payloads()?;
        self.content.sort_references()?;
        self.check_references()?;
        self.content.check_objects()?;
        self.check_expected()?;
        self.check_content()?;
        let tensor = match &self.tensor {
            None => None,
            Some(input) => {
                let camera = input.camera.clone();
                Some(EncodedTensor::new(camera, &input.tiles, input.sections)?)
            }
        };
        let mut metadata = self.metadata(tensor.as_ref());
        let typed = self.content.take_payloads()?;
        metadata.payload_frame_count = typed.count();
        let expected = self.expected;
        let body = match tensor {
            Some(tensor) if !metadata.has_composed_body() => {
                self.content.check_flat()?;
                metadata.camera_bytes = field_u32(tensor.camera.len() as u64, "camera_bytes")?;
                metadata.tile_index_bytes = tensor.index_bytes()?;
                SubmitBody::Flat(tensor.into_flat())
            }
            tensor => {
                let references = &self.content.references;
                let inlined = tensor.map(|tensor| tensor.into_inline(references));
                let inlined = inlined.unwrap_or_default();
                metadata.camera_bytes = field_u32(inlined.camera_bytes(), "camera_bytes")?;
                metadata.tile_index_bytes = field_u32(inlined.index_bytes(), "tile_index_bytes")?;
                let composed = self.content.into_composed(typed, inlined)?;
                metadata.submit_mode = mode_of(composed.body());
                SubmitBody::Composed(composed)
            }
        };
        check_mode(expected, metadata.submit_mode)?;
        let submit = FrameSubmit { metadata, body };
        let checked = check_frame_submit(&submit, &Rules::STRICT);
        checked.map_err(WireError::unplaced).map(|()| submit)
    }

    /// One for each slot at most; they are sorted by now.
    fn check_references(&self) -> Result<(), WireError> {
        let references = &self.content.references;
        let has_no_slot = |reference: &&ObjectReference| reference.kind.slot().is_none();
        if let Some(reference) = references.iter().find(has_no_slot) {
            return Err(about(Category::WrongKind, reference.kind));
        }
        let mut pairs = references.windows(2);
        match pairs.find(|pair| pair[0].kind == pair[1].kind) {
            None => Ok(()),
            Some(pair) => Err(about(Category::DuplicateObject, pair[0].kind)),
        }
    }

    /// What of the expected mode shows before anything is encoded.
    fn check_expected(&self) -> Result<(), WireError> {
        let is_inline = self.content.references.is_empty();
        let category = match (self.expected, is_inline) {
            (Some(SubmitMode::Inline), false) => Category::InlineModeWithReferences,
            (Some(SubmitMode::Reference), true) => Category::ReferenceMissing,
            (Some(SubmitMode::Mixed), true) => Category::ReferenceMaskMissing,
            (Some(SubmitMode::Inline), true)
            | (Some(SubmitMode::Reference | SubmitMode::Mixed), false)
            | (None, _) => return Ok(()),
        };
        let found = self.content.references.len() as u64;
        Err(WireError::new(category, "object references").found(found))
    }

    fn check_content(&self) -> Result<(), WireError> {
        let Content {
            payloads,
            references,
            ..
        } = &self.content;
        let Some(tensor) = &self.tensor else {
            self.content.check_without_tensor()?;
            return match payloads.len() {
                0 => Err(WireError::new(Category::NoFrames, "payloads").found(0)),
                _ => Ok(()),
            };
        };
        let is_empty = tensor.camera.is_empty()
            && tensor.tiles.ids.is_empty()
            && tensor.sections.is_empty()
            && references.is_empty();
        if is_empty && !payloads.is_empty() {
            return Err(WireError::new(Category::NoTensorContent, "tensor").found(0));
        }
        Ok(())
    }

    /// All that does not depend on what is inline.
    fn metadata(&self, tensor: Option<&EncodedTensor>) -> FrameSubmitMetadata {
        let nothing = TensorInput::default();
        let input = self.tensor.as_ref().unwrap_or(&nothing);
        let options = &self.options;
        let references = self.content.references.iter();
        let slots = references.filter_map(|reference| reference.kind.slot());
        FrameSubmitMetadata {
            src_width: input.src_width,
            src_height: input.src_height,
            tile_width: input.tile_width,
            tile_height: input.tile_height,
            tile_count: tensor.map_or(0, |tensor| tensor.tile_index.count()),
            section_count: tensor.map_or(0, |tensor| tensor.section_count),
            frame_class: options.frame_class.into(),
            input_profile: input.input_profile,
            tile_index_mode: input.tiles.mode,
            reserved0: Reserved(0),
            latency_budget_ms: options.latency_budget_ms,
            target_fps_x100: options.target_fps_x100,
            retry_of_frame: options.retry_of_frame,
            tile_base_id: input.tiles.base_id,
            camera_bytes: 0,
            tile_index_bytes: 0,
            reserved1: Reserved(0),
            reserved2: Reserved(0),
            submit_mode: SubmitMode::Inline,
            budget_policy: options.budget_policy,
            loss_tolerance_policy: FrameLossTolerance(options.loss_tolerance),
            reserved3: Reserved(0),
            object_ref_mask: slots.fold(0, |mask, slot| mask | slot),
            dependency_frame_id: options.dependency_frame_id,
            payload_kind_bitmap: self.content.kinds(tensor.is_some()),
            payload_frame_count: 0,
            reserved4: Reserved(0),
        }
    }
}

/// The mode that follows from a body. spec: nnrp-wire 6.3
fn mode_of(body: &ComposedBody) -> SubmitMode {
    if body.references.is_empty() {
        return SubmitMode::Inline;
    }
    let mut objects = body.inline_objects.iter();
    if objects.any(|object| object.kind.slot().is_some()) {
        SubmitMode::Mixed
    } else {
        SubmitMode::Reference
    }
}

fn check_mode(expected: Option<SubmitMode>, mode: SubmitMode) -> Result<(), WireError> {
    if expected.is_none_or(|expected| expected == mode) {
        return Ok(());
    }
    let category = match mode {
        // Something is left to be sent.
        SubmitMode::Mixed => Category::ReferenceMissing,
        // Nothing is.
        SubmitMode::Reference | SubmitMode::Inline => Category::RequiredObjectMissing,
    };
    Err(WireError::new(category, "submit_mode").found(mode.number().into()))
}
