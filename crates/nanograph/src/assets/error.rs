//! Why an asset call failed.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use super::reference::AssetRefError;

/// Why an asset call failed.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// The variable that should hold the endpoint or the token is not set.
    #[error("the environment variable {variable} is not set: no asset server is known")]
    NotConfigured {
        /// The variable.
        variable: &'static str,
    },
    /// The endpoint is no HTTP address.
    #[error(
        "{endpoint:?} is no address of an asset server; it must start with http:// or https://"
    )]
    InvalidEndpoint {
        /// What was given.
        endpoint: String,
    },
    /// The token has characters that no header may have.
    #[error("the token of the asset server has characters that cannot be sent")]
    InvalidToken,
    /// The process has no default TLS provider.
    #[error(
        "no TLS provider: install one (rustls CryptoProvider::install_default) before making an asset client"
    )]
    NoTlsProvider,
    /// The text is no reference.
    #[error(transparent)]
    InvalidReference(#[from] AssetRefError),
    /// The server could not be reached, or the connection broke before an answer.
    #[error("the asset server at {endpoint} cannot be reached")]
    Unreachable {
        /// The endpoint.
        endpoint: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Nothing moved for too long.
    #[error("the asset server did nothing for {after:?}")]
    TimedOut {
        /// The time allowed.
        after: Duration,
    },
    /// The server refused.
    #[error("the asset server answered {status}: {body}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// The start of the answer's text.
        body: String,
    },
    /// The body is longer than the caller allowed.
    #[error("the answer of the asset server is larger than {limit} bytes")]
    TooLarge {
        /// What was allowed.
        limit: u64,
    },
    /// The body ended before its announced end.
    #[error("the answer of the asset server was cut off")]
    Interrupted {
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The answer is not what the call answers with.
    #[error("the asset server's answer cannot be used: {reason}")]
    InvalidAnswer {
        /// What is wrong with it.
        reason: String,
    },
    /// What should be uploaded cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The upload's content type is no media type.
    #[error("{content_type:?} is no media type")]
    InvalidContentType {
        /// What was given.
        content_type: String,
    },
}
