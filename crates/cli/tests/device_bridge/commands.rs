//! Commands over the broker.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::setup::{
    Bridge, Hub, ask, ask_more, device, error_code, header, json, next, patiently, place_of,
};

#[tokio::test]
async fn answers_are_the_devices_own_with_the_nonce_of_the_caller() {
    let (hub, device) = (Hub::start().await, device("box.7").await);
    let url = hub.broker.url();
    let bridge = Bridge::bridging(&url, 1, &["--device", &place_of(&device), "--allow-all"]).await;

    let data = r#"{"aB": [1.0, 123456789012345678901234567890], "text": "Kept  As-Is_x"}"#;
    let nonce = [("Nodewire-Nonce", r#""a b""#)];
    let subject = "devices.box%2E7.command.GET_STATUS";
    let answer = ask(&hub.client, subject, data, &nonce).await;
    assert_eq!(error_code(&answer), "");
    let text = std::str::from_utf8(&answer.payload).unwrap();
    assert!(
        text.contains("[1.0,123456789012345678901234567890]"),
        "{text}"
    );
    let answered = json(&answer);
    assert_eq!(
        (&answered["nonce"], &answered["result"]),
        (&json!("a b"), &json!(100))
    );
    assert_eq!(answered["data"]["text"], "Kept  As-Is_x");
    assert_eq!(header(&answer, "Nodewire-Result"), "SUCCESS");
    assert!(!header(&answer, "Nodewire-Request-Id").is_empty());

    let by_number = json(&hub.ask("devices.box%2E7.command.400", "").await);
    assert_eq!(
        (&by_number["command"], &by_number["result"]),
        (&json!(400), &json!(100))
    );
    let whole = r#"{"command": "GET_STATUS", "nonce": 5, "data": [1]}"#;
    let whole = json(&hub.ask("devices.box%2E7.request", whole).await);
    assert_eq!((&whole["nonce"], &whole["data"]), (&json!(5), &json!([1])));
    let custom = [("Nodewire-Custom-Command", "7")];
    let custom = ask(
        &hub.client,
        "devices.box%2E7.command.USER_DEFINED",
        "",
        &custom,
    )
    .await;
    assert_eq!(json(&custom)["command"], 99999);
    let alive = json(&hub.ask("devices.box%2E7.command.NONE", "").await);
    assert_eq!(alive["result"], 100);
    assert_eq!(bridge.stop().await, Some(0));
    device.stop().await;
}

#[tokio::test]
async fn every_failure_has_its_code() {
    let (hub, device) = (Hub::start().await, device("box").await);
    let url = hub.broker.url();
    let place = place_of(&device);
    let mut bridge = Bridge::bridging(
        &url,
        1,
        &["--device", &place, "--allow-all", "--timeout", "0.5"],
    )
    .await;
    let codes = [
        ("command.STOP_ACQUISITION", "", "422"),
        ("command.EMERGENCY_RESUME", "", "503"),
        ("command.GET_CONFIGURATION", "", "504"),
        ("command.GET_STATUS", "{", "400"),
        ("command.GET_STATUS", "\u{1}", "400"),
        ("command.FLY", "", "404"),
        ("command.GET", "", "404"),
        ("request", "", "400"),
        ("request", "[]", "400"),
        ("request", "{}", "400"),
        ("request", r#"{"command": {}}"#, "400"),
        ("request", r#"{"command": 1e999}"#, "400"),
    ];
    for (subject, payload, code) in codes {
        let subject = format!("devices.box.{subject}");
        let answer = hub.ask(&subject, payload).await;
        assert_eq!(error_code(&answer), code, "{subject} {payload}: {answer:?}");
        assert!(!header(&answer, "Nodewire-Request-Id").is_empty());
    }
    let failed = hub.ask("devices.box.command.STOP_ACQUISITION", "").await;
    assert_eq!(header(&failed, "Nats-Service-Error"), "Motor not ready");
    assert_eq!(json(&failed)["errorCode"], 42);
    let deep = "[".repeat(100_000);
    let deep = hub.ask("devices.box.command.GET_STATUS", &deep).await;
    assert_eq!(error_code(&deep), "400");
    let served = hub.ask("devices.box.command.GET_STATUS", "").await;
    assert_eq!(json(&served)["result"], 100);
    device.stop().await;
    let gone = hub.ask("devices.box.command.GET_STATUS", "").await;
    assert!(["503", "504"].contains(&error_code(&gone)), "{gone:?}");
    bridge.says("command").await;
    assert_eq!(bridge.stop().await, Some(0));
}

#[tokio::test]
async fn only_what_reads_is_passed_on_unless_said() {
    let (hub, device) = (Hub::start().await, device("box").await);
    let url = hub.broker.url();
    let place = place_of(&device);
    let bridge = Bridge::bridging(&url, 1, &["--device", &place]).await;
    for forbidden in [
        "command.EMERGENCY_STOP",
        "command.200",
        "command.99999",
        "command.77",
    ] {
        let answer = hub.ask(&format!("devices.box.{forbidden}"), "").await;
        assert_eq!(error_code(&answer), "403", "{answer:?}");
    }
    let custom = r#"{"command": "USER_DEFINED", "custom_command": 7}"#;
    let forbidden = hub.ask("devices.box.request", custom).await;
    let hint = header(&forbidden, "Nats-Service-Error").to_owned();
    assert!(hint.contains("--allow custom:7;"), "{hint}");
    let answer = hub.ask("devices.box.command.GET_STATUS", "").await;
    assert_eq!(error_code(&answer), "");
    assert_eq!(bridge.stop().await, Some(0));
    assert_eq!(device.counts().requests.len(), 1);

    let bridge = Bridge::bridging(&url, 1, &["--device", &place, "--allow", "custom:7"]).await;
    let answer = hub.ask("devices.box.request", custom).await;
    assert_eq!(error_code(&answer), "");
    assert_eq!(bridge.stop().await, Some(0));

    let bridge =
        Bridge::bridging(&url, 1, &["--device", &place, "--allow", "emergency-stop"]).await;
    let answer = hub.ask("devices.box.command.200", "").await;
    assert_eq!(error_code(&answer), "");
    assert_eq!(bridge.stop().await, Some(0));

    let bridge = Bridge::bridging(&url, 1, &["--device", &place, "--read-only"]).await;
    let nobody = hub
        .client
        .request("devices.box.command.GET_STATUS", "".into())
        .await;
    let nobody = nobody.unwrap_err();
    assert_eq!(nobody.kind(), async_nats::RequestErrorKind::NoResponders);
    assert_eq!(bridge.stop().await, Some(0));
    device.stop().await;
}

#[tokio::test]
async fn a_late_result_is_a_second_reply_and_published_too() {
    let (hub, device) = (Hub::start().await, device("box").await);
    let url = hub.broker.url();
    let bridge = Bridge::bridging(&url, 1, &["--device", &place_of(&device), "--allow-all"]).await;
    let mut results = hub.subscribe("devices.box.result").await;
    let nonce = [("Nodewire-Nonce", "7")];
    let subject = "devices.box.command.START_ACQUISITION";
    let mut replies = ask_more(&hub.client, subject, r#"{"x": 1}"#, &nonce).await;
    let (answer, late) = (next(&mut replies).await, next(&mut replies).await);
    assert_eq!(header(&answer, "Nodewire-Follow-Up"), "pending");
    assert_eq!(header(&late, "Nodewire-Follow-Up"), "late");
    let id = header(&answer, "Nodewire-Request-Id");
    assert_eq!(id, header(&late, "Nodewire-Request-Id"));
    assert_eq!(
        (&json(&answer)["result"], &json(&answer)["nonce"]),
        (&json!(201), &json!(7))
    );
    let late = json(&late);
    assert_eq!((&late["result"], &late["nonce"]), (&json!(100), &json!(7)));
    assert_eq!(late["data"], json!({"x": 1}));
    let published = json(&next(&mut results).await);
    let device_nonce = header(&answer, "Nodewire-Device-Nonce");
    assert_eq!(published["nonce"].to_string(), device_nonce);
    assert_eq!(bridge.stop().await, Some(0));
    device.stop().await;
}

#[tokio::test]
async fn callers_with_the_same_nonce_get_each_their_own() {
    let (hub, device) = (Hub::start().await, device("box").await);
    let url = hub.broker.url();
    let bridge = Bridge::bridging(&url, 1, &["--device", &place_of(&device), "--allow-all"]).await;
    let one = async_nats::connect(&url).await.unwrap();
    let two = async_nats::connect(&url).await.unwrap();
    let calls = (0..40).map(|call| {
        let client = if call % 2 == 0 { &one } else { &two };
        async move {
            let whole = json!({"command": "START_ACQUISITION", "nonce": 7, "data": {"call": call}});
            let whole = whole.to_string();
            let mut replies = ask_more(client, "devices.box.request", &whole, &[]).await;
            let (answer, late) = (next(&mut replies).await, next(&mut replies).await);
            assert_eq!(
                (&json(&answer)["nonce"], &json(&late)["nonce"]),
                (&json!(7), &json!(7))
            );
            assert_eq!(json(&late)["data"], json!({"call": call}));
            header(&answer, "Nodewire-Request-Id").to_owned()
        }
    });
    let ids = patiently(futures_util::future::join_all(calls)).await;
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 40);
    assert_eq!(bridge.stop().await, Some(0));
    device.stop().await;
}

#[tokio::test]
async fn the_bridge_is_found_like_any_service() {
    let hub = Hub::start().await;
    let (one, two) = (device("one").await, device("two").await);
    let url = hub.broker.url();
    let places = [place_of(&one), format!("second={}", place_of(&two))];
    let bridge = Bridge::bridging(&url, 2, &["--device", &places[0], "--device", &places[1]]).await;
    let found = tokio::process::Command::new(env!("CARGO_BIN_EXE_nodewire"))
        .args(["micro", "info", "--json", "--server", &url])
        .output();
    let found = String::from_utf8(patiently(found).await.unwrap().stdout).unwrap();
    for text in [
        "device-bridge",
        "devices.one.command.*",
        "devices.second.request",
    ] {
        assert!(found.contains(text), "{text} in {found}");
    }
    let answer: Value = json(&hub.ask("devices.second.command.GET_STATUS", "2").await);
    assert_eq!(answer["data"], 2);
    assert_eq!(bridge.stop().await, Some(0));
    tokio::join!(one.stop(), two.stop());
}

#[tokio::test]
async fn a_second_bridge_does_not_take_commands_away() {
    let hub = Hub::start().await;
    let (one, two) = (device("same").await, device("same").await);
    let url = hub.broker.url();
    let first = Bridge::bridging(&url, 1, &["--device", &place_of(&one)]).await;
    let second = Bridge::start(&url, &["--device", &place_of(&two)]);
    assert_eq!(second.ended().await, Some(1));
    let place = format!("other={}", place_of(&two));
    let other = Bridge::bridging(&url, 1, &["--device", &place]).await;
    assert_eq!(tokio::join!(first.stop(), other.stop()), (Some(0), Some(0)));
    assert_eq!(two.counts().requests, []);
    tokio::join!(one.stop(), two.stop());
}

#[tokio::test]
async fn two_devices_of_one_name_are_not_bridged() {
    let hub = Hub::start().await;
    let (one, two) = (device("same").await, device("same").await);
    let (one_place, two_place) = (place_of(&one), place_of(&two));
    let arguments = ["--device", &one_place, "--device", &two_place];
    let bridge = Bridge::start(&hub.broker.url(), &arguments);
    assert_eq!(bridge.ended().await, Some(2));
    tokio::join!(one.stop(), two.stop());
}
