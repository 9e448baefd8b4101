//! RESULT_PUSH. spec: nnrp-wire 3.3, 7.6

use super::content::Content;
use super::tensor::{EncodedTensor, TensorOutput};
use crate::body::{ExtensionFrame, InlineObject, ObjectReference, TypedPayload, field_u32};
use crate::error::{Category, WireError};
use crate::field::Reserved;
use crate::message::{ResultBody, ResultPush, check_result_push};
use crate::metadata::ResultPushMetadata;
use crate::numbers::{BudgetPolicy, PayloadKinds, ResultClass, ResultFlags, TileIndexMode};
use crate::rules::Rules;

/// How a result came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResultOptions {
    /// 0 is success.
    pub status_code: u16,
    /// The profile it was made with.
    pub active_profile_id: u16,
    /// How long the computation took, in ms.
    pub inference_ms: u16,
    /// How long the frame waited, in ms.
    pub queue_ms: u16,
    /// How long all of it took, in ms.
    pub server_total_ms: u16,
}

/// What a result is worth. The constants set class, flags and policy as they belong together. spec: nnrp-wire 3.3
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultWorth {
    /// What it is.
    pub class: ResultClass,
    /// What it is, in bits.
    pub flags: ResultFlags,
    /// What was made use of.
    pub applied_policy: BudgetPolicy,
    /// The frame whose result it is, for one that is reused; 0 otherwise.
    pub reused_frame_id: u32,
}

impl ResultWorth {
    /// All that was asked for.
    pub const COMPLETE: Self = Self::of(
        ResultClass::Complete,
        ResultFlags::empty(),
        BudgetPolicy::empty(),
    );
    /// Some of it: there are dropped tiles.
    pub const PARTIAL: Self = Self::of(
        ResultClass::Partial,
        ResultFlags::PARTIAL,
        BudgetPolicy::ALLOW_PARTIAL,
    );
    /// In lower quality.
    pub const DEGRADED: Self = Self::of(
        ResultClass::Degraded,
        ResultFlags::FALLBACK,
        BudgetPolicy::ALLOW_DEGRADED,
    );

    /// The result of an earlier frame.
    #[must_use]
    pub const fn stale_reuse(reused_frame_id: u32) -> Self {
        Self {
            reused_frame_id,
            ..Self::of(
                ResultClass::StaleReuse,
                ResultFlags::STALE,
                BudgetPolicy::ALLOW_STALE_REUSE,
            )
        }
    }

    const fn of(class: ResultClass, flags: ResultFlags, applied_policy: BudgetPolicy) -> Self {
        Self {
            class,
            flags,
            applied_policy,
            reused_frame_id: 0,
        }
    }
}

/// Puts a RESULT_PUSH together; see [`ResultPush::builder`].
#[derive(Debug, Clone)]
#[must_use = "nothing is built yet"]
pub struct ResultBuilder<'t> {
    tensor: Option<TensorOutput<'t>>,
    content: Content,
    worth: ResultWorth,
    options: ResultOptions,
}

impl ResultPush {
    /// Begins a RESULT_PUSH of this worth: of a tensor, typed payloads, both, or nothing.
    ///
    /// ```
    /// use nnrp_wire::ResultPush;
    /// use nnrp_wire::body::TypedPayload;
    /// use nnrp_wire::build::ResultWorth;
    ///
    /// let result = ResultPush::builder(ResultWorth::COMPLETE)
    ///     .payload(TypedPayload::token_chunk("hi"))
    ///     .build()?;
    /// assert_eq!(result.metadata.payload_frame_count, 1);
    /// # Ok::<(), nnrp_wire::WireError>(())
    /// ```
    pub fn builder<'t>(worth: ResultWorth) -> ResultBuilder<'t> {
        ResultBuilder {
            tensor: None,
            content: Content::default(),
            worth,
            options: ResultOptions::default(),
        }
    }
}

impl<'t> ResultBuilder<'t> {
    /// Declares a tensor.
    pub fn tensor(mut self, tensor: TensorOutput<'t>) -> Self {
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

    /// Says that the receiver has an object, of any kind. Readers take a result of a tensor alone for one without
    /// references, so that there must be a payload too (Q15).
    pub fn reference(mut self, reference: ObjectReference) -> Self {
        self.content.references.push(reference);
        self
    }

    /// Adds an object that no tensor has. As with references, there must be a payload too.
    pub fn object(mut self, object: InlineObject) -> Self {
        self.content.objects.push(object);
        self
    }

    /// Adds an extension frame. As with references, there must be a payload too.
    pub fn extension(mut self, frame: ExtensionFrame) -> Self {
        self.content.extensions.push(frame);
        self
    }

    /// Declares kinds of payloads that do not occur; `TENSOR` follows from the tensor alone.
    pub fn declare(mut self, kinds: PayloadKinds) -> Self {
        self.content.declared |= kinds;
        self
    }

    /// How it came to be.
    pub fn options(mut self, options: ResultOptions) -> Self {
        self.options = options;
        self
    }

    /// Puts it together.
    ///
    /// # Errors
    /// In this order:
    /// - [`Category::NoFrames`]: there should be payloads.
    /// - [`Category::DuplicateObject`], [`Category::WrongKind`]: an object is there twice, or belongs to a tensor.
    /// - [`Category::UnsupportedTileIndexMode`]; [`Category::NoTensorContent`]: a tensor of nothing beside payloads;
    ///   [`Category::TensorContentWithoutTensor`]: a reference to a part of no tensor.
    /// - [`Category::CoverageMismatch`]: more dropped tiles than tiles.
    /// - What is wrong with sections and tile ids, as with [`SubmitBuilder::build`](super::SubmitBuilder::build).
    /// - [`Category::TensorInTypedFrame`]; [`Category::NoFrames`]: references or objects beside a tensor alone (Q15).
    /// - [`Category::UnknownFlagBits`]; [`Category::PartialWithoutDrop`]; [`Category::RequiredValueMissing`]: a result is
    ///   reused, but not said of which frame (Q12); [`Category::ValueOutOfRange`].
    pub fn build(mut self) -> Result<ResultPush, WireError> {
        self.content.check_payloads()?;
        self.content.sort_references()?;
        self.content.check_objects()?;
        self.check_tensor()?;
        let tensor = match &self.tensor {
            None => None,
            Some(output) => Some(encode(output)?),
        };
        let mut metadata = self.metadata(tensor.as_ref());
        let typed = self.content.take_payloads()?;
        metadata.payload_frame_count = typed.count();
        let body = match tensor {
            Some(tensor) if !metadata.has_composed_body() => {
                self.content.check_flat()?;
                metadata.tile_index_bytes = tensor.index_bytes()?;
                ResultBody::Flat(tensor.into_flat())
            }
            None if typed.is_empty() && self.content.is_bare() => ResultBody::Empty,
            None if !metadata.has_composed_body() => return Err(self.content.without_frames()),
            tensor => {
                let references = &self.content.references;
                let inlined = tensor.map(|tensor| tensor.into_inline(references));
                let inlined = inlined.unwrap_or_default();
                metadata.tile_index_bytes = field_u32(inlined.index_bytes(), "tile_index_bytes")?;
                ResultBody::Composed(self.content.into_composed(typed, inlined)?)
            }
        };
        let result = ResultPush { metadata, body };
        let checked = check_result_push(&result, &Rules::STRICT);
        checked.map_err(WireError::unplaced).map(|()| result)
    }

    fn check_tensor(&self) -> Result<(), WireError> {
        let Some(output) = &self.tensor else {
            return self.content.check_without_tensor();
        };
        let mode = output.tiles.mode;
        if matches!(mode, TileIndexMode::DeltaU16 | TileIndexMode::Bitset) {
            let error = WireError::new(Category::UnsupportedTileIndexMode, "tile_index_mode");
            return Err(error.found(mode.number().into()));
        }
        let is_empty = output.tiles.ids.is_empty()
            && output.sections.is_empty()
            && self.content.references.is_empty();
        if is_empty && !self.content.payloads.is_empty() {
            return Err(WireError::new(Category::NoTensorContent, "tensor").found(0));
        }
        let (tiles, dropped) = (output.tiles.ids.len(), output.dropped_tile_count);
        if usize::from(dropped) > tiles {
            let error = WireError::new(Category::CoverageMismatch, "dropped_tile_count");
            return Err(error.found(dropped.into()).limit(tiles as u64));
        }
        Ok(())
    }

    /// All that does not depend on what is inline.
    fn metadata(&self, tensor: Option<&EncodedTensor>) -> ResultPushMetadata {
        let (worth, options) = (&self.worth, &self.options);
        let output = self.tensor.unwrap_or_default();
        let tile_count = tensor.map_or(0, |tensor| tensor.tile_index.count());
        ResultPushMetadata {
            status_code: options.status_code,
            result_flags: worth.flags,
            section_count: tensor.map_or(0, |tensor| tensor.section_count),
            tile_count,
            active_profile_id: options.active_profile_id,
            reserved0: Reserved(0),
            inference_ms: options.inference_ms,
            queue_ms: options.queue_ms,
            server_total_ms: options.server_total_ms,
            reserved1: Reserved(0),
            tile_base_id: output.tiles.base_id,
            tile_index_bytes: 0,
            reserved2: Reserved(0),
            reserved3: Reserved(0),
            result_class: worth.class,
            applied_budget_policy: worth.applied_policy,
            reserved4: Reserved(0),
            reused_frame_id: worth.reused_frame_id,
            // Not below 0, which was checked.
            covered_tile_count: tile_count.saturating_sub(output.dropped_tile_count),
            dropped_tile_count: output.dropped_tile_count,
            payload_kind_bitmap: self.content.kinds(tensor.is_some()),
            payload_frame_count: 0,
            reserved5: Reserved(0),
        }
    }
}

/// Without tiles, readers take the index for a dense range, for want of bytes.
fn encode(output: &TensorOutput<'_>) -> Result<EncodedTensor, WireError> {
    let mut tiles = output.tiles;
    if tiles.ids.is_empty() {
        tiles.mode = TileIndexMode::DenseRange;
    }
    EncodedTensor::new(bytes::Bytes::new(), &tiles, output.sections)
}
