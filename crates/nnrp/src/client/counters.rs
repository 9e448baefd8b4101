//! What is counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nnrp_wire::session::{ClientCounters, ClientSession, FrameCounts, FrameOutcome};

use super::submit::Refused;
use crate::driver::Traffic;

/// What a session has done, the ones before it that it replaced included.
///
/// At each moment `frames.submitted` = `frames.done_total()` + `frames.in_flight`: each submitted frame is in flight or has
/// ended, once, as one [`FrameOutcome`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SessionCounters {
    /// Frames, by how they ended.
    pub frames: FrameCounts,
    /// Packets that came, and what was left out of them and why.
    pub packets: ClientCounters,
    /// What went over the connections.
    pub traffic: Traffic,
    /// Submits that had to wait for credit, or were refused for want of it.
    pub credit_stalls: u64,
    /// Submits that had to wait for room: behind what is to be sent, or among the frames in flight.
    pub room_stalls: u64,
    /// Answers to PINGs.
    pub round_trips: RoundTrips,
    /// Results, hints and ends that wait to be received.
    pub waiting_items: usize,
    /// Bytes of their bodies, and 512 more for each.
    pub waiting_bytes: u64,
    /// Results, hints and ends that were left out, as their frame was forgotten by whoever wanted it.
    pub discarded: u64,
    /// How often the session has moved to another transport.
    pub migrations: u64,
    /// How often a new session was begun for a lost one.
    pub reconnects: u64,
}

/// Times there and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RoundTrips {
    /// How many.
    pub count: u64,
    /// The last one.
    pub last: Duration,
    /// The shortest.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
    /// All together.
    pub total: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Stats {
    credit_stalls: AtomicU64,
    room_stalls: AtomicU64,
    migrations: AtomicU64,
    reconnects: AtomicU64,
    past: Mutex<Past>,
}

/// Of sessions that are over; and of pings, which are few.
#[derive(Debug, Default)]
struct Past {
    frames: FrameCounts,
    packets: ClientCounters,
    traffic: Traffic,
    round_trips: RoundTrips,
}

impl Stats {
    pub(super) fn stalled(&self, why: &Refused) {
        let counter = if why.is_for_credit() {
            &self.credit_stalls
        } else {
            &self.room_stalls
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn migrated(&self) {
        self.migrations.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn reconnected(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn round_trip(&self, took: Duration) {
        let trips = &mut self.past().round_trips;
        trips.min = if trips.count == 0 {
            took
        } else {
            trips.min.min(took)
        };
        trips.count += 1;
        trips.last = took;
        trips.max = trips.max.max(took);
        trips.total = trips.total.saturating_add(took);
    }

    /// A session is over.
    pub(super) fn add(&self, machine: &ClientSession) {
        let mut past = self.past();
        past.frames = sum_frames(&past.frames, &machine.frames());
        past.packets = sum_packets(&past.packets, &machine.counters());
    }

    /// It is replaced by another one.
    pub(super) fn add_traffic(&self, traffic: Traffic) {
        self.past().traffic += traffic;
    }

    /// With what is counted of the session that is not over.
    pub(super) fn snapshot(
        &self,
        current: Option<(FrameCounts, ClientCounters)>,
    ) -> SessionCounters {
        let past = self.past();
        let (frames, packets) = current.unwrap_or_default();
        SessionCounters {
            frames: sum_frames(&past.frames, &frames),
            packets: sum_packets(&past.packets, &packets),
            traffic: past.traffic,
            credit_stalls: self.credit_stalls.load(Ordering::Relaxed),
            room_stalls: self.room_stalls.load(Ordering::Relaxed),
            round_trips: past.round_trips,
            migrations: self.migrations.load(Ordering::Relaxed),
            reconnects: self.reconnects.load(Ordering::Relaxed),
            ..SessionCounters::default()
        }
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sum_frames(a: &FrameCounts, b: &FrameCounts) -> FrameCounts {
    FrameCounts {
        submitted: a.submitted + b.submitted,
        pending: a.pending + b.pending,
        in_flight: a.in_flight + b.in_flight,
        done: FrameOutcome::ALL.map(|outcome| a.done_as(outcome) + b.done_as(outcome)),
        cancelling: a.cancelling + b.cancelling,
    }
}

const fn sum_packets(a: &ClientCounters, b: &ClientCounters) -> ClientCounters {
    let mut sum = *a;
    sum.packets += b.packets;
    sum.foreign += b.foreign;
    sum.late += b.late;
    sum.unknown += b.unknown;
    sum.duplicate += b.duplicate;
    sum.unexpected += b.unexpected;
    sum.undecodable += b.undecodable;
    sum.ignored_updates += b.ignored_updates;
    sum.credit_stalls += b.credit_stalls;
    sum.not_kept += b.not_kept;
    sum
}
