//! Cancelling by an id of the caller's, on whichever server the execution is.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Fixture, json as body, outcome, request, serve, stop, until};

const MINE: [(&str, &str); 1] = [("Nodewire-Execution", "mine")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_request_is_cancelled_by_its_id_among_several_servers() {
    let fixture = Fixture::start().await;
    let other = serve(&fixture.broker.url(), |_| {}, |builder| builder).await;
    for _ in 0..4 {
        let begun = || {
            let probes = [&fixture.served.probe, &other.probe];
            probes
                .map(|probe| probe.begun.load(Ordering::SeqCst))
                .iter()
                .sum::<usize>()
        };
        let before = begun();
        let waiting = fixture.request("nodes.wait_here", &MINE, "");
        let cancelling = async {
            until("it has begun", || begun() > before).await;
            fixture.request("nodes.$cancel.mine", &[], "").await
        };
        let (reply, answer) = tokio::join!(waiting, cancelling);
        assert_eq!(body(&answer), json!({"cancelled": true}));
        let text = "the execution was cancelled".to_owned();
        assert_eq!(outcome(&reply), Err((499, text)));
        assert_eq!(body(&reply)["error"]["kind"], "cancelled");
    }
    stop(other.server).await;
    fixture.stop().await;
}

#[tokio::test]
async fn an_id_is_used_once_at_a_time() {
    let fixture = Fixture::start().await;
    let waiting = fixture.request("nodes.wait_here", &MINE, "");
    let second = async {
        fixture.served.probe.wait_until_begun(1).await;
        let second = fixture.request("nodes.about", &MINE, "").await;
        fixture.served.probe.open();
        second
    };
    let (first, second) = tokio::join!(waiting, second);
    assert_eq!(outcome(&first), Ok(json!({"done": ["yes"]})));
    let (code, text) = outcome(&second).unwrap_err();
    assert_eq!(code, 400);
    assert!(text.contains("in flight"), "{text}");
    let bad = [("Nodewire-Execution", "a.b")];
    let bad = fixture.request("nodes.about", &bad, "").await;
    assert_eq!(outcome(&bad).unwrap_err().0, 400);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_of_one_service_share_the_load() {
    let fixture = Fixture::start().await;
    let other = serve(&fixture.broker.url(), |_| {}, |builder| builder).await;
    let calls = (0..64).map(|_| request(&fixture.client, "nodes.about", &[], ""));
    for reply in join_all(calls).await {
        assert!(outcome(&reply).is_ok());
    }
    let done = |executor: &nodewire::Executor| executor.counters().completed;
    let (here, there) = (done(fixture.executor()), done(other.server.executor()));
    assert_eq!(here + there, 64);
    assert!(here > 0 && there > 0, "{here} and {there}");
    stop(other.server).await;
    fixture.stop().await;
}
