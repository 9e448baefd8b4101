//! Transport connections, each in two halves that never wait for each other. spec: nnrp-session 1, 12
//!
//! A half that waits for the other stops a session for good: both sides write, neither reads, and no window ever opens.

mod quic;
mod stream;

use std::net::SocketAddr;

use nnrp_wire::session::{PathEnd, Transmit};
use nnrp_wire::{Packet, SplitLimits, TransportId, WireError};
use tokio::io::{AsyncRead, AsyncWrite};

use self::quic::{QuicReader, QuicWriter};
use self::stream::{StreamReader, StreamWriter};

/// A transport connection that packets go over: TCP, TLS, QUIC, or any byte stream.
#[derive(Debug)]
pub struct Link {
    transport: TransportId,
    remote: Option<SocketAddr>,
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
}

impl Link {
    /// Over a byte stream of your own, as if it were TCP: an in-memory pipe, a Unix socket, another kind of TLS.
    pub fn from_stream(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let (read, write) = tokio::io::split(stream);
        Self::from_halves(read, write, None)
    }

    pub(crate) fn from_halves(
        read: impl AsyncRead + Send + Unpin + 'static,
        write: impl AsyncWrite + Send + Unpin + 'static,
        remote: Option<SocketAddr>,
    ) -> Self {
        Self {
            transport: TransportId::Tcp,
            remote,
            reader: Reader::Stream(Box::new(StreamReader::new(read))),
            writer: Writer::Stream(Box::new(StreamWriter::new(write))),
        }
    }

    /// Over a QUIC connection whose handshake is done, on either side of it.
    pub(crate) fn from_quic(connection: &quinn::Connection) -> Self {
        let (reader, writer) = quic::halves(connection);
        Self {
            transport: TransportId::Quic,
            remote: Some(connection.remote_address()),
            reader: Reader::Quic(Box::new(reader)),
            writer: Writer::Quic(Box::new(writer)),
        }
    }

    /// Which transport it is; any byte stream counts as TCP.
    #[must_use]
    pub const fn transport(&self) -> TransportId {
        self.transport
    }

    /// Counts as another transport. A session moves from one transport to another only, so that one that moves between two
    /// byte streams has to give one of them another name.
    #[must_use]
    pub const fn counted_as(mut self, transport: TransportId) -> Self {
        self.transport = transport;
        self
    }

    /// Where the other side is, if that is known.
    #[must_use]
    pub const fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }
}

/// What comes in.
#[derive(Debug)]
pub(crate) enum Reader {
    Stream(Box<StreamReader>),
    Quic(Box<QuicReader>),
}

impl Reader {
    /// The next packet. On QUIC, packets of different streams come in any order. Nothing is lost when it is dropped.
    pub(crate) async fn next(&mut self) -> Result<Packet, PathEnd> {
        match self {
            Self::Stream(stream) => stream.next().await,
            Self::Quic(quic) => quic.next().await,
        }
    }

    /// The next packet, if it is here already.
    pub(crate) fn try_next(&mut self) -> Result<Option<Packet>, PathEnd> {
        match self {
            Self::Stream(stream) => stream.try_next(),
            Self::Quic(quic) => quic.try_next(),
        }
    }

    /// For packets whose header has not come yet.
    pub(crate) fn set_limits(&mut self, limits: SplitLimits) {
        match self {
            Self::Stream(stream) => stream.set_limits(limits),
            Self::Quic(quic) => quic.set_limits(limits),
        }
    }

    /// The number of the QUIC stream that was last opened by the other side for a packet of its own.
    pub(crate) const fn last_stream(&self) -> Option<u64> {
        match self {
            Self::Stream(_) => None,
            Self::Quic(quic) => quic.last_stream(),
        }
    }

    /// Throws away what comes, until the other side ends: closing a socket with unread bytes resets it, and what was sent
    /// last may never arrive.
    pub(crate) async fn discard(&mut self) {
        match self {
            Self::Stream(stream) => stream.discard().await,
            Self::Quic(quic) => quic.discard().await,
        }
    }
}

/// What goes out.
#[derive(Debug)]
pub(crate) enum Writer {
    Stream(Box<StreamWriter>),
    Quic(Box<QuicWriter>),
}

impl Writer {
    /// Whether another message may be queued before a flush.
    pub(crate) fn has_room(&self) -> bool {
        match self {
            Self::Stream(stream) => stream.has_room(),
            Self::Quic(quic) => quic.has_room(),
        }
    }

    /// Takes a message; it is on its way with the next flush. A message that cannot be written leaves no trace.
    pub(crate) fn queue(&mut self, transmit: &Transmit) -> Result<(), WireError> {
        match self {
            Self::Stream(stream) => stream.queue(transmit),
            Self::Quic(quic) => quic.queue(transmit),
        }
    }

    /// As [`Self::queue`], with the bytes as they are.
    pub(crate) fn queue_packet(&mut self, packet: &Packet) {
        match self {
            Self::Stream(stream) => stream.queue_packet(packet),
            Self::Quic(quic) => quic.queue_packet(packet),
        }
    }

    /// Writes what was queued: all of it on a byte stream; on QUIC, until there is room again. If it is dropped, the next
    /// one goes on where it was.
    pub(crate) async fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Stream(stream) => stream.flush().await,
            Self::Quic(quic) => quic.flush().await,
        }
    }

    /// Writes what is left, tells the other side that nothing more comes, and waits until it has got that where this can
    /// be known.
    pub(crate) async fn finish(&mut self) -> std::io::Result<()> {
        match self {
            Self::Stream(stream) => stream.finish().await,
            Self::Quic(quic) => quic.finish().await,
        }
    }
}
