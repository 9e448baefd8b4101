//! Who gets a session: what a hello says, and what the application answers.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use nnrp_wire::metadata::ServerHelloAckMetadata;
use nnrp_wire::session::HelloOffer;
use nnrp_wire::{ControlExtension, ErrorCode, TransportId};

/// Who a client is, in the application's words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(pub String);

/// A client asks for a session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Hello {
    /// What it can and who it is, and what both sides can.
    pub offer: HelloOffer,
    /// Where it is, if that is known.
    pub remote: Option<SocketAddr>,
    /// What it has come by.
    pub transport: TransportId,
    /// Certificates that it has shown, as DER, its own first; TLS has verified that they are its.
    pub certificates: Vec<Bytes>,
}

impl Hello {
    /// The bytes by which the client says who it is; clients of the reference put the model there that they want.
    #[must_use]
    pub fn auth(&self) -> &[u8] {
        &self.offer.hello.auth
    }

    /// Gives it a session, with what both sides can. What is answered can be changed.
    #[must_use]
    pub fn accept(&self) -> Acceptance {
        Acceptance {
            session_id: None,
            model: String::new(),
            identity: None,
            ack: self.offer.ack,
            extensions: Vec::new(),
        }
    }
}

/// A client gets a session.
#[derive(Debug, Clone)]
pub struct Acceptance {
    /// The session's id, in place of the one that the client asks for. If it is taken or 0, another is given.
    pub session_id: Option<u32>,
    /// The model that is active; empty says nothing.
    pub model: String,
    /// Who the client is.
    pub identity: Option<Identity>,
    /// What holds; its session id is not looked at.
    pub ack: ServerHelloAckMetadata,
    /// What holds beyond that. The answers to the client's own extensions are added.
    pub extensions: Vec<ControlExtension>,
}

/// A client gets no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub code: ErrorCode,
    /// In words.
    pub text: String,
    /// When to try again, in ms; 0 says nothing.
    pub retry_after_ms: u32,
}

impl Refusal {
    /// It has not shown who it is.
    #[must_use]
    pub fn auth(text: impl Into<String>) -> Self {
        Self {
            code: ErrorCode::AuthFailed,
            text: text.into(),
            retry_after_ms: 0,
        }
    }

    /// There is too much to do.
    #[must_use]
    pub fn busy(text: impl Into<String>, retry_after_ms: u32) -> Self {
        Self {
            code: ErrorCode::ServerBusy,
            text: text.into(),
            retry_after_ms,
        }
    }
}

type Decision = Result<Acceptance, Refusal>;

/// Decides on hellos; by default, everybody gets a session. It has the hello time, and is dropped when that is over or the
/// server stops.
#[derive(Clone)]
pub struct HelloHook(Arc<dyn Fn(Hello) -> BoxFuture<'static, Decision> + Send + Sync>);

impl HelloHook {
    /// Asks this function.
    ///
    /// ```
    /// use nnrp::server::{HelloHook, Refusal};
    ///
    /// let hook = HelloHook::new(|hello| async move {
    ///     match hello.auth() {
    ///         b"secret" => Ok(hello.accept()),
    ///         _ => Err(Refusal::auth("wrong token")),
    ///     }
    /// });
    /// # drop(hook);
    /// ```
    pub fn new<F, Fut>(decide: F) -> Self
    where
        F: Fn(Hello) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Decision> + Send + 'static,
    {
        Self(Arc::new(move |hello| Box::pin(decide(hello))))
    }

    pub(super) fn decide(&self, hello: Hello) -> BoxFuture<'static, Decision> {
        (self.0)(hello)
    }
}

impl Default for HelloHook {
    fn default() -> Self {
        Self::new(|hello| std::future::ready(Ok(hello.accept())))
    }
}

impl fmt::Debug for HelloHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HelloHook").finish_non_exhaustive()
    }
}
