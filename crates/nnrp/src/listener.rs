//! From a port to links. spec: nnrp-session 1.3, 1.4, 12

mod accept;
pub(crate) mod handshakes;
mod options;
mod stats;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use self::accept::Acceptor;
pub use self::options::{ListenerOptions, TcpSecurity};
use self::stats::Counters;
pub use self::stats::ListenerStats;
use crate::link::Link;
use crate::tls::TlsError;

/// Takes TCP and QUIC connections on one port number.
///
/// Handshakes run in the background, at most so many at once and each for a limited time, so that none of them delays
/// another. When it is dropped, no more connections are taken; those that were go on.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    links: Mutex<mpsc::Receiver<Link>>,
    quic: Option<quinn::Endpoint>,
    counters: Arc<Counters>,
    closing: CancellationToken,
}

/// Why there is no listener, or no more links.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ListenerError {
    /// The address cannot be had.
    #[error(
        "{address} cannot be listened on: check that it is this machine's, that the port is free, and who may use it"
    )]
    Bind {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The options say neither TCP nor QUIC.
    #[error("there is neither TCP nor QUIC to listen for: set one of them")]
    Nothing,
    /// TLS is to be used, and there is no certificate.
    #[error("TLS needs a certificate: set one, or plain TCP alone")]
    NoCertificate,
    /// The certificate cannot be used.
    #[error("TLS cannot be used: {0}")]
    Tls(#[source] TlsError),
    /// It was closed.
    #[error("the listener was closed")]
    Closed,
}

/// Port numbers that are tried until one is free for both transports.
const PORTS_MAX: usize = 64;

impl Listener {
    /// Begins to listen. With port 0, one that is free for both transports is taken; see [`Self::local_addr`].
    ///
    /// It must be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`ListenerError`].
    pub async fn bind(options: ListenerOptions) -> Result<Self, ListenerError> {
        if options.tcp.is_none() && !options.quic {
            return Err(ListenerError::Nothing);
        }
        let (tcp, quic) = bind_both(&options).await?;
        let tcp_address = tcp.as_ref().map(TcpListener::local_addr);
        let quic_address = quic.as_ref().map(quinn::Endpoint::local_addr);
        let address = tcp_address.or(quic_address).unwrap_or(Ok(options.address));
        let address = address.map_err(|source| ListenerError::Bind {
            address: options.address,
            source,
        })?;
        let (sender, links) = mpsc::channel(options.backlog_max.max(1));
        let counters = Arc::new(Counters::new(options.connections_max));
        let closing = CancellationToken::new();
        let acceptor = Acceptor::new(&options, sender, Arc::clone(&counters), closing.clone())?;
        acceptor.spawn(tcp, quic.clone());
        Ok(Self {
            address,
            links: Mutex::new(links),
            quic,
            counters,
            closing,
        })
    }

    /// Where it listens, with the port that was taken, for both transports.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The next connection whose handshake is done. None is lost if it is dropped.
    ///
    /// # Errors
    /// [`ListenerError::Closed`], once all that came before was taken.
    pub async fn accept(&self) -> Result<Link, ListenerError> {
        let next = self.links.lock().await.recv().await;
        next.ok_or(ListenerError::Closed)
    }

    /// Takes no more connections. Those that are there go on; those that were not accepted yet still can be.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Waits until the ends of all closed QUIC connections are told, and none is left; see [`Dialer::idle`](crate::Dialer::idle).
    /// Nothing happens if it is dropped.
    pub async fn idle(&self) {
        if let Some(quic) = &self.quic {
            quic.wait_idle().await;
        }
    }

    /// What has happened until now.
    #[must_use]
    pub fn stats(&self) -> ListenerStats {
        self.counters.snapshot()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

type Sockets = (Option<TcpListener>, Option<quinn::Endpoint>);

async fn bind_both(options: &ListenerOptions) -> Result<Sockets, ListenerError> {
    let quic_config = if options.quic {
        Some(options.quic_config()?)
    } else {
        None
    };
    let mut attempts = PORTS_MAX;
    loop {
        let bound = bind_once(options, quic_config.clone()).await;
        attempts -= 1;
        match bound {
            Err((_, error)) if is_taken_by_chance(options, &error) && attempts > 0 => {}
            bound => {
                return bound.map_err(|(address, source)| ListenerError::Bind { address, source });
            }
        }
    }
}

/// The port that was free for TCP is not for UDP.
fn is_taken_by_chance(options: &ListenerOptions, error: &io::Error) -> bool {
    options.address.port() == 0 && error.kind() == io::ErrorKind::AddrInUse
}

async fn bind_once(
    options: &ListenerOptions,
    quic_config: Option<quinn::ServerConfig>,
) -> Result<Sockets, (SocketAddr, io::Error)> {
    let mut address = options.address;
    let tcp = match options.tcp {
        Some(_) => {
            let tcp = TcpListener::bind(address).await;
            let tcp = tcp.map_err(|error| (address, error))?;
            address = tcp.local_addr().map_err(|error| (address, error))?;
            Some(tcp)
        }
        None => None,
    };
    let quic = match quic_config {
        Some(config) => {
            let endpoint = options.quic_options.endpoint(address, Some(config));
            Some(endpoint.map_err(|error| (address, error))?)
        }
        None => None,
    };
    Ok((tcp, quic))
}
