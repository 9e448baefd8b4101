//! The documents: what other implementations were seen to send is read, what we write has the form that all of them
//! read, and nothing that arrives can do harm. spec: nats-micro 2.2, 4, 18.1, 18.2

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use nats_micro::document::{
    Document, DocumentError, EndpointInfo, EndpointStats, Info, Ping, Stats, Verb,
};
use nats_micro::{Endpoint, Group, Metadata, Request, Service, ServiceBuilder};
use nodewire_testkit::vector_path;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn traces() -> Value {
    let text = std::fs::read_to_string(vector_path("nats-micro-traces.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The replies of one library to one kind of control request, errors of the broker left out.
fn recorded(traces: &Value, library: &str, verb: Verb) -> Vec<String> {
    let begins = format!("$SRV.{}", verb.as_str());
    let exchanges = traces["services"][library]["exchanges"].as_array().unwrap();
    let of_verb = exchanges.iter().filter(|exchange| {
        exchange["request"]["subject"]
            .as_str()
            .unwrap()
            .starts_with(&begins)
    });
    of_verb
        .flat_map(|exchange| exchange["replies"].as_array().unwrap())
        .filter(|reply| {
            !reply["headers_raw"]
                .as_str()
                .unwrap_or_default()
                .contains(" 503")
        })
        .map(|reply| reply["payload"].as_str().unwrap().to_owned())
        .collect()
}

/// What a peer left out or wrote as null is its default; the rest stays as it is.
fn completed(mut document: Value, defaults: &Value, of_endpoint: &Value) -> Value {
    complete(&mut document, defaults);
    if let Some(endpoints) = document.get_mut("endpoints") {
        for endpoint in endpoints.as_array_mut().unwrap() {
            complete(endpoint, of_endpoint);
        }
    }
    document
}

fn complete(object: &mut Value, defaults: &Value) {
    for (key, default) in defaults.as_object().unwrap() {
        if object[key].is_null() {
            object[key] = default.clone();
        }
    }
}

/// Every recorded reply reads as exactly what stands in it.
fn reads_all<D: Document + serde::Serialize>(defaults: &Value, of_endpoint: &Value) {
    let traces = traces();
    let libraries = traces["services"].as_object().unwrap();
    assert_eq!(libraries.len(), 5);
    for library in libraries.keys() {
        let replies = recorded(&traces, library, D::VERB);
        assert!(replies.len() >= 2, "{library}: {}", replies.len());
        for reply in replies {
            let document = D::parse(reply.as_bytes()).unwrap();
            let expected = completed(serde_json::from_str(&reply).unwrap(), defaults, of_endpoint);
            let read = serde_json::to_value(&document).unwrap();
            assert_eq!(read, expected, "{library}");
        }
    }
}

#[test]
fn recorded_pings_are_read() {
    reads_all::<Ping>(&json!({"metadata": {}}), &json!({}));
}

#[test]
fn recorded_infos_are_read() {
    let of_endpoint = json!({"metadata": {}, "queue_group": ""});
    reads_all::<Info>(&json!({"metadata": {}, "description": ""}), &of_endpoint);
}

#[test]
fn recorded_stats_are_read() {
    let of_endpoint = json!({"last_error": "", "data": {}, "queue_group": ""});
    reads_all::<Stats>(&json!({"metadata": {}}), &of_endpoint);
}

/// The comparison above is only as good as its defaults; here are values as they were seen.
#[test]
fn recorded_values_are_the_right_ones() {
    let traces = traces();
    let stats = |library: &str| {
        let replies = recorded(&traces, library, Verb::Stats);
        // After the requests, before the reset.
        Stats::parse(replies[1].as_bytes()).unwrap()
    };
    let endpoint = |stats: &Stats, subject: &str| {
        let mut endpoints = stats.endpoints.iter();
        endpoints
            .find(|endpoint| endpoint.subject == subject)
            .unwrap()
            .clone()
    };

    let js = stats("nats.js-services");
    let (boom, err) = (
        endpoint(&js, "demo.sub.boom"),
        endpoint(&js, "demo.sub.err"),
    );
    assert_eq!((boom.num_errors, boom.last_error.as_str()), (1, "kaboom"));
    assert_eq!((err.num_errors, err.last_error.as_str()), (0, ""));
    assert_eq!(err.data, json!({}));
    assert_eq!(
        js.started_at().unwrap().to_string(),
        "2026-11-20T16:59:18.075Z"
    );

    let rust = stats("async-nats-0.51.0");
    assert_eq!(rust.metadata, Metadata::new());
    assert_eq!(endpoint(&rust, "demo.sub.err").last_error, "404:not found");
    assert_eq!(endpoint(&rust, "echo").data["name"], "echo");
    assert_eq!(rust.started_at().unwrap().subsec_nanosecond(), 397_173_699);

    let go = stats("nats.go-micro");
    assert_eq!(go.metadata["team"], "a");
    assert_eq!(endpoint(&go, "w.*.x.>").name, "wild");
    assert_eq!(endpoint(&go, "demo.sub.slow").processing_time, 300_653_139);

    let seed = stats("nats-micro-0.0.5");
    assert_eq!(
        endpoint(&seed, "demo.sub.boom").last_error,
        "ValueError('kaboom')"
    );
    assert_eq!(endpoint(&seed, "echo").average_processing_time, 39_736);
}

/// spec: nats-micro 4.4
#[test]
fn what_others_may_send_is_read() {
    let minimal = r#"{"name":"a","id":"b","version":"1.0.0","extra":[1]}"#;
    assert_eq!(
        Ping::parse(minimal.as_bytes()).unwrap().metadata,
        Metadata::new()
    );
    assert_eq!(Info::parse(minimal.as_bytes()).unwrap().endpoints, []);
    assert_eq!(Stats::parse(minimal.as_bytes()).unwrap().endpoints, []);

    for (last_error, expected) in [
        (json!(null), ""),
        (json!("text"), "text"),
        (
            json!({"code": 404, "description": "not found"}),
            "404:not found",
        ),
        (json!({"message": "kaboom"}), "kaboom"),
        (json!({"code": "x"}), "x"),
        (json!(7), "7"),
    ] {
        assert_eq!(endpoint_with("last_error", last_error).last_error, expected);
    }
    for (time, expected) in [
        (json!(null), 0),
        (json!(12), 12),
        (json!(12.75), 12),
        (json!(-3), 0),
        (json!(1e300), u64::MAX),
        (json!(u64::MAX), u64::MAX),
    ] {
        assert_eq!(
            endpoint_with("processing_time", time).processing_time,
            expected
        );
    }
}

fn endpoint_with(key: &str, value: Value) -> EndpointStats {
    let document = json!({
        "name": "a", "id": "b", "version": "1.0.0", "endpoints": [{"name": "e", key: value}],
    });
    let mut stats = Stats::parse(document.to_string().as_bytes()).unwrap();
    stats.endpoints.remove(0)
}

#[test]
fn times_have_any_number_of_fraction_digits() {
    for digits in 0..=9 {
        let fraction: String = "123456789".chars().take(digits).collect();
        let point = if digits == 0 { "" } else { "." };
        let started = format!("2026-01-02T03:04:05{point}{fraction}Z");
        let document = json!({"name": "a", "id": "b", "version": "1.0.0", "started": started});
        let stats = Stats::parse(document.to_string().as_bytes()).unwrap();
        let expected: i32 = format!("{fraction:0<9}").parse().unwrap();
        assert_eq!(stats.started_at().unwrap().subsec_nanosecond(), expected);
    }
}

#[test]
fn other_documents_are_told_apart() {
    let ping = json!({"name": "a", "id": "b", "version": "1.0.0", "type": Ping::TYPE}).to_string();
    let error = Info::parse(ping.as_bytes()).unwrap_err();
    assert!(matches!(
        &error,
        DocumentError::WrongType { expected, actual } if *expected == Info::TYPE && actual == Ping::TYPE
    ));
    for malformed in [
        "",
        "{",
        "[]",
        "null",
        "{}",
        r#"{"name":"a","id":"b"}"#,
        "\u{fffd}",
    ] {
        let error = Ping::parse(malformed.as_bytes()).unwrap_err();
        assert!(
            matches!(error, DocumentError::Malformed { .. }),
            "{malformed}"
        );
    }
}

/// Keys as the Python client and its recorded service have them. spec: nats-micro 4.1, 4.2, 4.3
#[test]
fn what_we_write_has_all_keys_in_order() {
    let (ping, info, stats) = samples();
    assert_eq!(
        serde_json::to_string(&ping).unwrap(),
        r#"{"name":"demo-service","id":"1","version":"1.0.0","metadata":{"team":"a"},"type":"io.nats.micro.v1.ping_response"}"#
    );
    assert_eq!(
        serde_json::to_string(&info).unwrap(),
        r#"{"name":"demo-service","id":"1","version":"1.0.0","description":"","metadata":{},"#
            .to_owned()
            + r#""endpoints":[{"name":"echo","subject":"echo","metadata":{},"queue_group":""}],"#
            + r#""type":"io.nats.micro.v1.info_response"}"#
    );
    assert_eq!(
        serde_json::to_string(&stats).unwrap(),
        r#"{"name":"demo-service","id":"1","version":"1.0.0","started":"2026-01-02T03:04:05.000000Z","#
            .to_owned()
            + r#""endpoints":[{"name":"echo","subject":"echo","num_requests":0,"num_errors":0,"last_error":"","#
            + r#""processing_time":0,"average_processing_time":0,"queue_group":"","data":{}}],"#
            + r#""metadata":{},"type":"io.nats.micro.v1.stats_response"}"#
    );
}

fn samples() -> (Ping, Info, Stats) {
    let (name, id, version) = ("demo-service", "1", "1.0.0");
    let identity = json!({"name": name, "id": id, "version": version});
    let parsed = |more: Value| {
        let mut document = identity.clone();
        document
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        document.to_string()
    };
    let endpoints = json!([{"name": "echo", "subject": "echo"}]);
    let ping = parsed(json!({"metadata": {"team": "a"}, "type": Ping::TYPE}));
    let info = parsed(json!({"endpoints": endpoints, "type": Info::TYPE}));
    let stats = parsed(json!({
        "endpoints": endpoints, "type": Stats::TYPE, "started": "2026-01-02T03:04:05.000000Z",
    }));
    (
        Ping::parse(ping.as_bytes()).unwrap(),
        Info::parse(info.as_bytes()).unwrap(),
        Stats::parse(stats.as_bytes()).unwrap(),
    )
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let key = prop_oneof![known_key(), ".{0,6}".prop_map(String::from)];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..8)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// The keys that mean something, so that values of the wrong kind get there.
fn known_key() -> impl Strategy<Value = String> {
    let keys = [
        "name",
        "id",
        "version",
        "metadata",
        "type",
        "description",
        "endpoints",
        "started",
        "subject",
        "queue_group",
        "num_requests",
        "num_errors",
        "last_error",
        "processing_time",
        "average_processing_time",
        "data",
        "code",
        "message",
    ];
    prop::sample::select(keys.map(String::from).to_vec())
}

fn parse_all(payload: &[u8]) {
    let _ = Ping::parse(payload);
    let _ = Info::parse(payload);
    if let Ok(stats) = Stats::parse(payload) {
        let _ = stats.started_at();
    }
}

proptest! {
    #[test]
    fn no_json_does_harm(document in any_json()) {
        parse_all(document.to_string().as_bytes());
    }

    #[test]
    fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        parse_all(&bytes);
    }

    /// A recorded document with one value replaced, or cut off.
    #[test]
    fn no_damage_does_harm(key in known_key(), value in any_json(), inner: bool, cut in 0_usize..400) {
        let (_, _, stats) = samples();
        let mut document = serde_json::to_value(&stats).unwrap();
        if inner {
            document["endpoints"][0][&key] = value;
        } else {
            document[&key] = value;
        }
        let text = document.to_string();
        parse_all(text.as_bytes());
        parse_all(&text.as_bytes()[..cut.min(text.len())]);
    }

    #[test]
    fn what_is_written_reads_the_same(
        texts in prop::collection::vec(".{0,20}", 8),
        numbers in prop::array::uniform4(any::<u64>()),
        metadata in prop::collection::btree_map(".{0,8}", ".{0,8}", 0..4),
    ) {
        let text = |index: usize| texts[index].clone();
        let ping = Ping {
            name: text(0), id: text(1), version: text(2), metadata: metadata.clone(),
            kind: Ping::TYPE.to_owned(),
        };
        let endpoint = EndpointInfo {
            name: text(3), subject: text(4), metadata: metadata.clone(), queue_group: text(5),
        };
        let info = Info {
            name: text(0), id: text(1), version: text(2), description: text(6),
            metadata: metadata.clone(), endpoints: vec![endpoint], kind: Info::TYPE.to_owned(),
        };
        let endpoint = EndpointStats {
            name: text(3), subject: text(4), num_requests: numbers[0], num_errors: numbers[1],
            last_error: text(7), processing_time: numbers[2], average_processing_time: numbers[3],
            queue_group: text(5), data: json!({"x": text(6)}),
        };
        let stats = Stats {
            name: text(0), id: text(1), version: text(2), started: text(6),
            endpoints: vec![endpoint], metadata, kind: Stats::TYPE.to_owned(),
        };
        prop_assert_eq!(&Ping::parse(&serde_json::to_vec(&ping).unwrap()).unwrap(), &ping);
        prop_assert_eq!(&Info::parse(&serde_json::to_vec(&info).unwrap()).unwrap(), &info);
        prop_assert_eq!(&Stats::parse(&serde_json::to_vec(&stats).unwrap()).unwrap(), &stats);
    }
}

fn endpoint(name: &str) -> Endpoint {
    Endpoint::new(
        name,
        |request: Request| async move { request.payload().clone() },
    )
}

fn with_endpoint(endpoint: Endpoint) -> ServiceBuilder {
    Service::builder("demo", "1.0.0").endpoint(endpoint)
}

/// spec: nats-micro 2.2, column "do"
#[test]
fn descriptions_are_checked_as_recommended() {
    let traces = traces();
    let cases = traces["validation"].as_array().unwrap();
    assert_eq!(cases.len(), 55);
    for case in cases {
        let (kind, value) = (
            case["kind"].as_str().unwrap(),
            case["value"].as_str().unwrap(),
        );
        let builder = match kind {
            "name" => Service::builder(value, "1.0.0"),
            "version" => Service::builder("demo", value),
            // The subject is given, so that only the name can be wrong.
            "endpoint_name" => with_endpoint(endpoint(value).subject("e")),
            "subject" => with_endpoint(endpoint("e").subject(value)),
            "queue_group" => with_endpoint(endpoint("e").queue_group(value)),
            "group" => {
                Service::builder("demo", "1.0.0").group(Group::new(value).endpoint(endpoint("e")))
            }
            other => panic!("an unknown kind: {other}"),
        };
        let accepted = case["recommended"] == "accept";
        assert_eq!(
            builder.check().is_ok(),
            accepted,
            "{kind} {value:?}: {:?}",
            builder.check()
        );
    }
}
