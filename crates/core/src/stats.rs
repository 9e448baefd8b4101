//! What was done, counted at the moment it ends.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::error::RefusalKind;
use crate::event::{DropReason, ExecutionEvent};
use crate::origin::OriginStats;

/// Longest time that is told apart; longer ones count as this.
const TIME_MAX: Duration = Duration::from_secs(3600);

/// Executions by how they ended.
///
/// In every snapshot `accepted = completed + failed + cancelled + dropped + in_flight`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Admitted.
    pub accepted: u64,
    /// Ended well.
    pub completed: u64,
    /// Ended with an error, deadlines and panics included.
    pub failed: u64,
    /// Ended because they were asked to.
    pub cancelled: u64,
    /// Ended without having been started, by [`DropReason`]; see [`Self::dropped`].
    dropped: [u64; DropReason::ALL.len()],
    /// Waiting or running now.
    pub in_flight: u64,
    /// Of those cancelled or failed: handlers that did not react within the grace time.
    pub abandoned: u64,
    /// Not admitted, by [`RefusalKind`]; see [`Self::refused`].
    refused: [u64; RefusalKind::ALL.len()],
    /// Progress reports that were dropped because the receiver had no room.
    pub progress_dropped: u64,
}

impl Counters {
    /// How many ended without having been started, for this reason.
    #[must_use]
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    /// How many ended without having been started.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// How many were refused, for this reason. Per node only what names a registered node.
    #[must_use]
    pub fn refused_for(&self, kind: RefusalKind) -> u64 {
        self.refused[kind as usize]
    }

    /// How many were refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.iter().sum()
    }

    /// Whether the sums agree; they always should.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.accepted
            == self.completed + self.failed + self.cancelled + self.dropped() + self.in_flight
    }

    pub(crate) fn accept(&mut self) {
        self.accepted += 1;
        self.in_flight += 1;
    }

    pub(crate) fn refuse(&mut self, kind: RefusalKind) {
        self.refused[kind as usize] += 1;
    }

    pub(crate) fn end(&mut self, ending: Ending) {
        self.in_flight -= 1;
        match ending.outcome {
            Outcome::Completed => self.completed += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Cancelled => self.cancelled += 1,
            Outcome::Dropped(reason) => self.dropped[reason as usize] += 1,
        }
        self.abandoned += u64::from(ending.abandoned);
        self.progress_dropped += ending.progress_dropped;
    }
}

/// How an execution ended, as the counters see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    pub(crate) outcome: Outcome,
    pub(crate) abandoned: bool,
    pub(crate) progress_dropped: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    Completed,
    Failed,
    Cancelled,
    Dropped(DropReason),
}

impl Outcome {
    /// The outcome that a terminal event stands for.
    pub(crate) fn of(event: &ExecutionEvent) -> Self {
        match event {
            ExecutionEvent::Completed(_) => Self::Completed,
            ExecutionEvent::Cancelled { .. } => Self::Cancelled,
            ExecutionEvent::Dropped(reason) => Self::Dropped(*reason),
            ExecutionEvent::Failed(_)
            | ExecutionEvent::Accepted
            | ExecutionEvent::Started
            | ExecutionEvent::Progress(_)
            | ExecutionEvent::Partial(_) => Self::Failed,
        }
    }
}

/// What one node has done.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NodeStats {
    /// The node.
    pub uid: String,
    /// Executions by how they ended.
    pub counters: Counters,
    /// The same by where they came from, in order of the first request.
    pub origins: Vec<OriginStats>,
    /// Handlers running now, abandoned blocking ones included.
    pub running: usize,
    /// Executions waiting for their turn now.
    pub waiting: usize,
    /// From admission to start, of executions that started.
    pub queue_time: TimeStats,
    /// From start to end, of executions that started.
    pub run_time: TimeStats,
}

/// A distribution of times, in microseconds, within 1 %; longer than an hour counts as an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct TimeStats {
    /// How many were measured.
    pub count: u64,
    /// Average.
    pub mean_us: f64,
    /// Half are at most this long.
    pub p50_us: u64,
    /// 99 of 100 are at most this long.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// Records times; a few kilobytes once it is used.
#[derive(Debug, Default)]
pub(crate) struct Times {
    histogram: Option<Histogram<u32>>,
}

impl Times {
    pub(crate) fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.min(TIME_MAX).as_micros())
            .unwrap_or(u64::MAX)
            .max(1);
        if self.histogram.is_none() {
            let bound = u64::try_from(TIME_MAX.as_micros()).unwrap_or(u64::MAX);
            self.histogram = Histogram::new_with_bounds(1, bound, 2).ok();
        }
        if let Some(histogram) = &mut self.histogram {
            histogram.saturating_record(micros);
        }
    }

    pub(crate) fn snapshot(&self) -> TimeStats {
        let Some(histogram) = &self.histogram else {
            return TimeStats::default();
        };
        TimeStats {
            count: histogram.len(),
            mean_us: histogram.mean(),
            p50_us: histogram.value_at_quantile(0.5),
            p99_us: histogram.value_at_quantile(0.99),
            max_us: histogram.max(),
        }
    }
}
