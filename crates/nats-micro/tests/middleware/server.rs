//! On the real broker.

use std::time::Duration;

use nats_micro::middleware::{Auth, ConcurrencyLimit, Logging, RateLimit, Timeout};
use nats_micro::{Endpoint, Reply, Request, ServiceError};
use nodewire_testkit::NatsServer;

use crate::{Mark, headers, service};

#[tokio::test]
async fn middleware_works_on_the_real_broker() {
    let server = NatsServer::start().await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let hello = Endpoint::new("hello", |request: Request| async move {
        let reply = Reply::new("hello").with_header("X-B", "2");
        let _ = request.respond("too early").await;
        let _ = request.respond_success(201, reply).await;
    });
    let service = service()
        .middleware(Mark("outer"))
        .middleware(Logging::new())
        .middleware(Auth::bearer([("me", "token")]))
        .middleware(RateLimit::per_second(1000))
        .middleware(ConcurrencyLimit::new(10))
        .middleware(Timeout::new(Duration::from_secs(60)))
        .endpoint(hello.middleware(Mark("inner")))
        .start(&client)
        .await
        .unwrap();

    let with_token = headers(&[("Authorization", "Bearer token")]);
    let reply = client.request_with_headers("hello", with_token, "x".into());
    let reply = reply.await.unwrap();
    assert_eq!(reply.payload, "hello");
    let expected = headers(&[
        ("X-B", "2"),
        ("Nats-Service-Success-Code", "201"),
        ("X-Order", "inner>outer>"),
    ]);
    assert_eq!(reply.headers, Some(expected));

    let refused = client.request("hello", "x".into()).await.unwrap();
    let error = ServiceError::from_reply(&refused).unwrap();
    assert_eq!(error.code(), Some(401));
    let stats = service.stats();
    assert_eq!(stats.endpoints[0].num_requests, 2);
    assert_eq!(stats.endpoints[0].last_error, "401:Unauthorized");
    service.stop().await;
}
