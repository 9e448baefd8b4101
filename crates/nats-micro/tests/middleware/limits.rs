//! `Timeout`, `ConcurrencyLimit` and `RateLimit`. With tokio's time paused, so that nothing depends on the machine.

use std::sync::Arc;
use std::time::Duration;

use nats_micro::middleware::{ConcurrencyLimit, RETRY_AFTER, RETRY_AFTER_MS, RateLimit, Timeout};
use nats_micro::testing::Harness;
use nats_micro::{Endpoint, Group, Request};
use tokio::sync::Semaphore;
use tokio::time::{Instant, advance, sleep};

use crate::{code, echo, headers, panics, serve, service};

const MS: Duration = Duration::from_millis(1);

/// Takes as many milliseconds as the body says.
fn slow() -> Endpoint {
    Endpoint::new("slow", |request: Request| async move {
        let wanted_ms: u64 = request.json()?;
        sleep(Duration::from_millis(wanted_ms)).await;
        Ok::<_, nats_micro::ServiceError>("done")
    })
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_504() {
    let timeout = Timeout::new(50 * MS);
    let harness = serve(service().middleware(timeout.clone()).endpoint(slow())).await;
    let reply = harness.request("slow", "49").await.unwrap();
    assert_eq!(reply.payload(), "done");
    let began = Instant::now();
    let reply = harness.request("slow", "1000").await.unwrap();
    assert_eq!(reply.error().unwrap().to_string(), "504:Deadline Exceeded");
    assert_eq!(began.elapsed(), 50 * MS);
    assert_eq!(timeout.timed_out(), 1);
    let stats = harness.stats().await.unwrap();
    assert_eq!(stats.endpoints[0].num_errors, 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_ask_for_less_time_but_not_for_more() {
    let timeout = Timeout::new(50 * MS).shorter_by_header("X-Timeout-Ms");
    let harness = serve(service().middleware(timeout.clone()).endpoint(slow())).await;
    for (wanted, expected_ms) in [("20", 20), ("1000000", 50), (" 7 ", 7), ("0", 0)] {
        let began = Instant::now();
        let headers = headers(&[("X-Timeout-Ms", wanted)]);
        let reply = harness.request_with_headers("slow", headers, "1000").await;
        assert_eq!(code(&reply.unwrap()), Some(504), "{wanted}");
        // Timers have the resolution of a millisecond.
        let took = began.elapsed();
        assert!(
            took >= expected_ms * MS && took <= (expected_ms + 1) * MS,
            "{took:?}"
        );
    }
    for unreadable in ["", "soon", "-1", "1.5"] {
        let headers = headers(&[("X-Timeout-Ms", unreadable)]);
        let reply = harness.request_with_headers("slow", headers, "1").await;
        assert_eq!(code(&reply.unwrap()), Some(400), "{unreadable}");
    }
    assert_eq!(timeout.timed_out(), 4);
}

#[tokio::test(start_paused = true)]
async fn at_a_streaming_endpoint_the_504_comes_after_what_was_sent() {
    let counts = Endpoint::new("counts", |request: Request| async move {
        for number in ["1", "2", "3"] {
            request.respond(number).await.unwrap();
            sleep(20 * MS).await;
        }
    });
    let counts = counts.streaming().middleware(Timeout::new(30 * MS));
    let harness = serve(service().endpoint(counts)).await;
    let mut replies = harness.replies("counts", "").unwrap();
    harness.handled("counts", 1).await.unwrap();
    let received = replies.received();
    let codes: Vec<_> = received.iter().map(code).collect();
    assert_eq!(codes, [None, None, Some(504)]);
    assert_eq!(received[1].payload(), "2");
}

/// Runs until it is let go.
fn held(name: &str, gate: &Arc<Semaphore>) -> Endpoint {
    let gate = Arc::clone(gate);
    Endpoint::new(name, move |_: Request| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            "done"
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_concurrency_limit_holds_for_all_endpoints_of_a_group() {
    let gate = Arc::new(Semaphore::new(0));
    let limit = ConcurrencyLimit::new(2).wait_max(100 * MS);
    let group = Group::new("g")
        .middleware(limit.clone())
        .endpoint(held("a", &gate))
        .endpoint(held("b", &gate));
    let harness = serve(service().group(group).endpoint(echo())).await;

    let mut first = harness.replies("g.a", "").unwrap();
    let mut second = harness.replies("g.b", "").unwrap();
    // Time goes on only when nothing else can.
    sleep(MS).await;
    assert_eq!(limit.in_flight(), 2);
    let refused = harness.request("g.a", "").await.unwrap();
    assert_eq!(
        refused.error().unwrap().to_string(),
        "503:Service Unavailable"
    );
    assert_eq!((limit.in_flight(), limit.refused()), (2, 1));
    // Outside the group nothing is limited.
    harness.request("echo", "x").await.unwrap();

    // One that waits gets its turn when another ends.
    let mut fourth = harness.replies("g.b", "").unwrap();
    sleep(50 * MS).await;
    gate.add_permits(1);
    sleep(MS).await;
    assert_eq!(limit.in_flight(), 2);
    gate.add_permits(2);
    for replies in [&mut first, &mut second, &mut fourth] {
        assert_eq!(replies.next().await.unwrap().payload(), "done");
    }
    assert_eq!((limit.in_flight(), limit.refused()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn without_a_wait_only_a_free_turn_is_taken() {
    let gate = Arc::new(Semaphore::new(0));
    // 0 counts as 1.
    let limit = ConcurrencyLimit::new(0).wait_max(Duration::ZERO);
    let endpoint = held("a", &gate).middleware(limit.clone());
    let harness = serve(service().endpoint(endpoint)).await;
    let mut first = harness.replies("a", "").unwrap();
    let began = Instant::now();
    let second = harness.request("a", "").await.unwrap();
    assert_eq!(code(&second), Some(503));
    assert!(began.elapsed() <= MS);
    gate.add_permits(1);
    assert_eq!(first.next().await.unwrap().payload(), "done");
}

#[tokio::test(start_paused = true)]
async fn a_turn_is_given_back_by_a_panic_and_by_a_timeout() {
    let limit = ConcurrencyLimit::new(1);
    let boom = Endpoint::new("boom", |_: Request| async { panics() });
    let harness = serve(
        service()
            .middleware(Timeout::new(10 * MS))
            .middleware(limit.clone())
            .endpoint(boom)
            .endpoint(slow()),
    )
    .await;
    for _ in 0..3 {
        assert_eq!(code(&harness.request("boom", "").await.unwrap()), Some(500));
        let late = harness.request("slow", "1000").await.unwrap();
        assert_eq!(code(&late), Some(504));
    }
    assert_eq!((limit.in_flight(), limit.refused()), (0, 0));
}

/// How many of so many requests at once are answered.
async fn answered(harness: &Harness, requests: usize) -> usize {
    let mut answered = 0;
    for _ in 0..requests {
        let reply = harness.request("echo", "x").await.unwrap();
        match code(&reply) {
            None => answered += 1,
            Some(code) => assert_eq!(code, 429),
        }
    }
    answered
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_lets_a_burst_through_and_then_an_even_rate() {
    let limit = RateLimit::per_second(10).burst(3);
    let harness = serve(service().middleware(limit.clone()).endpoint(echo())).await;
    assert_eq!(answered(&harness, 10).await, 3);
    advance(99 * MS).await;
    assert_eq!(answered(&harness, 1).await, 0);
    advance(MS).await;
    assert_eq!(answered(&harness, 2).await, 1);
    advance(200 * MS).await;
    assert_eq!(answered(&harness, 5).await, 2);
    // However long nobody comes, the bucket holds no more than its burst.
    advance(3600 * 1000 * MS).await;
    assert_eq!(answered(&harness, 10).await, 3);
    assert_eq!(limit.refused(), 7 + 1 + 1 + 3 + 7);
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_learns_when_to_try_again() {
    let limit = RateLimit::new(1, Duration::from_secs(10));
    let harness = serve(service().middleware(limit).endpoint(echo())).await;
    harness.request("echo", "x").await.unwrap();
    advance(Duration::from_millis(2_500)).await;
    let refused = harness.request("echo", "x").await.unwrap();
    assert_eq!(
        refused.error().unwrap().to_string(),
        "429:Too Many Requests"
    );
    assert_eq!(refused.header(RETRY_AFTER), Some("8"));
    assert_eq!(refused.header(RETRY_AFTER_MS), Some("7500"));
    advance(Duration::from_millis(7_500)).await;
    assert_eq!(answered(&harness, 2).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_is_shared_by_its_clones() {
    let limit = RateLimit::per_second(1).burst(2);
    let one = Group::new("one").middleware(limit.clone()).endpoint(echo());
    let two = Group::new("two").middleware(limit).endpoint(echo());
    let harness = serve(service().group(one).group(two)).await;
    assert_eq!(code(&harness.request("one.echo", "").await.unwrap()), None);
    assert_eq!(code(&harness.request("two.echo", "").await.unwrap()), None);
    let refused = harness.request("one.echo", "").await.unwrap();
    assert_eq!(code(&refused), Some(429));
}

#[tokio::test]
async fn limits_without_sense_are_limits_all_the_same() {
    for limit in [
        RateLimit::new(0, Duration::ZERO),
        RateLimit::new(u32::MAX, Duration::MAX).burst(0),
        RateLimit::per_second(0),
    ] {
        let harness = serve(service().middleware(limit).endpoint(echo())).await;
        assert_eq!(code(&harness.request("echo", "").await.unwrap()), None);
    }
    let harness = serve(
        service()
            .middleware(Timeout::new(Duration::MAX))
            .middleware(ConcurrencyLimit::new(usize::MAX).wait_max(Duration::MAX))
            .endpoint(echo()),
    )
    .await;
    assert_eq!(code(&harness.request("echo", "").await.unwrap()), None);
}
