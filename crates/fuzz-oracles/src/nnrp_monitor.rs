//! When to move a session, beside the definitions of the specification. spec: nnrp-session 4.6
//!
//! An input is how bad a path may be, then samples.

use std::time::Duration;

use nnrp_wire::session::{Degraded, MigrationMonitor, MonitorOptions, PathSample};

use crate::nnrp_operations::Operations;

/// It triggers exactly when the definitions say so of all samples, and names what is bad.
pub fn nnrp_monitor(data: &[u8]) {
    let mut operations = Operations::new(data);
    let options = operations.monitor_options();
    let mut monitor = MigrationMonitor::new(options);
    let (mut samples, mut evaluations) = (Vec::new(), Vec::new());
    while !operations.is_empty() {
        let sample = operations.path_sample();
        samples.push(sample);
        let window = options.window.max(1);
        if let Some(start) = samples.len().checked_sub(window) {
            evaluations.push(evaluate(&options, &samples[start..]));
        }
        assert_eq!(monitor.add(sample), triggers(&options, &evaluations));
        let last = evaluations.last();
        assert_eq!(
            Some(monitor.degraded()),
            last.map(Vec::as_slice).or(Some(&[]))
        );
    }
}

/// So many bad ones in a row, the last included.
fn triggers(options: &MonitorOptions, evaluations: &[Vec<Degraded>]) -> bool {
    let in_a_row = evaluations.iter().rev();
    let in_a_row = in_a_row.take_while(|degraded| !degraded.is_empty()).count();
    in_a_row >= options.degraded_max.max(1) as usize
}

/// What is bad about a full window.
fn evaluate(options: &MonitorOptions, samples: &[PathSample]) -> Vec<Degraded> {
    let (mut round_trips, mut throughputs) = (Vec::new(), Vec::new());
    for sample in samples {
        if let PathSample::Answered {
            round_trip,
            throughput,
        } = sample
        {
            round_trips.push(round_trip.as_micros());
            throughputs.push(u128::from(*throughput));
        }
    }
    let timed_out = samples.len() - round_trips.len();
    let pairs = round_trips.iter().zip(round_trips.iter().skip(1));
    let jitters: Vec<_> = pairs.map(|(one, next)| one.abs_diff(*next)).collect();
    let is_slow = |limit| median(&throughputs).is_some_and(|median| median < u128::from(limit));
    let is_above = |values: &[u128], limit: Duration| {
        median(values).is_some_and(|median| median > limit.as_micros())
    };
    let mut degraded = Vec::new();
    if timed_out * 100 > options.timeout_percent_max as usize * samples.len() {
        degraded.push(Degraded::TimeoutRate);
    }
    if options.throughput_min.is_some_and(is_slow) {
        degraded.push(Degraded::Throughput);
    }
    let max = options.round_trip_max;
    if max.is_some_and(|max| is_above(&round_trips, max)) {
        degraded.push(Degraded::RoundTrip);
    }
    if options
        .jitter_max
        .is_some_and(|max| is_above(&jitters, max))
    {
        degraded.push(Degraded::Jitter);
    }
    degraded
}

/// Half of the values are not above it, half not below; between two, their mean, rounded down.
fn median(values: &[u128]) -> Option<u128> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[count / 2]),
        count => Some((sorted[count / 2 - 1] + sorted[count / 2]) / 2),
    }
}

impl Operations<'_> {
    fn monitor_options(&mut self) -> MonitorOptions {
        let which = self.byte();
        MonitorOptions {
            window: usize::from(self.byte() % 7),
            timeout_percent_max: u32::from(self.byte() % 110),
            throughput_min: (which & 1 != 0).then(|| self.size()),
            round_trip_max: (which & 2 != 0).then(|| self.time()),
            jitter_max: (which & 4 != 0).then(|| self.time()),
            degraded_max: u32::from(which >> 6),
        }
    }

    fn path_sample(&mut self) -> PathSample {
        if self.byte().is_multiple_of(4) {
            return PathSample::TimedOut;
        }
        PathSample::Answered {
            round_trip: self.time(),
            throughput: self.size(),
        }
    }

    /// Of whole µs, as the specification counts.
    fn time(&mut self) -> Duration {
        Duration::from_micros(self.size())
    }

    /// Mostly small, and up to the largest.
    fn size(&mut self) -> u64 {
        let shift = self.byte();
        let value = u64::from(self.byte());
        match shift % 8 {
            0..=4 => value,
            5 | 6 => value << (shift % 57),
            _ => u64::MAX - value,
        }
    }
}
