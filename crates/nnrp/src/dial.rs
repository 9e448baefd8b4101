//! From an endpoint to a link. spec: nnrp-session 1.1, 2.5; nnrp-design "Endpoints and transports"

mod error;
mod race;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use nnrp_wire::TransportId;
use quinn::crypto::rustls::QuicClientConfig;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

pub use self::error::{DialError, HandshakeFault};
use self::race::{Attempt, first_of};
use crate::endpoint::Endpoint;
use crate::link::{Link, QuicOptions};
use crate::tls::{ALPN_TCP, ClientTls, TlsError};

/// Which transport a client is to use. spec: nnrp-session 1.1
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DialPolicy {
    /// QUIC has a head start over TCP; whichever is connected first is used.
    #[default]
    Auto,
    /// The same, as QUIC is the better one.
    PreferQuic,
    /// TCP has the head start.
    PreferTcp,
    /// QUIC, or nothing.
    ForceQuic,
    /// TCP, or nothing.
    ForceTcp,
}

/// How to connect.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DialOptions {
    /// Whom to trust; what browsers trust unless set.
    pub tls: ClientTls,
    /// Settings of QUIC.
    pub quic: QuicOptions,
    /// How much later the transport that comes second is tried, and each further address of a name: 250 ms unless set. One
    /// that has failed is followed at once.
    pub head_start: Duration,
}

impl Default for DialOptions {
    fn default() -> Self {
        Self {
            tls: ClientTls::default(),
            quic: QuicOptions::default(),
            head_start: Duration::from_millis(250),
        }
    }
}

impl DialOptions {
    /// The defaults, with this trust.
    #[must_use]
    pub fn tls(tls: ClientTls) -> Self {
        Self {
            tls,
            ..Self::default()
        }
    }
}

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// Makes links. All clones are the same one; its QUIC connections share a UDP socket for each address family.
#[derive(Debug, Clone)]
pub struct Dialer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: DialOptions,
    tcp: OnceLock<Arc<rustls::ClientConfig>>,
    quic: OnceLock<quinn::ClientConfig>,
    sockets: Mutex<Sockets>,
}

/// Made when they are needed first.
#[derive(Debug, Default)]
struct Sockets {
    v4: Option<quinn::Endpoint>,
    v6: Option<quinn::Endpoint>,
}

impl Dialer {
    /// Nothing is opened yet.
    #[must_use]
    pub fn new(options: DialOptions) -> Self {
        Self {
            shared: Arc::new(Shared {
                options,
                tcp: OnceLock::new(),
                quic: OnceLock::new(),
                sockets: Mutex::default(),
            }),
        }
    }

    /// Connects over one transport. What has begun ends if it is dropped.
    ///
    /// # Errors
    /// See [`DialError`]. The deadline includes finding the addresses, and all handshakes.
    pub async fn dial(
        &self,
        endpoint: &Endpoint,
        transport: TransportId,
        deadline: Instant,
    ) -> Result<Link, DialError> {
        let attempt = self.attempt(endpoint, transport);
        // Boxed, as callers would hold the handshakes' state otherwise.
        let dialed = timeout_at(deadline, attempt.boxed()).await;
        dialed.unwrap_or_else(|_| Err(DialError::timeout(endpoint, transport)))
    }

    /// Connects as the policy says. What has begun ends if it is dropped, and so does what comes second in the end.
    ///
    /// # Errors
    /// See [`DialError`]; [`DialError::Both`] if there were two ways.
    pub async fn dial_by_policy(
        &self,
        endpoint: &Endpoint,
        policy: DialPolicy,
        deadline: Instant,
    ) -> Result<Link, DialError> {
        let (first, second) = match policy {
            DialPolicy::ForceQuic => (TransportId::Quic, None),
            DialPolicy::ForceTcp => (TransportId::Tcp, None),
            DialPolicy::PreferTcp => (TransportId::Tcp, Some(TransportId::Quic)),
            DialPolicy::Auto | DialPolicy::PreferQuic => {
                (TransportId::Quic, Some(TransportId::Tcp))
            }
        };
        match second {
            Some(second) if endpoint.port(TransportId::Quic).is_some() => {
                let attempts = [first, second].map(|transport| -> Attempt<'_, Link, DialError> {
                    self.dial(endpoint, transport, deadline).boxed()
                });
                let head_start = self.shared.options.head_start;
                let dialed = first_of(attempts.into(), head_start).await;
                dialed.map_err(|errors| DialError::both(endpoint, errors))
            }
            Some(_) => self.dial(endpoint, TransportId::Tcp, deadline).await,
            None => self.dial(endpoint, first, deadline).await,
        }
    }

    /// Waits until the ends of all closed QUIC connections are told, and none is left. What ends right after it has closed a
    /// connection has to wait for this, or the other side learns of it by its idle timeout only. Nothing happens if it is
    /// dropped.
    pub async fn idle(&self) {
        let endpoints = {
            let sockets = self.shared.sockets.lock();
            let sockets = sockets.unwrap_or_else(PoisonError::into_inner);
            [sockets.v4.clone(), sockets.v6.clone()]
        };
        for endpoint in endpoints.into_iter().flatten() {
            endpoint.wait_idle().await;
        }
    }

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        transport: TransportId,
    ) -> Result<Link, DialError> {
        let addresses = self.addresses(endpoint, transport).await?;
        let attempts = addresses
            .into_iter()
            .map(|address| -> Attempt<'_, Link, DialError> {
                if transport == TransportId::Quic {
                    self.dial_quic(endpoint, address).boxed()
                } else {
                    self.dial_tcp(endpoint, address).boxed()
                }
            });
        let dialed = first_of(attempts.collect(), self.shared.options.head_start).await;
        // The first address is the one that a name is expected to have.
        dialed.map_err(|errors| DialError::first(endpoint, errors))
    }

    async fn addresses(
        &self,
        endpoint: &Endpoint,
        transport: TransportId,
    ) -> Result<Vec<SocketAddr>, DialError> {
        let Some(port) = endpoint.port(transport) else {
            return Err(DialError::NoSuchTransport {
                endpoint: endpoint.clone(),
                transport,
            });
        };
        let found = lookup_host((endpoint.host(), port)).await;
        let found = found.map_err(|source| DialError::Name {
            host: endpoint.host().into(),
            source,
        })?;
        let addresses = found.take(ADDRESSES_MAX).collect::<Vec<_>>();
        let is_encrypted = endpoint.is_tls() || transport == TransportId::Quic;
        let is_away = |address: &&SocketAddr| !address.ip().to_canonical().is_loopback();
        let away = addresses.iter().find(is_away);
        match away {
            Some(address) if is_encrypted && self.shared.options.tls.is_loopback_only() => {
                Err(DialError::Insecure { address: *address })
            }
            Some(_) | None => Ok(addresses),
        }
    }

    async fn dial_tcp(&self, endpoint: &Endpoint, address: SocketAddr) -> Result<Link, DialError> {
        let failed = |source| DialError::connection(TransportId::Tcp, address, source);
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        if !endpoint.is_tls() {
            return Ok(Link::from_tcp(stream, address));
        }
        let connector = TlsConnector::from(self.shared.tcp_config()?);
        let name = self.shared.options.tls.server_name(endpoint.host());
        let name = name.map_err(DialError::Tls)?;
        let stream = connector.connect(name, stream).await.map_err(failed)?;
        if stream.get_ref().1.alpn_protocol() != Some(ALPN_TCP) {
            return Err(DialError::NotNnrp { address });
        }
        Ok(Link::from_tls(stream.into(), address))
    }

    async fn dial_quic(&self, endpoint: &Endpoint, address: SocketAddr) -> Result<Link, DialError> {
        let name = self.shared.options.tls.server_name(endpoint.host());
        let name = name.map_err(DialError::Tls)?;
        let config = self.shared.quic_config()?;
        let connecting = self.shared.connect(config, address, &name.to_str())?;
        let connected = connecting.await;
        let connection = connected.map_err(|error| DialError::quic(address, error))?;
        Ok(Link::from_quic(&connection, &self.shared.options.quic))
    }
}

impl Shared {
    fn tcp_config(&self) -> Result<Arc<rustls::ClientConfig>, DialError> {
        if let Some(config) = self.tcp.get() {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(self.options.tls.tcp_config().map_err(DialError::Tls)?);
        Ok(Arc::clone(self.tcp.get_or_init(|| config)))
    }

    fn quic_config(&self) -> Result<quinn::ClientConfig, DialError> {
        if let Some(config) = self.quic.get() {
            return Ok(config.clone());
        }
        let tls = self.options.tls.quic_config().map_err(DialError::Tls)?;
        let tls = QuicClientConfig::try_from(tls)
            .map_err(|error| rustls::Error::General(error.to_string()))
            .map_err(|error| DialError::Tls(TlsError::Unusable(error)))?;
        let mut config = quinn::ClientConfig::new(Arc::new(tls));
        config.transport_config(self.options.quic.transport());
        Ok(self.quic.get_or_init(|| config).clone())
    }

    fn connect(
        &self,
        config: quinn::ClientConfig,
        address: SocketAddr,
        name: &str,
    ) -> Result<quinn::Connecting, DialError> {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let (slot, any) = if address.is_ipv4() {
            (&mut sockets.v4, IpAddr::from(Ipv4Addr::UNSPECIFIED))
        } else {
            (&mut sockets.v6, IpAddr::from(Ipv6Addr::UNSPECIFIED))
        };
        let mut is_new = false;
        loop {
            let endpoint = match slot.take() {
                Some(endpoint) => endpoint,
                None => {
                    is_new = true;
                    let made = self.options.quic.endpoint((any, 0).into(), None);
                    made.map_err(|error| DialError::connection(TransportId::Quic, address, error))?
                }
            };
            match endpoint.connect_with(config.clone(), address, name) {
                // The runtime that it was made in is gone.
                Err(quinn::ConnectError::EndpointStopping) if !is_new => {}
                connecting => {
                    *slot = Some(endpoint);
                    return connecting.map_err(|error| {
                        let error = std::io::Error::other(error);
                        DialError::connection(TransportId::Quic, address, error)
                    });
                }
            }
        }
    }
}
