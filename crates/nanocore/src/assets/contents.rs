//! Where contents lie: [`Contents`], and [`S3`] as a place for them.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::prefix::PrefixStore;

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

/// The settings of an [`S3`] do not fit together.
#[derive(Debug, thiserror::Error)]
#[error("the S3 settings are of no use")]
pub struct BadS3(#[from] object_store::Error);

impl S3 {
    /// The bucket as a place for contents. Connects to nothing yet.
    ///
    /// For `https` the process needs a TLS provider installed, as for any client here.
    ///
    /// # Errors
    /// [`BadS3`], such as for an empty bucket name or an address that is none.
    pub fn contents(&self) -> Result<Contents, BadS3> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.bucket)
            .with_region(self.region.as_deref().unwrap_or("us-east-1"))
            .with_access_key_id(&self.access_key_id)
            .with_secret_access_key(&self.secret_access_key);
        if let Some(endpoint) = &self.endpoint {
            builder = builder
                .with_endpoint(endpoint.trim_end_matches('/'))
                .with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some(token) = &self.session_token {
            builder = builder.with_token(token);
        }
        let prefix =
            Path::parse(self.prefix.trim_matches('/')).map_err(object_store::Error::from)?;
        Ok(Contents::Objects(Arc::new(PrefixStore::new(
            builder.build()?,
            prefix,
        ))))
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
