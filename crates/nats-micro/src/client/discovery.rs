//! Finding services: one control request, an answer from every instance. spec: nats-micro 3, 10.2

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_nats::{Message, Subscriber};
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt};
use thiserror::Error;

use super::collector::Collector;
use super::error::RequestError;
use super::handle::Client;
use super::limits::{End, Limits, limit_setters};
use super::many::open;
use super::request::OutgoingRequest;
use crate::document::{Document, DocumentError};
use crate::service_error::ServiceError;

/// How many replies that cannot be used [`Found`] keeps; the others are only counted.
pub const MAX_UNUSABLE_KEPT: usize = 64;

/// A control request to all services, or to the instances of one; made by [`Client::ping`] and its siblings.
///
/// Awaiting it is the same as [`list`](Self::list).
#[derive(Debug, Clone)]
#[must_use = "nothing is sent until this is awaited, or `stream` is called"]
pub struct Discovery<D> {
    client: Client,
    service: Option<String>,
    limits: Limits,
    document: PhantomData<fn() -> D>,
}

/// Why the reply of an instance cannot be used. It is left out; the others are not affected.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Unusable {
    /// It is no document, or another one than was asked for.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The instance answered with an error: its document is larger than a message may be, say.
    #[error("an instance answered with error {0}")]
    Service(#[source] ServiceError),
}

/// Documents as they come. See [`Discovery::stream`].
#[derive(Debug)]
pub struct DocumentStream<D> {
    replies: Collector<Subscriber>,
    document: PhantomData<fn() -> D>,
}

/// All that answered a control request.
#[derive(Debug)]
pub struct Found<D> {
    /// The documents in the order in which they came. Instances that share an id are all in it.
    pub documents: Vec<D>,
    /// What is wrong with the replies that cannot be used: the first [`MAX_UNUSABLE_KEPT`] of them.
    pub unusable: Vec<Unusable>,
    /// How many replies cannot be used.
    pub unusable_count: usize,
    /// Why no more were waited for; [`End::NoResponders`] if there is no such service.
    pub end: End,
}

impl<D: Document> Discovery<D> {
    pub(super) fn new(client: &Client, service: Option<String>) -> Self {
        Self {
            client: client.clone(),
            service,
            limits: client.limits(),
            document: PhantomData,
        }
    }

    limit_setters!();

    /// Sends the request and gives the documents as they come, until a limit is reached. What cannot be used is an item
    /// of its own and does not count.
    ///
    /// Dropping the stream, or this future, ends the subscription that the replies come to; those that were not taken
    /// are lost.
    ///
    /// # Errors
    /// The request was not sent. That nobody listens is no error but an [`End`].
    pub async fn stream(self) -> Result<DocumentStream<D>, RequestError> {
        let subject = D::VERB.subject(self.client.control_prefix(), self.service.as_deref(), None);
        let request = OutgoingRequest::default();
        Ok(DocumentStream {
            replies: open(&self.client, &subject, request, self.limits, false).await?,
            document: PhantomData,
        })
    }

    /// Sends the request and collects the documents until a limit is reached.
    ///
    /// Dropping the future ends the subscription that the replies come to; they are lost.
    ///
    /// # Errors
    /// As [`stream`](Self::stream).
    pub async fn list(self) -> Result<Found<D>, RequestError> {
        let mut stream = self.stream().await?;
        let mut found = Found {
            documents: Vec::new(),
            unusable: Vec::new(),
            unusable_count: 0,
            end: End::Closed,
        };
        while let Some(document) = stream.next().await {
            match document {
                Ok(document) => found.documents.push(document),
                Err(unusable) => found.leave_out(unusable),
            }
        }
        found.end = stream.end().unwrap_or(found.end);
        Ok(found)
    }
}

impl<D: Document> IntoFuture for Discovery<D> {
    type Output = Result<Found<D>, RequestError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.list())
    }
}

impl<D> Found<D> {
    fn leave_out(&mut self, unusable: Unusable) {
        self.unusable_count += 1;
        if self.unusable.len() < MAX_UNUSABLE_KEPT {
            self.unusable.push(unusable);
        }
    }
}

impl<D> DocumentStream<D> {
    /// Why it ended; `None` while it goes on.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.replies.end()
    }
}

impl<D: Document> Stream for DocumentStream<D> {
    type Item = Result<D, Unusable>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(message) = ready!(self.replies.poll_next_unpin(cx)) else {
            return Poll::Ready(None);
        };
        let document = read(&message);
        if document.is_ok() {
            self.replies.count_one();
        }
        Poll::Ready(Some(document))
    }
}

fn read<D: Document>(message: &Message) -> Result<D, Unusable> {
    match ServiceError::from_reply(message) {
        Some(error) => Err(Unusable::Service(error)),
        None => Ok(D::parse(&message.payload)?),
    }
}
