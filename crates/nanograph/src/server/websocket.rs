//! One WebSocket connection, from the handshake message to the close.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error as SocketError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

use super::Backend;
use super::clock::{Clock, Due};
use super::connection::Connection;
use super::dispatch::dispatch;
use super::listener::Shared;
use super::metered::Metered;
use super::outbox::{Batch, Next};
use super::stats::Stats;

/// What is read at once. Larger costs more per read (tungstenite clears it), smaller makes more reads.
const READ_BUFFER_BYTES: usize = 32 << 10;
/// Messages acted on before what they caused is sent and other tasks get their turn.
const MESSAGES_PER_TURN: usize = 512;

type Socket = WebSocketStream<Metered<TcpStream>>;

/// Serves a connection until it ends. `read` is what came after the upgrade request.
pub(super) async fn serve<B: Backend>(server: &Shared<B>, stream: TcpStream, read: Vec<u8>) {
    let limits = &server.options.limits;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(limits.message_bytes))
        .max_frame_size(Some(limits.message_bytes));
    let stream = Metered::new(stream);
    let socket =
        WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config)).await;
    let connection = Arc::new(server.connection());
    server.stats.websockets_opened.increment();
    let seat = server.audience.join(server, &connection);
    let gone = Gone(&connection);
    let mut pump = Pump::new(server, &connection, socket);
    let end = std::future::poll_fn(|cx| pump.poll(cx)).await;
    drop((seat, gone));
    end.count(&server.stats);
    end.finish(pump.socket, limits.close_timeout).await;
}

/// Marks the connection as gone when dropped, also when its task is aborted.
struct Gone<'a>(&'a Connection);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.outbox.close();
    }
}

/// How far reading got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    /// To the end of what has arrived.
    Drained,
    /// There may be more.
    More,
    /// Not at all: too much waits for the client.
    Paused,
}

/// How far writing got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write {
    /// Everything is sent.
    Idle,
    /// The client does not take it.
    Blocked,
}

/// Moves messages in and answers out, as one task.
struct Pump<'a, B: Backend> {
    server: &'a Shared<B>,
    connection: &'a Arc<Connection>,
    socket: Socket,
    batch: Option<Batch>,
    unflushed_bytes: usize,
    clock: Clock,
}

impl<'a, B: Backend> Pump<'a, B> {
    fn new(server: &'a Shared<B>, connection: &'a Arc<Connection>, socket: Socket) -> Self {
        let clock = Clock::new(&server.options);
        Self {
            server,
            connection,
            socket,
            batch: None,
            unflushed_bytes: 0,
            clock,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        match self.turn(cx) {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    /// Reads what has arrived, sends what has gathered, and sees to the time.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        self.connection.outbox.attend(cx.waker());
        loop {
            let read = self.read(cx)?;
            let write = self.write(cx)?;
            match read {
                Read::Paused if self.connection.outbox.has_room() => {}
                Read::More => {
                    cx.waker().wake_by_ref();
                    return Ok(());
                }
                Read::Paused | Read::Drained => return self.see_to_time(cx, read, write),
            }
        }
    }

    /// Acts on the messages that have arrived, so that their answers leave together.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<Read, End> {
        for received in 0..MESSAGES_PER_TURN {
            if !self.connection.outbox.has_room() {
                return Ok(Read::Paused);
            }
            match self.socket.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(message))) => self.receive(message),
                Poll::Ready(Some(Err(error))) => return Err(End::from(error)),
                Poll::Ready(None) => return Err(End::Closed),
                Poll::Pending => {
                    if received > 0 {
                        self.clock.heard();
                    }
                    return Ok(Read::Drained);
                }
            }
        }
        self.clock.heard();
        Ok(Read::More)
    }

    fn receive(&self, message: Message) {
        match message {
            Message::Text(text) => dispatch(self.server, self.connection, text),
            Message::Binary(_) => self.server.stats.binary_ignored.increment(),
            // Pings and closes are answered by the socket itself.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
        }
    }

    /// Sends what has gathered, and what gathers meanwhile.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<Write, End> {
        loop {
            match self.flush(cx) {
                Poll::Ready(result) => result.map_err(End::from)?,
                Poll::Pending => return Ok(Write::Blocked),
            }
            match self.connection.outbox.next() {
                Next::Send(batch) => self.batch = Some(batch),
                Next::Close => return Err(End::Stopping),
                Next::Wait => return Ok(Write::Idle),
            }
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        while let Some(batch) = &mut self.batch {
            ready!(self.socket.poll_ready_unpin(cx))?;
            let Some(frame) = batch.next() else {
                self.batch = None;
                break;
            };
            self.unflushed_bytes += frame.len();
            // As a ready frame: its text is known to be UTF-8 and needs no check.
            let frame = Frame::message(frame, OpCode::Data(Data::Text), true);
            self.socket.start_send_unpin(Message::Frame(frame))?;
        }
        if self.unflushed_bytes > 0 {
            ready!(self.socket.poll_flush_unpin(cx))?;
            self.connection
                .outbox
                .written(std::mem::take(&mut self.unflushed_bytes));
        }
        Poll::Ready(Ok(()))
    }

    fn see_to_time(&mut self, cx: &mut Context<'_>, read: Read, write: Write) -> Result<(), End> {
        if read == Read::Paused {
            // Silence means nothing while nothing is read.
            self.clock.heard();
        }
        self.clock.blocked(
            write == Write::Blocked,
            self.socket.get_ref().written_bytes(),
        );
        while let Poll::Ready(due) = self.clock.poll(cx) {
            match due {
                Due::Ping => self.ping(cx).map_err(End::from)?,
                Due::Silent => return Err(End::Silent),
                Due::Stalled => return Err(End::Stalled),
            }
        }
        Ok(())
    }

    /// Sends a ping, unless much waits before it: its answer would wait as well.
    fn ping(&mut self, cx: &mut Context<'_>) -> Result<(), SocketError> {
        if let Poll::Ready(result) = self.socket.poll_ready_unpin(cx) {
            result?;
            self.socket
                .start_send_unpin(Message::Ping(Vec::new().into()))?;
            if let Poll::Ready(result) = self.socket.poll_flush_unpin(cx) {
                result?;
            }
        }
        Ok(())
    }
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The server stops.
    Stopping,
    /// The client closed.
    Closed,
    /// A message was over the limit.
    TooLarge(String),
    /// The client broke the WebSocket protocol.
    Protocol(CloseCode, String),
    /// The TCP connection broke.
    Abrupt,
    /// No pong came.
    Silent,
    /// The client took nothing of what waits for it.
    Stalled,
}

impl From<SocketError> for End {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::Capacity(error @ CapacityError::MessageTooLong { .. }) => {
                Self::TooLarge(error.to_string())
            }
            SocketError::Utf8(_) => Self::Protocol(CloseCode::Invalid, error.to_string()),
            SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Abrupt,
            SocketError::Protocol(_) => Self::Protocol(CloseCode::Protocol, error.to_string()),
            SocketError::ConnectionClosed | SocketError::AlreadyClosed => Self::Closed,
            SocketError::Io(_)
            | SocketError::Tls(_)
            | SocketError::Capacity(_)
            | SocketError::WriteBufferFull(_)
            | SocketError::AttackAttempt
            | SocketError::Url(_)
            | SocketError::Http(_)
            | SocketError::HttpFormat(_) => Self::Abrupt,
        }
    }
}

impl End {
    fn count(&self, stats: &Stats) {
        tracing::debug!(end = ?self, "a connection ends");
        match self {
            Self::Stopping | Self::Closed => {}
            Self::TooLarge(_) => stats.closed_too_large.increment(),
            Self::Protocol(..) => stats.closed_protocol_error.increment(),
            Self::Abrupt => stats.closed_abruptly.increment(),
            Self::Silent => stats.closed_silent.increment(),
            Self::Stalled => stats.closed_stalled.increment(),
        }
    }

    /// Says goodbye where that makes sense. A silent client's connection is dropped without. spec: nanograph 4.1
    async fn finish(self, mut socket: Socket, wait: Duration) {
        let (code, reason) = match self {
            Self::Stopping => (CloseCode::Normal, String::new()),
            Self::TooLarge(reason) => (CloseCode::Size, reason),
            Self::Protocol(code, reason) => (code, reason),
            Self::Closed | Self::Abrupt | Self::Silent | Self::Stalled => return,
        };
        let frame = CloseFrame {
            code,
            reason: shorten(reason).into(),
        };
        let goodbye = async {
            if socket.send(Message::Close(Some(frame))).await.is_ok() {
                discard(socket.get_mut().get_mut()).await;
            }
        };
        // Late or failing goodbyes change nothing: the connection is dropped in any case.
        let _ = timeout(wait, goodbye).await;
    }
}

/// Says that nothing more comes, and reads until the client has closed too: closing with unread data would reset the
/// connection, and the client might never see why.
async fn discard(stream: &mut TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut buffer = vec![0; 16 << 10];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}

/// Close reasons have at most 123 bytes; all of ours are ASCII.
fn shorten(mut reason: String) -> String {
    reason.truncate(120);
    reason
}
