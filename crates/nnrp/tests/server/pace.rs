//! How fast results go, and until when. spec: nnrp-session 4.1, 4.2, nnrp-design Budgets

use std::time::Duration;

use nnrp::server::{AnswerError, DropReason, ServerOptions, Session};
use nnrp_wire::body::TypedPayload;
use nnrp_wire::build::SubmitOptions;
use nnrp_wire::metadata::FlowUpdateMetadata;
use nnrp_wire::session::{FrameOutcome, HandleError};
use nnrp_wire::{
    BackpressureLevel, Envelope, FlowFlags, FlowReason, FlowScope, FrameClass, FrameSubmit,
    HintReason, LossTolerance, Message,
};
use tokio::time::Instant;

use crate::support::{Peer, result, session, submit, submit_with};

async fn flow(peer: &mut Peer, update: FlowUpdateMetadata) {
    let message = Message::FlowUpdate(update);
    peer.send(Envelope::session(1), message).await;
    peer.ping(1).await;
}

fn is_push(message: &Message) -> bool {
    matches!(message, Message::ResultPush(_))
}

/// Waits until a result has been held up.
async fn stalled(session: &Session) {
    while session.counters().tallies.stalls == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn results_that_are_not_last_wait_for_the_client() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    peer.submit(1, 7, submit()).await;
    flow(&mut peer, FlowUpdateMetadata::session(FlowReason::Pause)).await;
    let frame = session.next_submit().await.unwrap();
    let partial = tokio::spawn(async move {
        frame.answer.partial(result()).await.unwrap();
        frame
    });
    stalled(&session).await;
    peer.assert_silent(1).await;
    let resume = FlowUpdateMetadata::session(FlowReason::Resume).with_credit(1, 1);
    flow(&mut peer, resume).await;
    let frame = partial.await.unwrap();
    assert!(peer.wait_for(is_push).await.0.flags.is_empty());

    // The last one never waits.
    flow(
        &mut peer,
        FlowUpdateMetadata::session(FlowReason::Pause).with_credit(0, 2),
    )
    .await;
    frame.answer.complete(result()).unwrap();
    peer.wait_for(is_push).await;
}

/// A time to wait passes by itself.
#[tokio::test(start_paused = true)]
async fn results_that_are_not_last_wait_as_long_as_the_client_says() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    peer.submit(1, 7, submit()).await;
    let update = FlowUpdateMetadata::session(FlowReason::Congestion).with_retry_after_ms(500);
    let before = Instant::now();
    flow(&mut peer, update).await;
    let frame = session.next_submit().await.unwrap();
    frame.answer.partial(result()).await.unwrap();
    assert!(before.elapsed() >= Duration::from_millis(500));
    frame.answer.complete(result()).unwrap();
}

#[tokio::test]
async fn a_result_that_waits_can_be_given_up() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    peer.submit(1, 7, submit()).await;
    flow(&mut peer, FlowUpdateMetadata::session(FlowReason::Pause)).await;
    let frame = session.next_submit().await.unwrap();
    {
        let mut partial = std::pin::pin!(frame.answer.partial(result()));
        assert!(futures_util::poll!(partial.as_mut()).is_pending());
    }
    flow(
        &mut peer,
        FlowUpdateMetadata::session(FlowReason::Resume).with_credit(1, 1),
    )
    .await;
    peer.assert_silent(1).await;
    frame.answer.complete(result()).unwrap();
}

#[tokio::test]
async fn a_result_that_waits_ends_with_its_frame() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    peer.submit(1, 7, submit()).await;
    flow(&mut peer, FlowUpdateMetadata::session(FlowReason::Pause)).await;
    let frame = session.next_submit().await.unwrap();
    let partial = tokio::spawn(async move { frame.answer.partial(result()).await });
    stalled(&session).await;
    peer.cancel(1, 7).await;
    assert_eq!(partial.await.unwrap(), Err(AnswerError::FrameOver));
}

/// A client that does not read holds up what is not last, and no more than so much is kept for it.
#[tokio::test]
async fn results_wait_for_room() {
    let mut options = ServerOptions::default();
    options.session.transmits_max = 4;
    let (_server, session, mut peer) = session(options).await;
    peer.submit(1, 7, submit()).await;
    let frame = session.next_submit().await.unwrap();
    let count = 10_000;
    let partials = tokio::spawn(async move {
        for _ in 0..count {
            frame.answer.partial(result()).await.unwrap();
        }
        frame.answer.complete(result()).unwrap();
    });
    while session.counters().tallies.stalls == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..=count {
        peer.wait_for(is_push).await;
    }
    partials.await.unwrap();
}

fn of(latency_budget_ms: u16, tolerance: Option<LossTolerance>) -> SubmitOptions {
    SubmitOptions {
        latency_budget_ms,
        loss_tolerance: tolerance,
        frame_class: FrameClass::Delta,
        ..SubmitOptions::default()
    }
}

/// What is sent once and forgotten is not worth waiting for.
#[tokio::test]
async fn results_that_are_forgotten_do_not_wait() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    let options = of(0, Some(LossTolerance::FireAndForget));
    peer.submit(1, 7, submit_with(options)).await;
    flow(&mut peer, FlowUpdateMetadata::session(FlowReason::Pause)).await;
    let frame = session.next_submit().await.unwrap();
    let left_out = frame.answer.partial(result()).await;
    assert_eq!(left_out, Err(AnswerError::LeftOut));
    assert_eq!(session.counters().tallies.left_out, 1);
    frame.answer.complete(result()).unwrap();
    peer.wait_for(is_push).await;
}

#[tokio::test(start_paused = true)]
async fn past_its_budget_even_a_strict_frame_is_dropped() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    let options = of(50, Some(LossTolerance::Strict));
    let before = Instant::now();
    peer.submit(1, 7, submit_with(options)).await;
    let frame = session.next_submit().await.unwrap();
    let deadline = frame.answer.deadline().unwrap();
    assert!(deadline >= before + Duration::from_millis(50));
    frame.answer.cancelled().await;
    assert!(Instant::now() >= deadline);
    assert_eq!(peer.next().await.1, Message::ResultDrop);
    assert!(frame.answer.complete(result()).is_err());
    let frames = session.counters().frames;
    assert_eq!(frames.done_as(FrameOutcome::Expired), 1);
}

/// The time that the hello names is none: clients of the reference always say 50 ms there.
#[tokio::test(start_paused = true)]
async fn without_a_budget_a_frame_has_time() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    peer.submit(1, 7, submit_with(of(0, None))).await;
    let frame = session.next_submit().await.unwrap();
    assert_eq!(frame.answer.deadline(), None);
    tokio::time::sleep(Duration::from_secs(100)).await;
    frame.answer.complete(result()).unwrap();
    let (_, message) = peer.wait_for(is_push).await;
    let Message::ResultPush(result) = message else {
        unreachable!("it is one");
    };
    assert_eq!(result.metadata.server_total_ms, u16::MAX);
    assert_eq!(result.metadata.inference_ms, u16::MAX);
    assert_eq!(result.metadata.queue_ms, 0);
}

#[tokio::test(start_paused = true)]
async fn budgets_may_be_the_applications_business() {
    let mut options = ServerOptions::default();
    options.session.enforces_budget = false;
    let (_server, session, mut peer) = session(options).await;
    peer.submit(1, 7, submit_with(of(50, None))).await;
    let frame = session.next_submit().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    frame.answer.complete(result()).unwrap();
    peer.wait_for(is_push).await;
}

/// A frame that nobody has taken in time is never taken.
#[tokio::test(start_paused = true)]
async fn a_frame_whose_budget_is_over_is_not_taken() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    peer.submit(1, 7, submit_with(of(50, None))).await;
    assert_eq!(peer.next().await.1, Message::ResultDrop);
    peer.submit(1, 8, submit()).await;
    let frame = session.next_submit().await.unwrap();
    assert_eq!(frame.key.frame_id, 8);
    frame.answer.complete(result()).unwrap();
}

/// The way to the client takes more than half of the budget: a frame of low latency is not begun.
#[tokio::test(start_paused = true)]
async fn low_latency_is_dropped_early() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    session.set_round_trip(Duration::from_millis(30));
    for (frame_id, tolerance) in [
        (1, LossTolerance::LowLatency),
        (2, LossTolerance::BestEffort),
        (3, LossTolerance::Strict),
    ] {
        let submit = submit_with(of(50, Some(tolerance)));
        peer.submit(1, frame_id, submit).await;
    }
    for frame_id in [2, 3] {
        let frame = session.next_submit().await.unwrap();
        assert_eq!(frame.key.frame_id, frame_id);
        frame.answer.complete(result()).unwrap();
    }
    let is_hint = |message: &Message| matches!(message, Message::ResultHint(_));
    let (envelope, message) = peer.wait_for(is_hint).await;
    let Message::ResultHint(hint) = message else {
        unreachable!("it is one");
    };
    assert_eq!(
        (envelope.frame_id, hint.reason),
        (1, HintReason::BudgetExceeded)
    );
    let (envelope, _) = peer
        .wait_for(|message| matches!(message, Message::ResultDrop))
        .await;
    assert_eq!(envelope.frame_id, 1);
    let tallies = session.counters().tallies;
    assert_eq!(tallies.dropped_as(DropReason::BudgetExceeded), 1);
}

async fn update(peer: &mut Peer) -> FlowUpdateMetadata {
    let (_, message) = peer.next().await;
    let Message::FlowUpdate(update) = message else {
        panic!("{message:?}");
    };
    update
}

#[tokio::test]
async fn credit_is_granted_and_paused() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    session.grant(5).await.unwrap();
    let first = update(&mut peer).await;
    assert_eq!(
        (first.scope_kind, first.update_reason),
        (FlowScope::Session, FlowReason::Grant)
    );
    assert_eq!(
        (first.session_credit, first.flags),
        (5, FlowFlags::CREDIT_VALID)
    );

    session
        .pause(Some(Duration::from_millis(40)))
        .await
        .unwrap();
    let second = update(&mut peer).await;
    assert_eq!(second.update_reason, FlowReason::Pause);
    assert_eq!(second.backpressure_level, BackpressureLevel::Hard);
    assert_eq!(
        (second.retry_after_ms, second.flags),
        (40, FlowFlags::RETRY_AFTER_VALID)
    );

    session.resume().await.unwrap();
    let third = update(&mut peer).await;
    assert_eq!(
        (third.update_reason, third.session_credit),
        (FlowReason::Resume, 5)
    );
    assert!(first.credit_epoch < second.credit_epoch);
    assert!(second.credit_epoch < third.credit_epoch);

    // Of another scope: what is set that is not its own is refused.
    let mut wrong = FlowUpdateMetadata::connection(FlowReason::Reduce).with_credit(3, 0);
    session.flow_update(wrong).await.unwrap();
    assert_eq!(update(&mut peer).await.connection_credit, 3);
    wrong.session_credit = 1;
    let refused = session.flow_update(wrong).await;
    assert!(
        matches!(refused, Err(HandleError::Invalid(_))),
        "{refused:?}"
    );
}

/// Clients of the reference end a silent connection after 10 s, and bear flow updates. These change nothing.
#[tokio::test(start_paused = true)]
async fn a_silent_session_is_kept_alive() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    session.grant(5).await.unwrap();
    let granted = update(&mut peer).await;
    let mut last = Instant::now();
    for _ in 0..5 {
        assert_eq!(update(&mut peer).await, granted);
        assert!(last.elapsed() < Duration::from_secs(10));
        last = Instant::now();
    }
}

/// A client that says nothing for two minutes is gone.
#[tokio::test(start_paused = true)]
async fn a_client_that_is_gone_ends_its_session() {
    let (server, session, peer) = session(ServerOptions::default()).await;
    let before = Instant::now();
    let end = session.ended().await;
    assert!(
        matches!(end, nnrp::server::SessionEnd::Failed(_)),
        "{end:?}"
    );
    assert!(before.elapsed() >= Duration::from_secs(120));
    while server.session_count() > 0 {
        tokio::task::yield_now().await;
    }
    drop(peer);
}

#[tokio::test]
async fn an_error_is_reported() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    let report = nnrp_wire::session::Report {
        code: nnrp_wire::ErrorCode::ServerBusy,
        retry_after_ms: 9,
        diagnostic: "slow today",
    };
    session.report(report).await.unwrap();
    let told = peer.error().await;
    assert_eq!((told.retry_after_ms, told.is_fatal), (9, false));
    peer.ping(1).await;
    assert!(session.fail(report));
    assert!(peer.error().await.is_fatal);
    session.ended().await;
    assert_eq!(session.report(report).await, Err(HandleError::Over));
    assert!(!session.fail(report));
    assert!(!session.close(""));
}

/// More than a pipe or a read holds, so that packets come one by one.
fn large() -> FrameSubmit {
    let text = "x".repeat(100_000);
    FrameSubmit::builder()
        .payload(TypedPayload::token_chunk(text))
        .build()
        .unwrap()
}

/// Submits frames that are held up sooner or later, then a PING; gives what came then.
fn flood(mut peer: Peer, session_id: u32) -> tokio::task::JoinHandle<Peer> {
    tokio::spawn(async move {
        for frame_id in 1..6 {
            peer.submit(session_id, frame_id, large()).await;
        }
        peer.send(Envelope::session(session_id), Message::Ping)
            .await;
        peer
    })
}

async fn submitted(session: &Session, count: u64) {
    while session.counters().frames.submitted < count {
        tokio::task::yield_now().await;
    }
    // There is time for more.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(session.counters().frames.submitted, count);
}

async fn answer_all(session: &Session, flood: tokio::task::JoinHandle<Peer>) {
    for frame_id in 1..6 {
        let frame = session.next_submit().await.unwrap();
        assert_eq!(frame.key.frame_id, frame_id);
        frame.answer.complete(result()).unwrap();
    }
    let mut peer = flood.await.unwrap();
    peer.wait_for(|message| matches!(message, Message::Pong))
        .await;
}

/// What nobody takes is not read any more, up to its bytes.
#[tokio::test]
async fn input_that_nobody_takes_holds_up_the_client() {
    let options = ServerOptions {
        input_bytes_max: 150_000,
        ..ServerOptions::default()
    };
    let (_server, session, peer) = session(options).await;
    let flood = flood(peer, 1);
    submitted(&session, 2).await;
    assert!(!flood.is_finished());
    answer_all(&session, flood).await;
}

/// The same over all sessions: one that has nothing waiting is always read.
#[tokio::test]
async fn input_of_all_sessions_is_bounded() {
    let options = ServerOptions {
        total_input_bytes_max: 1,
        ..ServerOptions::default()
    };
    let (server, one, first) = session(options).await;
    let mut second = Peer::connect(&server);
    second.hello(2).await;
    let two = server.next_session().await.unwrap();
    let (first, second) = (flood(first, 1), flood(second, 2));
    submitted(&one, 1).await;
    submitted(&two, 1).await;
    answer_all(&one, first).await;
    answer_all(&two, second).await;
}

/// A frame that is cancelled by its budget makes room, though nobody takes anything.
#[tokio::test(start_paused = true)]
async fn frames_whose_budget_is_over_make_room() {
    let options = ServerOptions {
        input_bytes_max: 1,
        ..ServerOptions::default()
    };
    let (_server, session, mut peer) = session(options).await;
    peer.submit(1, 1, submit_with(of(50, None))).await;
    peer.ping(1).await;
    peer.submit(1, 2, submit_with(of(50, None))).await;
    peer.submit(1, 3, submit()).await;
    for frame_id in [1, 2] {
        let (envelope, message) = peer.next().await;
        assert_eq!(
            (envelope.frame_id, message),
            (frame_id, Message::ResultDrop)
        );
    }
    let frame = session.next_submit().await.unwrap();
    assert_eq!(frame.key.frame_id, 3);
    frame.answer.complete(result()).unwrap();
}
