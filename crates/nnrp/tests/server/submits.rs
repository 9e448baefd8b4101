//! What a session does with each packet. spec: nnrp-session 4.8, 5.3

use nnrp::server::{ServerOptions, Session, SessionEnd};
use nnrp_wire::body::{ExtensionFrame, TypedPayload};
use nnrp_wire::metadata::{ResultHintMetadata, TransportProbeMetadata};
use nnrp_wire::session::{Failure, PathEnd, SubmitFault};
use nnrp_wire::{
    CongestionState, Envelope, ErrorCode, ErrorScope, ExtensionFrameFlags, FrameSubmit, Header,
    HintPolicy, HintReason, Message, MessageType, PatchAckStatus, PatchMask, PayloadKinds,
    SessionMigrate, SessionPatch, TransportId, TransportProbe,
};

use crate::support::{Peer, Told, hello, result, session, submit};

fn assert_frame_error(told: &Told, code: ErrorCode, frame_id: u32) {
    assert_eq!((told.code, told.scope), (code, ErrorScope::Frame));
    assert_eq!((told.is_fatal, told.frame_id), (false, frame_id));
}

/// The session goes on: a frame is taken and answered.
async fn assert_alive(session: &Session, peer: &mut Peer, frame_id: u32) {
    peer.submit(1, frame_id, submit()).await;
    let frame = session.next_submit().await.unwrap();
    assert_eq!(frame.key.frame_id, frame_id);
    frame.answer.complete(result()).unwrap();
    let is_result = |message: &Message| matches!(message, Message::ResultPush(_));
    let (envelope, _) = peer.wait_for(is_result).await;
    assert_eq!(envelope.frame_id, frame_id);
}

fn refused(session: &Session, fault: SubmitFault) -> u64 {
    session.counters().tallies.refused_as(fault)
}

#[tokio::test]
async fn a_submit_of_another_session() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    peer.submit(2, 7, submit()).await;
    assert_frame_error(&peer.error().await, ErrorCode::InvalidState, 7);
    assert_eq!(refused(&session, SubmitFault::Foreign), 1);
    assert_alive(&session, &mut peer, 7).await;
}

#[tokio::test]
async fn a_submit_that_cannot_be_read() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    let mut bytes = Vec::new();
    let message = Message::FrameSubmit(submit());
    message.encode(&Envelope::frame(1, 7), &mut bytes).unwrap();
    // Reserved fields of the metadata are zero.
    bytes[Header::BYTES + 36] = 1;
    peer.send_bytes(&bytes).await;
    assert_frame_error(&peer.error().await, ErrorCode::MalformedBody, 7);
    assert_eq!(refused(&session, SubmitFault::Malformed), 1);
    assert_alive(&session, &mut peer, 7).await;
}

#[tokio::test]
async fn too_many_frames() {
    let mut options = ServerOptions::default();
    options.session.frames_max = 2;
    let (_server, session, mut peer) = session(options).await;
    for frame_id in 1..4 {
        peer.submit(1, frame_id, submit()).await;
    }
    assert_frame_error(&peer.error().await, ErrorCode::LimitExceeded, 3);
    assert_eq!(refused(&session, SubmitFault::TooMany), 1);
    for _ in 0..2 {
        let frame = session.next_submit().await.unwrap();
        frame.answer.complete(result()).unwrap();
        peer.next().await;
    }
    assert_alive(&session, &mut peer, 4).await;
}

fn with_bytes(bytes: usize) -> FrameSubmit {
    FrameSubmit::builder()
        .payload(TypedPayload::token_chunk("x".repeat(bytes)))
        .build()
        .unwrap()
}

#[tokio::test]
async fn too_large_a_body_ends_its_frame_only() {
    let mut options = ServerOptions::default();
    options.session.capabilities.max_body_bytes = 1000;
    let (_server, session, mut peer) = session(options).await;
    peer.submit(1, 1, with_bytes(1000)).await;
    assert_frame_error(&peer.error().await, ErrorCode::LimitExceeded, 1);
    assert_eq!(refused(&session, SubmitFault::TooLarge), 1);
    assert_alive(&session, &mut peer, 2).await;
}

/// Beyond what is read at all, nothing is waited for: the announcement is the end.
#[tokio::test]
async fn far_too_large_a_body_ends_the_session() {
    let mut options = ServerOptions::default();
    options.session.capabilities.max_body_bytes = 1000;
    options.read_body_bytes_max = 2000;
    let (_server, session, mut peer) = session(options).await;
    let header = Header {
        meta_len: u32::try_from(MessageType::FrameSubmit.metadata_bytes()).unwrap(),
        body_len: 2001,
        session_id: 1,
        frame_id: 7,
        ..Header::new(MessageType::FrameSubmit)
    };
    peer.send_bytes(&header.encode()).await;
    let told = peer.error().await;
    assert_eq!(
        (told.code, told.is_fatal),
        (ErrorCode::MalformedHeader, true)
    );
    let failed = session.ended().await;
    let is_framing = |failure: &Failure| matches!(failure, Failure::Path(PathEnd::Framing(_)));
    assert!(
        matches!(&failed, SessionEnd::Failed(failure) if is_framing(failure)),
        "{failed:?}"
    );
}

#[tokio::test]
async fn payloads_that_were_not_agreed_on() {
    let mut options = ServerOptions::default();
    options.session.capabilities.payload_kinds = PayloadKinds::TENSOR;
    let (_server, session, mut peer) = session(options).await;
    peer.submit(1, 7, submit()).await;
    assert_frame_error(&peer.error().await, ErrorCode::UnsupportedCapability, 7);
    assert_eq!(refused(&session, SubmitFault::UnsupportedKinds), 1);
}

/// An error would end the frame that is in flight under the same key.
#[tokio::test]
async fn a_frame_twice_is_answered_once() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    peer.submit(1, 7, submit()).await;
    peer.submit(1, 7, submit()).await;
    peer.assert_silent(1).await;
    assert_eq!(refused(&session, SubmitFault::Duplicate), 1);
    let frame = session.next_submit().await.unwrap();
    frame.answer.complete(result()).unwrap();
    let (_, message) = peer.next().await;
    assert!(matches!(message, Message::ResultPush(_)), "{message:?}");
    peer.assert_silent(1).await;
    assert_eq!(session.counters().frames.submitted, 1);
}

#[tokio::test]
async fn a_submit_while_the_session_ends() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    peer.submit(1, 1, submit()).await;
    let frame = session.next_submit().await.unwrap();
    session.close("");
    peer.submit(1, 2, submit()).await;
    let (envelope, message) = peer.next().await;
    assert_eq!((envelope.frame_id, message), (2, Message::ResultDrop));
    assert_eq!(refused(&session, SubmitFault::Draining), 1);
    frame.answer.complete(result()).unwrap();
    let rest = [peer.next().await.1, peer.next().await.1];
    assert!(
        matches!(rest, [Message::ResultPush(_), Message::Close(_)]),
        "{rest:?}"
    );
}

/// The next message is a fatal ERROR and a CLOSE behind it.
async fn assert_fatal(session: &Session, peer: &mut Peer, code: ErrorCode) {
    let told = peer.error().await;
    assert_eq!((told.code, told.is_fatal), (code, true));
    let (_, message) = peer.next().await;
    assert!(matches!(message, Message::Close(_)), "{message:?}");
    assert_eq!(peer.rest().await, []);
    assert!(matches!(session.ended().await, SessionEnd::Failed(_)));
    assert!(session.next_submit().await.is_none());
}

#[tokio::test]
async fn a_second_hello_is_fatal() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    peer.send_hello(hello(1)).await;
    assert_fatal(&session, &mut peer, ErrorCode::InvalidState).await;
}

#[tokio::test]
async fn garbage_is_fatal() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    peer.send_bytes(&[0xAA; 100]).await;
    assert_fatal(&session, &mut peer, ErrorCode::MalformedHeader).await;
}

#[tokio::test]
async fn another_version_is_fatal() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    let envelope = Envelope {
        version_major: 2,
        ..Envelope::session(1)
    };
    peer.send(envelope, Message::Ping).await;
    assert_fatal(&session, &mut peer, ErrorCode::UnsupportedVersion).await;
}

#[tokio::test]
async fn what_a_client_does_not_say_in_a_session() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    let migrate = SessionMigrate::new(TransportId::Tcp, TransportId::Quic, 0, 0).unwrap();
    for message in [
        Message::SessionMigrate(migrate),
        Message::ResultDrop,
        Message::ResultPush(result()),
    ] {
        peer.send(Envelope::session(1), message).await;
        let told = peer.error().await;
        assert_eq!(
            (told.code, told.scope),
            (ErrorCode::InvalidState, ErrorScope::Session)
        );
        assert!(!told.is_fatal);
    }
    assert_eq!(session.counters().packets.unexpected, 3);
    assert_alive(&session, &mut peer, 1).await;
}

#[tokio::test]
async fn what_is_not_asked_for_is_ignored() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    let hint = ResultHintMetadata {
        applied_budget_policy: HintPolicy::None,
        congestion_state: CongestionState::None,
        reason: HintReason::None,
        retry_after_ms: 0,
    };
    peer.send(Envelope::session(1), Message::Pong).await;
    peer.send(Envelope::frame(1, 1), Message::ResultHint(hint))
        .await;
    peer.assert_silent(1).await;
    assert_alive(&session, &mut peer, 1).await;
}

#[tokio::test]
async fn probes_and_pings_are_answered_at_any_time() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    let envelope = Envelope {
        route_id: 3,
        trace_id: 4,
        ..Envelope::session(1)
    };
    peer.send(envelope, Message::Ping).await;
    assert_eq!(peer.next().await, (envelope, Message::Pong));
    let probe = TransportProbe {
        metadata: TransportProbeMetadata {
            probe_id: 9,
            probe_payload_bytes: 3,
            client_send_ts_us: 0,
        },
        payload: "PPP".into(),
    };
    peer.send(Envelope::default(), Message::TransportProbe(probe))
        .await;
    let (_, message) = peer.next().await;
    assert!(matches!(message, Message::TransportProbeAck(ack) if ack.probe_id == 9));
    assert_alive(&session, &mut peer, 1).await;
}

#[tokio::test]
async fn a_patch_is_answered_and_holds() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    let patch = SessionPatch::new(0)
        .with_target_cadence_x100(3000)
        .with_active_lane_mask(0b1000);
    peer.send(Envelope::session(1), Message::SessionPatch(patch))
        .await;
    let (_, message) = peer.next().await;
    let Message::SessionPatchAck(ack) = message else {
        panic!("{message:?}");
    };
    let ack = ack.metadata;
    assert_eq!(ack.ack_status, PatchAckStatus::PartiallyApplied);
    assert_eq!(ack.applied_patch_mask, PatchMask::TARGET_CADENCE);
    assert_eq!(session.settings().target_cadence_x100, 3000);
}

#[tokio::test]
async fn a_fatal_error_of_the_client_ends_the_session() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    peer.submit(1, 1, submit()).await;
    let frame = session.next_submit().await.unwrap();
    let report = nnrp_wire::ErrorReport::new(ErrorCode::InternalError, ErrorScope::Session, "gone");
    let report = report.unwrap().fatal();
    peer.send(Envelope::session(1), Message::Error(report))
        .await;
    let end = session.ended().await;
    assert!(
        matches!(end, SessionEnd::Failed(Failure::Peer(_))),
        "{end:?}"
    );
    frame.answer.cancelled().await;
}

/// The transport ends with a frame in flight: that is not in good order.
#[tokio::test]
async fn a_lost_connection_ends_its_frames() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    peer.submit(1, 1, submit()).await;
    peer.submit(1, 2, submit()).await;
    let frame = session.next_submit().await.unwrap();
    peer.ping(1).await;
    drop(peer);
    frame.answer.cancelled().await;
    assert!(frame.answer.complete(result()).is_err());
    // The second one was never taken: nobody could be answered.
    assert!(session.next_submit().await.is_none());
    assert!(matches!(session.ended().await, SessionEnd::Failed(_)));
    let frames = session.counters().frames;
    let lost = nnrp_wire::session::FrameOutcome::ConnectionLost;
    assert_eq!((frames.submitted, frames.done_as(lost)), (2, 2));
}

#[tokio::test]
async fn a_critical_extension_that_is_not_known() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    let extension = |flags| ExtensionFrame {
        kind: 0x77,
        flags,
        profile_id: 0,
        payload: "what".into(),
    };
    let with = |extension| {
        FrameSubmit::builder()
            .payload(TypedPayload::token_chunk("in"))
            .extension(extension)
            .build()
            .unwrap()
    };
    let critical = with(extension(ExtensionFrameFlags::CRITICAL));
    peer.submit(1, 7, critical).await;
    assert_frame_error(&peer.error().await, ErrorCode::UnsupportedCapability, 7);
    // Another one is left out.
    let other = with(extension(ExtensionFrameFlags::empty()));
    peer.submit(1, 8, other).await;
    let frame = session.next_submit().await.unwrap();
    frame.answer.complete(result()).unwrap();
    assert_eq!(refused(&session, SubmitFault::Malformed), 1);
}

#[tokio::test]
async fn another_message_that_cannot_be_read() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    let mut bytes = Vec::new();
    let probe = TransportProbe::new(9, 0, "PPP").unwrap();
    let message = Message::TransportProbe(probe);
    message.encode(&Envelope::default(), &mut bytes).unwrap();
    // It says that there are more bytes than there are.
    bytes[Header::BYTES + 4] = 4;
    peer.send_bytes(&bytes).await;
    let told = peer.error().await;
    assert_eq!(
        (told.code, told.scope, told.is_fatal),
        (ErrorCode::MalformedBody, ErrorScope::Session, false)
    );
    assert_eq!(session.counters().packets.undecodable, 1);
    assert_alive(&session, &mut peer, 1).await;
}

#[tokio::test]
async fn a_cancellation_of_nothing_may_be_answered() {
    let mut options = ServerOptions::default();
    options.session.answers_unknown_cancels = true;
    let (_server, session, mut peer) = session(options).await;
    peer.cancel(1, 7).await;
    assert_frame_error(&peer.error().await, ErrorCode::FrameExpired, 7);
    // Nothing is said of one that has ended.
    assert_alive(&session, &mut peer, 8).await;
    peer.cancel(1, 8).await;
    peer.assert_silent(1).await;
}
