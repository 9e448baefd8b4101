//! The harnesses of the Autotrainer peers themselves: services, sockets and console of both releases.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use nodewire_testkit::{
    AutotrainerClient, AutotrainerConsole, AutotrainerService, AutotrainerServiceOptions,
    AutotrainerVersion, vector_path,
};
use serde_json::{Value, json};

const EVENT: [u8; 4] = 4001_u32.to_le_bytes();
const EMERGENCY: [u8; 4] = 2001_u32.to_le_bytes();
const HEARTBEAT: [u8; 4] = 1001_u32.to_le_bytes();
const COMMAND_RESULT: [u8; 4] = 6001_u32.to_le_bytes();
const PROPERTY_CHANGE: [u8; 4] = 5001_u32.to_le_bytes();

/// A service without heartbeats within the time of a test, and a client with no sockets.
async fn started(version: AutotrainerVersion) -> (AutotrainerService, AutotrainerClient) {
    let options = AutotrainerServiceOptions {
        heartbeat_interval_s: 3600.0,
        ..AutotrainerServiceOptions::default()
    };
    let service = AutotrainerService::start(version, options).await.unwrap();
    (service, AutotrainerClient::start(version).await.unwrap())
}

/// Has the client subscribe under the name `events`.
async fn subscribed(
    service: &mut AutotrainerService,
    client: &mut AutotrainerClient,
    prefixes: &[&[u8]],
) {
    let endpoint = service.event_endpoint();
    client
        .connect_subscriber("events", &endpoint, prefixes)
        .await
        .unwrap();
    service.join(client, "events").await.unwrap();
}

/// The next message of the socket `events`, its payload decoded.
async fn published(client: &mut AutotrainerClient) -> (Vec<u8>, Value) {
    let mut frames = client.receive("events", 1).await.unwrap().remove(0);
    assert_eq!(frames.len(), 2, "{frames:?}");
    let payload = serde_json::from_slice(&frames[1]).unwrap();
    (frames.remove(0), payload)
}

async fn answers_requests(version: AutotrainerVersion) {
    let (mut service, mut client) = started(version).await;
    for (nonce, kind) in [(1, "REQ"), (2, "DEALER")] {
        client
            .connect(kind, kind, &service.command_endpoint())
            .await
            .unwrap();
        let request = json!({"command": 200, "nonce": nonce, "data": {"mode": "echo", "aKey": -1}});
        let reply = client.request(kind, &request).await.unwrap();
        assert_eq!(reply["nonce"], nonce, "{reply}");
        assert_eq!(reply["result"], 100, "{reply}");
        let number = match version {
            // spec: autotrainer 6.3
            AutotrainerVersion::V0_9_11 => 1,
            AutotrainerVersion::V0_12_0 => -1,
        };
        assert_eq!(reply["data"], json!({"mode": "echo", "aKey": number}));
        let seen = service.seen(1).await.unwrap().remove(0);
        assert_eq!(seen["command"], "EMERGENCY_STOP");
        assert_eq!(seen["data"], json!({"mode": "echo", "a_key": -1}));
    }
    service.stop().await.unwrap();
}

#[tokio::test]
async fn a_0_9_11_service_answers_requests() {
    answers_requests(AutotrainerVersion::V0_9_11).await;
}

#[tokio::test]
async fn a_0_12_0_service_answers_requests() {
    answers_requests(AutotrainerVersion::V0_12_0).await;
}

async fn publishes_events(version: AutotrainerVersion) {
    let (mut service, mut client) = started(version).await;
    subscribed(&mut service, &mut client, &[&EVENT, &EMERGENCY]).await;
    let launched = json!({"kind": 201, "when": 1.5, "index": 7, "context": null});
    assert!(service.publish(launched.clone()).await.unwrap());
    assert_eq!(published(&mut client).await, (EVENT.to_vec(), launched));

    let stopped = json!({"kind": 101, "context": {"some_id": {"$uuid": "0".repeat(32)}}});
    service.publish(stopped).await.unwrap();
    let id = "00000000-0000-0000-0000-000000000000";
    let expected = json!({"kind": 101, "context": {"someId": id}});
    let emergency = published(&mut client).await;
    assert_eq!(emergency, (EMERGENCY.to_vec(), expected.clone()));
    assert_eq!(published(&mut client).await, (EVENT.to_vec(), expected));

    service
        .publish_many(json!({"kind": 201}), 500)
        .await
        .unwrap();
    let many = client.receive("events", 500).await.unwrap();
    let last: Value = serde_json::from_slice(&many[499][1]).unwrap();
    assert_eq!(last, json!({"kind": 201, "index": 499}));
}

#[tokio::test]
async fn a_0_9_11_service_publishes_events() {
    publishes_events(AutotrainerVersion::V0_9_11).await;
}

#[tokio::test]
async fn a_0_12_0_service_publishes_events() {
    publishes_events(AutotrainerVersion::V0_12_0).await;
}

async fn tells_that_it_is_alive(version: AutotrainerVersion) {
    let options = AutotrainerServiceOptions {
        heartbeat_interval_s: 0.05,
        identifier: "bench device-01 A".to_owned(),
        ..AutotrainerServiceOptions::default()
    };
    let mut service = AutotrainerService::start(version, options).await.unwrap();
    let mut client = AutotrainerClient::start(version).await.unwrap();
    // Joins among heartbeats, too.
    subscribed(&mut service, &mut client, &[b""]).await;
    for _ in 0..3 {
        let (topic, heartbeat) = published(&mut client).await;
        assert_eq!(topic, HEARTBEAT);
        assert_eq!(heartbeat["identifier"], "bench device-01 A");
        assert_eq!(heartbeat["version"], version.as_str());
        assert!(heartbeat["timestamp"].is_f64(), "{heartbeat}");
    }
}

#[tokio::test]
async fn a_0_9_11_service_tells_that_it_is_alive() {
    tells_that_it_is_alive(AutotrainerVersion::V0_9_11).await;
}

#[tokio::test]
async fn a_0_12_0_service_tells_that_it_is_alive() {
    tells_that_it_is_alive(AutotrainerVersion::V0_12_0).await;
}

/// spec: autotrainer 8.5
async fn sends_results_later(version: AutotrainerVersion) {
    let (mut service, mut client) = started(version).await;
    subscribed(&mut service, &mut client, &[&COMMAND_RESULT]).await;
    let endpoint = service.command_endpoint();
    client.connect("commands", "REQ", &endpoint).await.unwrap();

    let later = json!({"command": 200, "nonce": 4242, "data": {"mode": "later"}});
    let reply = client.request("commands", &later).await.unwrap();
    assert_eq!(
        (&reply["result"], &reply["nonce"]),
        (&json!(201), &json!(4242))
    );
    let recorded = json!({
        "result": 100, "data": {"finalValue": 3}, "errorCode": 0, "errorMessage": null,
        "command": 200, "nonce": 4242,
    });
    let (topic, result) = published(&mut client).await;
    assert_eq!((topic, result), (COMMAND_RESULT.to_vec(), recorded));

    let pending = json!({"command": 210, "nonce": 5, "data": {"mode": "pending"}});
    let reply = client.request("commands", &pending).await.unwrap();
    assert_eq!(reply["result"], 201, "{reply}");
    let failed = json!({"command": 210, "nonce": 5, "result": 400, "error_code": -7});
    service.finish(failed).await.unwrap();
    let (_, result) = published(&mut client).await;
    assert_eq!(result["nonce"], 5, "{result}");
    assert_eq!(result["errorCode"], -7, "{result}");
}

#[tokio::test]
async fn a_0_9_11_service_sends_results_later() {
    sends_results_later(AutotrainerVersion::V0_9_11).await;
}

#[tokio::test]
async fn a_0_12_0_service_sends_results_later() {
    sends_results_later(AutotrainerVersion::V0_12_0).await;
}

/// The steps of what was recorded of a release.
fn recorded(scenario: &str, version: AutotrainerVersion) -> Vec<Value> {
    let text = std::fs::read_to_string(vector_path("autotrainer-traces.json")).unwrap();
    let traces: Value = serde_json::from_str(&text).unwrap();
    let package = format!("auto-trainer-api {}", version.as_str());
    let mut scenarios = traces["scenarios"].as_array().unwrap().iter();
    let found = scenarios.find(|one| one["scenario"] == scenario && one["package"] == package);
    found.unwrap()["result"]["steps"]
        .as_array()
        .unwrap()
        .clone()
}

fn bytes(frame: &Value) -> Vec<u8> {
    let digits = frame["hex"].as_str().unwrap();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// What holds of the recordings holds of the service here: byte for byte, it answers and sees the same.
async fn answers_as_recorded(version: AutotrainerVersion) {
    let (mut service, mut client) = started(version).await;
    let endpoint = service.command_endpoint();
    client.connect("commands", "REQ", &endpoint).await.unwrap();
    let steps = recorded("cmd", version);
    assert!(steps.len() > 50, "{}", steps.len());
    for step in steps {
        let request = bytes(&step["request"][0]);
        let reply = client.exchange("commands", &request).await.unwrap();
        let expected = bytes(&step["response"][0]);
        assert_eq!(
            String::from_utf8_lossy(&reply),
            String::from_utf8_lossy(&expected),
            "{}",
            step["step"]
        );
        if !step["delegate_saw"].is_null() {
            let seen = service.seen(1).await.unwrap();
            assert_eq!(seen, [step["delegate_saw"].clone()], "{}", step["step"]);
        }
    }
}

#[tokio::test]
async fn a_0_9_11_service_answers_as_recorded() {
    answers_as_recorded(AutotrainerVersion::V0_9_11).await;
}

#[tokio::test]
async fn a_0_12_0_service_answers_as_recorded() {
    answers_as_recorded(AutotrainerVersion::V0_12_0).await;
}

/// Every topic can be published on, whatever the release's public way; and anomalies can be had from 0.9.11.
#[tokio::test]
async fn other_topics_and_malformed_messages_can_be_published() {
    for version in AutotrainerVersion::ALL {
        let (mut service, mut client) = started(version).await;
        subscribed(&mut service, &mut client, &[b""]).await;
        let change = json!({"op": "publish", "topic": 5001, "message": {"kind": 501}});
        service.call(change).await.unwrap();
        let (topic, _) = published(&mut client).await;
        assert_eq!(topic, PROPERTY_CHANGE);
        let raw = json!({"op": "publish_bytes", "topic": 4001, "hex": "00ff"});
        service.call(raw).await.unwrap();
        let messages = client.receive("events", 1).await.unwrap();
        assert_eq!(messages, [[EVENT.to_vec(), vec![0, 0xff]]]);

        // spec: autotrainer 14, Q3 and Q7
        let unserializable = json!({"kind": 201, "context": {"$set": [1]}});
        service.publish(unserializable).await.unwrap();
        service.publish(json!({"kind": 1101})).await.unwrap();
        if version == AutotrainerVersion::V0_9_11 {
            let messages = client.receive("events", 1).await.unwrap();
            assert_eq!(messages[0].len(), 3, "{messages:?}");
        } else {
            died(&mut service).await;
        }
    }
}

/// Waits until the service's thread has ended, with a traceback.
async fn died(service: &mut AutotrainerService) {
    let traceback = "Exception in thread";
    let timeout = Duration::from_secs(60);
    service
        .process()
        .wait_for_output(traceback, timeout)
        .await
        .unwrap();
    while service.call(json!({"op": "state"})).await.unwrap()["thread_is_alive"] == true {
        tokio::task::yield_now().await;
    }
}

/// spec: autotrainer 7.5
#[tokio::test]
async fn a_request_of_two_frames_ends_a_service() {
    for version in AutotrainerVersion::ALL {
        let (mut service, mut client) = started(version).await;
        let endpoint = service.command_endpoint();
        client.connect("commands", "REQ", &endpoint).await.unwrap();
        let frames: [&[u8]; 2] = [br#"{"command":200,"nonce":1}"#, b"x"];
        client.send("commands", &frames).await.unwrap();
        service.seen(1).await.unwrap();
        died(&mut service).await;
        service.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_client_may_die_between_request_and_reply() {
    for version in AutotrainerVersion::ALL {
        let (mut service, mut client) = started(version).await;
        let endpoint = service.command_endpoint();
        let request = json!({"command": 200, "nonce": 1, "data": {"mode": "block"}}).to_string();
        client.connect("commands", "REQ", &endpoint).await.unwrap();
        client
            .send("commands", &[request.as_bytes()])
            .await
            .unwrap();
        assert_eq!(service.seen(1).await.unwrap()[0]["nonce"], 1);
        client.kill().await.unwrap();
        service.call(json!({"op": "release"})).await.unwrap();

        let mut client = AutotrainerClient::start(version).await.unwrap();
        client.connect("commands", "REQ", &endpoint).await.unwrap();
        let next = json!({"command": 200, "nonce": 2});
        assert_eq!(client.request("commands", &next).await.unwrap()["nonce"], 2);

        // Not even a delegate that waits keeps a service whose harness has gone.
        client
            .send("commands", &[request.as_bytes()])
            .await
            .unwrap();
        service.seen(2).await.unwrap();
        service.stop().await.unwrap();
    }
}

#[tokio::test]
async fn ports_in_use_are_told() {
    let version = AutotrainerVersion::V0_9_11;
    let (mut service, mut client) = started(version).await;
    let options = AutotrainerServiceOptions {
        event_port: service.event_port(),
        command_port: service.command_port(),
        delegate: false,
        ..AutotrainerServiceOptions::default()
    };
    let second = AutotrainerService::start(version, options.clone()).await;
    let error = second.unwrap_err().to_string();
    assert!(error.contains("is another using them?"), "{error}");

    let endpoint = service.command_endpoint();
    client
        .connect("commands", "DEALER", &endpoint)
        .await
        .unwrap();
    service.kill().await.unwrap();
    client
        .wait_for_event("commands", "DISCONNECTED")
        .await
        .unwrap();
    let service = AutotrainerService::start(version, options).await.unwrap();
    assert_eq!(service.command_endpoint(), endpoint);
    let unavailable = json!({"command": 200, "nonce": 3});
    let reply = client.request("commands", &unavailable).await.unwrap();
    assert_eq!(reply["result"], 9999, "{reply}");
}

/// Bound sockets make services that no library would be.
#[tokio::test]
async fn sockets_have_any_kind_and_option() {
    let mut client = AutotrainerClient::start(AutotrainerVersion::V0_12_0)
        .await
        .unwrap();
    let keys = client.call(json!({"op": "curve_keys"})).await.unwrap();
    let endpoint = "tcp://127.0.0.1:0";
    let options = json!({"CURVE_SERVER": 1, "CURVE_SECRETKEY": keys["secret"]});
    let publisher = json!({"op": "open", "socket": "publisher", "kind": "XPUB", "bind": endpoint, "options": options});
    let endpoint = client.call(publisher).await.unwrap()["endpoint"].clone();
    let options = json!({
        "CURVE_SERVERKEY": keys["public"], "CURVE_PUBLICKEY": keys["public"], "CURVE_SECRETKEY": keys["secret"],
        "HEARTBEAT_IVL": 50, "HEARTBEAT_TIMEOUT": 10_000, "RCVHWM": 10,
    });
    let subscriber = json!({
        "op": "open", "socket": "subscriber", "kind": "SUB", "connect": endpoint, "prefixes": ["a10f0000"],
        "options": options,
    });
    client.call(subscriber).await.unwrap();
    let subscription = client.receive("publisher", 1).await.unwrap();
    assert_eq!(subscription, [[[&[1][..], &EVENT].concat()]]);
    client
        .send("publisher", &[&EVENT, &HEARTBEAT, b"{}"])
        .await
        .unwrap();
    assert_eq!(client.receive("subscriber", 1).await.unwrap()[0].len(), 3);
    let events = client.events("subscriber").await.unwrap();
    assert!(!events.contains(&"DISCONNECTED".to_owned()), "{events:?}");

    let plain = json!({"op": "open", "socket": "plain", "kind": "SUB", "connect": endpoint, "timeout_s": 0.5});
    client.call(plain).await.unwrap_err();
    client.close("subscriber").await.unwrap();
    client.events("subscriber").await.unwrap_err();
}

/// spec: autotrainer 6.4
#[tokio::test]
async fn requests_are_read_by_the_real_class() {
    for version in AutotrainerVersion::ALL {
        let mut client = AutotrainerClient::start(version).await.unwrap();
        let text = br#"{"command":400,"nonce":1,"data":{"name":"A b","kept":"\u0041"}}"#;
        let read = client.parse_request(text).await.unwrap();
        let data = json!({"name": "_ab", "kept": "A"});
        let expected =
            json!({"command": "GET_STATUS", "custom_command": -1, "nonce": 1, "data": data});
        assert_eq!(read, expected);
        client.parse_request(b"{").await.unwrap_err();
    }
}

/// spec: autotrainer 13
#[tokio::test]
async fn the_console_asks_a_service() {
    for (version, start) in AutotrainerVersion::ALL.into_iter().zip([100, 50]) {
        let (mut service, _) = started(version).await;
        let endpoint = service.command_endpoint();
        let mut console = AutotrainerConsole::start(version, &endpoint).unwrap();
        assert!(console.enter("?").await.unwrap().contains("no help"));
        let replies = [
            console.enter("start now").await.unwrap(),
            console.enter("").await.unwrap(),
            console.enter("status").await.unwrap(),
        ];
        for (reply, (nonce, command)) in replies.iter().zip([(1, start), (2, start), (3, 400)]) {
            let reply: Value = serde_json::from_str(reply).unwrap();
            assert_eq!(
                (&reply["nonce"], &reply["command"]),
                (&json!(nonce), &json!(command))
            );
        }
        assert!(console.enter("bogus").await.unwrap().contains("unknown"));
        assert_eq!(service.seen(3).await.unwrap()[2]["command"], "GET_STATUS");
        console.enter("quit").await.unwrap_err();
    }
}
