//! The real clients with our service.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use autotrainer_api::{
    Command, CommandAnswer, CommandRequest, CommandResponse, ErrorKind, Limits, ProtocolLevel,
    Service, Topic, unreadable_answer,
};
use bytes::Bytes;
use nodewire_testkit::{AutotrainerClient, AutotrainerConsole, AutotrainerVersion};
use serde_json::{Value, json};

use crate::recording::{frames, scenario};
use crate::support::{MARKER, builder, event, patiently, serving, started};

fn commands(service: &Service) -> String {
    format!("tcp://{}", service.command_addresses()[0])
}

fn events(service: &Service) -> String {
    format!("tcp://{}", service.event_addresses()[0])
}

/// What the delegate answered to get this response; `None` where we answer something else, as the spec asks for.
fn delegate_answer(step: &Value, level: ProtocolLevel) -> Option<CommandResponse> {
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
    let answer = CommandAnswer::from_frames(&recorded, level, &Limits::default()).unwrap();
    let mut response = CommandResponse::new(answer.result).with_verbatim_data(answer.verbatim_data);
    if answer.error_kind == ErrorKind::SystemError {
        return Some(response.with_failed_data());
    }
    response.error_code = answer.error_code;
    response.error_message = answer.error_message;
    Some(response)
}

/// What pyzmq sends as recorded is answered as recorded, to the byte.
#[tokio::test]
async fn recorded_exchanges_of_pyzmq_are_answered_as_recorded() {
    let level = ProtocolLevel::V0_12_0;
    let answer = Arc::new(Mutex::new(CommandResponse::success()));
    let of_handler = Arc::clone(&answer);
    let service = serving(move |_: CommandRequest| {
        let answer = of_handler.lock().unwrap().clone();
        async move { answer }
    })
    .await;
    let mut client = AutotrainerClient::start(AutotrainerVersion::V0_12_0)
        .await
        .unwrap();
    for kind in ["REQ", "DEALER"] {
        client
            .connect(kind, kind, &commands(&service))
            .await
            .unwrap();
        let mut compared = 0;
        for step in scenario("cmd", level).steps() {
            let Some(response) = delegate_answer(step, level) else {
                continue;
            };
            *answer.lock().unwrap() = response;
            let reply = client
                .exchange(kind, &frames(&step["request"])[0])
                .await
                .unwrap();
            let recorded = &frames(&step["response"])[0];
            assert_eq!(
                String::from_utf8_lossy(&reply),
                String::from_utf8_lossy(recorded),
                "{}",
                step["step"]
            );
            compared += 1;
        }
        assert!(compared > 60, "{compared}");
    }
    *answer.lock().unwrap() = CommandResponse::success();
    let read_by_us = [
        "Pascal-case key Command",
        "upper-case hex unicode escape",
        "exponent with capital E",
    ];
    for step in scenario("bad", level).steps() {
        let name = step["step"].as_str().unwrap();
        let request = frames(&step["request"]);
        let request: Vec<&[u8]> = request.iter().map(|frame| &frame[..]).collect();
        client.send("REQ", &request).await.unwrap();
        let reply = client.receive("REQ", 1).await.unwrap().remove(0);
        let is_unreadable = reply == [unreadable_answer().to_vec()];
        assert_eq!(is_unreadable, !read_by_us.contains(&name), "{name}");
    }
    service.stop().await;
}

/// What the real request class writes is what our handler sees, at the level of its release.
#[tokio::test]
async fn requests_of_the_real_class_are_understood() {
    let levels = [ProtocolLevel::V0_9_11, ProtocolLevel::V0_12_0];
    for (version, level) in AutotrainerVersion::ALL.into_iter().zip(levels) {
        let handler = async |request: CommandRequest| {
            let command = request.command.name();
            CommandResponse::success().with_data(&json!({"command": command,
                "custom": request.custom_command.decode::<Value>().unwrap(),
                "data": request.data().decode::<Value>().unwrap()}))
        };
        let service = started(builder().level(level).handler(handler)).await;
        let mut client = AutotrainerClient::start(version).await.unwrap();
        client
            .connect("commands", "REQ", &commands(&service))
            .await
            .unwrap();
        let names = Command::members(level).map(|member| member.name);
        for (nonce, name) in (1..).zip(names) {
            let request = json!({"op": "request", "socket": "commands", "request":
                {"command": name, "nonce": nonce, "custom_command": 3, "data": {"some_key": "A b"}}});
            let reply = client.call(request).await.unwrap();
            let digits = reply[0].as_str().unwrap();
            let bytes = digits.as_bytes().chunks(2);
            let byte =
                |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
            let reply: Value =
                serde_json::from_slice(&bytes.map(byte).collect::<Vec<_>>()).unwrap();
            assert_eq!(reply["nonce"], nonce);
            let seen = json!({"command": name, "custom": 3, "data": {"someKey": "A b"}});
            assert_eq!(reply["data"], seen);
        }
        service.stop().await;
    }
}

#[tokio::test]
async fn the_console_works_with_the_commands_of_0_12_0() {
    let handler = async |_: CommandRequest| CommandResponse::success();
    let service = serving(handler).await;
    let version = AutotrainerVersion::V0_12_0;
    let mut console = AutotrainerConsole::start(version, &commands(&service)).unwrap();
    for (line, command, nonce) in [
        ("start", 50, 1),
        ("stop", 55, 2),
        ("configuration", 300, 3),
        ("", 300, 4),
    ] {
        let printed: Value = serde_json::from_str(&console.enter(line).await.unwrap()).unwrap();
        assert_eq!(
            (&printed["command"], &printed["nonce"]),
            (&json!(command), &json!(nonce))
        );
    }
    service.stop().await;
}

async fn joined(client: &mut AutotrainerClient, socket: &str, service: &Service) {
    client.subscribe(socket, &MARKER.to_frame()).await.unwrap();
    let marker = Bytes::from_static(b"{}");
    let arrives = async {
        loop {
            service
                .publisher()
                .publish(MARKER, marker.clone())
                .await
                .unwrap();
            if !client
                .receive_within(socket, 1, 0.02)
                .await
                .unwrap()
                .is_empty()
            {
                return;
            }
        }
    };
    patiently(arrives).await;
    client
        .unsubscribe(socket, &MARKER.to_frame())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_subscriber_that_never_reads_disturbs_no_other() {
    let interval = Duration::from_millis(50);
    let service = started(builder().heartbeat_interval(interval)).await;
    let endpoint = events(&service);
    let mut slow = AutotrainerClient::start(AutotrainerVersion::V0_12_0)
        .await
        .unwrap();
    let open = json!({"op": "open", "socket": "slow", "kind": "SUB", "connect": endpoint,
        "prefixes": [""], "options": {"RCVHWM": 1}});
    slow.call(open).await.unwrap();
    let mut quick = AutotrainerClient::start(AutotrainerVersion::V0_9_11)
        .await
        .unwrap();
    let event_prefix = Topic::EVENT.to_frame();
    quick
        .connect_subscriber("quick", &endpoint, &[&event_prefix])
        .await
        .unwrap();
    joined(&mut quick, "quick", &service).await;
    let publisher = service.publisher();
    for round in 0..20_u64 {
        for index in 0..500 {
            let event = event(round * 500 + index);
            let event = event
                .with_context(&json!({"text": "x".repeat(500)}))
                .unwrap();
            publisher.send_event(&event).await.unwrap();
        }
        let count = json!({"op": "count", "socket": "quick", "count": 500});
        let counted = quick.call(count).await.unwrap();
        assert_eq!(counted["count"], 500, "{round}");
    }
    service.stop().await;
}
