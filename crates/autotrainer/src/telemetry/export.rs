//! Requests to the collector.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prost::Message;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, StatusCode, Url, redirect};
use thiserror::Error;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::endpoint::Endpoint;
use super::otlp::{ExportResponse, MetricsRequest, TracesRequest};
use super::{Counters, Settings, TelemetryError};

/// Bytes of an answer that are read; it says how many spans were rejected, and why.
const ANSWER_BYTES_MAX: usize = 64 << 10;
const RETRY_AFTER_MIN: Duration = Duration::from_millis(500);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(8);

#[derive(Debug)]
pub(super) struct Exporter {
    client: Client,
    endpoint: Endpoint,
    export_timeout: Duration,
    retries_max: u32,
    counters: Arc<Counters>,
    stop: CancellationToken,
    has_failed: AtomicBool,
}

#[derive(Debug, Error)]
enum ExportError {
    #[error("{0}")]
    Http(reqwest::Error),
    #[error("no answer in time")]
    TimedOut,
    #[error("the collector answered {0}")]
    Status(StatusCode),
}

impl ExportError {
    /// As OTLP says: what a collector refuses for good is not sent again.
    const fn is_worth_another_attempt(&self) -> bool {
        match self {
            Self::Http(_) | Self::TimedOut => true,
            Self::Status(status) => matches!(status.as_u16(), 429 | 502..=504),
        }
    }
}

impl Exporter {
    pub(super) fn new(
        endpoint: &Endpoint,
        api_key: &str,
        settings: &Settings,
        counters: &Arc<Counters>,
        stop: CancellationToken,
    ) -> Result<Self, TelemetryError> {
        // Without one reqwest panics, whatever the scheme.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(TelemetryError::NoTlsProvider);
        }
        // No redirects, which would take the key elsewhere; no proxies, which are named in the environment.
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .default_headers(headers(api_key)?)
            .build()
            .map_err(|error| TelemetryError::Client(error.to_string()))?;
        Ok(Self {
            client,
            endpoint: endpoint.clone(),
            export_timeout: settings.export_timeout,
            retries_max: settings.retries_max,
            counters: Arc::clone(counters),
            stop,
            has_failed: AtomicBool::new(false),
        })
    }

    /// Tries again while that may help, but not when it shall stop. How many were not taken, if it was exported.
    pub(super) async fn traces(&self, request: &TracesRequest) -> Option<u64> {
        let body = bytes::Bytes::from(request.encode_to_vec());
        let mut retry_after = RETRY_AFTER_MIN;
        let mut retries_left = self.retries_max;
        loop {
            let outcome = self.post(&self.endpoint.traces, body.clone()).await;
            let may_retry = retries_left > 0 && !self.stop.is_cancelled();
            match self.told(outcome) {
                Ok(rejected) => return Some(rejected),
                Err(error) if may_retry && error.is_worth_another_attempt() => {}
                Err(_) => return None,
            }
            retries_left -= 1;
            let stopped = self.stop.cancelled();
            // An error says that the time is over.
            let _ = timeout(retry_after, stopped).await;
            retry_after = (retry_after * 2).min(RETRY_AFTER_MAX);
        }
    }

    pub(super) async fn metrics(&self, request: &MetricsRequest) {
        let body = bytes::Bytes::from(request.encode_to_vec());
        // The next export tells all of it again.
        let _ = self.told(self.post(&self.endpoint.metrics, body).await);
    }

    async fn post(&self, to: &Url, body: bytes::Bytes) -> Result<u64, ExportError> {
        let exchange = async {
            let sent = self.client.post(to.clone()).body(body).send().await;
            let mut answer = sent.map_err(|error| ExportError::Http(error.without_url()))?;
            if !answer.status().is_success() {
                return Err(ExportError::Status(answer.status()));
            }
            Ok(rejected(&mut answer).await)
        };
        tokio::select! {
            biased;
            outcome = exchange => outcome,
            () = sleep(self.export_timeout) => Err(ExportError::TimedOut),
        }
    }

    /// Counts it, and logs when it begins to fail and when it works again.
    fn told(&self, outcome: Result<u64, ExportError>) -> Result<u64, ExportError> {
        let had_failed = self.has_failed.swap(outcome.is_err(), Ordering::Relaxed);
        match &outcome {
            Ok(_) => self.counters.exports.add(1),
            Err(_) => self.counters.exports_failed.add(1),
        }
        match &outcome {
            Ok(_) if had_failed => tracing::info!("telemetry is exported again"),
            Err(error) if !had_failed => {
                tracing::warn!(error = %with_causes(error), "telemetry cannot be exported");
            }
            Ok(_) | Err(_) => {}
        }
        outcome
    }
}

fn headers(api_key: &str) -> Result<HeaderMap, TelemetryError> {
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-protobuf"),
    );
    if !api_key.is_empty() {
        let token = HeaderValue::from_str(&format!("Bearer {api_key}"));
        let mut token = token.map_err(|_| TelemetryError::ApiKey)?;
        token.set_sensitive(true);
        headers.insert(AUTHORIZATION, token);
    }
    Ok(headers)
}

/// How many were not taken. An answer that cannot be read says nothing about it: the status counts.
async fn rejected(answer: &mut reqwest::Response) -> u64 {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return 0;
        }
        body.extend_from_slice(&chunk);
    }
    let Ok(response) = ExportResponse::decode(body.as_slice()) else {
        return 0;
    };
    let Some(partial) = response.partial_success else {
        return 0;
    };
    if partial.rejected > 0 {
        let why = super::attributes::cut(&partial.error_message);
        tracing::debug!(
            rejected = partial.rejected,
            why,
            "the collector did not take everything"
        );
    }
    u64::try_from(partial.rejected).unwrap_or(0)
}

fn with_causes(error: &ExportError) -> String {
    let mut text = error.to_string();
    let ExportError::Http(error) = error else {
        return text;
    };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
