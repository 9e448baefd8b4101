//! Restarts of everything.

use std::collections::BTreeSet;

use autotrainer_api::{Service, Topic};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::setup::{
    Bridge, Hub, ask, device, device_on, error_code, header, json, next, next_on, place_of,
    ports_of, subscribe,
};

#[tokio::test]
async fn a_device_that_restarts_is_bridged_again_and_the_gap_is_told() {
    let (hub, first) = (Hub::start().await, device("box").await);
    let mut all = hub.subscribe("devices.box.>").await;
    let (events, commands) = ports_of(&first);
    let url = hub.broker.url();
    let bridge = Bridge::bridging(&url, 1, &["--device", &place_of(&first)]).await;
    next_on(&mut all, ".heartbeat").await;
    first.stop().await;
    let gap = json(&next_on(&mut all, ".bridge.gap").await);
    assert_eq!(gap["reason"], "interrupted");
    let second = device_on("box", events, commands).await;
    next_on(&mut all, ".heartbeat").await;
    let answer = loop {
        let answer = hub.ask("devices.box.command.GET_STATUS", "3").await;
        if error_code(&answer).is_empty() {
            break json(&answer);
        }
        assert!(["503", "504"].contains(&error_code(&answer)), "{answer:?}");
    };
    assert_eq!(answer["data"], 3);
    assert_eq!(bridge.stop().await, Some(0));
    second.stop().await;
}

/// Publishes so many events on a topic of its own.
async fn publish(device: &Service, numbers: std::ops::Range<u32>) {
    let publisher = device.publisher();
    for number in numbers {
        publisher
            .publish(Topic(9), number.to_string().into())
            .await
            .unwrap();
    }
}

/// Waits until what was published has come to the bridge, whether its broker is there or not: it tells when it sees the
/// heartbeat of another device, and what a device publishes comes in order.
async fn arrived(device: &Service, bridge: &mut Bridge) {
    let heartbeat = json!({"identifier": "mark", "timestamp": 1.5, "version": "0.12.0"});
    let publisher = device.publisher();
    publisher
        .publish(Topic::HEARTBEAT, heartbeat.to_string().into())
        .await
        .unwrap();
    bridge
        .says_that(|line| line["type"] == "otherIdentifier" && line["identifier"] == "mark")
        .await;
}

#[tokio::test]
async fn what_is_published_while_the_broker_is_away_comes_when_it_is_back() {
    let (mut hub, device) = (Hub::start().await, device("box").await);
    let mut all = hub.subscribe("devices.box.>").await;
    let url = hub.broker.url();
    let mut bridge = Bridge::bridging(&url, 1, &["--device", &place_of(&device)]).await;
    next_on(&mut all, ".heartbeat").await;
    drop(all);

    hub.broker.kill().await.unwrap();
    publish(&device, 0..500).await;
    hub.broker.restart().await.unwrap();
    let client = async_nats::connect(hub.broker.url()).await.unwrap();
    let mut all = subscribe(&client, "devices.box.>").await;
    // What the bridge sent before this client was back is lost to it, and shows as a hole.
    publish(&device, 500..510).await;
    let mut came = BTreeSet::new();
    let mut first = None;
    while !came.contains(&509) {
        let message = next(&mut all).await;
        assert!(!message.subject.ends_with(".bridge.gap"), "{message:?}");
        let sequence: u64 = header(&message, "Nodewire-Sequence").parse().unwrap();
        first = first.or(Some(sequence));
        if message.subject.ends_with(".topic.9") {
            let text = std::str::from_utf8(&message.payload).unwrap();
            came.insert(text.parse::<u32>().unwrap());
        }
    }
    let missing = 510 - came.len() as u64;
    assert!(missing < first.unwrap(), "{missing} of {first:?}");
    let answer = ask(&client, "devices.box.command.GET_STATUS", "4", &[]).await;
    assert_eq!(json(&answer)["data"], json!(4));
    bridge.says("command").await;
    assert_eq!(bridge.stop().await, Some(0));
    device.stop().await;
}

/// How many messages this line of the log says were dropped.
fn overtaken(line: &Value) -> Option<u64> {
    let is_told = line["reason"] == "slowReader";
    is_told.then(|| line["missing"].as_u64().unwrap())
}

#[tokio::test]
async fn what_the_buffer_cannot_hold_is_counted_and_told() {
    let (mut hub, device) = (Hub::start().await, device("box").await);
    let url = hub.broker.url();
    let arguments = ["--device", &place_of(&device), "--buffer-messages", "10"];
    let mut bridge = Bridge::bridging(&url, 1, &arguments).await;
    hub.broker.kill().await.unwrap();
    publish(&device, 0..2000).await;
    arrived(&device, &mut bridge).await;
    hub.broker.restart().await.unwrap();
    // A burst that was overtaken before the pump stood still is told on its own. What is not missing: the buffer of 10, and
    // the at most 256 messages that the pump had already.
    let mut missing: u64 = bridge.said.iter().filter_map(overtaken).sum();
    while missing < 2000 - 10 - 256 {
        let told = bridge.says_that(|line| overtaken(line).is_some()).await;
        missing += overtaken(&told).unwrap();
    }
    assert_eq!(bridge.stop().await, Some(0));
    device.stop().await;
}

#[tokio::test]
async fn a_bridge_that_restarts_goes_on_as_another_run() {
    let (hub, device) = (Hub::start().await, device("box").await);
    let mut all = hub.subscribe("devices.box.heartbeat").await;
    let url = hub.broker.url();
    let place = place_of(&device);
    let first = Bridge::bridging(&url, 1, &["--device", &place]).await;
    let run = header(&next(&mut all).await, "Nodewire-Run").to_owned();
    first.signal("-KILL");
    first.ended().await;
    let second = Bridge::bridging(&url, 1, &["--device", &place]).await;
    let anew = loop {
        let message = next(&mut all).await;
        if header(&message, "Nodewire-Run") != run {
            break message;
        }
    };
    assert!(header(&anew, "Nodewire-Sequence").parse::<u64>().unwrap() < 100);
    let answer = hub.ask("devices.box.command.GET_STATUS", "5").await;
    assert_eq!(json(&answer)["data"], 5);
    assert_eq!(second.stop().await, Some(0));
    device.stop().await;
}

#[tokio::test]
async fn a_stop_without_a_broker_says_what_was_lost() {
    let (mut hub, device) = (Hub::start().await, device("box").await);
    let url = hub.broker.url();
    let arguments = ["--device", &place_of(&device), "--drain", "0.2"];
    let mut bridge = Bridge::bridging(&url, 1, &arguments).await;
    hub.broker.kill().await.unwrap();
    publish(&device, 0..10).await;
    arrived(&device, &mut bridge).await;
    assert_eq!(bridge.stop().await, Some(1));
    device.stop().await;
}

#[tokio::test]
async fn a_stop_answers_what_is_pending() {
    let hub = Hub::start().await;
    let device = Service::builder()
        .identifier("box")
        .heartbeat_interval(std::time::Duration::from_millis(50))
        .subscriber_port(0)
        .command_port(0)
        .deadline(autotrainer_api::Deadline::PendingAfter(
            std::time::Duration::from_millis(1),
        ))
        .handler(async |_: autotrainer_api::CommandRequest| {
            std::future::pending::<autotrainer_api::CommandResponse>().await
        })
        .build();
    device.start().await.unwrap();
    let url = hub.broker.url();
    let arguments = ["--device", &place_of(&device), "--drain", "0.1"];
    let bridge = Bridge::bridging(&url, 1, &arguments).await;
    let mut replies =
        crate::setup::ask_more(&hub.client, "devices.box.command.GET_STATUS", "", &[]).await;
    let pending = next(&mut replies).await;
    assert_eq!(header(&pending, "Nodewire-Follow-Up"), "pending");
    assert_eq!(bridge.stop().await, Some(0));
    let given_up = next(&mut replies).await;
    assert_eq!(error_code(&given_up), "503");
    let id = header(&pending, "Nodewire-Request-Id");
    assert_eq!(header(&given_up, "Nodewire-Request-Id"), id);
    device.stop().await;
}

#[tokio::test]
async fn a_stop_without_a_broker_and_without_requests_waits_for_nothing() {
    let (mut hub, device) = (Hub::start().await, device("box").await);
    let url = hub.broker.url();
    // Running requests would be waited for so long, which is longer than this test.
    let arguments = [
        "--device",
        &place_of(&device),
        "--timeout",
        "3000",
        "--drain",
        "0.2",
    ];
    let mut bridge = Bridge::bridging(&url, 1, &arguments).await;
    let answer = hub.ask("devices.box.command.GET_STATUS", "").await;
    assert_eq!(error_code(&answer), "");
    bridge.says("command").await;
    hub.broker.kill().await.unwrap();
    // Heartbeats may have come since that are lost now.
    assert!(bridge.stop().await.is_some());
    device.stop().await;
}

/// A way to this server that passes nothing on any more once the token is cancelled, and stays open.
async fn way_that_hangs(server: String, hang: CancellationToken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let address = server.trim_start_matches("nats://").to_owned();
            let hang = hang.clone();
            tokio::spawn(async move {
                let mut far = TcpStream::connect(address).await.unwrap();
                tokio::select! {
                    _ = copy_bidirectional(&mut near, &mut far) => {}
                    () = hang.cancelled() => std::future::pending().await,
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn a_stop_with_a_broker_that_hangs_does_not_wait_for_it() {
    let (hub, device) = (Hub::start().await, device("box").await);
    let hang = CancellationToken::new();
    let url = way_that_hangs(hub.broker.url(), hang.clone()).await;
    // Running requests would be waited for so long, which is longer than this test.
    let place = place_of(&device);
    let arguments = ["--device", &place, "--timeout", "3000", "--drain", "0.2"];
    let bridge = Bridge::bridging(&url, 1, &arguments).await;
    hang.cancel();
    assert!(bridge.stop().await.is_some());
    device.stop().await;
}
