//! What both ends of a connection are set up with: certificates, buffers, windows.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::sync::Arc;

use quinn::{Endpoint, EndpointConfig, MtuDiscoveryConfig, TokioRuntime, TransportConfig, VarInt};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use socket2::{Domain, Socket, Type};

/// What certificates are made for.
pub const SERVER_NAME: &str = "localhost";
/// As the reference calls its protocol.
const ALPN: &[u8] = b"nnrp/1";
/// Datagrams that every path takes.
pub const MTU: u16 = 1452;
/// Datagrams that loopback and paths with jumbo frames take; ten of them are one batch for the system.
pub const LARGE_MTU: u16 = 6 << 10;
/// The system gives what it allows (`rmem_max`).
const UDP_BUFFER_BYTES: usize = 8 << 20;
const STREAM_WINDOW_BYTES: u32 = 16 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;
/// Room for them is made when a connection begins.
const STREAMS_MAX: u32 = 256;

/// Writes a certificate of a server of this machine into a folder, in both formats.
///
/// # Errors
/// The folder cannot be written to.
pub fn write_certificate(folder: &Path) -> anyhow::Result<()> {
    let made = rcgen::generate_simple_self_signed(vec![SERVER_NAME.to_owned()])?;
    fs::write(folder.join("cert.der"), made.cert.der())?;
    fs::write(folder.join("cert.pem"), made.cert.pem())?;
    fs::write(folder.join("key.der"), made.signing_key.serialize_der())?;
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem())?;
    Ok(())
}

/// A server's end of TLS.
///
/// # Errors
/// The folder has no certificate.
pub fn tls_server(folder: &Path) -> anyhow::Result<ServerConfig> {
    let chain = vec![CertificateDer::from(fs::read(folder.join("cert.der"))?)];
    let key = PrivatePkcs8KeyDer::from(fs::read(folder.join("key.der"))?);
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key.into())?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

/// A client's end of TLS; trusts the folder's certificate only.
///
/// # Errors
/// The folder has no certificate.
pub fn tls_client(folder: &Path) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(fs::read(folder.join("cert.der"))?))?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A QUIC endpoint that listens on a free port.
///
/// # Errors
/// The folder has no certificate, or there is no socket.
pub fn quic_server(folder: &Path, mtu: u16) -> anyhow::Result<Endpoint> {
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls_server(folder)?)?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport(mtu)?));
    endpoint(mtu, Some(config))
}

/// A QUIC endpoint that connects.
///
/// # Errors
/// The folder has no certificate, or there is no socket.
pub fn quic_client(folder: &Path, mtu: u16) -> anyhow::Result<Endpoint> {
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls_client(folder)?)?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport(mtu)?));
    let mut endpoint = endpoint(mtu, None)?;
    endpoint.set_default_client_config(config);
    Ok(endpoint)
}

fn endpoint(mtu: u16, server: Option<quinn::ServerConfig>) -> anyhow::Result<Endpoint> {
    let mut config = EndpointConfig::default();
    config.max_udp_payload_size(mtu)?;
    Ok(Endpoint::new(
        config,
        server,
        udp_socket()?,
        Arc::new(TokioRuntime),
    )?)
}

fn udp_socket() -> anyhow::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_recv_buffer_size(UDP_BUFFER_BYTES)?;
    socket.set_send_buffer_size(UDP_BUFFER_BYTES)?;
    socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    Ok(socket.into())
}

fn transport(mtu: u16) -> anyhow::Result<TransportConfig> {
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(mtu);
    let mut config = TransportConfig::default();
    config
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(CONNECTION_WINDOW_BYTES.into())
        .send_window(CONNECTION_WINDOW_BYTES.into())
        .max_concurrent_uni_streams(VarInt::from_u32(STREAMS_MAX))
        .initial_mtu(mtu)
        .mtu_discovery_config(Some(discovery));
    Ok(config)
}
