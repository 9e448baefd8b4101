//! SESSION_PATCH and SESSION_PATCH_ACK. spec: nnrp-wire 2.4, 2.5

use crate::field::Reserved;
use crate::message::{SessionPatch, SessionPatchAck};
use crate::metadata::{ProfilePatch, SessionPatchAckMetadata, SessionPatchMetadata};
use crate::numbers::{PatchAckStatus, PatchMask, PatchRejectReason};

impl SessionPatch {
    /// A patch that changes nothing yet. What is set is in the mask (Q8).
    ///
    /// ```
    /// use nnrp_wire::{PatchMask, SessionPatch};
    ///
    /// let patch = SessionPatch::new(3).with_target_cadence_x100(6000).with_quality_tier(2);
    /// assert_eq!(patch.metadata.patch_mask, PatchMask::TARGET_CADENCE | PatchMask::QUALITY_TIER);
    /// ```
    #[must_use]
    pub const fn new(profile_id: u16) -> Self {
        Self {
            metadata: SessionPatchMetadata {
                profile_id,
                reserved0: Reserved(0),
                patch_mask: PatchMask::empty(),
                target_cadence_x100: 0,
                quality_tier: 0,
                degrade_policy: 0,
                active_lane_mask: 0,
                preferred_codec_bitmap: 0,
                preferred_compression_bitmap: 0,
                profile_patch_bytes: 0,
            },
            profile: None,
        }
    }

    /// Sets frames per second, times 100.
    #[must_use]
    pub fn with_target_cadence_x100(mut self, target_cadence_x100: u32) -> Self {
        self.metadata.target_cadence_x100 = target_cadence_x100;
        self.changes(PatchMask::TARGET_CADENCE)
    }

    /// Sets the quality.
    #[must_use]
    pub fn with_quality_tier(mut self, quality_tier: u16) -> Self {
        self.metadata.quality_tier = quality_tier;
        self.changes(PatchMask::QUALITY_TIER)
    }

    /// Sets how to degrade.
    #[must_use]
    pub fn with_degrade_policy(mut self, degrade_policy: u16) -> Self {
        self.metadata.degrade_policy = degrade_policy;
        self.changes(PatchMask::DEGRADE_POLICY)
    }

    /// Sets which lanes are active.
    #[must_use]
    pub fn with_active_lane_mask(mut self, active_lane_mask: u64) -> Self {
        self.metadata.active_lane_mask = active_lane_mask;
        self.changes(PatchMask::ACTIVE_LANE_MASK)
    }

    /// Sets which codecs are preferred.
    #[must_use]
    pub fn with_preferred_codecs(mut self, bitmap: u32) -> Self {
        self.metadata.preferred_codec_bitmap = bitmap;
        self.changes(PatchMask::PREFERRED_CODEC)
    }

    /// Sets which compressions are preferred.
    #[must_use]
    pub fn with_preferred_compressions(mut self, bitmap: u32) -> Self {
        self.metadata.preferred_compression_bitmap = bitmap;
        self.changes(PatchMask::PREFERRED_COMPRESSION)
    }

    /// Sets limits of the tensor profile.
    #[must_use]
    pub fn with_profile(mut self, profile: ProfilePatch) -> Self {
        self.metadata.profile_patch_bytes = PROFILE_BYTES;
        self.profile = Some(profile);
        self.changes(PatchMask::PROFILE_PATCH)
    }

    fn changes(mut self, mask: PatchMask) -> Self {
        self.metadata.patch_mask |= mask;
        self
    }
}

impl SessionPatchAck {
    /// All of a patch holds. What it left alone is 0 in the answer until it is set.
    #[must_use]
    pub fn accepted(patch: &SessionPatch) -> Self {
        Self::of(patch, PatchAckStatus::Accepted, PatchMask::empty())
    }

    /// All of a patch holds but for `rejected`.
    #[must_use]
    pub fn partly(patch: &SessionPatch, rejected: PatchMask, reason: PatchRejectReason) -> Self {
        let mut ack = Self::of(patch, PatchAckStatus::PartiallyApplied, rejected);
        ack.metadata.reject_reason = reason;
        ack
    }

    /// Nothing of a patch holds. The effective values are 0 until they are set.
    #[must_use]
    pub fn rejected(patch: &SessionPatch, reason: PatchRejectReason) -> Self {
        let all = patch.metadata.patch_mask;
        let mut ack = Self::of(patch, PatchAckStatus::Rejected, all);
        ack.metadata.reject_reason = reason;
        ack
    }

    /// Effective are those values of the patch that were not rejected.
    fn of(patch: &SessionPatch, ack_status: PatchAckStatus, rejected: PatchMask) -> Self {
        let asked = &patch.metadata;
        let rejected = asked.patch_mask & rejected;
        let applied = asked.patch_mask - rejected;
        let profile = patch
            .profile
            .filter(|_| applied.contains(PatchMask::PROFILE_PATCH));
        Self {
            metadata: SessionPatchAckMetadata {
                ack_status,
                reject_reason: PatchRejectReason::None,
                applied_patch_mask: applied,
                rejected_patch_mask: rejected,
                retry_after_ms: 0,
                effective_profile_id: asked.profile_id,
                reserved0: Reserved(0),
                effective_target_cadence_x100: if_applied(
                    applied,
                    PatchMask::TARGET_CADENCE,
                    asked.target_cadence_x100,
                ),
                effective_quality_tier: if_applied(
                    applied,
                    PatchMask::QUALITY_TIER,
                    asked.quality_tier,
                ),
                effective_degrade_policy: if_applied(
                    applied,
                    PatchMask::DEGRADE_POLICY,
                    asked.degrade_policy,
                ),
                effective_lane_mask: if_applied(
                    applied,
                    PatchMask::ACTIVE_LANE_MASK,
                    asked.active_lane_mask,
                ),
                effective_codec_bitmap: if_applied(
                    applied,
                    PatchMask::PREFERRED_CODEC,
                    asked.preferred_codec_bitmap,
                ),
                effective_compression_bitmap: if_applied(
                    applied,
                    PatchMask::PREFERRED_COMPRESSION,
                    asked.preferred_compression_bitmap,
                ),
                profile_patch_ack_bytes: profile.map_or(0, |_| PROFILE_BYTES),
            },
            profile,
        }
    }
}

const PROFILE_BYTES: u32 = 16;
const _: () = assert!(ProfilePatch::BYTES == PROFILE_BYTES as usize);

fn if_applied<T: Default>(applied: PatchMask, mask: PatchMask, value: T) -> T {
    if applied.contains(mask) {
        value
    } else {
        T::default()
    }
}
