//! Frames that wait for credit, and what they do not do meanwhile.

use std::time::Duration;

use nnrp::client::{ConnectOptions, Submit, SubmitError};
use nnrp_wire::session::{FrameKey, FrameOutcome, SubmitRefusal};
use nnrp_wire::{FlowReason, Message, MessageType};

use super::peer::{
    Peer, connected, connected_by, key, stream_submit, submit, submit_of, until_idle,
};

type Submitting = tokio::task::JoinHandle<Result<FrameKey, SubmitError>>;

fn submitting(session: &nnrp::client::Session, submit: Submit) -> Submitting {
    let session = session.clone();
    tokio::spawn(async move { session.submit(submit).await })
}

#[tokio::test]
async fn submits_wait_for_room_in_the_order_they_came_in() {
    let (session, mut peer) = connected(1).await;
    session.submit(submit(1)).await.unwrap();
    let mut waiting = Vec::new();
    for id in 2..=4 {
        waiting.push(submitting(&session, submit(id)));
        until_idle().await;
    }
    for id in 1..=4 {
        let envelope = peer.submitted().await;
        assert_eq!(envelope.frame_id, id);
        assert_eq!(session.counters().frames.in_flight, 1);
        peer.answer(&envelope).await;
    }
    for done in waiting {
        done.await.unwrap().unwrap();
    }
    assert_eq!(session.counters().credit_stalls, 3);
}

#[tokio::test]
async fn a_submit_that_is_dropped_while_it_waits_submits_nothing() {
    let (session, mut peer) = connected(1).await;
    session.submit(submit(1)).await.unwrap();
    let first = peer.submitted().await;
    let dropped = submitting(&session, submit(2));
    until_idle().await;
    let behind = submitting(&session, submit(3));
    until_idle().await;
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    peer.answer(&first).await;
    behind.await.unwrap().unwrap();
    assert_eq!(peer.submitted().await.frame_id, 3);
    assert_eq!(session.counters().frames.submitted, 2);
    // And its key is free.
    let third = session.cancel(key(3));
    assert!(third);
    peer.expect(MessageType::FrameCancel).await;
}

#[tokio::test]
async fn one_that_would_overtake_others_is_not_submitted() {
    let (session, mut peer) = connected(1).await;
    session.submit(submit(1)).await.unwrap();
    let refused = session.try_submit(submit(2)).unwrap_err();
    assert!(
        matches!(
            refused.why,
            SubmitError::Refused(SubmitRefusal::NoCredit(_))
        ),
        "{refused:?}"
    );
    assert_eq!(*refused.submit, submit(2));
    let waiting = submitting(&session, submit(2));
    until_idle().await;
    let refused = session.try_submit(submit(3)).unwrap_err();
    assert!(
        matches!(refused.why, SubmitError::OthersWait),
        "{refused:?}"
    );
    let first = peer.submitted().await;
    peer.answer(&first).await;
    waiting.await.unwrap().unwrap();
    let second = peer.submitted().await;
    peer.answer(&second).await;
    while session.counters().frames.in_flight > 0 {
        tokio::task::yield_now().await;
    }
    session.try_submit(submit(3)).unwrap();
}

#[tokio::test]
async fn the_server_pauses_reduces_and_resumes() {
    let (session, mut peer) = connected(4).await;
    let mut events = session.events();
    session.submit(submit(1)).await.unwrap();
    let first = peer.submitted().await;
    peer.flow(FlowReason::Pause, 4, 1).await;
    assert!(events.next().await.is_some());
    let paused = submitting(&session, submit(2));
    until_idle().await;
    // What is in flight goes on.
    peer.answer(&first).await;
    session.next().await.unwrap();
    until_idle().await;
    assert!(!paused.is_finished());
    peer.flow(FlowReason::Resume, 2, 2).await;
    paused.await.unwrap().unwrap();
    let second = peer.submitted().await;
    session.submit(submit(3)).await.unwrap();
    let third = peer.submitted().await;
    peer.flow(FlowReason::Reduce, 1, 3).await;
    assert!(events.next().await.is_some());
    assert!(events.next().await.is_some());
    let reduced = submitting(&session, submit(4));
    peer.answer(&second).await;
    until_idle().await;
    assert!(
        !reduced.is_finished(),
        "one is in flight, which is all there may be"
    );
    peer.answer(&third).await;
    reduced.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_submit_waits_no_longer_than_its_frame_may_take() {
    let (session, mut peer) = connected(1).await;
    session.submit(submit(1)).await.unwrap();
    peer.submitted().await;
    let timeout = Some(Duration::from_secs(5));
    let error = session
        .submit(Submit {
            timeout,
            ..submit(2)
        })
        .await;
    assert!(
        matches!(error, Err(SubmitError::Expired { .. })),
        "{error:?}"
    );
    assert_eq!(session.counters().frames.submitted, 1);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_takes_too_long_expires() {
    let (session, mut peer) = connected(1).await;
    let timeout = Some(Duration::from_secs(5));
    session
        .submit(Submit {
            timeout,
            ..submit(1)
        })
        .await
        .unwrap();
    peer.submitted().await;
    let (_, item) = session.next().await.unwrap();
    let nnrp::client::FrameItem::End(end) = item else {
        panic!("{item:?}");
    };
    assert_eq!(end.outcome, FrameOutcome::Expired);
    peer.expect(MessageType::FrameCancel).await;
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_cancelled_frame_makes_room_where_credit_is_unlimited() {
    let mut options = ConnectOptions::default();
    options.session.frames_max = 1;
    let (session, mut peer) = connected_by(1 << 16, 0, options).await;
    session.submit(submit(1)).await.unwrap();
    let first = peer.submitted().await;
    session.cancel(key(1));
    peer.expect(MessageType::FrameCancel).await;
    let waiting = submitting(&session, submit(2));
    until_idle().await;
    assert!(!waiting.is_finished());
    peer.send(first, Message::ResultDrop).await;
    waiting.await.unwrap().unwrap();
    assert_eq!(session.counters().room_stalls, 1);
}

#[tokio::test(start_paused = true)]
async fn closing_tells_those_who_wait() {
    let (session, mut peer) = connected(1).await;
    session.submit(stream_submit(1)).await.unwrap();
    peer.submitted().await;
    let waiting = submitting(&session, submit(2));
    until_idle().await;
    let closing = tokio::spawn({
        let session = session.clone();
        async move { session.close("").await }
    });
    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(error, SubmitError::Ending), "{error:?}");
    // The one in flight has had its time, and the server says nothing.
    peer.expect(MessageType::Close).await;
    drop(peer);
    closing.await.unwrap();
    let (_, item) = session.next().await.unwrap();
    assert!(matches!(item, nnrp::client::FrameItem::End(_)), "{item:?}");
}

#[tokio::test]
async fn what_cannot_be_submitted_is_refused_at_once() {
    let (session, mut peer) = connected_by(1 << 16, 16, ConnectOptions::default()).await;
    let _ = &mut peer;
    let error = session.submit(submit_of(1, 40 << 20)).await.unwrap_err();
    assert!(
        matches!(error, SubmitError::Refused(SubmitRefusal::TooLarge { .. })),
        "{error:?}"
    );
    assert_eq!(session.counters().frames.submitted, 0);
}

#[tokio::test]
async fn many_submit_at_once_and_none_is_lost() {
    let (session, mut peer) = connected(3).await;
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let session = session.clone();
            tokio::spawn(async move {
                let id = session.next_frame_id();
                session.call(submit(id)).await
            })
        })
        .collect();
    let serving = tokio::spawn(async move {
        serve_in_bursts(&mut peer, 200).await;
        peer
    });
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let _peer = serving.await.unwrap();
    let frames = session.counters().frames;
    assert_eq!(
        (frames.submitted, frames.done_as(FrameOutcome::Complete)),
        (200, 200)
    );
}

/// Answers so many frames, never more than three in flight, in an order of its own.
async fn serve_in_bursts(peer: &mut Peer, count: usize) {
    let mut waiting = Vec::new();
    for served in 0..count {
        waiting.push(peer.submitted().await);
        assert!(waiting.len() <= 3);
        if waiting.len() == 3 || served + 1 == count {
            for envelope in waiting.drain(..).rev() {
                peer.answer(&envelope).await;
            }
        }
    }
}
