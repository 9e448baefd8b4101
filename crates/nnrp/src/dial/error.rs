//! Why there is no link.

use std::io;
use std::net::SocketAddr;

use nnrp_wire::TransportId;
use quinn::ConnectionError;
use thiserror::Error;

use crate::endpoint::Endpoint;
use crate::tls::TlsError;

/// Why there is no link.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DialError {
    /// The server does not have that transport.
    #[error(
        "{endpoint} has no {transport:?}: name its port in the endpoint, or force no transport"
    )]
    NoSuchTransport {
        /// Of which server.
        endpoint: Endpoint,
        /// Which.
        transport: TransportId,
    },
    /// The name has no address.
    #[error("{host} has no address: check the name")]
    Name {
        /// Which name.
        host: String,
        /// What the system says.
        source: io::Error,
    },
    /// Nobody is there, or not reachable.
    #[error(
        "{address} does not take a {transport:?} connection: check the address and whether the server runs"
    )]
    Connect {
        /// Over which transport.
        transport: TransportId,
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The handshake failed: mostly, the certificate is not trusted, or one of the sides has nothing in common with the other.
    #[error("{address} is not accepted over {transport:?}: {reason}")]
    Handshake {
        /// Over which transport.
        transport: TransportId,
        /// Where.
        address: SocketAddr,
        /// What is wrong.
        reason: HandshakeFault,
        /// In words.
        source: io::Error,
    },
    /// Something answers there that does not speak NNRP: no ALPN was agreed on.
    #[error("{address} has TLS, but does not speak NNRP there: check the port")]
    NotNnrp {
        /// Where.
        address: SocketAddr,
    },
    /// It took too long.
    #[error(
        "{endpoint} was not connected over {transport:?} in time: check the address and whether the server runs"
    )]
    Timeout {
        /// To which server.
        endpoint: Endpoint,
        /// Over which transport.
        transport: TransportId,
    },
    /// Certificates are not verified, and the address is not a loopback one.
    #[error(
        "{address} is not on this machine, and certificates are not verified: trust its authority, or allow that anywhere"
    )]
    Insecure {
        /// Which address.
        address: SocketAddr,
    },
    /// What was given for TLS cannot be used.
    #[error("TLS cannot be used: {0}")]
    Tls(#[source] TlsError),
    /// Both transports have failed.
    #[error("neither transport was connected: {first}; {second}")]
    Both {
        /// What failed first.
        first: Box<Self>,
        /// And then.
        #[source]
        second: Box<Self>,
    },
}

/// What is wrong in a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HandshakeFault {
    /// The server's certificate is not trusted, or is for another name.
    #[error(
        "its certificate is not trusted; trust its authority, and dial it by a name that the certificate has"
    )]
    Untrusted,
    /// The server wants a certificate that it trusts.
    #[error("it wants to see a certificate that it trusts")]
    CertificateWanted,
    /// It does not speak NNRP there.
    #[error("it does not speak NNRP there; check the port")]
    NotNnrp,
    /// Anything else.
    #[error("the handshake failed")]
    Other,
}

/// TLS alerts, as QUIC has them in its error codes. RFC 8446 6, RFC 9001 4.8
const QUIC_ALERT: u64 = 0x100;
const ALERT_NO_APPLICATION_PROTOCOL: u64 = 120;
const ALERT_CERTIFICATE_REQUIRED: u64 = 116;
const ALERTS_OF_CERTIFICATES: std::ops::RangeInclusive<u64> = 42..=48;
/// What we send where a signature in a certificate is wrong: another authority of the same name is trusted.
const ALERT_DECRYPT_ERROR: u64 = 51;

impl DialError {
    pub(super) fn timeout(endpoint: &Endpoint, transport: TransportId) -> Self {
        Self::Timeout {
            endpoint: endpoint.clone(),
            transport,
        }
    }

    /// What a TCP connection, or TLS over it, failed of.
    pub(super) fn connection(
        transport: TransportId,
        address: SocketAddr,
        source: io::Error,
    ) -> Self {
        let inner = source.get_ref();
        let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        Self::failed(transport, address, tls.map(tls_fault), source)
    }

    pub(super) fn quic(address: SocketAddr, error: ConnectionError) -> Self {
        let transport = TransportId::Quic;
        let reason = match &error {
            ConnectionError::TransportError(fault) => quic_fault(fault.code.into(), true),
            ConnectionError::ConnectionClosed(close) => quic_fault(close.error_code.into(), false),
            ConnectionError::VersionMismatch => Some(HandshakeFault::Other),
            ConnectionError::ApplicationClosed(_)
            | ConnectionError::Reset
            | ConnectionError::TimedOut
            | ConnectionError::LocallyClosed
            | ConnectionError::CidsExhausted => None,
        };
        let source = io::Error::from(error);
        Self::failed(transport, address, reason, source)
    }

    /// In the handshake if there is a reason, and before it if not.
    fn failed(
        transport: TransportId,
        address: SocketAddr,
        reason: Option<HandshakeFault>,
        source: io::Error,
    ) -> Self {
        match reason {
            Some(reason) => Self::Handshake {
                transport,
                address,
                reason,
                source,
            },
            None => Self::Connect {
                transport,
                address,
                source,
            },
        }
    }

    /// Of several addresses: one that somebody answers at says more than one where nobody is.
    pub(super) fn first(endpoint: &Endpoint, errors: Vec<Self>) -> Self {
        let mut best = None;
        for error in errors {
            let is_silent = matches!(best, None | Some(Self::Connect { .. }));
            if best.is_none() || is_silent && !matches!(error, Self::Connect { .. }) {
                best = Some(error);
            }
        }
        best.unwrap_or_else(|| Self::Name {
            host: endpoint.host().into(),
            source: io::ErrorKind::NotFound.into(),
        })
    }

    /// Of two transports.
    pub(super) fn both(endpoint: &Endpoint, mut errors: Vec<Self>) -> Self {
        let last = errors.pop();
        let last = last.unwrap_or_else(|| Self::first(endpoint, Vec::new()));
        match errors.pop() {
            Some(first) => Self::Both {
                first: Box::new(first),
                second: Box::new(last),
            },
            None => last,
        }
    }
}

fn tls_fault(error: &rustls::Error) -> HandshakeFault {
    use rustls::AlertDescription as Alert;
    use rustls::Error;
    let is_untrusted = matches!(
        error,
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented
    );
    let is_foreign = matches!(
        error,
        Error::InvalidMessage(_)
            | Error::NoApplicationProtocol
            | Error::AlertReceived(Alert::NoApplicationProtocol)
    );
    let is_wanted = matches!(
        error,
        Error::AlertReceived(
            Alert::CertificateRequired
                | Alert::BadCertificate
                | Alert::UnknownCA
                | Alert::CertificateUnknown
                | Alert::CertificateExpired
        )
    );
    if is_untrusted {
        HandshakeFault::Untrusted
    } else if is_foreign {
        HandshakeFault::NotNnrp
    } else if is_wanted {
        HandshakeFault::CertificateWanted
    } else {
        HandshakeFault::Other
    }
}

fn quic_fault(code: u64, is_ours: bool) -> Option<HandshakeFault> {
    let alert = code
        .checked_sub(QUIC_ALERT)
        .filter(|alert| *alert < 0x100)?;
    Some(match alert {
        ALERT_NO_APPLICATION_PROTOCOL => HandshakeFault::NotNnrp,
        ALERT_CERTIFICATE_REQUIRED => HandshakeFault::CertificateWanted,
        ALERT_DECRYPT_ERROR if is_ours => HandshakeFault::Untrusted,
        alert if ALERTS_OF_CERTIFICATES.contains(&alert) && is_ours => HandshakeFault::Untrusted,
        alert if ALERTS_OF_CERTIFICATES.contains(&alert) => HandshakeFault::CertificateWanted,
        _ => HandshakeFault::Other,
    })
}
