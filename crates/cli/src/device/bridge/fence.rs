//! Publishing so that nothing is lost when the connection to the broker breaks.
//!
//! Core NATS confirms nothing. So a message to ourselves follows each batch: when it comes back, and the connection is still
//! the one that the batch was sent on, the broker has had all of it. If not, the batch is sent again; its messages keep their
//! `Nats-Msg-Id`, by which JetStream drops the second copies.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::client::PublishErrorKind;
use async_nats::connection::State;
use async_nats::{Client, HeaderMap, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::sleep;

/// How often it is looked whether the connection is another.
const LOOK: Duration = Duration::from_millis(100);

/// A message for the broker.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) subject: String,
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
}

/// The connection to the broker is closed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed;

/// What became of a batch that the broker had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Confirmed {
    /// Those that are larger than the broker takes were not sent.
    pub(super) too_large: u64,
}

#[derive(Debug)]
pub(super) struct Fence {
    client: Client,
    inbox: String,
    marks: Subscriber,
    last_mark: u64,
}

impl Fence {
    pub(super) async fn new(client: &Client) -> Result<Self, Closed> {
        let inbox = client.new_inbox();
        let marks = client.subscribe(inbox.clone()).await.map_err(|_| Closed)?;
        Ok(Self {
            client: client.clone(),
            inbox,
            marks,
            last_mark: 0,
        })
    }

    /// Differs between fences.
    pub(super) fn id(&self) -> &str {
        self.inbox.rsplit('.').next().unwrap_or_default()
    }

    /// Returns once the broker has had all of it. If the future is dropped, it may have had any part.
    pub(super) async fn publish(&mut self, batch: &[Outgoing]) -> Result<Confirmed, Closed> {
        loop {
            self.connected().await;
            let connection = self.connection();
            let mut confirmed = Confirmed::default();
            for message in batch {
                if !self.send(message.clone()).await? {
                    confirmed.too_large += 1;
                }
            }
            if self.is_marked(connection).await? {
                return Ok(confirmed);
            }
        }
    }

    /// `false` if it is too large.
    async fn send(&self, message: Outgoing) -> Result<bool, Closed> {
        let Outgoing {
            subject,
            headers,
            payload,
        } = message;
        let sent = self.client.publish_with_headers(subject, headers, payload);
        match sent.await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => Ok(false),
            Err(_) => Err(Closed),
        }
    }

    /// Whether the mark came back on this connection.
    async fn is_marked(&mut self, connection: u64) -> Result<bool, Closed> {
        self.last_mark += 1;
        let mark = self.last_mark.to_string();
        let sent = self.client.publish(self.inbox.clone(), mark.clone().into());
        sent.await.map_err(|_| Closed)?;
        loop {
            tokio::select! {
                came = self.marks.next() => match came {
                    None => return Err(Closed),
                    Some(message) if message.payload == mark => {
                        return Ok(self.connection() == connection);
                    }
                    Some(_) => {}
                },
                () = sleep(LOOK) => if self.connection() != connection {
                    return Ok(false);
                }
            }
        }
    }

    /// Waits until there is a connection, since what is sent before is only piled up.
    async fn connected(&self) {
        while self.client.connection_state() != State::Connected {
            sleep(LOOK).await;
        }
    }

    /// Counts connections.
    fn connection(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }
}
