//! The command channel's connecting side. spec: autotrainer 7.5

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use omq_tokio::{Error, Message, Socket, SocketType, TrySendError};

use super::connections::ConnectionEvents;
use super::error::{ZmqError, ZmqErrorKind};
use super::frames;
use super::options::SocketOptions;

/// A DEALER socket that sends an empty frame first, as REQ does, but can send again before a reply has come.
#[derive(Debug)]
pub struct RequestSocket {
    socket: Socket,
    undelimited: AtomicU64,
}

impl RequestSocket {
    /// A socket that is not connected yet. To be called inside a Tokio runtime.
    ///
    /// # Errors
    /// If the options are not valid.
    pub fn new(options: &SocketOptions) -> Result<Self, ZmqError> {
        let socket = Socket::try_new(SocketType::Dealer, options.for_library())?;
        Ok(Self {
            socket,
            undelimited: AtomicU64::new(0),
        })
    }

    /// Connects to `tcp://host:port`, now and whenever the connection is lost.
    ///
    /// # Errors
    /// If the endpoint is not valid; that nobody listens is no error.
    pub async fn connect(&self, endpoint: &str) -> Result<(), ZmqError> {
        Ok(self.socket.connect(endpoint).await?)
    }

    /// Sends one request; waits while the high-water mark is reached. If the future is dropped, it may be sent or not.
    ///
    /// # Errors
    /// If the socket is closed.
    pub async fn send(&self, payload: Bytes) -> Result<(), ZmqError> {
        self.send_frames(&[payload]).await
    }

    /// As [`Self::send`], but never waits: `false` if there is no room for it now.
    ///
    /// # Errors
    /// If the socket is closed.
    pub fn try_send(&self, payload: Bytes) -> Result<bool, ZmqError> {
        match self
            .socket
            .try_send(Message::multipart([Bytes::new(), payload]))
        {
            Ok(()) => Ok(true),
            Err(TrySendError::Full(_)) => Ok(false),
            Err(TrySendError::Closed) => Err(ZmqError::of_kind(ZmqErrorKind::Closed)),
            Err(TrySendError::Error(error)) => Err(error.into()),
        }
    }

    /// Waits until there may be room for a request.
    pub async fn send_ready(&self) {
        self.socket.wait_send_ready().await;
    }

    /// Sends a request of any number of frames, which services cannot read (Q16).
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_frames(&self, frames: &[Bytes]) -> Result<(), ZmqError> {
        let delimited = [Bytes::new()].into_iter().chain(frames.iter().cloned());
        Ok(self.socket.send(Message::multipart(delimited)).await?)
    }

    /// The frames of the next reply. Replies without an empty frame are dropped and counted. Nothing is lost when the
    /// future is dropped.
    ///
    /// # Errors
    /// If the socket is closed.
    pub async fn receive(&self) -> Result<Vec<Bytes>, ZmqError> {
        loop {
            let message = self.socket.recv().await?;
            if let Some(frames) = self.split(&message) {
                return Ok(frames);
            }
        }
    }

    /// As [`Self::receive`], but only what has come in already.
    ///
    /// # Errors
    /// If the socket is closed.
    pub fn try_receive(&self) -> Result<Option<Vec<Bytes>>, ZmqError> {
        loop {
            match self.socket.try_recv() {
                Ok(message) => {
                    if let Some(frames) = self.split(&message) {
                        return Ok(Some(frames));
                    }
                }
                Err(Error::WouldBlock) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn split(&self, message: &Message) -> Option<Vec<Bytes>> {
        let mut envelope = frames(message);
        let Some(delimiter) = envelope.iter().position(Bytes::is_empty) else {
            self.undelimited.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        Some(envelope.split_off(delimiter + 1))
    }

    /// Replies without an empty frame.
    #[must_use]
    pub fn undelimited(&self) -> u64 {
        self.undelimited.load(Ordering::Relaxed)
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
