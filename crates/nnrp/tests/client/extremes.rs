//! Options and calls at the edge of what they mean.

use std::time::Duration;

use futures_util::StreamExt as _;
use nnrp::TransportId;
use nnrp::client::{ConnectOptions, FrameItem, InboxLimits, SessionEvent};
use nnrp_wire::MessageType;
use nnrp_wire::session::{FrameOutcome, LivenessOptions};
use tokio::time::timeout;

use super::peer::{LONG, connected, connected_by, key, stream_submit, submit, until_idle};

#[tokio::test]
async fn who_asks_for_events_after_the_end_is_told_that_there_are_none() {
    let (session, peer) = connected(4).await;
    let mut before = session.events();
    drop(peer);
    session.closed().await;
    let mut after = session.events();
    let next = timeout(LONG, after.next()).await;
    assert!(next.expect("it waits for what never comes").is_none());
    let next = timeout(LONG, before.next()).await.unwrap();
    assert!(matches!(next, Some(SessionEvent::Ended(_))), "{next:?}");
    assert!(timeout(LONG, before.next()).await.unwrap().is_none());
}

/// Nobody means a time by it.
#[tokio::test]
async fn timeouts_without_end_are_none() {
    let mut options = ConnectOptions::default();
    options.session.connect_timeout = Duration::MAX;
    options.session.answer_timeout = Duration::MAX;
    options.session.migration_timeout = Duration::MAX;
    options.session.cancel_timeout = Duration::MAX;
    options.session.drain_timeout = Duration::MAX;
    options.session.liveness = LivenessOptions {
        idle_timeout: Some(Duration::MAX),
        keep_alive: Some(Duration::MAX),
        ..LivenessOptions::default()
    };
    let (session, mut peer) = connected_by(64 << 10, 4, options).await;
    let mut submit = submit(1);
    submit.timeout = Some(Duration::MAX);
    session.submit(submit).await.unwrap();
    let envelope = peer.submitted().await;
    let asking = tokio::spawn({
        let session = session.clone();
        async move { session.probe(8).await }
    });
    peer.expect(MessageType::TransportProbe).await;
    peer.answer(&envelope).await;
    let item = timeout(LONG, session.receive(key(1))).await.unwrap();
    assert!(matches!(item, Ok(FrameItem::Result(_))), "{item:?}");
    let closing = tokio::spawn({
        let session = session.clone();
        async move { session.close("done").await }
    });
    peer.expect(MessageType::Close).await;
    drop(peer);
    timeout(LONG, closing)
        .await
        .expect("it never ends")
        .unwrap();
    assert!(timeout(LONG, asking).await.unwrap().unwrap().is_err());
}

#[tokio::test]
async fn an_inbox_without_room_takes_one_at_a_time() {
    for inbox in [
        InboxLimits {
            items_max: 0,
            ..InboxLimits::default()
        },
        InboxLimits {
            bytes_max: 0,
            ..InboxLimits::default()
        },
    ] {
        let options = ConnectOptions {
            inbox,
            ..ConnectOptions::default()
        };
        let connecting = connected_by(64 << 10, 4, options);
        let (session, mut peer) = timeout(LONG, connecting).await.expect("no session begins");
        let calling = tokio::spawn(async move { session.call(submit(1)).await });
        let envelope = peer.submitted().await;
        peer.answer(&envelope).await;
        let answer = timeout(LONG, calling).await.expect("nothing is read");
        assert_eq!(answer.unwrap().unwrap().outcome, FrameOutcome::Complete);
    }
}

#[tokio::test]
async fn the_last_transport_is_known_after_the_end() {
    let (session, peer) = connected(4).await;
    assert_eq!(session.transport(), TransportId::Tcp);
    drop(peer);
    session.closed().await;
    assert_eq!(session.transport(), TransportId::Tcp);
}

/// What a call waits for is the call's, whoever else knows its key.
#[tokio::test]
async fn a_stream_takes_nothing_from_a_call() {
    let (session, mut peer) = connected(4).await;
    let calling = tokio::spawn({
        let session = session.clone();
        async move { session.call(stream_submit(1)).await }
    });
    let envelope = peer.submitted().await;
    drop(session.stream(key(1)));
    peer.part(&envelope, 10).await;
    until_idle().await;
    assert!(session.try_next().unwrap().is_none());
    assert!(session.receive(key(1)).await.is_err());
    assert!(session.stream(key(1)).next().await.is_none());
    peer.answer(&envelope).await;
    let answer = timeout(LONG, calling).await.unwrap().unwrap().unwrap();
    assert_eq!(answer.outcome, FrameOutcome::Complete);
}
