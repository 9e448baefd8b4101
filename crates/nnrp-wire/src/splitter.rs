//! Packets out of a byte stream, whatever way it was cut. spec: nnrp-wire 1.4, nnrp-session 1.2
//!
//! There is nothing between packets and nothing to find the next one by: what is no header ends the stream for good.

use bytes::{Buf as _, BufMut, Bytes};

use crate::error::{Category, WireError};
use crate::header::Header;
use crate::numbers::MessageType;
use crate::packet::Packet;

/// How long packets may be. Looked at as soon as a header is there, before anything of its packet is kept.
///
/// The reference has no limits: one header makes it wait for 8 GiB (Q3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SplitLimits {
    /// Bytes of a body at most.
    pub body_bytes_max: u32,
    /// Bytes of a probe's body at most, which measures a transport before anything is negotiated.
    pub probe_bytes_max: u32,
    /// Bytes of metadata at most, where any length is taken.
    pub metadata_bytes_max: u32,
    /// Whether metadata may be of another length than its message type's. The reference leaves that to whoever reads the
    /// message, and ignores it where a message has none (Q2).
    pub any_metadata_length: bool,
}

impl SplitLimits {
    /// Before a hello was accepted: 64 KiB, and 1 MiB for probes. spec: nnrp-session 12
    pub const BEFORE_HELLO: Self = Self {
        body_bytes_max: 64 << 10,
        probe_bytes_max: 1 << 20,
        metadata_bytes_max: 1 << 10,
        any_metadata_length: false,
    };

    /// With a session: what the hello's answer says; 0 there is taken as what the reference has, 32 MiB.
    #[must_use]
    pub const fn session(max_body_bytes: u32) -> Self {
        let body_bytes_max = if max_body_bytes == 0 {
            32 << 20
        } else {
            max_body_bytes
        };
        Self {
            body_bytes_max,
            ..Self::BEFORE_HELLO
        }
    }

    const fn body_limit(&self, message_type: MessageType) -> u32 {
        if matches!(message_type, MessageType::TransportProbe) {
            return self.probe_bytes_max;
        }
        self.body_bytes_max
    }

    fn check(&self, header: &Header) -> Result<(), WireError> {
        let metadata_bytes = header.message_type.metadata_bytes() as u64;
        if !self.any_metadata_length && u64::from(header.meta_len) != metadata_bytes {
            let error = WireError::new(Category::MetadataLengthMismatch, "meta_len").at(12);
            return Err(error
                .found(u64::from(header.meta_len))
                .limit(metadata_bytes));
        }
        let above = |what, at, found: u32, limit: u32| {
            let error = WireError::new(Category::LimitExceeded, what).at(at);
            Err(error.found(u64::from(found)).limit(u64::from(limit)))
        };
        if self.any_metadata_length && header.meta_len > self.metadata_bytes_max {
            return above("meta_len", 12, header.meta_len, self.metadata_bytes_max);
        }
        let body_limit = self.body_limit(header.message_type);
        if header.body_len > body_limit {
            return above("body_len", 16, header.body_len, body_limit);
        }
        Ok(())
    }
}

/// Cuts the packets out of one byte stream: a TCP connection, or a QUIC stream.
///
/// A packet that lies in one chunk is a slice of it. One that does not is put together in a buffer that grows with the
/// bytes that came: never to more than twice of them (or 16 KiB more, with [`Splitter::rest`]), nor to more than the packet
/// has.
///
/// ```
/// use bytes::Bytes;
/// use nnrp_wire::{Envelope, Message, SplitLimits, Splitter};
///
/// let mut stream = Vec::new();
/// Message::Ping.encode(&Envelope::session(7), &mut stream)?;
/// Message::Close("done".into()).encode(&Envelope::session(7), &mut stream)?;
///
/// let mut splitter = Splitter::new(SplitLimits::BEFORE_HELLO);
/// let mut packets = Vec::new();
/// for chunk in stream.chunks(7) {
///     let mut chunk = Bytes::copy_from_slice(chunk);
///     while let Some(packet) = splitter.split(&mut chunk)? {
///         packets.push(packet);
///     }
/// }
/// splitter.end()?;
/// assert_eq!(packets.len(), 2);
/// # Ok::<(), nnrp_wire::WireError>(())
/// ```
#[derive(Debug)]
pub struct Splitter {
    limits: SplitLimits,
    /// The beginning of a packet, if it came without its end.
    begun: Vec<u8>,
    /// Its header, if that is whole.
    header: Option<Header>,
    dead: Option<WireError>,
}

impl Splitter {
    /// At the beginning of a stream.
    #[must_use]
    pub const fn new(limits: SplitLimits) -> Self {
        Self {
            limits,
            begun: Vec::new(),
            header: None,
            dead: None,
        }
    }

    /// Other limits, for packets whose header has not come yet.
    pub const fn set_limits(&mut self, limits: SplitLimits) {
        self.limits = limits;
    }

    /// Takes the next packet off `chunk`. `None` means that all of the chunk was taken and more is needed.
    ///
    /// # Errors
    /// As [`Header::decode`]; [`Category::MetadataLengthMismatch`] and [`Category::LimitExceeded`] as soon as the header is
    /// there. The stream is dead then, and says the same again each time.
    pub fn split(&mut self, chunk: &mut Bytes) -> Result<Option<Packet>, WireError> {
        if let Some(error) = self.dead {
            return Err(error);
        }
        let split = self.next_packet(chunk);
        if let Err(error) = split {
            self.dead = Some(error);
            self.begun = Vec::new();
        }
        split
    }

    /// Says whether the stream may end here.
    ///
    /// # Errors
    /// What made the stream dead; [`Category::HeaderTruncated`] or [`Category::PacketTruncated`] inside a packet.
    pub fn end(&self) -> Result<(), WireError> {
        if let Some(error) = self.dead {
            return Err(error);
        }
        let (category, limit) = match self.header {
            None if self.begun.is_empty() => return Ok(()),
            None => (Category::HeaderTruncated, Header::BYTES as u64),
            Some(header) => (Category::PacketTruncated, header.packet_bytes()),
        };
        let error = WireError::new(category, "stream").at(0);
        Err(error.found(self.begun.len() as u64).limit(limit))
    }

    /// Bytes of a packet that came without its end.
    #[must_use]
    pub const fn buffered_bytes(&self) -> usize {
        self.begun.len()
    }

    /// Bytes that are set aside for it.
    #[must_use]
    pub const fn buffer_capacity(&self) -> usize {
        self.begun.capacity()
    }

    /// Bytes that the packet is known to miss, so that they can be read at once; 0 between packets.
    #[must_use]
    pub fn missing_bytes(&self) -> u64 {
        let whole = match self.header {
            None if self.begun.is_empty() => 0,
            None => Header::BYTES as u64,
            Some(header) => header.packet_bytes(),
        };
        whole.saturating_sub(self.begun.len() as u64)
    }

    /// Where the rest of a packet can be read to, so that it need not be copied: no more than it misses. `None` between
    /// packets, and before a header is whole. [`Self::split`] with an empty chunk says then whether it is complete.
    ///
    /// ```
    /// use bytes::{BufMut, Bytes};
    /// use nnrp_wire::{Envelope, Message, SplitLimits, Splitter};
    ///
    /// let mut stream = Vec::new();
    /// Message::Close(Bytes::from(vec![7; 10_000])).encode(&Envelope::session(7), &mut stream)?;
    /// let (begin, mut rest) = stream.split_at(1_000);
    ///
    /// let mut splitter = Splitter::new(SplitLimits::BEFORE_HELLO);
    /// assert_eq!(splitter.split(&mut Bytes::copy_from_slice(begin))?, None);
    /// while splitter.missing_bytes() > 0 {
    ///     let Some(mut room) = splitter.rest() else { break };
    ///     let (bytes, more) = rest.split_at(room.remaining_mut().min(rest.len()));
    ///     room.put_slice(bytes);
    ///     drop(room);
    ///     rest = more;
    ///     if let Some(packet) = splitter.split(&mut Bytes::new())? {
    ///         assert_eq!(packet.body().len(), 10_000);
    ///     }
    /// }
    /// # Ok::<(), nnrp_wire::WireError>(())
    /// ```
    #[must_use]
    pub fn rest(&mut self) -> Option<impl BufMut + '_> {
        let whole = self.header?.packet_bytes();
        let present = self.begun.len();
        let missing = whole.saturating_sub(present as u64);
        let missing = usize::try_from(missing).unwrap_or(usize::MAX);
        if self.begun.capacity() == present {
            let more = present.max(REST_BYTES_MIN).min(missing);
            self.begun.reserve_exact(more);
        }
        let room = missing.min(self.begun.capacity() - present);
        Some((&mut self.begun).limit(room))
    }

    fn next_packet(&mut self, chunk: &mut Bytes) -> Result<Option<Packet>, WireError> {
        if self.begun.is_empty() {
            if chunk.len() >= Header::BYTES {
                let header = self.checked_header(chunk)?;
                if let Some(bytes) = whole_packet(&header, chunk.len()) {
                    return Ok(Some(Packet::split(header, chunk.split_to(bytes))));
                }
                self.header = Some(header);
            }
            self.take(
                chunk,
                self.header
                    .map_or(Header::BYTES as u64, |header| header.packet_bytes()),
            );
            return Ok(None);
        }
        if self.header.is_none() {
            self.take(chunk, Header::BYTES as u64);
            if self.begun.len() < Header::BYTES {
                return Ok(None);
            }
            self.header = Some(self.checked_header(&self.begun)?);
        }
        Ok(self.complete(chunk))
    }

    fn checked_header(&self, bytes: &[u8]) -> Result<Header, WireError> {
        let header = Header::decode(bytes)?;
        self.limits.check(&header)?;
        Ok(header)
    }

    /// The header is known, and some of the packet is in the buffer.
    fn complete(&mut self, chunk: &mut Bytes) -> Option<Packet> {
        let header = self.header?;
        self.take(chunk, header.packet_bytes());
        whole_packet(&header, self.begun.len())?;
        self.header = None;
        let bytes = std::mem::take(&mut self.begun);
        Some(Packet::split(header, bytes.into()))
    }

    /// Copies what is missing to so many bytes, as far as it has come.
    fn take(&mut self, chunk: &mut Bytes, whole_bytes: u64) {
        let missing = whole_bytes.saturating_sub(self.begun.len() as u64);
        let missing = usize::try_from(missing).unwrap_or(usize::MAX);
        let count = missing.min(chunk.len());
        if self.begun.capacity() - self.begun.len() < count {
            // Twice of what is there, so that small cuts do not copy it over and over.
            let present = self.begun.len() + count;
            self.begun.reserve_exact(present.max(count).min(missing));
        }
        self.begun.extend_from_slice(&chunk[..count]);
        chunk.advance(count);
    }
}

/// Bytes that a read is worth.
const REST_BYTES_MIN: usize = 16 << 10;

/// Bytes of the packet, if that many are there.
fn whole_packet(header: &Header, bytes: usize) -> Option<usize> {
    let whole = usize::try_from(header.packet_bytes()).ok()?;
    (bytes >= whole).then_some(whole)
}
