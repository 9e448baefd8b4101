//! Commands of a remote, to our service.

use std::sync::Arc;
use std::time::Duration;

use autotrainer_api::zmq::{CommandSocket, SocketOptions};
use autotrainer_api::{
    CallError, Command, CommandRequest, CommandResponse, CommandResult, Deadline, ProtocolLevel,
    Remote, RemoteOptions, ResultCode, ResultError, Topic, with_pending,
};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::support::{
    PATIENCE, builder, joined, options_of, patiently, remote_of, serving, started, until,
};

async fn echo(request: CommandRequest) -> CommandResponse {
    CommandResponse::success().with_data(&json!({
        "command": request.raw_command.decode::<Value>().unwrap(),
        "custom": request.custom_command.decode::<Value>().unwrap(),
        "data": request.data().decode::<Value>().unwrap(),
    }))
}

fn seen(answer: &autotrainer_api::Answer) -> Value {
    assert_eq!(answer.answer.result, ResultCode::Success);
    answer.answer.data().decode().unwrap()
}

#[tokio::test]
async fn commands_of_every_kind_reach_the_handler_as_they_are() {
    let service = serving(echo).await;
    let remote = remote_of(&service).await;
    let data = json!({"some_key": "Hello World_x", "path": "/srv/My Dir"});
    let answer = remote.call(Command::GetStatus, &data).await.unwrap();
    let expected = json!({"command": 400, "custom": -1, "data": data});
    assert_eq!(seen(&answer), expected);

    let answer = remote.custom_command(7).send().await.unwrap();
    let expected = json!({"command": 99999, "custom": 7, "data": null});
    assert_eq!(seen(&answer), expected);

    let keys = serde_json::from_str(r#"{"Frame 1": 1}"#).unwrap();
    let call = remote.command_number(12345).verbatim_data(keys);
    let verbatim = call.send().await.unwrap().answer.verbatim_data;
    assert!(verbatim.as_str().contains("12345"), "{verbatim:?}");

    let garbage = [Bytes::from_static(b"\xff")];
    let reply = remote.call_raw(&garbage, PATIENCE).await.unwrap();
    assert_eq!(reply, [autotrainer_api::unreadable_answer()]);
    // Two frames, of which a Python service dies.
    let frames = [Bytes::from_static(b"{}"), Bytes::from_static(b"{}")];
    let reply = remote.call_raw(&frames, PATIENCE).await.unwrap();
    assert_eq!(reply, [autotrainer_api::unreadable_answer()]);
    let answer = remote.probe(PATIENCE).await.unwrap().unwrap();
    assert_eq!(answer.result, ResultCode::Success);
    service.stop().await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before() {
    let service = serving(echo).await;
    let remote = remote_of(&service).await;
    let long = json!({"text": "x".repeat(1 << 20)});
    let refused = remote.call(Command::GetStatus, &long).await.unwrap_err();
    assert!(matches!(refused, CallError::TooLong { .. }), "{refused}");
    assert!(refused.is_unsent());
    // A depth that the remote does not limit, and the service does.
    let deep: Value = (0..70).fold(json!(1), |inner, _| json!([inner]));
    let refused = remote.call(Command::GetStatus, &deep).await.unwrap_err();
    assert!(matches!(refused, CallError::NotUnderstood), "{refused}");
    assert!(!refused.is_unsent());
    remote.call(Command::GetStatus, &json!({})).await.unwrap();
    service.stop().await;
}

#[tokio::test]
async fn the_level_of_the_heartbeat_decides_the_numbers() {
    let interval = Duration::from_millis(20);
    let old = builder().level(ProtocolLevel::V0_9_11).handler(echo);
    let service = started(old.heartbeat_interval(interval)).await;
    let remote = remote_of(&service).await;
    remote.wait_for_heartbeat(PATIENCE).await.unwrap();
    assert_eq!(remote.level(), ProtocolLevel::V0_9_11);
    let answer = remote.command(Command::StartAcquisition).send().await;
    let answer = answer.unwrap();
    assert!(answer.answer.is_lossy);
    assert_eq!(seen(&answer)["command"], 100);
    let unknown = remote.command(Command::GetAnimals).send().await;
    let unknown = unknown.unwrap_err();
    assert!(
        matches!(unknown, CallError::UnknownCommand { .. }),
        "{unknown}"
    );
    service.stop().await;
}

/// A service whose handler waits for a permit, of the command that is given.
async fn gated(gate: &Arc<Semaphore>, gated: Command) -> autotrainer_api::Service {
    let gate = Arc::clone(gate);
    let handler = move |request: CommandRequest| {
        let gate = Arc::clone(&gate);
        async move {
            if request.command == gated {
                gate.acquire().await.unwrap().forget();
            }
            CommandResponse::success()
        }
    };
    let builder = builder().deadline(Deadline::Wait).concurrency(8);
    started(builder.handler(handler)).await
}

#[tokio::test]
async fn a_timeout_ends_one_call_and_its_late_reply_shifts_no_other() {
    let gate = Arc::new(Semaphore::new(0));
    let service = gated(&gate, Command::EmergencyStop).await;
    let remote = remote_of(&service).await;
    // Connected, so that what times out was sent.
    remote.command(Command::GetStatus).send().await.unwrap();
    let short = Duration::from_secs(1);
    let slow = remote.command(Command::EmergencyStop).timeout(short);
    let slow = slow.send().await.unwrap_err();
    assert!(matches!(slow, CallError::TimedOut), "{slow}");
    gate.add_permits(1);
    until(&remote, |counts| counts.late_replies == 1).await;
    for _ in 0..10 {
        let answer = remote.command(Command::GetStatus).send().await.unwrap();
        assert_eq!(answer.answer.command_number, Some(400));
    }
    let counts = remote.counts();
    assert_eq!((counts.timeouts, counts.answers), (1, 11));
    service.stop().await;
}

#[tokio::test]
async fn many_calls_are_in_flight_and_those_beyond_the_bound_wait() {
    let gate = Arc::new(Semaphore::new(0));
    let service = gated(&gate, Command::EmergencyStop).await;
    let options = RemoteOptions {
        in_flight_max: 4,
        ..options_of(&service)
    };
    let remote = Remote::connect(options).await.unwrap();
    let slow = remote.command(Command::EmergencyStop).timeout(PATIENCE);
    let quick = async {
        // Answered before the one that was sent first.
        until(&remote, |counts| counts.requests == 1).await;
        let calls = (0..32).map(|_| remote.command(Command::GetStatus).send());
        let answers = futures_util::future::join_all(calls).await;
        assert!(answers.iter().all(Result::is_ok));
        gate.add_permits(1);
    };
    let (slow, ()) = tokio::join!(slow.send(), quick);
    assert_eq!(slow.unwrap().answer.command_number, Some(200));
    service.stop().await;
}

#[tokio::test]
async fn a_dropped_call_leaves_nothing_behind() {
    let gate = Arc::new(Semaphore::new(0));
    let service = gated(&gate, Command::EmergencyStop).await;
    let remote = remote_of(&service).await;
    {
        let dropped = remote.command(Command::EmergencyStop).send();
        tokio::pin!(dropped);
        tokio::select! {
            _ = &mut dropped => panic!("it was answered"),
            () = until(&remote, |counts| counts.requests == 1) => {}
        }
    }
    gate.add_permits(1);
    until(&remote, |counts| counts.answers == 1).await;
    remote.command(Command::GetStatus).send().await.unwrap();
    service.stop().await;
}

#[tokio::test]
async fn late_results_come_by_nonce_also_before_the_reply() {
    // The application publishes the result by itself, before it answers; the first command's after the second's.
    let gate = Arc::new(Semaphore::new(0));
    let of_handler = Arc::clone(&gate);
    let handler = with_pending(
        move |_: CommandRequest, pending: autotrainer_api::Pending| {
            let gate = Arc::clone(&of_handler);
            async move {
                tokio::spawn(async move {
                    gate.acquire().await.unwrap().forget();
                    let _ =
                        pending.complete(CommandResponse::success().with_data(&json!({"a_b": 1})));
                });
                CommandResponse::new(ResultCode::PendingWithNotification)
            }
        },
    );
    let service = serving(handler).await;
    let remote = remote_of(&service).await;
    joined(&remote, &service).await;
    let first = remote.command(Command::EmergencyStop).send().await.unwrap();
    let mut first = first.pending.expect("a late result");
    let waited = first.result(Duration::from_millis(1)).await;
    assert!(matches!(waited, Err(ResultError::TimedOut(_))));
    gate.add_permits(1);
    let result = first.result(PATIENCE).await.unwrap();
    assert_eq!(result.data().as_str(), r#"{"a_b": 1}"#);
    // It can be asked again, and another has its own.
    assert_eq!(first.try_result(), Some(result));
    let second = remote.command(Command::EmergencyStop).send().await.unwrap();
    drop(second);
    gate.add_permits(1);
    until(&remote, |counts| counts.foreign_results == 1).await;
    service.stop().await;
}

/// A service of sockets only, whose every step the test decides.
struct Scripted {
    socket: CommandSocket,
    publisher: autotrainer_api::zmq::Publisher,
    options: RemoteOptions,
}

async fn scripted() -> Scripted {
    let any = "127.0.0.1:0".parse().unwrap();
    let options = SocketOptions::default();
    let socket = CommandSocket::new(&options).unwrap();
    let commands = socket.bind(any).await.unwrap().port();
    let publisher = autotrainer_api::zmq::Publisher::new(&options).unwrap();
    let events = publisher.bind(any).await.unwrap().port();
    Scripted {
        socket,
        publisher,
        options: RemoteOptions::ports("127.0.0.1", events, commands),
    }
}

#[tokio::test]
async fn a_result_that_overtakes_its_reply_is_kept_and_one_without_a_reply_is_told() {
    let service = scripted().await;
    let remote = Remote::connect(service.options.clone()).await.unwrap();
    let level = ProtocolLevel::NEWEST;
    for has_reply in [true, false] {
        let call = remote.command(Command::EmergencyStop);
        let call = call.timeout(if has_reply {
            PATIENCE
        } else {
            Duration::from_millis(500)
        });
        let play = async {
            let incoming = patiently(service.socket.receive()).await.unwrap();
            let request =
                CommandRequest::from_frames(&incoming.frames, level, &Default::default()).unwrap();
            let result = CommandResult::of(&request, level, CommandResponse::success());
            // Published until it has come: the subscription may not be in effect yet.
            let before = remote.counts().results;
            while remote.counts().results == before {
                let payload = result.to_payload();
                service
                    .publisher
                    .send(Topic::COMMAND_RESULT, payload)
                    .await
                    .unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            if has_reply {
                let response = CommandResponse::new(ResultCode::PendingWithNotification);
                let reply = response.to_frame(&request, level);
                service.socket.reply(incoming.envelope, reply).unwrap();
            }
        };
        let (outcome, ()) = tokio::join!(call.send(), play);
        if has_reply {
            let mut pending = outcome.unwrap().pending.unwrap();
            assert_eq!(pending.try_result().unwrap().result, ResultCode::Success);
        } else {
            let error = outcome.unwrap_err();
            assert!(matches!(error, CallError::ResultOnly(_)), "{error}");
        }
    }
}

#[tokio::test]
async fn replies_that_belong_to_nobody_shift_no_other() {
    let service = scripted().await;
    let remote = Remote::connect(service.options.clone()).await.unwrap();
    let level = ProtocolLevel::NEWEST;
    let calls = (0..3).map(|_| remote.command(Command::GetStatus).timeout(PATIENCE).send());
    let play = async {
        let mut requests = Vec::new();
        for _ in 0..3 {
            let incoming = patiently(service.socket.receive()).await.unwrap();
            requests.push(incoming);
        }
        // In reverse order, among replies without a nonce, of other nonces, and without JSON.
        for incoming in requests.into_iter().rev() {
            let request =
                CommandRequest::from_frames(&incoming.frames, level, &Default::default()).unwrap();
            let right = CommandResponse::success().with_data(&request.nonce.as_str());
            let strange = Bytes::from_static(b"{\"nonce\":5,\"result\":100}");
            for reply in [
                autotrainer_api::unreadable_answer(),
                strange,
                Bytes::from_static(b"no JSON"),
                right.to_frame(&request, level),
            ] {
                let envelope = incoming.envelope.clone();
                service.socket.reply(envelope, reply).unwrap();
            }
        }
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(calls), play);
    let mut attributed = 0;
    for answer in answers {
        match answer {
            Ok(answer) => {
                let nonce = answer.answer.nonce.as_str();
                assert_eq!(answer.answer.data().as_str(), format!("{nonce:?}"));
            }
            // The last one alone can be meant by a reply without a nonce.
            Err(CallError::NotUnderstood) => attributed += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(attributed <= 1);
    until(&remote, |counts| counts.late_replies >= 3).await;
    assert!(remote.counts().unattributed_replies >= 4);
}

#[tokio::test]
async fn closing_ends_what_waits() {
    let gate = Arc::new(Semaphore::new(0));
    let service = gated(&gate, Command::EmergencyStop).await;
    let remote = remote_of(&service).await;
    let mut events = remote.events().await;
    let mut changes = remote.changes();
    let call = remote.command(Command::EmergencyStop).send();
    let close = async {
        until(&remote, |counts| counts.requests == 1).await;
        remote.close().await;
    };
    let (call, ()) = tokio::join!(call, close);
    let closed = call.unwrap_err();
    assert!(matches!(closed, CallError::Closed), "{closed}");
    assert_eq!(patiently(events.next()).await, None);
    while patiently(changes.next()).await.is_some() {}
    let after = remote.command(Command::GetStatus).send().await;
    assert!(matches!(after, Err(CallError::Closed)), "{after:?}");
    let after = remote.probe(PATIENCE).await;
    assert!(matches!(after, Err(CallError::Closed)), "{after:?}");
    assert_eq!(remote.events().await.try_next(), None);
    gate.add_permits(1);
    service.stop().await;
}
