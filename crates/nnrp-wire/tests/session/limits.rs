//! What each side holds the other, and itself, to: credit, and the bytes of submits. spec: nnrp-session 4.1, 5.3, 10 Q-22

use bytes::Bytes;
use nnrp_wire::metadata::SessionMigrateAckMetadata;
use nnrp_wire::session::{
    ClientEvent, ClientOptions, ClientSession, FrameKey, FrameOutcome, FrameState, ServerEvent,
    ServerOptions, ServerSession, ServerState, Submit, SubmitFault, SubmitRefusal,
};
use nnrp_wire::{
    Envelope, ErrorCode, FlowFlags, FlowReason, FlowScope, HeaderFlags, Message, ResultClass,
    SessionMigrateAck, TransportId,
};

use crate::make::*;

fn server(credit_excess_max: u32) -> ServerSession {
    let options = ServerOptions {
        credit_excess_max,
        ..ServerOptions::default()
    };
    serving(options, TransportId::Tcp)
}

/// The client is told, and knows.
fn grant(server: &mut ServerSession, reason: FlowReason, credit: u16, epoch: u32) {
    let update = flow(FlowScope::Session, reason, credit, epoch);
    server.flow_update(update).unwrap();
    server.poll_transmit(ms(0)).unwrap();
}

/// Whether it was taken; if not, the client was told of this frame alone.
fn takes(server: &mut ServerSession, frame_id: u32, flags: HeaderFlags) -> bool {
    let envelope = Envelope {
        flags,
        ..frame_envelope(frame_id)
    };
    let submit = Message::FrameSubmit(frame_submit(0));
    server
        .handle_packet(A, &packet(&envelope, &submit), ms(0))
        .unwrap();
    assert_eq!(server.state(), ServerState::Active);
    match server_events(server).pop().unwrap() {
        ServerEvent::FrameSubmitted { .. } => true,
        ServerEvent::FrameRefused { key, fault } => {
            assert_eq!(
                (key, fault),
                (FrameKey::new(frame_id), SubmitFault::TooMany)
            );
            let Message::Error(report) = server.poll_transmit(ms(0)).unwrap().message else {
                panic!("a refusal is told");
            };
            assert_eq!(
                (
                    report.metadata.known_code(),
                    report.metadata.related_frame_id
                ),
                (Some(ErrorCode::LimitExceeded), frame_id)
            );
            false
        }
        other => panic!("{other:?}"),
    }
}

fn took(server: &mut ServerSession, frame_ids: std::ops::RangeInclusive<u32>) -> Vec<bool> {
    let none = HeaderFlags::empty();
    frame_ids
        .map(|frame_id| takes(server, frame_id, none))
        .collect()
}

#[test]
fn what_is_beyond_the_credit_is_refused_frame_by_frame() {
    let mut server = server(0);
    grant(&mut server, FlowReason::Reduce, 2, 1);
    assert_eq!(took(&mut server, 1..=3), [true, true, false]);
    server.drop_frame(FrameKey::new(1), ms(0)).unwrap();
    server.poll_transmit(ms(0));
    assert_eq!(took(&mut server, 4..=5), [true, false]);
    let counters = server.counters();
    assert_eq!((counters.over_credit, counters.refused_submits), (2, 2));
}

#[test]
fn credit_holds_once_it_was_sent_and_some_may_be_under_way() {
    let mut server = server(1);
    let update = flow(FlowScope::Session, FlowReason::Reduce, 1, 1);
    server.flow_update(update).unwrap();
    assert_eq!(took(&mut server, 1..=2), [true, true]);
    assert_eq!(server.counters().over_credit, 0);
    server.poll_transmit(ms(0)).unwrap();
    assert_eq!(took(&mut server, 3..=3), [false]);
    server.drop_frame(FrameKey::new(1), ms(0)).unwrap();
    server.poll_transmit(ms(0));
    assert_eq!(took(&mut server, 4..=5), [true, false]);
    assert_eq!(server.counters().over_credit, 3);
}

#[test]
fn the_least_of_connection_and_session_counts() {
    let mut server = server(0);
    let update = flow(FlowScope::Connection, FlowReason::Grant, 3, 1);
    server.flow_update(update).unwrap();
    server.poll_transmit(ms(0)).unwrap();
    assert_eq!(took(&mut server, 1..=4), [true, true, true, false]);
    grant(&mut server, FlowReason::Reduce, 1, 1);
    server.drop_frame(FrameKey::new(1), ms(0)).unwrap();
    server.drop_frame(FrameKey::new(2), ms(0)).unwrap();
    sent(|| server.poll_transmit(ms(0)));
    assert_eq!(took(&mut server, 5..=5), [false]);
}

#[test]
fn nothing_begins_while_the_client_is_to_wait() {
    let mut server = server(0);
    grant(&mut server, FlowReason::Pause, 9, 1);
    assert_eq!(took(&mut server, 1..=1), [false]);
    grant(&mut server, FlowReason::Resume, 9, 2);
    assert_eq!(took(&mut server, 2..=2), [true]);
    let mut update = flow(FlowScope::Session, FlowReason::Grant, 9, 3);
    update.flags |= FlowFlags::BACKGROUND_ONLY;
    server.flow_update(update).unwrap();
    server.poll_transmit(ms(0)).unwrap();
    assert_eq!(took(&mut server, 3..=3), [false]);
    assert!(takes(&mut server, 4, HeaderFlags::CAN_DROP));
}

#[test]
fn a_stream_uses_credit_until_its_first_whole_result() {
    let mut server = server(0);
    grant(&mut server, FlowReason::Reduce, 1, 1);
    assert_eq!(took(&mut server, 1..=2), [true, false]);
    let (key, whole) = (FrameKey::new(1), result_push(ResultClass::Complete));
    server
        .push_result(key, whole.clone(), false, ms(0))
        .unwrap();
    sent(|| server.poll_transmit(ms(0)));
    assert_eq!(took(&mut server, 3..=4), [true, false]);
    // Only once for each frame.
    server.push_result(key, whole, true, ms(0)).unwrap();
    sent(|| server.poll_transmit(ms(0)));
    assert_eq!(took(&mut server, 5..=5), [false]);
}

#[test]
fn clients_of_the_reference_are_borne() {
    let mut server = serving(ServerOptions::default(), TransportId::Tcp);
    assert_eq!(took(&mut server, 1..=200), [true; 200]);
    assert_eq!(server.counters().over_credit, 200 - 16);
}

fn of_128_bytes(frame_id: u32, waits: bool) -> Submit {
    Submit {
        waits,
        ..Submit::new(FrameKey::new(frame_id), submit_of(80))
    }
}

fn submit(client: &mut ClientSession, frame_id: u32) -> Result<FrameState, SubmitRefusal> {
    let submit = of_128_bytes(frame_id, true);
    client.submit(submit, ms(0)).map_err(|refused| refused.why)
}

fn drop_frame(client: &mut ClientSession, frame_id: u32) {
    let packet = packet(&frame_envelope(frame_id), &Message::ResultDrop);
    client.handle_packet(A, &packet, ms(0)).unwrap();
}

#[test]
fn kept_submits_are_bounded_by_their_bytes() {
    let options = ClientOptions {
        kept_bytes_max: 200,
        ..ClientOptions::default()
    };
    let mut client = active(options, 0);
    for frame_id in 1..=3 {
        assert_eq!(submit(&mut client, frame_id), Ok(FrameState::InFlight));
    }
    assert_eq!(client.counters().not_kept, 1);
    // Those that have ended, or were given up, make room.
    sent(|| client.poll_transmit(ms(0)));
    drop_frame(&mut client, 1);
    assert_eq!(submit(&mut client, 4), Ok(FrameState::InFlight));
    sent(|| client.poll_transmit(ms(0)));
    client.cancel(FrameKey::new(2), ms(0));
    assert_eq!(submit(&mut client, 5), Ok(FrameState::InFlight));
    sent(|| client.poll_transmit(ms(0)));
    assert_eq!(client.counters().not_kept, 1);
    client_events(&mut client);
    client
        .migrate(B, TransportId::Tcp, Bytes::new(), ms(0))
        .unwrap();
    let ack = Message::SessionMigrateAck(SessionMigrateAck {
        metadata: SessionMigrateAckMetadata {
            accept_code: 0,
            resume_from_frame_id: 3,
            grace_window_ms: 100,
            server_migrate_ts_us: 0,
        },
        body: Bytes::new(),
    });
    let answer = packet(&Envelope::session(SESSION), &ack);
    client.handle_packet(B, &answer, ms(0)).unwrap();
    let lost = ClientEvent::FrameDone {
        key: FrameKey::new(3),
        outcome: FrameOutcome::ConnectionLost,
        error: None,
    };
    let events = client_events(&mut client);
    assert!(events.contains(&lost), "{events:?}");
    let again = |event: &ClientEvent| match event {
        ClientEvent::Migrated { resubmitted, .. } => Some(*resubmitted),
        _ => None,
    };
    assert_eq!(events.iter().find_map(again), Some(2));
}

#[test]
fn frames_that_wait_are_bounded_by_their_bytes() {
    let options = ClientOptions {
        pending_bytes_max: 200,
        ..ClientOptions::default()
    };
    let mut client = active(options, 1);
    assert_eq!(submit(&mut client, 1), Ok(FrameState::InFlight));
    assert_eq!(submit(&mut client, 2), Ok(FrameState::Pending));
    assert_eq!(submit(&mut client, 3), Ok(FrameState::Pending));
    let full = SubmitRefusal::PendingBytesFull { bytes_max: 200 };
    assert_eq!(submit(&mut client, 4), Err(full));
    sent(|| client.poll_transmit(ms(0)));
    drop_frame(&mut client, 1);
    assert_eq!(
        client.frame_state(FrameKey::new(2)),
        Some(FrameState::InFlight)
    );
    assert_eq!(submit(&mut client, 4), Ok(FrameState::Pending));
    assert_eq!(submit(&mut client, 5), Err(full));
    client.cancel(FrameKey::new(3), ms(0));
    assert_eq!(submit(&mut client, 5), Ok(FrameState::Pending));
}
