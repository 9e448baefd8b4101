//! The command channel's bound side. spec: autotrainer 16.1

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use omq_tokio::{Error, Message, SocketType, TrySendError};
use thiserror::Error as ThisError;

use super::connections::{ConnectionCounts, ConnectionEvents};
use super::error::ZmqError;
use super::frames;
use super::listener::Listener;
use super::options::SocketOptions;

/// A ROUTER socket that answers REQ and DEALER sockets alike, in any order, and cannot get stuck.
#[derive(Debug)]
pub struct CommandSocket {
    listener: Listener,
    undelimited: AtomicU64,
}

/// One message of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Where the reply goes.
    pub envelope: Envelope,
    /// The frames behind the empty one.
    pub frames: Vec<Bytes>,
}

/// The frames before the message, up to and including the empty one; a reply starts with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope(Vec<Bytes>);

impl Envelope {
    /// Tells the socket's peers apart. A peer may have chosen it.
    #[must_use]
    pub fn peer(&self) -> &Bytes {
        // `receive` makes envelopes of at least two frames.
        &self.0[0]
    }
}

/// Why a reply went nowhere. Neither is an error of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ThisError)]
pub enum ReplyError {
    /// The client is gone.
    #[error("the client is gone")]
    Gone,
    /// The client does not read its replies.
    #[error("the client does not read its replies")]
    NotReading,
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

impl CommandSocket {
    /// A socket that is not bound yet. To be called inside a Tokio runtime.
    ///
    /// # Errors
    /// If the options are not valid.
    pub fn new(options: &SocketOptions) -> Result<Self, ZmqError> {
        Ok(Self {
            listener: Listener::new(SocketType::Router, options)?,
            undelimited: AtomicU64::new(0),
        })
    }

    /// Listens here too; port 0 is any, and what it became is returned. If the future is dropped, it may listen or not.
    ///
    /// # Errors
    /// If the address cannot be had.
    pub async fn bind(&self, address: SocketAddr) -> Result<SocketAddr, ZmqError> {
        self.listener.bind(address).await
    }

    /// The next message that can be answered. Messages without an empty frame are dropped and counted, as REP does.
    /// Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// If the socket is closed.
    pub async fn receive(&self) -> Result<Incoming, ZmqError> {
        loop {
            let message = self.listener.socket.recv().await?;
            if let Some(incoming) = self.split(&message) {
                return Ok(incoming);
            }
        }
    }

    /// As [`Self::receive`], but only what has come in already.
    ///
    /// # Errors
    /// If the socket is closed.
    pub fn try_receive(&self) -> Result<Option<Incoming>, ZmqError> {
        loop {
            match self.listener.socket.try_recv() {
                Ok(message) => {
                    if let Some(incoming) = self.split(&message) {
                        return Ok(Some(incoming));
                    }
                }
                Err(Error::WouldBlock) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn split(&self, message: &Message) -> Option<Incoming> {
        let mut envelope = frames(message);
        let is_delimiter = |(place, frame): (usize, &Bytes)| place > 0 && frame.is_empty();
        let Some(delimiter) = envelope.iter().enumerate().position(is_delimiter) else {
            self.undelimited.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let frames = envelope.split_off(delimiter + 1);
        Some(Incoming {
            envelope: Envelope(envelope),
            frames,
        })
    }

    /// Hands the reply to the transport; never waits.
    ///
    /// # Errors
    /// If nobody will get it.
    pub fn reply(&self, envelope: Envelope, payload: Bytes) -> Result<(), ReplyError> {
        let frames = envelope.0.into_iter().chain([payload]);
        match self.listener.socket.try_send(Message::multipart(frames)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(ReplyError::NotReading),
            Err(TrySendError::Closed | TrySendError::Error(Error::Closed)) => {
                Err(ReplyError::Closed)
            }
            Err(TrySendError::Error(_)) => Err(ReplyError::Gone),
        }
    }

    /// Messages without an empty frame.
    #[must_use]
    pub fn undelimited(&self) -> u64 {
        self.undelimited.load(Ordering::Relaxed)
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

    /// Hands over the replies that are queued for at most this time, then closes; the ports are free afterwards. If the
    /// future is dropped, it closes in the background.
    pub async fn close(&self, linger: Duration) {
        self.listener.close(linger).await;
    }
}
