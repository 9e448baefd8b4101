//! What a client trusts, and who it is.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::verifier::{AnyCertificate, Authorities};
use super::{ALPN_QUIC, ALPN_TCP, TlsError};

/// What a client trusts, and its own certificate if it has one. Certificates are verified unless it is
/// [`Self::insecure`].
///
/// ```
/// use nnrp::{ClientTls, ServerTls};
///
/// let made = ServerTls::self_signed(["localhost"])?;
/// let tls = ClientTls::with_authority(made.certificate_pem.as_bytes())?;
/// # Ok::<(), nnrp::TlsError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct ClientTls {
    trust: Trust,
    identity: Option<Arc<Identity>>,
    server_name: Option<ServerName<'static>>,
}

#[derive(Debug, Clone, Default)]
enum Trust {
    /// What browsers trust.
    #[default]
    Web,
    Authorities(Arc<Authorities>),
    /// Anybody, on loopback, or anywhere.
    Anybody {
        is_anywhere: bool,
    },
}

#[derive(Debug)]
struct Identity {
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl ClientTls {
    /// Trusts the authorities that browsers trust.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these certificates, in PEM, and what they have signed; a self-signed one is its own authority.
    ///
    /// # Errors
    /// [`TlsError::NoCertificate`], [`TlsError::Authority`].
    pub fn with_authority(pem: &[u8]) -> Result<Self, TlsError> {
        Ok(Self {
            trust: Trust::Authorities(Arc::new(Authorities::new(super::certificates(pem)?)?)),
            ..Self::default()
        })
    }

    /// As [`Self::with_authority`], from a file, which is read at once.
    ///
    /// # Errors
    /// [`TlsError::File`], and as there.
    pub fn with_authority_file(path: impl AsRef<Path>) -> Result<Self, TlsError> {
        Self::with_authority(&super::read_file(path.as_ref())?)
    }

    /// Trusts whoever answers, for trials on one machine: dialing any other address than a loopback one is refused.
    #[must_use]
    pub fn insecure() -> Self {
        Self {
            trust: Trust::Anybody { is_anywhere: false },
            ..Self::default()
        }
    }

    /// Trusts whoever answers anywhere: anybody on the way can read and change everything.
    #[must_use]
    pub fn insecure_anywhere() -> Self {
        Self {
            trust: Trust::Anybody { is_anywhere: true },
            ..Self::default()
        }
    }

    /// Shows a certificate to servers that ask for one: the chain and the key, in PEM.
    ///
    /// # Errors
    /// [`TlsError::NoCertificate`], [`TlsError::NoKey`], [`TlsError::Unusable`].
    pub fn with_certificate(self, chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, TlsError> {
        let identity = Identity {
            certificates: super::certificates(chain_pem)?,
            key: super::private_key(key_pem)?,
        };
        super::server::check_key(&identity.certificates, &identity.key)?;
        Ok(Self {
            identity: Some(Arc::new(identity)),
            ..self
        })
    }

    /// Expects a certificate for this name instead of the endpoint's host.
    ///
    /// # Errors
    /// [`TlsError::ServerName`].
    pub fn with_server_name(self, name: &str) -> Result<Self, TlsError> {
        Ok(Self {
            server_name: Some(parse_name(name)?),
            ..self
        })
    }

    /// Whether dialing an address needs no verification and must not have any other reason.
    pub(crate) const fn is_loopback_only(&self) -> bool {
        matches!(self.trust, Trust::Anybody { is_anywhere: false })
    }

    pub(crate) fn server_name(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        match &self.server_name {
            Some(name) => Ok(name.clone()),
            None => parse_name(host),
        }
    }

    pub(crate) fn tcp_config(&self) -> Result<ClientConfig, TlsError> {
        self.config(ALPN_TCP)
    }

    pub(crate) fn quic_config(&self) -> Result<ClientConfig, TlsError> {
        self.config(ALPN_QUIC)
    }

    fn config(&self, alpn: &[u8]) -> Result<ClientConfig, TlsError> {
        let provider = super::provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Unusable)?;
        let builder = match &self.trust {
            Trust::Web => {
                let roots = webpki_roots::TLS_SERVER_ROOTS
                    .iter()
                    .cloned()
                    .collect::<RootCertStore>();
                builder.with_root_certificates(roots)
            }
            Trust::Authorities(authorities) => {
                let authorities = Arc::clone(authorities);
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(authorities)
            }
            Trust::Anybody { .. } => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
        };
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder
                .with_client_auth_cert(identity.certificates.clone(), identity.key.clone_key())
                .map_err(TlsError::Unusable)?,
        };
        config.alpn_protocols = vec![alpn.to_vec()];
        Ok(config)
    }
}

fn parse_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName { name: name.into() })
}
