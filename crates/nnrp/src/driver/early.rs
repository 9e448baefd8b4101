//! Packets that have overtaken the one that begins the session on their link, as happens on QUIC.

use std::collections::VecDeque;

use nnrp_wire::Packet;

/// How many are kept.
const PACKETS_MAX: usize = 256;

/// Their bytes.
const BYTES_MAX: u64 = 4 << 20;

/// They are offered again in their order, once another packet was taken. Then they are packets like any other.
#[derive(Debug, Default)]
pub(super) struct Early {
    packets: VecDeque<Packet>,
    bytes: u64,
    /// They are being offered: the last one given out may come back.
    is_due: bool,
}

impl Early {
    /// Those are offered first.
    pub(super) fn new(packets: Vec<Packet>) -> Self {
        Self {
            bytes: packets.iter().map(Packet::bytes).sum(),
            is_due: !packets.is_empty(),
            packets: packets.into(),
        }
    }

    /// It is too early for this one. Says whether there is room for it.
    pub(super) fn keep(&mut self, packet: Packet) -> bool {
        let bytes = self.bytes + packet.bytes();
        if std::mem::take(&mut self.is_due) {
            self.packets.push_front(packet);
        } else if self.packets.len() < PACKETS_MAX && bytes <= BYTES_MAX {
            self.packets.push_back(packet);
        } else {
            return false;
        }
        self.bytes = bytes;
        true
    }

    /// Another packet was taken: the first is worth another try.
    pub(super) fn offer(&mut self) {
        self.is_due |= !self.packets.is_empty();
    }

    /// The next one that is to be offered.
    pub(super) fn next(&mut self) -> Option<Packet> {
        if !self.is_due {
            return None;
        }
        let packet = self.packets.pop_front();
        self.is_due = packet.is_some();
        self.bytes -= packet.as_ref().map_or(0, Packet::bytes);
        packet
    }

    /// How many were not taken, with the one that is given out.
    pub(super) fn count(&self) -> u64 {
        self.packets.len() as u64 + u64::from(self.is_due)
    }
}
