//! Refusals, and what is too long.

use autotrainer_api::{CommandAnswer, Limits, OutgoingRequest, ProtocolLevel, ResultCode};
use bytes::Bytes;
use nodewire::autotrainer::{AutotrainerError, error_code};
use nodewire::capability::{Feature, Wire};
use nodewire::{Json, RefusalKind, ServeError};
use serde_json::json;

use crate::nodes::Waiting;
use crate::support::{ECHO, PATIENCE, Served, answered, builder, config, outcome, ports, start};

const UNAVAILABLE: ResultCode = ResultCode::Unavailable;

#[tokio::test]
async fn a_full_queue_refuses() {
    let served = Served::new(config()).await;
    let mut running = served.begin(json!({"node": "narrow"})).await;
    served.waiting.started.taken().await;
    let mut queued = served.begin(json!({"node": "narrow"})).await;
    let refused = served.ask(None, json!({"node": "narrow"})).await;
    assert_eq!(answered(&refused), (UNAVAILABLE, error_code::QUEUE_FULL));
    let counters = served.server.executor().counters();
    assert_eq!(counters.refused_for(RefusalKind::QueueFull), 1);
    served.waiting.finish.give();
    served.waiting.finish.give();
    for pending in [&mut running, &mut queued] {
        let result = pending.result(PATIENCE).await.unwrap();
        assert_eq!(result.result, ResultCode::Success);
    }
    served.finish().await;
}

#[tokio::test]
async fn the_wire_has_a_limit_of_its_own() {
    let mut config = config();
    config.in_flight_max = 1;
    let served = Served::new(config).await;
    // The blips of the beginning may be on their way out.
    let mut running = loop {
        let call = served.remote.command(autotrainer_api::Command::UserDefined);
        let wait = Json::from(json!({"node": "wait"}));
        if let Some(pending) = call.verbatim_data(wait).send().await.unwrap().pending {
            break pending;
        }
    };
    let before = served.counts().too_many_in_flight;
    let refused = served.ask(None, json!({"node": "echo"})).await;
    let full = (UNAVAILABLE, error_code::TOO_MANY_IN_FLIGHT);
    assert_eq!(answered(&refused), full);
    assert_eq!(served.counts().too_many_in_flight, before + 1);
    // What cancels is still served.
    let cancelled = served.cancel(running.nonce()).await;
    assert_eq!(cancelled.result, ResultCode::Success);
    running.result(PATIENCE).await.unwrap();
    served.finish().await;
}

#[tokio::test]
async fn unknown_nodes_are_unrecognized() {
    let served = Served::new(config()).await;
    let unknown = (ResultCode::Unrecognized, error_code::UNKNOWN_NODE);
    for (number, request) in [
        (Some(77), json!({})),
        (None, json!({"node": "nobody"})),
        (None, json!(null)),
    ] {
        let answer = served.ask(number, request).await;
        assert_eq!(answered(&answer), unknown);
        assert!(answer.error_message.is_some());
    }
    assert_eq!(served.counts().unknown_numbers, 2);
    let counters = served.server.executor().counters();
    assert_eq!(counters.refused_for(RefusalKind::UnknownNode), 1);
    served.finish().await;
}

#[tokio::test]
async fn what_the_node_does_not_have_is_refused_by_name() {
    let served = Served::new(config()).await;
    for (number, request, text) in [
        (
            None,
            json!({"node": "echo", "inputs": {"txet": "a"}}),
            "node `echo` has no input `txet`; it has `text`",
        ),
        (
            Some(ECHO),
            json!({"inputs": {"text": "a"}, "parameters": {"suffix": 1}}),
            "node `echo` has no parameter `suffix`; it has `prefix`",
        ),
    ] {
        let answer = served.ask(number, request).await;
        let invalid = (ResultCode::Failed, error_code::INVALID_INPUT);
        assert_eq!(answered(&answer), invalid);
        assert_eq!(answer.error_message.as_deref(), Some(text));
    }
    let counters = served.server.executor().counters();
    assert_eq!(counters.refused_for(RefusalKind::InvalidInput), 2);
    served.finish().await;
}

/// Sends a request with a nonce of one's choice.
async fn with_nonce(served: &Served, nonce: &str) -> CommandAnswer {
    let text = format!(
        r#"{{"command": {}, "nonce": {nonce}, "data": {{"node": "wait"}}}}"#,
        autotrainer_api::Command::USER_DEFINED_NUMBER
    );
    let frames = [Bytes::from(text)];
    let reply = served.remote.call_raw(&frames, PATIENCE).await.unwrap();
    CommandAnswer::from_frames(&reply, ProtocolLevel::NEWEST, &Limits::default()).unwrap()
}

#[tokio::test]
async fn a_nonce_names_one_execution_at_a_time() {
    let served = Served::new(config()).await;
    let mut pending = served.begin(json!({"node": "wait"})).await;
    served.waiting.started.taken().await;
    let again = with_nonce(&served, &pending.nonce().to_string()).await;
    let in_use = (ResultCode::Failed, error_code::NONCE_IN_USE);
    assert_eq!(answered(&again), in_use);
    for unusable in ["0", "null", "[7]"] {
        let answer = with_nonce(&served, unusable).await;
        assert_eq!(answer.error_code, error_code::INVALID_INPUT, "{unusable}");
    }
    let counts = served.counts();
    assert_eq!((counts.nonces_in_use, counts.nonces_unusable), (1, 3));
    // The first is not disturbed.
    served.waiting.finish.give();
    let result = pending.result(PATIENCE).await.unwrap();
    assert_eq!(result.result, ResultCode::Success);
    // A string will do, too.
    let text = with_nonce(&served, r#""Some\u0020Name""#).await;
    assert_eq!(text.result, ResultCode::PendingWithNotification);
    served.waiting.started.taken().await;
    let cancelled = served.ask(Some(2), json!({"nonce": "Some Name"})).await;
    assert_eq!(cancelled.result, ResultCode::Success);
    served.waiting.stopped.taken().await;
    served.finish().await;
}

pub(crate) fn short_messages() -> nodewire::autotrainer::AutotrainerConfig {
    let mut config = config();
    config.message_bytes_max = 64 << 10;
    config
}

#[tokio::test]
async fn a_result_longer_than_a_message_is_an_error_and_a_preview_is_lost() {
    let served = Served::new(short_messages()).await;
    let result = served.run(json!({"node": "long"})).await;
    let (code, error, message) = outcome(&result);
    assert_eq!(
        (code, error),
        (ResultCode::Failed, error_code::ANSWER_TOO_LONG)
    );
    assert!(message.contains("65536"), "{message}");
    assert_eq!(served.counts().results_too_long, 1);
    let lost: Vec<_> = served
        .server
        .lost()
        .iter()
        .map(|lost| (lost.wire, lost.feature, lost.executions))
        .collect();
    assert_eq!(lost, [(Wire::Autotrainer, Feature::PartialOutputs, 1)]);
    let short = json!({"node": "long", "parameters": {"length": 60_000}});
    assert_eq!(served.run(short).await.result, ResultCode::Success);
    served.finish().await;
}

#[tokio::test]
async fn a_request_longer_than_a_message_is_not_read() {
    let served = Served::new(short_messages()).await;
    let nonce = std::num::NonZeroU64::MIN;
    let long = json!({"node": "echo", "inputs": {"text": ["x".repeat(100_000)]}});
    let request = OutgoingRequest::custom(-1, nonce).with_verbatim_data(Json::from(long));
    let short = std::time::Duration::from_millis(500);
    let reply = served.remote.call_raw(&[request.to_frame()], short).await;
    assert!(reply.is_err(), "{reply:?}");
    // Others are served as before.
    let next = served.run(json!({"node": "steps"})).await;
    assert_eq!(next.result, ResultCode::Success);
    served.finish().await;
}

#[tokio::test]
async fn what_cannot_be_served_is_told_at_the_start() {
    let waiting = Waiting::default();
    let taken = builder(config().command("echo", 5).command("steps", 5), &waiting);
    let error = taken.build().unwrap().start().await.unwrap_err();
    let command_taken = |error: &ServeError| {
        matches!(
            error,
            ServeError::Autotrainer(AutotrainerError::CommandTaken { number: 5, .. })
        )
    };
    assert!(command_taken(&error), "{error:?}");

    let first = start(builder(config(), &waiting)).await;
    let mut same = config();
    same.command_port = ports(&first).0;
    let second = builder(same, &waiting).build().unwrap();
    let error = second.start().await.unwrap_err();
    let start_error = matches!(error, ServeError::Autotrainer(AutotrainerError::Start(_)));
    assert!(start_error, "{error:?}");
    first.stop().await;
}
