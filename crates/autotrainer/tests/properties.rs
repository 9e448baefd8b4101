//! What holds for any input.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZeroU64;

use autotrainer_api::casing::{camelize, camelize_keys, decamelize, decamelize_keys};
use autotrainer_api::json::{Json, encode};
use autotrainer_api::{
    Command, CommandAnswer, CommandRequest, CommandResponse, CommandResult, Event, Heartbeat,
    Limits, OutgoingRequest, ProtocolLevel, Received, ResultCode, UnixTime,
};
use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::Value;

fn levels() -> impl Strategy<Value = ProtocolLevel> {
    proptest::sample::select(ProtocolLevel::ALL)
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Names that survive both ways. spec: autotrainer 6.5 (6)
fn names() -> impl Strategy<Value = String> {
    let one_letter = |word: &str| word.bytes().filter(u8::is_ascii_lowercase).count() == 1;
    vec("[a-z]{1,6}[0-9]{0,3}", 1..6)
        .prop_filter("two consecutive words of one letter", move |words| {
            !words[1..]
                .windows(2)
                .any(|pair| one_letter(&pair[0]) && one_letter(&pair[1]))
        })
        .prop_map(|words| words.join("_"))
}

/// JSON texts, nearly JSON texts, and bytes.
fn frames() -> impl Strategy<Value = Bytes> {
    let fields = "command|customCommand|custom_command|nonce|data|kind|context|index|result|identifier|timestamp";
    let value =
        "[0-9]{1,3}|-1|1e400|NaN|null|true|\"[A-Za-z _-]{0,5}\"|\\[1\\]|\\{\"aB\":-Infinity\\}";
    let member = (fields, value).prop_map(|(key, value)| format!("\"{key}\":{value}"));
    prop_oneof![
        vec(member, 0..6).prop_map(|members| Bytes::from(format!("{{{}}}", members.join(",")))),
        any::<String>().prop_map(Bytes::from),
        vec(any::<u8>(), 0..64).prop_map(Bytes::from),
    ]
}

proptest! {
    #[test]
    fn casing_takes_any_text(text in any::<String>()) {
        let camel = camelize(&text);
        let snake = decamelize(&text);
        prop_assert!(camel == text || !camel.contains(char::is_whitespace));
        prop_assert!(snake == text || !snake.contains(|char: char| char.is_whitespace() || char.is_ascii_uppercase()));
    }

    #[test]
    fn names_by_the_rule_survive_both_ways(name in names()) {
        prop_assert_eq!(decamelize(&camelize(&name)), name);
    }

    #[test]
    fn only_keys_change(value in vec(prop_oneof![Just(Value::Null), any::<String>().prop_map(Value::from)], 0..8)) {
        let json = encode(&value).unwrap();
        prop_assert_eq!(camelize_keys(&json), json.clone());
        prop_assert_eq!(decamelize_keys(&json), json);
    }

    #[test]
    fn any_frames_are_read_or_refused(frames in vec(frames(), 0..4), level in levels()) {
        let limits = Limits::default();
        if let Ok(request) = CommandRequest::from_frames(&frames, level, &limits) {
            let frame = CommandResponse::success().to_frame(&request, level);
            let answer = CommandAnswer::from_frames(&[frame], level, &limits).unwrap();
            prop_assert_eq!(answer.nonce, request.nonce.to_strict());
            prop_assert_eq!(answer.command_number, request.command.number(level));
        }
        let _ = CommandAnswer::from_frames(&frames, level, &limits);
        if let Ok(received) = Received::from_frames(&frames, &limits) {
            prop_assert_eq!(Some(&received.payload), frames.last());
            let _ = Heartbeat::parse(&received.payload, &limits);
            let _ = CommandResult::parse(&received.payload, &limits);
            if let Ok(event) = Event::parse(&received.payload, &limits) {
                let _ = event.payload(level);
                let again = Event::parse(&event.to_payload(), &limits).unwrap();
                prop_assert_eq!(again.to_payload(), event.to_payload());
            }
        }
    }

    /// No Python service changes anything in what we send.
    #[test]
    fn a_request_arrives_as_it_was_written(data in values(), nonce in 1_u64.., custom in any::<Option<i64>>()) {
        let nonce = NonZeroU64::new(nonce).unwrap();
        let mut request = OutgoingRequest::numbered(200, nonce).with_verbatim_data(encode(&data).unwrap());
        request.custom_command = custom.map(|custom| Value::from(custom).into());
        let frame = request.to_frame();
        let text = std::str::from_utf8(&frame).unwrap();
        prop_assert_eq!(decamelize(text), text);
        let level = ProtocolLevel::NEWEST;
        let read = CommandRequest::from_frames(std::slice::from_ref(&frame), level, &Limits::default()).unwrap();
        prop_assert_eq!(read.command, Command::EmergencyStop);
        prop_assert_eq!(read.nonce.as_str(), nonce.to_string());
        prop_assert_eq!(read.custom_command.decode::<i64>().unwrap(), custom.unwrap_or(-1));
        // Both from their texts, since this decoder does not round all floats exactly.
        let data: Value = request.data.decode().unwrap();
        prop_assert_eq!(read.verbatim_data.decode::<Value>().unwrap(), data);
    }

    #[test]
    fn a_response_is_read_as_it_was_written(
        (data, code) in (values(), any::<i64>()),
        message in any::<Option<String>>(),
        result in any::<i64>(),
    ) {
        let level = ProtocolLevel::NEWEST;
        let request = Bytes::from_static(br#"{"command":200,"nonce":"\ud83d\ude00 A_b"}"#);
        let request = CommandRequest::from_frames(&[request], level, &Limits::default()).unwrap();
        let mut response = CommandResponse::new(ResultCode::from_value(result))
            .with_verbatim_data(encode(&data).unwrap());
        response.error_code = code;
        response.error_message = message;
        let frame = response.to_frame(&request, level);
        let answer = CommandAnswer::from_frames(&[frame], level, &Limits::default()).unwrap();
        prop_assert_eq!(&answer.nonce, &request.nonce);
        prop_assert_eq!(answer.result, response.result);
        prop_assert_eq!(answer.error_kind, response.error_kind());
        prop_assert_eq!((answer.error_code, &answer.error_message), (code, &response.error_message));
        prop_assert_eq!(&answer.verbatim_data, &response.data);
        prop_assert!(answer.odd_fields.is_empty());

        let late = CommandResult::of(&request, level, response);
        prop_assert_eq!(CommandResult::parse(&late.to_payload(), &Limits::default()), Ok(late));
    }

    #[test]
    fn published_messages_are_read_as_they_were_written(
        (kind, index, repeat) in (any::<i64>(), any::<u64>(), any::<Option<u32>>()),
        when in -1e12_f64..1e12,
        context in values(),
        identifier in any::<String>(),
    ) {
        let mut event = Event::numbered(kind, UnixTime(when), index).with_verbatim_context(encode(&context).unwrap());
        event.repeat = repeat.map(u64::from);
        prop_assert_eq!(Event::parse(&event.to_payload(), &Limits::default()), Ok(event));

        let heartbeat = Heartbeat { identifier, version: "0.12.0".to_owned(), timestamp: UnixTime(when) };
        prop_assert_eq!(Heartbeat::parse(&heartbeat.to_payload(), &Limits::default()), Ok(heartbeat));
    }
}

#[test]
fn a_number_of_any_size_is_echoed() {
    let nonce = "1".repeat(400);
    let frame = Bytes::from(format!(r#"{{"command":200,"nonce":{nonce}}}"#));
    let level = ProtocolLevel::NEWEST;
    let request = CommandRequest::from_frames(&[frame], level, &Limits::default()).unwrap();
    assert_eq!(request.nonce, Json::parse(nonce).unwrap());
}
