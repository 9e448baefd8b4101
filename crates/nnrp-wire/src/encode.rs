//! Where packets are written to.

use std::io::IoSlice;
use std::ops::Range;

use bytes::Bytes;

use crate::field::{Fixed, align8};
use crate::header::Header;

/// Takes a packet's bytes, in order.
pub(crate) trait Sink {
    /// Copies.
    fn bytes(&mut self, bytes: &[u8]);

    /// May keep a reference instead.
    fn payload(&mut self, payload: &Bytes);

    fn zeros(&mut self, count: usize);

    fn fixed<T: Fixed>(&mut self, structure: &T);

    /// What a packet begins with; its header says how much more will come.
    fn head<M: Fixed>(&mut self, header: &Header, metadata: &M);

    /// What is missing to a multiple of 8 after so many bytes.
    #[inline]
    fn pad8(&mut self, bytes: u64) {
        self.zeros(usize::try_from(align8(bytes) - bytes).unwrap_or(0));
    }
}

impl Sink for Vec<u8> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    #[inline]
    fn payload(&mut self, payload: &Bytes) {
        // Most regions are empty.
        if !payload.is_empty() {
            self.extend_from_slice(payload);
        }
    }

    #[inline]
    fn zeros(&mut self, count: usize) {
        if count > 0 {
            self.resize(self.len() + count, 0);
        }
    }

    #[inline]
    fn fixed<T: Fixed>(&mut self, structure: &T) {
        let at = self.len();
        self.resize(at + T::BYTES, 0);
        structure.write(self, at);
    }

    #[inline]
    fn head<M: Fixed>(&mut self, header: &Header, metadata: &M) {
        self.reserve(usize::try_from(header.packet_bytes()).unwrap_or(usize::MAX));
        let at = self.len();
        self.resize(at + Header::BYTES + M::BYTES, 0);
        let room = self.get_mut(at..).unwrap_or_default();
        if let Some((first, rest)) = room.split_first_chunk_mut() {
            header.write(first);
            metadata.write(rest, 0);
        }
    }
}

/// A packet in pieces, for vectored writes: payloads are not copied, what is around them is.
///
/// It is meant to be used again and again; then nothing is allocated.
///
/// ```
/// use bytes::Bytes;
/// use nnrp_wire::{Envelope, Message, Pieces};
///
/// let payload = Bytes::from(vec![7; 100_000]);
/// let message = Message::Close(payload.clone());
/// let mut pieces = Pieces::default();
/// message.encode_pieces(&Envelope::default(), &mut pieces)?;
/// let slices: Vec<_> = pieces.slices().collect();
/// assert_eq!(slices[1].as_ptr(), payload.as_ptr());
/// # Ok::<(), nnrp_wire::WireError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pieces {
    copied: Vec<u8>,
    pieces: Vec<Piece>,
    bytes: usize,
    payload_bytes_min: usize,
}

impl Default for Pieces {
    fn default() -> Self {
        Self::with_payload_bytes_min(PAYLOAD_BYTES_MIN)
    }
}

#[derive(Debug, Clone)]
enum Piece {
    Copied(Range<usize>),
    Payload(Bytes),
}

/// How much was there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    copied: usize,
    pieces: usize,
    bytes: usize,
}

/// Copying less than this costs less than a slice of its own.
const PAYLOAD_BYTES_MIN: usize = 256;

impl Pieces {
    /// Payloads of fewer bytes are copied. Where many packets are written at once, copying small ones costs less than a
    /// slice for each; the default is 256.
    #[must_use]
    pub const fn with_payload_bytes_min(payload_bytes_min: usize) -> Self {
        Self {
            copied: Vec::new(),
            pieces: Vec::new(),
            bytes: 0,
            payload_bytes_min,
        }
    }

    /// Forgets the packets, keeps the memory.
    pub fn clear(&mut self) {
        self.copied.clear();
        self.pieces.clear();
        self.bytes = 0;
    }

    /// Bytes of the packets.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there is no packet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The pieces, in order.
    pub fn slices(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.pieces.iter().map(|piece| match piece {
            Piece::Copied(range) => self.copied.get(range.clone()).unwrap_or_default(),
            Piece::Payload(payload) => payload,
        })
    }

    /// The pieces as a vectored write takes them.
    pub fn io_slices(&self) -> impl ExactSizeIterator<Item = IoSlice<'_>> {
        self.slices().map(IoSlice::new)
    }

    /// What is there now, to come back to.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            copied: self.copied.len(),
            pieces: self.pieces.len(),
            bytes: self.bytes,
        }
    }

    /// What was added since is gone.
    pub(crate) fn go_back(&mut self, mark: &Mark) {
        self.copied.truncate(mark.copied);
        self.pieces.truncate(mark.pieces);
        self.bytes = mark.bytes;
        if let Some(Piece::Copied(range)) = self.pieces.last_mut() {
            range.end = mark.copied.min(range.end);
        }
    }

    /// The last piece grows if it was copied too.
    fn grow_copied(&mut self, count: usize) {
        let end = self.copied.len();
        self.bytes += count;
        match self.pieces.last_mut() {
            Some(Piece::Copied(range)) => range.end = end,
            _ => self.pieces.push(Piece::Copied(end - count..end)),
        }
    }
}

impl Sink for Pieces {
    fn bytes(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.copied.extend_from_slice(bytes);
            self.grow_copied(bytes.len());
        }
    }

    fn payload(&mut self, payload: &Bytes) {
        if payload.len() < self.payload_bytes_min {
            return self.bytes(payload);
        }
        self.bytes += payload.len();
        self.pieces.push(Piece::Payload(payload.clone()));
    }

    fn zeros(&mut self, count: usize) {
        if count > 0 {
            self.copied.zeros(count);
            self.grow_copied(count);
        }
    }

    fn fixed<T: Fixed>(&mut self, structure: &T) {
        self.copied.fixed(structure);
        self.grow_copied(T::BYTES);
    }

    #[inline]
    fn head<M: Fixed>(&mut self, header: &Header, metadata: &M) {
        let at = self.copied.len();
        self.copied.resize(at + Header::BYTES + M::BYTES, 0);
        let room = self.copied.get_mut(at..).unwrap_or_default();
        if let Some((first, rest)) = room.split_first_chunk_mut() {
            header.write(first);
            metadata.write(rest, 0);
        }
        self.grow_copied(Header::BYTES + M::BYTES);
    }
}
