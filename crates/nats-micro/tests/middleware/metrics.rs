//! `Metrics`.

use std::sync::Arc;

use nats_micro::middleware::Metrics;
use nats_micro::{Endpoint, Group, Request, ServiceError};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

use crate::{echo, panics, serve, service};

struct Exposed(String);

impl Exposed {
    fn of(registry: &Registry) -> Self {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        Self(text)
    }

    /// The value of a series, written as it is exposed.
    fn value(&self, series: &str) -> Option<&str> {
        let line = self.0.lines().find(|line| line.starts_with(series))?;
        line[series.len()..].strip_prefix(' ')
    }
}

#[tokio::test]
async fn requests_are_counted_by_endpoint_and_outcome() {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let fails = Endpoint::new("fails", |request: Request| async move {
        let code: u32 = request.json()?;
        Err::<(), _>(ServiceError::new(code, "described"))
    });
    let boom = Endpoint::new("boom", |_: Request| async { panics() });
    let silent = Endpoint::new("silent", |_: Request| async {});
    let group = Group::new("g").endpoint(echo().subject("echo.*"));
    let harness = serve(
        service()
            .middleware(metrics)
            .endpoint(fails)
            .endpoint(boom)
            .endpoint(silent)
            .group(group),
    )
    .await;
    for code in ["404", "400", "503", "999", "not a number"] {
        harness.request("fails", code).await.unwrap();
    }
    harness.request("boom", "x").await.unwrap();
    harness.publish("silent", "x").unwrap();
    harness.handled("silent", 1).await.unwrap();
    // Whatever subject callers choose, there is one series.
    for subject in ["g.echo.1", "g.echo.2", "g.echo.3"] {
        harness.request(subject, "12345").await.unwrap();
    }
    let exposed = Exposed::of(&registry);
    let requests = |endpoint: &str, subject: &str, outcome: &str| {
        let labels = format!(
            r#"service="demo",endpoint="{endpoint}",subject="{subject}",outcome="{outcome}""#
        );
        exposed.value(&format!("nats_micro_requests_total{{{labels}}}"))
    };
    assert_eq!(
        requests("fails", "fails", "4xx"),
        Some("3"),
        "{}",
        exposed.0
    );
    assert_eq!(requests("fails", "fails", "5xx"), Some("1"));
    assert_eq!(requests("fails", "fails", "error"), Some("1"));
    assert_eq!(requests("boom", "boom", "panic"), Some("1"));
    assert_eq!(requests("silent", "silent", "silent"), Some("1"));
    assert_eq!(requests("echo", "g.echo.*", "ok"), Some("3"));
    let labels = r#"{service="demo",endpoint="echo",subject="g.echo.*"}"#;
    for (name, expected) in [
        ("nats_micro_request_duration_seconds_count", "3"),
        ("nats_micro_requests_in_flight", "0"),
        ("nats_micro_request_bytes_total", "15"),
        ("nats_micro_reply_bytes_total", "15"),
    ] {
        assert_eq!(exposed.value(&format!("{name}{labels}")), Some(expected));
    }
}

#[tokio::test]
async fn those_that_run_are_in_flight_until_they_end() {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let gate = Arc::new(Semaphore::new(0));
    let (started, held) = (Arc::new(Semaphore::new(0)), Arc::clone(&gate));
    let began = Arc::clone(&started);
    let endpoint = Endpoint::new("held", move |_: Request| {
        let (began, held) = (Arc::clone(&began), Arc::clone(&held));
        async move {
            began.add_permits(1);
            held.acquire().await.unwrap().forget();
        }
    });
    let harness = serve(service().endpoint(endpoint.middleware(metrics))).await;
    harness.publish("held", "").unwrap();
    started.acquire().await.unwrap().forget();
    let series = r#"nats_micro_requests_in_flight{service="demo",endpoint="held",subject="held"}"#;
    assert_eq!(Exposed::of(&registry).value(series), Some("1"));
    gate.add_permits(1);
    harness.handled("held", 1).await.unwrap();
    assert_eq!(Exposed::of(&registry).value(series), Some("0"));
}
