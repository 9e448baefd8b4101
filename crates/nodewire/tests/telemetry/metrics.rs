//! Metrics of a server under random load on two wires, scraped all the while.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use hyper::{Request, StatusCode};
use nanograph::client::{Client, ClientConfig};
use nanograph::message::{ExecutionRequest, NodeId};
use nodewire::http::HttpToken;
use nodewire::metrics::MetricsConfig;
use nodewire::{
    Context, Json, NodeDefinition, NodeError, NodeServer, NodeServerBuilder, Outputs, Port, Value,
    node_fn,
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::asking::{send, within};
use crate::open_metrics::Scrape;
use crate::served::on_two_wires;

const WIRES: [&str; 2] = ["nanograph", "http"];
const NODES: [&str; 2] = ["wide", "narrow"];
const OUTCOMES: [&str; 4] = ["completed", "failed", "cancelled", "dropped"];

/// Callers of each wire.
const CALLERS: usize = 4;
/// Calls of each.
const CALLS: usize = 40;

/// What it is asked to do.
async fn behave(context: Context) -> Result<Outputs, NodeError> {
    let asked = context.inputs().first("text").cloned();
    if asked == Some(Value::from("fail")) {
        return Err(NodeError::invalid_input("asked to"));
    }
    if asked == Some(Value::from("wait")) {
        let waiting = context.cancelled();
        let _ = tokio::time::timeout(Duration::from_millis(20), waiting).await;
    }
    Ok(Outputs::new())
}

fn nodes() -> NodeServerBuilder {
    let definition = |uid| {
        let text = Port::new("text", "string").optional();
        NodeDefinition::builder(uid).input(text)
    };
    let narrow = definition("narrow").concurrency(1).queue(1);
    NodeServer::builder()
        .node(node_fn(definition("wide").build().unwrap(), behave))
        .node(node_fn(narrow.build().unwrap(), behave))
        .metrics(MetricsConfig::new())
}

/// In every scrape, for each wire and node.
fn check(text: &str) -> Scrape {
    let scrape = Scrape::read(text);
    for wire in WIRES {
        for node in NODES {
            let labels = [format!("wire={wire}"), format!("node={node}")];
            let labels = labels.each_ref().map(String::as_str);
            let value = |name: &str| scrape.value(name, &labels).expect(name);
            let ended = |outcome: &&str| {
                let outcome = format!("outcome={outcome}");
                let labels = [labels[0], labels[1], &outcome];
                scrape
                    .value("nodewire_executions_total", &labels)
                    .expect("an outcome")
            };
            let ended: f64 = OUTCOMES.iter().map(ended).sum();
            let (accepted, in_flight) = (
                value("nodewire_accepted_total"),
                value("nodewire_in_flight"),
            );
            assert_eq!(accepted, ended + in_flight, "{text}");
            assert_eq!(
                value("nodewire_execution_duration_seconds_count"),
                ended,
                "{text}"
            );
            assert!(value("nodewire_queued") <= in_flight, "{text}");
        }
    }
    scrape
}

async fn scrape(address: SocketAddr) -> Scrape {
    let (status, text) = within(send(address, Request::get("/metrics"), "")).await;
    assert_eq!(status, StatusCode::OK);
    check(&text)
}

#[tokio::test]
async fn metrics_with_a_token_are_for_those_who_have_it() {
    let config = MetricsConfig::new().access(HttpToken::new("secret"));
    let builder = on_two_wires(nodes(), "guarded").metrics(config);
    let server = Box::pin(builder.build().unwrap().start()).await.unwrap();
    let address = server.metrics_address().unwrap();
    for wrong in [None, Some("Bearer other"), Some("secret")] {
        let mut head = Request::get("/metrics");
        if let Some(wrong) = wrong {
            head = head.header("Authorization", wrong);
        }
        let (status, text) = within(send(address, head, "")).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{wrong:?}");
        assert!(!text.contains("nodewire_"), "{text}");
    }
    let head = Request::get("/metrics").header("Authorization", "Bearer secret");
    let (status, text) = within(send(address, head, "")).await;
    assert_eq!(status, StatusCode::OK);
    check(&text);
    server.stop().await;

    let empty = MetricsConfig::new().access(HttpToken::new(""));
    let builder = on_two_wires(nodes(), "guarded").metrics(empty);
    let refused = Box::pin(builder.build().unwrap().start()).await;
    assert!(refused.is_err(), "an empty token admits nobody on purpose");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scrape_adds_up_under_random_load_on_two_wires() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let builder = on_two_wires(nodes(), "measured");
    let server = Box::pin(builder.build().unwrap().start()).await.unwrap();
    let (own, http) = (
        server.metrics_address().unwrap(),
        server.http_address().unwrap(),
    );
    let nanograph = format!("ws://{}/", server.nanograph_address().unwrap());
    let fresh = scrape(own).await;
    assert_eq!(
        fresh.series("nodewire_accepted_total").len(),
        4,
        "all from the start"
    );
    let done = Arc::new(AtomicBool::new(false));
    let scraping = tokio::spawn(scrape_until(Arc::clone(&done), [own, http]));
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS as u64 {
        callers.spawn(call_http(http, Rng::with_seed(seed.wrapping_add(caller))));
        let rng = Rng::with_seed(seed.wrapping_add(100 + caller));
        callers.spawn(call_nanograph(nanograph.clone(), rng));
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    let executor = server.executor().clone();
    within(async {
        while executor.counters().in_flight > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    done.store(true, Ordering::SeqCst);
    assert!(scraping.await.unwrap() > 0, "scrapes under way");
    let last = scrape(own).await;
    let counters = executor.counters();
    let all = |name: &str| -> f64 {
        let series = last.series(name);
        let values = series.iter().map(|labels| {
            let labels: Vec<_> = labels.iter().map(String::as_str).collect();
            last.value(name, &labels).unwrap()
        });
        values.sum()
    };
    assert_eq!(all("nodewire_accepted_total"), counters.accepted as f64);
    assert_eq!(all("nodewire_refused_total"), counters.refused() as f64);
    assert_eq!(all("nodewire_in_flight"), 0.0);
    let asked = 2 * CALLERS * CALLS;
    assert_eq!(counters.accepted + counters.refused(), asked as u64);
    server.stop().await;
}

async fn scrape_until(done: Arc<AtomicBool>, addresses: [SocketAddr; 2]) -> usize {
    let mut scrapes = 0;
    while !done.load(Ordering::SeqCst) {
        for address in addresses {
            scrape(address).await;
            scrapes += 1;
        }
    }
    scrapes
}

fn next(rng: &mut Rng) -> (&'static str, &'static str) {
    let node = NODES[rng.usize(..NODES.len())];
    (node, ["ok", "fail", "wait"][rng.usize(..3)])
}

async fn call_http(address: SocketAddr, mut rng: Rng) {
    for _ in 0..CALLS {
        let (node, text) = next(&mut rng);
        let head = Request::post(format!("/nodes/{node}/execute"));
        let body = json!({"inputs": {"text": text}}).to_string();
        let (status, _) = within(send(address, head, body)).await;
        assert!(matches!(status.as_u16(), 200 | 400 | 429), "{status}");
    }
}

async fn call_nanograph(url: String, mut rng: Rng) {
    let client = Client::connect(&url, ClientConfig::default())
        .await
        .unwrap();
    for _ in 0..CALLS {
        let (node, text) = next(&mut rng);
        let graph_node = Json::from(json!({"id": 1, "uid": node, "parameters": []}));
        let inputs = Json::from(json!({"text": [text]}));
        let instance = format!("i{:x}", rng.u128(..));
        let request = ExecutionRequest::new(instance, NodeId::from(1), node, inputs, graph_node);
        let execution = client.execute(request).await.unwrap();
        if rng.u8(..3) == 0 {
            within(execution.stop()).await.unwrap();
        }
        // Stopped, refused and failed ones end with an error.
        let _ = within(execution.outcome()).await;
    }
}
