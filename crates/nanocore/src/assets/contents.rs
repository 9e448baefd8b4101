//! Where contents lie: [`Contents`], and [`S3`] as a place for them.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AwsCredential};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, CredentialProvider, ObjectStore, RetryConfig};

use super::blobs::ask;
use super::error::StoreError;
use super::outage::NoKeys;

/// How often a request to an S3 server is tried again.
const RETRIES_MAX: usize = 4;
/// When it is tried no more, after its first try.
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);

/// How long an S3 server may be silent while it is waited for.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Where the bytes of assets lie. What is known about them is in the store's folder in any case, and so is an upload
/// until it is complete.
#[derive(Debug, Clone, Default)]
pub enum Contents {
    /// In the store's folder.
    #[default]
    Folder,
    /// In an object store, under `<first 2 hex digits>/<hash>`; nobody else may write there. What an interrupted upload
    /// leaves is used by the next one of the same content.
    Objects(Arc<dyn ObjectStore>),
}

impl Contents {
    /// Asks an object store whether it can be used, by one signed request for what is not there. A folder is not asked.
    /// To tell a bucket without the content from one that may not be looked at, the keys need the right to list it.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`StoreError::Objects`], also if there is no answer after `timeout`.
    pub async fn check(&self, timeout: Duration) -> Result<(), StoreError> {
        match self {
            Self::Folder => Ok(()),
            Self::Objects(objects) => ask(objects.as_ref(), timeout).await,
        }
    }
}

/// A bucket of a server that speaks the S3 protocol.
#[derive(Clone, Default)]
pub struct S3 {
    /// The bucket's name.
    pub bucket: String,
    /// What all keys begin with, such as `nanocore/assets`; may be empty.
    pub prefix: String,
    /// The server's address; Amazon's if there is none. `http://` is used as it is given.
    pub endpoint: Option<String>,
    /// The region; `us-east-1` if there is none.
    pub region: Option<String>,
    /// The name of the key to sign with.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: String,
    /// The token of temporary keys.
    pub session_token: Option<String>,
}

/// Why an [`S3`] is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadS3 {
    /// The process has no TLS provider, which is needed for plain HTTP too.
    #[error(
        "no TLS provider: install one (rustls CryptoProvider::install_default) before using an S3 bucket"
    )]
    NoTlsProvider,
    /// The bucket has no name.
    #[error("the S3 bucket has no name")]
    NoBucket,
    /// The settings do not fit together.
    #[error("the settings of the S3 bucket are of no use")]
    Settings(#[from] object_store::Error),
}

impl S3 {
    /// The bucket as a place for contents. Connects to nothing yet; without keys, each use of it fails as
    /// [`NoKeys`](super::ObjectsFailure::NoKeys).
    ///
    /// # Errors
    /// [`BadS3::NoTlsProvider`], [`BadS3::NoBucket`]; [`BadS3::Settings`], such as for an address that is none.
    pub fn contents(&self) -> Result<Contents, BadS3> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(BadS3::NoTlsProvider);
        }
        if self.bucket.is_empty() {
            return Err(BadS3::NoBucket);
        }
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.bucket)
            .with_region(self.region.as_deref().unwrap_or("us-east-1"))
            .with_access_key_id(&self.access_key_id)
            .with_secret_access_key(&self.secret_access_key)
            .with_client_options(client_options(self.endpoint.as_deref()))
            .with_retry(retry());
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
        }
        if let Some(token) = &self.session_token {
            builder = builder.with_token(token);
        }
        if self.access_key_id.is_empty() || self.secret_access_key.is_empty() {
            builder = builder.with_credentials(Arc::new(NoCredentials));
        }
        let prefix =
            Path::parse(self.prefix.trim_matches('/')).map_err(object_store::Error::from)?;
        Ok(Contents::Objects(Arc::new(PrefixStore::new(
            builder.build()?,
            prefix,
        ))))
    }
}

/// Stands where keys should be: nothing is sent without them.
#[derive(Debug)]
struct NoCredentials;

impl CredentialProvider for NoCredentials {
    type Credential = AwsCredential;

    fn get_credential<'s, 'f>(
        &'s self,
    ) -> Pin<Box<dyn Future<Output = object_store::Result<Arc<AwsCredential>>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        let error = object_store::Error::Unauthenticated {
            path: String::new(),
            source: NoKeys.into(),
        };
        Box::pin(std::future::ready(Err(error)))
    }
}

/// A request may take as long as its content does, but not be silent.
fn client_options(endpoint: Option<&str>) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")))
        .with_timeout_disabled()
        .with_read_timeout(SILENCE_MAX)
}

/// A short outage is sat out; a longer one fails the upload or download.
fn retry() -> RetryConfig {
    RetryConfig {
        max_retries: RETRIES_MAX,
        retry_timeout: RETRY_TIMEOUT,
        ..RetryConfig::default()
    }
}

/// Keys are not shown.
impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3")
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}
