//! What the service does, as metrics for Prometheus.

use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::outcome::{EndWatch, Outcome, body_bytes};
use super::{Middleware, Next};
use crate::request::Request;
use crate::response::Response;

/// From a tenth of a millisecond to ten seconds.
const DURATION_BUCKETS_SECONDS: [f64; 16] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// Counts and times requests.
///
/// | Metric | Labels besides `service`, `endpoint`, `subject` |
/// |---|---|
/// | `nats_micro_requests_total` | `outcome`: `ok`, `4xx`, `5xx`, `error` (another code), `silent`, `streamed`, `panic`, `cancelled` |
/// | `nats_micro_request_duration_seconds` | |
/// | `nats_micro_requests_in_flight` | |
/// | `nats_micro_request_bytes_total`, `nats_micro_reply_bytes_total` (bodies) | |
///
/// `subject` is the endpoint's own, with its wildcards: there are as many series as endpoints, whatever callers send.
/// Requests that are refused because the pending limits were reached never come to middleware; they are in
/// [`Service::snapshots`](crate::Service::snapshots).
///
/// Added first, it sees what callers see.
///
/// ```
/// use nats_micro::Service;
/// use nats_micro::middleware::Metrics;
/// use prometheus_client::registry::Registry;
///
/// let mut registry = Registry::default();
/// let metrics = Metrics::register(&mut registry);
/// let builder = Service::builder("shop", "1.0.0").middleware(metrics);
/// // Where Prometheus asks: `prometheus_client::encoding::text::encode(&mut text, &registry)`.
/// ```
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<OutcomeLabels, Counter>,
    duration: Family<EndpointLabels, Histogram, fn() -> Histogram>,
    in_flight: Family<EndpointLabels, Gauge>,
    request_bytes: Family<EndpointLabels, Counter>,
    reply_bytes: Family<EndpointLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    service: String,
    endpoint: String,
    subject: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    service: String,
    endpoint: String,
    subject: String,
    outcome: &'static str,
}

impl Metrics {
    /// Makes the metrics known to a registry, once; clones and all services that have one count together.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS_SECONDS)),
            in_flight: Family::default(),
            request_bytes: Family::default(),
            reply_bytes: Family::default(),
        };
        registry.register(
            "nats_micro_requests",
            "Requests that ended",
            metrics.requests.clone(),
        );
        registry.register_with_unit(
            "nats_micro_request_duration",
            "How long handling took",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register(
            "nats_micro_requests_in_flight",
            "Requests that run now",
            metrics.in_flight.clone(),
        );
        registry.register_with_unit(
            "nats_micro_request",
            "Bodies of requests",
            Unit::Bytes,
            metrics.request_bytes.clone(),
        );
        registry.register_with_unit(
            "nats_micro_reply",
            "Bodies of replies",
            Unit::Bytes,
            metrics.reply_bytes.clone(),
        );
        metrics
    }

    fn started(&self, labels: &EndpointLabels, request: &Request) {
        self.in_flight.get_or_create(labels).inc();
        self.request_bytes
            .get_or_create(labels)
            .inc_by(request.payload().len() as u64);
    }

    fn ended(
        &self,
        labels: EndpointLabels,
        started: Instant,
        outcome: Outcome,
        response: Option<&Response>,
    ) {
        self.in_flight.get_or_create(&labels).dec();
        self.duration
            .get_or_create(&labels)
            .observe(started.elapsed().as_secs_f64());
        self.reply_bytes
            .get_or_create(&labels)
            .inc_by(response.map_or(0, body_bytes) as u64);
        self.requests
            .get_or_create(&labels.with_outcome(outcome))
            .inc();
    }
}

impl EndpointLabels {
    fn new(request: &Request) -> Self {
        let info = request.endpoint();
        Self {
            service: request.service_name().to_owned(),
            endpoint: info.name.clone(),
            subject: info.subject.clone(),
        }
    }

    fn with_outcome(self, outcome: Outcome) -> OutcomeLabels {
        OutcomeLabels {
            service: self.service,
            endpoint: self.endpoint,
            subject: self.subject,
            outcome: outcome.as_str(),
        }
    }
}

impl Middleware for Metrics {
    async fn handle(&self, request: Request, next: Next) -> Response {
        let (labels, started) = (EndpointLabels::new(&request), Instant::now());
        self.started(&labels, &request);
        let watch = EndWatch::new(&request, |outcome, response| {
            self.ended(labels, started, outcome, response);
        });
        let response = next.run(request).await;
        watch.ended(&response);
        response
    }
}
