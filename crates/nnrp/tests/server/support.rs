//! A client that says what a test wants it to.

use std::collections::VecDeque;

use bytes::Bytes;
use nnrp::Link;
use nnrp::server::{Refused, Server, ServerOptions, Session};
use nnrp_wire::body::TypedPayload;
use nnrp_wire::build::{ResultWorth, SubmitOptions};
use nnrp_wire::metadata::FlowUpdateMetadata;
use nnrp_wire::session::REFERENCE_HELLO;
use nnrp_wire::{
    ClientHello, DecodeOptions, Envelope, ErrorCode, ErrorScope, FrameClass, FrameSubmit,
    LossTolerance, Message, Packet, ResultPush, ServerHelloAck, SplitLimits, Splitter, TransportId,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// Bytes that a pipe holds.
const PIPE_BYTES: usize = 64 << 10;

pub(crate) struct Peer {
    stream: DuplexStream,
    splitter: Splitter,
    chunk: Bytes,
    /// Those that came while another was waited for.
    aside: VecDeque<(Envelope, Message)>,
}

/// A server, and a client of it.
pub(crate) fn server(options: ServerOptions) -> (Server, Peer) {
    let server = Server::new(options);
    let peer = Peer::connect(&server);
    (server, peer)
}

/// A session of a client that has said hello.
pub(crate) async fn session(options: ServerOptions) -> (Server, Session, Peer) {
    let (server, mut peer) = server(options);
    peer.hello(1).await;
    let session = server.next_session().await.unwrap();
    (server, session, peer)
}

impl Peer {
    pub(crate) fn connect(server: &Server) -> Self {
        Self::connect_as(server, TransportId::Tcp)
    }

    pub(crate) fn connect_as(server: &Server, transport: TransportId) -> Self {
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        server.adopt_link(Link::from_stream(far).counted_as(transport));
        Self::over(near)
    }

    pub(crate) fn over(stream: DuplexStream) -> Self {
        Self {
            stream,
            splitter: Splitter::new(SplitLimits::session(0)),
            chunk: Bytes::new(),
            aside: VecDeque::new(),
        }
    }

    pub(crate) async fn send(&mut self, envelope: Envelope, message: Message) {
        let mut bytes = Vec::new();
        message.encode(&envelope, &mut bytes).unwrap();
        self.send_bytes(&bytes).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next packet; `None` at the end of the stream.
    pub(crate) async fn packet(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = self.splitter.split(&mut self.chunk).unwrap() {
                return Some(packet);
            }
            let mut bytes = vec![0; 64 << 10];
            let count = self.stream.read(&mut bytes).await.unwrap();
            if count == 0 {
                self.splitter.end().unwrap();
                return None;
            }
            bytes.truncate(count);
            self.chunk = bytes.into();
        }
    }

    pub(crate) async fn receive(&mut self) -> Option<(Envelope, Message)> {
        let packet = self.packet().await?;
        let options = DecodeOptions {
            known_control_extensions: None,
            ..DecodeOptions::STRICT
        };
        let message = Message::decode(&packet, &options).unwrap();
        Some((Envelope::from(packet.header()), message))
    }

    /// The next message; others than keep-alives have to be what the test waits for.
    pub(crate) async fn next(&mut self) -> (Envelope, Message) {
        if let Some(first) = self.aside.pop_front() {
            return first;
        }
        self.receive().await.expect("the connection ended")
    }

    /// The next message that is one of these; those before are kept.
    pub(crate) async fn wait_for(
        &mut self,
        is_it: impl Fn(&Message) -> bool,
    ) -> (Envelope, Message) {
        let place = self.aside.iter().position(|(_, message)| is_it(message));
        if let Some(found) = place.and_then(|place| self.aside.remove(place)) {
            return found;
        }
        loop {
            let next = self.receive().await.expect("the connection ended");
            if is_it(&next.1) {
                return next;
            }
            self.aside.push_back(next);
        }
    }

    /// Says hello, and gives the session that there is.
    pub(crate) async fn hello(&mut self, session_id: u32) -> ServerHelloAck {
        self.send_hello(hello(session_id)).await;
        match self.next().await {
            (_, Message::ServerHelloAck(ack)) => ack,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn send_hello(&mut self, hello: ClientHello) {
        let message = Message::ClientHello(hello);
        self.send(Envelope::default(), message).await;
    }

    pub(crate) async fn submit(&mut self, session_id: u32, frame_id: u32, submit: FrameSubmit) {
        let envelope = Envelope::frame(session_id, frame_id);
        self.send(envelope, Message::FrameSubmit(submit)).await;
    }

    pub(crate) async fn cancel(&mut self, session_id: u32, frame_id: u32) {
        let envelope = Envelope::frame(session_id, frame_id);
        self.send(envelope, Message::FrameCancel).await;
    }

    /// The next message has to be an error.
    pub(crate) async fn error(&mut self) -> Told {
        let (envelope, message) = self.next().await;
        let Message::Error(report) = message else {
            panic!("{message:?}");
        };
        let metadata = report.metadata;
        Told {
            code: metadata.known_code().unwrap(),
            scope: metadata.error_scope,
            is_fatal: metadata.is_fatal != 0,
            frame_id: metadata.related_frame_id,
            retry_after_ms: metadata.retry_after_ms,
            envelope,
        }
    }

    /// A PING that is answered shows that what was sent before it has been seen.
    pub(crate) async fn ping(&mut self, session_id: u32) {
        self.send(Envelope::session(session_id), Message::Ping)
            .await;
        self.wait_for(|message| matches!(message, Message::Pong))
            .await;
    }

    /// Nothing has come but what was looked at.
    pub(crate) async fn assert_silent(&mut self, session_id: u32) {
        self.ping(session_id).await;
        assert!(self.aside.is_empty(), "{:?}", self.aside);
    }

    /// The rest, to the end of the stream.
    pub(crate) async fn rest(&mut self) -> Vec<Message> {
        let mut rest: Vec<_> = self.aside.drain(..).map(|(_, message)| message).collect();
        while let Some((_, message)) = self.receive().await {
            rest.push(message);
        }
        rest
    }

    /// Sends nothing any more.
    pub(crate) async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }
}

/// What an ERROR said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) code: ErrorCode,
    pub(crate) scope: ErrorScope,
    pub(crate) is_fatal: bool,
    pub(crate) frame_id: u32,
    pub(crate) retry_after_ms: u32,
    pub(crate) envelope: Envelope,
}

pub(crate) fn hello(session_id: u32) -> ClientHello {
    let mut metadata = REFERENCE_HELLO;
    metadata.requested_session_id = session_id;
    metadata.cache_object_bitmap = 0x3F;
    ClientHello {
        metadata,
        extensions: Vec::new(),
        auth: Bytes::new(),
    }
}

pub(crate) fn submit() -> FrameSubmit {
    submit_with(SubmitOptions::default())
}

pub(crate) fn submit_with(options: SubmitOptions) -> FrameSubmit {
    FrameSubmit::builder()
        .payload(TypedPayload::token_chunk("in"))
        .options(options)
        .build()
        .unwrap()
}

/// Of so many ms, and not a key frame.
pub(crate) fn of(latency_budget_ms: u16, tolerance: Option<LossTolerance>) -> SubmitOptions {
    SubmitOptions {
        latency_budget_ms,
        loss_tolerance: tolerance,
        frame_class: FrameClass::Delta,
        ..SubmitOptions::default()
    }
}

pub(crate) fn result() -> ResultPush {
    ResultPush::builder(ResultWorth::COMPLETE)
        .payload(TypedPayload::token_chunk("out"))
        .build()
        .unwrap()
}

/// The client says how many results it takes, and the server has seen it.
pub(crate) async fn flow(peer: &mut Peer, update: FlowUpdateMetadata) {
    let message = Message::FlowUpdate(update);
    peer.send(Envelope::session(1), message).await;
    peer.ping(1).await;
}

pub(crate) fn is_push(message: &Message) -> bool {
    matches!(message, Message::ResultPush(_))
}

/// The next message has to be a result.
pub(crate) async fn pushed(peer: &mut Peer) -> (Envelope, ResultPush) {
    let (envelope, message) = peer.next().await;
    let Message::ResultPush(result) = message else {
        panic!("{message:?}");
    };
    (envelope, result)
}

/// The next message is a fatal ERROR of the connection, and the last one.
pub(crate) async fn refused(peer: &mut Peer, code: ErrorCode) {
    let told = peer.error().await;
    assert_eq!(
        (told.code, told.scope, told.is_fatal),
        (code, ErrorScope::Connection, true)
    );
    assert_eq!(peer.rest().await, []);
}

/// What is counted is counted before the connection ends.
pub(crate) fn assert_refused(server: &Server, why: Refused) {
    assert_eq!(server.totals().refused(), [(why, 1)]);
}
