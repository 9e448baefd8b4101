//! One request, one answer.

use std::sync::atomic::Ordering;

use ::bytes::Bytes;
use futures_util::future::join_all;
use hyper::Request;
use nodewire::RefusalKind;
use nodewire::capability::{Feature, Wire};
use nodewire::http::Access;
use serde_json::json;

use crate::support::{Fixture, until};

fn kind(answer: &serde_json::Value) -> &str {
    answer["error"]["kind"].as_str().unwrap()
}

#[tokio::test]
async fn outputs_come_back() {
    let fixture = Fixture::start().await;
    let body = r#"{"inputs": {"text": ["a", "b"]}, "parameters": {"prefix": "- "}}"#;
    let answer = fixture.call("echo", body).await;
    assert_eq!(answer, (200, json!({"outputs": {"text": ["- a", "- b"]}})));
    let typed = Fixture::execute("echo").header("Content-Type", "application/json; charset=utf-8");
    let (status, _) = fixture.ask(typed, body).await;
    assert_eq!(status, 200);
    fixture.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_as_json() {
    let fixture = Fixture::start().await;
    let cases = [
        ("echo", r#"{"inputs": {"text": 7}}"#, 400, "invalid_input"),
        ("echo", "{", 400, "invalid_input"),
        ("echo", r#"{"input": {}}"#, 400, "invalid_input"),
        ("echo", r#"{"node": "other"}"#, 400, "invalid_input"),
        ("nobody", "{}", 404, "unknown_node"),
        ("panic", "{}", 500, "internal"),
        ("wait%2Fhere", r#"{"timeoutMs": 0}"#, 504, "deadline_passed"),
        ("wait%2Fhere", r#"{"timeoutMs": 300}"#, 504, "deadline"),
        ("%ff", "{}", 400, "invalid_input"),
    ];
    for (node, body, status, expected) in cases {
        let (told, answer) = fixture.call(node, body).await;
        assert_eq!((told, kind(&answer)), (status, expected), "{node} {body}");
        assert!(!answer["error"]["message"].as_str().unwrap().is_empty());
    }
    let form = Fixture::execute("echo").header("Content-Type", "text/plain");
    let (status, answer) = fixture.ask(form, "{}").await;
    assert_eq!((status, kind(&answer)), (415, "unsupported_media_type"));
    let (status, answer) = fixture.ask(Fixture::get("/nothing"), "").await;
    assert_eq!((status, kind(&answer)), (404, "not_found"));
    let (status, answer) = fixture.ask(Fixture::get("/nodes/echo/execute"), "").await;
    assert_eq!((status, kind(&answer)), (405, "method_not_allowed"));
    fixture.stop().await;
}

#[tokio::test]
async fn what_the_node_does_not_have_is_refused_by_name() {
    let fixture = Fixture::start().await;
    let input = "node `echo` has no input `txet`; it has `text`";
    let parameter = "node `echo` has no parameter `suffix`; it has `prefix`";
    let refused = |text: &str| json!({"error": {"kind": "invalid_input", "message": text}});
    let body = r#"{"inputs": {"text": "a", "txet": "a"}}"#;
    assert_eq!(fixture.call("echo", body).await, (400, refused(input)));
    let body = r#"{"inputs": {"text": "a"}, "parameters": {"suffix": "a"}}"#;
    assert_eq!(fixture.call("echo", body).await, (400, refused(parameter)));
    let form = Fixture::execute("echo").header("Content-Type", "multipart/form-data; boundary=x");
    let body = "--x\r\nContent-Disposition: form-data; name=\"txet\"\r\n\r\na\r\n--x--\r\n";
    assert_eq!(fixture.ask(form, body).await, (400, refused(input)));
    let counters = fixture.executor().counters();
    assert_eq!(counters.refused_for(RefusalKind::InvalidInput), 3);
    assert_eq!(counters.accepted, 0);
    let (_, stats) = fixture.ask(Fixture::get("/stats"), "").await;
    assert_eq!(stats["nodes"]["echo"]["refused"]["invalid_input"], 3);
    let (_, echo) = fixture.ask(Fixture::get("/nodes/echo"), "").await;
    let properties = &echo["schema"]["properties"];
    for group in ["inputs", "parameters"] {
        assert_eq!(properties[group]["additionalProperties"], json!(false));
    }
    fixture.stop().await;
}

#[tokio::test]
async fn only_who_has_the_token_may_ask() {
    let fixture = Fixture::start().await;
    for path in [
        "/nodes",
        "/nodes/echo",
        "/openapi.json",
        "/stats",
        "/nothing",
    ] {
        for token in [None, Some("Bearer wrong"), Some("Basic a-token-for-tests")] {
            let mut request = Request::get(path);
            if let Some(token) = token {
                request = request.header("Authorization", token);
            }
            let (head, _) = fixture.send(request, "").await.whole().await;
            assert_eq!(head.status, 401, "{path} {token:?}");
            assert_eq!(head.headers["www-authenticate"], "Bearer");
        }
    }
    let (status, answer) = fixture
        .ask(Request::post("/nodes/echo/execute"), "{}")
        .await;
    assert_eq!((status, kind(&answer)), (401, "unauthorized"));
    let health = fixture.ask(Request::get("/healthz"), "").await;
    assert_eq!(health, (200, json!({"status": "ok"})));
    assert_eq!(fixture.executor().counters().accepted, 0);
    fixture.stop().await;
}

#[tokio::test]
async fn without_a_token_all_but_pages_may_ask() {
    let fixture =
        Fixture::start_with(|config| config.access = Access::Open, |builder| builder).await;
    let request = || Request::post("/nodes/about/execute");
    let (status, _) = fixture.ask(request(), "").await;
    assert_eq!(status, 200);
    let page = request().header("Origin", "http://example.org");
    let (status, answer) = fixture.ask(page, "").await;
    assert_eq!((status, kind(&answer)), (403, "forbidden"));
    fixture.stop().await;
}

#[tokio::test]
async fn headers_and_members_reach_the_node() {
    let fixture = Fixture::start().await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = Fixture::execute("about").header("traceparent", parent);
    let answer = fixture.ask(request, r#"{"callerId": "me"}"#).await;
    assert_eq!(answer, (200, json!({"outputs": {"about": [parent, "me"]}})));
    let shorter = Fixture::execute("wait%2Fhere").header("Request-Timeout-Ms", "300");
    let (status, answer) = fixture.ask(shorter, r#"{"timeoutMs": 600000}"#).await;
    assert_eq!((status, kind(&answer)), (504, "deadline"));
    let wrong = Fixture::execute("about").header("Request-Timeout-Ms", "soon");
    let (status, answer) = fixture.ask(wrong, "").await;
    assert_eq!((status, kind(&answer)), (400, "invalid_input"));
    fixture.stop().await;
}

#[tokio::test]
async fn bytes_are_a_body_where_asked_for() {
    let fixture = Fixture::start().await;
    let body = r#"{"inputs": {"data": {"$bytes": "AAEC/w=="}}}"#;
    let bytes = Fixture::execute("reverse").header("Accept", "application/octet-stream");
    let (head, reversed) = fixture.send(bytes, body).await.whole().await;
    assert_eq!(head.status, 200);
    assert_eq!(head.headers["content-type"], "application/octet-stream");
    assert_eq!(reversed, Bytes::from_static(b"\xff\x02\x01\x00"));
    let answer = fixture.call("reverse", body).await;
    assert_eq!(
        answer,
        (200, json!({"outputs": {"data": [{"$bytes": "/wIBAA=="}]}}))
    );
    let cannot = Fixture::execute("about").header("Accept", "application/octet-stream");
    let (status, answer) = fixture.ask(cannot, "").await;
    assert_eq!((status, kind(&answer)), (406, "not_acceptable"));
    let either = Fixture::execute("about").header("Accept", "application/octet-stream, */*;q=0.5");
    assert_eq!(fixture.ask(either, "").await.0, 200);
    let no_events = "text/event-stream;q=0, application/octet-stream; q=0.000, application/json";
    let no_events = Fixture::execute("about").header("Accept", no_events);
    let (head, _) = fixture.send(no_events, "").await.whole().await;
    assert_eq!(head.headers["content-type"], "application/json");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_at_once_get_their_own_answers() {
    let fixture = Fixture::start().await;
    let callers = (0..64).map(|caller| {
        let fixture = &fixture;
        async move {
            for call in 0..8 {
                let text = format!("{caller}/{call}");
                let body = json!({"inputs": {"text": text}}).to_string();
                let answer = fixture.call("echo", &body).await;
                let expected = json!({"outputs": {"text": [format!("> {text}")]}});
                assert_eq!(answer, (200, expected));
            }
        }
    });
    join_all(callers).await;
    assert_eq!(fixture.executor().counters().completed, 64 * 8);
    fixture.stop().await;
}

#[tokio::test]
async fn a_client_that_disconnects_cancels() {
    let fixture = Fixture::start().await;
    let talk = fixture.send(Fixture::execute("wait%2Fhere"), "{}").await;
    fixture.probe.wait_until_begun(1).await;
    drop(talk);
    fixture.wait_until_told_to_stop().await;
    let executor = fixture.executor();
    until("it is counted", || executor.counters().cancelled == 1).await;
    assert_eq!(fixture.probe.told_to_stop.load(Ordering::SeqCst), 1);
    fixture.stop().await;
}

#[tokio::test]
async fn what_one_answer_cannot_tell_is_counted() {
    let fixture = Fixture::start().await;
    let answer = fixture.call("progress", "").await;
    assert_eq!(answer, (200, json!({"outputs": {"n": [3]}})));
    let lost = fixture.server.lost().into_iter();
    let lost: Vec<_> = lost
        .map(|lost| (lost.wire, lost.feature, lost.executions))
        .collect();
    let expected = [
        (Wire::Http, Feature::Progress, 1),
        (Wire::Http, Feature::PartialOutputs, 1),
    ];
    assert_eq!(lost, expected);
    fixture.stop().await;
}
