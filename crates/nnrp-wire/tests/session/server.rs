//! Each row and duty of the server's side. spec: nnrp-session 4, 5

use bytes::Bytes;
use nnrp_wire::metadata::{SessionMigrateMetadata, TransportProbeMetadata};
use nnrp_wire::session::{
    AcceptRefusal, ConnectionEvent, ConnectionState, FrameKey, FrameOutcome, HandleError,
    KnownExtensions, LivenessOptions, MigrateOffer, MigrateRefusal, PathEnd, Report, ResultRefusal,
    ServerConnection, ServerEvent, ServerOptions, ServerSession, ServerState, SubmitFault,
};
use nnrp_wire::{
    BudgetPolicy, ControlExtension, ControlExtensionFlags, ControlExtensionType, Envelope,
    ErrorCode, ErrorScope, FlowReason, FlowScope, Header, HeaderFlags, Message, MessageType,
    Packet, PayloadKinds, ResultClass, ServerHelloAck, SessionMigrate, TransportId, TransportProbe,
};

use crate::make::*;

fn connection() -> ServerConnection {
    ServerConnection::new(ServerOptions::default(), A, TransportId::Tcp, ms(0))
}

fn greet(connection: &mut ServerConnection, message: &Message) {
    connection
        .handle_packet(&packet(&Envelope::default(), message), ms(1))
        .unwrap();
}

/// The code of the ERROR that a connection ended with.
fn refused(mut connection: ServerConnection) -> ErrorCode {
    let Some(ConnectionEvent::Failed(_)) = connection.poll_event() else {
        panic!()
    };
    refused_code(&mut connection)
}

fn refused_code(connection: &mut ServerConnection) -> ErrorCode {
    assert_eq!(connection.state(), ConnectionState::Ended);
    let Some(Message::Error(report)) = connection.poll_transmit().map(|transmit| transmit.message)
    else {
        panic!()
    };
    assert_eq!(
        (report.metadata.error_scope, report.metadata.is_fatal),
        (ErrorScope::Connection, 1)
    );
    assert!(connection.poll_transmit().is_none());
    report.metadata.known_code().unwrap()
}

fn give(server: &mut ServerSession, envelope: Envelope, message: &Message) {
    server
        .handle_packet(A, &packet(&envelope, message), ms(0))
        .unwrap();
}

fn submit(server: &mut ServerSession, frame: u32, budget_ms: u16) {
    let envelope = Envelope {
        view_id: 2,
        route_id: 3,
        trace_id: 4,
        ..frame_envelope(frame)
    };
    give(
        server,
        envelope,
        &Message::FrameSubmit(frame_submit(budget_ms)),
    );
}

const fn key(frame_id: u32) -> FrameKey {
    FrameKey {
        frame_id,
        view_id: 2,
    }
}

fn over(frame: u32, outcome: FrameOutcome) -> ServerEvent {
    ServerEvent::FrameOver {
        key: key(frame),
        outcome,
    }
}

fn refusal(frame: u32, fault: SubmitFault) -> ServerEvent {
    ServerEvent::FrameRefused {
        key: key(frame),
        fault,
    }
}

/// Events without submits.
fn events(server: &mut ServerSession) -> Vec<ServerEvent> {
    let mut events = server_events(server);
    events.retain(|event| !matches!(event, ServerEvent::FrameSubmitted { .. }));
    events
}

fn sent_error(server: &mut ServerSession) -> (ErrorCode, ErrorScope, u32) {
    let transmit = server.poll_transmit(ms(0)).unwrap();
    let Message::Error(report) = transmit.message else {
        panic!("{transmit:?}")
    };
    (
        report.metadata.known_code().unwrap(),
        report.metadata.error_scope,
        report.metadata.related_frame_id,
    )
}

#[test]
fn the_first_packet_says_what_a_connection_is_for() {
    // spec: nnrp-session 5.1
    let mut probed = connection();
    let probe = Message::TransportProbe(TransportProbe {
        metadata: TransportProbeMetadata {
            probe_id: 5,
            probe_payload_bytes: 3,
            client_send_ts_us: 0,
        },
        payload: "PPP".into(),
    });
    greet(&mut probed, &probe);
    greet(&mut probed, &Message::Ping);
    assert_eq!(
        probed.state(),
        ConnectionState::Accepted,
        "for further probes or a hello"
    );
    let pong = probed.poll_transmit().map(|pong| pong.message);
    let Some(Message::TransportProbeAck(ack)) = pong else {
        panic!("{pong:?}")
    };
    assert_eq!((ack.probe_id, ack.server_recv_ts_us), (5, 1000));
    assert_eq!(probed.poll_transmit().unwrap().message, Message::Pong);
    greet(&mut probed, &Message::ClientHello(hello()));
    assert!(matches!(
        probed.poll_event(),
        Some(ConnectionEvent::Hello(_))
    ));
    assert_eq!(probed.state(), ConnectionState::Deciding);
    let pipelined = packet(&frame_envelope(1), &Message::FrameSubmit(frame_submit(0)));
    assert_eq!(
        probed.handle_packet(&pipelined, ms(1)),
        Err(HandleError::Congested)
    );
    let mut wrong = connection();
    greet(&mut wrong, &Message::ResultDrop);
    assert_eq!(refused(wrong), ErrorCode::InvalidState);
    let mut late = connection();
    late.handle_timeout(ms(9_999));
    assert_eq!(late.next_timeout(), Some(ms(10_000)));
    late.handle_timeout(ms(10_000));
    assert_eq!(refused(late), ErrorCode::InvalidState);
    let mut gone = connection();
    gone.handle_path_end(PathEnd::Lost);
    assert_eq!(
        gone.poll_event(),
        Some(ConnectionEvent::Ended(PathEnd::Lost))
    );
}

#[test]
fn a_submit_may_overtake_the_hello_on_quic() {
    // spec: nnrp-session 1.4, 2.1
    let mut connection =
        ServerConnection::new(ServerOptions::default(), A, TransportId::Quic, ms(0));
    let early = packet(&frame_envelope(1), &Message::FrameSubmit(frame_submit(0)));
    assert_eq!(
        connection.handle_packet(&early, ms(1)),
        Err(HandleError::Early)
    );
    greet(&mut connection, &Message::ClientHello(hello()));
    let answer = ServerHelloAck {
        metadata: ack(1),
        extensions: Vec::new(),
        payload: Bytes::new(),
    };
    let mut session = connection.accept(answer, ms(1)).unwrap();
    session.handle_packet(A, &early, ms(1)).unwrap();
    assert_eq!(session.frames().in_flight, 1);
}

#[test]
fn hellos_are_checked() {
    // spec: nnrp-session 2.4
    let answered = |change: &dyn Fn(&mut nnrp_wire::ClientHello)| {
        let (mut connection, mut hello) = (connection(), hello());
        change(&mut hello);
        greet(&mut connection, &Message::ClientHello(hello));
        refused(connection)
    };
    assert_eq!(
        answered(&|hello| hello.metadata.min_version_major = 2),
        ErrorCode::UnsupportedVersion
    );
    assert_eq!(
        answered(&|hello| hello.metadata.supported_wire_format_bitmap = 2),
        ErrorCode::UnsupportedVersion
    );
    let critical = ControlExtension {
        ext_type: 0x7777,
        flags: ControlExtensionFlags::CRITICAL,
        payload: Bytes::new(),
    };
    assert_eq!(
        answered(&|hello| hello.extensions.push(critical.clone())),
        ErrorCode::UnsupportedCapability
    );
    let header = Header::new(MessageType::ClientHello);
    let (mut short, bad) = (
        connection(),
        Packet::new(header, "?".into(), Bytes::new()).unwrap(),
    );
    short.handle_packet(&bad, ms(0)).unwrap();
    assert_eq!(refused(short), ErrorCode::MalformedBody);
    let mut unknown = connection();
    greet(&mut unknown, &Message::ClientHello(hello()));
    unknown.poll_event();
    unknown.refuse(Report {
        code: ErrorCode::AuthFailed,
        retry_after_ms: 5,
        diagnostic: "who?",
    });
    assert_eq!(refused(unknown), ErrorCode::AuthFailed);
}

#[test]
fn the_answer_to_a_hello_is_what_both_can() {
    // spec: nnrp-session 2.3, 2.4, 10 Q-14
    let negotiate = |hello: &nnrp_wire::ClientHello| {
        ServerOptions::default()
            .capabilities
            .negotiate(hello)
            .unwrap()
    };
    let mut hello = hello();
    hello.metadata.supported_dtype_bitmap = 0xf0f;
    hello.metadata.cache_object_bitmap = 0;
    let ack = negotiate(&hello);
    assert_eq!(
        (ack.accepted_dtype_bitmap, ack.accepted_codec_bitmap),
        (0x0f, 3)
    );
    assert_eq!(
        (
            ack.cache_object_bitmap,
            ack.max_cache_entries,
            ack.max_cache_bytes
        ),
        (0, 0, 0)
    );
    assert_eq!(
        ack.accepted_payload_kind_bitmap, 0x7f,
        "announced were tensors only"
    );
    let kinds = PayloadKinds::TENSOR | PayloadKinds::TOKEN_CHUNK;
    let mut payload = [0; 8];
    payload[..4].copy_from_slice(&kinds.bits().to_le_bytes());
    hello.extensions.push(ControlExtension {
        ext_type: ControlExtensionType::ClientPayloadCapabilities.number(),
        flags: ControlExtensionFlags::empty(),
        payload: Bytes::copy_from_slice(&payload),
    });
    assert_eq!(negotiate(&hello).accepted_payload_kind_bitmap, kinds.bits());
}

/// A hello with an extension that nobody knows.
fn hello_with(flags: ControlExtensionFlags) -> nnrp_wire::ClientHello {
    let mut hello = hello();
    hello.extensions.push(ControlExtension {
        ext_type: 0x7777,
        flags,
        payload: Bytes::new(),
    });
    hello
}

#[test]
fn a_server_refuses_critical_extensions_that_it_does_not_understand() {
    // spec: nnrp-wire 10 Q6, Q20
    let critical = hello_with(ControlExtensionFlags::CRITICAL);
    let extensions_of = |known: KnownExtensions, hello: &nnrp_wire::ClientHello| {
        let options = ServerOptions {
            extensions: known,
            ..ServerOptions::default()
        };
        let mut connection = ServerConnection::new(options, A, TransportId::Tcp, ms(0));
        greet(&mut connection, &Message::ClientHello(hello.clone()));
        match connection.poll_event() {
            Some(ConnectionEvent::Hello(offer)) => Ok(offer.hello.extensions.len()),
            _ => Err(refused_code(&mut connection)),
        }
    };
    let strict = KnownExtensions::default;
    let refusal = Err(ErrorCode::UnsupportedCapability);
    assert_eq!(extensions_of(strict(), &critical), refusal);
    let other = hello_with(ControlExtensionFlags::empty());
    assert_eq!(extensions_of(strict(), &other), Ok(0));
    assert_eq!(extensions_of(KnownExtensions::KEEP_ALL, &critical), Ok(1));
    let known = KnownExtensions {
        control: Some(vec![0x7777]),
        ..strict()
    };
    assert_eq!(extensions_of(known, &critical), Ok(1));

    let taken = |extensions| {
        let options = ServerOptions {
            extensions,
            ..ServerOptions::default()
        };
        let mut server = serving(options, TransportId::Tcp);
        let submit = Message::FrameSubmit(submit_with_critical_extension());
        give(&mut server, frame_envelope(1), &submit);
        server.frames().in_flight
    };
    assert_eq!(taken(strict()), 0);
    assert_eq!(taken(KnownExtensions::KEEP_ALL), 1);
    let known = KnownExtensions {
        frames: Some(vec![77]),
        ..strict()
    };
    assert_eq!(taken(known), 1);
}

#[test]
fn a_session_needs_an_id() {
    let mut connection = connection();
    let answer = |session_id| ServerHelloAck {
        metadata: nnrp_wire::metadata::ServerHelloAckMetadata {
            session_id,
            ..ack(1)
        },
        extensions: Vec::new(),
        payload: "model".into(),
    };
    assert!(
        connection.accept(answer(9), ms(0)).is_err(),
        "nobody has asked"
    );
    greet(&mut connection, &Message::ClientHello(hello()));
    assert!(connection.accept(answer(0), ms(0)).is_err());
    let mut session = connection.accept(answer(9), ms(0)).unwrap();
    assert_eq!(
        (session.session_id(), connection.state()),
        (9, ConnectionState::Taken)
    );
    let first = session.poll_transmit(ms(0)).unwrap();
    assert_eq!(
        (first.envelope.session_id, first.envelope.flags),
        (9, HeaderFlags::ACK_REQUIRED)
    );
    assert_eq!(
        connection.handle_packet(&packet(&Envelope::default(), &Message::Ping), ms(0)),
        Err(HandleError::Over)
    );
}

#[test]
fn frames_are_answered_once_with_what_their_submit_said() {
    // spec: nnrp-session 10 Q-11, 5.3
    let mut server = serving(ServerOptions::default(), TransportId::Tcp);
    submit(&mut server, 1, 0);
    let Some(ServerEvent::FrameSubmitted {
        key: one, envelope, ..
    }) = server.poll_event()
    else {
        panic!()
    };
    assert_eq!(one, key(1));
    server
        .push_result(one, result_push(ResultClass::Partial), false, ms(0))
        .unwrap();
    server
        .push_result(one, result_push(ResultClass::Complete), true, ms(0))
        .unwrap();
    let again = server.push_result(one, result_push(ResultClass::Complete), true, ms(0));
    assert_eq!(again, Err(ResultRefusal::FrameOver));
    assert_eq!(server.drop_frame(one, ms(0)), Err(ResultRefusal::FrameOver));
    let partial = server.poll_transmit(ms(0)).unwrap();
    assert_eq!((partial.path, partial.envelope), (A, envelope));
    let last = server.poll_transmit(ms(0)).unwrap();
    assert_eq!(
        last.envelope,
        Envelope {
            flags: HeaderFlags::EOS,
            ..envelope
        }
    );
    assert!(server.poll_transmit(ms(0)).is_none());
    submit(&mut server, 2, 0);
    server.drop_frame(key(2), ms(0)).unwrap();
    submit(&mut server, 3, 0);
    server
        .fail_frame(key(3), ErrorCode::InternalError, "sorry", ms(0))
        .unwrap();
    assert_eq!(
        server.poll_transmit(ms(0)).unwrap().message,
        Message::ResultDrop
    );
    assert_eq!(
        sent_error(&mut server),
        (ErrorCode::InternalError, ErrorScope::Frame, 3)
    );
    let counts = server.frames();
    assert_eq!(
        (counts.submitted, counts.done_total(), counts.in_flight),
        (3, 3, 0)
    );
}

#[test]
fn results_keep_to_what_the_submit_allows_and_the_client_takes() {
    // spec: nnrp-design, budgets; nnrp-session 4.1, client to server updates
    let mut server = serving(ServerOptions::default(), TransportId::Tcp);
    let mut strict = frame_submit(0);
    strict.metadata.budget_policy = BudgetPolicy::ALLOW_PARTIAL;
    give(
        &mut server,
        frame_envelope(1),
        &Message::FrameSubmit(strict),
    );
    let mut degraded = result_push(ResultClass::Degraded);
    degraded.metadata.applied_budget_policy = BudgetPolicy::ALLOW_DEGRADED;
    let refused = server.push_result(FrameKey::new(1), degraded, true, ms(0));
    assert!(matches!(
        refused,
        Err(ResultRefusal::PolicyNotAllowed { .. })
    ));
    let pause = flow(FlowScope::Session, FlowReason::Pause, 4, 1);
    give(
        &mut server,
        Envelope::session(SESSION),
        &Message::FlowUpdate(pause),
    );
    let partial = server.push_result(
        FrameKey::new(1),
        result_push(ResultClass::Partial),
        false,
        ms(0),
    );
    assert!(matches!(partial, Err(ResultRefusal::NoCredit(_))));
    server
        .push_result(
            FrameKey::new(1),
            result_push(ResultClass::Complete),
            true,
            ms(0),
        )
        .unwrap();
    give(
        &mut server,
        Envelope::session(SESSION),
        &Message::FlowUpdate(flow(FlowScope::Session, FlowReason::Grant, 4, 0)),
    );
    assert_eq!(server.counters().ignored_updates, 1);
}

#[test]
fn what_cannot_be_sent_is_refused_at_once() {
    let mut server = serving(ServerOptions::default(), TransportId::Tcp);
    submit(&mut server, 1, 0);
    let mut result = result_push(ResultClass::Complete);
    result.metadata.payload_frame_count = 7;
    let refused = server.push_result(key(1), result.clone(), true, ms(0));
    let Err(ResultRefusal::Invalid(error)) = refused else {
        panic!("{refused:?}")
    };
    let encoded = Message::ResultPush(result).encode(&frame_envelope(1), &mut Vec::new());
    assert_eq!(encoded, Err(error));
    assert_eq!(server.frames().in_flight, 1, "the frame stays as it was");
    let mut update = flow(FlowScope::Session, FlowReason::Grant, 3, 1);
    update.operation_credit = 5;
    assert!(matches!(
        server.flow_update(update),
        Err(HandleError::Invalid(_))
    ));
    assert!(server.poll_transmit(ms(0)).is_none());
    let last = server.push_result(key(1), result_push(ResultClass::Complete), true, ms(0));
    assert_eq!(last, Ok(()));
}

#[test]
fn a_connection_gives_what_was_asked_for_and_nothing_else() {
    let answer = |session_id| {
        let metadata = nnrp_wire::metadata::ServerHelloAckMetadata {
            session_id,
            ..ack(1)
        };
        ServerHelloAck {
            metadata,
            extensions: Vec::new(),
            payload: Bytes::new(),
        }
    };
    let mut waiting = connection();
    let refused =
        |connection: &mut ServerConnection, answer| connection.accept(answer, ms(0)).unwrap_err();
    assert_eq!(refused(&mut waiting, answer(9)), AcceptRefusal::NotAsked);
    greet(&mut waiting, &Message::ClientHello(hello()));
    assert_eq!(refused(&mut waiting, answer(0)), AcceptRefusal::NoSessionId);
    let mut unsendable = answer(9);
    unsendable.extensions.push(ControlExtension {
        ext_type: ControlExtensionType::ClientPayloadCapabilities.number(),
        flags: ControlExtensionFlags::empty(),
        payload: "?".into(),
    });
    assert!(matches!(
        refused(&mut waiting, unsendable),
        AcceptRefusal::Invalid(_)
    ));
    // A hello is no migration: no session adopts its connection, and there is none to refuse.
    let (mut moving, offer) = asking(SESSION, TransportId::Quic, TransportId::Tcp);
    let mut server = serving(ServerOptions::default(), TransportId::Quic);
    let mut greeted = ServerConnection::new(ServerOptions::default(), B, TransportId::Tcp, ms(0));
    greet(&mut greeted, &Message::ClientHello(hello()));
    assert_eq!(
        server.adopt(&mut greeted, &offer, true, ms(0)),
        Err(MigrateRefusal::Busy)
    );
    greeted.refuse_migration(SESSION, MigrateRefusal::Busy, ms(0));
    assert_eq!(greeted.state(), ConnectionState::Deciding);
    assert!(greeted.poll_transmit().is_none());
    assert!(waiting.accept(answer(9), ms(0)).is_ok());
    // A migration is no hello.
    assert_eq!(
        refused(&mut moving, answer(9)),
        AcceptRefusal::AsksToMigrate
    );
    assert_eq!(server.adopt(&mut moving, &offer, true, ms(0)), Ok(()));
}

#[test]
fn submits_are_refused_one_by_one() {
    // spec: nnrp-session 5.3, 10 Q-22
    let options = ServerOptions {
        frames_max: 1,
        ..ServerOptions::default()
    };
    let mut server = serving(options, TransportId::Tcp);
    let foreign = Envelope {
        session_id: 8,
        view_id: 2,
        ..frame_envelope(1)
    };
    give(&mut server, foreign, &Message::FrameSubmit(frame_submit(0)));
    assert_eq!(
        sent_error(&mut server),
        (ErrorCode::InvalidState, ErrorScope::Frame, 1)
    );
    submit(&mut server, 1, 0);
    submit(&mut server, 1, 0);
    submit(&mut server, 2, 0);
    assert_eq!(
        sent_error(&mut server),
        (ErrorCode::LimitExceeded, ErrorScope::Frame, 2)
    );
    let expected = [
        refusal(1, SubmitFault::Foreign),
        refusal(1, SubmitFault::Duplicate),
        refusal(2, SubmitFault::TooMany),
    ];
    assert_eq!(events(&mut server), expected);
    server.drop_frame(key(1), ms(0)).unwrap();
    server.poll_transmit(ms(0));
    submit(&mut server, 1, 0);
    assert_eq!(server.frames().submitted, 2, "ids may repeat");
    assert_eq!(
        (server.state(), server.counters().refused_submits),
        (ServerState::Active, 3)
    );
    let bad = Header {
        session_id: SESSION,
        frame_id: 9,
        view_id: 2,
        ..Header::new(MessageType::FrameSubmit)
    };
    let bad = Packet::new(bad, Bytes::from(vec![0xff; 72]), Bytes::new()).unwrap();
    server.handle_packet(A, &bad, ms(0)).unwrap();
    assert_eq!(
        sent_error(&mut server),
        (ErrorCode::MalformedBody, ErrorScope::Frame, 9)
    );
    assert!(matches!(
        events(&mut server)[..],
        [
            ServerEvent::FrameRefused { .. },
            ServerEvent::Undecodable { .. }
        ]
    ));
}

#[test]
fn cancelled_frames_are_dropped_at_once() {
    // spec: nnrp-session 4.5
    let mut server = serving(
        ServerOptions {
            answers_unknown_cancels: true,
            ..ServerOptions::default()
        },
        TransportId::Tcp,
    );
    submit(&mut server, 1, 0);
    let cancel = |frame| Envelope {
        view_id: 2,
        ..frame_envelope(frame)
    };
    give(&mut server, cancel(1), &Message::FrameCancel);
    assert_eq!(events(&mut server), [over(1, FrameOutcome::Cancelled)]);
    assert_eq!(
        sent(|| server.poll_transmit(ms(0))),
        [(MessageType::ResultDrop, 1)]
    );
    assert_eq!(
        server.drop_frame(key(1), ms(0)),
        Err(ResultRefusal::FrameOver)
    );
    give(&mut server, cancel(1), &Message::FrameCancel);
    assert_eq!(
        sent(|| server.poll_transmit(ms(0))),
        [],
        "it has been answered"
    );
    give(&mut server, cancel(9), &Message::FrameCancel);
    assert_eq!(
        sent_error(&mut server),
        (ErrorCode::FrameExpired, ErrorScope::Frame, 9)
    );
}

#[test]
fn cancellations_may_come_before_their_submit_on_quic() {
    // spec: nnrp-session 1.4, 4.5
    let mut server = serving(ServerOptions::default(), TransportId::Quic);
    let early = Envelope {
        view_id: 2,
        ..frame_envelope(1)
    };
    give(&mut server, early, &Message::FrameCancel);
    submit(&mut server, 1, 0);
    assert_eq!(
        server_events(&mut server),
        [refusal(1, SubmitFault::CancelledEarly)]
    );
    assert_eq!(
        sent(|| server.poll_transmit(ms(0))),
        [(MessageType::ResultDrop, 1)]
    );
    submit(&mut server, 1, 0);
    assert_eq!(server.frames().in_flight, 1, "once");
    // For a time.
    give(
        &mut server,
        Envelope {
            frame_id: 2,
            ..early
        },
        &Message::FrameCancel,
    );
    let late = packet(
        &Envelope {
            frame_id: 2,
            ..early
        },
        &Message::FrameSubmit(frame_submit(0)),
    );
    server.handle_packet(A, &late, ms(1000)).unwrap();
    assert_eq!(server.frames().in_flight, 2);
}

#[test]
fn a_latency_budget_ends_a_frame() {
    // spec: nnrp-design, loss tolerance
    let mut server = serving(ServerOptions::default(), TransportId::Tcp);
    submit(&mut server, 1, 40);
    assert_eq!(server.next_timeout(), Some(ms(40)));
    server.handle_timeout(ms(40));
    assert_eq!(events(&mut server), [over(1, FrameOutcome::Expired)]);
    let told = [(MessageType::ResultHint, 1), (MessageType::ResultDrop, 1)];
    assert_eq!(sent(|| server.poll_transmit(ms(40))), told);

    let silent = ServerOptions {
        explains_expiry: false,
        ..ServerOptions::default()
    };
    let mut server = serving(silent, TransportId::Tcp);
    submit(&mut server, 1, 40);
    server.handle_timeout(ms(40));
    assert_eq!(sent(|| server.poll_transmit(ms(40))), told[1..]);
}

#[test]
fn what_is_not_for_a_session_is_refused_or_ignored() {
    // spec: nnrp-session 5.3
    let mut server = serving(ServerOptions::default(), TransportId::Tcp);
    let session = Envelope::session(SESSION);
    give(&mut server, session, &Message::Pong);
    give(
        &mut server,
        session,
        &error(ErrorScope::Session, 3, false, 0),
    );
    give(&mut server, Envelope::session(8), &Message::Ping);
    assert_eq!(sent(|| server.poll_transmit(ms(0))), []);
    assert!(matches!(
        events(&mut server)[..],
        [ServerEvent::Reported(_)]
    ));
    assert_eq!(server.counters().foreign, 1);
    give(
        &mut server,
        session,
        &offer(TransportId::Tcp, TransportId::Quic),
    );
    assert_eq!(
        sent_error(&mut server),
        (ErrorCode::InvalidState, ErrorScope::Session, 0)
    );
    assert_eq!(server.state(), ServerState::Active);
    give(&mut server, session, &Message::ClientHello(hello()));
    assert_eq!(sent_error(&mut server).0, ErrorCode::InvalidState);
    assert_eq!(
        sent(|| server.poll_transmit(ms(0))),
        [(MessageType::Close, 0)]
    );
    assert_eq!(server.state(), ServerState::Failed);
    let ping = packet(&session, &Message::Ping);
    assert_eq!(
        server.handle_packet(A, &ping, ms(0)),
        Err(HandleError::Over)
    );
}

#[test]
fn closing_drains_and_drops_what_does_not_end() {
    // spec: nnrp-session 4.7, 10 Q-01
    let mut server = serving(ServerOptions::default(), TransportId::Tcp);
    submit(&mut server, 1, 0);
    submit(&mut server, 2, 0);
    server.close("down".into(), ms(0)).unwrap();
    assert_eq!(server.close("again".into(), ms(0)), Err(HandleError::Over));
    submit(&mut server, 3, 0);
    assert_eq!(events(&mut server), [refusal(3, SubmitFault::Draining)]);
    server
        .push_result(key(1), result_push(ResultClass::Complete), true, ms(1))
        .unwrap();
    assert_eq!(
        sent(|| server.poll_transmit(ms(1))),
        [(MessageType::ResultDrop, 3), (MessageType::ResultPush, 1)]
    );
    server.handle_timeout(ms(5000));
    assert_eq!(events(&mut server), [over(2, FrameOutcome::Dropped)]);
    assert_eq!(
        sent(|| server.poll_transmit(ms(1))),
        [(MessageType::ResultDrop, 2), (MessageType::Close, 0)]
    );
    server.handle_timeout(ms(5999));
    assert_eq!(
        server.state(),
        ServerState::Draining,
        "the last results have to be read"
    );
    server.handle_timeout(ms(6000));
    assert_eq!(
        (events(&mut server), server.next_timeout()),
        (vec![ServerEvent::Closed], None)
    );
}

#[test]
fn a_close_that_comes_is_answered_behind_the_last_result() {
    // spec: nnrp-session 4.7
    let mut server = serving(
        ServerOptions {
            close_reason: "bye".into(),
            ..ServerOptions::default()
        },
        TransportId::Tcp,
    );
    submit(&mut server, 1, 0);
    give(
        &mut server,
        Envelope::session(SESSION),
        &Message::Close("done".into()),
    );
    assert_eq!(sent(|| server.poll_transmit(ms(0))), []);
    server
        .push_result(key(1), result_push(ResultClass::Complete), true, ms(1))
        .unwrap();
    assert_eq!(
        server.poll_transmit(ms(1)).unwrap().message.message_type(),
        MessageType::ResultPush
    );
    assert_eq!(
        server.poll_transmit(ms(1)).unwrap().message,
        Message::Close("bye".into())
    );
    server.handle_path_end(A, PathEnd::Finished, ms(2)).unwrap();
    assert_eq!(
        events(&mut server),
        [
            ServerEvent::CloseReceived("done".into()),
            ServerEvent::Closed
        ]
    );
}

#[test]
fn the_end_of_the_connection_stops_what_is_in_flight() {
    let mut server = serving(ServerOptions::default(), TransportId::Tcp);
    submit(&mut server, 1, 0);
    server.handle_path_end(A, PathEnd::Finished, ms(0)).unwrap();
    let events = events(&mut server);
    assert_eq!(events[0], over(1, FrameOutcome::ConnectionLost));
    assert_eq!((server.state(), events.len()), (ServerState::Failed, 2));
    let mut server = serving(ServerOptions::default(), TransportId::Tcp);
    server.handle_path_end(A, PathEnd::Finished, ms(0)).unwrap();
    assert_eq!(server.state(), ServerState::Closed);
    let mut server = serving(ServerOptions::default(), TransportId::Tcp);
    let report = Report {
        code: ErrorCode::ServerBusy,
        retry_after_ms: 1000,
        diagnostic: "busy",
    };
    server.report(report).unwrap();
    server.fail_session(report, ms(0)).unwrap();
    let mut fatal = Vec::new();
    while let Some(transmit) = server.poll_transmit(ms(0)) {
        if let Message::Error(report) = transmit.message {
            fatal.push((report.metadata.is_fatal, report.metadata.retry_after_ms));
        }
    }
    assert_eq!(fatal, [(0, 1000), (1, 1000)]);
}

#[test]
fn keep_alives_suit_the_reference() {
    // spec: nnrp-session 4.2
    let liveness = LivenessOptions {
        keep_alive: Some(ms(30)),
        ..LivenessOptions::default()
    };
    let mut server = serving(
        ServerOptions {
            liveness,
            ..ServerOptions::default()
        },
        TransportId::Tcp,
    );
    server.handle_timeout(ms(30));
    let Message::FlowUpdate(update) = server.poll_transmit(ms(30)).unwrap().message else {
        panic!()
    };
    assert_eq!((update.session_credit, update.credit_epoch), (16, 0));
    server
        .flow_update(flow(FlowScope::Session, FlowReason::Pause, 5, 3))
        .unwrap();
    server.poll_transmit(ms(31));
    server.handle_timeout(ms(61));
    let Message::FlowUpdate(update) = server.poll_transmit(ms(61)).unwrap().message else {
        panic!()
    };
    assert_eq!(
        (
            update.update_reason,
            update.session_credit,
            update.credit_epoch
        ),
        (FlowReason::Pause, 5, 3)
    );
}

fn offer(from: TransportId, to: TransportId) -> Message {
    Message::SessionMigrate(SessionMigrate {
        metadata: SessionMigrateMetadata {
            old_transport_id: from,
            new_transport_id: to,
            last_result_frame_id: 0,
            client_migrate_ts_us: 0,
        },
        body: "token".into(),
    })
}

/// A connection on B that asks to have the session moved there.
fn asking(session_id: u32, from: TransportId, to: TransportId) -> (ServerConnection, MigrateOffer) {
    let mut connection =
        ServerConnection::new(ServerOptions::default(), B, TransportId::Tcp, ms(0));
    let packet = packet(&Envelope::session(session_id), &offer(from, to));
    connection.handle_packet(&packet, ms(0)).unwrap();
    match connection.poll_event() {
        Some(ConnectionEvent::Migrate(offer)) => (connection, *offer),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_session_moves_and_answers_old_frames_where_they_came_from() {
    // spec: nnrp-session 4.6, server duties
    let mut server = serving(ServerOptions::default(), TransportId::Quic);
    submit(&mut server, 3, 0);
    submit(&mut server, 4, 0);
    let (mut connection, offer) = asking(SESSION, TransportId::Quic, TransportId::Tcp);
    server.adopt(&mut connection, &offer, true, ms(10)).unwrap();
    assert_eq!(connection.state(), ConnectionState::Taken);
    assert_eq!(
        events(&mut server),
        [ServerEvent::Migrated {
            path: B,
            resume_from_frame_id: 5
        }]
    );
    let answer = server.poll_transmit(ms(10)).unwrap();
    let Message::SessionMigrateAck(ack) = answer.message else {
        panic!()
    };
    assert_eq!((answer.path, answer.envelope.session_id), (B, SESSION));
    assert_eq!(
        (
            ack.metadata.accept_code,
            ack.metadata.resume_from_frame_id,
            ack.metadata.grace_window_ms
        ),
        (0, 5, 2000)
    );
    let late = packet(&frame_envelope(5), &Message::FrameSubmit(frame_submit(0)));
    server.handle_packet(A, &late, ms(11)).unwrap();
    server.handle_packet(B, &late, ms(12)).unwrap();
    assert!(matches!(
        events(&mut server)[..],
        [ServerEvent::FrameRefused {
            fault: SubmitFault::OldPath,
            ..
        }]
    ));
    server.drop_frame(key(3), ms(12)).unwrap();
    server.drop_frame(FrameKey::new(5), ms(12)).unwrap();
    let paths: Vec<_> = std::iter::from_fn(|| server.poll_transmit(ms(12)))
        .map(|transmit| transmit.path)
        .collect();
    assert_eq!(paths, [A, B]);
    let (mut third, offer) = asking(SESSION, TransportId::Quic, TransportId::Tcp);
    assert_eq!(
        server.adopt(&mut third, &offer, true, ms(12)),
        Err(MigrateRefusal::WrongTransport)
    );
    server.handle_timeout(ms(2010));
    assert_eq!(events(&mut server), [ServerEvent::ClosePath(A)]);
    server.drop_frame(key(4), ms(2011)).unwrap();
    assert_eq!(server.poll_transmit(ms(2011)).unwrap().path, B);
}

#[test]
fn a_session_does_not_move_behind_the_last_frame_id() {
    let mut server = serving(ServerOptions::default(), TransportId::Quic);
    submit(&mut server, u32::MAX, 0);
    let (mut connection, offer) = asking(SESSION, TransportId::Quic, TransportId::Tcp);
    let refusal = MigrateRefusal::NoFrameIds;
    assert_eq!(
        server.adopt(&mut connection, &offer, true, ms(0)),
        Err(refusal)
    );
    assert_eq!((server.primary_path(), refusal.accept_code()), (A, 5));
    submit(&mut server, 0, 0);
    assert_eq!(
        server.frames().in_flight,
        2,
        "here they may come in any order"
    );
}

#[test]
fn a_session_moves_only_for_its_owner_from_where_it_is() {
    // spec: nnrp-session 4.6
    let mut server = serving(ServerOptions::default(), TransportId::Quic);
    let mut refused = |session_id, from, to, is_owner| {
        let (mut connection, offer) = asking(session_id, from, to);
        let refusal = server
            .adopt(&mut connection, &offer, is_owner, ms(0))
            .unwrap_err();
        connection.refuse_migration(session_id, refusal, ms(0));
        let answer = connection.poll_transmit().unwrap();
        let Message::SessionMigrateAck(ack) = answer.message else {
            panic!()
        };
        assert_eq!(answer.envelope.session_id, session_id);
        assert_eq!(connection.state(), ConnectionState::Ended);
        ack.metadata.accept_code
    };
    let (quic, tcp) = (TransportId::Quic, TransportId::Tcp);
    assert_eq!(refused(8, quic, tcp, true), 1);
    assert_eq!(refused(SESSION, quic, tcp, false), 2);
    assert_eq!(refused(SESSION, tcp, quic, true), 3);
    assert_eq!(refused(SESSION, tcp, tcp, true), 3);
    server.close(Bytes::new(), ms(0)).unwrap();
    let (mut connection, offer) = asking(SESSION, quic, tcp);
    assert_eq!(
        server.adopt(&mut connection, &offer, true, ms(0)),
        Err(MigrateRefusal::Busy)
    );
}

#[test]
fn what_waits_is_bounded_in_bytes() {
    // spec: nnrp-session 12.3
    let submit = |frame| {
        let message = Message::FrameSubmit(submit_of(80));
        packet(&frame_envelope(frame), &message)
    };
    let one = packet(&frame_envelope(1), &Message::ResultPush(result_of(80)));
    let options = ServerOptions {
        events_bytes_max: 2 * submit(1).bytes(),
        transmits_bytes_max: 1 + one.body().len() as u64,
        ..ServerOptions::default()
    };
    let mut server = serving(options, TransportId::Tcp);
    server.handle_packet(A, &submit(1), ms(0)).unwrap();
    server.handle_packet(A, &submit(2), ms(0)).unwrap();
    let refused = Err(HandleError::Congested);
    assert_eq!(server.handle_packet(A, &submit(3), ms(0)), refused);
    assert!(server.poll_event().is_some());
    assert_eq!(server.handle_packet(A, &submit(3), ms(0)), Ok(()));
    server_events(&mut server);

    let mut push = |is_last| server.push_result(FrameKey::new(1), result_of(80), is_last, ms(0));
    assert_eq!((push(false), push(false)), (Ok(()), Ok(())));
    assert_eq!(push(false), Err(ResultRefusal::Congested));
    assert_eq!(push(true), Ok(()), "the last is always taken");
    assert_eq!(server.handle_packet(A, &submit(4), ms(0)), refused);
    assert_eq!(sent(|| server.poll_transmit(ms(0))).len(), 3);
    assert_eq!(server.handle_packet(A, &submit(4), ms(0)), Ok(()));
}
