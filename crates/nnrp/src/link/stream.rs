//! One byte stream for all packets: TCP, or TLS over it. spec: nnrp-session 1.2, 1.3

use std::future::poll_fn;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use nnrp_wire::session::{PathEnd, Transmit};
use nnrp_wire::{Header, Packet, Pieces, SplitLimits, Splitter, WireError};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes that a read asks for, at least and at most; between them, as much as has come lately.
const READ_BYTES_MIN: usize = 4 << 10;
const READ_BYTES_MAX: usize = 256 << 10;

/// A packet that misses so many bytes is read to where it will lie; it is not worth the calls for fewer.
const REST_BYTES_MIN: u64 = 32 << 10;

/// How many times its own bytes a packet may hold of the memory that it was read to.
const PINNED_MAX: usize = 4;

/// Bytes that are queued before they are written.
const WRITE_BYTES_MAX: usize = 256 << 10;

/// Payloads of fewer bytes are copied together.
const PAYLOAD_BYTES_MIN: usize = 8 << 10;

/// Slices of one write.
const SLICES_MAX: usize = 64;

pub(crate) struct StreamReader {
    io: Box<dyn AsyncRead + Send + Unpin>,
    splitter: Splitter,
    buffer: BytesMut,
    /// What has come and was not split up.
    chunk: Bytes,
    read_bytes: usize,
    /// Bytes of the memory that the chunk is part of.
    block_bytes: usize,
}

impl StreamReader {
    pub(crate) fn new(io: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self {
            io: Box::new(io),
            splitter: Splitter::new(SplitLimits::BEFORE_HELLO),
            buffer: BytesMut::new(),
            chunk: Bytes::new(),
            read_bytes: READ_BYTES_MIN,
            block_bytes: 0,
        }
    }

    pub(crate) const fn set_limits(&mut self, limits: SplitLimits) {
        self.splitter.set_limits(limits);
    }

    pub(crate) async fn next(&mut self) -> Result<Packet, PathEnd> {
        loop {
            if let Some(packet) = self.try_next()? {
                return Ok(packet);
            }
            self.fill().await?;
        }
    }

    pub(crate) fn try_next(&mut self) -> Result<Option<Packet>, PathEnd> {
        let is_in_chunk = self.splitter.buffered_bytes() == 0;
        let split = self.splitter.split(&mut self.chunk);
        let packet = split.map_err(PathEnd::Framing)?;
        Ok(packet.map(|packet| {
            if is_in_chunk && is_small(&packet, self.block_bytes) {
                copied(packet)
            } else {
                packet
            }
        }))
    }

    pub(crate) async fn discard(&mut self) {
        self.chunk = Bytes::new();
        let mut bytes = [0; 4096];
        while self.io.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    }

    async fn fill(&mut self) -> Result<(), PathEnd> {
        if self.splitter.missing_bytes() >= REST_BYTES_MIN {
            return self.fill_rest().await;
        }
        if self.buffer.capacity() < self.read_bytes {
            self.buffer.reserve(self.read_bytes);
            self.block_bytes = self.buffer.capacity();
        }
        let read = self.io.read_buf(&mut self.buffer).await;
        let count = self.some_read(read)?;
        self.adapt(count);
        self.chunk = self.buffer.split().freeze();
        Ok(())
    }

    /// What a large packet misses goes to where it will lie.
    async fn fill_rest(&mut self) -> Result<(), PathEnd> {
        let read = match self.splitter.rest() {
            Some(mut rest) => self.io.read_buf(&mut rest).await,
            None => Ok(0),
        };
        self.some_read(read).map(drop)
    }

    fn some_read(&self, read: io::Result<usize>) -> Result<usize, PathEnd> {
        match read {
            Ok(0) if self.splitter.end().is_ok() => Err(PathEnd::Finished),
            Ok(0) | Err(_) => Err(PathEnd::Lost),
            Ok(count) => Ok(count),
        }
    }

    /// Idle connections hold little, busy ones make few calls.
    fn adapt(&mut self, count: usize) {
        if count >= self.read_bytes {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        } else if count < self.read_bytes / 8 {
            self.read_bytes = (self.read_bytes / 2).max(READ_BYTES_MIN);
        }
    }
}

/// Whether a packet that is kept would keep much more memory than its own.
fn is_small(packet: &Packet, block_bytes: usize) -> bool {
    let bytes = packet.bytes();
    bytes > Header::BYTES as u64 && bytes < (block_bytes / PINNED_MAX) as u64
}

/// In memory of its own.
fn copied(packet: Packet) -> Packet {
    let metadata_bytes = packet.metadata().len();
    let mut bytes = Vec::with_capacity(metadata_bytes + packet.body().len());
    bytes.extend_from_slice(packet.metadata());
    bytes.extend_from_slice(packet.body());
    let mut body = Bytes::from(bytes);
    let metadata = body.split_to(metadata_bytes);
    Packet::new(*packet.header(), metadata, body).unwrap_or(packet)
}

impl std::fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamReader").finish_non_exhaustive()
    }
}

pub(crate) struct StreamWriter {
    io: Box<dyn AsyncWrite + Send + Unpin>,
    pieces: Pieces,
    /// Bytes of them that are written.
    written: usize,
    /// Bytes that were written ever.
    progress: u64,
}

impl StreamWriter {
    pub(crate) fn new(io: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        Self {
            io: Box::new(io),
            pieces: Pieces::with_payload_bytes_min(PAYLOAD_BYTES_MIN),
            written: 0,
            progress: 0,
        }
    }

    pub(crate) const fn has_room(&self) -> bool {
        self.pieces.len() < WRITE_BYTES_MAX
    }

    pub(crate) const fn queued_bytes(&self) -> usize {
        self.pieces.len()
    }

    pub(crate) const fn unsent_bytes(&self) -> usize {
        self.pieces.len() - self.written
    }

    pub(crate) fn queue(&mut self, transmit: &Transmit) -> Result<(), WireError> {
        transmit
            .message
            .append_pieces(&transmit.envelope, &mut self.pieces)
    }

    pub(crate) fn queue_packet(&mut self, packet: &Packet) {
        packet.append_pieces(&mut self.pieces);
    }

    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        while self.written < self.pieces.len() {
            let count = self.write_some().await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.written += count;
            self.progress += count as u64;
        }
        self.pieces.clear();
        self.written = 0;
        self.io.flush().await
    }

    async fn write_some(&mut self) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        let mut skip = self.written;
        for slice in self.pieces.slices() {
            if skip >= slice.len() {
                skip -= slice.len();
                continue;
            }
            let Some(place) = slices.get_mut(count) else {
                break;
            };
            *place = IoSlice::new(slice.get(skip..).unwrap_or_default());
            skip = 0;
            count += 1;
        }
        let slices = slices.get(..count).unwrap_or_default();
        let io = &mut self.io;
        poll_fn(|context| Pin::new(&mut *io).poll_write_vectored(context, slices)).await
    }

    /// Changes as the other side makes room.
    pub(crate) const fn progress(&self) -> u64 {
        self.progress
    }

    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.io.shutdown().await
    }
}

impl std::fmt::Debug for StreamWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamWriter")
            .field("queued_bytes", &self.pieces.len())
            .field("written_bytes", &self.written)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use nnrp_wire::{Envelope, Message};
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// Whoever keeps one of many small packets does not keep what else was read with it.
    #[tokio::test]
    async fn small_packets_hold_little() {
        let mut sent = Vec::new();
        for _ in 0..512 {
            let close = Message::Close(Bytes::from_static(b"for no reason"));
            close.encode(&Envelope::session(1), &mut sent).unwrap();
        }
        let (mut near, far) = tokio::io::duplex(sent.len());
        near.write_all(&sent).await.unwrap();
        drop(near);
        let mut reader = StreamReader::new(far);
        let mut bodies = Vec::new();
        while let Ok(packet) = reader.next().await {
            bodies.push(packet.body().clone());
        }
        drop(reader);
        assert_eq!(bodies.len(), 512);
        assert!(bodies.iter().all(Bytes::is_unique));
    }
}
