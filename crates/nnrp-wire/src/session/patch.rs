//! Changing what holds for a session. spec: nnrp-session 4.3

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::field::Reserved;
use crate::message::{SessionPatch, SessionPatchAck};
use crate::metadata::{
    ProfilePatch, ServerHelloAckMetadata, SessionPatchAckMetadata, SessionPatchMetadata,
};
use crate::numbers::{PatchAckStatus, PatchMask, PatchRejectReason};

/// What holds for a session and can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionSettings {
    /// The profile.
    pub profile_id: u16,
    /// Frames per second, times 100.
    pub target_cadence_x100: u32,
    /// Which quality.
    pub quality_tier: u16,
    /// How it degrades.
    pub degrade_policy: u16,
    /// Which lanes are active.
    pub lane_mask: u64,
    /// Which codecs.
    pub codec_bitmap: u32,
    /// Which compressions.
    pub compression_bitmap: u32,
    /// Limits of the tensor profile.
    pub profile: Option<ProfilePatch>,
}

impl SessionSettings {
    /// What holds at first: what the hello's answer says.
    #[must_use]
    pub const fn from_ack(ack: &ServerHelloAckMetadata) -> Self {
        Self {
            profile_id: 0,
            target_cadence_x100: ack.target_cadence_x100 as u32,
            quality_tier: ack.quality_tier,
            degrade_policy: ack.degrade_policy,
            lane_mask: lanes(ack.max_lane_count),
            codec_bitmap: ack.accepted_codec_bitmap,
            compression_bitmap: ack.accepted_compression_bitmap,
            profile: None,
        }
    }
}

/// What a server lets a client change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchRules {
    /// Which settings; others are rejected as unsupported.
    pub supported: PatchMask,
    /// Frames per second, times 100.
    pub cadence_x100: RangeInclusive<u32>,
    /// Quality tiers.
    pub quality_tier: RangeInclusive<u16>,
    /// Ways to degrade.
    pub degrade_policy: RangeInclusive<u16>,
    /// The time between two patches at least; what comes sooner is rejected.
    pub interval_min: Duration,
}

impl Default for PatchRules {
    /// All but the tensor profile, in any range, as often as it comes.
    fn default() -> Self {
        Self {
            supported: PatchMask::all().difference(PatchMask::PROFILE_PATCH),
            cadence_x100: 0..=u32::MAX,
            quality_tier: 0..=u16::MAX,
            degrade_policy: 0..=u16::MAX,
            interval_min: Duration::ZERO,
        }
    }
}

/// Settings, the rules they change by, and what was agreed on in the hello, which bounds them.
#[derive(Debug)]
pub struct Patching {
    rules: PatchRules,
    settings: SessionSettings,
    lanes: u64,
    codecs: u32,
    compressions: u32,
    last_at: Option<Duration>,
}

impl Patching {
    /// From a hello's answer on.
    #[must_use]
    pub const fn new(rules: PatchRules, ack: &ServerHelloAckMetadata) -> Self {
        Self {
            rules,
            settings: SessionSettings::from_ack(ack),
            lanes: lanes(ack.max_lane_count),
            codecs: ack.accepted_codec_bitmap,
            compressions: ack.accepted_compression_bitmap,
            last_at: None,
        }
    }

    /// What holds.
    #[must_use]
    pub const fn settings(&self) -> &SessionSettings {
        &self.settings
    }

    /// Applies what can be, and says what holds then.
    pub fn apply(&mut self, patch: &SessionPatch, now: Duration) -> SessionPatchAck {
        let asked = patch.metadata.patch_mask;
        if let Some(wait) = self.wait(now) {
            let retry_after_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).max(1);
            return self.answer(asked, asked, PatchRejectReason::RateLimited, retry_after_ms);
        }
        self.last_at = Some(now);
        let (mut rejected, mut reason) = (PatchMask::empty(), PatchRejectReason::None);
        // Bits that are not known are settings too, which are not supported.
        let bits = (0..32).map(|bit| PatchMask::from_bits_retain(1 << bit));
        for bit in bits.filter(|bit| asked.contains(*bit)) {
            if let Err(why) = self.apply_one(bit, patch) {
                rejected |= bit;
                if reason == PatchRejectReason::None {
                    reason = why;
                }
            }
        }
        self.answer(asked, rejected, reason, 0)
    }

    fn wait(&self, now: Duration) -> Option<Duration> {
        let earliest = self.last_at?.saturating_add(self.rules.interval_min);
        earliest.checked_sub(now).filter(|wait| !wait.is_zero())
    }

    fn apply_one(&mut self, bit: PatchMask, patch: &SessionPatch) -> Result<(), PatchRejectReason> {
        use PatchRejectReason::{
            InvalidLaneMask, InvalidRange, UnsupportedField, UnsupportedStrategy,
        };
        if !self.rules.supported.contains(bit) {
            return Err(UnsupportedField);
        }
        let (asked, settings): (&SessionPatchMetadata, _) = (&patch.metadata, &mut self.settings);
        if bit == PatchMask::TARGET_CADENCE {
            let cadence = in_range(&self.rules.cadence_x100, asked.target_cadence_x100);
            settings.target_cadence_x100 = cadence.ok_or(InvalidRange)?;
        } else if bit == PatchMask::QUALITY_TIER {
            let tier = in_range(&self.rules.quality_tier, asked.quality_tier);
            settings.quality_tier = tier.ok_or(InvalidRange)?;
        } else if bit == PatchMask::DEGRADE_POLICY {
            let policy = in_range(&self.rules.degrade_policy, asked.degrade_policy);
            settings.degrade_policy = policy.ok_or(UnsupportedStrategy)?;
        } else if bit == PatchMask::ACTIVE_LANE_MASK {
            let lanes = asked.active_lane_mask;
            let is_valid = lanes != 0 && lanes & !self.lanes == 0;
            settings.lane_mask = is_valid.then_some(lanes).ok_or(InvalidLaneMask)?;
        } else if bit == PatchMask::PREFERRED_CODEC {
            let codecs = asked.preferred_codec_bitmap & self.codecs;
            settings.codec_bitmap = (codecs != 0).then_some(codecs).ok_or(InvalidRange)?;
        } else if bit == PatchMask::PREFERRED_COMPRESSION {
            let compressions = asked.preferred_compression_bitmap & self.compressions;
            let is_valid = compressions != 0;
            settings.compression_bitmap = is_valid.then_some(compressions).ok_or(InvalidRange)?;
        } else if bit == PatchMask::PROFILE_PATCH {
            let profile = patch.profile.filter(is_ordered).ok_or(InvalidRange)?;
            settings.profile = Some(profile);
        } else {
            return Err(UnsupportedField);
        }
        Ok(())
    }

    fn answer(
        &self,
        asked: PatchMask,
        rejected: PatchMask,
        reason: PatchRejectReason,
        retry_after_ms: u32,
    ) -> SessionPatchAck {
        let settings = &self.settings;
        let applied = asked.difference(rejected);
        let ack_status = if rejected.is_empty() {
            PatchAckStatus::Accepted
        } else if applied.is_empty() {
            PatchAckStatus::Rejected
        } else {
            PatchAckStatus::PartiallyApplied
        };
        SessionPatchAck {
            metadata: SessionPatchAckMetadata {
                ack_status,
                reject_reason: reason,
                applied_patch_mask: applied,
                rejected_patch_mask: rejected,
                retry_after_ms,
                effective_profile_id: settings.profile_id,
                reserved0: Reserved::default(),
                effective_target_cadence_x100: settings.target_cadence_x100,
                effective_quality_tier: settings.quality_tier,
                effective_degrade_policy: settings.degrade_policy,
                effective_lane_mask: settings.lane_mask,
                effective_codec_bitmap: settings.codec_bitmap,
                effective_compression_bitmap: settings.compression_bitmap,
                profile_patch_ack_bytes: 0,
            },
            profile: settings.profile,
        }
    }
}

const fn lanes(count: u16) -> u64 {
    if count >= 64 {
        return u64::MAX;
    }
    (1 << count) - 1
}

fn in_range<T: PartialOrd + Copy>(range: &RangeInclusive<T>, value: T) -> Option<T> {
    range.contains(&value).then_some(value)
}

const fn is_ordered(profile: &ProfilePatch) -> bool {
    profile.min_width <= profile.max_width && profile.min_height <= profile.max_height
}
