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
    #[error(
        "the service's stop took too long: the caller has been told that the service is unavailable"
    )]
    Ended,
    #[error(transparent)]
    Closed(#[from] ConnectionClosed),
}

/// A request with what is known about its handling: one allocation that the request, its handler and the endpoint's task
/// share.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) core: Arc<EndpointCore>,
    pub(crate) message: Message,
    began: Instant,
    said: Mutex<Said>,
}

/// What the handler said through its request.
#[derive(Debug, Default)]
struct Said {
    replies: u32,
    error: Option<String>,
    captured: Option<Response>,
    ending: Ending,
}

/// How a request ends: by its handler, or by a stop that takes too long, whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Ending {
    #[default]
    Open,
    Returned,
    CutOff,
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
            began: Instant::now(),
            said: Mutex::default(),
        })
    }

    /// What a handler says through its request: published at once, or held back for middleware; the last one wins.
    pub(crate) async fn respond(&self, response: Response) -> Result<(), RespondFailure> {
        if self.said().ending == Ending::CutOff {
            return Err(RespondFailure::Ended);
        }
        if self.core.captures {
            return self.capture(response);
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

    fn capture(&self, response: Response) -> Result<(), RespondFailure> {
        let checked = self.check_size(response.size_bytes());
        let held_back = match checked {
            Ok(()) => response,
            Err(_) => Response::Error(too_large()),
        };
        self.said().captured = Some(held_back);
        checked
    }

    /// What the handler said last, if replies are held back.
    pub(crate) fn take_captured(&self) -> Response {
        self.said().captured.take().unwrap_or(Response::Silent)
    }

    /// Whether the caller has got a reply from the handler.
    pub(crate) fn has_replied(&self) -> bool {
        self.said().replies > 0
    }

    /// Ends the request because the service stops, unless its handler has ended it: counts it, and says whether the
    /// caller is still to be told.
    pub(crate) fn cut_off(&self) -> bool {
        let mut said = self.said();
        if said.ending != Ending::Open {
            return false;
        }
        said.ending = Ending::CutOff;
        let error = Some("503:Service Unavailable: cut off by the stop".to_owned());
        self.core.counters.ended(self.began.elapsed(), error);
        said.replies == 0
    }

    /// Ends the request because its handler returned, or was dropped; `false` if it has ended already.
    fn end(&self) -> bool {
        let mut said = self.said();
        let is_first = said.ending == Ending::Open;
        if is_first {
            said.ending = Ending::Returned;
        }
        is_first
    }

    /// Handles a request to its end. Counts it exactly once, also if the future is dropped.
    pub(crate) async fn run(self: Arc<Self>, handling: impl Future<Output = Response>) {
        let mut measure = Measure {
            call: &self,
            counted: false,
        };
        let response = match AssertUnwindSafe(handling).catch_unwind().await {
            // Middleware may answer through the request too.
            Ok(Response::Silent) if self.core.captures => self.take_captured(),
            Ok(response) => response,
            Err(panic) => Response::Error(ServiceError::internal(panic_text(&*panic))),
        };
        if !self.end() {
            measure.counted = true;
            return;
        }
        let error = response.error().map(ServiceError::for_statistics);
        // A failure is in the statistics; there is nobody else to tell.
        let failure = self.publish(response).await.err();
        measure.count(failure.map(|failure| failure.to_string()).or(error));
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
        let bytes = payload.len() + headers.as_ref().map_or(0, header::block_bytes);
        let Err(failure) = self.check_size(bytes) else {
            return Some(Outgoing {
                to,
                payload,
                headers,
                too_large: None,
            });
        };
        let (payload, headers) = too_large().into_parts();
        Some(Outgoing {
            to,
            payload,
            headers: Some(headers),
            too_large: Some(failure),
        })
    }

    fn check_size(&self, actual_bytes: usize) -> Result<(), RespondFailure> {
        let max_bytes = self.core.transport.max_payload_bytes();
        if actual_bytes <= max_bytes {
            return Ok(());
        }
        Err(RespondFailure::TooLarge {
            actual_bytes,
            max_bytes,
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

fn too_large() -> ServiceError {
    ServiceError::new(500, "Response too large")
}

/// Counts a request when it ends or is dropped.
struct Measure<'a> {
    call: &'a Call,
    counted: bool,
}

impl Measure<'_> {
    /// An error at the end is the last one.
    fn count(&mut self, error: Option<String>) {
        self.counted = true;
        let took = self.call.began.elapsed();
        let error = error.or_else(|| self.call.said().error.take());
        self.call.core.counters.ended(took, error);
    }
}

impl Drop for Measure<'_> {
    fn drop(&mut self) {
        if self.counted {
            return;
        }
        let mut said = self.call.said();
        if said.ending == Ending::CutOff {
            return;
        }
        said.ending = Ending::Returned;
        drop(said);
        self.count(Some("503:Service Unavailable: cancelled".to_owned()));
    }
}
