//! A server by script, over a pipe: sends what a test says, and shows what comes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nnrp::Link;
use nnrp::client::{ConnectOptions, Session, Submit};
use nnrp_wire::body::TypedPayload;
use nnrp_wire::build::ResultWorth;
use nnrp_wire::metadata::{FlowUpdateMetadata, Ignored, ServerHelloAckMetadata};
use nnrp_wire::session::{FrameKey, ServerCapabilities};
use nnrp_wire::{
    BackpressureLevel, ClientHello, DecodeOptions, Envelope, FlowFlags, FlowReason, FlowScope,
    FrameSubmit, HeaderFlags, Message, MessageType, ResultPush, ServerHelloAck, SplitLimits,
    Splitter,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

pub(crate) const SESSION: u32 = 7;

/// Long enough for a busy machine: that something is stuck is what it finds.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) struct Peer {
    pub(crate) io: DuplexStream,
    splitter: Splitter,
    chunk: Bytes,
}

impl Peer {
    pub(crate) fn new(io: DuplexStream) -> Self {
        Self {
            io,
            splitter: Splitter::new(SplitLimits::session(64 << 20)),
            chunk: Bytes::new(),
        }
    }

    /// As if these had come.
    pub(crate) fn given(&mut self, bytes: &[u8]) {
        self.chunk = Bytes::copy_from_slice(bytes);
    }

    /// What comes next; `None` at the end.
    pub(crate) async fn try_receive(&mut self) -> Option<(Envelope, Message)> {
        loop {
            if let Some(packet) = self.splitter.split(&mut self.chunk).unwrap() {
                let message = Message::decode(&packet, &DecodeOptions::STRICT).unwrap();
                return Some((Envelope::from(packet.header()), message));
            }
            let mut buffer = BytesMut::with_capacity(4096);
            let read = tokio::time::timeout(LONG, self.io.read_buf(&mut buffer));
            match read.await.expect("nothing comes") {
                Ok(0) | Err(_) => return None,
                Ok(_) => self.chunk = buffer.freeze(),
            }
        }
    }

    pub(crate) async fn receive(&mut self) -> (Envelope, Message) {
        self.try_receive().await.expect("the end came")
    }

    /// The next message, which must be of this type.
    pub(crate) async fn expect(&mut self, message_type: MessageType) -> (Envelope, Message) {
        let (envelope, message) = self.receive().await;
        assert_eq!(message.message_type(), message_type, "{message:?}");
        (envelope, message)
    }

    /// The next submit.
    pub(crate) async fn submitted(&mut self) -> Envelope {
        self.expect(MessageType::FrameSubmit).await.0
    }

    /// Waits for the other side's end.
    pub(crate) async fn ended(&mut self) {
        let next = self.try_receive().await;
        assert!(next.is_none(), "{next:?}");
    }

    pub(crate) async fn send(&mut self, envelope: Envelope, message: Message) {
        let bytes = encoded(&envelope, &message);
        self.io.write_all(&bytes).await.unwrap();
    }

    pub(crate) async fn hello(&mut self) -> ClientHello {
        match self.expect(MessageType::ClientHello).await.1 {
            Message::ClientHello(hello) => hello,
            other => panic!("{other:?}"),
        }
    }

    /// Takes a session of so many frames in flight.
    pub(crate) async fn accept(&mut self, max_concurrent_frames: u16) -> ClientHello {
        self.accept_as(ServerHelloAck::new(ack(max_concurrent_frames)))
            .await
    }

    pub(crate) async fn accept_as(&mut self, ack: ServerHelloAck) -> ClientHello {
        let hello = self.hello().await;
        let envelope = Envelope::session(ack.metadata.session_id);
        self.send(envelope, Message::ServerHelloAck(ack)).await;
        hello
    }

    /// The only result of a frame.
    pub(crate) async fn answer(&mut self, submit: &Envelope) {
        self.answer_with(submit, result_of(1)).await;
    }

    pub(crate) async fn answer_with(&mut self, submit: &Envelope, result: ResultPush) {
        let envelope = Envelope {
            flags: HeaderFlags::EOS,
            ..*submit
        };
        self.send(envelope, Message::ResultPush(result)).await;
    }

    /// A result of a frame that is not the last one.
    pub(crate) async fn part(&mut self, submit: &Envelope, bytes: usize) {
        let envelope = Envelope {
            flags: HeaderFlags::empty(),
            ..*submit
        };
        self.send(envelope, Message::ResultPush(result_of(bytes)))
            .await;
    }

    pub(crate) async fn flow(&mut self, reason: FlowReason, credit: u16, epoch: u32) {
        let update = flow(reason, credit, epoch);
        self.send(Envelope::session(SESSION), Message::FlowUpdate(update))
            .await;
    }
}

pub(crate) fn encoded(envelope: &Envelope, message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(envelope, &mut bytes).unwrap();
    bytes
}

pub(crate) fn ack(max_concurrent_frames: u16) -> ServerHelloAckMetadata {
    let capabilities = ServerCapabilities {
        max_concurrent_frames,
        ..ServerCapabilities::default()
    };
    let hello = ConnectOptions::default().session.hello;
    ServerHelloAckMetadata {
        session_id: SESSION,
        ..capabilities.negotiate(&hello).unwrap()
    }
}

pub(crate) fn flow(reason: FlowReason, credit: u16, epoch: u32) -> FlowUpdateMetadata {
    FlowUpdateMetadata {
        scope_kind: FlowScope::Session,
        update_reason: reason,
        backpressure_level: BackpressureLevel::None,
        reserved0: Ignored::default(),
        connection_credit: 0,
        session_credit: credit,
        operation_credit: 0,
        reserved1: Ignored::default(),
        operation_id: 0,
        retry_after_ms: 0,
        credit_epoch: epoch,
        flags: FlowFlags::CREDIT_VALID,
    }
}

/// With so many bytes of text.
pub(crate) fn result_of(bytes: usize) -> ResultPush {
    let payload = TypedPayload::token_chunk("x".repeat(bytes));
    let result = ResultPush::builder(ResultWorth::COMPLETE).payload(payload);
    result.build().unwrap()
}

/// With so many bytes of text.
pub(crate) fn submit_of(frame_id: u32, bytes: usize) -> Submit {
    let payload = TypedPayload::token_chunk("x".repeat(bytes));
    let message = FrameSubmit::builder().payload(payload).build().unwrap();
    Submit::new(FrameKey::new(frame_id), message)
}

pub(crate) fn submit(frame_id: u32) -> Submit {
    submit_of(frame_id, 1)
}

/// With results until one is the last.
pub(crate) fn stream_submit(frame_id: u32) -> Submit {
    Submit {
        is_stream: true,
        ..submit(frame_id)
    }
}

pub(crate) const fn key(frame_id: u32) -> FrameKey {
    FrameKey::new(frame_id)
}

/// A session of so many frames in flight, and its server, over a pipe that holds so many bytes.
pub(crate) async fn connected_by(
    pipe_bytes: usize,
    max_concurrent_frames: u16,
    options: ConnectOptions,
) -> (Session, Peer) {
    let (near, far) = tokio::io::duplex(pipe_bytes);
    let mut peer = Peer::new(far);
    let session = Session::over(Link::from_stream(near), options);
    let (session, _) = tokio::join!(session, peer.accept(max_concurrent_frames));
    (session.unwrap(), peer)
}

pub(crate) async fn connected(max_concurrent_frames: u16) -> (Session, Peer) {
    connected_by(64 << 10, max_concurrent_frames, ConnectOptions::default()).await
}

/// Lets all other tasks go on until they have nothing to do.
pub(crate) async fn until_idle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
