//! Requests that the peer could not read. spec: autotrainer 7.3, 7.5

use autotrainer_api::json::JsonError;
use autotrainer_api::{CommandRequest, Limits, ProtocolLevel, RequestError, unreadable_answer};

use crate::recording::{frames, scenario, scenarios};

/// Requests whose only defect is what the peer makes of their text; we read them. spec: autotrainer 17 (2)
const READ_BY_US: [&str; 3] = [
    "Pascal-case key Command",
    "upper-case hex unicode escape",
    "exponent with capital E",
];

fn read(step: &serde_json::Value, level: ProtocolLevel) -> Result<CommandRequest, RequestError> {
    CommandRequest::from_frames(&frames(&step["request"]), level, &Limits::default())
}

#[test]
fn what_the_peer_cannot_read_is_refused_with_its_answer() {
    for scenario in scenarios("bad") {
        for step in scenario.steps() {
            let name = step["step"].as_str().unwrap();
            let refused = read(step, scenario.level).is_err();
            assert_eq!(refused, !READ_BY_US.contains(&name), "{name}");
            // Of two frames the peer dies; of the others 0.9.11 does.
            if !step["response"].is_null() {
                assert_eq!(unreadable_answer(), frames(&step["response"])[0], "{name}");
            }
        }
    }
}

#[test]
fn each_refusal_has_its_reason() {
    let scenario = scenario("bad", ProtocolLevel::V0_12_0);
    for (name, reason) in [
        (
            "UTF-8 byte order mark",
            RequestError::Json(JsonError::ByteOrderMark),
        ),
        ("NaN literal", RequestError::Json(JsonError::NotFinite)),
        ("missing command key", RequestError::NoCommand),
        ("upper-case key COMMAND", RequestError::NoCommand),
        ("array", RequestError::NotAnObject),
        (
            "JSON string containing the word command",
            RequestError::NotAnObject,
        ),
        ("list as command", RequestError::CommandNoScalar),
        ("object as command", RequestError::CommandNoScalar),
        ("two-frame request", RequestError::FrameCount(2)),
    ] {
        let step = scenario
            .steps()
            .iter()
            .find(|step| step["step"] == name)
            .unwrap();
        assert_eq!(read(step, scenario.level), Err(reason), "{name}");
        assert!(RequestError::NAMES.contains(&reason.name()));
    }
    for name in [
        "malformed JSON",
        "not JSON text",
        "empty message",
        "non-UTF-8",
    ] {
        let step = scenario
            .steps()
            .iter()
            .find(|step| step["step"] == name)
            .unwrap();
        let error = read(step, scenario.level).unwrap_err();
        assert!(
            matches!(error, RequestError::Json(JsonError::Malformed(_))),
            "{name}"
        );
    }
}
