//! Our service, with the sockets of pyzmq and the real console. spec: autotrainer 13, 17 (7)

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use autotrainer_api::command::data::{AppState, Configuration};
use autotrainer_api::zmq::{AllowedClients, KeyPair, Security};
use autotrainer_api::{
    Command, CommandRequest, CommandResponse, Deadline, ProtocolLevel, Service, Topic,
};
use bytes::Bytes;
use nodewire_testkit::{AutotrainerClient, AutotrainerConsole, AutotrainerVersion};
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};

use crate::clients::{
    Client, PATIENCE, builder, command_address, event_address, serving, started, until,
};

async fn success(request: CommandRequest) -> CommandResponse {
    CommandResponse::success().with_data(&json!({"seen_data": request.data()}))
}

fn commands(service: &Service) -> String {
    format!("tcp://{}", command_address(service))
}

fn events(service: &Service) -> String {
    format!("tcp://{}", event_address(service))
}

#[tokio::test]
async fn req_and_dealer_of_both_releases_are_served() -> anyhow::Result<()> {
    let service = serving(success).await;
    for version in AutotrainerVersion::ALL {
        let mut client = AutotrainerClient::start(version).await?;
        for kind in ["REQ", "DEALER"] {
            client.connect(kind, kind, &commands(&service)).await?;
            let request = json!({"command": 400, "nonce": 7, "data": {"some_key": "A_b C"}});
            let reply = client.request(kind, &request).await?;
            let expected = json!({"nonce": 7, "command": 400, "result": 100,
                "data": {"seenData": {"someKey": "A_b C"}},
                "errorKind": 0, "errorCode": 0, "errorMessage": null});
            assert_eq!(reply, expected);
        }
        // Two frames, of which the peer dies (Q16).
        client.send("REQ", &[b"{\"command\":400}", b"more"]).await?;
        let reply: Value = serde_json::from_slice(&client.receive("REQ", 1).await?[0][0])?;
        assert_eq!((&reply["nonce"], &reply["result"]), (&json!(0), &json!(0)));
        let reply = client
            .request("REQ", &json!({"command": 400, "nonce": 8}))
            .await?;
        assert_eq!(reply["nonce"], 8);
    }
    service.stop().await;
    Ok(())
}

#[tokio::test]
async fn the_console_of_0_9_11_works_through_all_its_commands() -> anyhow::Result<()> {
    let handler = async |request: CommandRequest| match request.command {
        Command::GetConfiguration => {
            CommandResponse::success().with_data(&Configuration::default())
        }
        Command::GetStatus => {
            let status = json!({"appStatus": 0, "trainingMode": 100, "animalId": "123456"});
            let status: AppState = serde_json::from_value(status).unwrap();
            CommandResponse::success().with_data(&status)
        }
        _ => CommandResponse::success(),
    };
    let service = started(builder().level(ProtocolLevel::V0_9_11).handler(handler)).await;
    let mut console = AutotrainerConsole::start(AutotrainerVersion::V0_9_11, &commands(&service))?;
    for (line, command, nonce) in [("start", 100, 1), ("stop", 110, 2)] {
        let printed: Value = serde_json::from_str(&console.enter(line).await?)?;
        assert_eq!(
            (&printed["command"], &printed["nonce"]),
            (&json!(command), &json!(nonce))
        );
        assert_eq!(printed["result"], 100);
    }
    for line in ["configuration", "status"] {
        let printed = console.enter(line).await?;
        assert!(printed.contains("100"), "{printed}");
    }
    let counts = service.counts().requests;
    assert_eq!(counts.len(), 4, "{counts:?}");
    service.stop().await;
    Ok(())
}

/// A subscriber that has every prefix, and the service knows.
async fn subscriber(service: &Service, options: Value) -> anyhow::Result<AutotrainerClient> {
    let mut client = AutotrainerClient::start(AutotrainerVersion::V0_12_0).await?;
    let open = json!({"op": "open", "socket": "events", "kind": "SUB", "connect": events(service),
        "prefixes": [""], "options": options});
    client.call(open).await?;
    loop {
        let probe = Bytes::from_static(b"probe");
        service.publisher().publish(Topic(1), probe).await?;
        let probed = client.receive_within("events", 1, 0.02).await?;
        if !probed.is_empty() {
            return Ok(client);
        }
    }
}

async fn next_of(client: &mut AutotrainerClient, topic: Topic) -> anyhow::Result<Bytes> {
    loop {
        let message = client.receive("events", 1).await?.remove(0);
        assert_eq!(message.len(), 2);
        if message[0] == topic.to_frame() {
            return Ok(message[1].clone().into());
        }
    }
}

#[tokio::test]
async fn a_subscriber_that_asks_for_signs_of_life_stays_connected() -> anyhow::Result<()> {
    let interval = Duration::from_millis(50);
    let service = started(builder().heartbeat_interval(interval)).await;
    // Longer than a busy machine keeps the service from answering.
    let options = json!({"HEARTBEAT_IVL": 50, "HEARTBEAT_TIMEOUT": 2000});
    let mut client = subscriber(&service, options).await?;
    // Several times as long as it would take to be given up.
    for _ in 0..150 {
        next_of(&mut client, Topic::HEARTBEAT).await?;
    }
    let events = client.events("events").await?;
    assert!(
        !events.iter().any(|event| event == "DISCONNECTED"),
        "{events:?}"
    );
    service.stop().await;
    Ok(())
}

#[tokio::test]
async fn late_results_and_emergencies_reach_a_subscriber() -> anyhow::Result<()> {
    let gate = Arc::new(Semaphore::new(0));
    let of_handler = Arc::clone(&gate);
    let handler = move |_: CommandRequest| {
        let gate = Arc::clone(&of_handler);
        async move {
            gate.acquire().await.unwrap().forget();
            CommandResponse::success()
        }
    };
    let deadline = Deadline::PendingAfter(Duration::from_millis(1));
    let service = started(builder().handler(handler).deadline(deadline)).await;
    let mut client = subscriber(&service, json!({})).await?;
    client
        .connect("commands", "REQ", &commands(&service))
        .await?;
    let reply = client
        .request("commands", &json!({"command": 200, "nonce": 3}))
        .await?;
    assert_eq!(reply["result"], 201);
    gate.add_permits(1);
    let result: Value =
        serde_json::from_slice(&next_of(&mut client, Topic::COMMAND_RESULT).await?)?;
    assert_eq!(
        (&result["nonce"], &result["result"]),
        (&json!(3), &json!(100))
    );

    let emergency = json!({"kind": 101});
    service.publisher().send_event_dict(&emergency).await?;
    let messages = client.receive("events", 2).await?;
    assert_eq!(messages[0][0], Topic::EMERGENCY.to_frame());
    assert_eq!(messages[1][0], Topic::EVENT.to_frame());
    assert_eq!(messages[0][1], messages[1][1]);
    service.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_client_that_is_killed_before_its_reply_delays_nobody() -> anyhow::Result<()> {
    let (gate, begun) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
    let of_handler = (Arc::clone(&gate), Arc::clone(&begun));
    let handler = move |request: CommandRequest| {
        let (gate, begun) = of_handler.clone();
        async move {
            if request.command == Command::EmergencyStop {
                begun.notify_one();
                gate.acquire().await.unwrap().forget();
            }
            CommandResponse::success()
        }
    };
    let service = started(builder().handler(handler).deadline(Deadline::Wait)).await;
    let mut client = AutotrainerClient::start(AutotrainerVersion::V0_12_0).await?;
    client
        .connect("commands", "REQ", &commands(&service))
        .await?;
    client
        .send("commands", &[b"{\"command\":200,\"nonce\":1}"])
        .await?;
    tokio::time::timeout(PATIENCE, begun.notified()).await?;
    client.kill().await?;
    until(&service, |counts| counts.command_connections.closed == 1).await;
    gate.add_permits(1);
    Client::of(&service).await.assert_served(2).await;
    assert_eq!(service.counts().replies_gone, 1);
    service.stop().await;
    Ok(())
}

#[tokio::test]
async fn sockets_of_libzmq_survive_a_restart() -> anyhow::Result<()> {
    let service = serving(success).await;
    let mut client = subscriber(&service, json!({})).await?;
    client
        .connect("commands", "REQ", &commands(&service))
        .await?;
    client
        .request("commands", &json!({"command": 400, "nonce": 1}))
        .await?;
    let ports = (
        event_address(&service).port(),
        command_address(&service).port(),
    );
    service.stop().await;

    let builder = Service::builder()
        .subscriber_port(ports.0)
        .command_port(ports.1);
    let interval = Duration::from_millis(20);
    let again = started(builder.handler(success).heartbeat_interval(interval)).await;
    let reply = client
        .request("commands", &json!({"command": 400, "nonce": 2}))
        .await?;
    assert_eq!(reply["nonce"], 2);
    next_of(&mut client, Topic::HEARTBEAT).await?;
    again.stop().await;
    Ok(())
}

#[tokio::test]
async fn curve_keys_of_libzmq_are_checked_against_the_list() -> anyhow::Result<()> {
    let mut client = AutotrainerClient::start(AutotrainerVersion::V0_12_0).await?;
    let keys = KeyPair::generate();
    let (friend, stranger) = (
        client.call(json!({"op": "curve_keys"})).await?,
        client.call(json!({"op": "curve_keys"})).await?,
    );
    let allowed = HashSet::from([friend["public"].as_str().unwrap().parse()?]);
    let security = Security::CurveServer {
        keys: keys.clone(),
        allowed: AllowedClients::Only(allowed),
    };
    let service = started(builder().handler(success).security(security)).await;
    let open = |socket: &str, own: &Value, wait: bool| {
        json!({"op": "open", "socket": socket, "kind": "REQ", "connect": commands(&service), "wait": wait,
            "options": {"CURVE_SERVERKEY": keys.public.to_string(), "CURVE_PUBLICKEY": own["public"],
                "CURVE_SECRETKEY": own["secret"]}})
    };
    client.call(open("stranger", &stranger, false)).await?;
    until(&service, |counts| {
        counts.command_connections.handshakes_failed >= 1
    })
    .await;
    client.call(open("friend", &friend, true)).await?;
    let reply = client
        .request("friend", &json!({"command": 400, "nonce": 5}))
        .await?;
    assert_eq!(reply["nonce"], 5);
    assert_eq!(service.counts().command_connections.opened, 1);
    service.stop().await;
    Ok(())
}
