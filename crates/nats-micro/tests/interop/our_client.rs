//! Our client against the services of other libraries.

use std::time::Duration;

use nats_micro::ServiceError;
use nats_micro::client::{CallError, Client, End, LookupError, OutgoingRequest, RequestError};
use nodewire_testkit::{
    JsService, NatsJs, NatsLibrary, OfficialNatsPy, OfficialNatsPyService, PeerService,
    PythonMicro, PythonMicroService,
};

use crate::setup::{client, on_nats_server, on_our_broker};
use crate::{async_nats_service, our_service};

/// How a library shows what went wrong in a handler.
struct Kaboom {
    to_callers: &'static str,
    in_statistics: &'static str,
}

const PYTHON_MICRO: Kaboom = Kaboom {
    to_callers: "Internal Server Error",
    in_statistics: "ValueError('kaboom')",
};

const NATS_PY: Kaboom = Kaboom {
    to_callers: "ValueError('kaboom')",
    in_statistics: "ValueError('kaboom')",
};

const JS: Kaboom = Kaboom {
    to_callers: "kaboom",
    in_statistics: "kaboom",
};

async fn finds_and_calls<L: NatsLibrary>(url: String, kaboom: Kaboom) {
    let service = PeerService::<L>::start(&url).await.unwrap();
    let client = client(&url).await;
    finds(&client, service.id()).await;
    calls(&client, &kaboom).await;
    reads_statistics(&client, service.id(), &kaboom).await;
}

async fn finds(client: &Client, id: &str) {
    let all = client.ping().max_count(1).await.unwrap();
    let named = client
        .service("demo-service")
        .ping()
        .max_count(1)
        .await
        .unwrap();
    assert_eq!(all.documents, named.documents);
    let ping = client.instance("demo-service", id).ping().await.unwrap();
    assert_eq!(all.documents, std::slice::from_ref(&ping));
    assert_eq!((ping.id.as_str(), ping.version.as_str()), (id, "1.0.0"));
    assert_eq!(ping.metadata["team"], "a");

    let info = client.instance("demo-service", id).info().await.unwrap();
    assert_eq!(info.description, "Demo service");
    let named: Vec<_> = info
        .endpoints
        .iter()
        .filter(|one| one.name == "echo")
        .collect();
    assert_eq!(named.len(), 2);
    assert_eq!(
        (named[0].subject.as_str(), named[0].queue_group.as_str()),
        ("echo", "q")
    );
    assert_eq!(
        (named[1].subject.as_str(), named[1].queue_group.as_str()),
        ("demo.ECHO", "gq")
    );
    assert_eq!(named[0].metadata.len(), 0);
    assert_eq!(named[1].metadata["m"], "1");

    let error = client
        .instance("demo-service", "other")
        .stats()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no service listens"), "{error}");
}

async fn calls(client: &Client, kaboom: &Kaboom) {
    let reply = client.request("demo.ECHO", "grüß").await.unwrap();
    assert_eq!(&reply.payload[..], "grüß".as_bytes());
    let reply = client.request("echo", "").await.unwrap();
    assert_eq!(&reply.payload[..], b"");

    let error = service_error(client.request("demo.sub.err", "").await);
    assert_eq!(
        (error.code(), error.description()),
        (Some(404), "not found")
    );
    assert_eq!(&error.payload()[..], br#"{"k":1}"#);
    assert_eq!(
        error.headers().get("X-A").map(|value| value.as_str()),
        Some("1")
    );
    let error = service_error(client.request("demo.sub.boom", "").await);
    assert_eq!(
        (error.code(), error.description()),
        (Some(500), kaboom.to_callers)
    );

    let twice = client
        .request_many("demo.sub.twice", "")
        .max_count(2)
        .await
        .unwrap();
    let payloads: Vec<_> = twice
        .replies
        .iter()
        .map(|reply| reply.as_ref().unwrap())
        .collect();
    assert_eq!(
        (&payloads[0].payload[..], &payloads[1].payload[..]),
        (&b"1"[..], &b"2"[..])
    );
    let silent = OutgoingRequest::new("").with_timeout(Duration::from_millis(50));
    let silent = client.request("demo.sub.silent", silent).await;
    assert!(matches!(silent, Err(RequestError::TimedOut { .. })));

    let service = client.service("demo-service");
    let by_name = service.request("err", "").await.unwrap_err();
    assert!(
        matches!(by_name, CallError::Request(RequestError::Service(_))),
        "{by_name}"
    );
    let twice_there = service.request("echo", "").await.unwrap_err();
    assert!(matches!(
        twice_there,
        CallError::Lookup(LookupError::Ambiguous { subjects, .. }) if subjects == ["demo.ECHO", "echo"]
    ));
}

fn service_error<T: std::fmt::Debug>(answered: Result<T, RequestError>) -> ServiceError {
    match answered {
        Err(RequestError::Service(error)) => error,
        other => panic!("no error reply: {other:?}"),
    }
}

async fn reads_statistics(client: &Client, id: &str, kaboom: &Kaboom) {
    // A reply can arrive before its request is counted.
    let (boom, slowest) = loop {
        let stats = client.instance("demo-service", id).stats().await.unwrap();
        assert!(stats.started_at().is_some(), "{}", stats.started);
        let mut endpoints = stats.endpoints.into_iter();
        let boom = endpoints.find(|one| one.name == "boom").unwrap();
        let twice = endpoints.find(|one| one.name == "twice").unwrap();
        if boom.num_errors == 1 && twice.num_requests == 1 {
            break (boom, twice);
        }
    };
    assert_eq!(
        (boom.num_requests, boom.last_error.as_str()),
        (1, kaboom.in_statistics)
    );
    assert_eq!(slowest.average_processing_time, slowest.processing_time);
}

#[tokio::test]
async fn nats_micro_on_nats_server() {
    on_nats_server(|url| finds_and_calls::<PythonMicro>(url, PYTHON_MICRO)).await;
}

#[tokio::test]
async fn nats_micro_on_our_broker() {
    on_our_broker(|url| finds_and_calls::<PythonMicro>(url, PYTHON_MICRO)).await;
}

#[tokio::test]
async fn nats_py_on_nats_server() {
    on_nats_server(|url| finds_and_calls::<OfficialNatsPy>(url, NATS_PY)).await;
}

#[tokio::test]
async fn nats_py_on_our_broker() {
    on_our_broker(|url| finds_and_calls::<OfficialNatsPy>(url, NATS_PY)).await;
}

#[tokio::test]
async fn nats_js_on_nats_server() {
    on_nats_server(|url| finds_and_calls::<NatsJs>(url, JS)).await;
}

#[tokio::test]
async fn nats_js_on_our_broker() {
    on_our_broker(|url| finds_and_calls::<NatsJs>(url, JS)).await;
}

/// Only this library has success codes.
#[tokio::test]
async fn success_codes_of_nats_micro() {
    on_nats_server(|url| async move {
        let _service = PythonMicroService::start(&url).await.unwrap();
        let client = client(&url).await;
        let reply = client.request("demo.sub.ok", "").await.unwrap();
        assert_eq!(
            (reply.success_code(), reply.header("x-b")),
            (Some(201), Some("2"))
        );
        assert_eq!(&reply.payload[..], b"created");
        let error = client
            .service("demo-service")
            .request("wild", "")
            .await
            .unwrap_err();
        assert!(matches!(
            error,
            CallError::Wildcards { subject, .. } if subject == "w.*.x.>"
        ));
    })
    .await;
}

async fn all_are_found(url: String) {
    let client = client(&url).await;
    let _one = PythonMicroService::start_as(&url, "one").await.unwrap();
    let _two = OfficialNatsPyService::start_as(&url, "two").await.unwrap();
    let _three = JsService::start_as(&url, "three").await.unwrap();
    let _four = async_nats_service::start_as(client.connection(), "four").await;
    let _five = our_service::start_as(client.connection(), "five").await;

    let expected = ["five", "four", "one", "three", "two"];
    let pings = client.ping().max_count(5).await.unwrap();
    let infos = client.info().max_count(5).await.unwrap();
    let stats = client.stats().max_count(5).await.unwrap();
    let sorted = |mut names: Vec<String>| {
        names.sort_unstable();
        names
    };
    assert_eq!(
        sorted(pings.documents.into_iter().map(|one| one.name).collect()),
        expected
    );
    assert_eq!(
        sorted(infos.documents.into_iter().map(|one| one.name).collect()),
        expected
    );
    assert_eq!(
        sorted(stats.documents.into_iter().map(|one| one.name).collect()),
        expected
    );
    assert_eq!((pings.end, pings.unusable_count), (End::MaxCount, 0));
    assert_eq!((infos.unusable_count, stats.unusable_count), (0, 0));
}

#[tokio::test]
async fn all_libraries_beside_each_other_on_nats_server() {
    on_nats_server(all_are_found).await;
}

#[tokio::test]
async fn all_libraries_beside_each_other_on_our_broker() {
    on_our_broker(all_are_found).await;
}
