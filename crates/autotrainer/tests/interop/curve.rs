//! CURVE between a remote and libzmq, and between a remote and our service.

use std::collections::HashSet;
use std::time::Duration;

use autotrainer_api::zmq::{AllowedClients, KeyPair, Security};
use autotrainer_api::{
    CallError, Command, CommandRequest, CommandResponse, Message, ProtocolLevel, Remote,
    RemoteOptions,
};
use nodewire_testkit::{AutotrainerClient, AutotrainerVersion};
use serde_json::{Value, json};

use crate::support::{PATIENCE, builder, event, joined, message, options_of, started};

#[tokio::test]
async fn a_remote_on_the_list_is_served_and_a_stranger_is_not() {
    let (server, friend, stranger) = (
        KeyPair::generate(),
        KeyPair::generate(),
        KeyPair::generate(),
    );
    let security = Security::CurveServer {
        keys: server.clone(),
        allowed: AllowedClients::Only(HashSet::from([friend.public])),
    };
    let handler = async |_: CommandRequest| CommandResponse::success();
    let service = started(builder().handler(handler).security(security)).await;
    let options = options_of(&service).with_curve(friend, server.public);
    let remote = Remote::connect(options).await.unwrap();
    let mut events = remote.events().await;
    joined(&remote, &service).await;
    remote.command(Command::GetStatus).send().await.unwrap();
    remote.probe(PATIENCE).await.unwrap();
    service.publisher().send_event(&event(1)).await.unwrap();
    assert!(matches!(message(&mut events).await, Message::Event { .. }));

    for keys in [Some(stranger), None] {
        let mut options = options_of(&service);
        if let Some(keys) = keys {
            options = options.with_curve(keys, server.public);
        }
        let refused = Remote::connect(options).await.unwrap();
        let call = refused.command(Command::GetStatus);
        let error = call
            .timeout(Duration::from_millis(300))
            .send()
            .await
            .unwrap_err();
        assert!(matches!(error, CallError::Unreachable { .. }), "{error}");
    }
    let total: u64 = service.counts().requests.iter().map(|row| row.2).sum();
    assert_eq!(total, 2);
    service.stop().await;
}

/// libzmq has the keys of a service here, and answers as one.
#[tokio::test]
async fn a_remote_talks_to_a_curve_service_of_libzmq() {
    let mut peer = AutotrainerClient::start(AutotrainerVersion::V0_12_0)
        .await
        .unwrap();
    let server = peer.call(json!({"op": "curve_keys"})).await.unwrap();
    let mut endpoints = Vec::new();
    for kind in ["PUB", "REP"] {
        let open = json!({"op": "open", "socket": kind, "kind": kind, "bind": "tcp://127.0.0.1:0",
            "options": {"CURVE_SERVER": 1, "CURVE_SECRETKEY": server["secret"]}});
        let opened = peer.call(open).await.unwrap();
        endpoints.push(opened["endpoint"].as_str().unwrap().to_owned());
    }
    let options = RemoteOptions {
        timeout: PATIENCE,
        ..RemoteOptions::endpoints(&endpoints[0], &endpoints[1])
    };
    let public = server["public"].as_str().unwrap().parse().unwrap();
    let options = options.with_curve(KeyPair::generate(), public);
    let remote = Remote::connect(options).await.unwrap();
    let mut events = remote.events().await;
    let play = async {
        let request = peer.receive("REP", 1).await.unwrap().remove(0).remove(0);
        let request: Value = serde_json::from_slice(&request).unwrap();
        let reply = json!({"nonce": request["nonce"], "command": 200, "result": 100, "data": null,
            "errorKind": 0, "errorCode": 0, "errorMessage": null});
        peer.send("REP", &[reply.to_string().as_bytes()])
            .await
            .unwrap();
        let topic = autotrainer_api::Topic::EVENT.to_frame();
        while remote.counts().messages == 0 {
            peer.send("PUB", &[&topic, b"{\"kind\": 201}"])
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let (answer, ()) = tokio::join!(remote.command(Command::EmergencyStop).send(), play);
    assert_eq!(answer.unwrap().answer.command_number, Some(200));
    assert_eq!(remote.level(), ProtocolLevel::NEWEST);
    assert!(matches!(message(&mut events).await, Message::Event { .. }));
}
