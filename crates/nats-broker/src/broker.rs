//! A running broker.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::error::StartError;
use crate::limits::Limits;
use crate::server::{Auth, Shared, accept_until_stopped, keep_until_stopped};
use crate::stats::{CloseReason, Stats};

/// A broker that listens until it is shut down or dropped.
#[derive(Debug)]
pub struct Broker {
    shared: Arc<Shared>,
}

/// How a broker is to be.
#[derive(Debug, Clone)]
pub struct Builder {
    address: SocketAddr,
    name: Option<String>,
    auth: Auth,
    limits: Limits,
    allow_non_loopback: bool,
}

impl Broker {
    /// A broker on a free port of `127.0.0.1`, open to every local program, unless told otherwise.
    #[must_use]
    pub fn builder() -> Builder {
        Builder {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            name: None,
            auth: Auth::Open,
            limits: Limits::default(),
            allow_non_loopback: false,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.shared.address
    }

    /// Where it listens, for clients; without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.shared.address)
    }

    /// What it counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.snapshot()
    }

    /// Tells clients that the broker is about to end (`INFO` with `ldm`), so that they drain or go elsewhere. Nothing
    /// else changes; [`Broker::shutdown`] ends it.
    pub fn lame_duck(&self) {
        self.shared.lame_duck();
    }

    /// Ends all connections at once, as a fault of the network would; clients may connect again.
    pub fn drop_connections(&self) {
        self.shared.close_all(CloseReason::Dropped);
    }

    /// Ends all connections and waits until nothing of the broker runs; its port is free then.
    ///
    /// Dropping the future ends the broker all the same, without the wait.
    pub async fn shutdown(self) {
        self.stop();
        self.shared.tasks.wait().await;
    }

    fn stop(&self) {
        self.shared.stopped.cancel();
        self.shared.tasks.close();
        self.shared.close_all(CloseReason::Shutdown);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Builder {
    /// Listens here; port 0 takes a free one.
    #[must_use]
    pub fn listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.address = address.into();
        self
    }

    /// What `INFO` calls it. Default: its id.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Clients must send these. Replaces what was set before.
    #[must_use]
    pub fn user_password(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.auth = Auth::UserPassword {
            user: user.into(),
            password: password.into(),
        };
        self
    }

    /// Clients must send this. Replaces what was set before.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.auth = Auth::Token(token.into());
        self
    }

    /// Bounds other than the default ones.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Lets it listen where other machines can reach it. There is no TLS: credentials and messages can be read by
    /// anybody in between.
    #[must_use]
    pub fn allow_non_loopback(mut self, allow: bool) -> Self {
        self.allow_non_loopback = allow;
        self
    }

    /// Listens. Connections are served by tasks of the current Tokio runtime.
    ///
    /// Dropping the future starts nothing.
    ///
    /// # Errors
    /// The address or the limits do not fit.
    pub async fn start(self) -> Result<Broker, StartError> {
        if !self.allow_non_loopback && !self.address.ip().is_loopback() {
            return Err(StartError::NotLoopback(self.address));
        }
        if let Some(problem) = self.limits.problem() {
            return Err(StartError::Limits(problem));
        }
        if self.auth.has_empty() {
            return Err(StartError::EmptyCredentials);
        }
        let listen_error = |source| StartError::Listen {
            address: self.address,
            source,
        };
        let listener = TcpListener::bind(self.address)
            .await
            .map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let shared = Arc::new(Shared::new(self.name, address, self.auth, self.limits));
        shared
            .tasks
            .spawn(accept_until_stopped(Arc::clone(&shared), listener));
        shared.tasks.spawn(keep_until_stopped(Arc::clone(&shared)));
        Ok(Broker { shared })
    }
}
