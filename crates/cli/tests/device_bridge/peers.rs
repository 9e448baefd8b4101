//! The real devices, the real NATS client for Python, and the broker of `nodewire micro broker`.

use std::process::Stdio;

use nodewire_testkit::{
    AutotrainerService, AutotrainerServiceOptions, AutotrainerVersion, NatsServer,
    PythonMicroClient,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::setup::{
    Bridge, Hub, ask_more, device, error_code, header, json, next, next_on, patiently, place_of,
    subscribe,
};

async fn python(version: AutotrainerVersion) -> AutotrainerService {
    let options = AutotrainerServiceOptions {
        heartbeat_interval_s: 0.2,
        identifier: "real box".to_owned(),
        ..AutotrainerServiceOptions::default()
    };
    AutotrainerService::start(version, options).await.unwrap()
}

/// Publishes until it comes: a subscription of ZeroMQ takes effect some time later.
async fn real_device(version: AutotrainerVersion) {
    let hub = Hub::start().await;
    let mut device = python(version).await;
    let place = format!(
        "127.0.0.1:{}:{}",
        device.event_port(),
        device.command_port()
    );
    let mut all = hub.subscribe("devices.real%20box.>").await;
    let url = hub.broker.url();
    let bridge = Bridge::bridging(
        &url,
        1,
        &["--device", &place, "--allow-all", "--timeout", "30"],
    )
    .await;
    let heartbeat = next_on(&mut all, ".heartbeat").await;
    assert_eq!(header(&heartbeat, "Nodewire-Version"), version.as_str());
    assert_eq!(json(&heartbeat)["identifier"], "real box");

    device
        .publish(json!({"kind": 201, "when": 1.5, "index": 3, "context": {"a_b": "A B"}}))
        .await
        .unwrap();
    let event = next_on(&mut all, ".event.applicationLaunched").await;
    assert_eq!(json(&event)["index"], 3);

    let status = r#"{"mode": "echo", "number": 1.5}"#;
    let answer = hub
        .ask("devices.real%20box.command.GET_STATUS", status)
        .await;
    assert_eq!(error_code(&answer), "");
    assert_eq!(json(&answer)["data"]["number"], 1.5);
    let exception = r#"{"mode": "exc"}"#;
    let exception = hub
        .ask("devices.real%20box.command.GET_STATUS", exception)
        .await;
    assert_eq!(error_code(&exception), "500");

    let later = json!({"command": "START_ACQUISITION", "nonce": 11, "data": {"mode": "later"}});
    let later = later.to_string();
    let mut replies = ask_more(&hub.client, "devices.real%20box.request", &later, &[]).await;
    let (answer, late) = (next(&mut replies).await, next(&mut replies).await);
    assert_eq!(
        (&json(&answer)["nonce"], &json(&answer)["result"]),
        (&json!(11), &json!(201))
    );
    assert_eq!(
        (&json(&late)["nonce"], &json(&late)["result"]),
        (&json!(11), &json!(100))
    );

    // 0.9.11 dies of what it cannot read; the bridge passes nothing of the kind on.
    for garbage in [
        "{",
        "\u{0}",
        "[]",
        r#"{"command": "x"}"#,
        r#"{"command": [1]}"#,
    ] {
        let answer = hub.ask("devices.real%20box.request", garbage).await;
        assert!(["400", "404"].contains(&error_code(&answer)), "{answer:?}");
    }
    let alive = hub.ask("devices.real%20box.command.GET_STATUS", "").await;
    assert_eq!(json(&alive)["result"], 100);
    assert_eq!(bridge.stop().await, Some(0));
}

#[tokio::test]
async fn the_real_device_of_0_9_11_is_bridged() {
    real_device(AutotrainerVersion::V0_9_11).await;
}

#[tokio::test]
async fn the_real_device_of_0_12_0_is_bridged() {
    real_device(AutotrainerVersion::V0_12_0).await;
}

#[tokio::test]
async fn a_python_client_commands_the_device() {
    let (hub, device) = (Hub::start().await, device("box").await);
    let url = hub.broker.url();
    let bridge = Bridge::bridging(&url, 1, &["--device", &place_of(&device)]).await;
    let mut client = PythonMicroClient::connect(&url).await.unwrap();
    let answer = client
        .request("devices.box.command.GET_STATUS", "[7]")
        .await;
    let answer = answer.unwrap();
    assert!(answer.to_string().contains("[7]"), "{answer}");
    let refused = client
        .request("devices.box.command.EMERGENCY_STOP", "")
        .await;
    assert!(format!("{refused:?}").contains("403"), "{refused:?}");
    assert_eq!(bridge.stop().await, Some(0));
    device.stop().await;
}

#[tokio::test]
async fn the_embedded_broker_will_do() {
    let mut broker = tokio::process::Command::new(env!("CARGO_BIN_EXE_nodewire"))
        .args(["micro", "broker", "--listen", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(broker.stdout.take().unwrap()).lines();
    let url = patiently(lines.next_line())
        .await
        .unwrap()
        .expect("its address");
    let client = async_nats::connect(&url).await.unwrap();
    let device = device("box").await;
    let mut all = subscribe(&client, "devices.box.>").await;
    let bridge = Bridge::bridging(&url, 1, &["--device", &place_of(&device)]).await;
    next_on(&mut all, ".heartbeat").await;
    let answer: Value =
        json(&crate::setup::ask(&client, "devices.box.command.GET_STATUS", "1", &[]).await);
    assert_eq!(answer["data"], 1);
    assert_eq!(bridge.stop().await, Some(0));
    device.stop().await;
}

#[tokio::test]
async fn a_message_that_is_too_large_for_the_broker_is_told() {
    let broker = NatsServer::options().max_payload_bytes(4096).start().await;
    let hub = Hub::of(broker.unwrap()).await;
    let device = device("box").await;
    let mut all = hub.subscribe("devices.box.>").await;
    let url = hub.broker.url();
    let bridge = Bridge::bridging(&url, 1, &["--device", &place_of(&device)]).await;
    next_on(&mut all, ".heartbeat").await;
    let large = "x".repeat(8192);
    let publisher = device.publisher();
    publisher
        .publish(autotrainer_api::Topic(7), large.into())
        .await
        .unwrap();
    let gap = json(&next_on(&mut all, ".bridge.gap").await);
    assert_eq!(
        (&gap["reason"], &gap["missing"]),
        (&json!("tooLarge"), &json!(1))
    );
    assert_eq!(bridge.stop().await, Some(0));
    device.stop().await;
}
