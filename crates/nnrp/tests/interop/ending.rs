//! Ends, and connections on which nothing happens. spec: nnrp-session 4.2, 4.7, Q-01, Q-03

use std::time::Duration;

use nnrp::client::{SessionEnd, Submit};
use nnrp_wire::session::{FrameKey, FrameOutcome};
use nnrp_wire::{Envelope, Message};
use nodewire_testkit::{NnrpPeer, NnrpTransport};
use serde_json::json;

use crate::content::Content;
use crate::ours::patient;
use crate::raw::{LIMIT, soon};
use crate::support::{
    TheirClient, TheirServer, next_result, next_submit, options, outcome, packet,
};

const FRAMES: u32 = 50;

/// Their client loses what it has not looked at when the connection ends: our server waits for it.
#[tokio::test]
async fn their_client_loses_no_result_when_our_server_closes() {
    let mut waiting = options();
    waiting.session.close_grace = LIMIT;
    waiting.session.capabilities.max_concurrent_frames = 0;
    let mut pair = TheirClient::start_with(waiting).await;
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.connect(transport, json!({})).await;
        let frames = json!({"frame_id": 1, "count": FRAMES});
        pair.peer.submit(frames).await.unwrap();
        for _ in 0..FRAMES {
            let frame = next_submit(&session).await;
            frame.answer.complete(Content::Tensor.result()).unwrap();
        }
        assert!(session.close("that was all"));
        let close = json!({"op": "packet_of", "message_type": "CLOSE"});
        let close = pair.peer.call(close).await.unwrap();
        assert_eq!(close["body"], nodewire_testkit::to_hex(b"that was all"));
        // Only now does it look at results.
        let many = json!({"op": "receive_many", "count": FRAMES});
        let results = pair.peer.call(many).await.unwrap();
        assert_eq!(results.as_array().unwrap().len(), FRAMES as usize);
        // And with its end, the grace is over.
        pair.closed(&session).await;
        let frames = session.counters().frames;
        assert_eq!(frames.done_as(FrameOutcome::Complete), u64::from(FRAMES));
    }
}

#[tokio::test]
async fn our_client_loses_no_result_when_their_server_closes() {
    let mut pair = TheirServer::start().await;
    for transport in NnrpTransport::ALL {
        let (session, _) = pair.accept(transport, patient()).await;
        let keys = [1, 2, 3, 4, 5, 6].map(FrameKey::new);
        for key in keys {
            let submit = Submit::new(key, Content::Tensor.submit());
            session.submit(submit).await.unwrap();
        }
        let many = json!({"op": "receive_many", "count": keys.len()});
        pair.peer.call(many).await.unwrap();
        let results = json!({"frame_id": 1, "count": 5});
        pair.peer.result(results).await.unwrap();
        pair.peer.close().await.unwrap();
        let end = soon("the end", session.closed()).await;
        match end {
            SessionEnd::ClosedByServer { reason: None } | SessionEnd::Failed(_) => {}
            other => panic!("{other:?}"),
        }
        for key in &keys[..5] {
            next_result(&session, *key).await;
            assert_eq!(outcome(&session, *key).await, FrameOutcome::Complete);
        }
        let last = outcome(&session, keys[5]).await;
        assert_eq!(last, FrameOutcome::ConnectionLost);
    }
}

/// Theirs end a connection after so long.
const IDLE_TIMEOUT_S: f64 = 4.0;

const KEEP_ALIVE: Duration = Duration::from_millis(200);

/// So many of them take longer than the timeout.
const KEEP_ALIVES: u32 = 25;

/// Each keep-alive comes by both transports, which idle at the same time.
async fn keep_alives(peer: &mut NnrpPeer, kind: &str) {
    for _ in 0..KEEP_ALIVES {
        for transport in NnrpTransport::ALL {
            let packet = json!({"op": "packet", "on": transport.as_str()});
            assert_eq!(peer.call(packet).await.unwrap()["type"], kind);
        }
    }
}

async fn their_clients_stay() {
    let mut lively = options();
    lively.session.liveness.keep_alive = Some(KEEP_ALIVE);
    let mut pair = TheirClient::start_with(lively).await;
    let idle = json!({"idle_timeout": IDLE_TIMEOUT_S});
    let mut sessions = Vec::new();
    for transport in NnrpTransport::ALL {
        let connect = json!({"on": transport.as_str(), "tcp": idle, "quic": idle});
        sessions.push(pair.connect(transport, connect).await.0);
    }
    // It repeats the credit, which their clients bear.
    keep_alives(&mut pair.peer, "FLOW_UPDATE").await;
    for (transport, session) in NnrpTransport::ALL.into_iter().zip(sessions) {
        let on = transport.as_str();
        let submit = json!({"op": "submit", "on": on, "frame_id": 1});
        pair.peer.call(submit).await.unwrap();
        let frame = next_submit(&session).await;
        frame.answer.complete(Content::Tensor.result()).unwrap();
        let receive = json!({"op": "receive", "on": on});
        pair.peer.call(receive).await.unwrap();
    }
}

async fn their_servers_stay() {
    let mut pair = TheirServer::start_with_idle_timeout(IDLE_TIMEOUT_S).await;
    let mut sessions = Vec::new();
    for transport in NnrpTransport::ALL {
        let lively = patient().with_keep_alive(KEEP_ALIVE);
        let accept = json!({"on": transport.as_str()});
        let (session, _) = pair.accept_with(transport, lively, accept).await;
        sessions.push(session.unwrap());
    }
    // It is never answered, and that is not held against it.
    keep_alives(&mut pair.peer, "PING").await;
    for (transport, session) in NnrpTransport::ALL.into_iter().zip(sessions) {
        let on = transport.as_str();
        let key = FrameKey::new(1);
        let submit = Submit::new(key, Content::Tensor.submit());
        session.submit(submit).await.unwrap();
        for command in [
            json!({"op": "receive", "on": on}),
            json!({"op": "result", "on": on, "frame_id": 1}),
        ] {
            pair.peer.call(command).await.unwrap();
        }
        next_result(&session, key).await;
    }
}

#[tokio::test]
async fn sessions_stay_while_nothing_happens() {
    tokio::join!(their_clients_stay(), their_servers_stay());
}

#[tokio::test]
async fn closing_is_said_and_answered() {
    let mut waiting = options();
    waiting.session.close_grace = LIMIT;
    let client = TheirClient::start_with(waiting);
    let (mut client, mut server) = tokio::join!(client, TheirServer::start());
    for transport in NnrpTransport::ALL {
        let (session, _) = client.connect(transport, json!({})).await;
        let close = packet(
            Envelope::session(session.id()),
            Message::Close("bye".into()),
        );
        client
            .peer
            .send_raw("main", "control", &close)
            .await
            .unwrap();
        let answer = json!({"op": "packet_of", "message_type": "CLOSE"});
        client.peer.call(answer).await.unwrap();
        client.peer.close().await.unwrap();
        let end = soon("the end", session.ended()).await;
        assert_eq!(end, nnrp::server::SessionEnd::Closed("bye".into()));

        let mut waiting = patient();
        waiting.session.close_grace = LIMIT;
        let (session, _) = server.accept(transport, waiting).await;
        let closing = tokio::spawn({
            let session = session.clone();
            async move { session.close("bye").await }
        });
        let close = json!({"op": "packet_of", "message_type": "CLOSE"});
        let close = server.peer.call(close).await.unwrap();
        assert_eq!(close["body"], nodewire_testkit::to_hex(b"bye"));
        let answer = packet(
            Envelope::session(session.id()),
            Message::Close("bye".into()),
        );
        let sent = server.peer.send_raw("main", "control", &answer).await;
        sent.unwrap();
        let end = soon("the end", closing).await.unwrap();
        assert!(matches!(end, SessionEnd::Closed), "{end:?}");
        server.peer.wait_for_end().await.unwrap();
        server.peer.close().await.unwrap();
    }
}
