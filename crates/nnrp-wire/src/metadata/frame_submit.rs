//! FRAME_SUBMIT. spec: nnrp-wire 3.1

use super::check_bits;
use crate::error::{Category, WireError};
use crate::field::{Field, Reserved, fixed};
use crate::numbers::{
    BudgetPolicy, FrameClassField, FrameLossTolerance, InputProfile, PayloadKinds, SubmitMode,
    TileIndexMode,
};

fixed! {
    /// Input of a frame: what its body holds, and how it is to be treated.
    FrameSubmitMetadata[72] {
        /// In pixels.
        0 src_width: u16,
        /// In pixels.
        2 src_height: u16,
        /// In pixels.
        4 tile_width: u16,
        /// In pixels.
        6 tile_height: u16,
        /// Tiles, whether their index is inline or referenced.
        8 tile_count: u16,
        /// Sections, whether their table is inline or referenced.
        10 section_count: u16,
        /// A [`FrameClass`](crate::FrameClass), or a number that is none.
        12 frame_class: FrameClassField,
        /// What the input is.
        13 input_profile: InputProfile,
        /// How tile ids are written.
        14 tile_index_mode: TileIndexMode,
        /// Zero.
        15 reserved0: Reserved<u8>,
        /// How long the frame may take, in ms.
        16 latency_budget_ms: u16,
        /// Frames per second, times 100.
        18 target_fps_x100: u16,
        /// The frame that this one repeats; 0 is none.
        20 retry_of_frame: u32,
        /// The first tile of a dense range; carried in other modes.
        24 tile_base_id: u32,
        /// Bytes of an inline camera block.
        28 camera_bytes: u32,
        /// Bytes of an inline tile index.
        32 tile_index_bytes: u32,
        /// Zero.
        36 reserved1: Reserved<u64>,
        /// Zero.
        44 reserved2: Reserved<u64>,
        /// Where the standard objects are.
        52 submit_mode: SubmitMode,
        /// What may be done when it is too much.
        53 budget_policy: BudgetPolicy,
        /// How much may be lost.
        54 loss_tolerance_policy: FrameLossTolerance,
        /// Zero.
        55 reserved3: Reserved<u8>,
        /// Which standard objects come by reference; see [`ObjectKind::slot`](crate::ObjectKind::slot).
        56 object_ref_mask: u32,
        /// The frame that this one builds on; 0 is none.
        60 dependency_frame_id: u32,
        /// What the body may hold.
        64 payload_kind_bitmap: PayloadKinds,
        /// Typed payloads.
        68 payload_frame_count: u16,
        /// Zero.
        70 reserved4: Reserved<u16>,
    }
}

impl FrameSubmitMetadata {
    /// No unknown bits, and fields of tensors are zero unless a tensor is declared.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), WireError> {
        check_bits(self.budget_policy, "budget_policy", 53)?;
        check_bits(self.payload_kind_bitmap, "payload_kind_bitmap", 64)?;
        if self.payload_kind_bitmap.contains(PayloadKinds::TENSOR) {
            return Ok(());
        }
        all_zero(|| self.tensor_fields())
    }

    #[inline]
    fn tensor_fields(&self) -> [Placed; 10] {
        [
            ("src_width", 0, self.src_width.number()),
            ("src_height", 2, self.src_height.number()),
            ("tile_width", 4, self.tile_width.number()),
            ("tile_height", 6, self.tile_height.number()),
            ("tile_count", 8, self.tile_count.number()),
            ("section_count", 10, self.section_count.number()),
            ("tile_base_id", 24, self.tile_base_id.number()),
            ("camera_bytes", 28, self.camera_bytes.number()),
            ("tile_index_bytes", 32, self.tile_index_bytes.number()),
            ("input_profile", 13, Field::number(self.input_profile)),
        ]
    }

    /// Whether the body has a prelude. spec: nnrp-wire 4
    #[must_use]
    pub fn has_composed_body(&self) -> bool {
        self.payload_frame_count > 0
            || self.object_ref_mask != 0
            || self.submit_mode != SubmitMode::Inline
            || self.payload_kind_bitmap != PayloadKinds::TENSOR
    }
}

/// Name, place and value of a field.
pub(super) type Placed = (&'static str, usize, u64);

/// That these fields are zero, all at once: which one is not is asked only then.
#[inline]
pub(super) fn all_zero<const FIELDS: usize>(
    fields: impl Fn() -> [Placed; FIELDS],
) -> Result<(), WireError> {
    let set = fields().iter().fold(0, |set, (_, _, value)| set | value);
    if set == 0 {
        return Ok(());
    }
    Err(first_set(&fields()))
}

#[cold]
fn first_set(fields: &[Placed]) -> WireError {
    let set = fields.iter().find(|(_, _, value)| *value != 0);
    let (what, at, found) = set.copied().unwrap_or_default();
    let error = WireError::new(Category::TensorFieldWithoutTensor, what);
    error.at(at).found(found).limit(0)
}
