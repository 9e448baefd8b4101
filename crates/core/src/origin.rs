//! Statistics by where requests come from.

use std::time::Duration;

use crate::error::RefusalKind;
use crate::stats::{Counters, Ending};

/// How many origins are told apart, of one node and of refusals; [`OTHER_ORIGINS`] is the last of them.
const ORIGINS_MAX: usize = 16;

/// The origin of all for which there is no place of their own.
const OTHER_ORIGINS: &str = "other";

/// The bounds of [`Durations`], in microseconds.
const DURATION_BOUNDS_US: [u64; 16] = [
    50,
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    1_000_000,
    5_000_000,
    30_000_000,
    300_000_000,
];

/// What one node has done for one origin.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OriginStats {
    /// See [`crate::Executor::with_origin`]; `other` beyond the first 15.
    pub origin: Option<&'static str>,
    /// Executions by how they ended; those of all origins sum up to the node's own.
    pub counters: Counters,
    /// Of those in flight: executions waiting for their turn.
    pub waiting: u64,
    /// From admission to end, of every execution that ended.
    pub durations: Durations,
}

/// How often requests of one origin were refused, those for nodes that do not exist included.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OriginRefusals {
    /// See [`OriginStats::origin`].
    pub origin: Option<&'static str>,
    refused: [u64; RefusalKind::ALL.len()],
}

/// A distribution of times, in buckets with fixed bounds from 50 microseconds to 300 seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Durations {
    /// One more than there are bounds.
    buckets: [u64; DURATION_BOUNDS_US.len() + 1],
    sum: Duration,
}

/// Something kept for each origin.
#[derive(Debug)]
pub(crate) struct ByOrigin<T>(Vec<(Option<&'static str>, T)>);

/// What [`OriginStats`] is made of.
#[derive(Debug, Default)]
pub(crate) struct OriginCounts {
    counters: Counters,
    waiting: u64,
    durations: Durations,
}

/// What [`OriginRefusals`] is made of.
pub(crate) type RefusalCounts = [u64; RefusalKind::ALL.len()];

impl OriginRefusals {
    /// How many were refused for this reason.
    #[must_use]
    pub fn count(&self, kind: RefusalKind) -> u64 {
        self.refused[kind as usize]
    }
}

impl Durations {
    /// Each bound with how many took no longer; what took longer is in [`Self::count`] only.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let counts = self.buckets.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        DURATION_BOUNDS_US
            .iter()
            .map(|bound| Duration::from_micros(*bound))
            .zip(counts)
    }

    /// How many were measured.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All of them together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }

    fn record(&mut self, time: Duration) {
        let micros = time.as_nanos().div_ceil(1_000);
        let bucket = DURATION_BOUNDS_US.partition_point(|bound| u128::from(*bound) < micros);
        self.buckets[bucket] += 1;
        self.sum = self.sum.saturating_add(time);
    }
}

impl<T> Default for ByOrigin<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Default> ByOrigin<T> {
    /// What is kept for this origin. An origin that came too late for a place has none later either.
    pub(crate) fn of(&mut self, origin: Option<&'static str>) -> &mut T {
        let known = self.0.iter().position(|(known, _)| *known == origin);
        let place = known.unwrap_or_else(|| {
            if self.0.len() + 1 < ORIGINS_MAX {
                self.0.push((origin, T::default()));
            } else if self.0.len() < ORIGINS_MAX {
                self.0.push((Some(OTHER_ORIGINS), T::default()));
            }
            self.0.len() - 1
        });
        &mut self.0[place].1
    }
}

impl OriginCounts {
    pub(crate) fn accept(&mut self) {
        self.counters.accept();
    }

    pub(crate) fn wait(&mut self) {
        self.waiting += 1;
    }

    pub(crate) fn wait_no_more(&mut self) {
        self.waiting -= 1;
    }

    pub(crate) fn refuse(&mut self, kind: RefusalKind) {
        self.counters.refuse(kind);
    }

    pub(crate) fn end(&mut self, ending: Ending, duration: Duration) {
        self.counters.end(ending);
        self.durations.record(duration);
    }
}

impl ByOrigin<OriginCounts> {
    pub(crate) fn stats(&self) -> Vec<OriginStats> {
        let stats = |(origin, counts): &(Option<&'static str>, OriginCounts)| OriginStats {
            origin: *origin,
            counters: counts.counters,
            waiting: counts.waiting,
            durations: counts.durations,
        };
        self.0.iter().map(stats).collect()
    }
}

impl ByOrigin<RefusalCounts> {
    pub(crate) fn refusals(&self) -> Vec<OriginRefusals> {
        let refusals = |(origin, refused): &(Option<&'static str>, RefusalCounts)| OriginRefusals {
            origin: *origin,
            refused: *refused,
        };
        self.0.iter().map(refusals).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_first_bucket_that_holds_it() {
        let mut durations = Durations::default();
        for nanos in [50_000, 50_001, 100_000, 301_000_000_000] {
            durations.record(Duration::from_nanos(nanos));
        }
        let told: Vec<_> = durations.cumulative().collect();
        assert_eq!(told[0], (Duration::from_micros(50), 1));
        assert_eq!(told[1], (Duration::from_micros(100), 3));
        assert_eq!(told[15], (Duration::from_secs(300), 3));
        assert_eq!(durations.count(), 4);
        assert_eq!(durations.sum(), Duration::from_nanos(301_000_200_001));
    }

    #[test]
    fn origins_are_bounded() {
        let mut counts: ByOrigin<RefusalCounts> = ByOrigin::default();
        let names: Vec<&'static str> = "a b c d e f g h i j k l m n o p q".split(' ').collect();
        for name in &names {
            counts.of(Some(name))[0] += 1;
            counts.of(Some(name))[0] += 1;
        }
        let told = counts.refusals();
        assert_eq!(told.len(), ORIGINS_MAX);
        assert_eq!(told[0].origin, Some("a"));
        assert_eq!(told[0].refused[0], 2);
        assert_eq!(told[15].origin, Some("other"));
        assert_eq!(told[15].refused[0], 4);
    }
}
