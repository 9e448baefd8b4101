//! A collector in this process, which decodes with the types of the OpenTelemetry project.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use autotrainer_api::TelemetryOptions;
use autotrainer_api::telemetry::{Settings, Start, Telemetry, TelemetryCounts};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, Metric};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::sync::watch;
use tokio::time::timeout;

/// Fails a test that waits for something that never comes; nothing is measured with it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What the collector answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Takes,
    Rejects(i64),
    Answers(u16),
    /// Never answers.
    Hangs,
}

#[derive(Debug, Clone)]
pub(crate) struct Exported {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

#[derive(Debug)]
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    _serving: tokio_util::task::AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    manner: Mutex<Manner>,
    exported: watch::Sender<Vec<Exported>>,
}

impl Collector {
    pub(crate) async fn started(manner: Manner) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, manner)
    }

    pub(crate) fn on(listener: tokio::net::TcpListener, manner: Manner) -> Self {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            manner: Mutex::new(manner),
            exported: watch::Sender::new(Vec::new()),
        });
        let app = Router::new().fallback(take).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            shared,
            _serving: tokio_util::task::AbortOnDropHandle::new(serving),
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    pub(crate) fn exported(&self) -> Vec<Exported> {
        self.shared.exported.borrow().clone()
    }

    pub(crate) async fn wait_for(&self, mut done: impl FnMut(&[Exported]) -> bool) {
        let mut exported = self.shared.exported.subscribe();
        let came = exported.wait_for(|exported| done(exported));
        let came = timeout(PATIENCE, came).await;
        came.expect("exports").unwrap();
    }

    /// Of all resources.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let requests = self.exported().into_iter();
        let requests = requests.filter(|request| request.path == "/v1/traces");
        let decoded = requests.map(|request| ExportTraceServiceRequest::decode(request.body));
        let resources = decoded.flat_map(|request| request.unwrap().resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// The last metrics, of the resource with this identifier or, without one, of the exporter itself.
    pub(crate) fn metrics(&self, identifier: Option<&str>) -> Metrics {
        let requests = self.exported().into_iter();
        let last = requests.filter(|request| request.path == "/v1/metrics");
        let last = last.last().expect("metrics").body;
        let request = ExportMetricsServiceRequest::decode(last).unwrap();
        let mut resources = request.resource_metrics.into_iter();
        let resource = resources.find(|each| {
            let resource = attributes(&each.resource.as_ref().unwrap().attributes);
            resource.get("autotrainer.identifier").map(String::as_str) == identifier
        });
        let scopes = resource.expect("the resource").scope_metrics.into_iter();
        Metrics(scopes.flat_map(|scope| scope.metrics).collect())
    }
}

async fn take(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Vec<u8>) {
    let path = uri.path().to_owned();
    shared.exported.send_modify(|exported| {
        exported.push(Exported {
            path,
            headers,
            body,
        });
    });
    let manner = *shared.manner.lock().unwrap();
    match manner {
        Manner::Takes => (StatusCode::OK, Vec::new()),
        Manner::Answers(status) => (StatusCode::from_u16(status).unwrap(), Vec::new()),
        Manner::Rejects(rejected_spans) => {
            let response = ExportTraceServiceResponse {
                partial_success: Some(ExportTracePartialSuccess {
                    rejected_spans,
                    error_message: "too many".to_owned(),
                }),
            };
            (StatusCode::OK, response.encode_to_vec())
        }
        Manner::Hangs => std::future::pending().await,
    }
}

pub(crate) struct Metrics(Vec<Metric>);

impl Metrics {
    pub(crate) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|metric| metric.name.as_str()).collect()
    }

    fn data(&self, name: &str) -> &Data {
        let metric = self.0.iter().find(|metric| metric.name == name);
        metric.expect(name).data.as_ref().unwrap()
    }

    /// Values by their attributes, as `key=value,key=value`.
    pub(crate) fn sum(&self, name: &str) -> BTreeMap<String, i64> {
        let Data::Sum(sum) = self.data(name) else {
            panic!("{name} is no sum");
        };
        assert_eq!(sum.aggregation_temporality, 2, "cumulative");
        assert_eq!(sum.is_monotonic, name != "autotrainer.connections.open");
        let points = sum.data_points.iter().map(|point| {
            assert!(point.start_time_unix_nano > 0);
            assert!(point.time_unix_nano >= point.start_time_unix_nano);
            let Some(Number::AsInt(value)) = point.value else {
                panic!("{name} has a point without an integer");
            };
            let attributes = attributes(&point.attributes).into_iter();
            let attributes: Vec<_> = attributes
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            (attributes.join(","), value)
        });
        points.collect()
    }

    pub(crate) fn histogram(&self, name: &str) -> HistogramDataPoint {
        let Data::Histogram(histogram) = self.data(name) else {
            panic!("{name} is no histogram");
        };
        assert_eq!(histogram.aggregation_temporality, 2, "cumulative");
        histogram.data_points[0].clone()
    }
}

pub(crate) fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let attributes = attributes.iter().map(|attribute| {
        let value = attribute.value.as_ref().unwrap().value.as_ref().unwrap();
        let value = match value {
            Value::StringValue(text) => text.clone(),
            Value::IntValue(number) => number.to_string(),
            other => panic!("an attribute is {other:?}"),
        };
        (attribute.key.clone(), value)
    });
    attributes.collect()
}

pub(crate) fn options(endpoint: impl Into<String>) -> TelemetryOptions {
    TelemetryOptions {
        enable: true,
        endpoint: Some(endpoint.into()),
        api_key: String::new(),
    }
}

pub(crate) fn started(options: &TelemetryOptions, settings: Settings) -> Telemetry {
    install_provider();
    match Telemetry::start(Some(options), settings).unwrap() {
        Start::Started(telemetry) => telemetry,
        Start::NotStarted(why) => panic!("{why}"),
    }
}

pub(crate) fn install_provider() {
    // An error says that another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

pub(crate) async fn wait_for_counts(
    telemetry: &Telemetry,
    mut done: impl FnMut(&TelemetryCounts) -> bool,
) {
    let waiting = async {
        while !done(&telemetry.counts()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting)
        .await
        .unwrap_or_else(|_| panic!("{:?}", telemetry.counts()));
}
