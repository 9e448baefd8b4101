//! Probes, and sessions that move. spec: nnrp-session 2.6, 4.6

use nnrp::client::{MigrateError, Session, Submit};
use nnrp::server::ServerOptions;
use nnrp::{DialPolicy, ProbeOptions, probe};
use nnrp_wire::session::{FrameKey, FrameOutcome, MigrationFailure};
use nodewire_testkit::NnrpTransport;
use serde_json::{Value, json};

use crate::content::Content;
use crate::ours::{dialer, endpoint, patient, transport_id};
use crate::raw::{LIMIT, soon};
use crate::support::{TheirClient, TheirServer, next_result, next_submit, options, outcome};

const SAMPLES: u32 = 2;

#[tokio::test]
async fn our_probes_are_answered() {
    let mut pair = TheirServer::start().await;
    let mut ports = Vec::new();
    for transport in NnrpTransport::ALL {
        let once = json!({
            "op": "once", "kind": "probe", "on": transport.as_str(), "transport": transport.as_str(),
            "connection_count": SAMPLES,
        });
        let port = pair.peer.call(once).await.unwrap().as_u64().unwrap();
        ports.push(u16::try_from(port).unwrap());
    }
    let mut options = ProbeOptions::default();
    options.samples = SAMPLES;
    options.warm_up = false;
    options.sample_timeout = LIMIT;
    options.grace = LIMIT;
    let dialer = dialer(&pair.certificate);
    let probed = endpoint(ports[0], ports[1]);
    let report = soon("probing", probe(&dialer, &probed, &options)).await;
    let report = report.unwrap();
    for transport in &report.transports {
        assert_eq!(transport.summary.successes, 2, "{report:?}");
        assert_eq!(transport.summary.failures, 0, "{report:?}");
    }
    for transport in NnrpTransport::ALL {
        let finished = json!({"op": "finished", "on": transport.as_str()});
        pair.peer.call(finished).await.unwrap();
    }
    // Then a session on the winner.
    let (tcp, quic) = (
        pair.port(NnrpTransport::Tcp),
        pair.port(NnrpTransport::Quic),
    );
    let winner = NnrpTransport::ALL
        .into_iter()
        .find(|transport| transport_id(*transport) == report.winner)
        .unwrap();
    let mut options = patient();
    options.policy = match winner {
        NnrpTransport::Tcp => DialPolicy::ForceTcp,
        NnrpTransport::Quic => DialPolicy::ForceQuic,
    };
    let endpoint = endpoint(tcp, quic);
    let session = Session::connect(&dialer, &endpoint, options);
    let accepted = pair.peer.accept(winner, json!({}));
    let (session, accepted) = tokio::join!(session, accepted);
    accepted.unwrap();
    pair.closed(&session.unwrap()).await;
}

#[tokio::test]
async fn their_probes_choose_a_transport_of_ours() {
    let mut pair = TheirClient::start().await;
    let port = pair.ours.port();
    let connect = json!({
        "op": "connect", "tcp_port": port, "quic_port": port,
        "probe": {"probe_sample_count": SAMPLES, "include_warmup_probe": true},
    });
    let (told, session) = tokio::join!(pair.peer.call(connect), pair.ours.session());
    let told = told.unwrap();
    for transport in ["tcp", "quic"] {
        assert_eq!(told["probe"][transport]["success_count"], SAMPLES, "{told}");
        assert_eq!(told["probe"][transport]["failure_count"], 0, "{told}");
    }
    assert_eq!(told["transport"], told["probe"]["selected"]);
    let transport = NnrpTransport::ALL
        .into_iter()
        .find(|transport| told["transport"] == transport.as_str())
        .unwrap();
    assert_eq!(session.transport(), transport_id(transport));
    pair.peer.submit(json!({"frame_id": 1})).await.unwrap();
    let frame = next_submit(&session).await;
    frame.answer.complete(Content::Tensor.result()).unwrap();
    pair.peer.receive().await.unwrap();
    pair.closed(&session).await;
}

fn on(name: &str, mut command: Value) -> Value {
    command["on"] = json!(name);
    command
}

#[tokio::test]
async fn their_client_moves_between_our_transports() {
    let mut unproven = ServerOptions {
        // It has no proof, as it does not look at the token.
        allows_unproven_migration: true,
        ..options()
    };
    unproven.session.migration_grace = LIMIT;
    let mut pair = TheirClient::start_with(unproven).await;
    let port = pair.ours.port();
    for transport in NnrpTransport::ALL {
        let other = transport.other();
        let (session, _) = pair.connect(transport, json!({})).await;
        // One frame is answered before, one is in flight.
        let frames = json!({"frame_id": 1, "count": 2});
        pair.peer.submit(frames).await.unwrap();
        let mut frames = [next_submit(&session).await, next_submit(&session).await];
        frames.sort_by_key(|frame| frame.key.frame_id);
        let [first, second] = frames;
        first.answer.complete(Content::Tensor.result()).unwrap();
        assert_eq!(pair.peer.receive().await.unwrap()["frame_id"], 1);
        let mut migrate = json!({"op": "migrate", "to": "new", "last_result_frame_id": 1});
        migrate[other.port_key()] = json!(port);
        let outcome = pair.peer.call(migrate).await.unwrap();
        assert_eq!(outcome["accepted"], true, "{outcome}");
        assert_eq!(outcome["resume_from_frame_id"], 3);
        assert_eq!(outcome["current"], other.as_str());
        assert_eq!(session.transport(), transport_id(other));
        // What was in flight comes where it was submitted, what is submitted now on the new connection.
        second.answer.complete(Content::Tensor.result()).unwrap();
        assert_eq!(pair.peer.receive().await.unwrap()["frame_id"], 2);
        let submit = on("new", json!({"op": "submit", "frame_id": 3}));
        pair.peer.call(submit).await.unwrap();
        let third = next_submit(&session).await;
        third.answer.complete(Content::Tensor.result()).unwrap();
        let receive = on("new", json!({"op": "receive"}));
        assert_eq!(pair.peer.call(receive).await.unwrap()["frame_id"], 3);
        for name in ["main", "new"] {
            let close = on(name, json!({"op": "close"}));
            pair.peer.call(close).await.unwrap();
        }
        soon("the end", session.ended()).await;
        let frames = session.counters().frames;
        assert_eq!(
            (frames.submitted, frames.done_as(FrameOutcome::Complete)),
            (3, 3)
        );
    }
    assert_eq!(pair.ours.server.totals().migrations, 2);
}

#[tokio::test]
async fn their_client_does_not_move_without_proof() {
    let mut pair = TheirClient::start().await;
    let (session, told) = pair.connect(NnrpTransport::Quic, json!({})).await;
    let extensions = told["ack_extensions"].as_array().unwrap();
    let token = extensions[0]["payload"].clone();
    let migrate = |to: &str, body: &Value| json!({"op": "migrate", "to": to, "tcp_port": pair.ours.port(), "body": body});
    let attempts = [
        (migrate("none", &json!("")), false),
        (migrate("wrong", &json!("00".repeat(32))), false),
        // An application that knows the token can have it repeated.
        (migrate("right", &token), true),
    ];
    for (migrate, is_accepted) in attempts {
        let outcome = pair.peer.call(migrate).await.unwrap();
        assert_eq!(outcome["accepted"], is_accepted, "{outcome}");
    }
    let submit = on("right", json!({"op": "submit", "frame_id": 3}));
    pair.peer.call(submit).await.unwrap();
    let frame = next_submit(&session).await;
    frame.answer.complete(Content::Tensor.result()).unwrap();
    let receive = on("right", json!({"op": "receive"}));
    assert_eq!(pair.peer.call(receive).await.unwrap()["frame_id"], 3);
}

/// Their server opens a connection and answers the migration that comes by it.
async fn answer_migration(pair: &mut TheirServer, transport: NnrpTransport, code: u32) -> Value {
    let open = json!({"op": "open", "on": "new", "transport": transport.as_str()});
    pair.peer.call(open).await.unwrap();
    let answer = json!({
        "op": "answer_migrate", "on": "new", "old": "main", "resume_from_frame_id": 3,
        "accept_code": code, "grace_window_ms": LIMIT.as_millis(),
    });
    pair.peer.call(answer).await.unwrap()
}

#[tokio::test]
async fn our_client_moves_between_their_transports() {
    let mut pair = TheirServer::start().await;
    for transport in NnrpTransport::ALL {
        let other = transport.other();
        let (session, _) = pair.accept(transport, patient()).await;
        let keys = [1, 2, 3].map(FrameKey::new);
        for key in &keys[..2] {
            let submit = Submit::new(*key, Content::Tensor.submit());
            session.submit(submit).await.unwrap();
            pair.peer.receive().await.unwrap();
        }
        pair.peer.result(json!({"frame_id": 1})).await.unwrap();
        next_result(&session, keys[0]).await;
        assert_eq!(outcome(&session, keys[0]).await, FrameOutcome::Complete);
        let port = pair.port(other);
        let certificate_dialer = dialer(&pair.certificate);
        let moved = async {
            let deadline = tokio::time::Instant::now() + LIMIT;
            let endpoint = endpoint(port, port);
            let link = certificate_dialer.dial(&endpoint, transport_id(other), deadline);
            session.migrate(link.await.unwrap()).await
        };
        let (moved, asked) = tokio::join!(moved, answer_migration(&mut pair, other, 0));
        let moved = moved.unwrap();
        assert_eq!(moved.transport, transport_id(other));
        assert_eq!((moved.resume_from_frame_id, moved.resubmitted), (3, 0));
        assert_eq!(asked["metadata"]["new_transport_id"], other.as_str());
        assert_eq!(asked["metadata"]["last_result_frame_id"], 1);
        // What was in flight comes by the old connection.
        pair.peer.result(json!({"frame_id": 2})).await.unwrap();
        next_result(&session, keys[1]).await;
        assert_eq!(outcome(&session, keys[1]).await, FrameOutcome::Complete);
        let submit = Submit::new(keys[2], Content::Tensor.submit());
        session.submit(submit).await.unwrap();
        let receive = on("new", json!({"op": "receive"}));
        assert_eq!(pair.peer.call(receive).await.unwrap()["frame_id"], 3);
        let result = on("new", json!({"op": "result", "frame_id": 3}));
        pair.peer.call(result).await.unwrap();
        next_result(&session, keys[2]).await;
        assert_eq!(outcome(&session, keys[2]).await, FrameOutcome::Complete);
        let theirs = async {
            for name in ["main", "new"] {
                for op in ["end", "close"] {
                    let command = on(name, json!({"op": op}));
                    pair.peer.call(command).await.unwrap();
                }
            }
        };
        tokio::join!(soon("the end", session.close("")), theirs);
    }
}

#[tokio::test]
async fn our_client_stays_where_their_server_refuses() {
    let mut pair = TheirServer::start().await;
    let (session, _) = pair.accept(NnrpTransport::Tcp, patient()).await;
    let port = pair.port(NnrpTransport::Quic);
    let link = crate::ours::link(NnrpTransport::Quic, port, &pair.certificate).await;
    let moved = session.migrate(link);
    let answered = answer_migration(&mut pair, NnrpTransport::Quic, 2);
    let (moved, _) = tokio::join!(moved, answered);
    assert!(
        matches!(
            moved,
            Err(MigrateError::Failed(MigrationFailure::Refused {
                accept_code: 2
            }))
        ),
        "{moved:?}"
    );
    let key = FrameKey::new(1);
    let submit = Submit::new(key, Content::Tensor.submit());
    session.submit(submit).await.unwrap();
    pair.peer.receive().await.unwrap();
    pair.peer.result(json!({"frame_id": 1})).await.unwrap();
    next_result(&session, key).await;
    pair.closed(&session).await;
}
