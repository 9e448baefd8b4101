//! When to move a session to another transport, and why it is not moved. spec: nnrp-session 4.6

use std::collections::VecDeque;
use std::time::Duration;

use thiserror::Error;

use super::fault::PathEnd;
use crate::numbers::{MessageType, TransportId};

/// Why a server does not take a session over, as SESSION_MIGRATE_ACK says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum MigrateRefusal {
    /// There is no such session.
    #[error("there is no such session")]
    UnknownSession,
    /// It is somebody else's.
    #[error("the session belongs to somebody else")]
    NotAllowed,
    /// It is not where the client says it is, or is to go where the message did not come from.
    #[error("the transports are not those of the session and of the connection")]
    WrongTransport,
    /// It moves already, or ends.
    #[error("the session cannot move now")]
    Busy,
    /// Frame `u32::MAX` has come: there is no id behind it to go on with.
    #[error("the session has no frame ids left: begin another one")]
    NoFrameIds,
}

impl MigrateRefusal {
    /// The number on the wire.
    #[must_use]
    pub const fn accept_code(self) -> u32 {
        match self {
            Self::UnknownSession => 1,
            Self::NotAllowed => 2,
            Self::WrongTransport => 3,
            Self::Busy => 4,
            Self::NoFrameIds => 5,
        }
    }
}

/// Why a session has not moved. It goes on where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MigrationFailure {
    /// The server refused; see [`MigrateRefusal`] for the codes that servers of this crate give.
    #[error("the server refused with code {accept_code}")]
    Refused {
        /// Not 0.
        accept_code: u32,
    },
    /// There was no answer in time.
    #[error("the server did not answer in time")]
    Timeout,
    /// Another message came before the answer.
    #[error("{} came instead of the answer", found.name())]
    Unexpected {
        /// What came.
        found: MessageType,
    },
    /// The answer is for another session.
    #[error("the answer is for session {session_id}")]
    OtherSession {
        /// Which.
        session_id: u32,
    },
    /// The new connection ended first.
    #[error("{0}")]
    Path(#[source] PathEnd),
    /// The session ended first.
    #[error("the session ended first")]
    SessionOver,
}

/// Why a migration does not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MigrateMisuse {
    /// There is no session, or it ends.
    #[error("the session is not active")]
    NotActive,
    /// One is under way, or the last one's old connection still delivers.
    #[error("the session moves already: wait until that is over")]
    UnderWay,
    /// It is there already.
    #[error("the session is on this transport already")]
    SameTransport,
    /// Transports have to be named.
    #[error("name the transport")]
    UnspecifiedTransport,
    /// The path belongs to the session already.
    #[error("this path is in use")]
    PathInUse,
}

impl MigrateMisuse {
    pub(super) const fn check_transports(from: TransportId, to: TransportId) -> Result<(), Self> {
        if matches!(to, TransportId::Unspecified) || matches!(from, TransportId::Unspecified) {
            return Err(Self::UnspecifiedTransport);
        }
        if from as u32 == to as u32 {
            return Err(Self::SameTransport);
        }
        Ok(())
    }
}

/// How bad a path may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MonitorOptions {
    /// Samples that are looked at; nothing is said before there are as many.
    pub window: usize,
    /// Samples in a hundred that may have timed out.
    pub timeout_percent_max: u32,
    /// Bytes per second, the median, at least.
    pub throughput_min: Option<u64>,
    /// The time there and back, the median, at most.
    pub round_trip_max: Option<Duration>,
    /// The median of the differences between one round trip and the next, at most.
    pub jitter_max: Option<Duration>,
    /// So many bad samples in a row trigger.
    pub degraded_max: u32,
}

impl Default for MonitorOptions {
    /// 4 samples, 25 % of them timed out, nothing else, twice in a row.
    fn default() -> Self {
        Self {
            window: 4,
            timeout_percent_max: 25,
            throughput_min: None,
            round_trip_max: None,
            jitter_max: None,
            degraded_max: 2,
        }
    }
}

/// One measurement of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathSample {
    /// There was an answer.
    Answered {
        /// The time there and back.
        round_trip: Duration,
        /// Bytes per second.
        throughput: u64,
    },
    /// There was none in time.
    TimedOut,
}

/// What is bad about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Degraded {
    /// Too many samples timed out.
    TimeoutRate,
    /// It is too slow.
    Throughput,
    /// It takes too long.
    RoundTrip,
    /// It varies too much.
    Jitter,
}

/// Watches the path of a session, and says when it is time to move.
#[derive(Debug, Clone)]
pub struct MigrationMonitor {
    options: MonitorOptions,
    samples: VecDeque<PathSample>,
    degraded: Vec<Degraded>,
    degraded_in_a_row: u32,
}

impl MigrationMonitor {
    /// Without samples. A window holds at least one and at most 1024.
    #[must_use]
    pub fn new(options: MonitorOptions) -> Self {
        Self {
            options: MonitorOptions {
                window: options.window.clamp(1, 1024),
                ..options
            },
            samples: VecDeque::new(),
            degraded: Vec::new(),
            degraded_in_a_row: 0,
        }
    }

    /// Takes a sample, and says whether it is time to move.
    pub fn add(&mut self, sample: PathSample) -> bool {
        self.samples.push_back(sample);
        if self.samples.len() > self.options.window {
            self.samples.pop_front();
        }
        if self.samples.len() < self.options.window {
            return false;
        }
        self.degraded = self.evaluate();
        self.degraded_in_a_row = if self.degraded.is_empty() {
            0
        } else {
            self.degraded_in_a_row.saturating_add(1)
        };
        self.degraded_in_a_row >= self.options.degraded_max.max(1)
    }

    /// What was bad at the last sample, in a fixed order.
    #[must_use]
    pub fn degraded(&self) -> &[Degraded] {
        &self.degraded
    }

    fn evaluate(&self) -> Vec<Degraded> {
        let answered = self.samples.iter().filter_map(|sample| match sample {
            PathSample::Answered {
                round_trip,
                throughput,
            } => Some((*round_trip, *throughput)),
            PathSample::TimedOut => None,
        });
        let (round_trips, throughputs): (Vec<_>, Vec<_>) = answered.unzip();
        let timed_out = (self.samples.len() - round_trips.len()) as u64;
        let jitters = round_trips.windows(2).map(|pair| pair[0].abs_diff(pair[1]));
        let jitter = median(jitters.map(micros).collect());
        let round_trip = median(round_trips.iter().copied().map(micros).collect());
        let throughput = median(throughputs);
        let above = |found: Option<u64>, limit: Option<Duration>| {
            found
                .zip(limit)
                .is_some_and(|(found, limit)| found > micros(limit))
        };
        let limits = self.options;
        let rate_limit = u64::from(limits.timeout_percent_max) * self.samples.len() as u64;
        let is_slow = throughput
            .zip(limits.throughput_min)
            .is_some_and(|(found, limit)| found < limit);
        let checks = [
            (timed_out * 100 > rate_limit, Degraded::TimeoutRate),
            (is_slow, Degraded::Throughput),
            (
                above(round_trip, limits.round_trip_max),
                Degraded::RoundTrip,
            ),
            (above(jitter, limits.jitter_max), Degraded::Jitter),
        ];
        let bad = checks.into_iter().filter(|(is_bad, _)| *is_bad);
        bad.map(|(_, degraded)| degraded).collect()
    }
}

/// In µs, at most `u64::MAX`.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The middle value, or between the two middle ones, rounded down.
pub(super) fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *values.get(values.len() / 2 - 1)?;
    Some(lower.midpoint(upper))
}
