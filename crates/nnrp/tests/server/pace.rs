//! How fast results go, and until when. spec: nnrp-session 4.1, 4.2, nnrp-design Budgets

use std::time::Duration;

use nnrp::server::{AnswerError, ServerOptions, Session};
use nnrp_wire::metadata::FlowUpdateMetadata;
use nnrp_wire::session::HandleError;
use nnrp_wire::{BackpressureLevel, FlowFlags, FlowReason, FlowScope, Message};
use tokio::time::Instant;

use crate::support::{Peer, flow, is_push, result, session, submit};

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

/// Who does not wait in the call is told when to try again, also after giving the responder away.
#[tokio::test]
async fn whoever_does_not_wait_is_told_of_room() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    peer.submit(1, 7, submit()).await;
    let frame = session.next_submit().await.unwrap();
    let room = frame.answer.room();
    assert!(room.waits() && room.is_there());
    room.wait().await;
    flow(&mut peer, FlowUpdateMetadata::session(FlowReason::Pause)).await;
    assert!(!room.is_there());
    let left_out = frame.answer.try_partial(result());
    assert_eq!(left_out, Err(AnswerError::LeftOut));
    // It may be tried again, so that it is not lost.
    assert_eq!(session.counters().tallies.left_out, 0);
    let waiting = tokio::spawn({
        let room = room.clone();
        async move { room.wait().await }
    });
    stalled(&session).await;
    let resume = FlowUpdateMetadata::session(FlowReason::Resume).with_credit(1, 1);
    flow(&mut peer, resume).await;
    waiting.await.unwrap();
    frame.answer.try_partial(result()).unwrap();
    peer.wait_for(is_push).await;

    // A frame that has ended needs no room.
    let pause = FlowUpdateMetadata::session(FlowReason::Pause).with_credit(0, 2);
    flow(&mut peer, pause).await;
    let waiting = tokio::spawn(async move { room.wait().await });
    let over = frame.answer.over();
    peer.cancel(1, 7).await;
    over.await;
    waiting.await.unwrap();
    assert_eq!(
        frame.answer.try_partial(result()),
        Err(AnswerError::FrameOver)
    );
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
