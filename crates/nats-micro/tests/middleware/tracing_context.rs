//! `Tracing` and `TraceContext`. spec: nats-micro 14.2

use std::collections::BTreeSet;
use std::time::Duration;

use nats_micro::middleware::{Timeout, TraceContext, Tracing};
use nats_micro::testing::RequestStub;
use nats_micro::{Endpoint, Group, HeaderMap, Request, ServiceError};
use tracing::Level;

use crate::log::{Entry, Log};
use crate::{headers, panics, serve, service};

const TARGET: &str = "nats_micro::trace";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Answers with the headers that it would call others with.
async fn outgoing(request: Request) -> String {
    let context = request.extension::<TraceContext>().unwrap();
    assert_eq!(TraceContext::current().as_ref(), Some(context));
    let mut headers = HeaderMap::new();
    context.inject(&mut headers);
    let value = |name: &str| headers.get(name).map_or("-", |value| value.as_str());
    format!(
        "{} {} {}",
        value("traceparent"),
        value("tracestate"),
        value("baggage")
    )
}

async fn passed_on(pairs: &[(&str, &str)]) -> Vec<String> {
    let stub = RequestStub::new("e").headers(headers(pairs));
    let reply = stub.call_middleware(Tracing::new(), outgoing).await;
    let reply = reply.unwrap();
    assert_eq!(reply.error().map(|error| error.to_string()), None);
    assert!(reply.headers().is_none(), "nothing comes back");
    let parts = reply.text().unwrap().split(' ').map(str::to_owned);
    parts.collect()
}

fn trace_of(traceparent: &str) -> &str {
    traceparent.split('-').nth(1).unwrap()
}

#[tokio::test]
async fn a_context_is_passed_on_with_a_new_span() {
    for names in [
        ["traceparent", "tracestate", "baggage"],
        ["Traceparent", "TraceState", "BAGGAGE"],
    ] {
        let sent = [(names[0], PARENT), (names[1], "a=1,b=2"), (names[2], "u=7")];
        let passed = passed_on(&sent).await;
        let TraceParts { trace, span, flags } = TraceParts::of(&passed[0]);
        assert_eq!((trace, flags), (TRACE, "01"));
        assert_ne!(span, "00f067aa0ba902b7");
        assert_eq!(passed[1..], ["a=1,b=2", "u=7"]);
    }
}

struct TraceParts<'a> {
    trace: &'a str,
    span: &'a str,
    flags: &'a str,
}

impl<'a> TraceParts<'a> {
    fn of(traceparent: &'a str) -> Self {
        let parts: Vec<_> = traceparent.split('-').collect();
        let [_, trace, span, flags] = parts[..] else {
            panic!("{traceparent}")
        };
        Self { trace, span, flags }
    }
}

#[tokio::test]
async fn lower_case_names_win_over_others() {
    let other = "00-11111111111111111111111111111111-1111111111111111-01";
    let passed = passed_on(&[("Traceparent", other), ("traceparent", PARENT)]).await;
    assert_eq!(trace_of(&passed[0]), TRACE);
}

#[tokio::test]
async fn what_cannot_be_read_begins_a_new_trace() {
    let tracing = Tracing::new();
    let mut seen = BTreeSet::from([TRACE.to_owned()]);
    for sent in [
        headers(&[]),
        headers(&[("traceparent", "nonsense"), ("tracestate", "a=1")]),
        headers(&[("traceparent", PARENT), ("traceparent", PARENT)]),
        headers(&[("traceparent", &PARENT.to_uppercase())]),
    ] {
        let stub = RequestStub::new("e").headers(sent);
        let reply = stub.call_middleware(tracing.clone(), outgoing).await;
        let reply = reply.unwrap();
        let [traceparent, tracestate, _] =
            <[_; 3]>::try_from(reply.text().unwrap().split(' ').collect::<Vec<_>>()).unwrap();
        // New, random, sampled; and the state belonged to the other trace.
        assert!(seen.insert(trace_of(traceparent).to_owned()));
        assert!(traceparent.ends_with("-03"), "{traceparent}");
        assert_eq!(tracestate, "-");
    }
    assert_eq!(tracing.invalid_contexts(), 3);
}

#[tokio::test]
async fn baggage_stands_alone_and_what_is_malformed_is_left_out() {
    assert_eq!(passed_on(&[("baggage", "u=7")]).await[2], "u=7");
    let tracing = Tracing::new();
    let too_large = format!("u={}", "7".repeat(8192));
    let sent = headers(&[
        ("traceparent", PARENT),
        ("tracestate", "NOT=good"),
        ("baggage", &too_large),
    ]);
    let stub = RequestStub::new("e").headers(sent);
    let reply = stub.call_middleware(tracing.clone(), outgoing).await;
    let reply = reply.unwrap();
    let text = reply.text().unwrap();
    assert_eq!(trace_of(text), TRACE);
    assert!(text.ends_with(" - -"), "{text}");
    assert_eq!(tracing.dropped_headers(), 2);
    assert_eq!(tracing.invalid_contexts(), 0);
}

#[tokio::test]
async fn marks_are_kept_and_new_traces_are_marked_as_wanted() {
    let unsampled = PARENT.replace("-01", "-00");
    let passed = passed_on(&[("traceparent", &unsampled)]).await;
    assert!(passed[0].ends_with("-00"));
    let stub = RequestStub::new("e");
    let tracing = Tracing::new().sample_new(false);
    let reply = stub.call_middleware(tracing, outgoing).await.unwrap();
    assert!(reply.text().unwrap().contains("-02 "));
}

#[test]
fn a_context_goes_through_headers_unchanged() {
    let context = TraceContext::new_trace(true);
    let mut carried = headers(&[("Traceparent", "old"), ("X-Kept", "1"), ("BAGGAGE", "old")]);
    context.inject(&mut carried);
    assert_eq!(carried.len(), 2, "{carried:?}");
    assert_eq!(TraceContext::extract(&carried), Some(context.clone()));
    assert_eq!(TraceContext::extract(&HeaderMap::new()), None);
    let child = context.child();
    assert_eq!(child.trace_id(), context.trace_id());
    assert_eq!(child.parent_span_id(), Some(context.span_id()));
    assert_ne!(child.span_id(), context.span_id());
}

#[tokio::test]
async fn outside_of_a_handler_there_is_no_current_context() {
    assert_eq!(TraceContext::current(), None);
    let spawned = Endpoint::new("spawned", |request: Request| async move {
        tokio::task::yield_now().await;
        let current = TraceContext::current();
        let here = current.as_ref() == request.extension();
        let elsewhere = tokio::spawn(async { TraceContext::current() }).await;
        format!("{here} {:?}", elsewhere.unwrap())
    });
    let harness = serve(
        service()
            .middleware(Tracing::new())
            .endpoint(spawned.spawn()),
    )
    .await;
    let reply = harness.request("spawned", "").await.unwrap();
    assert_eq!(reply.payload(), "true None");
}

fn one(log: &Log) -> Entry {
    let mut spans = log.take_spans(TARGET);
    assert_eq!(spans.len(), 1, "{spans:?}");
    spans.remove(0)
}

#[tokio::test]
async fn a_span_says_what_was_asked_of_whom_and_how_it_ended() {
    let log = Log::keep();
    let get = Endpoint::new("get", |request: Request| async move {
        let code: u32 = request.json()?;
        if code >= 400 {
            return Err(ServiceError::new(code, "described"));
        }
        request.respond_success(code, "made").await.unwrap();
        Ok(())
    });
    let boom = Endpoint::new("boom", |_: Request| async { panics() });
    let orders = Group::new("orders").endpoint(get.subject("*.get"));
    let harness = serve(
        service()
            .id("i1")
            .middleware(Tracing::new())
            .group(orders)
            .endpoint(boom),
    )
    .await;
    let sent = headers(&[("traceparent", PARENT)]);
    let reply = harness.request_with_headers("orders.7.get", sent, "201");
    assert_eq!(reply.await.unwrap().success_code(), Some(201));
    let span = one(&log);
    assert_eq!(span.level, Level::INFO);
    for (field, expected) in [
        ("otel.name", "demo get"),
        ("otel.kind", "server"),
        ("messaging.system", "nats"),
        ("messaging.destination.name", "orders.*.get"),
        ("service.instance.id", "i1"),
        ("trace_id", TRACE),
        ("parent_span_id", "00f067aa0ba902b7"),
        ("reply.code", "201"),
        ("outcome", "ok"),
    ] {
        assert_eq!(span.fields[field], expected, "{field}");
    }
    assert_eq!(span.fields["span_id"].len(), 16);
    assert_eq!(span.fields.get("otel.status_code"), None);

    harness.request("orders.7.get", "404").await.unwrap();
    let span = one(&log);
    assert_eq!(span.fields["otel.status_code"], "ERROR");
    assert_eq!(span.fields["otel.status_description"], "described");
    assert_eq!(span.fields["reply.code"], "404");
    assert_eq!(span.fields.get("parent_span_id"), None);

    harness.request("boom", "").await.unwrap();
    let span = one(&log);
    assert_eq!(span.fields["otel.status_code"], "ERROR");
    assert_eq!(span.fields["outcome"], "panic");
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_is_an_error_too() {
    let log = Log::keep();
    let never = Endpoint::new("never", |_: Request| std::future::pending::<()>());
    let harness = serve(
        service()
            .middleware(Timeout::new(Duration::from_millis(10)))
            .middleware(Tracing::new())
            .endpoint(never),
    )
    .await;
    harness.request("never", "").await.unwrap();
    let span = one(&log);
    assert_eq!(span.fields["outcome"], "cancelled");
    assert_eq!(span.fields["otel.status_code"], "ERROR");
}

#[tokio::test]
async fn what_the_handler_logs_is_within_the_span() {
    let log = Log::keep();
    let logs = Endpoint::new("logs", |_: Request| async {
        tracing::Span::current()
            .metadata()
            .map_or("none", |metadata| metadata.name())
    });
    let harness = serve(service().middleware(Tracing::new()).endpoint(logs)).await;
    let reply = harness.request("logs", "").await.unwrap();
    assert_eq!(reply.payload(), "nats_micro.request");
    drop(log);
}
