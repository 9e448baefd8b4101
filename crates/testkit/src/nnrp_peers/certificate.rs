//! Certificates for servers on the loopback interface.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A self-signed certificate of `localhost` and `127.0.0.1` with its key, as PEM files that are gone once it is dropped.
#[derive(Debug)]
pub struct SelfSignedCertificate {
    folder: TempDir,
    certificate: rcgen::Certificate,
}

impl SelfSignedCertificate {
    /// Makes one.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn new() -> anyhow::Result<Self> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names)?;
        let this = Self {
            folder: TempDir::new()?,
            certificate: made.cert,
        };
        fs::write(this.certificate_path(), this.certificate.pem())?;
        fs::write(this.key_path(), made.signing_key.serialize_pem())?;
        Ok(this)
    }

    /// The file of the certificate, which is its own authority.
    #[must_use]
    pub fn certificate_path(&self) -> PathBuf {
        self.path("certificate.pem")
    }

    /// The file of the private key.
    #[must_use]
    pub fn key_path(&self) -> PathBuf {
        self.path("key.pem")
    }

    /// The certificate, in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        self.certificate.der()
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }
}
