//! One request, many replies. spec: nats-micro 10.2

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_nats::{Message, PublishErrorKind, Subscriber};
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, timeout};

use super::collector::Collector;
use super::error::RequestError;
use super::handle::Client;
use super::limits::{End, Limits, limit_setters};
use super::reply::received;
use super::request::OutgoingRequest;
use super::subject::check_subject;
use crate::response::Reply;
use crate::service_error::ServiceError;

/// A request to everyone who listens on a subject; made by [`Client::request_many`].
///
/// Awaiting it is the same as [`list`](Self::list).
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until this is awaited, or `stream` is called"]
pub struct RequestMany {
    client: Client,
    subject: String,
    request: OutgoingRequest,
    limits: Limits,
    end_on_empty: bool,
}

/// Replies as they come: each a reply or the error that somebody answered with. See [`RequestMany::stream`].
#[derive(Debug)]
pub struct ReplyStream(Collector<Subscriber>);

/// All replies to one request.
#[derive(Debug, Clone)]
pub struct Replies {
    /// The replies in the order in which they came, error replies among them.
    pub replies: Vec<Result<Reply, ServiceError>>,
    /// Why no more were waited for.
    pub end: End,
}

impl RequestMany {
    pub(super) fn new(client: &Client, subject: String, request: OutgoingRequest) -> Self {
        let mut limits = client.limits();
        limits.max_wait = request.timeout.unwrap_or(limits.max_wait);
        Self {
            client: client.clone(),
            subject,
            request,
            limits,
            end_on_empty: false,
        }
    }

    limit_setters!();

    /// An empty reply that is no error says that no more will come. It is not given.
    pub fn end_on_empty(mut self) -> Self {
        self.end_on_empty = true;
        self
    }

    /// Sends the request and gives the replies as they come, until a limit is reached.
    ///
    /// Dropping the stream, or this future, ends the subscription that the replies come to; those that were not taken
    /// are lost.
    ///
    /// # Errors
    /// The request was not sent. That nobody listens is no error but an [`End`].
    pub async fn stream(self) -> Result<ReplyStream, RequestError> {
        let (request, limits) = (self.request, self.limits);
        let opened = open(
            &self.client,
            &self.subject,
            request,
            limits,
            self.end_on_empty,
        );
        opened.await.map(ReplyStream)
    }

    /// Sends the request and collects the replies until a limit is reached.
    ///
    /// Dropping the future ends the subscription that the replies come to; they are lost.
    ///
    /// # Errors
    /// As [`stream`](Self::stream).
    pub async fn list(self) -> Result<Replies, RequestError> {
        let mut stream = self.stream().await?;
        let mut replies = Vec::new();
        while let Some(reply) = stream.next().await {
            replies.push(reply);
        }
        let end = stream.end().unwrap_or(End::Closed);
        Ok(Replies { replies, end })
    }
}

impl IntoFuture for RequestMany {
    type Output = Result<Replies, RequestError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.list())
    }
}

impl ReplyStream {
    /// Why it ended; `None` while it goes on.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.0.end()
    }
}

impl Stream for ReplyStream {
    type Item = Result<Reply, ServiceError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let message: Option<Message> = ready!(self.0.poll_next_unpin(cx));
        if message.is_some() {
            self.0.count_one();
        }
        Poll::Ready(message.map(received))
    }
}

/// Subscribes to an inbox of its own and sends the request. Both go out in this order on one connection, so no reply is
/// missed.
pub(super) async fn open(
    client: &Client,
    subject: &str,
    request: OutgoingRequest,
    limits: Limits,
    end_on_empty: bool,
) -> Result<Collector<Subscriber>, RequestError> {
    check_subject(subject)?;
    let actual_bytes = client.check_size(&request)?;
    let started = Instant::now();
    let connection = client.connection();
    let sending = async {
        let inbox = connection.new_inbox();
        let subscriber = connection
            .subscribe(inbox.clone())
            .await
            .map_err(|_| PublishErrorKind::Send)?;
        let OutgoingRequest {
            payload, headers, ..
        } = request;
        let (subject, headers) = (subject.to_owned(), Some(headers));
        let sent = match headers.filter(|headers| !headers.is_empty()) {
            None => connection.publish_with_reply(subject, inbox, payload).await,
            Some(headers) => {
                connection
                    .publish_with_reply_and_headers(subject, inbox, headers, payload)
                    .await
            }
        };
        sent.map_err(|error| error.kind())?;
        Ok(subscriber)
    };
    // Handing over waits while the connection is away and much has been handed over.
    match timeout(limits.max_wait, sending).await {
        Ok(Ok(subscriber)) => Ok(Collector::new(subscriber, limits, end_on_empty, started)),
        Ok(Err(PublishErrorKind::MaxPayloadExceeded)) => Err(client.too_large(actual_bytes)),
        Ok(Err(PublishErrorKind::InvalidSubject)) => Err(RequestError::InvalidSubject {
            subject: subject.to_owned(),
            reason: "the connection does not take it",
        }),
        Ok(Err(PublishErrorKind::Send)) => Err(RequestError::Closed),
        Err(_) => Err(RequestError::TimedOut {
            subject: subject.to_owned(),
            after: limits.max_wait,
        }),
    }
}
