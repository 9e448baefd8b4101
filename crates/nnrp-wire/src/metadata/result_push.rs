//! RESULT_PUSH. spec: nnrp-wire 3.2, 3.3

use super::check_bits;
use super::frame_submit::all_zero;
use crate::error::{Category, WireError};
use crate::field::{Field, Reserved, fixed};
use crate::numbers::{BudgetPolicy, PayloadKinds, ResultClass, ResultFlags};
use crate::rules::Rules;

fixed! {
    /// Output of a frame: what its body holds, and what it is worth.
    ResultPushMetadata[64] {
        /// 0 is success.
        0 status_code: u16,
        /// What it is.
        2 result_flags: ResultFlags,
        /// Sections.
        4 section_count: u16,
        /// Tiles that were asked for, dropped ones included.
        6 tile_count: u16,
        /// The profile it was made with.
        8 active_profile_id: u16,
        /// Zero.
        10 reserved0: Reserved<u16>,
        /// How long the computation took, in ms.
        12 inference_ms: u16,
        /// How long the frame waited, in ms.
        14 queue_ms: u16,
        /// How long all of it took, in ms.
        16 server_total_ms: u16,
        /// Zero.
        18 reserved1: Reserved<u16>,
        /// The first tile of a dense range.
        20 tile_base_id: u32,
        /// Bytes of an inline tile index; with 0, tiles are a dense range.
        24 tile_index_bytes: u32,
        /// Zero.
        28 reserved2: Reserved<u64>,
        /// Zero.
        36 reserved3: Reserved<u64>,
        /// What it is worth.
        44 result_class: ResultClass,
        /// What was made use of.
        45 applied_budget_policy: BudgetPolicy,
        /// Zero.
        46 reserved4: Reserved<u16>,
        /// The frame whose result it is, for a result that is reused.
        48 reused_frame_id: u32,
        /// Tiles with a result.
        52 covered_tile_count: u16,
        /// Tiles without.
        54 dropped_tile_count: u16,
        /// What the body may hold.
        56 payload_kind_bitmap: PayloadKinds,
        /// Typed payloads.
        60 payload_frame_count: u16,
        /// Zero.
        62 reserved5: Reserved<u16>,
    }
}

impl ResultPushMetadata {
    /// No unknown bits, and fields of tensors are zero unless a tensor is declared.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), WireError> {
        check_bits(self.result_flags, "result_flags", 2)?;
        check_bits(self.applied_budget_policy, "applied_budget_policy", 45)?;
        check_bits(self.payload_kind_bitmap, "payload_kind_bitmap", 56)?;
        if self.payload_kind_bitmap.contains(PayloadKinds::TENSOR) {
            return Ok(());
        }
        all_zero(|| {
            [
                ("section_count", 4, self.section_count.number()),
                ("tile_count", 6, self.tile_count.number()),
                ("tile_base_id", 20, self.tile_base_id.number()),
                ("tile_index_bytes", 24, self.tile_index_bytes.number()),
                ("covered_tile_count", 52, self.covered_tile_count.number()),
                ("dropped_tile_count", 54, self.dropped_tile_count.number()),
            ]
        })
    }

    /// Each tile is covered or dropped. spec: nnrp-wire 3.3
    ///
    /// # Errors
    /// [`Category::CoverageMismatch`], [`Category::PartialWithoutDrop`].
    pub fn check_coverage(&self) -> Result<(), WireError> {
        if !self.payload_kind_bitmap.contains(PayloadKinds::TENSOR) {
            return Ok(());
        }
        let tiles = u64::from(self.tile_count);
        let covered = u64::from(self.covered_tile_count);
        let dropped = u64::from(self.dropped_tile_count);
        let mismatch = |what, at, found| {
            Err(WireError::new(Category::CoverageMismatch, what)
                .at(at)
                .found(found)
                .limit(tiles))
        };
        if covered > tiles {
            return mismatch("covered_tile_count", 52, covered);
        }
        if dropped > tiles {
            return mismatch("dropped_tile_count", 54, dropped);
        }
        if covered + dropped != tiles {
            return mismatch(
                "covered_tile_count and dropped_tile_count",
                52,
                covered + dropped,
            );
        }
        let is_partial = self.result_class == ResultClass::Partial
            || self.result_flags.contains(ResultFlags::PARTIAL);
        if is_partial && dropped == 0 {
            let error = WireError::new(Category::PartialWithoutDrop, "dropped_tile_count").at(54);
            return Err(error.found(0));
        }
        Ok(())
    }

    /// A result that is reused is some frame's (Q12).
    pub(crate) fn check_reuse(&self, rules: &Rules) -> Result<(), WireError> {
        let is_stale = self.result_class == ResultClass::StaleReuse;
        if is_stale && self.reused_frame_id == 0 && !rules.stale_without_frame {
            let error = WireError::new(Category::RequiredValueMissing, "reused_frame_id");
            return Err(error.at(48).found(0));
        }
        Ok(())
    }

    /// Whether the body has a prelude. spec: nnrp-wire 4
    #[must_use]
    pub fn has_composed_body(&self) -> bool {
        let kinds = self.payload_kind_bitmap;
        self.payload_frame_count > 0 || !(kinds.is_empty() || kinds == PayloadKinds::TENSOR)
    }
}
