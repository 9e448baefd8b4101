//! The event channel's bound side. spec: autotrainer 2

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use omq_tokio::{Message, SocketType, TrySendError};

use super::connections::{ConnectionCounts, ConnectionEvents};
use super::error::{ZmqError, ZmqErrorKind};
use super::listener::Listener;
use super::options::SocketOptions;
use crate::topic::Topic;

/// A PUB socket.
#[derive(Debug)]
pub struct Publisher {
    listener: Listener,
    published: AtomicU64,
}

impl Publisher {
    /// A socket that is not bound yet. To be called inside a Tokio runtime.
    ///
    /// # Errors
    /// If the options are not valid.
    pub fn new(options: &SocketOptions) -> Result<Self, ZmqError> {
        Ok(Self {
            listener: Listener::new(SocketType::Pub, options)?,
            published: AtomicU64::new(0),
        })
    }

    /// Listens here too; port 0 is any, and what it became is returned. If the future is dropped, it may listen or not.
    ///
    /// # Errors
    /// If the address cannot be had.
    pub async fn bind(&self, address: SocketAddr) -> Result<SocketAddr, ZmqError> {
        self.listener.bind(address).await
    }

    /// Sends topic and payload as one unit to everyone who subscribed. Never waits for a subscriber: for one that is too
    /// slow the message is lost beyond the high-water mark. If the future is dropped, nothing was sent.
    ///
    /// # Errors
    /// If the socket is closed.
    pub async fn send(&self, topic: Topic, payload: Bytes) -> Result<(), ZmqError> {
        let topic = topic_frame(topic);
        let mut message = Message::multipart([topic, payload]);
        loop {
            match self.listener.socket.try_send(message) {
                Ok(()) => break,
                // The library's own stage is full, which it drains whatever the subscribers do.
                Err(TrySendError::Full(returned)) => message = returned,
                Err(TrySendError::Closed) => return Err(ZmqError::of_kind(ZmqErrorKind::Closed)),
                Err(TrySendError::Error(error)) => return Err(error.into()),
            }
            self.listener.socket.wait_send_ready().await;
        }
        self.published.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Messages that were sent.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// What has become of its connections.
    #[must_use]
    pub fn counts(&self) -> ConnectionCounts {
        self.listener.counts()
    }

    /// What becomes of its connections from now on.
    #[must_use]
    pub fn events(&self) -> ConnectionEvents {
        self.listener.events()
    }

    /// Hands over what is queued for at most this time, then closes; the ports are free afterwards. If the future is
    /// dropped, it closes in the background.
    pub async fn close(&self, linger: Duration) {
        self.listener.close(linger).await;
    }
}

/// The frames of the topics that come often need no memory of their own.
fn topic_frame(topic: Topic) -> Bytes {
    match topic {
        Topic::EVENT => Bytes::from_static(const { &Topic::EVENT.to_frame() }),
        Topic::PROPERTY_CHANGE => Bytes::from_static(const { &Topic::PROPERTY_CHANGE.to_frame() }),
        Topic::COMMAND_RESULT => Bytes::from_static(const { &Topic::COMMAND_RESULT.to_frame() }),
        _ => Bytes::copy_from_slice(&topic.to_frame()),
    }
}
