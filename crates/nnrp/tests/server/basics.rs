//! Hello, frames, results, the end.

use nnrp::server::{ServerOptions, SessionEnd};
use nnrp_wire::session::FrameOutcome;
use nnrp_wire::{Envelope, HeaderFlags, Message};

use crate::support::{result, session, submit};

#[tokio::test]
async fn a_frame_is_answered() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    let envelope = Envelope {
        view_id: 3,
        route_id: 4,
        trace_id: 5,
        ..Envelope::frame(session.id(), 7)
    };
    peer.send(envelope, Message::FrameSubmit(submit())).await;
    let frame = session.next_submit().await.unwrap();
    assert_eq!(frame.envelope, envelope);
    assert_eq!(frame.answer.trace_id(), 5);
    frame.answer.complete(result()).unwrap();
    let (answer, message) = peer.next().await;
    assert!(matches!(message, Message::ResultPush(_)), "{message:?}");
    let flags = HeaderFlags::EOS;
    assert_eq!(answer, Envelope { flags, ..envelope });
}

#[tokio::test]
async fn a_client_closes() {
    let (server, session, mut peer) = session(ServerOptions::default()).await;
    let close = Message::Close("done".into());
    peer.send(Envelope::session(session.id()), close).await;
    let (_, message) = peer.next().await;
    assert!(matches!(message, Message::Close(_)), "{message:?}");
    peer.finish().await;
    assert!(session.next_submit().await.is_none());
    assert_eq!(session.ended().await, SessionEnd::Closed("done".into()));
    assert!(peer.rest().await.is_empty());
    while server.session_count() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_server_closes() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    peer.submit(session.id(), 1, submit()).await;
    let frame = session.next_submit().await.unwrap();
    assert!(session.close("bye"));
    peer.assert_silent(session.id()).await;
    frame.answer.complete(result()).unwrap();
    let (_, message) = peer.next().await;
    assert!(matches!(message, Message::ResultPush(_)), "{message:?}");
    let (_, message) = peer.next().await;
    assert_eq!(message, Message::Close("bye".into()));
    peer.finish().await;
    assert!(matches!(session.ended().await, SessionEnd::Closed(_)));
    let frames = session.counters().frames;
    assert_eq!(frames.done_as(FrameOutcome::Complete), 1);
}

#[tokio::test]
async fn what_goes_over_the_connection_is_counted() {
    let (server, session, mut peer) = session(ServerOptions::default()).await;
    // The answer to the hello.
    let before = session.counters().traffic;
    assert_eq!((before.sent_packets, before.received_bytes), (1, 0));
    peer.submit(1, 7, submit()).await;
    let frame = session.next_submit().await.unwrap();
    frame.answer.complete(result()).unwrap();
    peer.next().await;
    let traffic = session.counters().traffic;
    let bytes = |message: Message| {
        let mut bytes = Vec::new();
        message.encode(&Envelope::frame(1, 7), &mut bytes).unwrap();
        bytes.len() as u64
    };
    let (input, output) = (
        Message::FrameSubmit(submit()),
        Message::ResultPush(result()),
    );
    assert_eq!(traffic.received_bytes, bytes(input));
    assert_eq!(traffic.sent_bytes - before.sent_bytes, bytes(output));
    assert_eq!((traffic.sent_packets, traffic.unsendable), (2, 0));
    assert_eq!(session.counters().packets.packets, 1);

    peer.finish().await;
    session.ended().await;
    while server.session_count() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        server.totals().traffic.received_bytes,
        traffic.received_bytes
    );
}
