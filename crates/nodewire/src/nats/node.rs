//! Requests to nodes, from their arrival to their last reply.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nats_micro::{Reply, Request, Response, ServiceError};
use nodewire_core::{
    EventSink, ExecutionEvent, ExecutionId, ExecutionRequest, Executor, NodeError, NodeErrorKind,
    Outputs,
};
use tokio::sync::{Semaphore, oneshot};

use super::answer::{TooLarge, ended, interim, last, last_kept, outputs_bytes_max, too_large};
use super::cancel::{CancelOnDrop, Cancels, Named};
use super::error::{failed, refused};
use super::headers;
use super::read::{Asked, Form, read};
use crate::capability::{Feature, Losses, Wire};
use crate::oversize::{self, Kept};

/// What all endpoints of a service share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) executor: Executor,
    pub(super) losses: Losses,
    pub(super) client: async_nats::Client,
    pub(super) cancels: Arc<Cancels>,
    pub(super) bodies: Arc<Budget>,
    /// Progress and partial outputs on their way.
    pub(super) unwritten: Unwritten,
    /// Places to store outputs.
    pub(super) transfers: Semaphore,
    /// What cancel subjects of this instance begin with.
    pub(super) cancel_subject: String,
}

impl Shared {
    /// Serves one request to `node`, or to the node that it names. If this is dropped, its execution is cancelled.
    pub(super) async fn serve(
        self: Arc<Self>,
        request: Request,
        node: Option<Arc<str>>,
    ) -> Response {
        let form = Form {
            stream: headers::wants_stream(&request),
            ..Form::default()
        };
        match self.answer(&request, node.as_deref()).await {
            Ok(response) => response,
            Err(error) => Response::Error(ended("failed", error, &form)),
        }
    }

    async fn answer(
        &self,
        request: &Request,
        node: Option<&str>,
    ) -> Result<Response, ServiceError> {
        let _held = self.hold(request.payload().len())?;
        let Asked { execution, form } =
            read(request, node, self.executor.registry()).map_err(|error| failed(&error))?;
        let id = request.header(headers::EXECUTION);
        let named = id.map(|id| self.cancels.name(id)).transpose();
        let named = named.map_err(|error| failed(&error))?;
        if form.stream {
            let named = named.unwrap_or_else(|| self.cancels.unnamed());
            // Apart, as is what is seldom done below: the future of every request is moved several times.
            Box::pin(self.stream(request, execution, &form, &named)).await
        } else {
            self.once(execution, &form, named).await
        }
    }

    /// One reply. What else the execution tells is lost, and counted.
    async fn once(
        &self,
        execution: ExecutionRequest,
        form: &Form,
        named: Option<Named>,
    ) -> Result<Response, ServiceError> {
        let (sink, end) = LastEvent::new(self.losses.clone());
        let cancel = self.executor.submit_to(execution, sink);
        let cancel = cancel.map_err(|refusal| refused(&refusal))?;
        if let Some(named) = &named {
            named.is(cancel.clone());
        }
        let _unless_answered = CancelOnDrop(cancel);
        let event = end.await.map_err(ServiceError::internal)?;
        Ok(self.last(event, form).await)
    }

    /// Replies as the execution goes on. It waits where the connection does.
    async fn stream(
        &self,
        request: &Request,
        execution: ExecutionRequest,
        form: &Form,
        named: &Named,
    ) -> Result<Response, ServiceError> {
        let execution = self.executor.submit(execution);
        let mut execution = execution.map_err(|refusal| refused(&refusal))?;
        named.is(execution.cancel_handle());
        let accepted = Reply::default()
            .with_header(headers::EVENT, "accepted")
            .with_header(
                headers::CANCEL,
                &format!("{}.{}", self.cancel_subject, named.id),
            );
        request.respond(accepted).await?;
        let mut lost_partial = false;
        while let Some(event) = execution.next().await {
            match &event {
                ExecutionEvent::Accepted | ExecutionEvent::Started => {}
                ExecutionEvent::Progress(_) | ExecutionEvent::Partial(_) => {
                    match interim(&event, form, self.client.max_payload()) {
                        Some(reply) => {
                            self.unwritten.make_room(&self.client, &reply).await?;
                            request.respond(reply).await?;
                        }
                        None => self.lose_once(&mut lost_partial),
                    }
                }
                ExecutionEvent::Completed(_)
                | ExecutionEvent::Failed(_)
                | ExecutionEvent::Cancelled { .. }
                | ExecutionEvent::Dropped(_) => return Ok(self.last(event, form).await),
            }
        }
        Err(failed(&NodeError::internal("the execution has no end")))
    }

    /// A preview that is larger than the broker takes.
    fn lose_once(&self, lost: &mut bool) {
        if !std::mem::replace(lost, true) {
            tracing::warn!("partial outputs are lost: they are larger than the broker takes");
            self.losses.count(Wire::Nats, Feature::PartialOutputs);
        }
    }

    async fn last(&self, event: ExecutionEvent, form: &Form) -> Response {
        if let ExecutionEvent::Failed(error) = &event {
            tracing::debug!(?error, "execution failed");
        }
        let outputs = match last(&event, form, self.client.max_payload()) {
            Ok(response) => return response,
            Err(TooLarge { outputs }) => outputs,
        };
        let kept = Box::pin(self.keep(outputs)).await;
        kept.and_then(|kept| last_kept(&kept, form, self.client.max_payload()))
            .unwrap_or_else(|error| Response::Error(ended("failed", failed(&error), form)))
    }

    /// Keeps outputs that are larger than the broker takes as assets, if there is a store.
    async fn keep(&self, outputs: &Outputs) -> Result<Kept, NodeError> {
        let (assets, bytes_max) = (self.executor.assets(), self.client.max_payload());
        if !assets.is_available() {
            return Err(too_large(outputs, bytes_max));
        }
        // It is never closed.
        let _place = self.transfers.acquire().await;
        oversize::keep(outputs.clone(), outputs_bytes_max(bytes_max), assets).await
    }

    fn hold(&self, bytes: usize) -> Result<Held, ServiceError> {
        self.bodies.hold(bytes).ok_or_else(|| {
            failed(&NodeError::new(
                NodeErrorKind::Overloaded,
                "the server holds as many bytes of requests as it may; try again later",
            ))
        })
    }
}

/// Replies that the connection may not have written yet, and which are not the last of their request.
#[derive(Debug)]
pub(super) struct Unwritten {
    bytes_max: usize,
    /// Handed over since the connection has last written everything.
    bytes: AtomicUsize,
}

impl Unwritten {
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            bytes: AtomicUsize::new(0),
        }
    }

    /// Waits until the connection has written what it has, if that is too much.
    async fn make_room(
        &self,
        client: &async_nats::Client,
        reply: &Reply,
    ) -> Result<(), ServiceError> {
        let bytes = reply.payload.len();
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.bytes_max {
            // What others hand over meanwhile counts anew, with this one.
            self.bytes.store(bytes, Ordering::Relaxed);
            client.flush().await.map_err(ServiceError::internal)?;
        }
        Ok(())
    }
}

/// Bytes that may be held at once.
#[derive(Debug)]
pub(super) struct Budget {
    bytes_max: usize,
    held: AtomicUsize,
}

/// A part of a budget, given back when this is dropped.
#[derive(Debug)]
struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            bytes_max,
            held: AtomicUsize::new(0),
        })
    }

    fn hold(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        let add = |held: usize| {
            held.checked_add(bytes)
                .filter(|held| *held <= self.bytes_max)
        };
        self.held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .ok()?;
        Some(Held {
            budget: Arc::clone(self),
            bytes,
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Passes on how an execution ended, and counts what else it told.
struct LastEvent {
    end: Mutex<Option<oneshot::Sender<ExecutionEvent>>>,
    losses: Losses,
    lost_progress: AtomicBool,
    lost_partial: AtomicBool,
}

impl LastEvent {
    fn new(losses: Losses) -> (Arc<Self>, oneshot::Receiver<ExecutionEvent>) {
        let (send, receive) = oneshot::channel();
        let sink = Self {
            end: Mutex::new(Some(send)),
            losses,
            lost_progress: AtomicBool::new(false),
            lost_partial: AtomicBool::new(false),
        };
        (Arc::new(sink), receive)
    }

    fn lose(&self, lost: &AtomicBool, feature: Feature) {
        if !lost.swap(true, Ordering::Relaxed) {
            self.losses.count(Wire::Nats, feature);
        }
    }
}

impl EventSink for LastEvent {
    fn deliver(&self, _id: ExecutionId, event: ExecutionEvent) {
        match event {
            ExecutionEvent::Accepted | ExecutionEvent::Started => {}
            ExecutionEvent::Progress(_) => self.lose(&self.lost_progress, Feature::Progress),
            ExecutionEvent::Partial(_) => self.lose(&self.lost_partial, Feature::PartialOutputs),
            ExecutionEvent::Completed(_)
            | ExecutionEvent::Failed(_)
            | ExecutionEvent::Cancelled { .. }
            | ExecutionEvent::Dropped(_) => {
                let end = self
                    .end
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                if let Some(end) = end {
                    // Whoever waited is gone if the service was cut off.
                    let _ = end.send(event);
                }
            }
        }
    }
}
