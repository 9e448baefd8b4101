//! Executions from their command to their result.

use std::time::Duration;

use autotrainer_api::{Command, ResultCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nodewire::Json;
use nodewire::autotrainer::error_code;
use serde_json::json;

use crate::nodes::Waiting;
use crate::support::{ECHO, PATIENCE, Served, answered, builder, config, data, outcome, start};

#[tokio::test]
async fn a_node_runs_by_its_number_and_by_its_name() {
    let served = Served::new(config().command("steps", 7)).await;
    let by_name = served
        .run(json!({"node": "echo", "inputs": {"text": ["a", "é B"]}, "parameters": {"prefix": "- "}}))
        .await;
    assert_eq!(by_name.result, ResultCode::Success);
    assert_eq!(
        data(&by_name.verbatim_data),
        json!({"outputs": {"text": ["- a", "- é B"]}})
    );
    for (number, node_data, told) in [
        (
            ECHO,
            json!({"inputs": {"text": "one"}}),
            json!({"text": ["> one"]}),
        ),
        (7, json!({"node": "steps"}), json!({"n": [3]})),
    ] {
        let call = served.remote.custom_command(number);
        let call = call.verbatim_data(Json::from(node_data));
        let mut pending = call.send().await.unwrap().pending.unwrap();
        let nonce = pending.nonce();
        let result = pending.result(PATIENCE).await.unwrap();
        assert_eq!(
            (result.nonce_number(), result.command_number),
            (Some(nonce), 99999)
        );
        assert_eq!(data(&result.verbatim_data), json!({"outputs": told}));
    }
    served.finish().await;
}

#[tokio::test]
async fn progress_and_previews_are_changes_of_properties() {
    let mut served = Served::new(config()).await;
    let mut pending = served.begin(json!({"node": "steps"})).await;
    let nonce = pending.nonce();
    for step in 1..=3 {
        let change = served.change_of(nonce).await;
        assert_eq!((change.target, change.name.as_str()), (1002, "progress"));
        assert_eq!(
            data(&change.new_value),
            json!({"nonce": nonce, "event": "progress", "step": step, "total": 3, "message": format!("step {step}")})
        );
    }
    let change = served.change_of(nonce).await;
    assert_eq!(change.name, "partial");
    assert_eq!(
        data(&change.new_value),
        json!({"nonce": nonce, "event": "partial", "outputs": {"n": ["so far"]}})
    );
    let result = pending.result(PATIENCE).await.unwrap();
    assert_eq!(result.result, ResultCode::Success);
    assert_eq!(served.server.lost(), []);
    served.finish().await;
}

#[tokio::test]
async fn what_does_not_fit_is_told_with_its_name() {
    let served = Served::new(config()).await;
    let result = served
        .run(json!({"node": "echo", "inputs": {"text": [7]}}))
        .await;
    let (code, error, message) = outcome(&result);
    assert_eq!(
        (code, error),
        (ResultCode::Failed, error_code::INVALID_INPUT)
    );
    assert!(message.contains("text"), "{message}");

    for (bad, named) in [
        (json!({"node": "echo", "input": {}}), "`input`"),
        (json!({"node": "echo", "timeout_ms": "soon"}), "`timeoutMs`"),
        (
            json!({"node": "reverse", "inputs": {"bytes": {"$bytes": "?"}}}),
            "`bytes`",
        ),
        (json!([1]), "`data`"),
    ] {
        let answer = served.ask(None, bad).await;
        let invalid = (ResultCode::Failed, error_code::INVALID_INPUT);
        assert_eq!(answered(&answer), invalid);
        let message = answer.error_message.unwrap();
        assert!(message.contains(named), "{message}");
    }
    let other = served.ask(Some(ECHO), json!({"node": "steps"})).await;
    assert_eq!(other.error_code, error_code::INVALID_INPUT);
    assert_eq!(served.counts().unreadable_data, 5);
    served.finish().await;
}

#[tokio::test]
async fn a_cancel_reaches_the_handler_in_the_middle() {
    let served = Served::new(config()).await;
    let mut pending = served.begin(json!({"node": "wait"})).await;
    served.waiting.started.taken().await;
    let answer = served.cancel(pending.nonce()).await;
    assert_eq!(answered(&answer), (ResultCode::Success, 0));
    served.waiting.stopped.taken().await;
    let result = pending.result(PATIENCE).await.unwrap();
    let (code, error, message) = outcome(&result);
    assert_eq!((code, error), (ResultCode::Failed, error_code::CANCELLED));
    assert!(message.contains("cancelled"), "{message}");
    let again = served.cancel(pending.nonce()).await;
    let gone = (ResultCode::Failed, error_code::NOT_FOUND);
    assert_eq!(answered(&again), gone);
    assert_eq!(served.server.executor().counters().cancelled, 1);
    served.finish().await;
}

#[tokio::test]
async fn a_deadline_ends_it() {
    let served = Served::new(config()).await;
    let result = served.run(json!({"node": "wait", "timeout_ms": 20})).await;
    let (code, error, _) = outcome(&result);
    assert_eq!((code, error), (ResultCode::Failed, error_code::DEADLINE));
    let passed = served.ask(None, json!({"node": "wait", "timeoutMs": 0}));
    let passed = answered(&passed.await);
    assert_eq!(passed, (ResultCode::Failed, error_code::DEADLINE));
    served.finish().await;
}

#[tokio::test]
async fn a_panic_ends_one_execution() {
    let served = Served::new(config()).await;
    let result = served.run(json!({"node": "panic"})).await;
    let (code, error, message) = outcome(&result);
    assert_eq!((code, error), (ResultCode::Exception, 0));
    assert!(!message.is_empty());
    let next = served.run(json!({"node": "steps"})).await;
    assert_eq!(next.result, ResultCode::Success);
    served.finish().await;
}

#[tokio::test]
async fn a_mebibyte_of_bytes_goes_there_and_back() {
    let served = Served::new(config()).await;
    let bytes: Vec<u8> = (0..1_u32 << 20).map(|n| (n % 251) as u8).collect();
    let sent = STANDARD.encode(&bytes);
    let request = json!({"node": "reverse", "inputs": {"bytes": {"$bytes": sent}}});
    let result = served.run(request).await;
    assert_eq!(result.result, ResultCode::Success);
    let outputs = data(&result.verbatim_data);
    let back = outputs["outputs"]["bytes"][0]["$bytes"].as_str().unwrap();
    let mut back = STANDARD.decode(back).unwrap();
    back.reverse();
    assert!(back == bytes);
    served.finish().await;
}

#[tokio::test]
async fn sixty_four_callers_at_once_get_each_their_own_result() {
    let served = Served::new(config()).await;
    let callers = (0..64).map(|n| {
        let (remote, text) = (served.remote.clone(), format!("caller {n}"));
        tokio::spawn(async move {
            let request = json!({"node": "echo", "inputs": {"text": [text]}});
            let call = remote.command(Command::UserDefined);
            let answer = call.verbatim_data(Json::from(request)).send().await;
            let mut pending = answer.unwrap().pending.unwrap();
            let result = pending.result(PATIENCE).await.unwrap();
            assert_eq!(
                data(&result.verbatim_data),
                json!({"outputs": {"text": [format!("> {text}")]}})
            );
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    served.finish().await;
}

#[tokio::test]
async fn trace_and_caller_reach_the_node() {
    let served = Served::new(config()).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let result = served
        .run(json!({"node": "tell", "traceparent": trace, "caller_id": "Me"}))
        .await;
    assert_eq!(
        data(&result.verbatim_data),
        json!({"outputs": {"told": [trace, "Me"]}})
    );
    // Without a name of the caller's, the nonce is one.
    let mut pending = served.begin(json!({"node": "tell"})).await;
    let nonce = pending.nonce().to_string();
    let result = pending.result(PATIENCE).await.unwrap();
    assert_eq!(
        data(&result.verbatim_data),
        json!({"outputs": {"told": ["", nonce]}})
    );
    served.finish().await;
}

#[tokio::test]
async fn a_stop_lets_the_last_answers_out() {
    let waiting = Waiting::default();
    let server = start(builder(config(), &waiting).drain(PATIENCE)).await;
    let served = Served::of(server, waiting).await;
    let mut finishing = served.begin(json!({"node": "wait"})).await;
    served.waiting.started.taken().await;
    let mut queued = served.begin(json!({"node": "narrow"})).await;
    served.waiting.started.taken().await;
    let mut dropped = served.begin(json!({"node": "narrow"})).await;
    let executor = served.server.executor().clone();
    let stop = tokio::spawn(served.server.stop());
    // What waits is dropped as soon as the stop begins; what runs may finish.
    let result = dropped.result(PATIENCE).await.unwrap();
    let (code, error, _) = outcome(&result);
    assert_eq!(
        (code, error),
        (ResultCode::Unavailable, error_code::SHUTTING_DOWN)
    );
    served.waiting.finish.give();
    served.waiting.finish.give();
    for pending in [&mut finishing, &mut queued] {
        let result = pending.result(PATIENCE).await.unwrap();
        assert_eq!(
            data(&result.verbatim_data),
            json!({"outputs": {"done": ["by itself"]}})
        );
    }
    stop.await.unwrap();
    let counters = executor.counters();
    assert!(counters.is_balanced() && counters.in_flight == 0);
    // The two that ended by themselves, and at least one blip of the beginning.
    assert_eq!((counters.failed, counters.cancelled), (0, 0));
    assert!(counters.completed >= 3, "{counters:?}");
}

#[tokio::test]
async fn a_stop_cancels_what_does_not_end() {
    let waiting = Waiting::default();
    let server = start(builder(config(), &waiting).drain(Duration::ZERO)).await;
    let served = Served::of(server, waiting).await;
    let mut pending = served.begin(json!({"node": "wait"})).await;
    served.waiting.started.taken().await;
    let waiting = served.waiting.clone();
    served.server.stop().await;
    waiting.stopped.taken().await;
    let result = pending.result(PATIENCE).await.unwrap();
    assert!(!result.result.is_positive(), "{result:?}");
}
