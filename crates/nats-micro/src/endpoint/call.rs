//! One request from its start to its end: what it answered, how long it took, what went wrong.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_nats::{HeaderMap, Message, Subject};
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

/// A request with what is known about its handling: one allocation that the request, its handler and the endpoint's task
/// share.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) core: Arc<EndpointCore>,
    pub(crate) message: Message,
    said: Mutex<Said>,
}

/// What the handler said through its request.
#[derive(Debug, Default)]
struct Said {
    replies: u32,
    error: Option<String>,
    captured: Option<Response>,
}

/// A reply that the broker will take.
struct Outgoing {
    to: Subject,
    payload: Bytes,
    headers: Option<HeaderMap>,
    /// It stands for a larger one.
    too_large: Option<RespondFailure>,
}

impl Call {
    pub(crate) fn new(core: Arc<EndpointCore>, message: Message) -> Arc<Self> {
        Arc::new(Self {
            core,
            message,
            said: Mutex::default(),
        })
    }

    /// What a handler says through its request: published at once, or held back for middleware; the last one wins.
    pub(crate) async fn respond(&self, response: Response) -> Result<(), RespondFailure> {
        if self.core.captures {
            self.said().captured = Some(response);
            return Ok(());
        }
        let error = response.error().map(ServiceError::for_statistics);
        let sent = self.publish(response).await;
        let mut said = self.said();
        if !matches!(sent, Err(RespondFailure::Closed(_))) {
            said.replies += 1;
        }
        let failure = sent.as_ref().err().map(ToString::to_string);
        if let Some(error) = failure.or(error) {
            said.error = Some(error);
        }
        sent
    }

    /// What the handler said last, if replies are held back.
    pub(crate) fn take_captured(&self) -> Response {
        self.said().captured.take().unwrap_or(Response::Silent)
    }

    /// Whether the caller has got a reply.
    pub(crate) fn has_replied(&self) -> bool {
        self.said().replies > 0
    }

    /// Handles a request to its end. Counts it exactly once, also if the future is dropped.
    pub(crate) async fn run(self: Arc<Self>, handling: impl Future<Output = Response>) {
        let mut measure = Measure {
            call: &self,
            started: Instant::now(),
            ended: false,
        };
        let response = match AssertUnwindSafe(handling).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => Response::Error(ServiceError::internal(panic_text(&*panic))),
        };
        let error = response.error().map(ServiceError::for_statistics);
        // A failure is in the statistics; there is nobody else to tell.
        let failure = self.publish(response).await.err();
        measure.end(failure.map(|failure| failure.to_string()).or(error));
    }

    /// Publishes, or does nothing if nobody waits for a reply. spec: nats-micro 5
    pub(crate) async fn publish(&self, response: Response) -> Result<(), RespondFailure> {
        let Some(outgoing) = self.prepare(response) else {
            return Ok(());
        };
        let transport = &self.core.transport;
        transport
            .publish(outgoing.to, outgoing.payload, outgoing.headers)
            .await?;
        outgoing.too_large.map_or(Ok(()), Err)
    }

    /// What the broker would not take would leave the caller waiting: it gets an error instead.
    fn prepare(&self, response: Response) -> Option<Outgoing> {
        let to = self.message.reply.clone()?;
        let (payload, headers) = response.into_parts()?;
        let actual_bytes = payload.len() + headers.as_ref().map_or(0, header::block_bytes);
        let max_bytes = self.core.transport.max_payload_bytes();
        if actual_bytes <= max_bytes {
            return Some(Outgoing {
                to,
                payload,
                headers,
                too_large: None,
            });
        }
        let (payload, headers) = ServiceError::new(500, "Response too large").into_parts();
        Some(Outgoing {
            to,
            payload,
            headers: Some(headers),
            too_large: Some(RespondFailure::TooLarge {
                actual_bytes,
                max_bytes,
            }),
        })
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
    /// An error at the end is the last one.
    fn end(&mut self, error: Option<String>) {
        self.ended = true;
        let took = self.started.elapsed();
        let error = error.or_else(|| self.call.said().error.take());
        self.call.core.counters.ended(took, error);
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
