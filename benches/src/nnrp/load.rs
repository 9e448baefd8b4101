//! What is sent, for how long, and what came of it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What carries the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// One connection, plain.
    Tcp,
    /// One connection, encrypted.
    Tls,
    /// Streams of one connection.
    Quic,
}

/// How much is under way at once, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// What carries the frames.
    pub transport: Transport,
    /// Where the server listens.
    pub address: String,
    /// The folder with the server's certificate.
    pub certificate: PathBuf,
    /// Of each frame.
    pub payload_bytes: usize,
    /// Frames without a result at a time.
    pub in_flight: usize,
    /// What comes in before is not measured.
    pub warm_up_ms: u64,
    /// How long to measure.
    pub time_ms: u64,
}

/// What came of a load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Results that came while measuring.
    pub frames: usize,
    /// Results that came before, too.
    pub frames_in_all: usize,
    /// In how many seconds.
    pub seconds: f64,
    /// Median of the times from submit to result, in µs.
    pub p50_us: f64,
    /// The time that one in a hundred exceeds, in µs.
    pub p99_us: f64,
}

/// Measures from one result to another, so that a period holds whole frames only.
#[derive(Debug)]
pub struct Meter {
    warm_up: Duration,
    time: Duration,
    started: Instant,
    measuring_since: Option<Instant>,
    last: Instant,
    frames_before: usize,
    latencies_ns: Vec<u64>,
}

impl Meter {
    /// Starts to warm up.
    #[must_use]
    pub fn new(load: &Load) -> Self {
        let now = Instant::now();
        Self {
            warm_up: Duration::from_millis(load.warm_up_ms),
            time: Duration::from_millis(load.time_ms),
            started: now,
            measuring_since: None,
            last: now,
            frames_before: 0,
            latencies_ns: Vec::with_capacity(1 << 20),
        }
    }

    /// A result has come now; says whether to go on.
    pub fn result(&mut self, submitted: Instant, now: Instant) -> bool {
        let Some(since) = self.measuring_since else {
            self.frames_before += 1;
            if now - self.started >= self.warm_up {
                self.measuring_since = Some(now);
            }
            return true;
        };
        let latency_ns = (now - submitted).as_nanos();
        self.latencies_ns
            .push(u64::try_from(latency_ns).unwrap_or(u64::MAX));
        self.last = now;
        now - since < self.time
    }

    /// What was measured; `None` if it ended while it warmed up.
    #[must_use]
    pub fn outcome(mut self) -> Option<Outcome> {
        let since = self.measuring_since?;
        self.latencies_ns.sort_unstable();
        let at = |hundredths: usize| {
            let index = (self.latencies_ns.len().checked_sub(1)?) * hundredths / 100;
            Some(*self.latencies_ns.get(index)? as f64 / 1e3)
        };
        Some(Outcome {
            frames: self.latencies_ns.len(),
            frames_in_all: self.latencies_ns.len() + self.frames_before,
            seconds: (self.last - since).as_secs_f64(),
            p50_us: at(50)?,
            p99_us: at(99)?,
        })
    }
}
