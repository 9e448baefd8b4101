//! Times as they are measured and shown.

use std::time::Duration;

/// Microseconds as people read them.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn micros(micros: u64) -> String {
    match micros {
        1_000_000.. => format!("{:.2} s", micros as f64 / 1e6),
        1_000.. => format!("{:.2} ms", micros as f64 / 1e3),
        _ => format!("{micros} µs"),
    }
}

/// As many microseconds as fit.
pub(super) fn as_micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Each power of two has so many bars: times are told within 2 %.
const BARS: u64 = 32;
const BARS_LOG2: u32 = 5;
/// Those of times below the first power, and of each power from there on.
const BAR_COUNT: usize = (1 + 64 - 5) * 32;

/// How often something took how long, in a fixed size.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    bars: Vec<u64>,
    count: u64,
    max_us: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            bars: vec![0; BAR_COUNT],
            count: 0,
            max_us: 0,
        }
    }
}

impl Histogram {
    pub(crate) fn add(&mut self, time: Duration) {
        let time_us = as_micros(time);
        if let Some(bar) = self.bars.get_mut(bar(time_us)) {
            *bar += 1;
        }
        self.count += 1;
        self.max_us = self.max_us.max(time_us);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        let pairs = self.bars.iter_mut().zip(&other.bars);
        pairs.for_each(|(bar, more)| *bar += more);
        self.count += other.count;
        self.max_us = self.max_us.max(other.max_us);
    }

    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    pub(crate) const fn max_us(&self) -> u64 {
        self.max_us
    }

    /// What that many of a thousand took at most, in µs; `None` if there was nothing.
    pub(crate) fn per_mille(&self, per_mille: u64) -> Option<u64> {
        let wanted = (self.count * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (number, count) in self.bars.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Some(top(number as u64).min(self.max_us));
            }
        }
        None
    }
}

/// Which bar a time is in.
fn bar(time_us: u64) -> usize {
    let number = match time_us.checked_ilog2() {
        Some(log) if log >= BARS_LOG2 => {
            let shift = log - BARS_LOG2;
            u64::from(shift + 1) * BARS + ((time_us >> shift) - BARS)
        }
        Some(_) | None => time_us,
    };
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The longest time of a bar.
const fn top(number: u64) -> u64 {
    let power = number / BARS;
    if power == 0 {
        return number;
    }
    let shift = power - 1;
    let first = (number % BARS + BARS) << shift;
    first + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::{Duration, Histogram, bar, micros, top};

    #[test]
    fn each_time_is_in_a_bar_that_is_not_much_wider() {
        for time_us in (0..5000).chain([1 << 20, (1 << 40) + 12_345, u64::MAX >> 1, u64::MAX]) {
            let bar = bar(time_us);
            assert!(bar < Histogram::default().bars.len(), "{time_us}");
            let top = top(bar as u64);
            assert!(
                top >= time_us && top - time_us <= time_us / 32,
                "{time_us}: {top}"
            );
        }
    }

    #[test]
    fn quantiles_and_texts() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.per_mille(500), None);
        for time_us in 1..=1000 {
            histogram.add(Duration::from_micros(time_us));
        }
        assert!((500..=516).contains(&histogram.per_mille(500).unwrap()));
        assert!((990..=1000).contains(&histogram.per_mille(990).unwrap()));
        assert_eq!((histogram.count(), histogram.max_us()), (1000, 1000));
        assert_eq!(
            [999, 1500, 2_500_000].map(micros),
            ["999 µs", "1.50 ms", "2.50 s"]
        );
    }
}
