//! What was different.

use std::fmt;

use nnrp_wire::session::PathEnd;
use nnrp_wire::{MessageType, Packet};

use super::Compare;

/// Differences that are kept; further ones are counted.
const DIFFERENCES_MAX: usize = 1000;

/// What came of playing a recording.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PlayReport {
    /// Packets that were sent.
    pub sent: u64,
    /// Packets that were not sent, as the other side had ended.
    pub not_sent: u64,
    /// Packets that came.
    pub received: u64,
    /// Of them, those that came then, too.
    pub met: u64,
    /// Of them, those that are not compared, as the recording ends early.
    pub beyond: u64,
    /// What was different, the first thousand of it.
    pub differences: Vec<Difference>,
    /// How much was different.
    pub difference_count: u64,
    /// How the other side ended, if it did so first.
    pub end: Option<PathEnd>,
}

/// Something that is not as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// What is.
    pub kind: DifferenceKind,
    /// The type of the packet that came then; or now, if none came then.
    pub message_type: MessageType,
    /// Its frame.
    pub frame_id: u32,
    /// Its view.
    pub view_id: u16,
}

/// What is not as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DifferenceKind {
    /// It did not come.
    Missing,
    /// It did not come then.
    Unexpected,
    /// It is of another type now.
    Type {
        /// Which.
        now: MessageType,
    },
    /// Flags, route or trace are others.
    Header,
    /// Its body is as long, or not, and another one.
    Body {
        /// The first byte that differs.
        at: usize,
        /// How long it was.
        then_bytes: usize,
        /// How long it is.
        now_bytes: usize,
    },
}

impl PlayReport {
    /// Whether all was as it was.
    #[must_use]
    pub const fn is_same(&self) -> bool {
        self.difference_count == 0 && self.not_sent == 0
    }

    pub(super) fn missing<'p>(&mut self, packets: impl Iterator<Item = &'p Packet>) {
        for packet in packets {
            self.differs(packet, DifferenceKind::Missing);
        }
    }

    pub(super) fn unexpected(&mut self, packet: &Packet) {
        self.differs(packet, DifferenceKind::Unexpected);
    }

    pub(super) fn compare(&mut self, then: &Packet, now: &Packet, compare: Compare) {
        self.met += 1;
        let (old, new) = (then.header(), now.header());
        if old.message_type != new.message_type {
            let kind = DifferenceKind::Type {
                now: new.message_type,
            };
            return self.differs(then, kind);
        }
        let is_exact = compare == Compare::Bytes && old.message_type != MessageType::ServerHelloAck;
        if !is_exact {
            return;
        }
        if (old.flags, old.route_id, old.trace_id) != (new.flags, new.route_id, new.trace_id) {
            self.differs(then, DifferenceKind::Header);
        }
        if then.body() != now.body() {
            let mut bytes = then.body().iter().zip(now.body());
            let shorter = then.body().len().min(now.body().len());
            let kind = DifferenceKind::Body {
                at: bytes.position(|(old, new)| old != new).unwrap_or(shorter),
                then_bytes: then.body().len(),
                now_bytes: now.body().len(),
            };
            self.differs(then, kind);
        }
    }

    fn differs(&mut self, packet: &Packet, kind: DifferenceKind) {
        self.difference_count += 1;
        if self.differences.len() < DIFFERENCES_MAX {
            let header = packet.header();
            self.differences.push(Difference {
                kind,
                message_type: header.message_type,
                frame_id: header.frame_id,
                view_id: header.view_id,
            });
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message_type.name())?;
        if self.frame_id != 0 {
            write!(f, " of frame {}", self.frame_id)?;
        }
        if self.view_id != 0 {
            write!(f, " view {}", self.view_id)?;
        }
        match self.kind {
            DifferenceKind::Missing => f.write_str(" did not come"),
            DifferenceKind::Unexpected => f.write_str(" came, and did not then"),
            DifferenceKind::Type { now } => write!(f, " is {} now", now.name()),
            DifferenceKind::Header => f.write_str(": flags, route or trace are others"),
            DifferenceKind::Body {
                at,
                then_bytes,
                now_bytes,
            } => write!(
                f,
                ": the body differs from byte {at} on ({then_bytes} bytes then, {now_bytes} now)"
            ),
        }
    }
}
