//! Many sessions with one server: idle ones, and ones that all get what one sender sends.

use std::path::PathBuf;

use anyhow::Context;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::{Outcome, Transport};

/// Sessions that are opened and then left alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Idle {
    /// What carries them.
    pub transport: Transport,
    /// Where the server listens.
    pub address: String,
    /// The folder with the server's certificate.
    pub certificate: PathBuf,
    /// How many.
    pub sessions: usize,
}

/// One sender, and what it sends to all receivers at once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FanOut {
    /// What carries the messages.
    pub transport: Transport,
    /// Where the sender listens.
    pub address: String,
    /// The folder with the sender's certificate.
    pub certificate: PathBuf,
    /// Sessions that get each message.
    pub receivers: usize,
    /// Of each message; it begins with [`Self::stamp`].
    pub payload_bytes: usize,
    /// How many messages each receiver gets in a second.
    pub per_second: u32,
    /// How many it gets in all.
    pub messages: usize,
}

impl FanOut {
    /// How long a stamp is.
    pub const STAMP_BYTES: usize = 8;

    /// The time now, for the start of a message: the same clock in all processes.
    ///
    /// # Errors
    /// The system has no such clock.
    pub fn stamp() -> anyhow::Result<[u8; Self::STAMP_BYTES]> {
        Ok(now_ns()?.to_be_bytes())
    }

    /// How long ago a message was stamped, in ns.
    ///
    /// # Errors
    /// It has no stamp.
    pub fn age_ns(message: &[u8]) -> anyhow::Result<u64> {
        let stamp = message.first_chunk().context("a message without a stamp")?;
        Ok(now_ns()?.saturating_sub(u64::from_be_bytes(*stamp)))
    }

    /// Of all messages, from the times they took.
    #[must_use]
    pub fn outcome(&self, mut ages_ns: Vec<u64>) -> Option<Outcome> {
        ages_ns.sort_unstable();
        let at = |hundredths: usize| {
            let index = (ages_ns.len().checked_sub(1)?) * hundredths / 100;
            Some(*ages_ns.get(index)? as f64 / 1e3)
        };
        Some(Outcome {
            frames: ages_ns.len(),
            frames_in_all: ages_ns.len(),
            seconds: self.messages as f64 / f64::from(self.per_second),
            p50_us: at(50)?,
            p99_us: at(99)?,
        })
    }
}

fn now_ns() -> anyhow::Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(u64::try_from(now.tv_sec() * 1_000_000_000 + now.tv_nsec())?)
}
