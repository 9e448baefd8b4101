//! CURVE. spec: autotrainer 1 has none; docs/decisions/zeromq.md has.

use std::collections::HashSet;

use autotrainer_api::zmq::{AllowedClients, KeyPair, PublicKey, Security, SocketOptions};
use autotrainer_api::{CommandRequest, CommandResponse, Service};
use serde_json::json;

use crate::clients::{Client, builder, command_address, started, until};

async fn guarded(keys: &KeyPair, allowed: AllowedClients) -> Service {
    let security = Security::CurveServer {
        keys: keys.clone(),
        allowed,
    };
    let handler = async |_: CommandRequest| CommandResponse::success();
    started(builder().security(security).handler(handler)).await
}

async fn client(service: &Service, keys: &KeyPair, server: PublicKey) -> Client {
    let options = SocketOptions {
        security: Security::CurveClient {
            keys: keys.clone(),
            server,
        },
        ..SocketOptions::default()
    };
    Client::at(command_address(service), &options).await
}

#[tokio::test]
async fn only_clients_on_the_list_are_served() {
    let (server, friend, stranger) = (
        KeyPair::generate(),
        KeyPair::generate(),
        KeyPair::generate(),
    );
    let allowed = AllowedClients::Only(HashSet::from([friend.public]));
    let service = guarded(&server, allowed).await;

    let strange = client(&service, &stranger, server.public).await;
    strange.send(&json!({"command": 400, "nonce": 1})).await;
    until(&service, |counts| {
        counts.command_connections.handshakes_failed >= 1
    })
    .await;
    let misled = client(&service, &friend, stranger.public).await;
    misled.send(&json!({"command": 400, "nonce": 2})).await;
    until(&service, |counts| {
        counts.command_connections.handshakes_failed >= 2
    })
    .await;
    let open = Client::of(&service).await;
    open.send(&json!({"command": 400, "nonce": 3})).await;
    until(&service, |counts| {
        counts.command_connections.handshakes_failed >= 3
    })
    .await;
    assert_eq!(service.counts().command_connections.opened, 0);

    let friendly = client(&service, &friend, server.public).await;
    friendly.assert_served(4).await;
    assert_eq!(
        service
            .counts()
            .requests
            .iter()
            .map(|each| each.2)
            .sum::<u64>(),
        1
    );
    service.stop().await;
}

#[tokio::test]
async fn without_a_list_everyone_who_knows_the_server_is_served_and_with_an_empty_one_nobody() {
    let (server, somebody) = (KeyPair::generate(), KeyPair::generate());
    let service = guarded(&server, AllowedClients::Any).await;
    client(&service, &somebody, server.public)
        .await
        .assert_served(1)
        .await;
    service.stop().await;

    let service = guarded(&server, AllowedClients::Only(HashSet::new())).await;
    let refused = client(&service, &somebody, server.public).await;
    refused.send(&json!({"command": 400, "nonce": 1})).await;
    until(&service, |counts| {
        counts.command_connections.handshakes_failed >= 1
    })
    .await;
    assert_eq!(service.counts().command_connections.opened, 0);
    service.stop().await;
}

#[test]
fn keys_are_text_and_secrets_do_not_show() {
    let pair = KeyPair::generate();
    assert_eq!(pair.public.to_string().parse(), Ok(pair.public));
    assert_eq!(pair.public.to_string().len(), 40);
    assert!(!format!("{pair:?}").contains(&pair.secret.to_z85()));
    assert!("short".parse::<PublicKey>().is_err());
    assert_ne!(KeyPair::generate().public, pair.public);
}
