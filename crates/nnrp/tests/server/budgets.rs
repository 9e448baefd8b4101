//! Budgets and loss tolerance. spec: nnrp-design Budgets

use std::time::Duration;

use nnrp::budget::Verdict;
use nnrp::server::{AnswerError, DropReason, ServerOptions};
use nnrp_wire::metadata::FlowUpdateMetadata;
use nnrp_wire::session::FrameOutcome;
use nnrp_wire::{FlowReason, HintPolicy, HintReason, LossTolerance, Message};
use tokio::time::Instant;

use crate::support::{Peer, flow, is_push, of, result, session, submit, submit_with};

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
    assert_eq!(budget_hint(&mut peer).await, 7);
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

/// A handler asks whether it is worth going on.
#[tokio::test(start_paused = true)]
async fn a_handler_asks_what_its_budget_allows() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    peer.submit(1, 7, submit_with(of(50, None))).await;
    let frame = session.next_submit().await.unwrap();
    let needed = |ms| Some(Duration::from_millis(ms));
    assert_eq!(frame.answer.verdict(needed(50)), Verdict::Go);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(frame.answer.verdict(needed(30)), Verdict::Go);
    assert_eq!(frame.answer.verdict(needed(40)), Verdict::MayDrop);
    tokio::time::sleep(Duration::from_millis(40)).await;
    assert_eq!(frame.answer.verdict(None), Verdict::Over);
}

/// A frame that nobody has taken in time is never taken.
#[tokio::test(start_paused = true)]
async fn a_frame_whose_budget_is_over_is_not_taken() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    peer.submit(1, 7, submit_with(of(50, None))).await;
    assert_eq!(budget_hint(&mut peer).await, 7);
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

/// Why a frame is dropped is told by what comes before, whoever notices that its time is over.
async fn budget_hint(peer: &mut Peer) -> u32 {
    let (envelope, message) = peer.next().await;
    let Message::ResultHint(hint) = message else {
        panic!("{message:?}");
    };
    assert_eq!(hint.reason, HintReason::BudgetExceeded);
    assert_eq!(hint.applied_budget_policy, HintPolicy::Drop);
    envelope.frame_id
}

#[tokio::test(start_paused = true)]
async fn the_reason_is_not_told_where_that_is_switched_off() {
    let options = ServerOptions {
        explains_drops: false,
        ..ServerOptions::default()
    };
    let (_server, _session, mut peer) = session(options).await;
    peer.submit(1, 7, submit_with(of(50, None))).await;
    assert_eq!(peer.next().await.1, Message::ResultDrop);
}
