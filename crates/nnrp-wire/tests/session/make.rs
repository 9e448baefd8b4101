//! Messages for tests.

use std::time::Duration;

use bytes::Bytes;
use nnrp_wire::body::{ExtensionFrame, TypedPayload};
use nnrp_wire::build::ResultWorth;
use nnrp_wire::metadata::{ErrorMetadata, FlowUpdateMetadata, Ignored, ServerHelloAckMetadata};
use nnrp_wire::session::{
    ClientEvent, ClientOptions, ClientSession, PathId, ServerCapabilities, ServerConnection,
    ServerEvent, ServerOptions, ServerSession,
};
use nnrp_wire::{
    BackpressureLevel, ClientHello, DecodeOptions, Envelope, ErrorReport, ErrorScope,
    ExtensionFrameFlags, FlowFlags, FlowReason, FlowScope, FrameSubmit, Header, Message,
    MessageType, Packet, ResultClass, ResultPush, ServerHelloAck, TransportId,
};

pub(crate) const A: PathId = PathId(1);
pub(crate) const B: PathId = PathId(2);
pub(crate) const SESSION: u32 = 7;

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn decode(message_type: MessageType, metadata: &[u8]) -> Message {
    let header = Header::new(message_type);
    let packet = Packet::new(header, Bytes::copy_from_slice(metadata), Bytes::new()).unwrap();
    Message::decode(&packet, &DecodeOptions::STRICT).unwrap()
}

/// A tensor of nothing, with a latency budget and any budget policy.
pub(crate) fn frame_submit(budget_ms: u16) -> FrameSubmit {
    let mut metadata = [0; 72];
    metadata[14] = 1;
    metadata[16..18].copy_from_slice(&budget_ms.to_le_bytes());
    metadata[53] = 0x0f;
    metadata[54] = 255;
    metadata[64] = 1;
    match decode(MessageType::FrameSubmit, &metadata) {
        Message::FrameSubmit(submit) => submit,
        other => panic!("{other:?}"),
    }
}

/// With so many bytes of text.
pub(crate) fn submit_of(bytes: usize) -> FrameSubmit {
    let payload = TypedPayload::token_chunk("x".repeat(bytes));
    FrameSubmit::builder().payload(payload).build().unwrap()
}

/// With so many bytes of text.
pub(crate) fn result_of(bytes: usize) -> ResultPush {
    let payload = TypedPayload::token_chunk("x".repeat(bytes));
    let result = ResultPush::builder(ResultWorth::COMPLETE).payload(payload);
    result.build().unwrap()
}

fn critical() -> ExtensionFrame {
    ExtensionFrame {
        flags: ExtensionFrameFlags::CRITICAL,
        ..ExtensionFrame::new(77, "x")
    }
}

/// With an extension frame of kind 77, which is critical.
pub(crate) fn submit_with_critical_extension() -> FrameSubmit {
    let payload = TypedPayload::token_chunk("in");
    let submit = FrameSubmit::builder().payload(payload);
    submit.extension(critical()).build().unwrap()
}

/// With an extension frame of kind 77, which is critical.
pub(crate) fn result_with_critical_extension() -> ResultPush {
    let payload = TypedPayload::token_chunk("out");
    let result = ResultPush::builder(ResultWorth::COMPLETE).payload(payload);
    result.extension(critical()).build().unwrap()
}

/// A result without content.
pub(crate) fn result_push(class: ResultClass) -> ResultPush {
    let mut metadata = [0; 64];
    metadata[44] = class.number();
    if class == ResultClass::StaleReuse {
        metadata[48] = 1;
    }
    match decode(MessageType::ResultPush, &metadata) {
        Message::ResultPush(result) => result,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn packet(envelope: &Envelope, message: &Message) -> Packet {
    let mut bytes = Vec::new();
    message.encode(envelope, &mut bytes).unwrap();
    Packet::decode(bytes.into()).unwrap()
}

pub(crate) fn frame_envelope(frame_id: u32) -> Envelope {
    Envelope::frame(SESSION, frame_id)
}

pub(crate) fn error(scope: ErrorScope, code: u32, is_fatal: bool, frame_id: u32) -> Message {
    Message::Error(ErrorReport {
        metadata: ErrorMetadata {
            error_code: code,
            error_scope: scope,
            is_fatal: u32::from(is_fatal),
            retry_after_ms: 0,
            related_session_id: SESSION,
            related_frame_id: frame_id,
            related_view_id: 0,
            diagnostic_bytes: 4,
        },
        diagnostic: "text".into(),
    })
}

pub(crate) fn flow(
    scope: FlowScope,
    reason: FlowReason,
    credit: u16,
    epoch: u32,
) -> FlowUpdateMetadata {
    let of = |wanted| if scope == wanted { credit } else { 0 };
    FlowUpdateMetadata {
        scope_kind: scope,
        update_reason: reason,
        backpressure_level: BackpressureLevel::None,
        reserved0: Ignored::default(),
        connection_credit: of(FlowScope::Connection),
        session_credit: of(FlowScope::Session),
        operation_credit: of(FlowScope::Operation),
        reserved1: Ignored::default(),
        operation_id: u64::from(scope == FlowScope::Operation) * 9,
        retry_after_ms: 0,
        credit_epoch: epoch,
        flags: FlowFlags::CREDIT_VALID,
    }
}

pub(crate) fn hello() -> ClientHello {
    ClientOptions::default().hello
}

/// What a default server answers, with this session and window.
pub(crate) fn ack(max_concurrent_frames: u16) -> ServerHelloAckMetadata {
    let capabilities = ServerCapabilities {
        max_concurrent_frames,
        ..ServerCapabilities::default()
    };
    ServerHelloAckMetadata {
        session_id: SESSION,
        ..capabilities.negotiate(&hello()).unwrap()
    }
}

pub(crate) fn hello_ack(metadata: ServerHelloAckMetadata) -> Message {
    Message::ServerHelloAck(ServerHelloAck {
        metadata,
        extensions: Vec::new(),
        payload: Bytes::new(),
    })
}

/// A client whose hello has gone out on A, at 0.
pub(crate) fn greeting(options: ClientOptions) -> ClientSession {
    let mut client = ClientSession::new(options);
    client.connected(A, TransportId::Quic, ms(0)).unwrap();
    let hello = client.poll_transmit(ms(0)).unwrap();
    assert_eq!(hello.message.message_type(), MessageType::ClientHello);
    client
}

/// A client with a session on A, at 0.
pub(crate) fn active(options: ClientOptions, max_concurrent_frames: u16) -> ClientSession {
    let mut client = greeting(options);
    let answer = packet(
        &Envelope::session(SESSION),
        &hello_ack(ack(max_concurrent_frames)),
    );
    client.handle_packet(A, &answer, ms(0)).unwrap();
    assert!(matches!(client.poll_event(), Some(ClientEvent::Active(_))));
    client
}

/// A server's session on A, at 0; its answer to the hello was sent.
pub(crate) fn serving(options: ServerOptions, transport: TransportId) -> ServerSession {
    let mut connection = ServerConnection::new(options, A, transport, ms(0));
    let message = Message::ClientHello(hello());
    let packet = packet(&Envelope::default(), &message);
    connection.handle_packet(&packet, ms(0)).unwrap();
    let ack = ServerHelloAck {
        metadata: ack(16),
        extensions: Vec::new(),
        payload: Bytes::new(),
    };
    let mut session = connection.accept(ack, ms(0)).unwrap();
    assert!(session.poll_transmit(ms(0)).is_some());
    session
}

pub(crate) fn client_events(client: &mut ClientSession) -> Vec<ClientEvent> {
    std::iter::from_fn(|| client.poll_event()).collect()
}

pub(crate) fn server_events(server: &mut ServerSession) -> Vec<ServerEvent> {
    std::iter::from_fn(|| server.poll_event()).collect()
}

/// Types and frames of what is to be sent.
pub(crate) fn sent(
    mut poll: impl FnMut() -> Option<nnrp_wire::session::Transmit>,
) -> Vec<(MessageType, u32)> {
    std::iter::from_fn(|| {
        let transmit = poll()?;
        Some((transmit.message.message_type(), transmit.envelope.frame_id))
    })
    .collect()
}
