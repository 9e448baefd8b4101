//! Which transport is better. spec: nnrp-session 2.6

use std::cmp::Reverse;
use std::time::Duration;

use bytes::Bytes;

use super::migration::{median, micros};
use crate::message::{Message, TransportProbe};
use crate::metadata::{TransportProbeAckMetadata, TransportProbeMetadata};
use crate::numbers::TransportId;

/// One probe: a message on a connection of its own, without a hello, and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    probe_id: u32,
    payload_bytes: u32,
    sent_at: Duration,
}

/// What a probe has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeSample {
    /// Which probe.
    pub probe_id: u32,
    /// The time there and back, in µs, at least 1.
    pub round_trip_us: u64,
    /// Bytes per second.
    pub throughput: u64,
}

impl Probe {
    /// Bytes of a payload unless told otherwise.
    pub const PAYLOAD_BYTES: u32 = 32 << 10;

    /// A probe and the message that makes it; `now` is when it is sent.
    #[must_use]
    pub fn begin(probe_id: u32, payload_bytes: u32, now: Duration) -> (Self, Message) {
        let message = Message::TransportProbe(TransportProbe {
            metadata: TransportProbeMetadata {
                probe_id,
                probe_payload_bytes: payload_bytes,
                client_send_ts_us: micros(now),
            },
            payload: Bytes::from(vec![b'P'; payload_bytes as usize]),
        });
        let probe = Self {
            probe_id,
            payload_bytes,
            sent_at: now,
        };
        (probe, message)
    }

    /// What the answer shows; `None` if it answers another probe.
    #[must_use]
    pub fn finish(&self, ack: &TransportProbeAckMetadata, now: Duration) -> Option<ProbeSample> {
        if ack.probe_id != self.probe_id {
            return None;
        }
        let round_trip_us = micros(now.saturating_sub(self.sent_at)).max(1);
        Some(ProbeSample {
            probe_id: self.probe_id,
            round_trip_us,
            throughput: u64::from(self.payload_bytes) * 1_000_000 / round_trip_us,
        })
    }
}

/// What the probes of a transport have shown together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSummary {
    /// Of which transport.
    pub transport: TransportId,
    /// Probes that were answered.
    pub successes: usize,
    /// Probes that were not.
    pub failures: usize,
    /// Bytes per second, the median.
    pub throughput: Option<u64>,
    /// The time there and back, in µs, the median.
    pub round_trip_us: Option<u64>,
    /// The sample that is closest to the median.
    pub representative: Option<ProbeSample>,
}

impl ProbeSummary {
    /// Of the probes that were answered, and the number of those that were not.
    #[must_use]
    pub fn new(transport: TransportId, samples: &[ProbeSample], failures: usize) -> Self {
        let throughput = median(samples.iter().map(|sample| sample.throughput).collect());
        let round_trip_us = median(samples.iter().map(|sample| sample.round_trip_us).collect());
        let closeness = |sample: &&ProbeSample| {
            let distance = throughput.map(|median| sample.throughput.abs_diff(median));
            (distance, sample.round_trip_us, sample.probe_id)
        };
        Self {
            transport,
            successes: samples.len(),
            failures,
            throughput,
            round_trip_us,
            representative: samples.iter().min_by_key(closeness).copied(),
        }
    }

    /// The better one: more successes, then more throughput, then a shorter way; QUIC if they are alike. `None` if none has
    /// a success.
    #[must_use]
    pub fn select(summaries: &[Self]) -> Option<&Self> {
        let rank = |summary: &&Self| {
            (
                summary.successes,
                summary.throughput,
                Reverse(summary.round_trip_us),
                summary.transport == TransportId::Quic,
            )
        };
        let with_success = summaries.iter().filter(|summary| summary.successes > 0);
        with_success.max_by_key(rank)
    }
}
