//! Requests that were understood, and their responses.

use std::num::NonZeroU64;

use autotrainer_api::casing::decamelize;
use autotrainer_api::command::data::{AppState, Configuration};
use autotrainer_api::json::{Json, escape_for_text_mode};
use autotrainer_api::{
    Command, CommandAnswer, CommandRequest, CommandResponse, CommandResult, ErrorKind, Limits,
    OutgoingRequest, ProtocolLevel, ResultCode,
};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::recording::{frames, scenario, scenarios};

/// Steps where text inside a request was rewritten by the peer, and is kept by us. spec: autotrainer 6.4, 6.5
const REWRITTEN: [&str; 4] = [
    "nonce string",
    "custom_command string",
    "data string",
    "data values",
];

fn read(frames: &[Bytes], level: ProtocolLevel) -> CommandRequest {
    CommandRequest::from_frames(frames, level, &Limits::default()).unwrap()
}

fn value(json: &Json) -> Value {
    json.decode().unwrap()
}

fn as_seen(request: &CommandRequest) -> Value {
    json!({
        "command": request.command.name(),
        "custom_command": value(&request.custom_command),
        "nonce": value(&request.nonce),
        "data": value(&request.data()),
    })
}

#[test]
fn requests_reach_the_handler_as_they_reached_the_delegate() {
    for scenario in scenarios("cmd") {
        for step in scenario.steps() {
            let name = step["step"].as_str().unwrap();
            // 0.9.11 takes `false` for `NONE`; 0.12.0 keeps `NONE` from the delegate.
            if step["delegate_saw"].is_null() || name == "boolean command false" {
                continue;
            }
            let sent = frames(&step["request"]);
            let request = read(&sent, scenario.level);
            if !REWRITTEN.contains(&name) {
                assert_eq!(as_seen(&request), step["delegate_saw"], "{name}");
            }
            // What the peer saw is what we see of the text that it rewrote.
            let rewritten = Bytes::from(decamelize(std::str::from_utf8(&sent[0]).unwrap()));
            let request = read(&[rewritten], scenario.level);
            assert_eq!(as_seen(&request), step["delegate_saw"], "{name}, rewritten");
        }
    }
}

#[test]
fn strings_in_requests_are_kept_where_the_peer_rewrites_them() {
    let scenario = scenario("cmd", ProtocolLevel::V0_12_0);
    let request = |name: &str| {
        let step = scenario
            .steps()
            .iter()
            .find(|step| step["step"] == name)
            .unwrap();
        read(&frames(&step["request"]), scenario.level)
    };
    assert_eq!(request("nonce string").nonce.as_str(), r#""Abc_d-e f""#);
    assert_eq!(
        request("nonce large").nonce.as_str(),
        "1180591620717411303424"
    );
    assert_eq!(
        request("custom_command string").custom_command.as_str(),
        r#""My Command""#
    );
    assert_eq!(request("data string").data().as_str(), r#""Some Text""#);
    let data = json!({"some_key": "Hello World", "path": "/Home/My Dir", "uuid": "1B4E28BA-2FA1", "neg": -5,
        "user_id": 1, "snake_key": "snake_value"});
    assert_eq!(value(&request("data values").data()), data);
}

#[test]
fn an_unknown_command_keeps_its_number_for_the_handler() {
    let scenario = scenario("cmd", ProtocolLevel::V0_12_0);
    for (name, raw) in [
        ("unknown integer command", "12345"),
        ("string command \"100\"", "\"100\""),
        ("boolean command false", "false"),
        ("boolean command true", "true"),
        ("null command", "null"),
        ("negative command", "-1"),
    ] {
        let step = scenario
            .steps()
            .iter()
            .find(|step| step["step"] == name)
            .unwrap();
        let request = read(&frames(&step["request"]), scenario.level);
        assert_eq!(
            (request.command, request.raw_command.as_str()),
            (Command::UserDefined, raw)
        );
        assert_eq!(request.custom_command.as_str(), "-1");
    }
}

/// The response that a handler would have given to get this answer.
fn given(answer: &CommandAnswer) -> CommandResponse {
    let response =
        CommandResponse::new(answer.result).with_verbatim_data(answer.verbatim_data.clone());
    if answer.error_kind == ErrorKind::SystemError {
        return response.with_failed_data();
    }
    let mut response = response;
    response.error_code = answer.error_code;
    response.error_message.clone_from(&answer.error_message);
    response
}

/// Steps whose response we do not give: `NONE` reaches our handlers, `false` is no number, a nonce is not rewritten, and
/// a result is a number.
const OTHER_RESPONSE: [&str; 4] = [
    "command NONE",
    "boolean command false",
    "nonce string",
    "delegate mode strresult",
];

#[test]
fn responses_of_0_12_0_are_written_byte_for_byte() {
    let scenario = scenario("cmd", ProtocolLevel::V0_12_0);
    let mut compared = 0;
    for step in scenario.steps() {
        let name = step["step"].as_str().unwrap();
        if OTHER_RESPONSE.contains(&name) {
            continue;
        }
        let recorded = frames(&step["response"]);
        let answer =
            CommandAnswer::from_frames(&recorded, scenario.level, &Limits::default()).unwrap();
        assert!(answer.odd_fields.is_empty() && !answer.is_lossy);
        let request = read(&frames(&step["request"]), scenario.level);
        assert_eq!(
            given(&answer).to_frame(&request, scenario.level),
            recorded[0],
            "{name}"
        );
        compared += 1;
    }
    assert!(compared > 60, "{compared}");
}

#[test]
fn responses_of_0_9_11_are_read() {
    for scenario in scenarios("cmd")
        .iter()
        .filter(|scenario| scenario.level.has_lossy_responses())
    {
        for step in scenario.steps() {
            let recorded = frames(&step["response"]);
            let text: Value = match serde_json::from_slice(&recorded[0]) {
                Ok(text) => text,
                // `NaN` in one of them.
                Err(_) => value(&Json::parse_bytes(recorded[0].clone()).unwrap()),
            };
            let answer =
                CommandAnswer::from_frames(&recorded, scenario.level, &Limits::default()).unwrap();
            assert!(answer.is_lossy);
            assert_eq!(value(&answer.nonce), text["nonce"]);
            assert_eq!(answer.command_number, text["command"].as_i64());
            assert_eq!(value(&answer.verbatim_data), text["data"]);
            assert_eq!(answer.error_code, text["errorCode"].as_i64().unwrap());
            assert_eq!(
                answer.error_message.as_deref(),
                text["errorMessage"].as_str()
            );
            let result = text["result"]
                .as_i64()
                .map_or(ResultCode::Failed, ResultCode::from_value);
            assert_eq!(answer.result, result);
            assert_eq!(answer.odd_fields.is_empty(), text["result"].is_i64());
        }
    }
}

#[test]
fn configuration_and_status_decode() {
    let of_mode = |level, mode: &str| {
        let scenario = scenario("cmd", level);
        let name = format!("delegate mode {mode}");
        let step = scenario
            .steps()
            .iter()
            .find(|step| step["step"] == name.as_str())
            .unwrap();
        CommandAnswer::from_frames(&frames(&step["response"]), level, &Limits::default()).unwrap()
    };
    let configuration: Configuration = of_mode(ProtocolLevel::V0_12_0, "dc").decode_data().unwrap();
    assert_eq!(configuration.data_location, "/srv/Raw_Data");
    let status = json!({"appStatus": 0, "trainingMode": 100, "animalId": "123456"});
    let status: AppState = serde_json::from_value(status).unwrap();
    assert_eq!(status.training_mode, autotrainer_api::TrainingMode::Manual);
    let failed = of_mode(ProtocolLevel::V0_12_0, "set");
    assert!(!failed.has_data() && failed.result == ResultCode::Success);
    assert_eq!(
        failed.error_message.as_deref(),
        Some(CommandResponse::DATA_FAILED_MESSAGE)
    );
}

#[test]
fn without_a_delegate_the_answer_is_unavailable() {
    let scenario = scenario("nodelegate", ProtocolLevel::V0_12_0);
    for step in scenario
        .steps()
        .iter()
        .filter(|step| step["step"] != "no delegate, NONE")
    {
        let request = read(&frames(&step["request"]), scenario.level);
        let answer = CommandResponse::unavailable().to_frame(&request, scenario.level);
        assert_eq!(answer, frames(&step["response"])[0]);
    }
}

#[test]
fn a_pending_command_and_its_late_result_are_written_byte_for_byte() {
    let scenario = scenario("async", ProtocolLevel::V0_12_0);
    let request = read(&frames(&scenario.result["request"]), scenario.level);
    let pending = CommandResponse::new(ResultCode::PendingWithNotification);
    assert_eq!(
        pending.to_frame(&request, scenario.level),
        frames(&scenario.result["response"])[0]
    );

    let published = frames(&scenario.result["later_published"]);
    let response = CommandResponse::success().with_data(&json!({"final_value": 3}));
    let result = CommandResult::of(&request, scenario.level, response);
    assert_eq!(result.to_payload(), published[1]);
    assert_eq!(
        CommandResult::parse(&published[1], &Limits::default()),
        Ok(result)
    );
}

#[test]
fn an_escaped_request_is_written_byte_for_byte_and_arrives_intact() {
    for scenario in scenarios("escaped_request") {
        let sent = frames(&scenario.result["request"]);
        let request = read(&sent, scenario.level);
        assert_eq!(
            value(&request.verbatim_data),
            scenario.result["delegate_saw"]["data"]
        );
        let again = OutgoingRequest::numbered(200, NonZeroU64::MIN)
            .with_verbatim_data(request.verbatim_data.clone());
        assert_eq!(again.to_frame(), sent[0]);
        // From plain text too.
        let plain = Json::parse(r#"{"name": "Hello World_x - Y"}"#).unwrap();
        let escaped = escape_for_text_mode(&plain);
        let member = escaped.trim_matches(['{', '}']);
        assert!(
            std::str::from_utf8(&sent[0]).unwrap().contains(member),
            "{member}"
        );
    }
}

#[test]
fn requests_of_the_remote_console_are_ours() {
    let level = ProtocolLevel::V0_9_11;
    let scenario = scenario("tools", level);
    let commands = [
        ("start", Command::StartAcquisition),
        ("stop", Command::StopAcquisition),
        ("configuration", Command::GetConfiguration),
        ("status", Command::GetStatus),
    ];
    for (input, command) in commands {
        let lines = scenario.result["remote_console"].as_array().unwrap();
        let line = lines.iter().find(|line| line["input"] == input).unwrap();
        let nonce = NonZeroU64::new(line["sent"]["nonce"].as_u64().unwrap()).unwrap();
        let frame = OutgoingRequest::new(command, level, nonce)
            .unwrap()
            .to_frame();
        assert_eq!(
            serde_json::from_slice::<Value>(&frame).unwrap(),
            line["sent"]
        );
        if let Some(reply) = line["reply"].as_str() {
            let reply = Bytes::from(reply.to_owned());
            let answer = CommandAnswer::from_frames(&[reply], level, &Limits::default()).unwrap();
            assert_eq!(answer.command_number, command.number(level));
        }
    }
}
