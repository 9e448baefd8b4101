//! The testing support itself: `RequestStub` and `Harness`. spec: nats-micro 10.3

use std::time::Duration;

use nats_micro::middleware::{Middleware, Next};
use nats_micro::testing::{Harness, HarnessError, NoResponse, RequestStub, StubError};
use nats_micro::{
    Endpoint, Group, HeaderMap, PendingLimits, Reply, Request, RespondError, Response, Service,
    ServiceBuilder, ServiceError,
};
use tokio::time::{Instant, sleep};

fn echo() -> Endpoint {
    Endpoint::new("echo", |request: Request| async move {
        request.payload().clone()
    })
}

fn builder() -> ServiceBuilder {
    Service::builder("demo", "1.0.0")
}

#[tokio::test]
async fn a_stub_has_no_response_before_one_was_set() {
    let stub = RequestStub::new("e");
    assert_eq!(stub.response().unwrap_err(), NoResponse);
    let silent = stub.call(|_: Request| async {}).await;
    assert_eq!(silent.unwrap_err(), NoResponse);
    stub.call(|_: Request| async { "said" }).await.unwrap();
    assert_eq!(stub.response().unwrap().payload(), "said");
}

#[tokio::test]
async fn a_handler_sees_what_the_stub_was_given() {
    #[derive(Clone)]
    struct User(&'static str);

    async fn look(request: Request) -> String {
        assert_eq!(request.subject(), "orders.7");
        assert_eq!(request.payload(), "[1,2]");
        assert_eq!(request.header("x-key"), Some("a b"));
        assert_eq!(request.endpoint().name, "orders");
        assert_eq!(request.endpoint().subject, "orders.*");
        assert_eq!(request.service_name(), "shop");
        assert_eq!(request.service_id(), "i1");
        assert_eq!(request.service_version(), "1.2.3");
        assert!(request.reply_subject().is_some());
        request.extension::<User>().unwrap().0.to_owned()
    }
    let stub = RequestStub::new("orders.7")
        .json(&[1, 2])
        .unwrap()
        .header("X-Key", "a\nb")
        .endpoint("orders", "orders.*")
        .service("shop", "i1", "1.2.3")
        .extension(User("me"));
    assert_eq!(stub.call(look).await.unwrap().payload(), "me");
    // Called directly, the handler's own return value is there.
    assert_eq!(look(stub.request()).await, "me");
}

#[tokio::test]
async fn all_responses_are_kept_in_order() {
    let stub = RequestStub::new("e");
    let request = stub.request();
    request.respond("1").await.unwrap();
    let reply = Reply::new("2").with_header("X-B", "b");
    request.respond_success(201, reply).await.unwrap();
    request.respond_error(409, "conflict", "3").await.unwrap();
    let responses = stub.responses();
    let bodies: Vec<_> = responses.iter().map(|r| r.text().unwrap()).collect();
    assert_eq!(bodies, ["1", "2", "3"]);
    assert!(responses[0].headers().is_none());
    assert_eq!(responses[1].success_code(), Some(201));
    assert_eq!(responses[1].header("x-b"), Some("b"));
    let error = responses[2].error().unwrap();
    assert_eq!(error.to_string(), "409:conflict");
    assert_eq!(stub.response().unwrap().payload(), "3");
}

#[tokio::test]
async fn errors_and_panics_are_as_callers_see_them() {
    let stub = RequestStub::new("e");
    let fails = |_: Request| async { Err::<(), _>(ServiceError::new(404, "not found")) };
    let reply = stub.call(fails).await.unwrap();
    assert_eq!(reply.error().unwrap().to_string(), "404:not found");
    assert_eq!(stub.last_error(), "404:not found");

    let reply = stub.call(|_: Request| async { panics() }).await.unwrap();
    let error = reply.error().unwrap();
    assert_eq!(error.to_string(), "500:Internal Server Error");
    assert!(stub.last_error().contains("kaboom"));

    let large = |request: Request| async move {
        let error = request.respond(vec![0; 2 << 20]).await.unwrap_err();
        assert!(matches!(error, RespondError::TooLarge { .. }));
    };
    let reply = stub.call(large).await.unwrap();
    assert_eq!(reply.error().unwrap().description(), "Response too large");
}

fn panics() -> &'static str {
    panic!("kaboom")
}

#[tokio::test]
async fn without_a_reply_subject_nothing_is_answered() {
    let stub = RequestStub::new("e").without_reply();
    let handler = |request: Request| async move {
        assert_eq!(request.reply_subject(), None);
        request.respond("x").await.unwrap();
        "y"
    };
    assert_eq!(stub.call(handler).await.unwrap_err(), NoResponse);
    assert_eq!(stub.last_error(), "");
}

struct Shout;

impl Middleware for Shout {
    async fn handle(&self, request: Request, next: Next) -> Response {
        let mut response = next.run(request).await;
        if let Some(payload) = response.payload_mut() {
            *payload = payload.to_ascii_uppercase().into();
        }
        response
    }
}

#[tokio::test]
async fn endpoints_and_middleware_are_called_whole() {
    let twice = |request: Request| async move {
        request.respond("one").await.unwrap();
        request.respond("two").await.unwrap();
    };
    let stub = RequestStub::new("e");
    let reply = stub.call_middleware(Shout, twice).await.unwrap();
    assert_eq!(reply.payload(), "TWO");
    assert_eq!(stub.responses().len(), 1);

    let stub = RequestStub::new("sum").payload("[1, 2, 3]");
    let sum = Endpoint::json("sum", |numbers: Vec<i64>| async move {
        Ok::<_, ServiceError>(numbers.iter().sum::<i64>())
    });
    let reply = stub.call_endpoint(sum).await.unwrap();
    assert_eq!(reply.json::<i64>().unwrap(), 6);

    let stub = RequestStub::new("e");
    let streams = Endpoint::new("e", twice).streaming().middleware(Shout);
    stub.call_endpoint(streams).await.unwrap();
    assert_eq!(stub.responses().len(), 2);

    let blocking = Endpoint::blocking("b", |request: Request| request.payload().clone());
    let stub = RequestStub::new("b").payload("x");
    let reply = stub
        .call_endpoint(blocking.middleware(Shout))
        .await
        .unwrap();
    assert_eq!(reply.payload(), "X");

    let unusable = Endpoint::new("a b", twice);
    let error = stub.call_endpoint(unusable).await.unwrap_err();
    assert!(matches!(error, StubError::Config(_)));
}

#[tokio::test]
async fn a_stub_begins_the_stop_that_a_handler_watches() {
    let stub = RequestStub::new("e");
    let request = stub.request();
    let stopping = request.stopping();
    stub.begin_stop();
    stopping.await;
}

#[tokio::test]
async fn documents_are_the_same_in_every_run() {
    let harness = Harness::start(
        builder()
            .id("i1")
            .clock(|| "2026-11-20T16:58:37.266153Z".parse().unwrap())
            .description("Demo service")
            .metadata("team", "a")
            .group(Group::new("g").endpoint(echo())),
    )
    .await
    .unwrap();
    let ping = harness.ping().await.unwrap();
    assert_eq!((&*ping.name, &*ping.id), ("demo", "i1"));
    let info = harness.info().await.unwrap();
    assert_eq!(info.endpoints[0].subject, "g.echo");
    assert_eq!(info, harness.service().info());
    let stats = harness.stats().await.unwrap();
    assert_eq!(stats.started, "2026-11-20T16:58:37.266153Z");
    assert_eq!(stats.endpoints[0].num_requests, 0);
}

#[tokio::test]
async fn control_subjects_have_the_services_prefix() {
    let harness = Harness::start(builder().control_prefix("ops.SRV")).await;
    let harness = harness.unwrap();
    assert_eq!(harness.ping().await.unwrap().id, harness.service().id());
    assert!(harness.request("ops.SRV.INFO", "").await.is_ok());
    let error = harness.request("$SRV.INFO", "").await.unwrap_err();
    assert!(matches!(error, HarnessError::NoResponders(_)), "{error}");
}

#[tokio::test]
async fn two_instances_share_requests_and_both_answer_control_requests() {
    let harness = Harness::start(builder().endpoint(echo())).await.unwrap();
    let other = harness.start_another(builder().endpoint(echo())).await;
    let other = other.unwrap();
    for _ in 0..10 {
        harness.request("echo", "x").await.unwrap();
    }
    let ended = |service: &Service| service.stats().endpoints[0].num_requests;
    let (ours, theirs) = (ended(harness.service()), ended(&other));
    assert_eq!(ours + theirs, 10);
    assert!(ours > 0 && theirs > 0);
    let mut pings = harness.replies("$SRV.PING.demo", "").unwrap();
    for _ in 0..2 {
        pings.next().await.unwrap();
    }
    assert!(pings.received().is_empty());
    other.stop().await;
    for _ in 0..10 {
        harness.request("echo", "x").await.unwrap();
    }
    assert_eq!(ended(harness.service()), ours + 10);
}

#[tokio::test]
async fn headers_and_bodies_arrive_and_come_back() {
    let headers_of = Endpoint::new("h", |request: Request| async move {
        let value = request.header("X-In").unwrap_or_default().to_owned();
        Reply::new(request.payload().clone()).with_header("X-Out", &value)
    });
    let harness = Harness::start(builder().endpoint(headers_of))
        .await
        .unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("X-In", "1");
    let reply = harness.request_with_headers("h", headers, "x").await;
    let reply = reply.unwrap();
    assert_eq!((reply.header("x-out"), reply.text()), (Some("1"), Ok("x")));
}

#[tokio::test(start_paused = true)]
async fn time_that_is_paused_costs_nothing() {
    let slow = Endpoint::new("slow", |_: Request| async {
        sleep(Duration::from_secs(3600)).await;
        "done"
    });
    let never = Endpoint::new("never", |_: Request| std::future::pending::<()>());
    let harness = Harness::options()
        .timeout(Duration::from_secs(7200))
        .start(builder().endpoint(slow).endpoint(never))
        .await
        .unwrap();
    let began = Instant::now();
    assert_eq!(harness.request("slow", "").await.unwrap().payload(), "done");
    assert_eq!(began.elapsed().as_secs(), 3600);
    let error = harness.request("never", "").await.unwrap_err();
    assert!(matches!(error, HarnessError::NoReply { .. }), "{error}");
    let error = harness.handled("never", 1).await.unwrap_err();
    assert!(
        matches!(error, HarnessError::NotHandled { actual: 0, .. }),
        "{error}"
    );
    // The stop's own limit of time ends what never ends.
    let mut replies = harness.replies("never", "").unwrap();
    let stopping = harness.service().clone();
    stopping.stop().await;
    let cut_off = replies.next().await.unwrap().error().unwrap();
    assert_eq!(cut_off.code(), Some(503));
}

#[tokio::test]
async fn a_stop_answers_what_was_sent_before() {
    let slow = Endpoint::new("slow", |_: Request| async {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        "done"
    });
    let harness = Harness::start(builder().endpoint(slow.concurrency(1)));
    let harness = harness.await.unwrap();
    let mut waiting: Vec<_> = (0..100)
        .map(|_| harness.replies("slow", "").unwrap())
        .collect();
    let reason = harness.stop().await;
    assert!(reason.is_requested());
    for replies in &mut waiting {
        let received = replies.received();
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].payload(), "done");
    }
}

#[tokio::test]
async fn limits_hold_as_on_a_broker() {
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let held = std::sync::Arc::clone(&gate);
    let endpoint = Endpoint::new("held", move |_: Request| {
        let held = std::sync::Arc::clone(&held);
        async move {
            held.acquire().await.unwrap().forget();
            "done"
        }
    });
    let limits = PendingLimits {
        messages: 1,
        bytes: usize::MAX,
    };
    let harness = Harness::options()
        .max_payload_bytes(100)
        .start(builder().endpoint(endpoint.concurrency(1).pending_limits(limits)))
        .await
        .unwrap();
    let error = harness.request("held", vec![0; 101]).await.unwrap_err();
    assert!(
        matches!(
            error,
            HarnessError::TooLarge {
                actual_bytes: 101,
                max_bytes: 100
            }
        ),
        "{error}"
    );
    let mut running = harness.replies("held", "").unwrap();
    let mut waiting = harness.replies("held", "").unwrap();
    let refused = harness.request("held", "").await.unwrap();
    assert_eq!(refused.error().unwrap().code(), Some(503));
    gate.add_permits(2);
    assert_eq!(running.next().await.unwrap().payload(), "done");
    assert_eq!(waiting.next().await.unwrap().payload(), "done");
    assert_eq!(harness.service().snapshots()[0].rejected, 1);
    assert_eq!(harness.dropped(), 0);
}

#[tokio::test]
async fn a_harness_that_is_dropped_stops_its_service() {
    let harness = Harness::start(builder().endpoint(echo())).await.unwrap();
    let stopped = harness.service().stopped();
    drop(harness);
    assert!(stopped.await.is_requested());
}
