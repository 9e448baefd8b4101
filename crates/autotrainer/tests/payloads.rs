//! Every documented payload of 0.12.0, in the words of the wire. spec: autotrainer 15.5, 15.6

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use autotrainer_api::command::data::{
    Animals, SetApplicationMode, SetEnabled, SetTrainingMode, SystemStatus,
};
use autotrainer_api::event::PayloadShape;
use autotrainer_api::json::{Json, encode};
use autotrainer_api::{
    ApplicationMode, Event, EventKind, EventPayload, Limits, ProtocolLevel, ReachOutcome,
    TrainingMode, TrialResult, UnixTime,
};
use serde_json::{Value, json};

const SESSION: &str = "6f1b1c1e-3c8a-4b2e-9a54-0d7a3f0f9a11";
const BATCH: &str = "0b9d3c44-7a4f-4e0a-8d07-5a6f1f3f2b22";

fn animal() -> Value {
    let reaches =
        json!({"pelletsPresented": 1, "pelletsConsumed": 2, "reaches": 3, "successfulReaches": 4});
    json!({"identifier": "a1", "name": "Mouse_One", "dcsSendX": 1.5, "dcsSendY": 2.5, "dcsSendZ": -3.5,
        "targetYLimit": null, "reachStatusTotal": reaches, "reachStatusDay": reaches})
}

fn status() -> Value {
    let reaches =
        json!({"pelletsPresented": 0, "pelletsConsumed": 0, "reaches": 0, "successfulReaches": 0});
    json!({
        "applicationMode": 300, "trainingMode": 200, "animal": animal(),
        "project": {"dayPath": "/d", "trialId": 3, "sessionId": SESSION},
        "alarms": [{"alarmId": 801, "isActive": true, "isEnabled": true, "isAutoResumeEnabled": true,
            "isStopCondition": false}],
        "detectors": [{"detectorId": 620, "isActive": false, "isEnabled": true}],
        "pelletDevice": {"dcsSendX": 0.0, "dcsSendY": 0.0, "dcsSendZ": 0.0, "dcsX": 0.0, "dcsY": 0.0, "dcsZ": 0.0,
            "loadArm": 1.0, "barrierArm": 0.0, "isBarrierArmActive": true, "isHomeOnExcessiveDriftEnabled": true,
            "isTunnelSweepEnabled": false},
        "tunnelDevice": {"magnetIntensity": 0.5, "isGateOpen": true, "isFanOn": false},
        "behavior": {"baselineMagnetIntensity": 0.25, "reaches": reaches, "isLiveAnalysisEnabled": true,
            "isPelletDeliveryEnabled": true, "isPelletCoverEnabled": false, "isIntertrialPelletShiftEnabled": false,
            "isTrianglePelletDistanceDetectionEnabled": true, "isAutoCloseGateOnIntertrialEnabled": false,
            "isAutoClampEnabled": true, "isBatchTrialsEnabled": false},
    })
}

/// A context for each shape.
fn context(shape: PayloadShape) -> Value {
    let analysis = json!({"sessionId": SESSION, "trialId": 3, "batchId": BATCH});
    let with = |mut value: Value, key: &str, more: Value| {
        value[key] = more;
        value
    };
    let reach = json!({"init": -4, "end": 9, "max": null, "method": "right_hand", "outcome": "grabbed",
        "delaySincePresented": 0.25});
    let trial = json!({"sessionId": SESSION, "trialId": 3});
    match shape {
        PayloadShape::EmergencyStop => {
            json!({"reason": "r", "reasonCode": 401, "activeAlarms": [201, 777]})
        }
        PayloadShape::EmergencyResume => {
            json!({"reason": "r", "reasonCode": 101, "resumedAlarms": []})
        }
        PayloadShape::ApplicationLaunched => json!({"version": "1.2.3"}),
        PayloadShape::Reason => json!({"reason": "Some Reason_x"}),
        PayloadShape::ApplicationMode => json!({"mode": 1100}),
        PayloadShape::PropertyChange => {
            json!({"target": 1, "name": "n_x", "newValue": [1], "oldValue": null})
        }
        PayloadShape::SystemStatus => status(),
        PayloadShape::Project => {
            json!({"root": "/r", "deviceId": "d", "day": "2026-01-02", "sessionId": SESSION,
            "trialId": 3})
        }
        PayloadShape::ProjectTrial => json!({"root": "/r", "sessionId": SESSION, "trialId": 3}),
        PayloadShape::DeviceCommand => json!({"context": "c-1"}),
        PayloadShape::HomeReset => json!({"cycles": 12}),
        PayloadShape::DriftReset => json!({"drift": {"x": 1.0, "y": -2.0, "z": 0.5}}),
        PayloadShape::Trial => trial,
        PayloadShape::TrialStarted => with(trial, "reason", json!("r")),
        PayloadShape::TrialEnded => with(trial, "result", json!("analysis_delayed")),
        PayloadShape::BatchAnalysisStarted => {
            json!({"sessionId": SESSION, "batchId": BATCH, "analysisTrialCount": 4})
        }
        PayloadShape::BatchAnalysisEnded => {
            json!({"sessionId": SESSION, "batchId": BATCH, "analysisTrialCount": 4, "failedTrialCount": 1})
        }
        PayloadShape::SessionStarted => json!({"sessionId": SESSION, "isAnalysisDeferred": true}),
        PayloadShape::SessionEnded => {
            json!({"sessionId": SESSION, "captureTrialCount": 1, "analysisTrialCount": 2, "failedTrialCount": 0})
        }
        PayloadShape::Enabled => json!({"isEnabled": true}),
        PayloadShape::Engaged => json!({"isEngaged": false}),
        PayloadShape::Baseline => json!({"baseline": 0.5}),
        PayloadShape::Intensity => json!({"intensity": 0.5}),
        PayloadShape::Frequency => json!({"frequency": 4000.0}),
        PayloadShape::Delay => json!({"delay": 0.5}),
        PayloadShape::Tone => json!({"frequency": 4000.0, "duration": 0.5}),
        PayloadShape::Analysis => analysis,
        PayloadShape::AnalysisError => with(analysis, "error", json!("e")),
        PayloadShape::AnalysisSave => with(analysis, "location", json!("/l")),
        PayloadShape::IntertrialResponse => {
            let response = json!({"rhMaxVpList": [[1.0, 2.0, 3.0]], "reachEvents": [reach], "otherEvents": [],
                "handEvents": [], "foodConsumed": 1, "successfulReaches": 1, "totalReaches": 2});
            with(
                with(analysis, "batchId", Value::Null),
                "responseData",
                response,
            )
        }
        PayloadShape::CountChange => json!({"change": -1, "count": 7}),
        PayloadShape::DayStarted => json!({"date": 1735787045.0, "dayPath": "/d"}),
        PayloadShape::TrialReachEvents => with(analysis, "trialReachEvents", json!([reach, reach])),
        PayloadShape::PelletShift => {
            let shift = with(analysis, "shift", json!({"x": 0.0, "y": 0.5, "z": 0.0}));
            with(with(shift, "source", json!(2)), "deferred", json!(true))
        }
        PayloadShape::TrainingMode => json!({"trainingMode": 300}),
        PayloadShape::TrainingPlan => json!({"trainingPlanId": SESSION}),
        PayloadShape::TrainingPhase => json!({"trainingPhaseId": SESSION}),
        PayloadShape::Detector => json!({"detectorId": 102, "isActive": true, "isEnabled": true}),
        PayloadShape::Alarm => json!({"alarmId": 501, "isActive": true, "isEnabled": true,
            "isAutoResumeEnabled": false, "isStopCondition": true}),
        PayloadShape::Animal | PayloadShape::AnimalSelected => animal(),
        PayloadShape::OldSystemStatus => json!({"alarms": [], "detectors": [],
            "pellet": {"sendX": 1.0, "sendY": 2.0, "sendZ": 3.0},
            "headfix": {"currentMagnetIntensity": 0.5, "baselineMagnetIntensity": 0.25}}),
        PayloadShape::None | PayloadShape::Free | _ => json!({"anyKey": "any_value"}),
    }
}

#[test]
fn every_kind_of_every_level_reads_and_writes_its_payload() {
    for level in [ProtocolLevel::V0_9_11, ProtocolLevel::V0_12_0] {
        for member in EventKind::members(level) {
            let shape = member.member.shape(level).unwrap();
            let context = context(shape);
            let event = Event::new(member.member, level, UnixTime(1.5), 7).unwrap();
            let event = event.with_verbatim_context(encode(&context).unwrap());
            let event = Event::parse(&event.to_payload(), &Limits::default()).unwrap();
            assert_eq!(event.kind(level), Some(member.member));
            let payload = event.payload(level).unwrap();
            let free = matches!(shape, PayloadShape::None | PayloadShape::Free);
            assert_eq!(
                payload.shape(),
                if free { PayloadShape::Free } else { shape }
            );
            let written: Value = payload.to_context().unwrap().decode().unwrap();
            assert_eq!(written, context, "{}", member.name);
            let event = event.with_verbatim_context(Json::null());
            let absent = event.payload(level).unwrap();
            let expected = if shape == PayloadShape::AnimalSelected {
                EventPayload::AnimalSelected(None)
            } else {
                EventPayload::None
            };
            assert_eq!(absent, expected);
        }
    }
}

#[test]
fn what_else_a_payload_may_hold_or_lack() {
    let decode = |shape, value: Value| EventPayload::decode(shape, &encode(&value).unwrap());
    let stop = decode(PayloadShape::EmergencyStop, json!({"reason": "r"})).unwrap();
    assert!(matches!(stop, EventPayload::EmergencyStop(stop) if stop.active_alarms.is_empty()));
    let alarm = json!({"detectorId": 301, "isActive": true, "isEnabled": false});
    assert!(matches!(
        decode(PayloadShape::Alarm, alarm).unwrap(),
        EventPayload::Alarm(alarm) if alarm.alarm_id == autotrainer_api::AlarmKind::Thrashing
    ));
    let seen = json!({"sessionId": SESSION, "trialId": 1, "batchId": null});
    assert!(decode(PayloadShape::Trial, seen).is_ok());
    let result = json!({"sessionId": SESSION, "trialId": 1, "result": "made_up"});
    assert!(matches!(
        decode(PayloadShape::TrialEnded, result).unwrap(),
        EventPayload::TrialEnded(ended) if ended.result == TrialResult::Unknown("made_up".to_owned())
    ));
    assert_eq!(ReachOutcome::from("eaten".to_owned()), ReachOutcome::Eaten);
    let not_a_number = decode(PayloadShape::Baseline, json!({"baseline": null})).unwrap();
    assert!(matches!(not_a_number, EventPayload::Baseline(baseline) if baseline.baseline.is_nan()));
    let wrong = decode(PayloadShape::HomeReset, json!({"cycles": "many"})).unwrap_err();
    assert!(
        wrong
            .to_string()
            .starts_with("the context is no HomeReset payload: "),
        "{wrong}"
    );
}

#[test]
fn data_of_commands() {
    let decode = |value: Value| encode(&value).unwrap();
    let mode: SetApplicationMode = decode(json!({"mode": 300})).decode().unwrap();
    assert_eq!(mode.mode, ApplicationMode::InTraining);
    let mode: SetTrainingMode = decode(json!({"mode": 100.0})).decode().unwrap();
    assert_eq!(mode.mode, TrainingMode::Manual);
    assert!(
        decode(json!({"enabled": "yes"}))
            .decode::<SetEnabled>()
            .is_err()
    );
    assert_eq!(
        encode(&SetEnabled { enabled: true }).unwrap().as_str(),
        r#"{"enabled": true}"#
    );
    let status_read: SystemStatus = decode(status()).decode().unwrap();
    assert_eq!(
        encode(&status_read).unwrap().decode::<Value>().unwrap(),
        status()
    );
    let animals: Animals = decode(json!([animal()])).decode().unwrap();
    assert_eq!(animals[0].reach_status_day.successful_reaches, 4);
}
