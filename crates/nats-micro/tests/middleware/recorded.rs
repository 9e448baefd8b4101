//! The recorded exchanges with the Python implementation's middleware, where ours is to be the same. spec: nats-micro 11

use std::collections::BTreeMap;

use nats_micro::middleware::{Middleware, Next};
use nats_micro::testing::TestReply;
use nats_micro::{Endpoint, Reply, Request, Response};
use serde_json::Value;

use crate::{Mark, panics, serve, service};

/// Adds an exclamation mark to the body.
struct Exclaim;

impl Middleware for Exclaim {
    async fn handle(&self, request: Request, next: Next) -> Response {
        let mut response = next.run(request).await;
        if let Some(payload) = response.payload_mut() {
            *payload = [payload.as_ref(), b"!"].concat().into();
        }
        response
    }
}

struct ShortCircuit;

impl Middleware for ShortCircuit {
    async fn handle(&self, _: Request, _: Next) -> Response {
        Response::Reply(Reply::new("short-circuit"))
    }
}

/// `[m1, m2]`, where `m2` also changes the body.
fn marked(endpoint: Endpoint) -> Endpoint {
    endpoint
        .middleware(Mark("m1"))
        .middleware(Mark("m2"))
        .middleware(Exclaim)
}

fn endpoints() -> Vec<Endpoint> {
    let created = Endpoint::new("mw", |request: Request| async move {
        let reply = Reply::new("created").with_header("X-B", "2");
        let _ = request.respond_success(201, reply).await;
    });
    let conflict = Endpoint::new("mwerr", |request: Request| async move {
        let _ = request.respond_error(409, "conflict", "").await;
    });
    let boom = Endpoint::new("mwboom", |_: Request| async { panics() });
    let short = Endpoint::new("mws", |_: Request| async { panics() });
    let silent = Endpoint::new("mwsilent", |_: Request| async {});
    let twice = Endpoint::new("mwtwice", |request: Request| async move {
        let _ = request.respond("1").await;
        let _ = request.respond("2").await;
    });
    vec![
        marked(created),
        marked(conflict),
        marked(boom),
        short.middleware(ShortCircuit),
        silent.middleware(Mark("m1")),
        twice.middleware(Mark("m1")),
    ]
}

#[tokio::test]
async fn replies_are_as_recorded() {
    let builder = endpoints()
        .into_iter()
        .fold(service(), |builder, endpoint| builder.endpoint(endpoint));
    let harness = serve(builder).await;
    for name in ["mw", "mwerr", "mwboom", "mws", "mwtwice"] {
        let (payload, expected) = recorded(name);
        let mut replies = harness.replies(name, payload).unwrap();
        harness.handled(name, 1).await.unwrap();
        let received: Vec<_> = replies.received().into_iter().map(seen).collect();
        assert_eq!(received, expected, "{name}");
    }
}

/// Recorded is a 500; ours is to be silent.
#[tokio::test]
async fn silence_is_not_as_recorded() {
    let builder = endpoints()
        .into_iter()
        .fold(service(), |builder, endpoint| builder.endpoint(endpoint));
    let harness = serve(builder).await;
    let (payload, recorded) = recorded("mwsilent");
    assert_eq!(recorded[0].1["Nats-Service-Error-Code"], "500");
    let mut replies = harness.replies("mwsilent", payload).unwrap();
    harness.handled("mwsilent", 1).await.unwrap();
    assert!(replies.received().is_empty());
}

type Seen = (String, BTreeMap<String, String>);

/// A reply's body and headers; no header block is the same as an empty one.
fn seen(reply: TestReply) -> Seen {
    let headers = reply
        .headers()
        .into_iter()
        .flat_map(|headers| headers.iter());
    let headers = headers.map(|(name, values)| {
        assert_eq!(values.len(), 1, "{name}");
        (name.to_string(), values[0].to_string())
    });
    (reply.text().unwrap().to_owned(), headers.collect())
}

/// A recorded exchange: the request's body, and the replies.
fn recorded(name: &str) -> (String, Vec<Seen>) {
    let path = nodewire_testkit::vector_path("nats-micro-traces.json");
    let traces: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let exchanges = traces["services"]["nats-micro-0.0.5"]["exchanges"]
        .as_array()
        .unwrap();
    let exchange = exchanges
        .iter()
        .find(|exchange| exchange["name"] == name)
        .unwrap();
    let replies = exchange["replies"].as_array().unwrap().iter().map(|reply| {
        let lines = reply["headers_raw"].as_str().unwrap().lines();
        let headers = lines.filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_owned(), value.to_owned()))
        });
        let payload = reply["payload"].as_str().unwrap();
        (payload.to_owned(), headers.collect())
    });
    let payload = exchange["request"]["payload"].as_str().unwrap();
    (payload.to_owned(), replies.collect())
}
