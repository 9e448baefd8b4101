//! Why an asset call failed.

use std::borrow::Cow;
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
    #[error("the asset server answered {status}: {}", told(body))]
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

/// What a refusal says to people, where it is `{"error": {"message": …}}`; else its whole text. spec: nanograph 19
fn told(body: &str) -> Cow<'_, str> {
    let refusal: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let message = refusal
        .as_ref()
        .and_then(|refusal| refusal["error"]["message"].as_str());
    match message {
        Some(message) if !message.is_empty() => Cow::Owned(message.to_owned()),
        Some(_) | None => Cow::Borrowed(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_its_own_words() {
        let told = |body: &str| {
            let body = body.to_owned();
            AssetError::Status { status: 503, body }.to_string()
        };
        let json = r#"{"error":{"code":"busy","message":"32 uploads are going on"}}"#;
        assert_eq!(
            told(json),
            "the asset server answered 503: 32 uploads are going on"
        );
        for other in [
            "busy",
            "{}",
            r#"{"error":{"message":""}}"#,
            r#"{"detail":"no"}"#,
        ] {
            assert_eq!(
                told(other),
                format!("the asset server answered 503: {other}")
            );
        }
    }
}
