//! How much waits to be taken. spec: nnrp-session 12

use nnrp::server::{ServerOptions, Session};
use nnrp_wire::body::TypedPayload;
use nnrp_wire::{Envelope, FrameSubmit, Message};

use crate::support::{Peer, of, result, session, submit, submit_with};

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
        let (envelope, hint) = peer.next().await;
        assert_eq!(envelope.frame_id, frame_id);
        assert!(matches!(hint, Message::ResultHint(_)), "{hint:?}");
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

/// A client that is gone is noticed as soon as something cannot be sent to it, though its input still waits.
#[tokio::test(start_paused = true)]
async fn a_client_that_is_gone_is_noticed_while_its_input_waits() {
    let options = ServerOptions {
        input_bytes_max: 1,
        ..ServerOptions::default()
    };
    let (_server, session, mut peer) = session(options).await;
    for frame_id in 1..=300 {
        peer.submit(1, frame_id, submit()).await;
    }
    // It reads nothing, so that it cannot be told that the server is there.
    drop(peer);
    let first = session.next_submit().await.unwrap();
    first.answer.complete(result()).unwrap();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), session.ended());
    assert!(ended.await.is_ok(), "{:?}", session.counters());
}
