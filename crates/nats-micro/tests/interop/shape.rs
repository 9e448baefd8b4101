//! Our replies beside the recorded ones, for the same service. spec: nats-micro 4.4, 18.1

use std::collections::BTreeMap;

use async_nats::Message;
use nodewire_testkit::vector_path;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::our_service;
use crate::setup::{client, on_nats_server};

/// A JSON value that keeps the order of its keys.
#[derive(Debug, PartialEq)]
enum Ordered {
    Object(Vec<(String, Self)>),
    Array(Vec<Self>),
    /// Text, number, truth value or null.
    Leaf(Value),
}

impl Ordered {
    fn parse(text: &str) -> Self {
        match text.trim_start().as_bytes()[0] {
            b'{' => {
                let Keys(keys) = serde_json::from_str(text).unwrap();
                let values: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap();
                assert_eq!(keys.len(), values.len(), "a key stands twice: {text}");
                let value = |key: String| {
                    let value = Self::parse(values[&key].get());
                    (key, value)
                };
                Self::Object(keys.into_iter().map(value).collect())
            }
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(text).unwrap();
                Self::Array(
                    items
                        .into_iter()
                        .map(|item| Self::parse(item.get()))
                        .collect(),
                )
            }
            _ => Self::Leaf(serde_json::from_str(text).unwrap()),
        }
    }

    /// The same with every leaf replaced by the name of its kind.
    fn shape(self) -> Self {
        match self {
            Self::Object(pairs) => {
                let pairs = pairs.into_iter();
                Self::Object(pairs.map(|(key, value)| (key, value.shape())).collect())
            }
            Self::Array(items) => Self::Array(items.into_iter().map(Self::shape).collect()),
            Self::Leaf(leaf) => Self::Leaf(Value::from(match leaf {
                Value::String(_) => "text",
                Value::Number(number) if number.is_u64() => "integer",
                Value::Number(_) => "number",
                Value::Bool(_) => "truth value",
                Value::Null => "null",
                Value::Array(_) | Value::Object(_) => unreachable!("not a leaf"),
            })),
        }
    }
}

/// The keys of an object in their order.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Keys;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, serde::de::IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}

/// What the recorded service answered, with the id of ours.
fn recorded(traces: &Value, exchange: &str, id: &str) -> String {
    let service = &traces["services"]["nats-micro-0.0.5"];
    let exchanges = service["exchanges"].as_array().unwrap();
    let mut named = exchanges.iter().filter(|one| one["name"] == exchange);
    let reply = &named.next().unwrap()["replies"][0]["payload"];
    let recorded_id = service["id"].as_str().unwrap();
    reply.as_str().unwrap().replace(recorded_id, id)
}

fn text(message: &Message) -> &str {
    std::str::from_utf8(&message.payload).unwrap()
}

#[tokio::test]
async fn our_replies_have_the_form_of_the_recorded_ones() {
    on_nats_server(|url| async move {
        let traces = std::fs::read_to_string(vector_path("nats-micro-traces.json")).unwrap();
        let traces: Value = serde_json::from_str(&traces).unwrap();
        let connection = client(&url).await.connection().clone();
        let service = our_service::start(&connection).await;
        let id = service.id();
        let ask =
            |verb: &str| connection.request(format!("$SRV.{verb}.demo-service.{id}"), "".into());

        // The same bytes.
        let ping = ask("PING").await.unwrap();
        assert_eq!(text(&ping), recorded(&traces, "ping-id", id));
        assert_eq!(ping.headers, None);
        let info = ask("INFO").await.unwrap();
        assert_eq!(text(&info), recorded(&traces, "info-id-fresh", id));
        assert_eq!(info.headers, None);

        // The same but for the time.
        let stats = ask("STATS").await.unwrap();
        let expected = recorded(&traces, "stats-id-fresh", id);
        let started = |text: &str| {
            let document: Value = serde_json::from_str(text).unwrap();
            document["started"].as_str().unwrap().to_owned()
        };
        let (ours, theirs) = (started(text(&stats)), started(&expected));
        assert_eq!(ours.len(), theirs.len());
        assert_eq!(text(&stats).replace(&ours, &theirs), expected);
        assert_eq!(stats.headers, None);

        // The same but for times and texts of errors, after the same requests.
        for subject in ["echo", "demo.sub.boom", "demo.sub.err"] {
            connection.request(subject, "".into()).await.unwrap();
        }
        let stats = ask("STATS").await.unwrap();
        let after = recorded(&traces, "stats-after", id);
        let (ours, theirs) = (Ordered::parse(text(&stats)), Ordered::parse(&after));
        assert_eq!(ours.shape(), theirs.shape());
    })
    .await;
}

/// The kinds of the values of an object, by key; what may be missing or null is left out where it is.
fn kinds(object: &Value) -> BTreeMap<&str, &'static str> {
    let pairs = object.as_object().unwrap().iter();
    let kind = |value: &Value| match value {
        Value::Null => None,
        Value::String(_) => Some("text"),
        Value::Number(number) if number.is_u64() => Some("integer"),
        Value::Number(_) => Some("number"),
        Value::Bool(_) => Some("truth value"),
        Value::Array(_) => Some("array"),
        Value::Object(_) => Some("object"),
    };
    pairs
        .filter_map(|(key, value)| Some((key.as_str(), kind(value)?)))
        .collect()
}

/// What any library sends, we send too, and of the same kind.
#[tokio::test]
async fn no_library_sends_what_we_do_not() {
    on_nats_server(|url| async move {
        let traces = std::fs::read_to_string(vector_path("nats-micro-traces.json")).unwrap();
        let traces: Value = serde_json::from_str(&traces).unwrap();
        let client = client(&url).await;
        let service = our_service::start(client.connection()).await;
        let ours = BTreeMap::from([
            ("ping-id", serde_json::to_value(service.ping()).unwrap()),
            (
                "info-id-fresh",
                serde_json::to_value(service.info()).unwrap(),
            ),
            (
                "stats-after",
                serde_json::to_value(service.stats()).unwrap(),
            ),
        ]);
        let mut compared = 0;
        for library in traces["services"].as_object().unwrap().values() {
            for exchange in library["exchanges"].as_array().unwrap() {
                let Some(ours) = ours.get(exchange["name"].as_str().unwrap()) else {
                    continue;
                };
                let theirs = exchange["replies"][0]["payload"].as_str().unwrap();
                let theirs: Value = serde_json::from_str(theirs).unwrap();
                covers(ours, &theirs);
                let endpoints = theirs["endpoints"].as_array();
                for endpoint in endpoints.into_iter().flatten() {
                    covers(&ours["endpoints"][0], endpoint);
                }
                compared += 1;
            }
        }
        assert_eq!(compared, 3 * 5);
    })
    .await;
}

fn covers(ours: &Value, theirs: &Value) {
    let our_kinds = kinds(ours);
    assert_eq!(
        our_kinds.len(),
        ours.as_object().unwrap().len(),
        "null in {ours}"
    );
    for (key, kind) in kinds(theirs) {
        assert_eq!(our_kinds.get(key), Some(&kind), "{key}");
    }
}
