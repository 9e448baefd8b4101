//! One request, one reply.

use futures_util::future::join_all;
use nodewire::RefusalKind;
use nodewire::capability::{Feature, Wire};
use serde_json::json;

use crate::support::{Fixture, header, json as body, outcome};

#[tokio::test]
async fn a_node_is_a_subject() {
    let fixture = Fixture::start().await;
    let outputs = fixture
        .call("echo", r#"{"inputs": {"text": ["a", "b"]}}"#)
        .await;
    assert_eq!(outputs, Ok(json!({"text": ["> a", "> b"]})));
    let set = r#"{"node": "echo", "inputs": {"text": "a"}, "parameters": {"prefix": ""}}"#;
    assert_eq!(fixture.call("echo", set).await, Ok(json!({"text": ["a"]})));
    assert_eq!(
        fixture.call("about", "").await,
        Ok(json!({"about": ["none", ""]}))
    );
    fixture.stop().await;
}

#[tokio::test]
async fn a_plain_answer_has_no_headers() {
    let fixture = Fixture::start().await;
    let reply = fixture.request("nodes.about", &[], "").await;
    assert_eq!(reply.headers, None);
    fixture.stop().await;
}

#[tokio::test]
async fn what_does_not_fit_is_the_callers_to_mend() {
    let fixture = Fixture::start().await;
    let wrong = r#"{"inputs": {"text": ["a", 5]}}"#;
    let reply = fixture.request("nodes.echo", &[], wrong).await;
    let text = "input `text`[1]: expected string, got 5";
    assert_eq!(outcome(&reply), Err((400, text.to_owned())));
    let error = json!({"error": {"kind": "invalid_input", "message": text}});
    assert_eq!(body(&reply), error);

    for wrong in [
        "[",
        "[]",
        r#"{"input": {}}"#,
        r#"{"node": "about"}"#,
        r#"{"timeoutMs": "1"}"#,
    ] {
        let (code, _) = fixture.call("echo", wrong).await.unwrap_err();
        assert_eq!(code, 400, "{wrong}");
    }
    let priority = [("Nodewire-Priority", "high")];
    let reply = fixture.request("nodes.echo", &priority, "").await;
    assert_eq!(outcome(&reply).unwrap_err().0, 400);
    fixture.stop().await;
}

#[tokio::test]
async fn what_the_node_does_not_have_is_refused_by_name() {
    let fixture = Fixture::start().await;
    let input = "node `echo` has no input `txet`; it has `text`".to_owned();
    let parameter = "node `echo` has no parameter `suffix`; it has `prefix`".to_owned();
    let wrong = fixture.call("echo", r#"{"inputs": {"txet": "a"}}"#).await;
    assert_eq!(wrong, Err((400, input.clone())));
    let wrong = fixture.call("echo", r#"{"parameters": {"suffix": 1}}"#);
    assert_eq!(wrong.await, Err((400, parameter.clone())));
    for (header, text) in [
        ("Nodewire-Input-txet", input),
        ("Nodewire-Param-suffix", parameter),
    ] {
        let reply = fixture.request("nodes.echo", &[(header, "a")], "").await;
        assert_eq!(outcome(&reply), Err((400, text)));
    }
    let counters = fixture.executor().counters();
    assert_eq!(counters.refused_for(RefusalKind::InvalidInput), 4);
    fixture.stop().await;
}

#[tokio::test]
async fn a_node_may_be_named_in_the_request() {
    let fixture = Fixture::start().await;
    let named = r#"{"node": "echo", "inputs": {"text": "a"}}"#;
    let named = fixture.call("$execute", named).await;
    assert_eq!(named, Ok(json!({"text": ["> a"]})));
    let header = [("Nodewire-Node", "about")];
    let reply = fixture.request("nodes.$execute", &header, "").await;
    assert_eq!(outcome(&reply), Ok(json!({"about": ["none", ""]})));
    let unknown = fixture.call("$execute", r#"{"node": "nope"}"#).await;
    assert_eq!(
        unknown,
        Err((404, "Node definition not found: nope".to_owned()))
    );
    assert_eq!(fixture.call("$execute", "{}").await.unwrap_err().0, 400);
    fixture.stop().await;
}

#[tokio::test]
async fn a_panic_ends_one_execution() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.call("panic", "").await.unwrap_err().0, 500);
    assert!(fixture.call("about", "").await.is_ok());
    fixture.stop().await;
}

#[tokio::test]
async fn time_runs_out() {
    let fixture = Fixture::start().await;
    let code = |outcome: Result<_, (u32, _)>| outcome.unwrap_err().0;
    let running = fixture.call("wait_here", r#"{"timeoutMs": 20}"#).await;
    assert_eq!(code(running), 408);
    let passed = fixture.call("wait_here", r#"{"timeoutMs": 0}"#).await;
    assert_eq!(code(passed), 408);
    // The shorter one counts.
    let both = [("Nodewire-Timeout-Ms", "20")];
    let reply = fixture
        .request("nodes.wait_here", &both, r#"{"timeoutMs": 600000}"#)
        .await;
    assert_eq!(code(outcome(&reply)), 408);
    fixture.stop().await;
}

#[tokio::test]
async fn trace_context_and_the_callers_name_reach_the_node() {
    let fixture = Fixture::start().await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [("traceparent", parent), ("Nodewire-Execution", "mine")];
    let reply = fixture.request("nodes.about", &headers, "").await;
    assert_eq!(outcome(&reply), Ok(json!({"about": [parent, "mine"]})));
    let own = r#"{"traceparent": "00-1", "callerId": "other"}"#;
    let reply = fixture.request("nodes.about", &headers, own).await;
    assert_eq!(outcome(&reply), Ok(json!({"about": ["00-1", "other"]})));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_at_once_get_their_own_answers() {
    let fixture = Fixture::start().await;
    let calls = (0..64).map(|caller| {
        let fixture = &fixture;
        async move {
            let request = format!(r#"{{"inputs": {{"text": "{caller}"}}}}"#);
            let outputs = fixture.call("echo", &request).await;
            assert_eq!(outputs, Ok(json!({"text": [format!("> {caller}")]})));
        }
    });
    join_all(calls).await;
    assert_eq!(fixture.executor().counters().completed, 64);
    fixture.stop().await;
}

#[tokio::test]
async fn what_one_reply_cannot_tell_is_counted() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.call("progress", "").await, Ok(json!({"n": [3]})));
    let lost = fixture.served.server.lost();
    let lost: Vec<_> = lost
        .iter()
        .map(|lost| (lost.wire, lost.feature, lost.executions))
        .collect();
    let one = |feature| (Wire::Nats, feature, 1);
    assert_eq!(lost, [one(Feature::Progress), one(Feature::PartialOutputs)]);
    fixture.stop().await;
}

#[tokio::test]
async fn a_request_that_wants_no_reply_is_executed() {
    let fixture = Fixture::start().await;
    fixture
        .client
        .publish("nodes.about", "".into())
        .await
        .unwrap();
    let executor = fixture.executor().clone();
    crate::support::until("it was executed", || executor.counters().completed == 1).await;
    fixture.stop().await;
}

#[tokio::test]
async fn json_says_so_where_bytes_were_wanted() {
    let fixture = Fixture::start().await;
    let accept = [("Accept", "application/octet-stream")];
    let reply = fixture.request("nodes.about", &accept, "").await;
    assert_eq!(header(&reply, "Content-Type"), Some("application/json"));
    assert!(outcome(&reply).is_ok());
    fixture.stop().await;
}

#[tokio::test]
async fn values_may_stand_in_headers() {
    let fixture = Fixture::start().await;
    let headers = [
        ("Nodewire-Input-text", r#"["a", "b"]"#),
        ("Nodewire-Param-prefix", "-"),
    ];
    let reply = fixture.request("nodes.echo", &headers, "").await;
    assert_eq!(outcome(&reply), Ok(json!({"text": ["-a", "-b"]})));
    // The body comes first.
    let body = r#"{"inputs": {"text": "c"}, "parameters": {"prefix": ""}}"#;
    let reply = fixture.request("nodes.echo", &headers, body).await;
    assert_eq!(outcome(&reply), Ok(json!({"text": ["c"]})));
    fixture.stop().await;
}

#[tokio::test]
async fn a_header_that_is_given_twice_is_refused() {
    let fixture = Fixture::start().await;
    let mut headers = async_nats::HeaderMap::new();
    headers.append("Nodewire-Input-text", "a");
    headers.append("Nodewire-Input-text", "b");
    let reply = fixture
        .client
        .request_with_headers("nodes.echo", headers, "".into())
        .await
        .unwrap();
    let (code, text) = outcome(&reply).unwrap_err();
    assert_eq!(code, 400);
    assert!(text.contains("2 times"), "{text}");
    fixture.stop().await;
}
