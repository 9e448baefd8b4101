//! SESSION_PATCH and SESSION_PATCH_ACK. spec: nnrp-wire 2.4, 2.5

use crate::error::{Category, WireError};
use crate::field::{Fixed, Reserved, fixed};
use crate::numbers::{PatchAckStatus, PatchMask, PatchRejectReason};

fixed! {
    /// What a session is to become. What the mask does not name is on the wire all the same.
    SessionPatchMetadata[36] {
        /// The profile.
        0 profile_id: u16,
        /// Zero.
        2 reserved0: Reserved<u16>,
        /// What is to change.
        4 patch_mask: PatchMask,
        /// Frames per second, times 100; 32 bits here, 16 in hellos (Q30).
        8 target_cadence_x100: u32,
        /// Which quality.
        12 quality_tier: u16,
        /// How to degrade.
        14 degrade_policy: u16,
        /// Which lanes are active.
        16 active_lane_mask: u64,
        /// Which codecs are preferred.
        24 preferred_codec_bitmap: u32,
        /// Which compressions are preferred.
        28 preferred_compression_bitmap: u32,
        /// Bytes of the block in the body: 0 or 16, whatever the mask says (Q8).
        32 profile_patch_bytes: u32,
    }
}

fixed! {
    /// What the session has become.
    SessionPatchAckMetadata[48] {
        /// Whether the change holds.
        0 ack_status: PatchAckStatus,
        /// Why not all of it does.
        2 reject_reason: PatchRejectReason,
        /// What has changed.
        4 applied_patch_mask: PatchMask,
        /// What has not.
        8 rejected_patch_mask: PatchMask,
        /// When to try again, in ms.
        12 retry_after_ms: u32,
        /// The profile.
        16 effective_profile_id: u16,
        /// Zero.
        18 reserved0: Reserved<u16>,
        /// Frames per second, times 100.
        20 effective_target_cadence_x100: u32,
        /// Which quality.
        24 effective_quality_tier: u16,
        /// How it degrades.
        26 effective_degrade_policy: u16,
        /// Which lanes are active.
        28 effective_lane_mask: u64,
        /// Which codecs.
        36 effective_codec_bitmap: u32,
        /// Which compressions.
        40 effective_compression_bitmap: u32,
        /// Bytes of the block in the body: 0 or 16.
        44 profile_patch_ack_bytes: u32,
    }
}

fixed! {
    /// Limits of a tensor profile: asked for in a patch, in effect in its answer. Their order is not checked.
    ProfilePatch[16] {
        /// In pixels.
        0 min_width: u32,
        /// In pixels.
        4 min_height: u32,
        /// In pixels.
        8 max_width: u32,
        /// In pixels.
        12 max_height: u32,
    }
}

impl ProfilePatch {
    /// Reads the body of a patch or of its answer: nothing, or a block; `declared` is what the metadata says of its length.
    /// spec: nnrp-wire 2.4
    ///
    /// # Errors
    /// [`Category::ProfilePatchLengthMismatch`].
    pub fn decode_body(body: &[u8], declared: u32) -> Result<Option<Self>, WireError> {
        let mismatch = |what, found: u64, limit: u64| {
            let error = WireError::new(Category::ProfilePatchLengthMismatch, what).at(0);
            Err(error.found(found).limit(limit))
        };
        let block_bytes = Self::BYTES as u64;
        let declared = u64::from(declared);
        if declared != 0 && declared != block_bytes {
            return mismatch("profile_patch_bytes", declared, block_bytes);
        }
        if body.len() as u64 != declared {
            return mismatch("body", body.len() as u64, declared);
        }
        if declared == 0 {
            return Ok(None);
        }
        Self::read(body, 0).map(Some)
    }
}
