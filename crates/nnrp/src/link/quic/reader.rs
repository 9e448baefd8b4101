//! What comes in over all streams of a connection.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, FuturesUnordered, Stream as _};
use futures_util::{FutureExt as _, StreamExt as _};
use nnrp_wire::session::PathEnd;
use nnrp_wire::{Packet, SplitLimits, Splitter};
use quinn::{Connection, ConnectionError, ReadError, RecvStream, SendStream, VarInt};
use tokio_util::io::poll_read_buf;

use super::control::ControlSlot;
use super::path_end;
use crate::link::LinkStats;

/// Packets that one look at the connection takes.
const PACKETS_MAX: usize = 64;

/// Chunks that one look at a stream takes.
const CHUNKS_MAX: usize = 8;

/// Reads all streams at the same time. A stream that ends before its packet does is the loss of that packet.
pub(crate) struct QuicReader {
    connection: Connection,
    limits: SplitLimits,
    control: Arc<ControlSlot>,
    unis: BoxStream<'static, Result<RecvStream, ConnectionError>>,
    /// Streams that are read and had no more bytes, the control stream among them; and the one that is to come.
    others: FuturesUnordered<BoxFuture<'static, Event>>,
    ready: VecDeque<Packet>,
    /// Bytes of packets in `others`, whose end has not come.
    begun_bytes: u64,
    begun_bytes_max: u64,
    stats: LinkStats,
    /// The last stream that was no control stream.
    last_stream: Option<u64>,
    end: Option<PathEnd>,
    /// The connection is over, and every stream that came was begun.
    is_closed: bool,
    /// The control stream is gone and the connection is not: what is here is read, nothing else is waited for.
    is_control_lost: bool,
    /// Too much had begun: nothing is read any more.
    is_given_up: bool,
}

enum Event {
    Opened(Result<(SendStream, RecvStream), ConnectionError>),
    Read(Incoming, Result<Option<Bytes>, ReadError>),
}

/// A stream that is read.
struct Incoming {
    stream: RecvStream,
    splitter: Splitter,
    is_control: bool,
}

impl QuicReader {
    pub(super) fn new(
        connection: Connection,
        control: Arc<ControlSlot>,
        begun_bytes_max: u64,
    ) -> Self {
        let unis = stream::unfold(connection.clone(), |connection| async move {
            let uni = connection.accept_uni().await;
            Some((uni, connection))
        });
        let others = FuturesUnordered::new();
        others.push(accept_bi(connection.clone()));
        Self {
            connection,
            limits: SplitLimits::BEFORE_HELLO,
            control,
            unis: unis.boxed(),
            others,
            ready: VecDeque::new(),
            begun_bytes: 0,
            begun_bytes_max,
            stats: LinkStats::default(),
            last_stream: None,
            end: None,
            is_closed: false,
            is_control_lost: false,
            is_given_up: false,
        }
    }

    /// Of streams that are read already, too, where no header has come.
    pub(crate) const fn set_limits(&mut self, limits: SplitLimits) {
        self.limits = limits;
    }

    /// Nothing is lost if it is dropped.
    pub(crate) async fn next(&mut self) -> Result<Packet, PathEnd> {
        poll_fn(|context| self.poll_next(context)).await
    }

    pub(crate) fn try_next(&mut self) -> Option<Packet> {
        self.ready.pop_front()
    }

    pub(crate) fn stats(&self) -> LinkStats {
        self.stats.clone()
    }

    /// Of those that are no control stream, the one that was opened last.
    pub(crate) const fn last_stream(&self) -> Option<u64> {
        self.last_stream
    }

    /// Until the connection is closed.
    pub(crate) async fn discard(&mut self) {
        while self.next().await.is_ok() {}
        self.connection.closed().await;
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Packet, PathEnd>> {
        if self.ready.is_empty() && self.reads_on() {
            if let Poll::Ready(recv) = self.control.poll_recv(context) {
                self.begin(recv, true, context);
            }
            self.poll_others(context);
            self.poll_unis(context);
            // Those that were added have to be asked once, to wake anybody.
            self.poll_others(context);
        }
        if let Some(packet) = self.ready.pop_front() {
            return Poll::Ready(Ok(packet));
        }
        match self.end {
            Some(end) if !self.waits_for_more() => Poll::Ready(Err(end)),
            Some(_) | None => Poll::Pending,
        }
    }

    const fn reads_on(&self) -> bool {
        !self.is_given_up && !matches!(self.end, Some(PathEnd::Framing(_)))
    }

    /// What came before the connection ended can be read after it. While it has not, the streams never end.
    fn waits_for_more(&self) -> bool {
        self.reads_on() && !self.is_control_lost && !self.others.is_empty()
    }

    fn poll_others(&mut self, context: &mut Context<'_>) {
        while self.ready.len() < PACKETS_MAX && self.reads_on() {
            match Pin::new(&mut self.others).poll_next(context) {
                Poll::Ready(Some(Event::Opened(Ok((send, recv))))) => {
                    let is_control = self.control.opened_there(send);
                    self.begin(recv, is_control, context);
                    self.others.push(accept_bi(self.connection.clone()));
                }
                // The end is told by the unidirectional ones.
                Poll::Ready(Some(Event::Opened(Err(_)))) => {}
                Poll::Ready(Some(Event::Read(mut incoming, read))) => {
                    self.begun_bytes -= incoming.begun_bytes();
                    incoming.splitter.set_limits(self.limits);
                    let goes_on = match read {
                        Ok(Some(chunk)) => self.split(&mut incoming, chunk),
                        Ok(None) => self.stream_ended(&incoming, None),
                        Err(error) => self.stream_ended(&incoming, Some(&error)),
                    };
                    if goes_on {
                        self.read(incoming, context);
                    }
                }
                Poll::Ready(None) | Poll::Pending => return,
            }
        }
    }

    fn poll_unis(&mut self, context: &mut Context<'_>) {
        while self.ready.len() < PACKETS_MAX && !self.is_closed && self.reads_on() {
            match self.unis.as_mut().poll_next(context) {
                Poll::Ready(Some(Ok(recv))) => self.begin(recv, false, context),
                Poll::Ready(Some(Err(error))) => {
                    self.is_closed = true;
                    self.end.get_or_insert_with(|| path_end(&error));
                }
                Poll::Ready(None) | Poll::Pending => return,
            }
        }
    }

    fn begin(&mut self, stream: RecvStream, is_control: bool, context: &mut Context<'_>) {
        if !is_control {
            self.last_stream = Some(VarInt::from(stream.id()).into_inner());
        }
        let incoming = Incoming {
            stream,
            splitter: Splitter::new(self.limits),
            is_control,
        };
        self.read(incoming, context);
    }

    /// Reads what is here of a stream: mostly, that is all of it.
    fn read(&mut self, mut incoming: Incoming, context: &mut Context<'_>) {
        loop {
            let goes_on = if incoming.splitter.missing_bytes() > 0 {
                self.read_rest(&mut incoming, context)
            } else {
                self.read_chunks(&mut incoming, context)
            };
            match goes_on {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return,
                Poll::Pending => return self.wait_for(incoming),
            }
        }
    }

    fn wait_for(&mut self, incoming: Incoming) {
        self.begun_bytes += incoming.begun_bytes();
        self.others.push(incoming.wait().boxed());
        if self.begun_bytes > self.begun_bytes_max {
            tracing::warn!(
                bytes = self.begun_bytes,
                "too much has begun and not come to its end: the connection is given up"
            );
            self.stats.count_given_up();
            self.others.clear();
            self.begun_bytes = 0;
            self.is_given_up = true;
            self.end = Some(PathEnd::Lost);
        }
    }

    fn read_chunks(&mut self, incoming: &mut Incoming, context: &mut Context<'_>) -> Poll<bool> {
        let mut chunks = [const { Bytes::new() }; CHUNKS_MAX];
        let read = pin!(incoming.stream.read_chunks(&mut chunks)).poll(context);
        match ready!(read) {
            Ok(Some(count)) => {
                let mut chunks = chunks.into_iter().take(count);
                Poll::Ready(chunks.all(|chunk| self.split(incoming, chunk)))
            }
            Ok(None) => Poll::Ready(self.stream_ended(incoming, None)),
            Err(error) => Poll::Ready(self.stream_ended(incoming, Some(&error))),
        }
    }

    /// A packet that came in part is read to where it will lie.
    fn read_rest(&mut self, incoming: &mut Incoming, context: &mut Context<'_>) -> Poll<bool> {
        let stream = Pin::new(&mut incoming.stream);
        let rest = incoming.splitter.rest();
        let Some(read) = rest.map(|mut rest| poll_read_buf(stream, context, &mut rest)) else {
            return self.read_chunks(incoming, context);
        };
        let goes_on = match ready!(read) {
            Ok(count) if count > 0 => self.split(incoming, Bytes::new()),
            Ok(_) | Err(_) => self.stream_ended(incoming, None),
        };
        Poll::Ready(goes_on)
    }

    /// Says whether the stream goes on.
    fn split(&mut self, incoming: &mut Incoming, mut chunk: Bytes) -> bool {
        loop {
            match incoming.splitter.split(&mut chunk) {
                Ok(Some(packet)) => self.ready.push_back(packet),
                Ok(None) => return true,
                Err(error) => {
                    self.end = Some(PathEnd::Framing(error));
                    return false;
                }
            }
        }
    }

    /// It does not go on.
    fn stream_ended(&mut self, incoming: &Incoming, error: Option<&ReadError>) -> bool {
        let is_reset = matches!(error, Some(ReadError::Reset(_)));
        if is_reset || incoming.splitter.end().is_err() {
            if incoming.is_control {
                // What would have come on it is gone with it.
                self.end.get_or_insert(PathEnd::Lost);
                self.is_control_lost = self.connection.close_reason().is_none();
            } else {
                self.stats.count_lost_packet();
                tracing::debug!(stream = %incoming.stream.id(), is_reset, "a packet came in part only");
            }
        }
        false
    }
}

impl Incoming {
    const fn begun_bytes(&self) -> u64 {
        self.splitter.buffered_bytes() as u64
    }

    async fn wait(mut self) -> Event {
        let chunk = self.stream.read_chunk(usize::MAX, true).await;
        let bytes = chunk.map(|chunk| chunk.map(|chunk| chunk.bytes));
        Event::Read(self, bytes)
    }
}

fn accept_bi(connection: Connection) -> BoxFuture<'static, Event> {
    async move { Event::Opened(connection.accept_bi().await) }.boxed()
}

impl std::fmt::Debug for QuicReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuicReader")
            .field("stats", &self.stats)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
