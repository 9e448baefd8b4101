//! Each frame ends exactly once. spec: nnrp-session 3.4, 4.5

use nnrp::server::{AnswerError, DropReason, ServerOptions, Session, Submitted};
use nnrp_wire::build::{ResultWorth, SubmitOptions};
use nnrp_wire::session::{FrameOutcome, SubmitFault};
use nnrp_wire::{
    BudgetPolicy, Envelope, ErrorCode, ErrorScope, HeaderFlags, HintPolicy, HintReason, Message,
    ResultBody, ResultClass, ResultFlags, ResultPush, TransportId,
};

use crate::support::{Peer, pushed, result, session, submit, submit_with};

/// One frame that a handler has, of a client that allows this.
async fn frame(allowed: BudgetPolicy) -> (Session, Peer, Submitted) {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    let options = SubmitOptions {
        budget_policy: allowed,
        ..SubmitOptions::default()
    };
    peer.submit(1, 7, submit_with(options)).await;
    let frame = session.next_submit().await.unwrap();
    (session, peer, frame)
}

fn ended(session: &Session, outcome: FrameOutcome) {
    let frames = session.counters().frames;
    assert_eq!((frames.submitted, frames.in_flight), (1, 0));
    assert_eq!(frames.done_as(outcome), 1, "{frames:?}");
}

#[tokio::test]
async fn times_are_filled_in() {
    let (_session, mut peer, frame) = frame(BudgetPolicy::empty()).await;
    let mut own = result();
    own.metadata.inference_ms = 1234;
    frame.answer.complete(own).unwrap();
    let (envelope, result) = pushed(&mut peer).await;
    assert_eq!(envelope.flags, HeaderFlags::EOS);
    assert_eq!(result.metadata.inference_ms, 1234);
}

#[tokio::test]
async fn a_degraded_result() {
    let (session, mut peer, frame) = frame(BudgetPolicy::ALLOW_DEGRADED).await;
    frame.answer.degraded(result()).unwrap();
    let metadata = pushed(&mut peer).await.1.metadata;
    assert_eq!(metadata.result_class, ResultClass::Degraded);
    assert_eq!(metadata.result_flags, ResultFlags::FALLBACK);
    assert_eq!(metadata.applied_budget_policy, BudgetPolicy::ALLOW_DEGRADED);
    ended(&session, FrameOutcome::Degraded);
}

#[tokio::test]
async fn a_reused_result() {
    let (session, mut peer, frame) = frame(BudgetPolicy::ALLOW_STALE_REUSE).await;
    frame.answer.stale_reuse(3, result()).unwrap();
    let metadata = pushed(&mut peer).await.1.metadata;
    assert_eq!(metadata.result_class, ResultClass::StaleReuse);
    assert_eq!(metadata.result_flags, ResultFlags::STALE);
    assert_eq!(metadata.reused_frame_id, 3);
    ended(&session, FrameOutcome::Stale);
}

/// What is applied has to be allowed; otherwise the frame is dropped.
#[tokio::test]
async fn a_policy_that_is_not_allowed() {
    let (session, mut peer, frame) = frame(BudgetPolicy::ALLOW_PARTIAL).await;
    let error = frame.answer.degraded(result()).unwrap_err();
    let refused = AnswerError::PolicyNotAllowed {
        applied: BudgetPolicy::ALLOW_DEGRADED,
        allowed: BudgetPolicy::ALLOW_PARTIAL,
    };
    assert_eq!(error, refused);
    assert_eq!(peer.next().await.1, Message::ResultDrop);
    ended(&session, FrameOutcome::Dropped);
    let dropped = session.counters().tallies;
    assert_eq!(dropped.dropped_as(DropReason::PolicyNotAllowed), 1);
}

#[tokio::test]
async fn a_result_that_cannot_be_sent() {
    let (session, mut peer, frame) = frame(BudgetPolicy::empty()).await;
    let mut broken = result();
    // Reused, but not said of which frame; and payloads that are not there.
    broken.metadata.payload_frame_count = 9;
    broken.body = ResultBody::Empty;
    let error = frame.answer.complete(broken).unwrap_err();
    assert!(matches!(error, AnswerError::Invalid(_)), "{error:?}");
    let told = peer.error().await;
    assert_eq!(
        (told.code, told.scope),
        (ErrorCode::InternalError, ErrorScope::Frame)
    );
    assert_eq!((told.frame_id, told.is_fatal), (7, false));
    ended(&session, FrameOutcome::Error);
}

#[tokio::test]
async fn a_drop_says_why() {
    let (session, mut peer, frame) = frame(BudgetPolicy::empty()).await;
    assert!(frame.answer.drop_frame(DropReason::Superseded));
    let (envelope, message) = peer.next().await;
    let Message::ResultHint(hint) = message else {
        panic!("{message:?}");
    };
    assert_eq!(envelope.frame_id, 7);
    assert_eq!(hint.applied_budget_policy, HintPolicy::Drop);
    assert_eq!(hint.reason, HintReason::Superseded);
    let (envelope, message) = peer.next().await;
    assert_eq!((envelope.frame_id, message), (7, Message::ResultDrop));
    ended(&session, FrameOutcome::Dropped);
    let tallies = session.counters().tallies;
    assert_eq!(tallies.dropped_as(DropReason::Superseded), 1);
}

/// For clients that stumble over hints.
#[tokio::test]
async fn a_drop_may_be_silent_about_why() {
    let options = ServerOptions {
        explains_drops: false,
        ..ServerOptions::default()
    };
    let (_server, session, mut peer) = session(options).await;
    peer.submit(1, 7, submit()).await;
    let frame = session.next_submit().await.unwrap();
    assert!(frame.answer.drop_frame(DropReason::Superseded));
    assert_eq!(peer.next().await.1, Message::ResultDrop);
}

#[tokio::test]
async fn an_error_of_the_handler() {
    let (session, mut peer, frame) = frame(BudgetPolicy::empty()).await;
    assert!(
        frame
            .answer
            .fail(ErrorCode::UnsupportedCapability, "no such model")
    );
    let told = peer.error().await;
    assert_eq!(told.code, ErrorCode::UnsupportedCapability);
    assert_eq!((told.scope, told.frame_id), (ErrorScope::Frame, 7));
    ended(&session, FrameOutcome::Error);
}

#[tokio::test]
async fn a_frame_that_is_given_up_is_dropped() {
    let (session, mut peer, frame) = frame(BudgetPolicy::empty()).await;
    drop(frame);
    assert_eq!(peer.next().await.1, Message::ResultDrop);
    ended(&session, FrameOutcome::Dropped);
    let tallies = session.counters().tallies;
    assert_eq!(tallies.dropped_as(DropReason::Abandoned), 1);
}

#[tokio::test]
async fn a_hint_of_the_handler() {
    let (_session, mut peer, frame) = frame(BudgetPolicy::empty()).await;
    let hint = nnrp_wire::metadata::ResultHintMetadata {
        applied_budget_policy: HintPolicy::Partial,
        congestion_state: nnrp_wire::CongestionState::Elevated,
        reason: HintReason::ServerBusy,
        retry_after_ms: 5,
    };
    frame.answer.hint(hint).unwrap();
    let (envelope, message) = peer.next().await;
    assert_eq!((envelope.frame_id, message), (7, Message::ResultHint(hint)));
    frame.answer.complete(result()).unwrap();
}

#[tokio::test]
async fn a_cancelled_frame_is_dropped_and_its_handler_told() {
    let (session, mut peer, frame) = frame(BudgetPolicy::empty()).await;
    assert!(!frame.answer.is_cancelled());
    peer.cancel(1, 7).await;
    frame.answer.cancelled().await;
    assert!(frame.answer.is_cancelled());
    // And again, and at once.
    frame.answer.cancelled().await;
    assert_eq!(peer.next().await.1, Message::ResultDrop);
    let error = frame.answer.complete(result()).unwrap_err();
    assert_eq!(error, AnswerError::FrameOver);
    peer.assert_silent(1).await;
    ended(&session, FrameOutcome::Cancelled);
    assert_eq!(session.counters().tallies.late, 1);
}

#[tokio::test]
async fn a_frame_that_is_cancelled_before_it_is_taken_is_not_taken() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    peer.submit(1, 7, submit()).await;
    peer.cancel(1, 7).await;
    peer.submit(1, 8, submit()).await;
    assert_eq!(peer.next().await.1, Message::ResultDrop);
    let frame = session.next_submit().await.unwrap();
    assert_eq!(frame.key.frame_id, 8);
    frame.answer.complete(result()).unwrap();
}

#[tokio::test]
async fn a_cancellation_of_nothing_is_ignored() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    peer.cancel(1, 7).await;
    peer.assert_silent(1).await;
    // On TCP it cannot have been early.
    peer.submit(1, 7, submit()).await;
    let frame = session.next_submit().await.unwrap();
    frame.answer.complete(result()).unwrap();
    assert_eq!(session.counters().packets.unknown_cancels, 1);
}

/// Where a cancellation can overtake its submit, it is remembered.
#[tokio::test]
async fn a_cancellation_ahead_of_its_submit() {
    let server = nnrp::server::Server::new(ServerOptions::default());
    let mut peer = Peer::connect_as(&server, TransportId::Quic);
    peer.hello(1).await;
    let session = server.next_session().await.unwrap();
    peer.cancel(1, 7).await;
    peer.submit(1, 7, submit()).await;
    assert_eq!(peer.next().await.1, Message::ResultDrop);
    let tallies = session.counters().tallies;
    assert_eq!(tallies.refused_as(SubmitFault::CancelledEarly), 1);
}

/// On QUIC, submits may overtake the hello.
#[tokio::test]
async fn submits_ahead_of_the_hello() {
    let server = nnrp::server::Server::new(ServerOptions::default());
    let mut peer = Peer::connect_as(&server, TransportId::Quic);
    for frame_id in 1..4 {
        peer.submit(1, frame_id, submit()).await;
    }
    peer.hello(1).await;
    let session = server.next_session().await.unwrap();
    for frame_id in 1..4 {
        let frame = session.next_submit().await.unwrap();
        assert_eq!(frame.key.frame_id, frame_id);
        frame.answer.complete(result()).unwrap();
    }
}

/// Whoever floods a connection before the hello is refused; it holds no more than a little.
#[tokio::test]
async fn too_many_submits_ahead_of_the_hello() {
    let server = nnrp::server::Server::new(ServerOptions::default());
    let mut peer = Peer::connect_as(&server, TransportId::Quic);
    for frame_id in 1..66 {
        peer.submit(1, frame_id, submit()).await;
    }
    let told = peer.error().await;
    assert_eq!((told.code, told.is_fatal), (ErrorCode::LimitExceeded, true));
}

/// The client may use a frame's id again; whoever still works on the first one must not answer the second.
#[tokio::test]
async fn an_answer_is_never_another_frames() {
    let (session, mut peer, first) = frame(BudgetPolicy::empty()).await;
    peer.cancel(1, 7).await;
    assert_eq!(peer.next().await.1, Message::ResultDrop);
    peer.submit(1, 7, submit()).await;
    let second = session.next_submit().await.unwrap();
    assert!(first.answer.is_cancelled());
    first.answer.cancelled().await;
    assert_eq!(
        first.answer.partial(result()).await,
        Err(AnswerError::FrameOver)
    );
    assert_eq!(first.answer.complete(result()), Err(AnswerError::FrameOver));
    peer.assert_silent(1).await;
    assert!(!second.answer.is_cancelled());
    second.answer.complete(result()).unwrap();
    pushed(&mut peer).await;
}

/// Views are frames of their own, and are answered in any order.
#[tokio::test]
async fn frames_are_answered_in_any_order() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    let view = |view_id| Envelope {
        view_id,
        trace_id: u64::from(view_id) + 10,
        ..Envelope::frame(1, 7)
    };
    for view_id in 0..3 {
        let message = Message::FrameSubmit(submit());
        peer.send(view(view_id), message).await;
    }
    let mut frames = Vec::new();
    for _ in 0..3 {
        frames.push(session.next_submit().await.unwrap());
    }
    for (frame, view_id) in frames.into_iter().rev().zip([2, 1, 0]) {
        frame.answer.complete(result()).unwrap();
        let (envelope, _) = pushed(&mut peer).await;
        assert_eq!(
            (envelope.view_id, envelope.trace_id),
            (view_id, u64::from(view_id) + 10)
        );
    }
}

/// The worth of a result is the builder's, if it is complete by other means.
#[tokio::test]
async fn a_result_of_another_class_is_counted_as_such() {
    let (session, mut peer, frame) = frame(BudgetPolicy::all()).await;
    let reused = ResultPush::builder(ResultWorth::stale_reuse(3))
        .build()
        .unwrap();
    frame.answer.complete(reused).unwrap();
    pushed(&mut peer).await;
    ended(&session, FrameOutcome::Stale);
}
