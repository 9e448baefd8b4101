//! One request from its start to its end: what it answered, how long it took, what went wrong.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use futures_util::FutureExt;
use thiserror::Error;

use super::core::EndpointCore;
use crate::header;
use crate::response::Response;
use crate::service_error::ServiceError;
use crate::transport::ConnectionClosed;

/// Why a reply was not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum RespondFailure {
    #[error(
        "the reply has {actual_bytes} bytes with its headers; the broker takes at most {max_bytes}"
    )]
    TooLarge {
        actual_bytes: usize,
        max_bytes: usize,
    },
    #[error(transparent)]
    Closed(#[from] ConnectionClosed),
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) core: Arc<EndpointCore>,
    reply: Option<Subject>,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    replies: u32,
    error: Option<String>,
    captured: Option<Response>,
}

impl Call {
    pub(crate) fn new(core: Arc<EndpointCore>, reply: Option<Subject>) -> Arc<Self> {
        Arc::new(Self {
            core,
            reply,
            said: Mutex::default(),
        })
    }

    /// What a handler says through its request: published at once, or held back for middleware; the last one wins.
    pub(crate) async fn respond(&self, response: Response) -> Result<(), RespondFailure> {
        if self.core.captures {
            self.said().captured = Some(response);
            return Ok(());
        }
        self.publish(response).await
    }

    /// What the handler said last, if replies are held back.
    pub(crate) fn take_captured(&self) -> Response {
        self.said().captured.take().unwrap_or(Response::Silent)
    }

    /// Whether the caller has got a reply.
    pub(crate) fn has_replied(&self) -> bool {
        self.said().replies > 0
    }

    /// Publishes, or does nothing if nobody waits for a reply. spec: nats-micro 5
    pub(crate) async fn publish(&self, response: Response) -> Result<(), RespondFailure> {
        let error = response.error().map(ServiceError::for_statistics);
        let Some((payload, headers)) = response.into_parts() else {
            return Ok(());
        };
        if error.is_some() {
            self.said().error = error;
        }
        let Some(reply) = &self.reply else {
            return Ok(());
        };
        let sent = self.send(reply, payload, headers).await;
        let mut said = self.said();
        match &sent {
            Ok(()) => said.replies += 1,
            Err(failure) => said.error = Some(failure.to_string()),
        }
        sent
    }

    /// What the broker would not take would leave the caller waiting: it gets an error instead.
    async fn send(
        &self,
        reply: &Subject,
        payload: Bytes,
        headers: Option<HeaderMap>,
    ) -> Result<(), RespondFailure> {
        let transport = &self.core.transport;
        let actual_bytes = payload.len() + headers.as_ref().map_or(0, header::block_bytes);
        let max_bytes = transport.max_payload_bytes();
        if actual_bytes <= max_bytes {
            return Ok(transport.publish(reply.clone(), payload, headers).await?);
        }
        let (payload, headers) = ServiceError::new(500, "Response too large").into_parts();
        transport
            .publish(reply.clone(), payload, Some(headers))
            .await?;
        self.said().replies += 1;
        Err(RespondFailure::TooLarge {
            actual_bytes,
            max_bytes,
        })
    }

    /// Handles a request to its end. Counts it exactly once, also if the future is dropped.
    pub(crate) async fn run(
        self: Arc<Self>,
        waited: Duration,
        handling: impl Future<Output = Response>,
    ) {
        self.core.counters.started(waited);
        let mut measure = Measure {
            call: &self,
            started: Instant::now(),
            ended: false,
        };
        let response = match AssertUnwindSafe(handling).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => Response::Error(ServiceError::internal(panic_text(&*panic))),
        };
        // A failure is in the statistics; there is nobody else to tell.
        let _ = self.publish(response).await;
        measure.end();
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the handler panicked: {}", text.unwrap_or("no message"))
}

/// Counts a request when it ends or is dropped.
struct Measure<'a> {
    call: &'a Call,
    started: Instant,
    ended: bool,
}

impl Measure<'_> {
    fn end(&mut self) {
        self.ended = true;
        let error = self.call.said().error.take();
        self.call.core.counters.ended(self.started.elapsed(), error);
    }
}

impl Drop for Measure<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let error = Some("503:Service Unavailable: cancelled".to_owned());
            self.call.core.counters.ended(self.started.elapsed(), error);
        }
    }
}
