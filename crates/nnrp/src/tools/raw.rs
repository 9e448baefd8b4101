//! Packets as they are, without a session.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use nnrp_wire::session::{PathEnd, PathId, Transmit};
use nnrp_wire::{Envelope, Message, Packet, SplitLimits, TransportId, WireError};
use tokio::time::timeout;

use crate::link::{Link, Reader, Writer};

/// A link whose packets are read and written as they are: nothing is negotiated, answered or checked but that packets are
/// no longer than the limits. On QUIC a packet goes by the stream that its type has.
#[derive(Debug)]
pub struct RawLink {
    transport: TransportId,
    remote: Option<SocketAddr>,
    reader: RawReader,
    writer: RawWriter,
}

impl RawLink {
    /// Takes a link over that nothing else has read from.
    #[must_use]
    pub fn new(link: Link, limits: SplitLimits) -> Self {
        let (transport, remote) = (link.transport(), link.remote());
        let Link {
            mut reader, writer, ..
        } = link;
        reader.set_limits(limits);
        Self {
            transport,
            remote,
            reader: RawReader(reader),
            writer: RawWriter(writer),
        }
    }

    /// Which transport it is; any byte stream counts as TCP.
    #[must_use]
    pub const fn transport(&self) -> TransportId {
        self.transport
    }

    /// Where the other side is, if that is known.
    #[must_use]
    pub const fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// Its two halves, which never wait for each other.
    #[must_use]
    pub fn into_halves(self) -> (RawReader, RawWriter) {
        (self.reader, self.writer)
    }

    /// As [`RawReader::next`].
    ///
    /// # Errors
    /// As there.
    pub async fn next(&mut self) -> Result<Packet, PathEnd> {
        self.reader.next().await
    }

    /// Sends a message at once. If it is dropped, the message may be sent with the next one.
    ///
    /// # Errors
    /// If it cannot be written: it breaks a rule between its fields, or the link is broken.
    pub async fn send(&mut self, envelope: Envelope, message: Message) -> io::Result<()> {
        let queued = self.writer.queue_message(envelope, message);
        queued.map_err(io::Error::other)?;
        self.writer.flush().await
    }

    /// The next packet, while what was queued is written. If it is dropped, both go on with the next call.
    ///
    /// # Errors
    /// As [`RawReader::next`].
    pub async fn exchange(&mut self) -> Result<Packet, PathEnd> {
        let mut is_flushed = false;
        loop {
            tokio::select! {
                biased;
                packet = self.reader.next() => return packet,
                flushed = self.writer.flush(), if !is_flushed => {
                    flushed.map_err(|_| PathEnd::Lost)?;
                    is_flushed = true;
                }
            }
        }
    }

    /// To queue packets that [`Self::exchange`] writes.
    pub const fn writer(&mut self) -> &mut RawWriter {
        &mut self.writer
    }

    /// Writes what is left, and waits until the other side has ended it too, but no longer than this. If it is dropped, the
    /// link is closed as it is.
    pub async fn close(mut self, patience: Duration) {
        let closing = async {
            if self.writer.finish().await.is_ok() {
                self.reader.0.discard().await;
            }
        };
        // What could not be told by then is not waited for.
        let _ = timeout(patience, closing).await;
    }
}

/// What comes in.
#[derive(Debug)]
pub struct RawReader(Reader);

impl RawReader {
    /// The next packet. On QUIC, packets of different streams come in any order. Nothing is lost if it is dropped.
    ///
    /// # Errors
    /// If there is no more: the other side has ended it, it is broken, or what came is no packet.
    pub async fn next(&mut self) -> Result<Packet, PathEnd> {
        self.0.next().await
    }

    /// The next packet, if it is here already.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn try_next(&mut self) -> Result<Option<Packet>, PathEnd> {
        self.0.try_next()
    }
}

/// What goes out.
#[derive(Debug)]
pub struct RawWriter(Writer);

impl RawWriter {
    /// Whether another packet should be queued before a flush.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.0.has_room()
    }

    /// Takes a packet; it is on its way with the next flush.
    pub fn queue(&mut self, packet: &Packet) {
        self.0.queue_packet(packet);
    }

    /// Takes a message; it is on its way with the next flush.
    ///
    /// # Errors
    /// If it breaks a rule between its fields; nothing is queued then.
    pub fn queue_message(&mut self, envelope: Envelope, message: Message) -> Result<(), WireError> {
        let transmit = Transmit {
            path: PathId(0),
            envelope,
            message,
        };
        self.0.queue(&transmit).map(drop)
    }

    /// Writes what was queued: all of it on a byte stream; on QUIC, until there is room again. If it is dropped, the next
    /// one goes on where it was.
    ///
    /// # Errors
    /// If the link is broken.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.0.flush().await
    }

    /// Writes what is left, and tells the other side that nothing more comes: a half close on TCP, the end of the connection
    /// on QUIC. If it is dropped, another call goes on with it.
    ///
    /// # Errors
    /// If the link is broken.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.0.finish().await
    }
}
