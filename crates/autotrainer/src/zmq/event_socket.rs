//! The event channel's connecting side. spec: autotrainer 2.2

use bytes::Bytes;
use omq_tokio::{Error, Socket, SocketType};

use super::connections::ConnectionEvents;
use super::error::ZmqError;
use super::frames;
use super::options::SocketOptions;
use crate::topic::Topic;

/// A SUB socket. It connects again by itself, and subscribes again then.
#[derive(Debug)]
pub struct EventSocket {
    socket: Socket,
}

impl EventSocket {
    /// A socket that is not connected yet. To be called inside a Tokio runtime.
    ///
    /// # Errors
    /// If the options are not valid.
    pub fn new(options: &SocketOptions) -> Result<Self, ZmqError> {
        let socket = Socket::try_new(SocketType::Sub, options.for_library())?;
        Ok(Self { socket })
    }

    /// Connects to `tcp://host:port`, now and whenever the connection is lost.
    ///
    /// # Errors
    /// If the endpoint is not valid; that nobody listens is no error.
    pub async fn connect(&self, endpoint: &str) -> Result<(), ZmqError> {
        Ok(self.socket.connect(endpoint).await?)
    }

    /// Subscribes; [`Topic::ANY`] to everything.
    ///
    /// # Errors
    /// If the socket is closed.
    pub async fn subscribe(&self, topic: Topic) -> Result<(), ZmqError> {
        self.subscribe_to(&topic.subscription_prefix()).await
    }

    /// Cancels one subscription.
    ///
    /// # Errors
    /// If the socket is closed.
    pub async fn unsubscribe(&self, topic: Topic) -> Result<(), ZmqError> {
        self.unsubscribe_from(&topic.subscription_prefix()).await
    }

    /// Subscribes to the topics whose frame starts so.
    ///
    /// # Errors
    /// If the socket is closed.
    pub async fn subscribe_to(&self, prefix: &[u8]) -> Result<(), ZmqError> {
        Ok(self.socket.subscribe(prefix.to_vec()).await?)
    }

    /// Cancels one such subscription.
    ///
    /// # Errors
    /// If the socket is closed.
    pub async fn unsubscribe_from(&self, prefix: &[u8]) -> Result<(), ZmqError> {
        Ok(self.socket.unsubscribe(prefix.to_vec()).await?)
    }

    /// As [`Self::receive`], but only what has come in already.
    ///
    /// # Errors
    /// If the socket is closed.
    pub fn try_receive(&self) -> Result<Option<Vec<Bytes>>, ZmqError> {
        match self.socket.try_recv() {
            Ok(message) => Ok(Some(frames(&message))),
            Err(Error::WouldBlock) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The frames of the next message, well-formed or not. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// If the socket is closed.
    pub async fn receive(&self) -> Result<Vec<Bytes>, ZmqError> {
        Ok(frames(&self.socket.recv().await?))
    }

    /// What becomes of its connections from now on.
    #[must_use]
    pub fn events(&self) -> ConnectionEvents {
        ConnectionEvents::of(&self.socket)
    }

    /// Closes it. If the future is dropped, it closes in the background.
    pub async fn close(self) {
        // An error says that it is closed already.
        let _ = self.socket.close().await;
    }
}
