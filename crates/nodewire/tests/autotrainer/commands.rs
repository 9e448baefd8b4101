//! Commands beside executions: discovery, emergencies, quick nodes.

#[cfg(feature = "http")]
use std::net::SocketAddr;
use std::time::Duration;

use autotrainer_api::{
    Command, EmergencyResumeReason, EmergencyStopReason, EventKind, EventPayload, ProtocolLevel,
    ResultCode,
};
use nodewire::Json;
use nodewire::autotrainer::error_code;
#[cfg(feature = "http")]
use nodewire::http::{Access, HttpConfig};
use serde_json::{Value, json};
#[cfg(feature = "http")]
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

#[cfg(feature = "http")]
use crate::nodes::Waiting;
use crate::support::{ECHO, PATIENCE, Served, answered, config, data, joined, outcome};
#[cfg(feature = "http")]
use crate::support::{builder, start};

#[tokio::test]
async fn nodes_are_told_with_numbers_schemas_and_what_the_wire_can_express() {
    let served = Served::new(config().command("panic", 5).quick("echo")).await;
    let answer = served.ask(Some(1), json!(null)).await;
    let told = data(&answer.verbatim_data);
    let numbers: Vec<_> = told["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["node"].as_str().unwrap(), node["command"].as_i64()))
        .collect();
    assert_eq!(
        &numbers[..5],
        [
            ("echo", Some(ECHO)),
            ("blip", Some(1001)),
            ("steps", Some(1002)),
            ("panic", Some(5)),
            ("reverse", Some(1003)),
        ]
    );
    assert_eq!(told["identifier"], "test-device");
    assert_eq!(told["cancelCommand"], 2);
    let cancel = told["capabilities"]["cancel"].as_str().unwrap();
    assert!(cancel.starts_with("as: "), "{cancel}");
    assert_eq!(told["lost"], json!({}));
    assert_eq!(told["capabilities"].as_object().unwrap().len(), 10);

    let fine = served
        .ask(Some(ECHO), json!({"inputs": {"text": ["a"]}}))
        .await;
    assert_eq!(fine.result, ResultCode::Success);
    let missing = served.ask(Some(ECHO), json!({})).await;
    assert_eq!(missing.error_code, error_code::INVALID_INPUT);
    let one = served.ask(Some(1), json!({"node": "echo"})).await;
    let one = data(&one.verbatim_data);
    assert_eq!(one["nodes"].as_array().unwrap().len(), 1);
    let echo = &one["nodes"][0];
    assert_eq!(
        (&echo["isQuick"], &echo["description"]),
        (&json!(true), &json!("Prefixes each text."))
    );
    let stats = &echo["stats"];
    assert_eq!(
        (&stats["accepted"], &stats["inFlight"]),
        (&json!(2), &json!(0))
    );
    assert_eq!(
        (&stats["completed"], &stats["failed"]),
        (&json!(1), &json!(1))
    );
    let schema = &echo["schema"];
    assert_eq!(schema["properties"]["inputs"]["required"], json!(["text"]));

    let nobody = served.ask(Some(1), json!({"node": "nobody"})).await;
    assert_eq!(nobody.error_code, error_code::UNKNOWN_NODE);
    served.finish().await;
}

#[tokio::test]
async fn the_device_answers_as_devices_do() {
    let served = Served::new(config()).await;
    let none = served.remote.probe(PATIENCE).await.unwrap().unwrap();
    assert_eq!(none.result, ResultCode::Success);
    let configuration = served.remote.call(Command::GetConfiguration, &Value::Null);
    let configuration = data(&configuration.await.unwrap().answer.verbatim_data);
    assert_eq!(configuration["deviceId"], "test-device");
    let status = served.remote.call(Command::GetStatus, &Value::Null);
    let status = status.await.unwrap().answer;
    assert_eq!(status.result, ResultCode::Unrecognized);
    served.finish().await;
}

#[tokio::test]
async fn an_emergency_stop_cancels_everything_until_it_is_resumed() {
    let served = Served::new(config()).await;
    let mut events = served.remote.events().await;
    drop(joined(&served.remote).await);
    let call = |command| served.remote.call(command, &Value::Null);

    let early = call(Command::EmergencyResume).await.unwrap().answer;
    assert_eq!(early.result, ResultCode::Failed);
    let mut running = Vec::new();
    for _ in 0..3 {
        running.push(served.begin(json!({"node": "wait"})).await);
        served.waiting.started.taken().await;
    }
    let stopped = call(Command::EmergencyStop).await.unwrap().answer;
    assert_eq!(
        (stopped.result, stopped.verbatim_data.is_null()),
        (ResultCode::Success, true)
    );
    for pending in &mut running {
        served.waiting.stopped.taken().await;
        let result = pending.result(PATIENCE).await.unwrap();
        assert_eq!(outcome(&result).1, error_code::CANCELLED);
    }
    let refused = served.ask(None, json!({"node": "echo"})).await;
    let in_effect = (ResultCode::Unavailable, error_code::EMERGENCY_STOPPED);
    assert_eq!(answered(&refused), in_effect);
    assert_eq!(served.counts().emergency_stopped, 1);

    let resumed = call(Command::EmergencyResume).await.unwrap().answer;
    assert_eq!(resumed.result, ResultCode::Success);
    let next = served.run(json!({"node": "steps"})).await;
    assert_eq!(next.result, ResultCode::Success);

    let level = ProtocolLevel::NEWEST;
    let mut emergencies = Vec::new();
    while emergencies.len() < 2 {
        let event = timeout(PATIENCE, events.next_event())
            .await
            .unwrap()
            .unwrap();
        if event.kind(level) != Some(EventKind::PropertyChanged) {
            emergencies.push(event.payload(level).unwrap());
        }
    }
    assert!(matches!(&emergencies[0], EventPayload::EmergencyStop(why)
        if why.reason_code == EmergencyStopReason::RpcService));
    assert!(matches!(&emergencies[1], EventPayload::EmergencyResume(why)
        if why.reason_code == EmergencyResumeReason::RpcService));
    served.finish().await;
}

#[tokio::test]
async fn a_quick_node_answers_with_its_result() {
    let mut config = config().quick("echo").quick("wait").quick("panic");
    config.quick_node_wait = PATIENCE;
    let served = Served::new(config).await;
    let answer = served
        .ask(Some(ECHO), json!({"inputs": {"text": ["now"]}}))
        .await;
    assert_eq!(answer.result, ResultCode::Success);
    assert_eq!(
        data(&answer.verbatim_data),
        json!({"outputs": {"text": ["> now"]}})
    );
    let failed = served.ask(None, json!({"node": "panic"})).await;
    assert_eq!(failed.result, ResultCode::Exception);
    // While one waits for its result, others are served: the stop too.
    let remote = served.remote.clone();
    let waits = tokio::spawn(async move {
        let wait = Json::from(json!({"node": "wait"}));
        let call = remote.command(Command::UserDefined).verbatim_data(wait);
        call.send().await.unwrap().answer
    });
    served.waiting.started.taken().await;
    let stop = served.remote.call(Command::EmergencyStop, &Value::Null);
    assert_eq!(stop.await.unwrap().answer.result, ResultCode::Success);
    let stopped = waits.await.unwrap();
    assert_eq!(stopped.error_code, error_code::CANCELLED);
    served.finish().await;
}

#[tokio::test]
async fn a_quick_node_that_takes_long_becomes_pending() {
    let mut config = config();
    config.quick_wait = Duration::from_millis(20);
    config.quick_max = 1;
    let served = Served::new(config).await;
    let mut first = served.begin(json!({"node": "wait"})).await;
    // There is one place to wait for a result, which is free again.
    let mut second = served.begin(json!({"node": "wait"})).await;
    for pending in [&mut first, &mut second] {
        served.waiting.finish.give();
        let result = pending.result(PATIENCE).await;
        assert_eq!(result.unwrap().result, ResultCode::Success);
    }
    assert_eq!(served.counts().results_unowed, 0);
    served.finish().await;
}

/// What another wire runs may move the device as well.
#[cfg(feature = "http")]
#[tokio::test]
async fn an_emergency_stop_reaches_what_runs_and_waits_over_another_wire() {
    let waiting = Waiting::default();
    let http = HttpConfig::new()
        .address(([127, 0, 0, 1], 0).into())
        .access(Access::Open);
    let server = start(builder(config(), &waiting).http(http)).await;
    let http = server.http_address().unwrap();
    let served = Served::of(server, waiting).await;
    let narrow = || tokio::spawn(post(http, "narrow"));
    let asked = [narrow(), narrow()];
    served.waiting.started.taken().await;
    let queued = async {
        while served.server.executor().counters().in_flight < 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, queued).await.unwrap();
    let stop = served.remote.call(Command::EmergencyStop, &Value::Null);
    assert_eq!(stop.await.unwrap().answer.result, ResultCode::Success);
    for answer in asked {
        let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 499"), "{answer}");
        assert!(answer.contains(r#""kind": "cancelled""#), "{answer}");
    }
    served.waiting.stopped.taken().await;
    let counters = served.server.executor().counters();
    assert_eq!((counters.cancelled, counters.in_flight), (2, 0));
    // The stop is in effect on the device's own wire; others know nothing of it.
    let refused = served.ask(None, json!({"node": "echo"})).await;
    assert_eq!(refused.error_code, error_code::EMERGENCY_STOPPED);
    let next = timeout(PATIENCE, post(http, "steps")).await.unwrap();
    assert!(next.starts_with("HTTP/1.1 200"), "{next}");
    served.finish().await;
}

/// Executes a node without inputs over HTTP; the whole answer.
#[cfg(feature = "http")]
async fn post(address: SocketAddr, node: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /nodes/{node}/execute HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: 2\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
