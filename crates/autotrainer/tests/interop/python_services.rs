//! A remote with the real services.

use autotrainer_api::zmq::RequestSocket;
use autotrainer_api::{
    Anomaly, CallError, Command, Message, Remote, ResultCode, SubscribeOptions, Topic,
};
use nodewire_testkit::AutotrainerVersion;
use serde_json::{Value, json};

use crate::recording::{frames, scenarios};
use crate::support::{
    PATIENCE, joined_python, message, patiently, python, python_options, remote_of_python, until,
};

const OFTEN_S: f64 = 0.1;
const NEVER_S: f64 = 3600.0;

async fn takes_commands(version: AutotrainerVersion) {
    let mut service = python(version, OFTEN_S).await;
    let remote = remote_of_python(&service).await;
    let is_old = version == AutotrainerVersion::V0_9_11;

    // Strings arrive unchanged, although the service rewrites every request. spec: autotrainer 6.5 (3)
    let data = json!({"mode": "echo", "uuid": "1B4E28BA-2FA1-11D2-883F-0016D3CCA427",
        "path": "/Home/My Dir/a-B_c.TXT", "when": "2025-01-02T03:04:05Z", "tab": "a\tb",
        "accent": "\u{c9}t\u{c9}", "emoji": "\u{1f600} Ok", "number": -1.5e-7, "list": ["A b", null]});
    let answer = remote.call(Command::EmergencyStop, &data).await.unwrap();
    assert_eq!(answer.answer.result, ResultCode::Success);
    assert_eq!(answer.answer.is_lossy, is_old);
    let seen = service.seen(1).await.unwrap().remove(0);
    assert_eq!(
        (&seen["command"], &seen["data"]),
        (&json!("EMERGENCY_STOP"), &data)
    );
    if !is_old {
        assert_eq!(answer.answer.data().decode::<Value>().unwrap(), data);
    }
    let keys = serde_json::from_str(r#"{"camelKey": 1, "A b": 2}"#).unwrap();
    let verbatim = remote.command(Command::EmergencyStop).verbatim_data(keys);
    verbatim.send().await.unwrap();
    let seen = service.seen(1).await.unwrap().remove(0);
    assert_eq!(seen["data"], json!({"camelKey": 1, "A b": 2}));

    // Numbers by level, and commands of the application's own.
    remote
        .command(Command::StartAcquisition)
        .send()
        .await
        .unwrap();
    remote.custom_command(7).send().await.unwrap();
    let seen = service.seen(2).await.unwrap();
    assert_eq!(seen[0]["command"], "START_ACQUISITION");
    assert_eq!(
        (&seen[1]["command"], &seen[1]["custom_command"]),
        (&json!("USER_DEFINED"), &json!(7))
    );

    // What fails is an answer.
    let failing = remote
        .call(Command::EmergencyStop, &json!({"mode": "exc"}))
        .await
        .unwrap();
    assert_eq!(failing.answer.result, ResultCode::Exception);
    let lost = remote
        .call(Command::EmergencyStop, &json!({"mode": "set"}))
        .await
        .unwrap();
    assert!(!lost.answer.has_data());

    // Whatever is answered to `NONE` is a sign of life (Q15).
    assert!(remote.probe(PATIENCE).await.unwrap().is_some());
    service.stop().await.unwrap();
}

#[tokio::test]
async fn a_0_9_11_service_takes_commands() {
    takes_commands(AutotrainerVersion::V0_9_11).await;
}

#[tokio::test]
async fn a_0_12_0_service_takes_commands() {
    takes_commands(AutotrainerVersion::V0_12_0).await;
}

async fn takes_several_at_once(version: AutotrainerVersion) {
    let mut service = python(version, OFTEN_S).await;
    let remote = remote_of_python(&service).await;
    let calls = (0..5).map(|number| {
        let data = json!({"mode": "echo", "number": number});
        let remote = &remote;
        async move { remote.call(Command::EmergencyStop, &data).await.unwrap() }
    });
    let answers = futures_util::future::join_all(calls).await;
    for (number, answer) in answers.iter().enumerate() {
        let data = answer.answer.data().decode::<Value>().unwrap();
        assert_eq!(data["number"], number);
    }
    service.stop().await.unwrap();
}

#[tokio::test]
async fn services_of_both_releases_take_several_at_once() {
    for version in AutotrainerVersion::ALL {
        takes_several_at_once(version).await;
    }
}

async fn a_slow_command_shifts_no_other(version: AutotrainerVersion) {
    let mut service = python(version, OFTEN_S).await;
    let remote = remote_of_python(&service).await;
    // Connected, so that what times out was sent.
    remote.command(Command::GetStatus).send().await.unwrap();
    let blocked = remote
        .command(Command::EmergencyStop)
        .data(&json!({"mode": "block"}));
    let blocked = blocked
        .timeout(std::time::Duration::from_secs(1))
        .send()
        .await;
    assert!(matches!(blocked, Err(CallError::TimedOut)), "{blocked:?}");
    let data = json!({"mode": "echo", "number": 2});
    let next = remote.call(Command::EmergencyResume, &data);
    let release = service.call(json!({"op": "release"}));
    let (next, released) = tokio::join!(next, release);
    released.unwrap();
    let next = next.unwrap().answer;
    assert_eq!(next.command_number, Some(210));
    assert_eq!(next.data().decode::<Value>().unwrap()["number"], 2);
    until(&remote, |counts| counts.late_replies == 1).await;
    service.stop().await.unwrap();
}

#[tokio::test]
async fn a_slow_command_of_both_releases_shifts_no_other() {
    for version in AutotrainerVersion::ALL {
        a_slow_command_shifts_no_other(version).await;
    }
}

async fn sends_results_later(version: AutotrainerVersion) {
    // A heartbeat of 0.9.11 can take the topic of a result, which is then lost (Q4).
    let mut service = python(version, NEVER_S).await;
    let remote = Remote::connect(python_options(&service)).await.unwrap();
    joined_python(&remote, &mut service).await;
    let answer = remote
        .call(Command::EmergencyStop, &json!({"mode": "later"}))
        .await
        .unwrap();
    assert_eq!(answer.answer.result, ResultCode::PendingWithNotification);
    let mut pending = answer.pending.expect("a late result");
    let result = pending.result(PATIENCE).await.unwrap();
    assert_eq!(result.data().as_str(), r#"{"final_value": 3}"#);

    // Results in another order than their commands, one without its command, one of another client.
    let mut pending = Vec::new();
    for _ in 0..2 {
        let answer = remote
            .call(Command::EmergencyStop, &json!({"mode": "pending"}))
            .await;
        pending.push(answer.unwrap().pending.unwrap());
    }
    let (mut second, mut first) = (pending.pop().unwrap(), pending.pop().unwrap());
    for (nonce, command, number) in [(5, 200, 0), (second.nonce(), 200, 2), (first.nonce(), 0, 1)] {
        let result = json!({"nonce": nonce, "command": command, "data": {"number": number}});
        service.finish(result).await.unwrap();
    }
    for (pending, number) in [(&mut first, 1), (&mut second, 2)] {
        let result = pending.result(PATIENCE).await.unwrap();
        assert_eq!(
            result.data().decode::<Value>().unwrap(),
            json!({"number": number})
        );
    }
    assert_eq!(remote.counts().foreign_results, 1);
    service.stop().await.unwrap();
}

#[tokio::test]
async fn a_0_9_11_service_sends_results_later() {
    sends_results_later(AutotrainerVersion::V0_9_11).await;
}

#[tokio::test]
async fn a_0_12_0_service_sends_results_later() {
    sends_results_later(AutotrainerVersion::V0_12_0).await;
}

async fn publishes(version: AutotrainerVersion) {
    // Heartbeats of 0.9.11 would cut into its events (Q4).
    let mut service = python(version, NEVER_S).await;
    let remote = Remote::connect(python_options(&service)).await.unwrap();
    let mut events = remote.events().await;
    let mut all = remote
        .subscribe(SubscribeOptions::topics(&[Topic::EVENT, Topic(77)]))
        .await;
    joined_python(&remote, &mut service).await;

    let stop = json!({"kind": 101, "when": 1.5, "index": 7, "context": {"reason": "Door open"}});
    service.publish(stop).await.unwrap();
    service
        .call(json!({"op": "publish_bytes", "topic": 77, "text": "own"}))
        .await
        .unwrap();
    service
        .publish_many(json!({"kind": 201}), 500)
        .await
        .unwrap();
    let Message::Event {
        topic,
        event,
        level,
    } = message(&mut events).await
    else {
        panic!("an event");
    };
    assert_eq!((topic, event.index), (Topic::EMERGENCY, Some(7)));
    assert_eq!(level, remote.level());
    assert!(event.payload(level).is_ok());
    // Its index starts at 0, which is behind 7.
    for index in 0..500 {
        let event = patiently(events.next_event()).await.unwrap();
        assert_eq!(event.index, Some(index));
    }
    assert_eq!(message(&mut all).await.topic(), Topic::EVENT);
    let Message::Other { topic, payload } = message(&mut all).await else {
        panic!("a topic of its own");
    };
    assert_eq!((topic, &payload[..]), (Topic(77), &b"own"[..]));
    assert_eq!(remote.counts().merged_emergencies, 1);
    service.stop().await.unwrap();
}

#[tokio::test]
async fn a_0_9_11_service_publishes_events() {
    publishes(AutotrainerVersion::V0_9_11).await;
}

#[tokio::test]
async fn a_0_12_0_service_publishes_events() {
    publishes(AutotrainerVersion::V0_12_0).await;
}

/// What the real service cannot serialize leaves a stale topic (Q3), and a structure becomes a string (Q12).
#[tokio::test]
async fn anomalies_of_a_0_9_11_service_are_received_and_counted() {
    let mut service = python(AutotrainerVersion::V0_9_11, NEVER_S).await;
    let remote = Remote::connect(python_options(&service)).await.unwrap();
    let mut events = remote.events().await;
    joined_python(&remote, &mut service).await;
    let unserializable = json!({"kind": 201, "context": {"values": {"$set": [1]}}});
    service.publish(unserializable).await.unwrap();
    service
        .publish(json!({"kind": 202, "index": 1}))
        .await
        .unwrap();
    let event = patiently(events.next_event()).await.unwrap();
    assert_eq!(event.kind_number, 202);
    assert_eq!(remote.anomalies().of(Anomaly::SurplusFrames), 1);
    let structure = json!({"op": "finish", "nonce": 1, "command": 200, "as_structure": true});
    service.call(structure).await.unwrap();
    service
        .publish(json!({"kind": 202, "index": 2}))
        .await
        .unwrap();
    patiently(events.next_event()).await.unwrap();
    assert_eq!(remote.anomalies().of(Anomaly::Payload), 1);
    service.stop().await.unwrap();
}

/// Every recorded exchange, through our sockets, to the real services.
#[tokio::test]
async fn recorded_exchanges_are_reproduced_through_our_sockets() {
    for (scenario, version) in scenarios("cmd").iter().zip(AutotrainerVersion::ALL) {
        let mut service = python(version, NEVER_S).await;
        let socket = RequestSocket::new(&Default::default()).unwrap();
        socket.connect(&service.command_endpoint()).await.unwrap();
        for step in scenario.steps() {
            socket.send_frames(&frames(&step["request"])).await.unwrap();
            let reply = patiently(socket.receive()).await.unwrap();
            assert_eq!(reply, frames(&step["response"]), "{}", step["step"]);
        }
        service.stop().await.unwrap();
    }
}
