//! `Logging`.

use std::time::Duration;

use nats_micro::middleware::{Logging, Timeout};
use nats_micro::{Endpoint, Request, ServiceError};
use tracing::Level;

use crate::log::{Entry, Log};
use crate::{echo, headers, panics, serve, service};

const TARGET: &str = "nats_micro::request";

fn one(log: &Log) -> Entry {
    let mut events = log.take_events(TARGET);
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

#[tokio::test]
async fn levels_go_by_the_outcome() {
    let log = Log::keep();
    let fails = Endpoint::new("fails", |request: Request| async move {
        let code: u32 = request.json()?;
        let cause = std::io::Error::other("the disk is full");
        Err::<(), _>(ServiceError::new(code, "described").with_source(cause))
    });
    let boom = Endpoint::new("boom", |_: Request| async { panics() });
    let blocking = Endpoint::blocking("blocking", |_: Request| panics());
    let silent = Endpoint::new("silent", |_: Request| async {});
    let streams = Endpoint::new("streams", |request: Request| async move {
        let _ = request.respond("part").await;
    });
    let harness = serve(
        service()
            .middleware(Logging::new())
            .endpoint(echo())
            .endpoint(fails)
            .endpoint(boom)
            .endpoint(blocking)
            .endpoint(silent)
            .endpoint(streams.streaming()),
    )
    .await;
    let cause = Some("503:described: the disk is full");
    for (endpoint, payload, level, outcome, code, error) in [
        ("echo", "x", Level::DEBUG, "ok", None, None),
        ("silent", "x", Level::DEBUG, "silent", None, None),
        ("streams", "x", Level::DEBUG, "streamed", None, None),
        ("fails", "404", Level::WARN, "4xx", Some("404"), None),
        ("fails", "503", Level::ERROR, "5xx", Some("503"), cause),
        ("boom", "x", Level::ERROR, "panic", None, None),
        ("blocking", "x", Level::ERROR, "panic", None, None),
    ] {
        harness.service().reset();
        harness.publish(endpoint, payload).unwrap();
        harness.handled(endpoint, 1).await.unwrap();
        let entry = one(&log);
        let field = |name: &str| entry.fields.get(name).map(String::as_str);
        assert_eq!(entry.level, level, "{endpoint} {payload}");
        assert_eq!(field("outcome"), Some(outcome));
        assert_eq!(field("endpoint"), Some(endpoint));
        assert_eq!(field("code"), code);
        assert_eq!(field("error"), error);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_is_logged_as_such() {
    let log = Log::keep();
    let never = Endpoint::new("never", |_: Request| std::future::pending::<()>());
    let harness = serve(
        service()
            .middleware(Timeout::new(Duration::from_millis(10)))
            .middleware(Logging::new())
            .endpoint(never),
    )
    .await;
    harness.request("never", "").await.unwrap();
    let entry = one(&log);
    assert_eq!(entry.level, Level::WARN);
    assert_eq!(entry.fields["outcome"], "cancelled");
}

#[tokio::test]
async fn sizes_and_durations_are_there_but_nothing_that_was_sent() {
    let log = Log::keep();
    let sum = Endpoint::json("sum", |numbers: Vec<i64>| async move {
        Ok::<_, ServiceError>(numbers.iter().sum::<i64>())
    });
    let logging = Logging::new().success_level(Level::INFO);
    let harness = serve(service().id("i1").middleware(logging).endpoint(sum)).await;
    let headers = headers(&[("X-Key", "confidential")]);
    let reply = harness.request_with_headers("sum", headers, "[1, 2, 30]");
    assert_eq!(reply.await.unwrap().payload(), "33");
    let entry = one(&log);
    assert_eq!(entry.level, Level::INFO);
    assert_eq!(entry.fields["request_bytes"], "10");
    assert_eq!(entry.fields["reply_bytes"], "2");
    assert_eq!(entry.fields["service"], "demo");
    assert_eq!(entry.fields["instance"], "i1");
    assert_eq!(entry.fields["subject"], "sum");
    assert!(entry.fields["took_us"].parse::<u64>().is_ok());
    assert!(!format!("{entry:?}").contains("confidential"));

    // The description of the error quotes the body.
    let refused = harness.request("sum", r#""confidential""#).await.unwrap();
    let error = refused.error().unwrap();
    assert!(error.description().contains("confidential"), "{error}");
    assert!(!format!("{:?}", one(&log)).contains("confidential"));
}
