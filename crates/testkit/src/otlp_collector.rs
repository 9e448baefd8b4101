//! A collector of traces, which decodes with the types of the OpenTelemetry project.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than any export takes; only a failure waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an [`OtlpCollector`] answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CollectorManner {
    /// 200.
    Takes,
    /// 200, and that it did not take so many spans.
    Rejects(i64),
    /// This status.
    Answers(u16),
    /// Nothing, for ever.
    Hangs,
}

/// A span that was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectedSpan {
    /// `service.name` of its resource.
    pub service: String,
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// The same, or empty.
    pub parent_span_id: String,
    /// W3C `tracestate`.
    pub trace_state: String,
    /// Its name.
    pub name: String,
    /// The number of its kind.
    pub kind: i32,
    /// Its attributes as text.
    pub attributes: BTreeMap<String, String>,
    /// The message, if it ended with an error.
    pub error: Option<String>,
    /// How long it took.
    pub took_ns: u64,
}

/// A collector of traces on loopback. Dropping it ends it.
#[derive(Debug)]
pub struct OtlpCollector {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    manner: Mutex<CollectorManner>,
    requests: watch::Sender<Vec<Request>>,
}

#[derive(Debug, Clone)]
struct Request {
    headers: HeaderMap,
    spans: Vec<CollectedSpan>,
}

impl OtlpCollector {
    /// Listens.
    ///
    /// # Errors
    /// There is no port.
    pub async fn start(manner: CollectorManner) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            manner: Mutex::new(manner),
            requests: watch::Sender::new(Vec::new()),
        });
        let app = Router::new().fallback(take).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            // It ends by being aborted.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self {
            address,
            shared,
            serving,
        })
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers in another way from now on.
    pub fn set(&self, manner: CollectorManner) {
        let mut current = self.shared.manner.lock();
        **current.as_mut().unwrap_or_else(|error| error.get_mut()) = manner;
    }

    /// How many requests came, whatever was answered.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.shared.requests.borrow().len()
    }

    /// A header of the last request.
    #[must_use]
    pub fn last_header(&self, name: &str) -> Option<String> {
        let requests = self.shared.requests.borrow();
        let value = requests.last()?.headers.get(name)?;
        value.to_str().ok().map(str::to_owned)
    }

    /// All spans that came so far, whatever was answered, in order.
    #[must_use]
    pub fn spans(&self) -> Vec<CollectedSpan> {
        let requests = self.shared.requests.borrow();
        requests.iter().flat_map(|it| it.spans.clone()).collect()
    }

    /// Waits until the spans are as wanted, and gives them.
    ///
    /// # Errors
    /// They are not within a minute; the error lists them.
    pub async fn until(
        &self,
        mut is_so: impl FnMut(&[CollectedSpan]) -> bool,
    ) -> anyhow::Result<Vec<CollectedSpan>> {
        let mut requests = self.shared.requests.subscribe();
        let waiting = async {
            loop {
                let spans = self.spans();
                if is_so(&spans) {
                    return spans;
                }
                // The sender is in `self`.
                let _ = requests.changed().await;
            }
        };
        timeout(PATIENCE, waiting)
            .await
            .with_context(|| format!("not exported; only {:#?}", self.spans()))
    }
}

impl Drop for OtlpCollector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Vec<u8>) {
    let request = ExportTraceServiceRequest::decode(body);
    let Some(request) = request.ok().filter(|_| uri.path() == "/v1/traces") else {
        return (StatusCode::BAD_REQUEST, Vec::new());
    };
    let spans = request.resource_spans.into_iter().flat_map(collected);
    let spans = spans.collect();
    shared
        .requests
        .send_modify(|requests| requests.push(Request { headers, spans }));
    let manner = *shared.manner.lock().unwrap_or_else(PoisonError::into_inner);
    match manner {
        CollectorManner::Takes => (StatusCode::OK, Vec::new()),
        CollectorManner::Answers(status) => {
            let status = StatusCode::from_u16(status);
            (status.unwrap_or(StatusCode::IM_A_TEAPOT), Vec::new())
        }
        CollectorManner::Rejects(rejected_spans) => {
            let response = ExportTraceServiceResponse {
                partial_success: Some(ExportTracePartialSuccess {
                    rejected_spans,
                    error_message: "too many".to_owned(),
                }),
            };
            (StatusCode::OK, response.encode_to_vec())
        }
        CollectorManner::Hangs => std::future::pending().await,
    }
}

fn collected(resource: ResourceSpans) -> Vec<CollectedSpan> {
    let attributes = resource.resource.map(|resource| texts(resource.attributes));
    let service = attributes.and_then(|mut attributes| attributes.remove("service.name"));
    let service = service.unwrap_or_default();
    let spans = resource.scope_spans.into_iter().flat_map(|it| it.spans);
    spans.map(|span| one(&service, span)).collect()
}

fn one(service: &str, span: Span) -> CollectedSpan {
    /// `STATUS_CODE_ERROR`.
    const ERROR: i32 = 2;
    let status = span.status.filter(|status| status.code == ERROR);
    CollectedSpan {
        service: service.to_owned(),
        trace_id: crate::to_hex(&span.trace_id),
        span_id: crate::to_hex(&span.span_id),
        parent_span_id: crate::to_hex(&span.parent_span_id),
        trace_state: span.trace_state,
        name: span.name,
        kind: span.kind,
        attributes: texts(span.attributes),
        error: status.map(|status| status.message),
        took_ns: span
            .end_time_unix_nano
            .saturating_sub(span.start_time_unix_nano),
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value| match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    let attributes = attributes.into_iter();
    attributes
        .map(|it| (it.key, text(it.value.and_then(|value| value.value))))
        .collect()
}
