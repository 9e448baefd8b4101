//! What a server shows, and whom it asks.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;

use super::{ALPN_QUIC, ALPN_TCP, TlsError};

/// A server's certificate and key. All clones are the same, so that [`Self::reload`] on any of them holds for every listener
/// that has one: for new connections, while those that are there go on.
///
/// ```
/// let tls = nnrp::ServerTls::self_signed(["localhost", "127.0.0.1"])?.tls;
/// # Ok::<(), nnrp::TlsError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ServerTls {
    shown: Arc<Shown>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

/// A certificate that was just made, and is trusted by nobody yet.
#[derive(Debug, Clone)]
pub struct SelfSigned {
    /// What a listener takes.
    pub tls: ServerTls,
    /// What clients have to trust, see [`ClientTls::with_authority`](crate::ClientTls::with_authority).
    pub certificate_pem: String,
    /// To keep it. It is secret.
    pub key_pem: String,
}

/// Asked for in each handshake, so that it can change.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&shown))
    }
}

impl ServerTls {
    /// Of a chain, the server's certificate first, and its key, both in PEM.
    ///
    /// # Errors
    /// [`TlsError::NoCertificate`], [`TlsError::NoKey`], [`TlsError::Unusable`].
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Ok(Self {
            shown: Arc::new(Shown(RwLock::new(certified(chain, key)?))),
            clients: None,
        })
    }

    /// As [`Self::from_pem`], from files, which are read at once.
    ///
    /// # Errors
    /// [`TlsError::File`], and as there.
    pub fn from_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        let chain = super::read_file(chain.as_ref())?;
        Self::from_pem(&chain, &super::read_file(key.as_ref())?)
    }

    /// Makes a certificate for these DNS names and IP addresses.
    ///
    /// # Errors
    /// [`TlsError::SelfSigned`].
    pub fn self_signed(
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<SelfSigned, TlsError> {
        let names = names.into_iter().map(Into::into).collect::<Vec<String>>();
        let made = rcgen::generate_simple_self_signed(names).map_err(TlsError::SelfSigned)?;
        let certificate_pem = made.cert.pem();
        let key_pem = made.signing_key.serialize_pem();
        Ok(SelfSigned {
            tls: Self::from_pem(certificate_pem.as_bytes(), key_pem.as_bytes())?,
            certificate_pem,
            key_pem,
        })
    }

    /// Refuses clients without a certificate that one of these has signed, in PEM. See
    /// [`Link::peer_certificates`](crate::Link::peer_certificates) for whose it is.
    ///
    /// # Errors
    /// [`TlsError::NoCertificate`], [`TlsError::Authority`].
    pub fn with_client_authority(self, pem: &[u8]) -> Result<Self, TlsError> {
        let roots = Arc::new(super::authorities(pem)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, super::provider())
            .build()
            .map_err(|error| TlsError::Authority(rustls::Error::General(error.to_string())))?;
        Ok(Self {
            clients: Some(verifier),
            ..self
        })
    }

    /// Shows another certificate from now on.
    ///
    /// # Errors
    /// As [`Self::from_pem`]; what was shown before is still shown then.
    pub fn reload(&self, chain: &[u8], key: &[u8]) -> Result<(), TlsError> {
        let certified = certified(chain, key)?;
        *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = certified;
        Ok(())
    }

    /// As [`Self::reload`], from files, which are read at once.
    ///
    /// # Errors
    /// As [`Self::from_files`]; what was shown before is still shown then.
    pub fn reload_files(
        &self,
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<(), TlsError> {
        let chain = super::read_file(chain.as_ref())?;
        self.reload(&chain, &super::read_file(key.as_ref())?)
    }

    pub(crate) fn tcp_config(&self) -> Result<ServerConfig, TlsError> {
        self.config(ALPN_TCP)
    }

    pub(crate) fn quic_config(&self) -> Result<ServerConfig, TlsError> {
        self.config(ALPN_QUIC)
    }

    fn config(&self, alpn: &[u8]) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(super::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Unusable)?;
        let builder = match &self.clients {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(Arc::clone(clients)),
        };
        let shown: Arc<dyn ResolvesServerCert> = self.shown.clone();
        let mut config = builder.with_cert_resolver(shown);
        config.alpn_protocols = vec![alpn.to_vec()];
        Ok(config)
    }
}

fn certified(chain: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = super::certificates(chain)?;
    check_key(&chain, &super::private_key(key)?)
}

/// Whether the key is the certificate's.
pub(super) fn check_key(
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, TlsError> {
    CertifiedKey::from_der(chain.to_vec(), key.clone_key(), &super::provider())
        .map(Arc::new)
        .map_err(TlsError::Unusable)
}
