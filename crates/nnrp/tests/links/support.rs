//! Listeners, dialers and packets.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nnrp::tools::RawLink;
use nnrp::{
    ClientTls, DialError, DialOptions, Dialer, Endpoint, Link, Listener, ListenerOptions,
    SelfSigned, ServerTls, SplitLimits, TransportId,
};
use nnrp_wire::{Header, MessageType, Packet};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::time::{Instant, timeout};

/// Ends a test that would hang.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) const LOCALHOST: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How the two ends are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Tcp,
    Tls,
    Quic,
}

pub(crate) const WAYS: [Way; 3] = [Way::Tcp, Way::Tls, Way::Quic];

impl Way {
    pub(crate) const fn transport(self) -> TransportId {
        match self {
            Self::Tcp | Self::Tls => TransportId::Tcp,
            Self::Quic => TransportId::Quic,
        }
    }
}

/// A listener, and what it takes to connect to it.
pub(crate) struct Server {
    pub(crate) listener: Listener,
    pub(crate) made: SelfSigned,
    pub(crate) endpoint: Endpoint,
}

pub(crate) fn certificate() -> SelfSigned {
    ServerTls::self_signed(["localhost", "127.0.0.1"]).unwrap()
}

impl Server {
    pub(crate) async fn start(way: Way) -> Self {
        Self::start_with(way, |_| {}).await
    }

    pub(crate) async fn start_with(way: Way, change: impl FnOnce(&mut ListenerOptions)) -> Self {
        let made = certificate();
        let mut options = match way {
            Way::Tcp => ListenerOptions::plain(LOCALHOST),
            Way::Tls | Way::Quic => ListenerOptions::tls(LOCALHOST, made.tls.clone()),
        };
        change(&mut options);
        let listener = Listener::bind(options).await.unwrap();
        let port = listener.local_addr().port();
        let endpoint = match way {
            Way::Tcp => Endpoint::plain("127.0.0.1", port),
            Way::Tls | Way::Quic => Endpoint::tls("127.0.0.1", port),
        };
        Self {
            listener,
            made,
            endpoint: endpoint.unwrap(),
        }
    }

    pub(crate) fn dialer(&self) -> Dialer {
        dialer(&self.made)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    pub(crate) async fn accept(&self) -> Link {
        let accepted = timeout(LIMIT, self.listener.accept()).await;
        accepted.unwrap().unwrap()
    }

    /// Both ends of a new connection.
    pub(crate) async fn connect(&self, way: Way) -> (RawLink, RawLink) {
        let dialer = self.dialer();
        let (near, far) = tokio::join!(dial(&dialer, &self.endpoint, way), self.accept());
        (raw(near.unwrap()), raw(far))
    }
}

pub(crate) fn dialer(made: &SelfSigned) -> Dialer {
    let tls = ClientTls::with_authority(made.certificate_pem.as_bytes()).unwrap();
    Dialer::new(DialOptions::tls(tls))
}

pub(crate) fn soon() -> Instant {
    Instant::now() + LIMIT
}

pub(crate) async fn dial(
    dialer: &Dialer,
    endpoint: &Endpoint,
    way: Way,
) -> Result<Link, DialError> {
    dialer.dial(endpoint, way.transport(), soon()).await
}

pub(crate) fn raw(link: Link) -> RawLink {
    RawLink::new(link, SplitLimits::session(0))
}

/// A packet of a type whose metadata does not matter here.
pub(crate) fn packet(message_type: MessageType, frame_id: u32, body_bytes: usize) -> Packet {
    let header = Header {
        session_id: 1,
        frame_id,
        ..Header::new(message_type)
    };
    let metadata = Bytes::from(vec![0; message_type.metadata_bytes()]);
    let body = (0..body_bytes).map(|at| at.to_le_bytes()[0]);
    Packet::new(header, metadata, body.collect()).unwrap()
}

pub(crate) async fn next(link: &mut RawLink) -> Packet {
    timeout(LIMIT, link.next()).await.unwrap().unwrap()
}

pub(crate) async fn send(link: &mut RawLink, packet: &Packet) {
    link.writer().queue(packet);
    timeout(LIMIT, link.writer().flush())
        .await
        .unwrap()
        .unwrap();
}

/// A condition that comes true in time, unless something is wrong.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = soon();
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// TLS of a client that trusts this certificate, for ends that are not ours.
pub(crate) fn client_config(made: &SelfSigned, alpn: &[&str]) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(made.certificate_pem.as_bytes());
    roots.add(certificate.unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// A QUIC connection of an end that is not ours. The endpoint has to be kept.
pub(crate) async fn quic_client(
    server: &Server,
    alpn: &str,
) -> (
    quinn::Endpoint,
    Result<quinn::Connection, quinn::ConnectionError>,
) {
    let tls = QuicClientConfig::try_from(client_config(&server.made, &[alpn])).unwrap();
    let endpoint = quinn::Endpoint::client(LOCALHOST).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(tls));
    let connecting = endpoint.connect_with(config, server.address(), "localhost");
    let connection = connecting.unwrap().await;
    (endpoint, connection)
}
