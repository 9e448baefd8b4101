//! Stopping, and not starting.

use std::time::Duration;

use hyper::Request;
use nodewire::http::{HttpConfig, HttpError, HttpToken};
use nodewire::{NodeServer, ServeError};
use serde_json::json;
use tokio::net::TcpStream;

use crate::support::{Fixture, PATIENCE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_answers_arrive() {
    let fixture = Fixture::start().await;
    let (probe, address) = (fixture.probe.clone(), fixture.address);
    let execute = || Fixture::execute("wait%2Fhere");
    let waiting = fixture.send(execute(), "").await;
    let events = execute().header("Accept", "text/event-stream");
    let events = fixture.send(events, "").await.events().await;
    let late = Fixture {
        server: fixture.server,
        ..fixture
    };
    probe.wait_until_begun(2).await;
    let asking = tokio::spawn(async move {
        let health = || async {
            let stream = TcpStream::connect(address).await.ok()?;
            let stream = hyper_util::rt::TokioIo::new(stream);
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(stream).await.ok()?;
            tokio::spawn(connection);
            let request = Request::get("/healthz").header("Host", "x");
            let request = request.body(http_body_util::Empty::<bytes::Bytes>::new());
            let answer = sender.send_request(request.ok()?).await.ok()?;
            Some(answer.status().as_u16())
        };
        let leaving = async { while health().await != Some(503) {} };
        let leaving = tokio::time::timeout(PATIENCE, leaving).await;
        leaving.expect("the server says that it stops");
        probe.open();
    });
    late.stop().await;
    asking.await.unwrap();
    assert_eq!(
        waiting.json().await,
        (200, json!({"outputs": {"done": ["yes"]}}))
    );
    assert_eq!(events.all().await[0].0, "completed");
    let refused = TcpStream::connect(address).await;
    assert!(refused.is_err(), "it still listens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_too_long_is_cancelled_and_told_so() {
    let drain = Duration::from_millis(50);
    let fixture = Fixture::start_with(|_| {}, |builder| builder.drain(drain)).await;
    let waiting = fixture.send(Fixture::execute("wait%2Fhere"), "").await;
    let events = Fixture::execute("narrow").header("Accept", "text/event-stream");
    let events = fixture.send(events, "").await.events().await;
    fixture.probe.wait_until_begun(2).await;
    fixture.stop().await;
    let (status, answer) = waiting.json().await;
    assert_eq!(
        (status, &answer["error"]["kind"]),
        (499, &json!("cancelled"))
    );
    assert_eq!(events.all().await[0].0, "cancelled");
}

#[tokio::test]
async fn an_address_in_use_and_an_empty_token_are_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = HttpConfig::new().address(taken.local_addr().unwrap());
    let server = NodeServer::builder().http(config).build().unwrap();
    let error = server.start().await.unwrap_err();
    assert!(
        matches!(error, ServeError::Http(HttpError::Listen { .. })),
        "{error:?}"
    );
    let config = HttpConfig::new().access(HttpToken::new(""));
    let server = NodeServer::builder().http(config).build().unwrap();
    let error = server.start().await.unwrap_err();
    assert!(
        matches!(error, ServeError::Http(HttpError::EmptyToken)),
        "{error:?}"
    );
    // No header can have it, so nobody could call.
    let config = HttpConfig::new().access(HttpToken::new("two\nlines"));
    let server = NodeServer::builder().http(config).build().unwrap();
    let error = server.start().await.unwrap_err();
    assert!(
        matches!(error, ServeError::Http(HttpError::UnusableToken)),
        "{error:?}"
    );
}

#[tokio::test]
async fn it_is_closed_by_default() {
    let server = NodeServer::builder().http(HttpConfig::new());
    let server = server.build().unwrap().start().await.unwrap();
    let address = server.http_address().unwrap();
    assert!(address.ip().is_loopback());
    assert_ne!(address.port(), 0);
    assert!(HttpConfig::default().access.token().unwrap().reveal().len() >= 64);
    server.stop().await;
}
