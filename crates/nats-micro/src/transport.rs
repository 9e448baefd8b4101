//! What a service needs of a connection: the one seam between services and what carries their messages, so that the
//! same code serves over NATS and in tests without a broker.

mod memory;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, HeaderMap, Message, RequestErrorKind, Subject, Subscriber};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use thiserror::Error;
use tokio::time::timeout;

pub(crate) use memory::{Bus, BusSubscription};

/// How long the broker may take to answer a round trip that only orders what was sent before it.
const FENCE_TIMEOUT: Duration = Duration::from_secs(2);

/// The connection cannot be used any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the connection is closed; connect again")]
pub struct ConnectionClosed;

/// Why a round trip to the broker was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FenceError {
    Closed,
    /// The connection is lost at the moment.
    Away,
}

/// How the subjects end that round trips go to.
const FENCE: &str = ".nodewire-fence";

/// Whether a message is such a round trip: an endpoint on `>` gets everybody's.
pub(crate) fn is_fence(subject: &str) -> bool {
    subject.ends_with(FENCE)
}

#[derive(Debug, Clone)]
pub(crate) enum Transport {
    Nats(Client),
    Memory(Arc<Bus>),
}

impl Transport {
    pub(crate) async fn subscribe(
        &self,
        subject: String,
        queue_group: Option<String>,
    ) -> Result<Subscription, ConnectionClosed> {
        match self {
            Self::Nats(client) => {
                let subscriber = match queue_group {
                    Some(group) => client.queue_subscribe(subject, group).await,
                    None => client.subscribe(subject).await,
                };
                let subscriber = subscriber.map_err(|_| ConnectionClosed)?;
                let connects = connects(client);
                Ok(Subscription::Nats(Box::new(NatsSubscription {
                    subscriber,
                    client: client.clone(),
                    connects,
                })))
            }
            Self::Memory(bus) => Ok(Subscription::Memory(bus.subscribe(&subject, queue_group))),
        }
    }

    pub(crate) async fn publish(
        &self,
        subject: Subject,
        payload: Bytes,
        headers: Option<HeaderMap>,
    ) -> Result<(), ConnectionClosed> {
        match (self, headers) {
            (Self::Nats(client), None) => client.publish(subject, payload).await,
            (Self::Nats(client), Some(headers)) => {
                client.publish_with_headers(subject, headers, payload).await
            }
            (Self::Memory(bus), headers) => {
                bus.publish(subject, None, headers, payload);
                return Ok(());
            }
        }
        .map_err(|_| ConnectionClosed)
    }

    /// What a message may have at most, headers included.
    pub(crate) fn max_payload_bytes(&self) -> usize {
        match self {
            Self::Nats(client) => client.max_payload(),
            Self::Memory(bus) => bus.max_payload_bytes(),
        }
    }

    /// Waits until the broker has taken everything that was sent before: a request to nobody, which the broker itself
    /// answers after it has processed the subscriptions before it.
    pub(crate) async fn fence(&self) -> Result<(), FenceError> {
        let Self::Nats(client) = self else {
            return Ok(());
        };
        let nobody = format!("{}{FENCE}", client.new_inbox());
        match timeout(FENCE_TIMEOUT, client.request(nobody, Bytes::new())).await {
            Ok(Err(error)) if error.kind() == RequestErrorKind::Other => Err(FenceError::Closed),
            Ok(_) => Ok(()),
            Err(_) if !self.is_connected() => Err(FenceError::Away),
            Err(_) => {
                // A client without permission to its own inbox cannot know.
                tracing::debug!("the broker did not answer a round trip in time");
                Ok(())
            }
        }
    }

    /// Waits until everything has left this process.
    pub(crate) async fn flush(&self) -> Result<(), ConnectionClosed> {
        match self {
            Self::Nats(client) => client.flush().await.map_err(|_| ConnectionClosed),
            Self::Memory(_) => Ok(()),
        }
    }

    /// Whether messages can arrive at the moment.
    pub(crate) fn is_connected(&self) -> bool {
        match self {
            Self::Nats(client) => client.connection_state() == State::Connected,
            Self::Memory(_) => true,
        }
    }
}

fn connects(client: &Client) -> u64 {
    client.statistics().connects.load(Ordering::Relaxed)
}

/// A stream of messages. Dropping it ends the subscription; what is on its way is lost then.
#[derive(Debug)]
pub(crate) enum Subscription {
    Nats(Box<NatsSubscription>),
    Memory(BusSubscription),
}

#[derive(Debug)]
pub(crate) struct NatsSubscription {
    subscriber: Subscriber,
    client: Client,
    /// How often the client had connected when this was made.
    connects: u64,
}

impl Subscription {
    /// Ends after so many messages since its beginning; `false` if that cannot be said: after a reconnect the broker
    /// counts from zero again and the client does not, so they would not end at the same message.
    pub(crate) async fn end_after(&mut self, messages: u64) -> bool {
        match self {
            Self::Nats(nats) if nats.connects == connects(&nats.client) => {
                nats.subscriber.unsubscribe_after(messages).await.is_ok()
            }
            Self::Nats(_) => false,
            Self::Memory(memory) => {
                memory.drain();
                true
            }
        }
    }

    /// Ends once what has arrived is delivered. A message that crosses the line meanwhile may be lost: the client
    /// forgets the subscription before the broker has answered.
    pub(crate) async fn drain(&mut self) {
        match self {
            // An error is a closed connection: the stream ends too.
            Self::Nats(nats) => drop(nats.subscriber.drain().await),
            Self::Memory(memory) => memory.drain(),
        }
    }
}

impl Stream for Subscription {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        match self.get_mut() {
            Self::Nats(nats) => nats.subscriber.poll_next_unpin(cx),
            Self::Memory(memory) => memory.poll_next(cx),
        }
    }
}
