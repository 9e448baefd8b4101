//! Something that is done again and again.

use std::hint::black_box;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// What is measured: a subject in a case.
pub struct Operation {
    /// The case.
    pub case: String,
    /// Who does it.
    pub subject: &'static str,
    repeat: Box<dyn FnMut(u64)>,
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.subject, self.case)
    }
}

impl Operation {
    /// Of what is done once; its result is computed although nobody looks at it.
    pub fn new<T>(
        case: String,
        subject: &'static str,
        mut once: impl FnMut() -> T + 'static,
    ) -> Self {
        Self {
            case,
            subject,
            repeat: Box::new(move |times| {
                for _ in 0..times {
                    black_box(once());
                }
            }),
        }
    }

    /// Does it so many times.
    pub fn repeat(&mut self, times: u64) {
        (self.repeat)(times);
    }

    /// How often per second of processor time, measured for about so long. What other programs use hardly counts.
    ///
    /// # Errors
    /// The system has no such clock.
    pub fn per_second(&mut self, time: Duration) -> anyhow::Result<f64> {
        let times = self.times_in(time)?;
        Ok(times as f64 / self.time(times)?.as_secs_f64())
    }

    /// Processor time that so many take.
    fn time(&mut self, times: u64) -> anyhow::Result<Duration> {
        let now = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
        let start = now()?;
        self.repeat(times);
        Ok(now()?.saturating_sub(start))
    }

    /// Doubles until it takes long enough to tell; what it needs is in the caches by then.
    fn times_in(&mut self, time: Duration) -> anyhow::Result<u64> {
        let mut times = 1;
        loop {
            let took = self.time(times)?;
            if took * 16 >= time {
                let share = time.as_secs_f64() / took.as_secs_f64().max(1e-9);
                // A positive number far below 2^53.
                #[expect(clippy::cast_possible_truncation, reason = "a count of repetitions")]
                return Ok((times as f64 * share).max(1.0) as u64);
            }
            times *= 2;
        }
    }
}
