//! Transport connections, each in two halves that never wait for each other. spec: nnrp-session 1, 12
//!
//! A half that waits for the other stops a session for good: both sides write, neither reads, and no window ever opens.

mod broken;
mod patience;
mod place;
mod quic;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use nnrp_wire::session::{PathEnd, Transmit};
use nnrp_wire::{Packet, SplitLimits, TransportId, WireError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use self::broken::Broken;
pub(crate) use self::patience::Patience;
pub(crate) use self::place::{Place, Places};
pub use self::quic::QuicOptions;
use self::quic::{QuicReader, QuicWriter};
use self::stream::{StreamReader, StreamWriter};

/// A transport connection that packets go over: TCP, TLS, QUIC, or any byte stream.
#[derive(Debug)]
pub struct Link {
    transport: TransportId,
    remote: Option<SocketAddr>,
    peer_certificates: Vec<Bytes>,
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
}

impl Link {
    /// Over a byte stream of your own, as if it were TCP: an in-memory pipe, a Unix socket, another kind of TLS.
    pub fn from_stream(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let (read, write) = tokio::io::split(stream);
        Self::from_halves(read, write, None)
    }

    pub(crate) fn from_tcp(stream: TcpStream, remote: SocketAddr) -> Self {
        let (read, write) = stream.into_split();
        Self::from_halves(read, write, Some(remote))
    }

    /// TLS over TCP whose handshake is done.
    pub(crate) fn from_tls(stream: TlsStream<TcpStream>, remote: SocketAddr) -> Self {
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let peer_certificates = certificates
            .iter()
            .map(|certificate| Bytes::copy_from_slice(certificate))
            .collect();
        let (read, write) = tokio::io::split(stream);
        Self {
            peer_certificates,
            ..Self::from_halves(read, write, Some(remote))
        }
    }

    fn from_halves(
        read: impl AsyncRead + Send + Unpin + 'static,
        write: impl AsyncWrite + Send + Unpin + 'static,
        remote: Option<SocketAddr>,
    ) -> Self {
        Self {
            transport: TransportId::Tcp,
            remote,
            peer_certificates: Vec::new(),
            reader: Reader::new(ReadHalf::Stream(Box::new(StreamReader::new(read)))),
            writer: Writer::new(WriteHalf::Stream(Box::new(StreamWriter::new(write)))),
        }
    }

    /// Over a QUIC connection whose handshake is done, on either side of it.
    pub(crate) fn from_quic(connection: &quinn::Connection, options: &QuicOptions) -> Self {
        let (reader, writer) = quic::halves(connection, options.begun_bytes_max);
        Self {
            transport: TransportId::Quic,
            remote: Some(connection.remote_address()),
            peer_certificates: quic::peer_certificates(connection),
            reader: Reader::new(ReadHalf::Quic(Box::new(reader))),
            writer: Writer::new(WriteHalf::Quic(Box::new(writer))),
        }
    }

    /// It counts there until both halves are gone.
    pub(crate) fn with_place(mut self, place: Place) -> Self {
        let place = Arc::new(place);
        self.reader.place = Some(Arc::clone(&place));
        self.writer.place = Some(place);
        self
    }

    /// The certificates that the other side has shown, in DER, its own first. Of a client, there are some only where they
    /// are asked for.
    #[must_use]
    pub fn peer_certificates(&self) -> &[Bytes] {
        &self.peer_certificates
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

    /// What the link counts, also once a session has it.
    #[must_use]
    pub fn stats(&self) -> LinkStats {
        match &self.reader.half {
            ReadHalf::Stream(_) => LinkStats::default(),
            ReadHalf::Quic(quic) => quic.stats(),
        }
    }

    /// Where the other side is, if that is known.
    #[must_use]
    pub const fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }
}

/// What a link counts. All clones are the same.
#[derive(Debug, Clone, Default)]
pub struct LinkStats {
    lost_packets: Arc<AtomicU64>,
    given_up: Arc<AtomicU64>,
}

impl LinkStats {
    /// Packets of which a part only has come, each on a QUIC stream of its own: the link goes on without them.
    #[must_use]
    pub fn lost_packets(&self) -> u64 {
        self.lost_packets.load(Ordering::Relaxed)
    }

    /// Whether more bytes of packets had begun to come than [`QuicOptions::begun_bytes_max`] allows, and their ends had
    /// not: the link is lost by it. 0 or 1.
    #[must_use]
    pub fn given_up(&self) -> u64 {
        self.given_up.load(Ordering::Relaxed)
    }

    fn count_lost_packet(&self) {
        self.lost_packets.fetch_add(1, Ordering::Relaxed);
    }

    fn count_given_up(&self) {
        self.given_up.fetch_add(1, Ordering::Relaxed);
    }
}

/// What comes in over a link.
#[derive(Debug)]
pub(crate) struct Reader {
    half: ReadHalf,
    place: Option<Arc<Place>>,
}

#[derive(Debug)]
enum ReadHalf {
    Stream(Box<StreamReader>),
    Quic(Box<QuicReader>),
}

impl Reader {
    const fn new(half: ReadHalf) -> Self {
        Self { half, place: None }
    }

    /// The next packet. On QUIC, packets of different streams come in any order. Nothing is lost when it is dropped.
    pub(crate) async fn next(&mut self) -> Result<Packet, PathEnd> {
        match &mut self.half {
            ReadHalf::Stream(stream) => stream.next().await,
            ReadHalf::Quic(quic) => quic.next().await,
        }
    }

    /// The next packet, if it is here already.
    pub(crate) fn try_next(&mut self) -> Result<Option<Packet>, PathEnd> {
        match &mut self.half {
            ReadHalf::Stream(stream) => stream.try_next(),
            ReadHalf::Quic(quic) => Ok(quic.try_next()),
        }
    }

    /// For packets whose header has not come yet. Before, [`SplitLimits::BEFORE_HELLO`] holds.
    pub(crate) fn set_limits(&mut self, limits: SplitLimits) {
        match &mut self.half {
            ReadHalf::Stream(stream) => stream.set_limits(limits),
            ReadHalf::Quic(quic) => quic.set_limits(limits),
        }
    }

    /// The number of the QUIC stream that was last opened by the other side for a packet of its own.
    pub(crate) const fn last_stream(&self) -> Option<u64> {
        match &self.half {
            ReadHalf::Stream(_) => None,
            ReadHalf::Quic(quic) => quic.last_stream(),
        }
    }

    /// Throws away what comes, until the other side ends: closing a socket with unread bytes resets it, and what was sent
    /// last may never arrive. Nothing else happens if it is dropped.
    pub(crate) async fn discard(&mut self) {
        match &mut self.half {
            ReadHalf::Stream(stream) => stream.discard().await,
            ReadHalf::Quic(quic) => quic.discard().await,
        }
    }
}

/// What goes out over a link.
#[derive(Debug)]
pub(crate) struct Writer {
    half: WriteHalf,
    place: Option<Arc<Place>>,
}

#[derive(Debug)]
enum WriteHalf {
    Stream(Box<StreamWriter>),
    Quic(Box<QuicWriter>),
}

impl Writer {
    const fn new(half: WriteHalf) -> Self {
        Self { half, place: None }
    }

    /// Whatever is written to it fails.
    pub(crate) fn broken() -> Self {
        Self::new(WriteHalf::Stream(Box::new(StreamWriter::new(Broken))))
    }

    /// Changes as the other side makes room.
    fn progress(&self) -> u64 {
        match &self.half {
            WriteHalf::Stream(stream) => stream.progress(),
            WriteHalf::Quic(quic) => quic.progress(),
        }
    }

    /// Whether another message may be queued before a flush.
    pub(crate) fn has_room(&self) -> bool {
        match &self.half {
            WriteHalf::Stream(stream) => stream.has_room(),
            WriteHalf::Quic(quic) => quic.has_room(),
        }
    }

    /// Bytes that wait for a flush.
    pub(crate) fn queued_bytes(&self) -> usize {
        match &self.half {
            WriteHalf::Stream(stream) => stream.queued_bytes(),
            WriteHalf::Quic(quic) => quic.queued_bytes(),
        }
    }

    /// Of these and of what is being written, bytes that were not taken from it yet.
    pub(crate) fn unsent_bytes(&self) -> usize {
        match &self.half {
            WriteHalf::Stream(stream) => stream.unsent_bytes(),
            WriteHalf::Quic(quic) => quic.unsent_bytes(),
        }
    }

    /// Takes a message; it is on its way with the next flush. A message that cannot be written leaves no trace.
    pub(crate) fn queue(&mut self, transmit: &Transmit) -> Result<(), WireError> {
        match &mut self.half {
            WriteHalf::Stream(stream) => stream.queue(transmit),
            WriteHalf::Quic(quic) => quic.queue(transmit),
        }
    }

    /// As [`Self::queue`], with the bytes as they are.
    pub(crate) fn queue_packet(&mut self, packet: &Packet) {
        match &mut self.half {
            WriteHalf::Stream(stream) => stream.queue_packet(packet),
            WriteHalf::Quic(quic) => quic.queue_packet(packet),
        }
    }

    /// Writes what was queued: all of it on a byte stream; on QUIC, until there is room again. If it is dropped, the next
    /// one goes on where it was.
    pub(crate) async fn flush(&mut self) -> std::io::Result<()> {
        match &mut self.half {
            WriteHalf::Stream(stream) => stream.flush().await,
            WriteHalf::Quic(quic) => quic.flush().await,
        }
    }

    /// Writes what is left, tells the other side that nothing more comes, and waits until it has got that where this can
    /// be known. A QUIC connection is closed then. If it is dropped, another call goes on with it.
    pub(crate) async fn finish(&mut self) -> std::io::Result<()> {
        match &mut self.half {
            WriteHalf::Stream(stream) => stream.finish().await,
            WriteHalf::Quic(quic) => quic.finish().await,
        }
    }
}
