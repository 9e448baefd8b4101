//! The clients of other libraries against our service.

use nats_micro::document::Document;
use nats_micro::{Service, document};
use nodewire_testkit::{
    JsClient, NatsClientLibrary, NatsJs, PeerClient, PythonMicro, PythonMicroClient,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::our_service;
use crate::setup::{client, on_nats_server, on_our_broker};

async fn finds_and_calls<L: NatsClientLibrary>(url: String) {
    let ours = client(&url).await;
    let service = our_service::start(ours.connection()).await;
    let mut client = PeerClient::<L>::connect(&url).await.unwrap();

    for (verb, document) in documents(&service) {
        let mut all = json!({"op": verb, "max_count": 1, "max_wait_s": 60});
        let found = client.call(all.clone()).await.unwrap();
        same(&found["ok"][0], &document);
        all["service"] = json!("demo-service");
        let named = client.call(all.clone()).await.unwrap();
        same(&named["ok"][0], &document);
        all["instance"] = json!(service.id());
        let one = client.call(all).await.unwrap();
        same(&one["ok"], &document);
    }

    let reply = client.request("demo.ECHO", "grüß").await.unwrap();
    assert_eq!(reply, json!({"ok": {"data": "grüß", "headers": {}}}));
    let ok = client.request("demo.sub.ok", "").await.unwrap();
    assert_eq!(ok["ok"]["data"], "created");
    assert_eq!(
        ok["ok"]["headers"],
        json!({"X-B": "2", "Nats-Service-Success-Code": "201"})
    );
    let wild = client.request("w.a.x.b.c", "").await.unwrap();
    assert_eq!(wild["ok"]["headers"]["X-Sub"], "w.a.x.b.c");

    let err = &client.request("demo.sub.err", "").await.unwrap()["error"];
    assert_eq!(
        (&err["type"], &err["code"]),
        (&json!("ServiceError"), &json!(404)),
        "{err}"
    );
    assert_eq!(
        (&err["description"], &err["data"]),
        (&json!("not found"), &json!(r#"{"k":1}"#))
    );
    assert_eq!(err["headers"]["X-A"], "1");
    let boom = &client.request("demo.sub.boom", "").await.unwrap()["error"];
    assert_eq!(
        (&boom["code"], &boom["description"]),
        (&json!(500), &json!("Internal Server Error"))
    );
}

fn documents(service: &Service) -> [(&'static str, Value); 3] {
    let value = |document: &dyn erased::Document| document.value();
    [
        ("ping", value(&service.ping())),
        ("info", value(&service.info())),
        ("stats", value(&service.stats())),
    ]
}

/// Documents of any kind.
mod erased {
    use super::{Serialize, Value, document};

    pub(super) trait Document {
        fn value(&self) -> Value;
    }

    impl<D: document::Document + Serialize> Document for D {
        fn value(&self) -> Value {
            serde_json::to_value(self).unwrap()
        }
    }
}

/// What a client read is what was sent, as far as its type has it.
fn same(read: &Value, sent: &Value) {
    for key in ["name", "id", "version", "metadata", "type"] {
        assert_eq!(read[key], sent[key], "{key}: {read}");
    }
    let endpoints = sent["endpoints"].as_array();
    assert_eq!(
        read["endpoints"].as_array().map(Vec::len),
        endpoints.map(Vec::len)
    );
    for (at, endpoint) in endpoints.into_iter().flatten().enumerate() {
        assert_eq!(read["endpoints"][at], *endpoint, "{read}");
    }
}

#[tokio::test]
async fn nats_micro_on_nats_server() {
    on_nats_server(finds_and_calls::<PythonMicro>).await;
}

#[tokio::test]
async fn nats_micro_on_our_broker() {
    on_our_broker(finds_and_calls::<PythonMicro>).await;
}

#[tokio::test]
async fn nats_js_on_nats_server() {
    on_nats_server(finds_and_calls::<NatsJs>).await;
}

#[tokio::test]
async fn nats_js_on_our_broker() {
    on_our_broker(finds_and_calls::<NatsJs>).await;
}

/// What has no reply at all.
#[tokio::test]
async fn silence_and_absence() {
    on_our_broker(|url| async move {
        let ours = client(&url).await;
        let _service = our_service::start(ours.connection()).await;
        let silent = json!({"op": "request", "subject": "demo.sub.silent", "timeout_s": 0.1});
        let mut python = PythonMicroClient::connect(&url).await.unwrap();
        let mut js = JsClient::connect(&url).await.unwrap();
        let error = python.call(silent.clone()).await.unwrap();
        assert_eq!(error["error"]["type"], "TimeoutError");
        let error = js.call(silent).await.unwrap();
        assert_eq!(error["error"]["type"], "TimeoutError");
        let error = python.request("demo.none", "").await.unwrap();
        assert_eq!(error["error"]["type"], "NoRespondersError");
        let error = js.request("demo.none", "").await.unwrap();
        assert_eq!(
            error["error"]["message"]
                .as_str()
                .map(|text| text.contains("demo.none")),
            Some(true),
            "{error}"
        );
    })
    .await;
}

/// The data classes of two libraries read our documents, and write them again without a loss. spec: nats-micro 4.4
#[tokio::test]
async fn data_classes_read_our_documents() {
    on_our_broker(|url| async move {
        let ours = client(&url).await;
        let service = our_service::start(ours.connection()).await;
        ours.request("demo.sub.err", "").await.unwrap_err();
        let mut client = PythonMicroClient::connect(&url).await.unwrap();
        for (kind, document) in documents(&service) {
            for library in ["nats-micro", "nats-py"] {
                let command = json!({
                    "op": "decode", "library": library, "kind": kind, "document": document.to_string(),
                });
                let decoded = client.call(command).await.unwrap();
                assert!(decoded["error"].is_null(), "{library} {kind}: {decoded}");
                same(&decoded["ok"], &document);
            }
        }
    })
    .await;
}

#[test]
fn kinds_are_those_of_the_protocol() {
    assert_eq!(document::Ping::TYPE, "io.nats.micro.v1.ping_response");
    assert_eq!(document::Info::TYPE, "io.nats.micro.v1.info_response");
    assert_eq!(document::Stats::TYPE, "io.nats.micro.v1.stats_response");
}
