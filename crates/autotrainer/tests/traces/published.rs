//! Published messages: heartbeats, events, anomalies.

use autotrainer_api::event::payloads::ActiveAlarms;
use autotrainer_api::status::AlarmStatus;
use autotrainer_api::{
    AlarmKind, Anomaly, CommandResult, EmergencyStopReason, Event, EventKind, EventPayload,
    Heartbeat, Limits, ProtocolLevel, Received, ResultCode, Topic, UnixTime,
};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::recording::{frames, scenario, scenarios};

const WHEN: UnixTime = UnixTime(1_735_787_045.678_901);

fn receive(frames: &[Bytes]) -> Received {
    Received::from_frames(frames, &Limits::default()).unwrap()
}

/// The messages that a step published, received.
fn published(step: &Value) -> Vec<Received> {
    let messages = step["published"].as_array().unwrap();
    messages
        .iter()
        .map(|message| receive(&frames(message)))
        .collect()
}

fn step<'s>(steps: &'s [Value], name: &str) -> &'s Value {
    steps.iter().find(|step| step["step"] == name).unwrap()
}

#[test]
fn heartbeats_are_read_and_written_byte_for_byte() {
    for scenario in scenarios("heartbeat") {
        for message in scenario.result["published"].as_array().unwrap() {
            let received = receive(&frames(&message["frames"]));
            assert_eq!((received.topic, received.anomaly), (Topic::HEARTBEAT, None));
            let heartbeat = Heartbeat::parse(&received.payload, &Limits::default()).unwrap();
            assert_eq!(
                heartbeat.identifier,
                scenario.result["options"]["identifier"]
            );
            assert_eq!(heartbeat.level(), scenario.level);
            assert_eq!(heartbeat.to_payload(), received.payload);
        }
    }
}

#[test]
fn events_are_written_again_byte_for_byte() {
    for scenario in scenarios("pub") {
        let mut events = 0;
        for step in scenario.steps() {
            let messages = published(step);
            let Some(event) = messages
                .first()
                .and_then(|first| Event::parse(&first.payload, &Limits::default()).ok())
            else {
                continue;
            };
            events += 1;
            for message in &messages {
                let not_finite = message.payload.windows(3).any(|window| window == b"NaN");
                assert!(not_finite || event.to_payload() == message.payload);
            }
            let direct = step["step"].as_str().unwrap().contains(" on ");
            let topics: Vec<Topic> = messages.iter().map(|message| message.topic).collect();
            assert!(direct || topics == event.topics(), "{}", step["step"]);
        }
        assert!(events > 13, "{events}");
    }
}

#[test]
fn what_is_not_finite_is_written_as_null() {
    let (old, new) = (
        scenario("pub", ProtocolLevel::V0_9_11),
        scenario("pub", ProtocolLevel::V0_12_0),
    );
    let name = "event NaN and infinities";
    let event = Event::parse(
        &published(step(old.steps(), name))[0].payload,
        &Limits::default(),
    )
    .unwrap();
    assert_eq!(
        event.to_payload(),
        published(step(new.steps(), name))[0].payload
    );
}

#[test]
fn payloads_that_are_no_events_are_anomalies() {
    let scenario = scenario("pub", ProtocolLevel::V0_9_11);
    for name in [
        "send_dict topic EVENT",
        "send bytes",
        "send empty bytes",
        "send_string",
    ] {
        let received = published(step(scenario.steps(), name)).remove(0);
        assert_eq!(received.topic, Topic::EVENT);
        assert_eq!(
            Event::parse(&received.payload, &Limits::default()),
            Err(Anomaly::Payload)
        );
    }
    let printed = "COMMAND_RESULT from the response object itself (as the README suggests)";
    let received = published(step(scenario.steps(), printed)).remove(0);
    assert_eq!(received.topic, Topic::COMMAND_RESULT);
    let result = CommandResult::parse(&received.payload, &Limits::default());
    assert_eq!(result, Err(Anomaly::Payload));
}

#[test]
fn topics_that_applications_made_up_are_received() {
    let scenario = scenario("pub", ProtocolLevel::V0_9_11);
    for (name, topic) in [
        ("send_dict topic ANY", 0),
        ("send_dict topic 123456 (plain integer)", 123_456),
        ("send_dict topic 4294967295", u32::MAX),
    ] {
        assert_eq!(
            published(step(scenario.steps(), name))[0].topic,
            Topic(topic)
        );
    }
}

#[test]
fn a_stale_topic_before_a_message_is_told_from_its_own() {
    let scenario = scenario("pub", ProtocolLevel::V0_9_11);
    let after = published(step(scenario.steps(), "event after the unserializable one")).remove(0);
    assert_eq!(
        (after.topic, after.anomaly),
        (Topic::EVENT, Some(Anomaly::SurplusFrames))
    );
    let emergency = published(step(scenario.steps(), "then EMERGENCY event"));
    let topics: Vec<_> = emergency
        .iter()
        .map(|message| (message.topic, message.anomaly))
        .collect();
    let expected = [
        (Topic::EMERGENCY, Some(Anomaly::SurplusFrames)),
        (Topic::EVENT, None),
    ];
    assert_eq!(topics, expected);
}

/// The shapes that were seen while a heartbeat thread shared the socket.
#[test]
fn interleaved_messages_are_told_apart() {
    let (event, beat) = (
        Bytes::from_static(br#"{"kind": 1101, "when": 1.0, "index": 5, "context": null}"#),
        Bytes::from_static(br#"{"identifier": "d", "version": "0.9.11", "timestamp": 1.0}"#),
    );
    let frame = |topic: Topic| Bytes::copy_from_slice(&topic.to_frame());
    let (event_topic, beat_topic) = (frame(Topic::EVENT), frame(Topic::HEARTBEAT));
    let surplus = Some(Anomaly::SurplusFrames);
    let alone = Some(Anomaly::TopicMissing);
    for (shape, message, topic, anomaly) in [
        (
            "[EVENT topic, HEARTBEAT topic, event payload]",
            vec![&event_topic, &beat_topic, &event],
            Topic::EVENT,
            surplus,
        ),
        (
            "[EVENT topic, HEARTBEAT topic, heartbeat payload]",
            vec![&event_topic, &beat_topic, &beat],
            Topic::HEARTBEAT,
            surplus,
        ),
        (
            "[HEARTBEAT topic, EVENT topic, heartbeat payload]",
            vec![&beat_topic, &event_topic, &beat],
            Topic::HEARTBEAT,
            surplus,
        ),
        ("[event payload] alone", vec![&event], Topic::EVENT, alone),
        (
            "[heartbeat payload] alone",
            vec![&beat],
            Topic::HEARTBEAT,
            alone,
        ),
    ] {
        let recorded = scenarios_of_race();
        assert!(recorded.contains(&json!(shape)), "{shape}");
        let message: Vec<Bytes> = message.into_iter().cloned().collect();
        let received = receive(&message);
        assert_eq!(
            (received.topic, received.anomaly),
            (topic, anomaly),
            "{shape}"
        );
    }
}

fn scenarios_of_race() -> Vec<Value> {
    let scenario = scenarios("heartbeat_race").remove(0);
    let shapes = scenario.result["malformed_shapes_seen"].as_array().unwrap();
    assert_eq!(shapes.len(), 5);
    shapes.clone()
}

#[test]
fn typed_events_are_written_byte_for_byte() {
    let scenario = scenario("pub", ProtocolLevel::V0_12_0);
    let level = scenario.level;
    let payload = |name: &str| published(step(scenario.steps(), name)).remove(0).payload;

    let event = Event::new(EventKind::ApplicationLaunched, level, WHEN, 123_456_789).unwrap();
    assert_eq!(
        event.to_payload(),
        payload("event applicationLaunched, null context")
    );

    let mut event = Event::new(EventKind::TunnelEnter, level, WHEN, 5).unwrap();
    event.repeat = Some(2);
    assert_eq!(event.to_payload(), payload("send_event(ApiEvent)"));

    let stop = EventPayload::EmergencyStop(ActiveAlarms {
        reason: "x".to_owned(),
        reason_code: EmergencyStopReason::UserButton,
        active_alarms: vec![AlarmKind::AnimalMissing],
    });
    let event = Event::new(EventKind::EmergencyStop, level, WHEN, 6).unwrap();
    let mut event = event.with_payload(&stop).unwrap();
    event.repeat = Some(0);
    assert_eq!(
        event.to_payload(),
        payload("send_event(ApiEvent emergencyStop)")
    );
    assert_eq!(event.payload(level).unwrap(), stop);

    let alarm = EventPayload::Alarm(AlarmStatus {
        alarm_id: AlarmKind::Thrashing,
        is_active: true,
        is_enabled: true,
        is_auto_resume_enabled: false,
        is_stop_condition: false,
    });
    let event = Event::new(EventKind::AlarmChanged, level, WHEN, 123_456_789).unwrap();
    let event = event.with_payload(&alarm).unwrap();
    assert_eq!(event.to_payload(), payload("event with dataclass context"));

    let context = json!({"when_local": 1_735_787_045.0});
    let event = Event::new(EventKind::ApplicationLaunched, level, WHEN, 123_456_789).unwrap();
    let event = event.with_context(&context).unwrap();
    assert_eq!(event.to_payload(), payload("event naive datetime"));
}

#[test]
fn contexts_decode_by_level() {
    let old = scenario("pub", ProtocolLevel::V0_9_11);
    let decode = |name: &str| {
        let received = published(step(old.steps(), name)).remove(0);
        Event::parse(&received.payload, &Limits::default())
            .unwrap()
            .payload(old.level)
            .unwrap()
    };
    assert!(
        matches!(decode("event propertyChanged"), EventPayload::PropertyChange(change) if change.name == "some_name")
    );
    assert!(matches!(
        decode("property change on PROPERTY_CHANGE"),
        EventPayload::PropertyChange(_)
    ));
    assert!(
        matches!(decode("event emergencyStop"), EventPayload::EmergencyStop(stop) if stop.reason == "user_pressed button")
    );
    assert!(matches!(
        decode("event with uuid/datetime/nested context"),
        EventPayload::TrainingPlan(_)
    ));
    assert!(matches!(
        decode("event systemStatus with asdict(context)"),
        EventPayload::OldSystemStatus(status) if status.alarms[0].alarm_id == AlarmKind::Thrashing
    ));
    assert_eq!(
        decode("event applicationLaunched, null context"),
        EventPayload::None
    );
}

#[test]
fn a_late_result_is_read_and_written_byte_for_byte() {
    for (level, name) in [
        (
            ProtocolLevel::V0_9_11,
            "COMMAND_RESULT from asdict(response)",
        ),
        (ProtocolLevel::V0_12_0, "send_command_result"),
    ] {
        let scenario = scenario("pub", level);
        let received = published(step(scenario.steps(), name)).remove(0);
        assert_eq!(received.topic, Topic::COMMAND_RESULT);
        let result = CommandResult::parse(&received.payload, &Limits::default()).unwrap();
        assert_eq!(
            (result.result, result.nonce_number()),
            (ResultCode::Success, Some(77))
        );
        assert_eq!(result.data().as_str(), r#"{"some_key": "Some value-x"}"#);
        assert_eq!(result.to_payload(), received.payload);
    }
}

/// A prefix selects what it selected at the peer.
#[test]
fn subscription_prefixes_select_their_topic() {
    for scenario in scenarios("prefix") {
        let received = scenario.result["received_first_frames"]
            .as_object()
            .unwrap();
        let of = |label: &str| received[label].as_array().unwrap().len();
        assert!(Topic::ANY.subscription_prefix().is_empty() && of("(empty)") > of("00000000"));
        for (topic, label) in [(Topic::EVENT, "a10f0000"), (Topic::EMERGENCY, "d1070000")] {
            let hex: String = topic
                .subscription_prefix()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let entry = received
                .iter()
                .find(|(key, _)| key.starts_with(label) && key.contains('('))
                .unwrap();
            assert_eq!(hex, label);
            assert_eq!(entry.1, &json!([label]));
        }
    }
}
