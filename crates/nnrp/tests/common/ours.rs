//! Our server and our client, on the loopback interface.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use nnrp::client::{ConnectError, ConnectOptions};
use nnrp::server::{Server, ServerOptions};
use nnrp::{
    ClientTls, DialOptions, Dialer, Endpoint, Link, Listener, ListenerOptions, QuicOptions,
    ServerTls, TransportId,
};
use nodewire_testkit::{NnrpTransport, SelfSignedCertificate};
use tokio::time::Instant;

use crate::raw::{LIMIT, soon};

/// A server that listens on TCP and QUIC.
#[derive(Debug)]
pub(crate) struct OurServer {
    pub(crate) server: Server,
    pub(crate) certificate: SelfSignedCertificate,
    pub(crate) listener: Arc<Listener>,
}

impl OurServer {
    pub(crate) async fn start(options: ServerOptions) -> Self {
        Self::start_with(options, QuicOptions::default()).await
    }

    pub(crate) async fn start_with(options: ServerOptions, quic: QuicOptions) -> Self {
        let certificate = SelfSignedCertificate::new().unwrap();
        let tls = ServerTls::from_files(certificate.certificate_path(), certificate.key_path());
        let address = ([127, 0, 0, 1], 0).into();
        let mut listening = ListenerOptions::plain_and_quic(address, tls.unwrap());
        listening.quic_options = quic;
        listening.handshake_timeout = LIMIT;
        let listener = Arc::new(Listener::bind(listening).await.unwrap());
        let server = Server::new(options);
        let (accepting, links) = (server.clone(), Arc::clone(&listener));
        tokio::spawn(async move {
            while let Ok(link) = links.accept().await {
                accepting.adopt_link(link);
            }
        });
        Self {
            server,
            certificate,
            listener,
        }
    }

    /// On both transports.
    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().port()
    }

    /// The next session, which its client has begun or is about to begin.
    pub(crate) async fn session(&self) -> nnrp::server::Session {
        soon("a session", self.server.next_session()).await.unwrap()
    }
}

/// Where a server has plain TCP and QUIC.
pub(crate) fn endpoint(tcp_port: u16, quic_port: u16) -> Endpoint {
    let plain = Endpoint::plain("127.0.0.1", tcp_port).unwrap();
    plain.with_quic_port(NonZeroU16::new(quic_port).unwrap())
}

/// Trusts this certificate only.
pub(crate) fn dialer(certificate: &SelfSignedCertificate) -> Dialer {
    dialer_with(certificate, QuicOptions::default())
}

pub(crate) fn dialer_with(certificate: &SelfSignedCertificate, quic: QuicOptions) -> Dialer {
    let tls = ClientTls::with_authority_file(certificate.certificate_path()).unwrap();
    let mut options = DialOptions::tls(tls);
    options.quic = quic;
    Dialer::new(options)
}

pub(crate) const fn transport_id(transport: NnrpTransport) -> TransportId {
    match transport {
        NnrpTransport::Tcp => TransportId::Tcp,
        NnrpTransport::Quic => TransportId::Quic,
    }
}

/// A connection to a server on this port.
pub(crate) async fn link(
    transport: NnrpTransport,
    port: u16,
    certificate: &SelfSignedCertificate,
) -> Link {
    let deadline = Instant::now() + LIMIT;
    let dialer = dialer(certificate);
    let endpoint = endpoint(port, port);
    let dialed = dialer.dial(&endpoint, transport_id(transport), deadline);
    dialed.await.unwrap()
}

/// Times that a busy machine does not reach.
pub(crate) fn patient() -> ConnectOptions {
    let mut options = ConnectOptions::default().with_connect_timeout(LIMIT);
    options.session.answer_timeout = LIMIT;
    options.session.migration_timeout = LIMIT;
    options.session.cancel_timeout = LIMIT;
    options.session.drain_timeout = LIMIT;
    options.session.stranded_timeout = LIMIT;
    options.session.close_grace = Duration::from_millis(100);
    options
}

/// A session over a connection to this port.
pub(crate) async fn session_over(
    transport: NnrpTransport,
    port: u16,
    certificate: &SelfSignedCertificate,
    options: ConnectOptions,
) -> Result<nnrp::client::Session, ConnectError> {
    let link = link(transport, port, certificate).await;
    nnrp::client::Session::over(link, options).await
}
