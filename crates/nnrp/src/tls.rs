//! Certificates and keys. The provider is ring, always; what the program may have installed is not asked.

mod client;
mod server;
mod verifier;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

pub use self::client::ClientTls;
pub use self::server::{SelfSigned, ServerTls};

/// What is agreed on where QUIC begins. spec: nnrp-session 1.4
pub(crate) const ALPN_QUIC: &[u8] = b"nnrp/1";

/// What is agreed on where TLS over TCP begins. spec: nnrp-design "Endpoints and transports"
pub(crate) const ALPN_TCP: &[u8] = b"nnrp/1-tcp";

/// Why certificates or keys cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path} cannot be read: check that it exists and who may read it")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no certificate.
    #[error("there is no certificate: PEM with BEGIN CERTIFICATE is expected")]
    NoCertificate,
    /// There is no key, or one that is not understood.
    #[error(
        "there is no private key: PEM with an unencrypted PKCS #8, PKCS #1 or SEC1 key is expected"
    )]
    NoKey,
    /// The key is not the certificate's, or one of them is of a kind that is not supported.
    #[error("certificate and key cannot be used together: {0}")]
    Unusable(#[source] rustls::Error),
    /// A certificate is no authority that can be trusted.
    #[error("a certificate cannot be trusted as an authority: {0}")]
    Authority(#[source] rustls::Error),
    /// It cannot be made: a name is no DNS name or IP address.
    #[error("a certificate for these names cannot be made: {0}")]
    SelfSigned(#[source] rcgen::Error),
    /// It is no DNS name or IP address.
    #[error("{name:?} is no server name: write a DNS name or an IP address")]
    ServerName {
        /// What it is.
        name: String,
    },
}

/// Which algorithms there are.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));
    Arc::clone(&PROVIDER)
}

fn read_file(path: &std::path::Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::File {
        path: path.into(),
        source,
    })
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(TlsError::NoCertificate),
    }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsError::NoKey)
}

fn authorities(pem: &[u8]) -> Result<rustls::RootCertStore, TlsError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(TlsError::Authority)?;
    }
    Ok(roots)
}
