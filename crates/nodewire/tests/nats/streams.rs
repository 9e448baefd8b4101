//! Many replies to one request.

use serde_json::json;

use crate::support::{Fixture, header, json as body, outcome};

#[tokio::test]
async fn progress_and_partial_outputs_come_before_the_end() {
    let fixture = Fixture::start().await;
    let replies = fixture.stream("progress", &[], "").await.all().await;
    let events: Vec<_> = replies.iter().map(|(event, _)| event.as_str()).collect();
    let told = [
        "accepted",
        "progress",
        "progress",
        "progress",
        "partial",
        "completed",
    ];
    assert_eq!(events, told);
    let step = json!({"event": "progress", "step": 1, "total": 3, "message": "step 1"});
    assert_eq!(body(&replies[1].1), step);
    let partial = json!({"event": "partial", "outputs": {"n": [2]}});
    assert_eq!(body(&replies[4].1), partial);
    let completed = json!({"event": "completed", "outputs": {"n": [3]}});
    assert_eq!(body(&replies[5].1), completed);
    assert_eq!(fixture.served.server.lost(), []);
    fixture.stop().await;
}

#[tokio::test]
async fn a_failure_is_an_end_and_an_error() {
    let fixture = Fixture::start().await;
    for (node, request, code) in [
        ("panic", "", 500),
        ("echo", "", 400),
        ("echo", "[", 400),
        ("$execute", r#"{"node": "nope"}"#, 404),
    ] {
        let replies = fixture.stream(node, &[], request).await.all().await;
        let (event, reply) = replies.last().unwrap();
        assert_eq!(event, "failed", "{node} {request}");
        assert_eq!(outcome(reply).unwrap_err().0, code, "{node} {request}");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn the_first_reply_tells_how_to_cancel() {
    let fixture = Fixture::start().await;
    let mut replies = fixture.stream("wait_here", &[], "").await;
    let (event, accepted) = replies.event().await;
    assert_eq!(event, "accepted");
    fixture.served.probe.wait_until_begun(1).await;
    let cancel = header(&accepted, "Nodewire-Cancel").unwrap();
    let answer = fixture.request(cancel, &[], "").await;
    assert_eq!(body(&answer), json!({"cancelled": true}));
    let (event, reply) = replies.event().await;
    assert_eq!(event, "cancelled");
    assert_eq!(outcome(&reply).unwrap_err().0, 499);
    assert_eq!(
        body(&reply),
        json!({"event": "cancelled", "abandoned": false})
    );
    let told = &fixture.served.probe.told_to_stop;
    assert_eq!(told.load(std::sync::atomic::Ordering::SeqCst), 1);
    // It has ended.
    let answer = fixture.request(cancel, &[], "").await;
    assert_eq!(outcome(&answer).unwrap_err().0, 404);
    fixture.stop().await;
}

#[tokio::test]
async fn what_is_dropped_says_why() {
    let fixture = Fixture::start().await;
    let running = fixture.stream("narrow", &[], "").await;
    fixture.served.probe.wait_until_begun(1).await;
    let late = [("Nodewire-Timeout-Ms", "20")];
    let replies = fixture.stream("narrow", &late, "").await.all().await;
    let (event, reply) = replies.last().unwrap();
    assert_eq!(event, "dropped");
    assert_eq!(outcome(reply).unwrap_err().0, 408);
    assert_eq!(body(reply)["reason"], "deadline_passed");
    fixture.served.probe.open();
    let replies = running.all().await;
    assert_eq!(replies.last().unwrap().0, "completed");
    fixture.stop().await;
}
