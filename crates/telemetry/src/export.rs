//! Requests to the collector.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, StatusCode, Url, redirect};
use thiserror::Error;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::endpoint::Endpoint;
use crate::error::ExportSetupError;
use crate::otlp::{ExportResponse, MetricsRequest, TracesRequest};

/// Bytes of an answer that are read; it says how many spans were rejected, and why.
const ANSWER_BYTES_MAX: usize = 64 << 10;
const RETRY_AFTER_MIN: Duration = Duration::from_millis(500);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(8);

/// Sends to one collector. It holds up nobody but its caller, and that no longer than its options say.
#[derive(Debug)]
pub struct Exporter {
    client: Client,
    endpoint: Endpoint,
    options: ExporterOptions,
    taken: AtomicU64,
    failed: AtomicU64,
    stop: CancellationToken,
    has_failed: AtomicBool,
}

/// How long and how often is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExporterOptions {
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How often spans are sent again when the collector is not there or asks for it.
    pub retries_max: u32,
}

/// Attempts to export, by what came of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportCounts {
    /// The collector took it.
    pub taken: u64,
    /// It did not.
    pub failed: u64,
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
    /// Sends nothing yet. Once `stop` is cancelled, what fails is not tried again.
    ///
    /// # Errors
    /// If the program has no TLS provider, or a header is none. Values of headers are not part of the error.
    pub fn new(
        endpoint: &Endpoint,
        headers: &[(String, String)],
        options: ExporterOptions,
        stop: CancellationToken,
    ) -> Result<Self, ExportSetupError> {
        // Without one reqwest panics, whatever the scheme.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(ExportSetupError::NoTlsProvider);
        }
        // No redirects, which would take the headers elsewhere; no proxies, which are named in the environment.
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .default_headers(header_map(headers)?)
            .build()
            .map_err(|error| ExportSetupError::Client(error.to_string()))?;
        Ok(Self {
            client,
            endpoint: endpoint.clone(),
            options,
            taken: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            stop,
            has_failed: AtomicBool::new(false),
        })
    }

    /// Attempts so far.
    #[must_use]
    pub fn counts(&self) -> ExportCounts {
        ExportCounts {
            taken: self.taken.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    /// Tries again while that may help, but not when it shall stop. How many spans were not taken, if it was exported.
    ///
    /// # Cancel safety
    /// If dropped before completion, nobody knows whether it was exported.
    pub async fn traces(&self, request: &TracesRequest) -> Option<u64> {
        let body = bytes::Bytes::from(request.encode_to_vec());
        let mut retry_after = RETRY_AFTER_MIN;
        let mut retries_left = self.options.retries_max;
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

    /// Tries once: the next export tells all of it again.
    ///
    /// # Cancel safety
    /// As [`Self::traces`].
    pub async fn metrics(&self, request: &MetricsRequest) {
        let body = bytes::Bytes::from(request.encode_to_vec());
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
            () = sleep(self.options.timeout) => Err(ExportError::TimedOut),
        }
    }

    /// Counts it, and logs when it begins to fail and when it works again.
    fn told(&self, outcome: Result<u64, ExportError>) -> Result<u64, ExportError> {
        let had_failed = self.has_failed.swap(outcome.is_err(), Ordering::Relaxed);
        let count = match &outcome {
            Ok(_) => &self.taken,
            Err(_) => &self.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
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

fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, ExportSetupError> {
    let mut map = HeaderMap::new();
    map.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-protobuf"),
    );
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        let name = name.map_err(|_| ExportSetupError::Header)?;
        let value = HeaderValue::from_str(value);
        let mut value = value.map_err(|_| ExportSetupError::Header)?;
        value.set_sensitive(true);
        map.insert(name, value);
    }
    Ok(map)
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
        let why = crate::attributes::cut(&partial.error_message);
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
