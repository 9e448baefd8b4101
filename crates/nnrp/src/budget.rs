//! What a frame's budget and loss tolerance allow: pure functions. spec: nnrp-design, Budgets
//!
//! A frame's budget counts from the arrival of its submit. The time that a hello names is none: clients of the reference
//! put 50 ms there, whatever they mean.

use std::time::Duration;

use nnrp_wire::metadata::{FrameSubmitMetadata, ResultPushMetadata};
use nnrp_wire::{BudgetPolicy, FrameClass, FrameLossTolerance, LossTolerance};

/// How long a frame may take, how much of it may be lost, and what may be done when it is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameBudget {
    /// From the arrival of the submit to the result; `None` is any time.
    pub latency: Option<Duration>,
    /// Of the frame, or of the session if the frame does not say.
    pub tolerance: LossTolerance,
    /// What the client allows.
    pub allowed: BudgetPolicy,
}

/// What is known of a frame that has no result yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outlook {
    /// From the arrival of the submit until now.
    pub spent: Duration,
    /// How long the result will still take, if that is known.
    pub needed: Option<Duration>,
    /// How long it takes to the client and back, if that is known.
    pub round_trip: Option<Duration>,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Go on.
    Go,
    /// It is late, or will be, and may be dropped now.
    MayDrop,
    /// The budget is over: whatever the tolerance, it is to be dropped.
    Over,
}

impl FrameBudget {
    /// Of a submit, in a session of this tolerance.
    #[must_use]
    pub fn of(submit: &FrameSubmitMetadata, session: LossTolerance) -> Self {
        let budget_ms = u64::from(submit.latency_budget_ms);
        let class = submit.frame_class.known();
        Self {
            latency: (budget_ms > 0).then(|| Duration::from_millis(budget_ms)),
            tolerance: effective_tolerance(session, submit.loss_tolerance_policy, class),
            allowed: submit.budget_policy,
        }
    }

    /// What to do with a frame. Never [`Verdict::MayDrop`] where nothing may be lost.
    #[must_use]
    pub fn verdict(&self, outlook: &Outlook) -> Verdict {
        let Some(latency) = self.latency else {
            return Verdict::Go;
        };
        if outlook.spent >= latency {
            return Verdict::Over;
        }
        let needed = outlook.needed.unwrap_or_default();
        let will_be_late = outlook.spent.saturating_add(needed) > latency;
        let is_far = outlook.round_trip.is_some_and(|time| time > latency / 2);
        let may_drop = match self.tolerance {
            LossTolerance::Strict => false,
            LossTolerance::BestEffort | LossTolerance::FireAndForget => will_be_late,
            LossTolerance::LowLatency => will_be_late || is_far,
        };
        if may_drop {
            Verdict::MayDrop
        } else {
            Verdict::Go
        }
    }

    /// What is left of the budget; `None` is any time.
    #[must_use]
    pub fn left(&self, spent: Duration) -> Option<Duration> {
        Some(self.latency?.saturating_sub(spent))
    }

    /// Whether a result may make use of this.
    #[must_use]
    pub const fn allows(&self, applied: BudgetPolicy) -> bool {
        self.allowed.contains(applied)
    }

    /// Whether a result that cannot go out now may wait. What is sent once and forgotten does not.
    #[must_use]
    pub const fn waits_for_room(&self) -> bool {
        !matches!(self.tolerance, LossTolerance::FireAndForget)
    }
}

/// The frame's, or the session's if the frame says nothing. Key frames are not forgotten: later ones build on them, so that
/// best effort is the least for them.
#[must_use]
pub fn effective_tolerance(
    session: LossTolerance,
    frame: FrameLossTolerance,
    class: Option<FrameClass>,
) -> LossTolerance {
    let tolerance = frame.0.unwrap_or(session);
    let is_key_frame = class == Some(FrameClass::Keyframe);
    if is_key_frame && tolerance == LossTolerance::FireAndForget {
        return LossTolerance::BestEffort;
    }
    tolerance
}

/// Where a frame's time went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// From the arrival of the submit until somebody took it.
    pub queued: Duration,
    /// From then until the result.
    pub computed: Duration,
}

impl Timings {
    /// Writes them into a result, in ms, where it does not say anything. More than 65,535 ms are written as that.
    pub fn fill(&self, result: &mut ResultPushMetadata) {
        let total = self.queued.saturating_add(self.computed);
        fill(&mut result.queue_ms, self.queued);
        fill(&mut result.inference_ms, self.computed);
        fill(&mut result.server_total_ms, total);
    }
}

fn fill(field: &mut u16, time: Duration) {
    if *field == 0 {
        *field = u16::try_from(time.as_millis()).unwrap_or(u16::MAX);
    }
}

#[cfg(test)]
mod tests;
