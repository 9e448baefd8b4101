//! Servers and connections as they should not be, and applications that do not keep up.

use std::time::Duration;

use nnrp::Link;
use nnrp::client::{
    ConnectError, ConnectOptions, FrameItem, InboxLimits, Session, SessionEnd, Submit,
};
use nnrp_wire::session::{Failure, FrameOutcome, PathEnd};
use nnrp_wire::{Envelope, Header, Message, MessageType};
use tokio::io::AsyncWriteExt as _;

use super::peer::{
    LONG, Peer, SESSION, connected, connected_by, encoded, key, result_of, stream_submit, submit,
    until_idle,
};

fn failure(end: &SessionEnd) -> &Failure {
    match end {
        SessionEnd::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

/// What is left to receive, as results and ends.
async fn rest(session: &Session) -> (usize, Vec<FrameOutcome>, SessionEnd) {
    let (mut results, mut ends) = (0, Vec::new());
    loop {
        let next = tokio::time::timeout(LONG, session.next()).await;
        match next.expect("nothing comes") {
            Ok((_, FrameItem::Result(_))) => results += 1,
            Ok((_, FrameItem::Hint(_))) => {}
            Ok((_, FrameItem::End(end))) => ends.push(end.outcome),
            Err(end) => return (results, ends, end),
        }
    }
}

#[tokio::test]
async fn a_slow_consumer_stops_the_reader_and_nothing_is_lost() {
    const PARTS: usize = 400;
    let options = ConnectOptions {
        inbox: InboxLimits {
            items_max: 10,
            bytes_max: 1 << 20,
        },
        ..ConnectOptions::default()
    };
    let (session, mut peer) = connected_by(4096, 16, options).await;
    session.submit(stream_submit(1)).await.unwrap();
    let envelope = peer.submitted().await;
    let serving = tokio::spawn(async move {
        for _ in 0..PARTS {
            peer.part(&envelope, 1000).await;
        }
        peer.answer(&envelope).await;
        peer
    });
    until_idle().await;
    assert!(!serving.is_finished(), "the server cannot send");
    let waiting = session.counters().waiting_items;
    // What one read brings is taken in.
    assert!((10..30).contains(&waiting), "{waiting} items wait");
    let mut count = 0;
    while !matches!(session.receive(key(1)).await.unwrap(), FrameItem::End(_)) {
        count += 1;
        assert!(session.counters().waiting_items < 30);
    }
    assert_eq!(count, PARTS + 1);
    serving.await.unwrap();
}

#[tokio::test]
async fn large_results_stop_the_reader_by_their_bytes() {
    let options = ConnectOptions {
        inbox: InboxLimits {
            items_max: 1000,
            bytes_max: 100_000,
        },
        ..ConnectOptions::default()
    };
    let (session, mut peer) = connected_by(4096, 16, options).await;
    session.submit(stream_submit(1)).await.unwrap();
    let envelope = peer.submitted().await;
    let serving = tokio::spawn(async move {
        for _ in 0..20 {
            peer.part(&envelope, 60_000).await;
        }
        peer
    });
    for _ in 0..20 {
        until_idle().await;
        let bytes = session.counters().waiting_bytes;
        assert!((60_000..200_000).contains(&bytes), "{bytes} bytes wait");
        session.receive(key(1)).await.unwrap();
    }
    serving.await.unwrap();
}

/// In real time: a paused clock stands still while somebody writes.
#[tokio::test]
async fn closing_does_not_wait_for_a_consumer_that_is_gone() {
    let options = ConnectOptions {
        inbox: InboxLimits {
            items_max: 1,
            bytes_max: 1000,
        },
        ..ConnectOptions::default()
    };
    let (session, mut peer) = connected_by(256, 16, options).await;
    session.submit(stream_submit(1)).await.unwrap();
    let envelope = peer.submitted().await;
    let part = Envelope {
        flags: nnrp_wire::HeaderFlags::empty(),
        ..envelope
    };
    let bytes = encoded(&part, &Message::ResultPush(result_of(500)));
    let serving = tokio::spawn(async move {
        // It never reads, and writes as long as it can.
        while peer.io.write_all(&bytes).await.is_ok() {}
    });
    until_idle().await;
    drop(session);
    tokio::time::timeout(LONG, serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_is_no_packet_ends_the_session_and_the_server_is_told() {
    let (session, mut peer) = connected(16).await;
    session.submit(submit(1)).await.unwrap();
    session.submit(submit(2)).await.unwrap();
    let (first, _) = (peer.submitted().await, peer.submitted().await);
    peer.answer(&first).await;
    peer.io.write_all(&[0x42; 64]).await.unwrap();
    let (results, ends, end) = rest(&session).await;
    assert_eq!(
        (results, ends),
        (
            1,
            vec![FrameOutcome::Complete, FrameOutcome::ConnectionLost]
        )
    );
    assert!(
        matches!(failure(&end), Failure::Path(PathEnd::Framing(_))),
        "{end:?}"
    );
    peer.expect(MessageType::Error).await;
    peer.ended().await;
}

#[tokio::test]
async fn more_than_is_taken_ends_the_session_before_it_is_kept() {
    let options = ConnectOptions {
        result_bytes_max: 1000,
        ..ConnectOptions::default()
    };
    let (session, mut peer) = connected_by(1 << 16, 16, options).await;
    let mut header = Header::new(MessageType::ResultPush);
    header.session_id = SESSION;
    header.meta_len = 64;
    header.body_len = u32::MAX;
    let mut bytes = header.encode().to_vec();
    bytes.resize(200, 0);
    peer.io.write_all(&bytes).await.unwrap();
    let end = session.closed().await;
    assert!(
        matches!(failure(&end), Failure::Path(PathEnd::Framing(_))),
        "{end:?}"
    );
}

#[tokio::test]
async fn an_end_in_the_middle_of_a_packet_is_a_loss() {
    let (session, mut peer) = connected(16).await;
    session.submit(submit(1)).await.unwrap();
    let envelope = peer.submitted().await;
    let bytes = encoded(&envelope, &Message::ResultPush(result_of(100)));
    peer.io.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
    drop(peer);
    let (results, ends, end) = rest(&session).await;
    assert_eq!((results, ends), (0, vec![FrameOutcome::ConnectionLost]));
    assert!(
        matches!(failure(&end), Failure::Path(PathEnd::Lost)),
        "{end:?}"
    );
}

#[tokio::test]
async fn a_half_close_with_frames_in_flight_is_a_loss_and_without_is_an_end() {
    let (session, mut peer) = connected(16).await;
    session.submit(submit(1)).await.unwrap();
    peer.submitted().await;
    peer.io.shutdown().await.unwrap();
    let (_, ends, end) = rest(&session).await;
    assert_eq!(ends, [FrameOutcome::ConnectionLost]);
    assert!(
        matches!(failure(&end), Failure::Path(PathEnd::Finished)),
        "{end:?}"
    );
    peer.ended().await;

    let (session, mut peer) = connected(16).await;
    peer.io.shutdown().await.unwrap();
    let end = session.closed().await;
    assert!(
        matches!(end, SessionEnd::ClosedByServer { reason: None }),
        "{end:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_came_before_the_connection_broke_is_received() {
    let options = ConnectOptions {
        inbox: InboxLimits {
            items_max: 4,
            ..InboxLimits::default()
        },
        ..ConnectOptions::default()
    };
    let (session, mut peer) = connected_by(1 << 20, 64, options).await;
    for id in 1..=20 {
        session.submit(submit(id)).await.unwrap();
    }
    for _ in 1..=20 {
        let envelope = peer.submitted().await;
        peer.answer_with(&envelope, result_of(2000)).await;
    }
    // Nothing can be written any more, and some of that is still to be read.
    drop(peer);
    for id in 21..=30 {
        session.submit(submit(id)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(
        session.end().is_none(),
        "{:?} {:?}",
        session.end(),
        session.counters()
    );
    rest(&session).await;
    let frames = session.counters().frames;
    assert_eq!(
        (frames.submitted, frames.done_total(), frames.in_flight),
        (30, 30, 0)
    );
    assert_eq!(frames.done_as(FrameOutcome::Complete), 20);
}

#[tokio::test]
async fn bytes_may_come_one_by_one() {
    let (near, far) = tokio::io::duplex(1);
    let mut peer = Peer::new(far);
    let connecting = Session::over(Link::from_stream(near), ConnectOptions::default());
    let (session, _) = tokio::join!(connecting, peer.accept(4));
    let session = session.unwrap();
    let serving = async {
        for _ in 0..3 {
            let envelope = peer.submitted().await;
            peer.answer_with(&envelope, result_of(100)).await;
        }
    };
    let calls = async {
        for id in 1..=3 {
            session.call(submit(id)).await.unwrap();
        }
    };
    tokio::join!(serving, calls);
}

#[tokio::test]
async fn both_sides_may_be_full() {
    // Each has more to send than the pipe holds; neither waits for the other to read first.
    const FRAMES: u32 = 50;
    let (session, mut peer) = connected_by(1000, 0, ConnectOptions::default()).await;
    let serving = async {
        let mut open = Vec::new();
        for _ in 0..FRAMES {
            open.push(peer.submitted().await);
        }
        for envelope in open {
            peer.answer_with(&envelope, result_of(3000)).await;
        }
    };
    let calling = async {
        let calls = (1..=FRAMES).map(|id| session.call(super::peer::submit_of(id, 3000)));
        for answer in futures_util::future::join_all(calls).await {
            answer.unwrap();
        }
    };
    tokio::join!(serving, calling);
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_does_not_hold_up_connecting() {
    let (near, _far) = tokio::io::duplex(4096);
    let options = ConnectOptions::default().with_connect_timeout(Duration::from_secs(3));
    let error = Session::over(Link::from_stream(near), options)
        .await
        .unwrap_err();
    let ConnectError::Timeout { timeout } = error else {
        panic!("{error:?}");
    };
    assert_eq!(timeout, Duration::from_secs(3));
}

#[tokio::test]
async fn connecting_that_is_dropped_closes_the_connection() {
    let (near, far) = tokio::io::duplex(4096);
    let mut peer = Peer::new(far);
    {
        let connecting = Session::over(Link::from_stream(near), ConnectOptions::default());
        let mut connecting = std::pin::pin!(connecting);
        tokio::select! {
            _ = &mut connecting => panic!("nobody has answered"),
            _ = peer.hello() => {}
        }
    }
    peer.ended().await;
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_session_that_is_kept_alive() {
    let mut options = ConnectOptions::default().with_keep_alive(Duration::from_secs(1));
    options.session.liveness.idle_timeout = Some(Duration::from_secs(30));
    let (session, mut peer) = connected_by(1 << 16, 16, options).await;
    session.submit(submit(1)).await.unwrap();
    peer.submitted().await;
    for _ in 0..3 {
        let (ping, _) = peer.expect(MessageType::Ping).await;
        peer.send(ping, Message::Pong).await;
    }
    let (_, ends, end) = rest(&session).await;
    assert_eq!(ends, [FrameOutcome::ConnectionLost]);
    assert!(
        matches!(failure(&end), Failure::MissedPongs { .. }),
        "{end:?}"
    );
    assert_eq!(session.counters().round_trips.count, 3);
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_is_not_taken_for_a_silent_server() {
    let mut options = ConnectOptions::default().with_keep_alive(Duration::from_secs(1));
    options.inbox.items_max = 1;
    let (session, mut peer) = connected_by(1 << 16, 16, options).await;
    // It is known to answer.
    let (ping, _) = peer.expect(MessageType::Ping).await;
    peer.send(ping, Message::Pong).await;
    session.submit(stream_submit(1)).await.unwrap();
    let envelope = peer.expect(MessageType::FrameSubmit).await.0;
    for _ in 0..20 {
        peer.part(&envelope, 1000).await;
    }
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert!(session.end().is_none(), "{:?}", session.end());
    for _ in 0..20 {
        session.receive(key(1)).await.unwrap();
    }
    // Then it has to answer again.
    let (_, _, end) = rest(&session).await;
    assert!(
        matches!(failure(&end), Failure::MissedPongs { .. }),
        "{end:?}"
    );
}

#[tokio::test]
async fn a_fatal_error_is_the_cause() {
    let (session, mut peer) = connected(16).await;
    session.submit(Submit::clone(&submit(1))).await.unwrap();
    peer.submitted().await;
    let report = nnrp_wire::ErrorReport {
        metadata: nnrp_wire::metadata::ErrorMetadata {
            error_code: nnrp_wire::ErrorCode::ServerBusy.number(),
            error_scope: nnrp_wire::ErrorScope::Session,
            is_fatal: 1,
            retry_after_ms: 0,
            related_session_id: SESSION,
            related_frame_id: 0,
            related_view_id: 0,
            diagnostic_bytes: 4,
        },
        diagnostic: "full".into(),
    };
    peer.send(Envelope::session(SESSION), Message::Error(report))
        .await;
    let end = session.closed().await;
    assert!(end.to_string().contains("full"), "{end}");
}
