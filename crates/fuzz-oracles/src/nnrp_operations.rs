//! Operations out of bytes.

use bytes::Bytes;
use nnrp_wire::{Envelope, Header, HeaderFlags, Message, MessageType, Packet};

/// What is left of an input; zeros behind its end.
pub(crate) struct Operations<'d> {
    data: &'d [u8],
}

impl<'d> Operations<'d> {
    /// The session that most packets are of.
    pub(crate) const SESSION_ID: u32 = 7;

    pub(crate) const fn new(data: &'d [u8]) -> Self {
        Self { data }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.data.split_first() else {
            return 0;
        };
        self.data = rest;
        *first
    }

    /// One of a few frames and views.
    pub(crate) fn ids(&mut self) -> (u32, u16) {
        let byte = self.byte();
        (u32::from(byte % 6), u16::from(byte >> 7))
    }

    /// Any packet: type, ids and flags, then its metadata, which begins with as many bytes as the next one says and ends
    /// in zeros, then its body likewise.
    pub(crate) fn packet(&mut self) -> Packet {
        let types = MessageType::ALL;
        let message_type = types[usize::from(self.byte()) % types.len()];
        let (frame_id, view_id) = self.ids();
        let which = self.byte();
        let header = Header {
            session_id: [Self::SESSION_ID, Self::SESSION_ID, 0, 8][usize::from(which % 4)],
            frame_id,
            view_id,
            flags: HeaderFlags::from_bits_retain(u32::from(which >> 2)),
            ..Header::new(message_type)
        };
        let mut metadata = self.take();
        metadata.resize(message_type.metadata_bytes(), 0);
        let body = self.take();
        // Neither is long.
        match Packet::new(header, metadata.into(), body.into()) {
            Ok(packet) => packet,
            Err(error) => panic!("{error}"),
        }
    }

    fn take(&mut self) -> Vec<u8> {
        let count = usize::from(self.byte()).min(self.data.len());
        let (taken, rest) = self.data.split_at(count);
        self.data = rest;
        taken.to_vec()
    }

    /// The packet of a message.
    pub(crate) fn packet_of(message: &Message) -> Option<Packet> {
        let mut bytes = Vec::new();
        let envelope = if matches!(message, Message::ClientHello(_)) {
            Envelope::default()
        } else {
            Envelope::session(Self::SESSION_ID)
        };
        message.encode(&envelope, &mut bytes).ok()?;
        Packet::decode(Bytes::from(bytes)).ok()
    }
}
