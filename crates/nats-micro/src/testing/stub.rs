//! Requests without a broker. spec: nats-micro 10.3

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use http::Extensions;
use serde::Serialize;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::harness::DEFAULT_MAX_PAYLOAD_BYTES;
use super::reply::TestReply;
use crate::document::EndpointInfo;
use crate::endpoint::{
    Call, Counters, DEFAULT_CONCURRENCY, Endpoint, EndpointCore, Group, PendingLimits,
    ServiceIdentity, plan,
};
use crate::handler::{Chain, FnHandler, Innermost};
use crate::header;
use crate::middleware::{Layer, Middleware, MiddlewareLayer};
use crate::name::ConfigError;
use crate::request::Request;
use crate::response::IntoResponse;
use crate::transport::{Bus, BusSubscription, Transport};

const REPLY_SUBJECT: &str = "_INBOX.stub";

/// Makes requests for one handler, endpoint or middleware, and keeps what they were answered.
///
/// A handler's answers are seen as the service would send them: an error with its headers, a panic as 500.
///
/// ```
/// use nats_micro::Request;
/// use nats_micro::testing::RequestStub;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stub = RequestStub::new("count").payload("2").header("X-Who", "me");
/// let count = |request: Request| async move {
///     assert_eq!(request.header("x-who"), Some("me"));
///     let _ = request.respond("1").await;
///     let _ = request.respond("2").await;
/// };
/// assert!(stub.response().is_err());
/// stub.call(count).await?;
/// assert_eq!(stub.responses().len(), 2);
/// assert_eq!(stub.response()?.text()?, "2");
/// # Ok(()) }
/// ```
pub struct RequestStub {
    subject: String,
    payload: Bytes,
    headers: HeaderMap,
    extensions: Extensions,
    waits_for_reply: bool,
    endpoint: EndpointInfo,
    service: Arc<ServiceIdentity>,
    stopping: CancellationToken,
    bus: Arc<Bus>,
    answers: Mutex<Answers>,
}

struct Answers {
    inbox: BusSubscription,
    replies: Vec<TestReply>,
    last_error: String,
}

/// Nothing was answered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the handler has not responded")]
pub struct NoResponse;

/// Why an endpoint gave no response.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StubError {
    /// The endpoint's description cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The handler was silent.
    #[error(transparent)]
    NoResponse(#[from] NoResponse),
}

impl fmt::Debug for RequestStub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestStub")
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

impl RequestStub {
    /// A request to a subject, with an empty body and no headers, that waits for replies.
    #[must_use]
    pub fn new(subject: impl Into<String>) -> Self {
        let subject = subject.into();
        let bus = Bus::new(DEFAULT_MAX_PAYLOAD_BYTES);
        let inbox = bus.subscribe(REPLY_SUBJECT, None);
        Self {
            endpoint: EndpointInfo {
                name: "stub".to_owned(),
                subject: subject.clone(),
                metadata: crate::Metadata::new(),
                queue_group: crate::DEFAULT_QUEUE_GROUP.to_owned(),
            },
            subject,
            payload: Bytes::new(),
            headers: HeaderMap::new(),
            extensions: Extensions::new(),
            waits_for_reply: true,
            service: identity("stub", "stub", "0.0.0"),
            stopping: CancellationToken::new(),
            bus,
            answers: Mutex::new(Answers {
                inbox,
                replies: Vec::new(),
                last_error: String::new(),
            }),
        }
    }

    /// The body.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.payload = payload.into();
        self
    }

    /// A value as the body.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> serde_json::Result<Self> {
        Ok(self.payload(serde_json::to_vec(value)?))
    }

    /// Adds a header. Line ends in the value become spaces.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.append(name, header::one_line(value));
        self
    }

    /// All headers, instead of those added before.
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// What middleware would have left for the handler.
    #[must_use]
    pub fn extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.extensions.insert(value);
        self
    }

    /// The endpoint's name, and the subject that it serves if that is not the request's own: one with wildcards.
    #[must_use]
    pub fn endpoint(mut self, name: impl Into<String>, subject: impl Into<String>) -> Self {
        self.endpoint.name = name.into();
        self.endpoint.subject = subject.into();
        self
    }

    /// The service that the request comes to.
    #[must_use]
    pub fn service(mut self, name: &str, id: &str, version: &str) -> Self {
        self.service = identity(name, id, version);
        self
    }

    /// The caller waits for no reply.
    #[must_use]
    pub fn without_reply(mut self) -> Self {
        self.waits_for_reply = false;
        self
    }

    /// What [`Request::stopping`] waits for.
    pub fn begin_stop(&self) {
        self.stopping.cancel();
    }

    /// A request, to call a handler with directly; what the handler then returns is the test's to look at. What it says
    /// through the request is in [`responses`](Self::responses).
    #[must_use]
    pub fn request(&self) -> Request {
        let nobody: Chain = Arc::new(Innermost(Arc::new(FnHandler(|_| async {}))));
        self.request_to(&self.core(self.endpoint.clone(), nobody, false))
    }

    /// Calls an async function as an endpoint would.
    ///
    /// # Errors
    /// Nothing has been answered so far, by this call or an earlier one.
    ///
    /// Dropping the future ends the handling of the request.
    pub async fn call<F, Fut>(&self, handler: F) -> Result<TestReply, NoResponse>
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoResponse> + Send + 'static,
    {
        let chain: Chain = Arc::new(Innermost(Arc::new(FnHandler(handler))));
        self.serve(&self.core(self.endpoint.clone(), chain, false))
            .await;
        self.response()
    }

    /// Calls an async function with middleware around it.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    ///
    /// Dropping the future ends the handling of the request.
    pub async fn call_middleware<F, Fut>(
        &self,
        middleware: impl Middleware,
        handler: F,
    ) -> Result<TestReply, NoResponse>
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoResponse> + Send + 'static,
    {
        let inner: Chain = Arc::new(Innermost(Arc::new(FnHandler(handler))));
        let chain = Arc::new(MiddlewareLayer(middleware)).wrap(inner);
        self.serve(&self.core(self.endpoint.clone(), chain, true))
            .await;
        self.response()
    }

    /// Calls an endpoint's handler with the endpoint's middleware around it.
    ///
    /// # Errors
    /// The endpoint's description cannot be used, or as [`call`](Self::call).
    ///
    /// Dropping the future ends the handling of the request.
    pub async fn call_endpoint(&self, endpoint: Endpoint) -> Result<TestReply, StubError> {
        let group = Group::new("").endpoint(endpoint);
        for planned in plan(&group, crate::DEFAULT_CONTROL_PREFIX)? {
            let core = self.core(planned.info, planned.handler, planned.captures);
            self.serve(&core).await;
        }
        Ok(self.response()?)
    }

    /// The last response.
    ///
    /// # Errors
    /// There was none.
    pub fn response(&self) -> Result<TestReply, NoResponse> {
        self.answers().replies.last().cloned().ok_or(NoResponse)
    }

    /// All responses, in the order in which they were sent.
    #[must_use]
    pub fn responses(&self) -> Vec<TestReply> {
        self.answers().replies.clone()
    }

    /// What statistics would show as the last error, with its cause, which callers do not see; empty if there was none.
    #[must_use]
    pub fn last_error(&self) -> String {
        self.answers().last_error.clone()
    }

    async fn serve(&self, core: &Arc<EndpointCore>) {
        let request = self.request_to(core);
        core.handler.serve(request).await;
        let last_error = core.snapshot().last_error;
        if !last_error.is_empty() {
            self.answers().last_error = last_error;
        }
    }

    fn request_to(&self, core: &Arc<EndpointCore>) -> Request {
        let reply = self.waits_for_reply.then(|| REPLY_SUBJECT.into());
        let message = Message {
            subject: self.subject.as_str().into(),
            reply,
            payload: self.payload.clone(),
            headers: (!self.headers.is_empty()).then(|| self.headers.clone()),
            status: None,
            description: None,
            length: self.subject.len() + self.payload.len(),
        };
        let call = Call::new(Arc::clone(core), message);
        let mut request = Request::new(call);
        *request.extensions_mut() = self.extensions.clone();
        request
    }

    fn core(&self, info: EndpointInfo, handler: Chain, captures: bool) -> Arc<EndpointCore> {
        Arc::new(EndpointCore {
            service: Arc::clone(&self.service),
            info,
            queue_group: None,
            handler,
            captures,
            concurrency: DEFAULT_CONCURRENCY,
            limits: PendingLimits::default(),
            transport: Transport::Memory(Arc::clone(&self.bus)),
            counters: Counters::default(),
            quiet: Arc::default(),
            stopping: self.stopping.clone(),
        })
    }

    /// With all that has arrived.
    fn answers(&self) -> MutexGuard<'_, Answers> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(message) = answers.inbox.try_next() {
            answers.replies.push(TestReply::new(message));
        }
        answers
    }
}

fn identity(name: &str, id: &str, version: &str) -> Arc<ServiceIdentity> {
    Arc::new(ServiceIdentity {
        name: name.to_owned(),
        id: id.to_owned(),
        version: version.to_owned(),
    })
}
