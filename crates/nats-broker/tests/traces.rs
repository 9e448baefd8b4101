//! The recorded conversations with nats-server 2.9.10, held with this broker and with the real server.
//!
//! Byte for byte, with these exceptions:
//! - `INFO` is compared by its keys and by the values of `proto`, `host`, `headers`, `max_payload` and `client_ip`; ours
//!   has no `go` and no `jetstream`, and another `version`, `server_id`, `server_name`, `port`, `client_id`;
//! - which member of a queue group gets a message, and in which order groups get it, is chance;
//! - whether a connection ends with FIN or RST, which depends on what was still unread.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use common::{CLOSED, Raw};
use nats_broker::Broker;
use nodewire_testkit::NatsServer;
use serde_json::Value;

fn traces() -> Vec<Value> {
    let path = nodewire_testkit::vector_path("nats-micro-traces.json");
    let all: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let traces = all["broker_2_9_10"].as_array().unwrap().clone();
    assert!(traces.len() >= 30, "the recording is incomplete");
    traces
}

fn name(trace: &Value) -> &str {
    trace["name"].as_str().unwrap()
}

/// Holds a recorded conversation.
async fn replay(trace: &Value, port: u16) {
    let mut raw = Raw::open(port).await.unwrap();
    let name = name(trace);
    if let Some(connect) = trace["connect"].as_str() {
        let answer = raw.answer_to(connect).await.unwrap();
        // The recorder's own PING is answered last, unless the connection ended.
        let expected = received(&trace["after_connect_ping"]);
        let expected = expected.strip_suffix("PONG\r\n").unwrap_or(&expected);
        assert_eq!(answer, expected, "{name}: CONNECT");
    }
    for step in trace["exchange"].as_array().unwrap() {
        let sent = sent(&step["send"]);
        let answer = raw.answer_to(&sent).await.unwrap();
        let expected = received(&step["recv"]);
        let short: String = sent.chars().take(80).collect();
        if name.starts_with("queue-") {
            assert_eq!(
                by_group(name, &answer),
                by_group(name, &expected),
                "{name}: {short:?}"
            );
        } else {
            assert_eq!(answer, expected, "{name}: {short:?}");
        }
    }
}

/// The recording shortens one long payload.
fn sent(recorded: &Value) -> String {
    let recorded = recorded.as_str().unwrap();
    let Some((head, size)) = recorded.split_once("...(") else {
        return recorded.to_owned();
    };
    let size: usize = size.strip_suffix(" bytes)").unwrap().parse().unwrap();
    let head = head.trim_end_matches('x');
    format!("{head}{}\r\n", "x".repeat(size - head.len() - 2))
}

fn received(recorded: &Value) -> String {
    let recorded = recorded.as_str().unwrap();
    ["<EOF>", "<RST>", "<send failed>"]
        .iter()
        .fold(recorded.to_owned(), |text, end| text.replace(end, CLOSED))
}

/// Messages with the group in place of the sid, in any order. `q` has the sids below 4, but for sid 3 of `r` in the
/// one recording that has it.
fn by_group(name: &str, received: &str) -> Vec<String> {
    let messages = received.split_terminator("\r\nx\r\n");
    let mut messages: Vec<_> = messages
        .map(|message| {
            let words: Vec<_> = message.split(' ').collect();
            let [msg, subject, sid, size] = words[..] else {
                return message.to_owned();
            };
            let group = match sid {
                "1" | "2" => "q",
                "3" if name == "queue-across-patterns" => "q",
                other => other,
            };
            [msg, subject, group, size].join(" ")
        })
        .collect();
    messages.sort();
    messages
}

#[tokio::test]
async fn this_broker_answers_as_recorded() {
    let open = Broker::builder().start().await.unwrap();
    let user = Broker::builder()
        .user_password("u", "p")
        .start()
        .await
        .unwrap();
    let token = Broker::builder().token("tok").start().await.unwrap();
    for trace in traces() {
        let broker = match name(&trace) {
            "auth-token-ok" => &token,
            name if name.starts_with("auth-") => &user,
            _ => &open,
        };
        replay(&trace, broker.addr().port()).await;
    }
}

#[tokio::test]
async fn the_real_server_answers_as_recorded() {
    let open = NatsServer::start().await.unwrap();
    let user = NatsServer::options().user("u", "p").start().await.unwrap();
    let token = NatsServer::options().token("tok").start().await.unwrap();
    for trace in traces() {
        let server = match name(&trace) {
            "auth-token-ok" => &token,
            name if name.starts_with("auth-") => &user,
            _ => &open,
        };
        replay(&trace, server.port()).await;
    }
}

fn info(line: &str) -> Value {
    let json = line
        .strip_prefix("INFO ")
        .unwrap()
        .strip_suffix(" \r\n")
        .unwrap();
    serde_json::from_str(json).unwrap()
}

fn keys(info: &Value) -> BTreeSet<&str> {
    info.as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[tokio::test]
async fn info_has_the_recorded_keys() {
    let traces = traces();
    let trace = traces.iter().find(|trace| name(trace) == "info").unwrap();
    let recorded = info(trace["info"].as_str().unwrap());
    let broker = Broker::builder().name("b1").start().await.unwrap();
    let ours = info(&Raw::open(broker.addr().port()).await.unwrap().info);

    let mut expected = keys(&recorded);
    assert!(expected.remove("go") && expected.remove("jetstream"));
    assert_eq!(keys(&ours), expected);
    for same in ["proto", "host", "headers", "max_payload", "client_ip"] {
        assert_eq!(ours[same], recorded[same], "{same}");
    }
    assert_eq!(ours["port"], broker.addr().port());
    assert_eq!(ours["server_name"], "b1");
    assert_eq!(ours["client_id"], 1);
    assert_eq!(ours["version"], "2.9.10-nodewire");

    let closed = Broker::builder().token("t").start().await.unwrap();
    let ours = info(&Raw::open(closed.addr().port()).await.unwrap().info);
    assert_eq!(ours["auth_required"], true);
}
