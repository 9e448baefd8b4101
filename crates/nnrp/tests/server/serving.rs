//! Who takes frames, and how many at once.

use std::collections::VecDeque;

use nnrp::server::{ServeOptions, ServerOptions, Submitted};
use nnrp_wire::Message;

use crate::support::{Peer, hello, pushed, result, session, submit};

/// Several tasks take frames: each is taken once, and none waits for what is there.
#[tokio::test]
async fn several_tasks_take_frames() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let session = session.clone();
        tasks.spawn(async move {
            let mut count = 0;
            while let Some(frame) = session.next_submit().await {
                frame.answer.complete(result()).unwrap();
                count += 1;
            }
            count
        });
    }
    for frame_id in 1..101 {
        peer.submit(1, frame_id, submit()).await;
    }
    for _ in 1..101 {
        pushed(&mut peer).await;
    }
    peer.finish().await;
    drop(session);
    let counts = tasks.join_all().await;
    assert_eq!(counts.iter().sum::<i32>(), 100);
}

/// A future that is dropped takes nothing with it.
#[tokio::test]
async fn a_dropped_wait_loses_no_frame() {
    let (_server, session, mut peer) = session(ServerOptions::default()).await;
    for frame_id in 1..20 {
        {
            let mut wait = std::pin::pin!(session.next_submit());
            assert!(futures_util::poll!(wait.as_mut()).is_pending());
            peer.submit(1, frame_id, submit()).await;
            peer.ping(1).await;
            // It has been woken, and is dropped all the same.
        }
        let frame = session.next_submit().await.unwrap();
        assert_eq!(frame.key.frame_id, frame_id);
        frame.answer.complete(result()).unwrap();
        pushed(&mut peer).await;
    }
}

#[tokio::test]
async fn a_handler_per_frame() {
    let (server, mut peer) = crate::support::server(ServerOptions::default());
    let serving = tokio::spawn(async move {
        let handler = |frame: Submitted| async move {
            match frame.key.frame_id {
                1 => panic!("a test of what panics"),
                2 => std::future::pending().await,
                3 => drop(frame),
                _ => frame.answer.complete(result()).unwrap(),
            }
        };
        let options = ServeOptions::default();
        server.serve_sessions(handler, options).await;
    });
    peer.hello(1).await;
    for frame_id in 1..5 {
        peer.submit(1, frame_id, submit()).await;
    }
    // The second one waits for ever, unless it is dropped.
    peer.ping(1).await;
    peer.cancel(1, 2).await;
    let mut ends = Vec::new();
    for _ in 0..4 {
        let (envelope, message) = peer.next().await;
        ends.push((envelope.frame_id, message.message_type().name()));
    }
    ends.sort_unstable();
    let expected = [
        (1, "ERROR"),
        (2, "RESULT_DROP"),
        (3, "RESULT_DROP"),
        (4, "RESULT_PUSH"),
    ];
    assert_eq!(ends, expected);
    serving.abort();
}

/// No more handlers run than may, over all sessions; idle sessions hold no places.
#[tokio::test]
async fn handlers_are_limited() {
    let (server, mut first) = crate::support::server(ServerOptions::default());
    let mut second = Peer::connect(&server);
    let (started, mut starts) = tokio::sync::mpsc::channel(16);
    let handler = move |frame: Submitted| {
        let started = started.clone();
        async move {
            let (go, wait) = tokio::sync::oneshot::channel();
            started.send(go).await.unwrap();
            wait.await.unwrap();
            frame.answer.complete(result()).unwrap();
        }
    };
    let options = ServeOptions {
        session_frames_max: 2,
        frames_max: 3,
        ..ServeOptions::default()
    };
    let serving = tokio::spawn(async move { server.serve_sessions(handler, options).await });
    for (peer, id) in [(&mut first, 1), (&mut second, 2)] {
        peer.send_hello(hello(id)).await;
        let ack = peer.next().await.1;
        assert!(matches!(ack, Message::ServerHelloAck(_)), "{ack:?}");
    }
    for frame_id in 1..5 {
        first.submit(1, frame_id, submit()).await;
        second.submit(2, frame_id, submit()).await;
    }
    first.ping(1).await;
    second.ping(2).await;
    let mut running = VecDeque::new();
    for _ in 0..3 {
        running.push_back(starts.recv().await.unwrap());
    }
    first.ping(1).await;
    second.ping(2).await;
    assert!(starts.try_recv().is_err());
    let mut done = 0;
    while let Some(go) = running.pop_front() {
        go.send(()).unwrap();
        done += 1;
        if done + running.len() < 8 {
            running.push_back(starts.recv().await.unwrap());
        }
    }
    assert_eq!(done, 8);
    serving.abort();
}
