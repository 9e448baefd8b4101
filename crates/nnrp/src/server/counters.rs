//! What was counted. Nothing is refused or lost that is not.

use nnrp_wire::session::{FrameCounts, MigrateRefusal, ServerCounters, SubmitFault};

use super::drops::DropReason;
use crate::driver::Traffic;

/// Of one session, until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionCounters {
    /// Frames that were taken, by how they ended. Those that ended as
    /// [`Dropped`](nnrp_wire::session::FrameOutcome::Dropped) are told apart by [`Tallies::dropped`].
    pub frames: FrameCounts,
    /// Packets, and what was refused of them.
    pub packets: ServerCounters,
    /// Why frames were not taken, or dropped.
    pub tallies: Tallies,
    /// What has gone over its connections.
    pub traffic: Traffic,
}

/// What was counted by its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tallies {
    refused: [u64; FAULTS.len() + 1],
    dropped: [u64; DropReason::ALL.len()],
    /// Frames whose handler panicked.
    pub panicked: u64,
    /// Results that were not last and were left out: nobody had room for them, and they are not worth waiting for.
    pub left_out: u64,
    /// Times that a result waited for the client, or for room.
    pub stalls: u64,
    /// Answers to frames that had ended.
    pub late: u64,
    /// Errors that the client reported.
    pub reported: u64,
    /// Times that the session moved.
    pub migrations: u64,
}

/// Those that are known.
const FAULTS: [SubmitFault; 10] = [
    SubmitFault::Foreign,
    SubmitFault::Draining,
    SubmitFault::Duplicate,
    SubmitFault::OldPath,
    SubmitFault::TooMany,
    SubmitFault::TooLarge,
    SubmitFault::UnsupportedKinds,
    SubmitFault::CancelledEarly,
    SubmitFault::CacheMiss,
    SubmitFault::Malformed,
];

impl Tallies {
    /// Submits that were not taken, by why.
    pub fn refused(&self) -> impl Iterator<Item = (SubmitFault, u64)> + '_ {
        FAULTS.into_iter().zip(self.refused)
    }

    /// Submits that were not taken for this reason.
    #[must_use]
    pub fn refused_as(&self, fault: SubmitFault) -> u64 {
        let mut all = self.refused();
        all.find(|(other, _)| *other == fault)
            .map_or(0, |(_, count)| count)
    }

    /// Frames that were dropped, by why.
    pub fn dropped(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.into_iter().zip(self.dropped)
    }

    /// Frames that were dropped for this reason.
    #[must_use]
    pub const fn dropped_as(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    pub(super) fn refuse(&mut self, fault: SubmitFault) {
        // One that is not known here has a place of its own.
        let place = FAULTS.iter().position(|other| *other == fault);
        self.refused[place.unwrap_or(FAULTS.len())] += 1;
    }

    pub(super) const fn drop(&mut self, reason: DropReason) {
        self.dropped[reason as usize] += 1;
    }

    /// Adds those of another session.
    pub(super) fn add(&mut self, other: &Self) {
        let pairs = self.refused.iter_mut().zip(other.refused);
        pairs.for_each(|(count, more)| *count += more);
        let pairs = self.dropped.iter_mut().zip(other.dropped);
        pairs.for_each(|(count, more)| *count += more);
        self.panicked += other.panicked;
        self.left_out += other.left_out;
        self.stalls += other.stalls;
        self.late += other.late;
        self.reported += other.reported;
        self.migrations += other.migrations;
    }
}

/// Why a connection got no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refused {
    /// There were too many connections whose hello was being decided on, or the server stops.
    Busy,
    /// It had said no hello, and gave way to a newer connection: there were too many.
    Displaced,
    /// There were as many sessions as may be.
    SessionsFull,
    /// The hello hook said so.
    ByHook,
    /// The hello hook's answer could not be sent.
    Unusable,
    /// What came was no hello, or none in time.
    Protocol,
    /// It ended first.
    Ended,
    /// It was to take over a session, and may not.
    Migration(MigrateRefusal),
}

/// Of a whole server, until now. What is counted by session is added when it has ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerTotals {
    /// Connections that came.
    pub connections: u64,
    /// Sessions that began.
    pub sessions: u64,
    /// Sessions that moved.
    pub migrations: u64,
    /// Sessions that have ended.
    pub ended: u64,
    /// Frames of these, by how they ended.
    pub frames: FrameCounts,
    /// Why frames of these were not taken, or dropped.
    pub tallies: Tallies,
    /// What has gone over the connections of these.
    pub traffic: Traffic,
    refused: Vec<(Refused, u64)>,
}

impl ServerTotals {
    /// Connections that got no session, by why; what never happened is not there.
    #[must_use]
    pub fn refused(&self) -> &[(Refused, u64)] {
        &self.refused
    }

    /// Connections that got no session for this reason.
    #[must_use]
    pub fn refused_as(&self, why: Refused) -> u64 {
        let mut all = self.refused.iter();
        all.find(|(other, _)| *other == why)
            .map_or(0, |(_, count)| *count)
    }

    pub(super) fn refuse(&mut self, why: Refused) {
        match self.refused.iter_mut().find(|(other, _)| *other == why) {
            Some((_, count)) => *count += 1,
            None => self.refused.push((why, 1)),
        }
    }

    pub(super) fn add(&mut self, session: &SessionCounters) {
        self.ended += 1;
        self.tallies.add(&session.tallies);
        self.traffic += session.traffic;
        let frames = &session.frames;
        self.frames.submitted += frames.submitted;
        let pairs = self.frames.done.iter_mut().zip(frames.done);
        pairs.for_each(|(count, more)| *count += more);
    }
}
