//! Each row of the client's table, and the rules of its frames. spec: nnrp-session 2 to 5.4

use bytes::Bytes;
use nnrp_wire::metadata::{ResultHintMetadata, ServerHelloAckMetadata, SessionMigrateAckMetadata};
use nnrp_wire::session::{
    AckFault, ClientEvent, ClientOptions, ClientSession, ClientState, Failure, FrameError,
    FrameKey, FrameOutcome, FrameState, HandleError, KnownExtensions, LivenessOptions,
    MigrateMisuse, MigrationFailure, NoCredit, PathEnd, PathId, Submit, SubmitRefusal,
};
use nnrp_wire::{
    Category, CongestionState, ControlExtension, ControlExtensionFlags, ControlExtensionType,
    Envelope, ErrorCode, ErrorScope, FlowReason, FlowScope, FrameClass, Header, HeaderFlags,
    HintPolicy, HintReason, Message, MessageType, Packet, ResultClass, ServerHelloAck,
    SessionMigrateAck, TransportId,
};

use crate::make::*;

const SMALL: u16 = 2;

fn submit(client: &mut ClientSession, frame: u32) -> Result<FrameState, SubmitRefusal> {
    let submit = Submit::new(FrameKey::new(frame), frame_submit(0));
    client.submit(submit, ms(0)).map_err(|refused| refused.why)
}

fn give(client: &mut ClientSession, envelope: Envelope, message: &Message) {
    client
        .handle_packet(A, &packet(&envelope, message), ms(0))
        .unwrap();
}

fn result(client: &mut ClientSession, frame: u32, class: ResultClass, flags: HeaderFlags) {
    let envelope = Envelope {
        flags,
        ..frame_envelope(frame)
    };
    give(client, envelope, &Message::ResultPush(result_push(class)));
}

fn done(frame: u32, outcome: FrameOutcome) -> ClientEvent {
    ClientEvent::FrameDone {
        key: FrameKey::new(frame),
        outcome,
        error: None,
    }
}

/// Events without results.
fn ends(client: &mut ClientSession) -> Vec<ClientEvent> {
    let mut events = client_events(client);
    events.retain(|event| !matches!(event, ClientEvent::FrameResult { .. }));
    events
}

fn failure(client: &mut ClientSession) -> Failure {
    assert_eq!(client.state(), ClientState::Failed);
    match client_events(client).pop() {
        Some(ClientEvent::Failed(failure)) => *failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn idle_connecting_hello_active() {
    let mut client = ClientSession::new(ClientOptions::default());
    assert_eq!(
        (client.state(), client.next_timeout()),
        (ClientState::Idle, None)
    );
    client.connect(ms(5));
    assert_eq!(client.state(), ClientState::Connecting);
    assert_eq!(client.next_timeout(), Some(ms(10_005)));
    client.connected(A, TransportId::Tcp, ms(6)).unwrap();
    assert_eq!(client.state(), ClientState::HelloSent);
    let transmit = client.poll_transmit(ms(6)).unwrap();
    assert_eq!(
        (transmit.path, transmit.envelope.flags),
        (A, HeaderFlags::ACK_REQUIRED)
    );
    let Message::ClientHello(sent) = transmit.message else {
        panic!()
    };
    assert_eq!(sent, hello());
    let envelope = Envelope::default();
    client
        .handle_packet(A, &packet(&envelope, &hello_ack(ack(1))), ms(7))
        .unwrap();
    assert_eq!(
        (client.state(), client.session_id()),
        (ClientState::Active, SESSION)
    );
    assert_eq!(
        client.connected(A, TransportId::Tcp, ms(8)),
        Err(HandleError::Over)
    );
}

#[test]
fn hello_fails_on_anything_but_a_usable_answer() {
    // spec: nnrp-session 5.4, 2.4
    let answered = |message: &Message| {
        let mut client = greeting(ClientOptions::default());
        give(&mut client, Envelope::session(0), message);
        failure(&mut client)
    };
    let ping = answered(&Message::Ping);
    let (found, expected) = (MessageType::Ping, MessageType::ServerHelloAck);
    assert_eq!(ping, Failure::Unexpected { found, expected });
    let Failure::Peer(report) = answered(&error(ErrorScope::Connection, 2, true, 0)) else {
        panic!()
    };
    assert_eq!(report.metadata.known_code(), Some(ErrorCode::AuthFailed));
    assert_eq!(
        (&report.diagnostic[..], report.to_string()),
        (&b"text"[..], "AUTH_FAILED: text".into())
    );
    let with = |change: fn(&mut ServerHelloAckMetadata)| {
        let mut metadata = ack(1);
        change(&mut metadata);
        match answered(&hello_ack(metadata)) {
            Failure::Ack(fault) => fault,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        with(|ack| ack.auth_status = 1),
        AckFault::Auth { status: 1 }
    );
    assert_eq!(
        with(|ack| ack.selected_version_major = 9),
        AckFault::Version { version: 9 }
    );
    assert_eq!(
        with(|ack| ack.selected_wire_format = 7),
        AckFault::WireFormat { wire_format: 7 }
    );
    assert_eq!(with(|ack| ack.session_id = 0), AckFault::NoSession);
    let mut client = greeting(ClientOptions::default());
    give(&mut client, Envelope::session(8), &hello_ack(ack(1)));
    let other = AckFault::OtherSession {
        header_session_id: 8,
        session_id: SESSION,
    };
    assert_eq!(failure(&mut client), Failure::Ack(other));
}

#[test]
fn hello_fails_in_time_and_with_the_connection() {
    let mut client = greeting(ClientOptions::default());
    client.handle_timeout(ms(9_999));
    assert_eq!(client.state(), ClientState::HelloSent);
    client.handle_timeout(ms(10_000));
    assert_eq!(
        failure(&mut client),
        Failure::ConnectTimeout {
            timeout: ms(10_000)
        }
    );
    assert_eq!(client.next_timeout(), None);
    let mut client = greeting(ClientOptions::default());
    client.handle_path_end(A, PathEnd::Finished, ms(0)).unwrap();
    assert_eq!(failure(&mut client), Failure::Path(PathEnd::Finished));
    assert_eq!(
        client.handle_path_end(A, PathEnd::Lost, ms(0)),
        Err(HandleError::Over)
    );
}

#[test]
fn results_end_frames_as_they_say() {
    // spec: nnrp-session 3.4, 5.4 frame slot
    let mut client = active(ClientOptions::default(), 0);
    let none = HeaderFlags::empty();
    for frame in 1..=5 {
        assert_eq!(submit(&mut client, frame), Ok(FrameState::InFlight));
    }
    result(&mut client, 1, ResultClass::Complete, none);
    result(&mut client, 2, ResultClass::StaleReuse, none);
    result(&mut client, 3, ResultClass::Degraded, none);
    give(&mut client, frame_envelope(4), &Message::ResultDrop);
    let ended = ends(&mut client);
    let expected = [
        done(1, FrameOutcome::Complete),
        done(2, FrameOutcome::Stale),
        done(3, FrameOutcome::Degraded),
        done(4, FrameOutcome::Dropped),
    ];
    assert_eq!(ended, expected);
    result(&mut client, 5, ResultClass::Partial, none);
    assert_eq!(
        client.frame_state(FrameKey::new(5)),
        Some(FrameState::Partial)
    );
    result(&mut client, 5, ResultClass::Partial, HeaderFlags::EOS);
    assert_eq!(ends(&mut client), [done(5, FrameOutcome::Complete)]);
    assert_eq!(client.last_result_frame_id(), 5);
    // What comes later is counted and left out.
    result(&mut client, 5, ResultClass::Complete, none);
    result(&mut client, 9, ResultClass::Complete, none);
    let foreign = Envelope {
        session_id: 8,
        ..frame_envelope(5)
    };
    give(&mut client, foreign, &Message::ResultDrop);
    let counters = client.counters();
    assert_eq!(
        (counters.late, counters.unknown, counters.foreign),
        (1, 1, 1)
    );
    assert_eq!(client_events(&mut client), []);
}

#[test]
fn streams_go_on_until_their_end_but_free_their_credit_before() {
    // spec: nnrp-session A-12, 3.4
    let mut client = active(ClientOptions::default(), 1);
    let mut stream = Submit::new(FrameKey::new(1), frame_submit(0));
    stream.is_stream = true;
    client.submit(stream.clone(), ms(0)).unwrap();
    let none = HeaderFlags::empty();
    result(&mut client, 1, ResultClass::Partial, none);
    assert_eq!(client.credit().available(), Some(0));
    result(&mut client, 1, ResultClass::Complete, none);
    assert_eq!(client.credit().available(), Some(1));
    result(&mut client, 1, ResultClass::Complete, none);
    assert_eq!(client.credit().available(), Some(1), "only once");
    assert_eq!(ends(&mut client), []);
    result(&mut client, 1, ResultClass::Complete, HeaderFlags::EOS);
    assert_eq!(ends(&mut client), [done(1, FrameOutcome::Complete)]);
    stream.key = FrameKey::new(2);
    client.submit(stream, ms(0)).unwrap();
    assert!(!client.release(FrameKey::new(2), ms(0)), "nothing has come");
    result(&mut client, 2, ResultClass::Complete, none);
    assert!(client.release(FrameKey::new(2), ms(0)));
    assert_eq!(ends(&mut client), [done(2, FrameOutcome::Complete)]);
}

#[test]
fn frames_wait_for_credit_outside_or_inside() {
    // spec: nnrp-session 4.1, send_submit without credit
    let mut client = active(
        ClientOptions {
            pending_max: 1,
            ..ClientOptions::default()
        },
        1,
    );
    submit(&mut client, 1).unwrap();
    let exhausted = NoCredit::Exhausted {
        scope: FlowScope::Session,
        ceiling: 1,
        in_flight: 1,
    };
    assert_eq!(
        submit(&mut client, 2),
        Err(SubmitRefusal::NoCredit(exhausted))
    );
    let waiting = |frame| Submit {
        waits: true,
        ..Submit::new(FrameKey::new(frame), frame_submit(0))
    };
    assert_eq!(client.submit(waiting(3), ms(0)), Ok(FrameState::Pending));
    let full = client.submit(waiting(4), ms(0)).unwrap_err();
    assert_eq!(
        (full.why, full.submit.key),
        (
            SubmitRefusal::PendingFull { pending_max: 1 },
            FrameKey::new(4)
        )
    );
    result(&mut client, 1, ResultClass::Complete, HeaderFlags::empty());
    let expected = [
        done(1, FrameOutcome::Complete),
        ClientEvent::FrameStarted(FrameKey::new(3)),
    ];
    assert_eq!(ends(&mut client), expected, "who waits inside goes first");
    give(&mut client, frame_envelope(3), &Message::ResultDrop);
    let expected = [done(3, FrameOutcome::Dropped), ClientEvent::CreditAvailable];
    assert_eq!(ends(&mut client), expected);
    let counts = client.frames();
    assert_eq!(
        (
            counts.submitted,
            counts.done_total(),
            client.counters().credit_stalls
        ),
        (2, 2, 1)
    );
}

#[test]
fn updates_and_times_to_wait_wake_who_waits() {
    let mut client = active(ClientOptions::default(), 0);
    let pause = flow(FlowScope::Connection, FlowReason::Pause, 4, 1);
    give(
        &mut client,
        Envelope::default(),
        &Message::FlowUpdate(pause),
    );
    submit(&mut client, 1).unwrap_err();
    let old = flow(FlowScope::Connection, FlowReason::Resume, 4, 0);
    give(&mut client, Envelope::default(), &Message::FlowUpdate(old));
    assert_eq!(
        (
            client_events(&mut client).len(),
            client.counters().ignored_updates
        ),
        (1, 1)
    );
    let mut resume = flow(FlowScope::Connection, FlowReason::Resume, 4, 2);
    resume.flags |= nnrp_wire::FlowFlags::RETRY_AFTER_VALID;
    resume.retry_after_ms = 10;
    give(
        &mut client,
        Envelope::default(),
        &Message::FlowUpdate(resume),
    );
    assert_eq!(client_events(&mut client), [ClientEvent::Flow(resume)]);
    assert_eq!(client.next_timeout(), Some(ms(10)));
    client.handle_timeout(ms(10));
    assert_eq!(client_events(&mut client), [ClientEvent::CreditAvailable]);
    // In the background, only what may be dropped.
    let mut background = flow(FlowScope::Session, FlowReason::Grant, 4, 1);
    background.flags |= nnrp_wire::FlowFlags::BACKGROUND_ONLY;
    give(
        &mut client,
        Envelope::session(SESSION),
        &Message::FlowUpdate(background),
    );
    assert!(matches!(
        submit(&mut client, 1),
        Err(SubmitRefusal::NoCredit(NoCredit::BackgroundOnly { .. }))
    ));
    let mut submit = Submit::new(FrameKey::new(1), frame_submit(0));
    submit.message.metadata.frame_class = FrameClass::Discardable.into();
    client.submit(submit, ms(20)).unwrap();
    let flags = HeaderFlags::CAN_DROP;
    client
        .submit(
            Submit {
                flags,
                ..Submit::new(FrameKey::new(2), frame_submit(0))
            },
            ms(20),
        )
        .unwrap();
}

#[test]
fn submits_are_refused_for_what_was_agreed_on() {
    let mut metadata = ack(0);
    metadata.accepted_payload_kind_bitmap = 2;
    let mut client = greeting(ClientOptions::default());
    assert_eq!(submit(&mut client, 1), Err(SubmitRefusal::NotActive));
    give(&mut client, Envelope::default(), &hello_ack(metadata));
    let kinds = nnrp_wire::PayloadKinds::TENSOR;
    assert_eq!(
        submit(&mut client, 1),
        Err(SubmitRefusal::UnsupportedKinds { kinds })
    );
    let mut metadata = ack(0);
    metadata.max_body_bytes = 15;
    let mut client = greeting(ClientOptions::default());
    give(&mut client, Envelope::default(), &hello_ack(metadata));
    let mut large = Submit::new(FrameKey::new(1), frame_submit(0));
    let nnrp_wire::SubmitBody::Flat(flat) = &mut large.message.body else {
        panic!()
    };
    flat.camera = Bytes::from(vec![0; 16]);
    large.message.metadata.camera_bytes = 16;
    let refused = client.submit(large, ms(0)).unwrap_err().why;
    assert!(
        matches!(refused, SubmitRefusal::TooLarge { bytes_max: 15, .. }),
        "{refused}"
    );
    assert_eq!(client.frames().submitted, 0);
}

#[test]
fn what_cannot_be_sent_is_refused_at_once() {
    let mut client = active(ClientOptions::default(), 0);
    let mut submit = Submit::new(FrameKey::new(1), frame_submit(0));
    submit.message.metadata.payload_frame_count = 9;
    let refused = client.submit(submit.clone(), ms(0)).unwrap_err();
    let SubmitRefusal::Invalid(error) = refused.why else {
        panic!("{refused:?}")
    };
    let message = Message::FrameSubmit(submit.message);
    let encoded = message.encode(&frame_envelope(1), &mut Vec::new());
    assert_eq!(encoded, Err(error));
    let mut update = flow(FlowScope::Session, FlowReason::Grant, 1, 1);
    update.connection_credit = 5;
    assert!(matches!(
        client.flow_update(update),
        Err(HandleError::Invalid(_))
    ));
    assert_eq!(client.frames().submitted, 0);
    assert!(client.poll_transmit(ms(0)).is_none());

    let mut options = ClientOptions::default();
    options.hello.extensions.push(ControlExtension {
        ext_type: ControlExtensionType::ClientPayloadCapabilities.number(),
        flags: ControlExtensionFlags::empty(),
        payload: "?".into(),
    });
    let mut client = ClientSession::new(options);
    let connected = client.connected(A, TransportId::Tcp, ms(0));
    assert!(matches!(connected, Err(HandleError::Invalid(_))));
    assert!(client.poll_transmit(ms(0)).is_none());
}

#[test]
fn cancelling_tells_the_waiter_at_once_and_keeps_the_credit() {
    // spec: nnrp-session 4.5
    let mut client = active(ClientOptions::default(), SMALL);
    submit(&mut client, 1).unwrap();
    assert!(
        client.cancel(FrameKey::new(1), ms(0)),
        "it was not sent yet"
    );
    assert_eq!(sent(|| client.poll_transmit(ms(0))), []);
    assert_eq!(client.credit().in_flight(), 0);
    submit(&mut client, 2).unwrap();
    assert_eq!(
        sent(|| client.poll_transmit(ms(0))),
        [(MessageType::FrameSubmit, 2)]
    );
    assert!(client.cancel(FrameKey::new(2), ms(0)));
    assert!(!client.cancel(FrameKey::new(2), ms(0)));
    assert_eq!(
        sent(|| client.poll_transmit(ms(0))),
        [(MessageType::FrameCancel, 2)]
    );
    let expected = [
        done(1, FrameOutcome::Cancelled),
        done(2, FrameOutcome::Cancelled),
    ];
    assert_eq!(client_events(&mut client), expected);
    assert_eq!(
        (client.credit().in_flight(), client.frames().cancelling),
        (1, 1)
    );
    result(&mut client, 2, ResultClass::Partial, HeaderFlags::empty());
    assert_eq!(
        client.frame_state(FrameKey::new(2)),
        Some(FrameState::Cancelling)
    );
    result(&mut client, 2, ResultClass::Complete, HeaderFlags::empty());
    assert_eq!(
        (client_events(&mut client), client.credit().in_flight()),
        (vec![], 0)
    );
    // Without an answer, for a time.
    submit(&mut client, 3).unwrap();
    sent(|| client.poll_transmit(ms(0)));
    client.cancel(FrameKey::new(3), ms(0));
    client_events(&mut client);
    assert_eq!(client.next_timeout(), Some(ms(5000)));
    client.handle_timeout(ms(5000));
    assert_eq!(
        (client_events(&mut client), client.credit().in_flight()),
        (vec![], 0)
    );
}

#[test]
fn deadlines_end_frames_on_this_side() {
    // spec: nnrp-session 12, item 6
    let mut client = active(ClientOptions::default(), 1);
    for frame in [1, 2] {
        let mut submit = Submit::new(FrameKey::new(frame), frame_submit(0));
        (submit.deadline, submit.waits) = (Some(ms(10)), true);
        client.submit(submit, ms(0)).unwrap();
    }
    sent(|| client.poll_transmit(ms(0)));
    client.handle_timeout(ms(10));
    let expected = [
        done(1, FrameOutcome::Expired),
        done(2, FrameOutcome::Expired),
    ];
    assert_eq!(client_events(&mut client), expected);
    assert_eq!(
        sent(|| client.poll_transmit(ms(10))),
        [(MessageType::FrameCancel, 1)]
    );
}

#[test]
fn errors_of_frames_end_frames_and_others_are_told() {
    // spec: nnrp-session 4.8
    let mut client = active(ClientOptions::default(), 0);
    submit(&mut client, 1).unwrap();
    submit(&mut client, 2).unwrap();
    give(
        &mut client,
        frame_envelope(1),
        &error(ErrorScope::Frame, 5, false, 1),
    );
    let events = client_events(&mut client);
    let [
        ClientEvent::FrameDone {
            outcome: FrameOutcome::Error,
            error: Some(FrameError::Peer(report)),
            ..
        },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(report.to_string(), "MALFORMED_BODY: text");
    give(
        &mut client,
        Envelope::session(SESSION),
        &error(ErrorScope::Session, 11, false, 0),
    );
    assert!(matches!(
        client_events(&mut client)[..],
        [ClientEvent::Reported(_)]
    ));
    give(
        &mut client,
        Envelope::session(SESSION),
        &error(ErrorScope::Session, 11, true, 0),
    );
    let events = client_events(&mut client);
    assert_eq!(
        events[0],
        done(2, FrameOutcome::ConnectionLost),
        "frames end before the session"
    );
    assert!(
        matches!(&events[1..], [ClientEvent::Failed(failure)] if matches!(**failure, Failure::Peer(_)))
    );
}

#[test]
fn a_result_that_cannot_be_read_costs_its_frame_only() {
    // spec: nnrp-session 10 Q-06
    let mut client = active(ClientOptions::default(), 0);
    submit(&mut client, 1).unwrap();
    let header = Header {
        session_id: SESSION,
        frame_id: 1,
        ..Header::new(MessageType::ResultPush)
    };
    let bad = Packet::new(header, Bytes::from(vec![0xff; 64]), Bytes::new()).unwrap();
    client.handle_packet(A, &bad, ms(0)).unwrap();
    let events = client_events(&mut client);
    assert!(
        matches!(
            &events[..],
            [ClientEvent::FrameDone {
                error: Some(FrameError::Malformed(_)),
                ..
            }]
        ),
        "{events:?}"
    );
    client.handle_packet(A, &bad, ms(0)).unwrap();
    assert!(matches!(
        client_events(&mut client)[..],
        [ClientEvent::Undecodable { .. }]
    ));
    let version = Header {
        version_major: 2,
        ..header
    };
    let bad = Packet::new(version, Bytes::new(), Bytes::new()).unwrap();
    client.handle_packet(A, &bad, ms(0)).unwrap();
    assert!(matches!(failure(&mut client), Failure::Malformed(_)));
}

#[test]
fn the_end_of_the_connection_fails_what_is_in_flight() {
    // spec: nnrp-session 5.4, 4.7
    let ended = |end, with_frame| {
        let mut client = active(ClientOptions::default(), 0);
        if with_frame {
            submit(&mut client, 1).unwrap();
        }
        client.handle_path_end(A, end, ms(0)).unwrap();
        (
            client.state(),
            client_events(&mut client).len(),
            client.frames().in_flight,
        )
    };
    assert_eq!(ended(PathEnd::Finished, false), (ClientState::Closed, 1, 0));
    assert_eq!(ended(PathEnd::Finished, true), (ClientState::Failed, 2, 0));
    assert_eq!(ended(PathEnd::Lost, false), (ClientState::Failed, 1, 0));
    let mut client = active(ClientOptions::default(), 0);
    let framing = Header::decode(b"XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX").unwrap_err();
    client
        .handle_path_end(A, PathEnd::Framing(framing), ms(0))
        .unwrap();
    let told = client.poll_transmit(ms(0)).unwrap().message;
    let Message::Error(report) = told else {
        panic!("{told:?}")
    };
    assert_eq!(
        report.metadata.known_code(),
        Some(ErrorCode::MalformedHeader)
    );
    assert_eq!(
        client.handle_packet(A, &packet(&Envelope::default(), &Message::Ping), ms(0)),
        Err(HandleError::Over)
    );
}

#[test]
fn pings_are_answered_first_and_hints_passed_on() {
    // spec: nnrp-session 4.2, 3.4
    let mut client = active(ClientOptions::default(), 0);
    submit(&mut client, 1).unwrap();
    let ping = Envelope {
        route_id: 3,
        trace_id: 4,
        ..Envelope::session(SESSION)
    };
    give(&mut client, ping, &Message::Ping);
    let pong = client.poll_transmit(ms(0)).unwrap();
    assert_eq!((pong.message, pong.envelope), (Message::Pong, ping));
    let hint = ResultHintMetadata {
        applied_budget_policy: HintPolicy::Drop,
        congestion_state: CongestionState::None,
        reason: HintReason::ServerBusy,
        retry_after_ms: 0,
    };
    give(&mut client, frame_envelope(1), &Message::ResultHint(hint));
    give(&mut client, frame_envelope(2), &Message::ResultHint(hint));
    assert_eq!(
        client_events(&mut client),
        [ClientEvent::FrameHint {
            key: FrameKey::new(1),
            hint
        }]
    );
}

#[test]
fn silence_ends_a_session_and_missing_pongs_only_if_there_was_one() {
    // spec: nnrp-session 4.2, 2.5
    let liveness = LivenessOptions {
        idle_timeout: Some(ms(100)),
        keep_alive: Some(ms(30)),
        missed_pongs_max: 2,
    };
    let options = ClientOptions {
        liveness,
        ..ClientOptions::default()
    };
    let mut client = active(options.clone(), 0);
    for at in [30, 60, 90] {
        assert_eq!(client.next_timeout(), Some(ms(at)));
        client.handle_timeout(ms(at));
        assert_eq!(
            sent(|| client.poll_transmit(ms(at))),
            [(MessageType::Ping, 0)]
        );
    }
    client.handle_timeout(ms(100));
    assert_eq!(
        failure(&mut client),
        Failure::IdleTimeout { timeout: ms(100) }
    );
    let mut client = active(options, 0);
    client.handle_timeout(ms(30));
    let ping = client.poll_transmit(ms(30)).unwrap();
    client
        .handle_packet(A, &packet(&ping.envelope, &Message::Pong), ms(35))
        .unwrap();
    assert_eq!(client_events(&mut client), [ClientEvent::RoundTrip(ms(5))]);
    for at in [60, 90, 120] {
        client.handle_timeout(ms(at));
        sent(|| client.poll_transmit(ms(at)));
    }
    assert_eq!(failure(&mut client), Failure::MissedPongs { count: 2 });
}

#[test]
fn silence_counts_from_the_answer_to_the_hello_on() {
    let liveness = LivenessOptions {
        keep_alive: Some(ms(7)),
        ..LivenessOptions::default()
    };
    let mut client = greeting(ClientOptions {
        liveness,
        ..ClientOptions::default()
    });
    let answer = packet(&Envelope::default(), &hello_ack(ack(1)));
    client.handle_packet(A, &answer, ms(8)).unwrap();
    assert_eq!(client.next_timeout(), Some(ms(15)));
}

#[test]
fn closing_waits_for_frames_and_then_for_the_other_side() {
    // spec: nnrp-session 4.7
    let mut client = active(ClientOptions::default(), 1);
    submit(&mut client, 1).unwrap();
    let waiting = Submit {
        waits: true,
        ..Submit::new(FrameKey::new(2), frame_submit(0))
    };
    client.submit(waiting, ms(0)).unwrap();
    sent(|| client.poll_transmit(ms(0)));
    client.close("enough".into(), ms(0)).unwrap();
    assert_eq!(client.close("again".into(), ms(0)), Err(HandleError::Over));
    assert_eq!(
        (client.state(), ends(&mut client)),
        (
            ClientState::Draining,
            vec![done(2, FrameOutcome::Cancelled)]
        )
    );
    assert_eq!(submit(&mut client, 3), Err(SubmitRefusal::NotActive));
    assert_eq!(sent(|| client.poll_transmit(ms(0))), []);
    result(&mut client, 1, ResultClass::Complete, HeaderFlags::empty());
    assert_eq!(
        sent(|| client.poll_transmit(ms(0))),
        [(MessageType::Close, 0)]
    );
    assert_eq!(client.state(), ClientState::Draining);
    give(
        &mut client,
        Envelope::session(SESSION),
        &Message::Close("bye".into()),
    );
    let expected = [
        done(1, FrameOutcome::Complete),
        ClientEvent::CloseReceived("bye".into()),
        ClientEvent::Closed,
    ];
    assert_eq!(ends(&mut client), expected);
}

#[test]
fn closing_takes_no_longer_than_it_may() {
    let mut client = active(ClientOptions::default(), 1);
    submit(&mut client, 1).unwrap();
    sent(|| client.poll_transmit(ms(0)));
    client.close(Bytes::new(), ms(0)).unwrap();
    client.handle_timeout(ms(5000));
    assert_eq!(
        client_events(&mut client),
        [done(1, FrameOutcome::Cancelled)]
    );
    assert_eq!(
        sent(|| client.poll_transmit(ms(5000))),
        [(MessageType::Close, 0)]
    );
    client.handle_timeout(ms(6000));
    assert_eq!(client_events(&mut client), [ClientEvent::Closed]);
    // Or until the connection ends.
    let mut client = active(ClientOptions::default(), 1);
    client.close(Bytes::new(), ms(0)).unwrap();
    client.handle_path_end(A, PathEnd::Finished, ms(1)).unwrap();
    assert_eq!(client_events(&mut client), [ClientEvent::Closed]);
}

#[test]
fn a_close_that_comes_is_answered_and_late_results_have_the_grace() {
    // spec: nnrp-session 4.7, 5.4
    let mut client = active(
        ClientOptions {
            close_reason: "too".into(),
            ..ClientOptions::default()
        },
        0,
    );
    submit(&mut client, 1).unwrap();
    submit(&mut client, 2).unwrap();
    sent(|| client.poll_transmit(ms(0)));
    give(
        &mut client,
        Envelope::session(SESSION),
        &Message::Close("down".into()),
    );
    assert_eq!(
        client.poll_transmit(ms(0)).unwrap().message,
        Message::Close("too".into())
    );
    result(&mut client, 1, ResultClass::Complete, HeaderFlags::empty());
    assert_eq!(client.state(), ClientState::Draining);
    client.handle_timeout(ms(1000));
    let expected = [
        ClientEvent::CloseReceived("down".into()),
        done(1, FrameOutcome::Complete),
        done(2, FrameOutcome::ConnectionLost),
        ClientEvent::Closed,
    ];
    assert_eq!(ends(&mut client), expected);
}

fn migrate_ack(session_id: u32, accept_code: u32, resume: u64) -> Packet {
    let message = Message::SessionMigrateAck(SessionMigrateAck {
        metadata: SessionMigrateAckMetadata {
            accept_code,
            resume_from_frame_id: resume,
            grace_window_ms: 50,
            server_migrate_ts_us: 0,
        },
        body: Bytes::new(),
    });
    packet(&Envelope::session(session_id), &message)
}

fn migrating() -> ClientSession {
    let mut client = active(ClientOptions::default(), 0);
    submit(&mut client, 4).unwrap();
    submit(&mut client, 5).unwrap();
    sent(|| client.poll_transmit(ms(0)));
    client
        .migrate(B, TransportId::Tcp, "proof".into(), ms(3))
        .unwrap();
    let ask = client.poll_transmit(ms(3)).unwrap();
    let Message::SessionMigrate(migrate) = ask.message else {
        panic!()
    };
    assert_eq!(
        (ask.path, ask.envelope, &migrate.body[..]),
        (B, Envelope::session(SESSION), &b"proof"[..])
    );
    assert_eq!(
        (
            migrate.metadata.old_transport_id,
            migrate.metadata.new_transport_id
        ),
        (TransportId::Quic, TransportId::Tcp)
    );
    assert_eq!(migrate.metadata.client_migrate_ts_us, 3000);
    client
}

#[test]
fn an_accepted_migration_moves_submits_and_sends_what_was_lost_again() {
    // spec: nnrp-session 4.6
    let mut client = migrating();
    client
        .handle_packet(B, &migrate_ack(SESSION, 0, 5), ms(10))
        .unwrap();
    let moved = ClientEvent::Migrated {
        path: B,
        resume_from_frame_id: 5,
        resubmitted: 1,
        took: ms(7),
    };
    assert_eq!(client_events(&mut client), [moved]);
    let again = client.poll_transmit(ms(10)).unwrap();
    assert_eq!(
        (again.path, again.envelope.frame_id, again.envelope.flags),
        (B, 5, HeaderFlags::RETRANSMIT)
    );
    let at_least = 5;
    assert_eq!(
        submit(&mut client, 3),
        Err(SubmitRefusal::NotResumable { at_least })
    );
    assert_eq!(submit(&mut client, 7), Ok(FrameState::InFlight));
    assert_eq!(
        submit(&mut client, 6),
        Err(SubmitRefusal::NotResumable { at_least: 7 })
    );
    assert_eq!(client.poll_transmit(ms(10)).unwrap().path, B);
    // The old path delivers what it had, and nothing that is on the new one.
    let drop = |frame| packet(&frame_envelope(frame), &Message::ResultDrop);
    client.handle_packet(A, &drop(5), ms(11)).unwrap();
    client.handle_packet(A, &drop(4), ms(11)).unwrap();
    client.handle_packet(B, &drop(5), ms(11)).unwrap();
    assert_eq!(
        client_events(&mut client),
        [
            done(4, FrameOutcome::Dropped),
            done(5, FrameOutcome::Dropped)
        ]
    );
    assert_eq!(client.counters().duplicate, 1);
    let busy = client.migrate(A, TransportId::Quic, Bytes::new(), ms(12));
    assert_eq!(busy, Err(MigrateMisuse::UnderWay));
    client.handle_timeout(ms(60));
    assert_eq!(client_events(&mut client), [ClientEvent::ClosePath(A)]);
    assert_eq!(
        client.handle_packet(A, &drop(7), ms(61)),
        Err(HandleError::UnknownPath)
    );
}

#[test]
fn a_failed_migration_leaves_the_session_where_it_is() {
    // spec: nnrp-session 5.4, 4.6
    let failed = |act: &dyn Fn(&mut ClientSession)| {
        let mut client = migrating();
        act(&mut client);
        let events = client_events(&mut client);
        let [
            ClientEvent::MigrationFailed { path: B, failure },
            ClientEvent::ClosePath(B),
        ] = events[..]
        else {
            panic!("{events:?}");
        };
        assert_eq!(
            (client.state(), client.primary_path()),
            (ClientState::Active, Some(A))
        );
        failure
    };
    let refused = failed(&|client| {
        client
            .handle_packet(B, &migrate_ack(SESSION, 3, 0), ms(5))
            .unwrap()
    });
    assert_eq!(refused, MigrationFailure::Refused { accept_code: 3 });
    let other = failed(&|client| {
        client
            .handle_packet(B, &migrate_ack(8, 0, 0), ms(5))
            .unwrap()
    });
    assert_eq!(other, MigrationFailure::OtherSession { session_id: 8 });
    let ping = packet(&Envelope::session(SESSION), &Message::Ping);
    let unexpected = failed(&|client| client.handle_packet(B, &ping, ms(5)).unwrap());
    assert_eq!(
        unexpected,
        MigrationFailure::Unexpected {
            found: MessageType::Ping
        }
    );
    let ended = failed(&|client| client.handle_path_end(B, PathEnd::Lost, ms(5)).unwrap());
    assert_eq!(ended, MigrationFailure::Path(PathEnd::Lost));
    let late = failed(&|client| client.handle_timeout(ms(10_003)));
    assert_eq!(late, MigrationFailure::Timeout);
}

#[test]
fn results_may_overtake_the_answer_to_a_migration_on_quic() {
    // spec: nnrp-session 1.4, 4.6
    let mut client = ClientSession::new(ClientOptions::default());
    client.connected(A, TransportId::Tcp, ms(0)).unwrap();
    client.poll_transmit(ms(0)).unwrap();
    give(&mut client, Envelope::session(SESSION), &hello_ack(ack(0)));
    submit(&mut client, 4).unwrap();
    sent(|| client.poll_transmit(ms(0)));
    let migrate =
        |client: &mut ClientSession| client.migrate(B, TransportId::Quic, Bytes::new(), ms(1));
    migrate(&mut client).unwrap();
    client.handle_path_end(A, PathEnd::Lost, ms(2)).unwrap();
    client_events(&mut client);
    let result = Message::ResultPush(result_push(ResultClass::Complete));
    let early = [
        packet(&frame_envelope(4), &result),
        packet(&frame_envelope(4), &Message::ResultDrop),
        // It is not even read.
        Packet::new(
            Header::new(MessageType::ResultPush),
            "?".into(),
            Bytes::new(),
        )
        .unwrap(),
    ];
    for early in &early {
        assert_eq!(
            client.handle_packet(B, early, ms(3)),
            Err(HandleError::Early)
        );
    }
    assert_eq!(client_events(&mut client), []);
    client
        .handle_packet(B, &migrate_ack(SESSION, 0, 5), ms(3))
        .unwrap();
    client_events(&mut client);
    client.handle_packet(B, &early[0], ms(3)).unwrap();
    assert_eq!(ends(&mut client), [done(4, FrameOutcome::Complete)]);
}

#[test]
fn a_client_refuses_critical_extensions_that_it_does_not_understand() {
    // spec: nnrp-wire 10 Q6, Q20
    let answered = |extensions, flags| {
        let options = ClientOptions {
            extensions,
            ..ClientOptions::default()
        };
        let mut client = greeting(options);
        let answer = ServerHelloAck {
            metadata: ack(1),
            extensions: vec![ControlExtension {
                ext_type: 0x7777,
                flags,
                payload: Bytes::new(),
            }],
            payload: Bytes::new(),
        };
        let answer = Message::ServerHelloAck(answer);
        give(&mut client, Envelope::session(SESSION), &answer);
        let active = client.state() == ClientState::Active;
        (active, client)
    };
    let (critical, strict) = (ControlExtensionFlags::CRITICAL, KnownExtensions::default);
    let (is_active, mut refusing) = answered(strict(), critical);
    assert!(!is_active);
    let Failure::Malformed(error) = failure(&mut refusing) else {
        panic!()
    };
    assert_eq!(error.category, Category::UnknownCriticalExtension);
    assert!(answered(strict(), ControlExtensionFlags::empty()).0);
    let known = KnownExtensions {
        control: Some(vec![0x7777]),
        frames: Some(vec![77]),
    };
    for (extensions, outcome) in [
        (strict(), FrameOutcome::Error),
        (known.clone(), FrameOutcome::Complete),
        (KnownExtensions::KEEP_ALL, FrameOutcome::Complete),
    ] {
        let options = ClientOptions {
            extensions,
            ..ClientOptions::default()
        };
        let mut client = active(options, 0);
        submit(&mut client, 1).unwrap();
        let result = Message::ResultPush(result_with_critical_extension());
        give(&mut client, frame_envelope(1), &result);
        assert_eq!(client.frames().done_as(outcome), 1);
    }
    assert!(answered(known, critical).0);
    assert!(answered(KnownExtensions::KEEP_ALL, critical).0);
}

#[test]
fn hellos_in_a_session_are_not_even_read() {
    let mut client = active(ClientOptions::default(), 0);
    for unreadable in [MessageType::ServerHelloAck, MessageType::ClientHello] {
        let header = Header {
            session_id: SESSION,
            ..Header::new(unreadable)
        };
        let packet = Packet::new(header, "?".into(), Bytes::new()).unwrap();
        client.handle_packet(A, &packet, ms(0)).unwrap();
    }
    let counters = client.counters();
    assert_eq!((counters.unexpected, counters.undecodable), (2, 0));
    assert_eq!(client_events(&mut client), []);
}

#[test]
fn a_migration_saves_a_session_whose_connection_breaks_meanwhile() {
    let mut client = migrating();
    client.handle_path_end(A, PathEnd::Lost, ms(5)).unwrap();
    assert_eq!(client.state(), ClientState::Active);
    client
        .handle_packet(B, &migrate_ack(SESSION, 0, 5), ms(10))
        .unwrap();
    assert_eq!(
        (client.state(), client.primary_path()),
        (ClientState::Active, Some(B))
    );
    let mut client = migrating();
    client.handle_path_end(A, PathEnd::Lost, ms(5)).unwrap();
    client
        .handle_packet(B, &migrate_ack(SESSION, 1, 0), ms(10))
        .unwrap();
    assert_eq!(failure(&mut client), Failure::Path(PathEnd::Lost));
}

/// Frames 4 and 5 were sent on A, which is lost; the session is on B, and the server has 4 and 5.
fn stranded(options: ClientOptions, ends: &dyn Fn(&mut ClientSession)) -> ClientSession {
    let mut client = active(options, 2);
    let own = Submit {
        deadline: Some(ms(40)),
        ..Submit::new(FrameKey::new(4), frame_submit(0))
    };
    client.submit(own, ms(0)).unwrap();
    let stream = Submit {
        is_stream: true,
        ..Submit::new(FrameKey::new(5), frame_submit(0))
    };
    client.submit(stream, ms(0)).unwrap();
    sent(|| client.poll_transmit(ms(0)));
    client
        .migrate(B, TransportId::Tcp, Bytes::new(), ms(3))
        .unwrap();
    ends(&mut client);
    sent(|| client.poll_transmit(ms(3)));
    client_events(&mut client);
    client
}

fn no_liveness() -> LivenessOptions {
    LivenessOptions {
        idle_timeout: None,
        keep_alive: None,
        missed_pongs_max: 1,
    }
}

#[test]
fn frames_whose_results_were_lost_with_the_old_connection_end_in_time() {
    // spec: nnrp-session 4.6
    let options = || ClientOptions {
        liveness: no_liveness(),
        stranded_timeout: ms(100),
        cancel_timeout: ms(10),
        ..ClientOptions::default()
    };
    let moved = |client: &mut ClientSession| {
        let ack = migrate_ack(SESSION, 0, 6);
        client.handle_packet(B, &ack, ms(10)).unwrap();
    };
    let lost = |client: &mut ClientSession| {
        client.handle_path_end(A, PathEnd::Lost, ms(10)).unwrap();
    };
    let ways: [&dyn Fn(&mut ClientSession); 3] = [
        &|client| {
            moved(client);
            lost(client);
        },
        &|client| {
            lost(client);
            moved(client);
        },
        // Its grace is 50 ms; then this side ends it.
        &|client| {
            client
                .handle_packet(B, &migrate_ack(SESSION, 0, 0), ms(3))
                .unwrap();
            client.handle_timeout(ms(53));
        },
    ];
    for (way, ends_at) in ways.iter().zip([110, 110, 153]) {
        let mut client = stranded(options(), way);
        client.handle_timeout(ms(54));
        let expired = done(4, FrameOutcome::Expired);
        let seen = client_events(&mut client);
        assert!(
            seen.is_empty() || seen == [expired],
            "its own deadline holds: {seen:?}"
        );
        client.handle_timeout(ms(ends_at - 1));
        assert_eq!(client_events(&mut client), []);
        assert_eq!(client.next_timeout(), Some(ms(ends_at)));
        client.handle_timeout(ms(ends_at));
        assert_eq!(ends(&mut client), [done(5, FrameOutcome::ConnectionLost)]);
        let told = sent(|| client.poll_transmit(ms(ends_at)));
        assert!(told.contains(&(MessageType::FrameCancel, 5)));
        client.handle_timeout(ms(ends_at + 10));
        assert_eq!(client.credit().in_flight(), 0);
        assert_eq!(submit(&mut client, 6), Ok(FrameState::InFlight));
    }
    // A sign of life on the new connection.
    let mut client = stranded(options(), ways[0]);
    let part = Message::ResultPush(result_push(ResultClass::Partial));
    client
        .handle_packet(B, &packet(&frame_envelope(5), &part), ms(20))
        .unwrap();
    client.handle_timeout(ms(100));
    client.handle_timeout(ms(1000));
    assert_eq!(
        client.frame_state(FrameKey::new(5)),
        Some(FrameState::Partial)
    );
    assert_eq!(client.next_timeout(), None);
}

#[test]
fn what_was_not_sent_yet_moves_also_where_submits_are_not_kept() {
    for resume in [0, 1, 5, 6] {
        let options = ClientOptions {
            keeps_submits: false,
            liveness: no_liveness(),
            ..ClientOptions::default()
        };
        let mut client = active(options, 0);
        submit(&mut client, 5).unwrap();
        client
            .migrate(B, TransportId::Tcp, Bytes::new(), ms(3))
            .unwrap();
        client
            .handle_packet(B, &migrate_ack(SESSION, 0, resume), ms(5))
            .unwrap();
        let submits: Vec<_> = std::iter::from_fn(|| client.poll_transmit(ms(5)))
            .filter(|transmit| transmit.message.message_type() == MessageType::FrameSubmit)
            .map(|transmit| (transmit.path, transmit.envelope))
            .collect();
        assert_eq!(submits, [(B, frame_envelope(5))], "from {resume} on");
        // It was not sent by the old connection, whose end means nothing to it.
        client.handle_path_end(A, PathEnd::Lost, ms(6)).unwrap();
        client.handle_timeout(ms(100_000));
        let state = client.frame_state(FrameKey::new(5));
        assert_eq!(state, Some(FrameState::InFlight), "from {resume} on");
    }
}

#[test]
fn a_migration_does_not_begin_where_it_makes_no_sense() {
    let mut client = active(ClientOptions::default(), 0);
    let mut migrate = |path, transport| client.migrate(path, transport, Bytes::new(), ms(0));
    assert_eq!(migrate(A, TransportId::Tcp), Err(MigrateMisuse::PathInUse));
    assert_eq!(
        migrate(B, TransportId::Quic),
        Err(MigrateMisuse::SameTransport)
    );
    assert_eq!(
        migrate(B, TransportId::Unspecified),
        Err(MigrateMisuse::UnspecifiedTransport)
    );
    assert_eq!(migrate(B, TransportId::Tcp), Ok(()));
    assert_eq!(
        migrate(PathId(3), TransportId::Tcp),
        Err(MigrateMisuse::UnderWay)
    );
    let mut idle = ClientSession::new(ClientOptions::default());
    assert_eq!(
        idle.migrate(B, TransportId::Tcp, Bytes::new(), ms(0)),
        Err(MigrateMisuse::NotActive)
    );
}

#[test]
fn without_room_packets_are_not_taken() {
    let options = ClientOptions {
        events_max: 1,
        transmits_max: 1,
        ..ClientOptions::default()
    };
    let mut client = active(options, 0);
    submit(&mut client, 1).unwrap();
    assert_eq!(submit(&mut client, 2), Err(SubmitRefusal::Congested));
    // A submit that waits does not keep packets from being read, an answer does.
    let ping = packet(&Envelope::default(), &Message::Ping);
    assert_eq!(client.handle_packet(A, &ping, ms(0)), Ok(()));
    assert_eq!(
        client.handle_packet(A, &ping, ms(0)),
        Err(HandleError::Congested)
    );
    sent(|| client.poll_transmit(ms(0)));
    give(&mut client, frame_envelope(1), &Message::ResultDrop);
    assert_eq!(
        client.handle_packet(A, &ping, ms(0)),
        Err(HandleError::Congested)
    );
    client_events(&mut client);
    assert_eq!(client.handle_packet(A, &ping, ms(0)), Ok(()));
}

#[test]
fn what_waits_is_bounded_in_bytes() {
    // spec: nnrp-session 12.3
    let result = packet(
        &frame_envelope(1),
        &Message::ResultPush(result_with_critical_extension()),
    );
    let one = packet(&frame_envelope(1), &Message::FrameSubmit(submit_of(80)));
    let options = ClientOptions {
        extensions: KnownExtensions::KEEP_ALL,
        events_bytes_max: 2 * result.bytes(),
        transmits_bytes_max: 1 + one.body().len() as u64,
        ..ClientOptions::default()
    };
    let mut client = active(options, 0);
    let stream = Submit {
        is_stream: true,
        ..Submit::new(FrameKey::new(1), submit_of(80))
    };
    client.submit(stream, ms(0)).unwrap();
    let another = |client: &mut ClientSession, frame| {
        let submit = Submit::new(FrameKey::new(frame), submit_of(80));
        client.submit(submit, ms(0)).map_err(|refused| refused.why)
    };
    assert!(another(&mut client, 2).is_ok(), "below the limit");
    assert_eq!(another(&mut client, 3), Err(SubmitRefusal::Congested));
    // What is taken out does not count, however it is.
    client.cancel(FrameKey::new(2), ms(0));
    client_events(&mut client);
    assert!(another(&mut client, 3).is_ok());
    assert_eq!(another(&mut client, 4), Err(SubmitRefusal::Congested));
    sent(|| client.poll_transmit(ms(0)));
    assert!(another(&mut client, 4).is_ok());

    client.handle_packet(A, &result, ms(0)).unwrap();
    client.handle_packet(A, &result, ms(0)).unwrap();
    assert_eq!(
        client.handle_packet(A, &result, ms(0)),
        Err(HandleError::Congested)
    );
    assert!(client.poll_event().is_some());
    assert_eq!(client.handle_packet(A, &result, ms(0)), Ok(()));
}
