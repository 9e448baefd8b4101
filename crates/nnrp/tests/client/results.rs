//! What comes of frames: parts, drops, errors, what is cancelled, what is dropped in between.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use futures_util::StreamExt as _;
use nnrp::client::{CallError, FrameItem, SessionEnd};
use nnrp_wire::metadata::{ErrorMetadata, ResultHintMetadata};
use nnrp_wire::session::{FrameError, FrameOutcome};
use nnrp_wire::{
    CongestionState, Envelope, ErrorCode, ErrorReport, ErrorScope, HintPolicy, HintReason, Message,
    MessageType,
};

use super::peer::{Peer, SESSION, connected, key, stream_submit, submit};

/// What each item is: r, h, or its end's outcome.
fn kind(item: &FrameItem) -> String {
    match item {
        FrameItem::Result(_) => "result".into(),
        FrameItem::Hint(_) => "hint".into(),
        FrameItem::End(end) => format!("{:?}", end.outcome),
    }
}

fn frame_error(code: ErrorCode, frame_id: u32) -> Message {
    Message::Error(ErrorReport {
        metadata: ErrorMetadata {
            error_code: code.number(),
            error_scope: ErrorScope::Frame,
            is_fatal: 0,
            retry_after_ms: 0,
            related_session_id: SESSION,
            related_frame_id: frame_id,
            related_view_id: 0,
            diagnostic_bytes: 3,
        },
        diagnostic: "bad".into(),
    })
}

#[tokio::test]
async fn a_stream_goes_on_until_the_last_result() {
    let (session, mut peer) = connected(16).await;
    let stream = session.submit_stream(stream_submit(1)).await.unwrap();
    let envelope = peer.submitted().await;
    let hint = ResultHintMetadata {
        applied_budget_policy: HintPolicy::Partial,
        congestion_state: CongestionState::Elevated,
        reason: HintReason::ServerBusy,
        retry_after_ms: 0,
    };
    peer.part(&envelope, 1).await;
    let hinted = Envelope::frame(SESSION, 1);
    peer.send(hinted, Message::ResultHint(hint)).await;
    peer.part(&envelope, 2).await;
    peer.answer(&envelope).await;
    let items: Vec<_> = stream.map(|item| kind(&item)).collect().await;
    assert_eq!(items, ["result", "hint", "result", "result", "Complete"]);
    assert!(session.try_next().unwrap().is_none());
}

#[tokio::test]
async fn a_stream_that_is_released_is_complete() {
    let (session, mut peer) = connected(1).await;
    session.submit(stream_submit(1)).await.unwrap();
    assert!(!session.release(key(1)), "nothing has come");
    let envelope = peer.submitted().await;
    peer.part(&envelope, 1).await;
    assert_eq!(kind(&session.receive(key(1)).await.unwrap()), "result");
    assert!(session.release(key(1)));
    assert_eq!(kind(&session.receive(key(1)).await.unwrap()), "Complete");
    // And it uses no credit.
    session.submit(submit(2)).await.unwrap();
    peer.submitted().await;
}

#[tokio::test]
async fn drops_and_errors_end_their_frame_only() {
    let (session, mut peer) = connected(16).await;
    for id in 1..=3 {
        session.submit(submit(id)).await.unwrap();
    }
    let dropped = peer.submitted().await;
    let failed = peer.submitted().await;
    let answered = peer.submitted().await;
    peer.send(dropped, Message::ResultDrop).await;
    peer.send(failed, frame_error(ErrorCode::CacheMiss, 2))
        .await;
    peer.answer(&answered).await;
    assert_eq!(kind(&session.receive(key(1)).await.unwrap()), "Dropped");
    match session.receive(key(2)).await.unwrap() {
        FrameItem::End(end) => {
            assert_eq!(end.outcome, FrameOutcome::Error);
            assert!(matches!(end.error, Some(FrameError::Peer(_))), "{end:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(kind(&session.receive(key(3)).await.unwrap()), "result");
}

#[tokio::test]
async fn a_result_that_cannot_be_read_fails_its_frame_only() {
    let (session, mut peer) = connected(16).await;
    for id in 1..=2 {
        session.submit(submit(id)).await.unwrap();
    }
    let (first, second) = (peer.submitted().await, peer.submitted().await);
    let message = Message::ResultPush(super::peer::result_of(9));
    let mut bytes = super::peer::encoded(&first, &message);
    // Metadata that says of the body what it is not.
    bytes[40 + 60] = 9;
    tokio::io::AsyncWriteExt::write_all(&mut peer.io, &bytes)
        .await
        .unwrap();
    peer.answer(&second).await;
    let (failed, _) = (session.call_end(1).await, session.call_end(2).await);
    assert!(
        matches!(failed, Some(FrameError::Malformed(_))),
        "{failed:?}"
    );
}

/// To the end of a frame.
trait CallEnd {
    async fn call_end(&self, frame_id: u32) -> Option<FrameError>;
}

impl CallEnd for nnrp::client::Session {
    async fn call_end(&self, frame_id: u32) -> Option<FrameError> {
        loop {
            if let FrameItem::End(end) = self.receive(key(frame_id)).await.unwrap() {
                return end.error;
            }
        }
    }
}

#[tokio::test]
async fn cancelling_tells_the_server_and_the_receiver_at_once() {
    let (session, mut peer) = connected(1).await;
    session.submit(submit(1)).await.unwrap();
    peer.submitted().await;
    assert!(session.cancel(key(1)));
    assert!(!session.cancel(key(1)), "it is cancelled already");
    assert_eq!(kind(&session.receive(key(1)).await.unwrap()), "Cancelled");
    let (envelope, _) = peer.expect(MessageType::FrameCancel).await;
    assert_eq!(envelope.frame_id, 1);
    // It uses credit until that is answered.
    assert!(session.try_submit(submit(2)).is_err());
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.submit(submit(2)).await }
    });
    peer.answer(&envelope).await;
    waiting.await.unwrap().unwrap();
    peer.submitted().await;
    assert!(!session.cancel(key(7)), "there is no such frame");
    let frames = session.counters().frames;
    assert_eq!(
        (frames.submitted, frames.done_as(FrameOutcome::Cancelled)),
        (2, 1)
    );
}

#[tokio::test]
async fn what_was_not_sent_yet_is_cancelled_without_a_word() {
    // The pipe takes the first one, and no more.
    let (session, mut peer) =
        super::peer::connected_by(512, 16, nnrp::client::ConnectOptions::default()).await;
    let big = super::peer::submit_of(1, 4096);
    session.submit(big).await.unwrap();
    let mut bytes = [0; 1];
    tokio::io::AsyncReadExt::read_exact(&mut peer.io, &mut bytes)
        .await
        .unwrap();
    session.submit(submit(2)).await.unwrap();
    session.submit(submit(3)).await.unwrap();
    assert!(session.cancel(key(2)));
    let mut rest = Peer::new(peer.io);
    rest.given(&bytes);
    assert_eq!(rest.submitted().await.frame_id, 1);
    assert_eq!(rest.submitted().await.frame_id, 3);
    assert_eq!(kind(&session.receive(key(2)).await.unwrap()), "Cancelled");
}

#[tokio::test]
async fn a_receive_that_is_dropped_loses_nothing() {
    let (session, mut peer) = connected(16).await;
    session.submit(submit(1)).await.unwrap();
    let envelope = peer.submitted().await;
    {
        let mut receiving = pin!(session.receive(key(1)));
        let first = poll_fn(|context| Poll::Ready(receiving.as_mut().poll(context))).await;
        assert!(first.is_pending());
        peer.answer(&envelope).await;
        // It has come, and the receiver was woken, but does not look any more.
        while session.counters().waiting_items < 2 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(kind(&session.receive(key(1)).await.unwrap()), "result");
    assert_eq!(kind(&session.receive(key(1)).await.unwrap()), "Complete");
}

#[tokio::test]
async fn a_next_that_is_dropped_when_it_was_woken_wakes_another() {
    let (session, mut peer) = connected(16).await;
    session.submit(submit(1)).await.unwrap();
    let envelope = peer.submitted().await;
    let mut first = Box::pin(session.next());
    let polled = poll_fn(|context| Poll::Ready(first.as_mut().poll(context))).await;
    assert!(polled.is_pending());
    let second = tokio::spawn({
        let session = session.clone();
        async move {
            let mut kinds = Vec::new();
            for _ in 0..2 {
                kinds.push(kind(&session.next().await.unwrap().1));
            }
            kinds
        }
    });
    // The other one waits behind it.
    tokio::task::yield_now().await;
    peer.answer(&envelope).await;
    while session.counters().waiting_items == 0 && !second.is_finished() {
        tokio::task::yield_now().await;
    }
    drop(first);
    assert_eq!(second.await.unwrap(), ["result", "Complete"]);
}

#[tokio::test]
async fn a_call_that_is_dropped_cancels_its_frame() {
    let (session, mut peer) = connected(16).await;
    {
        let mut call = pin!(session.call(submit(1)));
        let polled = poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await;
        assert!(polled.is_pending());
        peer.submitted().await;
    }
    let (envelope, _) = peer.expect(MessageType::FrameCancel).await;
    peer.answer(&envelope).await;
    session.submit(submit(2)).await.unwrap();
    let second = peer.submitted().await;
    peer.answer(&second).await;
    // Nothing of the first one is seen any more.
    assert_eq!(session.next().await.unwrap().0, key(2));
    assert_eq!(
        session.counters().frames.done_as(FrameOutcome::Cancelled),
        1
    );
}

#[tokio::test]
async fn a_dropped_stream_leaves_its_frame_to_next_or_cancels_it() {
    let (session, mut peer) = connected(16).await;
    let mut left = session.submit_stream(stream_submit(1)).await.unwrap();
    let ended = session.submit_stream(stream_submit(2)).await.unwrap();
    let (first, second) = (peer.submitted().await, peer.submitted().await);
    peer.part(&first, 1).await;
    assert_eq!(kind(&left.next().await.unwrap()), "result");
    peer.part(&first, 1).await;
    peer.part(&second, 1).await;
    while session.counters().waiting_items < 2 {
        tokio::task::yield_now().await;
    }
    drop(left);
    drop(ended.cancelling_on_drop());
    let (cancelled, _) = peer.expect(MessageType::FrameCancel).await;
    assert_eq!(cancelled.frame_id, 2);
    peer.answer(&first).await;
    for expected in ["result", "result", "Complete"] {
        let (next, item) = session.next().await.unwrap();
        assert_eq!((next, kind(&item).as_str()), (key(1), expected));
    }
}

#[tokio::test]
async fn a_key_can_be_used_again_once_its_end_was_received() {
    let (session, mut peer) = connected(16).await;
    session.submit(submit(1)).await.unwrap();
    let envelope = peer.submitted().await;
    peer.answer(&envelope).await;
    assert_eq!(kind(&session.next().await.unwrap().1), "result");
    let error = session.submit(submit(1)).await.unwrap_err();
    assert!(error.to_string().contains("was not received"), "{error}");
    assert_eq!(kind(&session.next().await.unwrap().1), "Complete");
    session.submit(submit(1)).await.unwrap();
    peer.submitted().await;
}

#[tokio::test]
async fn the_end_reaches_everybody_behind_what_was_received() {
    let (session, mut peer) = connected(16).await;
    for id in 1..=4 {
        session.submit(submit(id)).await.unwrap();
    }
    let envelope = peer.submitted().await;
    let receivers: Vec<_> = [2, 2, 3]
        .map(|id| {
            let session = session.clone();
            tokio::spawn(async move { session.receive(key(id)).await })
        })
        .into();
    let call = tokio::spawn({
        let session = session.clone();
        async move { session.call(submit(5)).await }
    });
    for _ in 2..=5 {
        peer.submitted().await;
    }
    peer.answer(&envelope).await;
    drop(peer);
    for receiver in receivers {
        // Two of the same frame: one gets its end, the other hears that there is nothing.
        let received = receiver.await.unwrap();
        if let Ok(item) = received {
            assert_eq!(kind(&item), "ConnectionLost");
        }
    }
    let error = call.await.unwrap().unwrap_err();
    assert!(
        matches!(
            error,
            CallError::ConnectionLost(Some(SessionEnd::Failed(_)))
        ),
        "{error:?}"
    );
    let mut left = Vec::new();
    let end = loop {
        match session.next().await {
            Ok((key, item)) => left.push((key.frame_id, kind(&item))),
            Err(end) => break end,
        }
    };
    let expected = [(1, "result"), (1, "Complete"), (4, "ConnectionLost")];
    assert_eq!(left, expected.map(|(id, kind)| (id, kind.to_owned())));
    assert!(matches!(end, SessionEnd::Failed(_)), "{end:?}");
    assert!(session.next().await.is_err());
    let counters = session.counters();
    assert_eq!(counters.frames.submitted, 5);
    assert_eq!(counters.frames.done_total(), 5);
}
