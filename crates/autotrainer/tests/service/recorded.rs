//! The recorded exchanges of 0.12.0, byte for byte, through the socket. spec: autotrainer 17 (2), (5)

use std::sync::{Arc, Mutex};

use autotrainer_api::{
    CommandAnswer, CommandRequest, CommandResponse, ErrorKind, Limits, ProtocolLevel, ResultCode,
    unreadable_answer,
};
use serde_json::Value;

use crate::clients::{Client, builder, serving, started};
use crate::recording::{frames, scenario};

const LEVEL: ProtocolLevel = ProtocolLevel::V0_12_0;

/// What the delegate answered to get this response. `None` where we ask for something else: `NONE` reaches our handlers,
/// `false` is no number, the text of a nonce is kept, and a result is a number. spec: autotrainer 6.5, 7.2, 7.4
fn delegate_answer(step: &Value) -> Option<CommandResponse> {
    let other = [
        "command NONE",
        "boolean command false",
        "nonce string",
        "delegate mode strresult",
    ];
    if other.contains(&step["step"].as_str().unwrap()) {
        return None;
    }
    let recorded = frames(&step["response"]);
    let answer = CommandAnswer::from_frames(&recorded, LEVEL, &Limits::default()).unwrap();
    let mut response = CommandResponse::new(answer.result).with_verbatim_data(answer.verbatim_data);
    if answer.error_kind == ErrorKind::SystemError {
        return Some(response.with_failed_data());
    }
    response.error_code = answer.error_code;
    response.error_message = answer.error_message;
    Some(response)
}

#[tokio::test]
async fn every_readable_request_is_answered_as_recorded() {
    let answer = Arc::new(Mutex::new(CommandResponse::success()));
    let of_handler = Arc::clone(&answer);
    let service = serving(move |_: CommandRequest| {
        let answer = of_handler.lock().unwrap().clone();
        async move { answer }
    })
    .await;
    let client = Client::of(&service).await;
    let mut compared = 0;
    for step in scenario("cmd", LEVEL).steps() {
        let Some(response) = delegate_answer(step) else {
            continue;
        };
        // What the application answers with 201, it publishes itself.
        *answer.lock().unwrap() = response;
        let reply = client.ask_frames(&frames(&step["request"])).await;
        assert_eq!(reply, frames(&step["response"])[0], "{}", step["step"]);
        compared += 1;
    }
    assert!(compared > 60, "{compared}");
    service.stop().await;
}

#[tokio::test]
async fn every_unreadable_request_is_answered_and_the_next_one_is_served() {
    // Their only defect is what the peer makes of their text.
    let read_by_us = [
        "Pascal-case key Command",
        "upper-case hex unicode escape",
        "exponent with capital E",
    ];
    let service = serving(async |_: CommandRequest| CommandResponse::success()).await;
    let client = Client::of(&service).await;
    let mut unreadable = 0;
    for (nonce, step) in (1..).zip(scenario("bad", LEVEL).steps()) {
        let name = step["step"].as_str().unwrap();
        let reply = client.ask_frames(&frames(&step["request"])).await;
        if read_by_us.contains(&name) {
            let answer = CommandAnswer::from_frames(&[reply], LEVEL, &Limits::default()).unwrap();
            assert_eq!(answer.result, ResultCode::Success, "{name}");
        } else {
            assert_eq!(reply, unreadable_answer(), "{name}");
            unreadable += 1;
        }
        client.assert_served(nonce).await;
    }
    let counted: u64 = service
        .counts()
        .malformed
        .iter()
        .map(|(_, count)| count)
        .sum();
    assert_eq!(counted, unreadable);
    service.stop().await;
}

#[tokio::test]
async fn without_a_handler_commands_are_unavailable() {
    let service = started(builder()).await;
    let client = Client::of(&service).await;
    for step in scenario("nodelegate", LEVEL).steps() {
        let reply = client.ask_frames(&frames(&step["request"])).await;
        // The peer intercepts `NONE`. spec: autotrainer 7.4
        if step["step"] != "no delegate, NONE" {
            assert_eq!(reply, frames(&step["response"])[0], "{}", step["step"]);
        }
        let answer = CommandAnswer::from_frames(&[reply], LEVEL, &Limits::default()).unwrap();
        assert_eq!(answer.result, ResultCode::Unavailable);
    }
    service.stop().await;
}
