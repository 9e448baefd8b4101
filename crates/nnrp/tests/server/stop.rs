//! A server that stops, and sessions that nobody serves any more. spec: nnrp-session 4.7, Q-01

use std::time::Duration;

use nnrp::server::{DropReason, Refused, Server, ServerOptions, SessionEnd, Stopped};
use nnrp_wire::session::FrameOutcome;
use nnrp_wire::{ErrorCode, Message};

use crate::support::{Peer, hello, result, session, submit};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(start_paused = true)]
async fn a_stop_lets_frames_end() {
    let (server, session, mut peer) = session(ServerOptions::default()).await;
    peer.submit(1, 7, submit()).await;
    let frame = session.next_submit().await.unwrap();
    let stopping = {
        let server = server.clone();
        tokio::spawn(async move { server.stop("update", PATIENCE).await })
    };
    while !session.is_ending() {
        tokio::task::yield_now().await;
    }
    frame.answer.complete(result()).unwrap();
    let (_, message) = peer.next().await;
    assert!(matches!(message, Message::ResultPush(_)), "{message:?}");
    assert_eq!(peer.next().await.1, Message::Close("update".into()));
    peer.finish().await;
    assert_eq!(stopping.await.unwrap(), Stopped { ended: 1, cut: 0 });
    assert!(server.next_session().await.is_none());
    assert!(matches!(session.ended().await, SessionEnd::Closed(_)));

    let mut late = Peer::connect(&server);
    let told = late.error().await;
    assert_eq!((told.code, told.is_fatal), (ErrorCode::ServerBusy, true));
    assert_eq!(server.totals().refused_as(Refused::Busy), 1);
}

/// A frame that nobody answers is dropped when the drain time is over, and the client has the grace to go.
#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_ever() {
    let (server, session, mut peer) = session(ServerOptions::default()).await;
    peer.submit(1, 7, submit()).await;
    let frame = session.next_submit().await.unwrap();
    let stopped = server.stop("", PATIENCE).await;
    assert_eq!(stopped, Stopped { ended: 1, cut: 0 });
    frame.answer.cancelled().await;
    assert_eq!(peer.next().await.1, Message::FlowUpdate(credit(&session)));
    assert_eq!(peer.next().await.1, Message::ResultDrop);
    let tallies = session.counters().tallies;
    assert_eq!(tallies.dropped_as(DropReason::Closing), 1);
}

/// The keep-alive of a session that was granted nothing.
fn credit(session: &nnrp::server::Session) -> nnrp_wire::metadata::FlowUpdateMetadata {
    let credit = session.ack().max_concurrent_frames;
    nnrp_wire::metadata::FlowUpdateMetadata::session(nnrp_wire::FlowReason::Grant)
        .with_credit(credit, 0)
}

#[tokio::test(start_paused = true)]
async fn an_impatient_stop_cuts() {
    let (server, session, mut peer) = session(ServerOptions::default()).await;
    peer.submit(1, 7, submit()).await;
    let frame = session.next_submit().await.unwrap();
    let stopped = server.stop("", Duration::from_millis(10)).await;
    assert_eq!(stopped, Stopped { ended: 0, cut: 1 });
    frame.answer.cancelled().await;
    assert!(peer.error().await.is_fatal);
    assert!(matches!(session.ended().await, SessionEnd::Failed(_)));
    let lost = FrameOutcome::ConnectionLost;
    assert_eq!(session.counters().frames.done_as(lost), 1);
}

/// A session that nobody has taken yet is closed, too; and a connection without a hello is told.
#[tokio::test(start_paused = true)]
async fn a_stop_ends_what_has_only_begun() {
    let server = Server::new(ServerOptions::default());
    let mut peer = Peer::connect(&server);
    peer.hello(1).await;
    let mut silent = Peer::connect(&server);
    silent
        .send(nnrp_wire::Envelope::default(), Message::Ping)
        .await;
    assert_eq!(silent.next().await.1, Message::Pong);
    let stopped = server.stop("bye", PATIENCE).await;
    assert_eq!(stopped, Stopped { ended: 1, cut: 0 });
    // Nobody has taken it: whoever drops it first says why, or does not.
    let (_, message) = peer.next().await;
    assert!(matches!(message, Message::Close(_)), "{message:?}");
    assert_eq!(silent.error().await.code, ErrorCode::ServerBusy);
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_the_middle_of_a_hello() {
    let (server, mut peer) = crate::support::server(ServerOptions {
        on_hello: nnrp::server::HelloHook::new(|_| std::future::pending()),
        ..ServerOptions::default()
    });
    peer.send_hello(hello(1)).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let stopped = server.stop("", PATIENCE).await;
    assert_eq!(stopped, Stopped::default());
    assert_eq!(peer.error().await.code, ErrorCode::ServerBusy);
}

/// What nobody will take is dropped, and what was taken can still be answered.
#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_serves_is_closed() {
    let (server, session, mut peer) = session(ServerOptions::default()).await;
    peer.submit(1, 1, submit()).await;
    peer.submit(1, 2, submit()).await;
    let frame = session.next_submit().await.unwrap();
    peer.ping(1).await;
    drop(session);
    let (envelope, message) = peer.next().await;
    assert_eq!((envelope.frame_id, message), (2, Message::ResultDrop));
    frame.answer.complete(result()).unwrap();
    let (_, message) = peer.next().await;
    assert!(matches!(message, Message::ResultPush(_)), "{message:?}");
    assert_eq!(peer.next().await.1, Message::Close("".into()));
    peer.finish().await;
    while server.session_count() > 0 {
        tokio::task::yield_now().await;
    }
    let totals = server.totals();
    assert_eq!((totals.sessions, totals.ended), (1, 1));
    assert_eq!(totals.frames.submitted, 2);
    assert_eq!(totals.frames.done_total(), 2);
    assert_eq!(totals.tallies.dropped_as(DropReason::Closing), 1);
}

/// Sessions that were taken outlive their server.
#[tokio::test]
async fn sessions_go_on_without_their_server() {
    let (server, session, mut peer) = session(ServerOptions::default()).await;
    let mut other = Peer::connect(&server);
    other.hello(2).await;
    drop(server);
    // That one was never taken.
    let (_, message) = other.next().await;
    assert!(matches!(message, Message::Close(_)), "{message:?}");
    peer.submit(1, 7, submit()).await;
    let frame = session.next_submit().await.unwrap();
    frame.answer.complete(result()).unwrap();
    let (_, message) = peer.next().await;
    assert!(matches!(message, Message::ResultPush(_)), "{message:?}");
}

/// Each session is counted once, whichever of its tasks runs first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_counts_each_session_once() {
    for round in 0..200 {
        let count = 1 + round % 4;
        let server = Server::new(ServerOptions::default());
        let mut sessions = Vec::new();
        let mut clients = Vec::new();
        for _ in 0..count {
            let mut peer = Peer::connect(&server);
            peer.hello(0).await;
            sessions.push(server.next_session().await.unwrap());
            clients.push(tokio::spawn(async move {
                peer.wait_for(|message| matches!(message, Message::Close(_)))
                    .await;
                peer.finish().await;
            }));
        }
        let stopped = server.stop("bye", PATIENCE).await;
        assert_eq!(stopped.ended + stopped.cut, count, "{stopped:?}");
        for client in clients {
            client.await.unwrap();
        }
    }
}
