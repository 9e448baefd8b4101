//! Answers that are longer than the server takes.

use std::time::Duration;

use async_nats::Message;
use autotrainer_api::{
    Command, CommandRequest, CommandResponse, Deadline, Pending, ResultCode, Service, with_pending,
};
use nodewire_testkit::NatsServer;
use serde_json::json;

use crate::setup::{Bridge, Hub, ask, ask_more, error_code, header, json, next, place_of};

const MAX_PAYLOAD: usize = 4096;
const LONG: usize = 9000;

async fn device() -> Service {
    let service = Service::builder()
        .identifier("box")
        .heartbeat_interval(Duration::from_millis(50))
        .subscriber_port(0)
        .command_port(0)
        .deadline(Deadline::Wait)
        .handler(with_pending(answer))
        .build();
    service.start().await.unwrap();
    service
}

fn long(result: ResultCode) -> CommandResponse {
    CommandResponse::new(result).with_data(&"x".repeat(LONG))
}

async fn answer(request: CommandRequest, pending: Pending) -> CommandResponse {
    match request.command {
        Command::StartAcquisition => {
            tokio::spawn(async move { pending.complete(long(ResultCode::Success)) });
            long(ResultCode::PendingWithNotification)
        }
        Command::StopAcquisition => {
            CommandResponse::new(ResultCode::Failed).with_error(42, "ä".repeat(LONG))
        }
        Command::GetStatus => long(ResultCode::Success),
        _ => CommandResponse::success(),
    }
}

async fn bridged() -> (Hub, Service, Bridge) {
    let broker = NatsServer::options().max_payload_bytes(MAX_PAYLOAD);
    let hub = Hub::of(broker.start().await.unwrap()).await;
    let device = device().await;
    let url = hub.broker.url();
    let bridge = Bridge::bridging(&url, 1, &["--device", &place_of(&device), "--allow-all"]).await;
    (hub, device, bridge)
}

/// How the command went is told, though the answer did not fit.
fn assert_cut(message: &Message, result: &str) {
    assert_eq!(error_code(message), "413", "{message:?}");
    let why = header(message, "Nats-Service-Error");
    assert!(why.contains("too large") && why.contains(result), "{why}");
    assert_eq!(header(message, "Nodewire-Result"), result);
    for name in ["Nodewire-Request-Id", "Nodewire-Device-Nonce"] {
        assert!(!header(message, name).is_empty(), "{name}: {message:?}");
    }
}

#[tokio::test]
async fn an_answer_too_large_for_the_server_still_tells_how_the_command_went() {
    let (hub, device, mut bridge) = bridged().await;
    let nonce = [("Nodewire-Nonce", r#""mine""#)];
    let subject = "devices.box.command.GET_STATUS";
    let answer = ask(&hub.client, subject, "", &nonce).await;
    assert_cut(&answer, "SUCCESS");
    let payload = json(&answer);
    assert_eq!(
        (&payload["nonce"], &payload["result"], &payload["data"]),
        (&json!("mine"), &json!(100), &json!(null))
    );
    let logged = bridge.says("command").await;
    let outcome = logged["outcome"].as_str().unwrap();
    assert!(outcome.contains("too large"), "{outcome}");

    let failed = hub.ask("devices.box.command.STOP_ACQUISITION", "").await;
    assert_cut(&failed, "FAILED");
    let payload = json(&failed);
    assert_eq!(payload["errorCode"], 42);
    let message = payload["errorMessage"].as_str().unwrap();
    assert!(message.starts_with("ää") && message.len() < 1000);
    assert_eq!(bridge.stop().await, Some(0));
    device.stop().await;
}

#[tokio::test]
async fn a_late_result_too_large_for_the_server_is_still_a_late_result() {
    let (hub, device, bridge) = bridged().await;
    let request = json!({"command": "START_ACQUISITION", "nonce": 7}).to_string();
    let mut replies = ask_more(&hub.client, "devices.box.request", &request, &[]).await;
    let (answer, late) = (next(&mut replies).await, next(&mut replies).await);
    assert_cut(&answer, "PENDING_WITH_NOTIFICATION");
    assert_cut(&late, "SUCCESS");
    assert_eq!(header(&answer, "Nodewire-Follow-Up"), "pending");
    assert_eq!(header(&late, "Nodewire-Follow-Up"), "late");
    for name in ["Nodewire-Request-Id", "Nodewire-Device-Nonce"] {
        assert_eq!(header(&answer, name), header(&late, name));
    }
    assert_eq!(
        (&json(&answer)["nonce"], &json(&late)["nonce"]),
        (&json!(7), &json!(7))
    );
    assert_eq!(bridge.stop().await, Some(0));
    device.stop().await;
}

#[tokio::test]
async fn a_nonce_that_fills_the_reply_leaves_the_headers() {
    let (hub, device, bridge) = bridged().await;
    let nonce = "n".repeat(4000);
    let request = json!({"command": "GET_ANIMALS", "nonce": nonce}).to_string();
    let answer = hub.ask("devices.box.request", &request).await;
    assert_cut(&answer, "SUCCESS");
    assert!(answer.payload.is_empty());
    // What the bridge itself has to say fits too.
    let unknown = format!("devices.box.command.{}", "Ä".repeat(1500));
    let unknown = hub.ask(&unknown, "").await;
    assert_eq!(error_code(&unknown), "404");
    assert!(!header(&unknown, "Nodewire-Request-Id").is_empty());
    assert_eq!(bridge.stop().await, Some(0));
    device.stop().await;
}
