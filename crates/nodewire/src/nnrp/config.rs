//! How to serve the NNRP wire.

use std::net::{Ipv4Addr, SocketAddr};

use ::nnrp::server::{HelloHook, ServerOptions};
use ::nnrp::{ListenerOptions, ServerTls, TlsError};

/// How to serve the NNRP wire.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NnrpConfig {
    /// Where to listen, on which transports, with which certificate; and the bounds of connections.
    pub listener: ListenerOptions,
    /// The bounds of sessions, and what they are allowed. Its `on_hello` is not used: see [`Self::on_hello`].
    pub server: ServerOptions,
    /// Who gets a session. By default, everybody, with the node that the hello's auth block names as the session's model. A
    /// hook of one's own checks who it is, and sets [`Acceptance::model`](::nnrp::server::Acceptance::model) to the uid of a
    /// node, or leaves it empty.
    pub on_hello: Option<HelloHook>,
    /// Bytes of one result; 32 MiB by default, which is what clients of the [`nnrp`](::nnrp) crate read unless told
    /// otherwise. The protocol has no place where a client says how much it reads. Longer outputs become assets.
    pub result_bytes_max: usize,
    /// Executions whose outputs are being stored as assets at once, as they are longer than a result; others wait. 16 by
    /// default.
    pub transfers_max: usize,
}

impl NnrpConfig {
    /// QUIC, and TLS over TCP, on one port; 0 lets the system choose.
    #[must_use]
    pub fn new(address: SocketAddr, tls: ServerTls) -> Self {
        Self::with_listener(ListenerOptions::tls(address, tls))
    }

    /// The same on loopback, with a certificate that is made for it. Clients have to trust the certificate, which comes along
    /// in PEM.
    ///
    /// # Errors
    /// If there is no randomness to make one.
    pub fn self_signed(port: u16) -> Result<(Self, String), TlsError> {
        let own = ServerTls::self_signed(["localhost", "127.0.0.1"])?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok((Self::new(address, own.tls), own.certificate_pem))
    }

    /// Plain TCP on loopback, without QUIC: for clients of the reference, which have no TLS over TCP.
    #[must_use]
    pub fn insecure_loopback(port: u16) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self::with_listener(ListenerOptions::plain(address))
    }

    /// As the listener's options say.
    #[must_use]
    pub fn with_listener(listener: ListenerOptions) -> Self {
        Self {
            listener,
            server: ServerOptions::default(),
            on_hello: None,
            result_bytes_max: 32 << 20,
            transfers_max: 16,
        }
    }
}
