//! The `service` module of `async-nats`: our client finds and calls its service, and its types read our documents.

use std::collections::HashMap;

use async_nats::HeaderMap;
use async_nats::service::error::Error;
use async_nats::service::{Info, PingResponse, Service, ServiceExt, Stats};
use futures_util::StreamExt;
use nats_micro::client::RequestError;

use crate::our_service;
use crate::setup::{client, on_nats_server, on_our_broker};

/// A service with the endpoints `echo`, `demo.sub.err` and `demo.sub.twice`. It ends when it is dropped.
pub(crate) async fn start_as(connection: &async_nats::Client, name: &str) -> Service {
    let team = HashMap::from([("team".to_owned(), "a".to_owned())]);
    let builder = connection
        .service_builder()
        .description("Demo service")
        .metadata(team);
    let service = builder.start(name, "1.0.0").await.unwrap();
    let sub = service.group_with_queue_group("demo", "gq").group("sub");
    let mut echo = service.endpoint("echo").await.unwrap();
    let mut err = sub.endpoint("err").await.unwrap();
    let mut twice = sub.endpoint("twice").await.unwrap();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                Some(request) = echo.next() => {
                    request.respond(Ok(request.message.payload.clone())).await.unwrap();
                }
                Some(request) = err.next() => {
                    let mut headers = HeaderMap::new();
                    headers.insert("X-A", "1");
                    let error = Error { status: "not found".to_owned(), code: 404 };
                    request.respond_with_headers(Err(error), headers).await.unwrap();
                }
                Some(request) = twice.next() => {
                    request.respond(Ok("1".into())).await.unwrap();
                    request.respond(Ok("2".into())).await.unwrap();
                }
                else => return,
            }
        }
    });
    // All subscriptions are on one connection; an answer means that they are there.
    connection.request("echo", "".into()).await.unwrap();
    service
}

async fn finds_and_calls(url: String) {
    let connection = async_nats::connect(&url).await.unwrap();
    let service = start_as(&connection, "demo-service").await;
    let client = client(&url).await;
    let id = service.info().await.id;
    let instance = client.instance("demo-service", id.clone());
    assert_eq!(
        client.ping().max_count(1).await.unwrap().documents[0].id,
        id
    );
    let info = instance.info().await.unwrap();
    assert_eq!(
        (info.description.as_str(), info.metadata["team"].as_str()),
        ("Demo service", "a")
    );
    // It names what has no name after its subject.
    let err = client
        .service("demo-service")
        .endpoint("demo-sub-err")
        .await
        .unwrap();
    assert_eq!(
        (err.subject.as_str(), err.queue_group.as_str()),
        ("demo.sub.err", "gq")
    );

    let reply = client.request("echo", "x").await.unwrap();
    assert_eq!(&reply.payload[..], b"x");
    let Err(RequestError::Service(error)) = client.request(&err.subject, "").await else {
        panic!("no error reply");
    };
    assert_eq!(error.to_string(), "404:not found");
    assert_eq!(
        error.headers().get("X-A").map(|value| value.as_str()),
        Some("1")
    );
    let twice = client
        .request_many("demo.sub.twice", "")
        .max_count(2)
        .await
        .unwrap();
    assert_eq!(twice.replies.len(), 2);

    let stats = instance.stats().await.unwrap();
    let err = stats
        .endpoints
        .iter()
        .find(|one| one.subject == "demo.sub.err")
        .unwrap();
    assert_eq!((err.num_requests, err.num_errors), (1, 1));
    assert_eq!(err.last_error, "404:not found");
}

#[tokio::test]
async fn on_the_nats_server() {
    on_nats_server(finds_and_calls).await;
}

#[tokio::test]
async fn on_the_broker_of_ours() {
    on_our_broker(finds_and_calls).await;
}

/// It has no client; its types are what others decode with.
#[tokio::test]
async fn its_types_read_our_documents() {
    on_our_broker(|url| async move {
        let client = client(&url).await;
        let service = our_service::start(client.connection()).await;
        client.request("demo.sub.err", "").await.unwrap_err();
        let (ping, info) = (service.ping(), service.info());
        // The reply goes out before the request is counted.
        let stats = loop {
            let stats = service.stats();
            if stats.endpoints[3].num_errors == 1 {
                break stats;
            }
            tokio::task::yield_now().await;
        };
        let read: PingResponse =
            serde_json::from_str(&serde_json::to_string(&ping).unwrap()).unwrap();
        assert_eq!((read.id, read.kind), (ping.id, ping.kind));
        let read: Info = serde_json::from_str(&serde_json::to_string(&info).unwrap()).unwrap();
        assert_eq!(read.endpoints.len(), info.endpoints.len());
        assert_eq!(read.endpoints[1].metadata["m"], "1");
        let read: Stats = serde_json::from_str(&serde_json::to_string(&stats).unwrap()).unwrap();
        let error = read.endpoints[3].last_error.as_ref().unwrap();
        assert_eq!((error.code, error.status.as_str()), (404, "not found"));
        let started = stats.started_at().unwrap().as_microsecond();
        assert_eq!(
            read.started.unix_timestamp_nanos() / 1_000,
            i128::from(started)
        );
    })
    .await;
}
