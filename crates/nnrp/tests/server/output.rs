//! How much waits to be sent. spec: nnrp-session 12

use std::time::Duration;

use nnrp::server::{Server, ServerOptions, Session};
use nnrp_wire::ResultPush;
use nnrp_wire::body::TypedPayload;
use nnrp_wire::build::ResultWorth;

use crate::support::{Peer, is_push, result, session, submit};

/// Far more than a pipe, or what writes to it, holds.
fn large() -> ResultPush {
    ResultPush::builder(ResultWorth::COMPLETE)
        .payload(TypedPayload::token_chunk("y".repeat(1 << 20)))
        .build()
        .unwrap()
}

fn limited() -> ServerOptions {
    ServerOptions {
        total_output_bytes_max: 2 << 20,
        ..ServerOptions::default()
    }
}

/// Its client submits these and reads no results, of which more wait than all sessions may have.
async fn fill(session: &Session, peer: &mut Peer, session_id: u32) {
    for frame_id in 1..=4 {
        peer.submit(session_id, frame_id, submit()).await;
    }
    for _ in 1..=4 {
        let frame = session.next_submit().await.unwrap();
        frame.answer.complete(large()).unwrap();
    }
}

/// Time passes only when nothing else happens.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}

async fn other(server: &Server, session_id: u32) -> (Session, Peer) {
    let mut peer = Peer::connect(server);
    peer.hello(session_id).await;
    (server.next_session().await.unwrap(), peer)
}

/// A client that does not read is not read from, and others are.
#[tokio::test(start_paused = true)]
async fn output_of_all_sessions_is_bounded() {
    let (server, one, mut first) = session(limited()).await;
    let (two, mut second) = other(&server, 2).await;
    fill(&one, &mut first, 1).await;
    for frame_id in 5..=20 {
        first.submit(1, frame_id, submit()).await;
    }
    settle().await;
    assert_eq!(one.counters().frames.submitted, 4);

    second.submit(2, 1, submit()).await;
    let frame = two.next_submit().await.unwrap();
    frame.answer.partial(result()).await.unwrap();
    frame.answer.complete(result()).unwrap();
    second.wait_for(is_push).await;
    second.wait_for(is_push).await;
    assert_eq!(one.counters().frames.submitted, 4);

    // It goes on when its client reads.
    let answering = tokio::spawn(async move {
        for _ in 5..=20 {
            let frame = one.next_submit().await.unwrap();
            frame.answer.complete(result()).unwrap();
        }
    });
    for _ in 1..=20 {
        first.wait_for(is_push).await;
    }
    answering.await.unwrap();
}

/// What waits of a session that has ended does not count any more.
#[tokio::test(start_paused = true)]
async fn output_of_a_session_that_has_ended_does_not_count() {
    let (server, one, mut first) = session(limited()).await;
    fill(&one, &mut first, 1).await;
    drop(first);
    one.ended().await;
    let (two, mut second) = other(&server, 2).await;
    // One result waits, and there is room for it.
    second.submit(2, 1, submit()).await;
    second.submit(2, 2, submit()).await;
    for _ in 1..=2 {
        let frame = two.next_submit().await.unwrap();
        frame.answer.complete(large()).unwrap();
    }
    second.submit(2, 3, submit()).await;
    let third = two.next_submit().await.unwrap();
    third.answer.complete(result()).unwrap();
    for _ in 1..=3 {
        second.wait_for(is_push).await;
    }
}

/// Results that are not last wait for room, whichever session has taken it; a client that reads gets them all.
#[tokio::test(start_paused = true)]
async fn results_that_are_not_last_wait_for_room_over_all_sessions() {
    let (server, one, mut first) = session(limited()).await;
    fill(&one, &mut first, 1).await;
    let (two, mut second) = other(&server, 2).await;
    second.submit(2, 1, submit()).await;
    let frame = two.next_submit().await.unwrap();
    let partials = tokio::spawn(async move {
        for _ in 0..10 {
            frame.answer.partial(large()).await.unwrap();
        }
        frame.answer.complete(result()).unwrap();
    });
    settle().await;
    assert_eq!(two.counters().tallies.stalls, 1);
    for _ in 0..=10 {
        second.wait_for(is_push).await;
    }
    partials.await.unwrap();
}

/// It holds what waits for it no longer than a client that is gone.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_ended_in_time() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    fill(&session, &mut peer, 1).await;
    let ended = tokio::time::timeout(Duration::from_secs(180), session.ended()).await;
    ended.expect("it is never ended");
    let frames = session.counters().frames;
    assert_eq!(
        (frames.submitted, frames.done_total()),
        (4, 4),
        "{frames:?}"
    );
}
