//! Connecting, frames and their results, closing.

use nnrp::Link;
use nnrp::client::{
    CallError, ConnectError, ConnectOptions, FrameItem, ReceiveError, Session, SessionEnd,
};
use nnrp_wire::session::FrameOutcome;
use nnrp_wire::{Envelope, Message, MessageType, TransportId};

use super::peer::{Peer, SESSION, connected, key, submit};

/// The outcome, if it is an end.
fn end(item: &FrameItem) -> Option<FrameOutcome> {
    match item {
        FrameItem::End(end) => Some(end.outcome),
        FrameItem::Result(_) | FrameItem::Hint(_) => None,
    }
}

#[tokio::test]
async fn a_session_begins_and_ends() {
    let (session, mut peer) = connected(16).await;
    assert_eq!(session.id(), SESSION);
    assert_eq!(session.transport(), TransportId::Tcp);
    assert_eq!(session.established().unwrap().session_id, SESSION);

    let served = async {
        let (envelope, message) = peer.receive().await;
        assert_eq!(message, Message::Close("done".into()));
        peer.send(envelope, Message::Close("".into())).await;
        peer.ended().await;
    };
    let (end, ()) = tokio::join!(session.close("done"), served);
    assert!(matches!(end, SessionEnd::Closed), "{end:?}");
    let error = session.submit(submit(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "the session was closed");
}

#[tokio::test]
async fn a_frame_brings_its_result_and_its_end() {
    let (session, mut peer) = connected(16).await;
    let frame = session.submit(submit(1)).await.unwrap();
    let envelope = peer.submitted().await;
    peer.answer(&envelope).await;

    let result = session.receive(frame).await.unwrap();
    assert!(matches!(result, FrameItem::Result(_)), "{result:?}");
    let item = session.receive(frame).await.unwrap();
    assert_eq!(end(&item), Some(FrameOutcome::Complete));
    let error = session.receive(frame).await.unwrap_err();
    assert!(
        matches!(error, ReceiveError::UnknownFrame { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn results_come_in_any_order() {
    let (session, mut peer) = connected(16).await;
    let mut envelopes = Vec::new();
    for id in 1..=3 {
        session.submit(submit(id)).await.unwrap();
        envelopes.push(peer.submitted().await);
    }
    for envelope in envelopes.iter().rev() {
        peer.answer(envelope).await;
    }
    for id in [2, 1, 3] {
        let result = session.receive(key(id)).await.unwrap();
        assert!(matches!(result, FrameItem::Result(_)), "{result:?}");
        assert!(end(&session.receive(key(id)).await.unwrap()).is_some());
    }
}

#[tokio::test]
async fn next_gives_what_nobody_receives() {
    let (session, mut peer) = connected(16).await;
    for id in 1..=3 {
        session.submit(submit(id)).await.unwrap();
    }
    let claimed = tokio::spawn({
        let session = session.clone();
        async move { session.receive(key(2)).await }
    });
    for _ in 1..=3 {
        let envelope = peer.submitted().await;
        peer.answer(&envelope).await;
    }
    assert!(matches!(
        claimed.await.unwrap().unwrap(),
        FrameItem::Result(_)
    ));
    let mut got = Vec::new();
    for _ in 0..4 {
        let (key, item) = session.next().await.unwrap();
        got.push((key.frame_id, end(&item).is_some()));
    }
    assert_eq!(got, [(1, false), (1, true), (3, false), (3, true)]);
    assert!(end(&session.receive(key(2)).await.unwrap()).is_some());
    assert!(session.try_next().unwrap().is_none());
}

#[tokio::test]
async fn a_call_brings_the_last_result() {
    let (session, mut peer) = connected(16).await;
    let served = async {
        let envelope = peer.submitted().await;
        peer.part(&envelope, 5).await;
        peer.part(&envelope, 6).await;
        peer.answer(&envelope).await;
        let envelope = peer.submitted().await;
        peer.send(envelope, Message::ResultDrop).await;
    };
    let calls = async {
        let first = nnrp::client::Submit {
            is_stream: true,
            ..submit(1)
        };
        let answer = session.call(first).await.unwrap();
        assert_eq!(answer.superseded, 2);
        assert_eq!(answer.outcome, FrameOutcome::Complete);
        let error = session.call(submit(2)).await.unwrap_err();
        assert!(matches!(error, CallError::Dropped), "{error:?}");
    };
    tokio::join!(served, calls);
    assert_eq!(session.counters().frames.done_total(), 2);
    let counters = session.counters();
    assert_eq!(counters.waiting_items, 0);
    let traffic = counters.traffic;
    // The hello and two submits; its answer, three results and a drop.
    assert_eq!((traffic.sent_packets, counters.packets.packets), (3, 5));
    assert!(traffic.sent_bytes > 3 * 40 && traffic.received_bytes > 5 * 40);
}

#[tokio::test]
async fn a_refused_hello_says_why() {
    let (near, far) = tokio::io::duplex(4096);
    let mut peer = Peer::new(far);
    let session = Session::over(Link::from_stream(near), ConnectOptions::default());
    let served = async {
        peer.hello().await;
        peer.send(Envelope::default(), Message::Close("".into()))
            .await;
    };
    let (session, ()) = tokio::join!(session, served);
    let error = session.unwrap_err();
    assert!(matches!(error, ConnectError::Failed(_)), "{error:?}");
    peer.ended().await;
}

#[tokio::test]
async fn dropping_the_last_handle_cancels_and_closes() {
    let (session, mut peer) = connected(16).await;
    session.submit(submit(1)).await.unwrap();
    peer.submitted().await;
    drop(session.clone());
    drop(session);
    peer.expect(MessageType::FrameCancel).await;
    peer.expect(MessageType::Close).await;
    peer.ended().await;
}
