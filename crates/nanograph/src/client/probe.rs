//! Asking a node server who it is, without a connection. spec: nanograph 3

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use nodewire_json::Json;
use tokio::net::TcpStream;
use url::Url;

/// The largest page that is read.
const MAX_PAGE_BYTES: usize = 4 << 20;

/// What a node server's status page says. Only `server_uid` is on every version's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusPage {
    /// Names the server.
    pub server_uid: String,
    /// For people.
    pub message: Option<String>,
    /// The group of servers that share assets.
    pub domain: Option<String>,
    /// Where it finds assets.
    pub nanocore_http_endpoint: Option<String>,
    /// For people; `serverName` in 0.1.14.
    pub server_display_name: Option<String>,
    /// Which package it runs.
    pub server_package_id: Option<String>,
    /// How many nodes it has.
    pub loaded_nodes: Option<u64>,
    /// Their uids.
    pub node_uids: Vec<String>,
    /// The whole page.
    pub raw: Json,
}

/// Why there is no status page.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The address cannot be used.
    #[error("{url:?} cannot be probed; the address must start with http:// or ws://")]
    InvalidUrl {
        /// What was given.
        url: String,
    },
    /// Nobody answers there, or the answer broke off.
    #[error("the node server at {url} cannot be reached")]
    Unreachable {
        /// The address.
        url: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer in time.
    #[error("the node server at {url} did not answer within {after:?}")]
    TimedOut {
        /// The address.
        url: String,
        /// The time allowed.
        after: Duration,
    },
    /// Whoever answers is no node server.
    #[error("{url} is no node server: {reason}")]
    NotANodeServer {
        /// The address.
        url: String,
        /// What was found.
        reason: String,
    },
}

/// Reads the status page at `url`: `http://host:port`, or the `ws://` address of the server. Plain HTTP only.
///
/// Cancel safe.
///
/// # Errors
/// There is no node server, or it does not answer within `timeout`.
pub async fn probe(url: &str, timeout: Duration) -> Result<StatusPage, ProbeError> {
    let timed_out = |_| ProbeError::TimedOut {
        url: url.to_owned(),
        after: timeout,
    };
    let (status, body) = tokio::time::timeout(timeout, get(url))
        .await
        .map_err(timed_out)??;
    let foreign = |reason: String| ProbeError::NotANodeServer {
        url: url.to_owned(),
        reason,
    };
    if status != http::StatusCode::OK {
        return Err(foreign(format!("it answered HTTP {status}")));
    }
    let raw = Json::parse_bytes(body)
        .map_err(|error| foreign(format!("its page is not JSON: {error}")))?;
    StatusPage::from_json(raw).ok_or_else(|| foreign("its page has no serverUid".to_owned()))
}

async fn get(url: &str) -> Result<(http::StatusCode, bytes::Bytes), ProbeError> {
    let authority = authority(url).ok_or_else(|| ProbeError::InvalidUrl {
        url: url.to_owned(),
    })?;
    fetch(&authority)
        .await
        .map_err(|source| ProbeError::Unreachable {
            url: url.to_owned(),
            source,
        })
}

async fn fetch(
    authority: &str,
) -> Result<(http::StatusCode, bytes::Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(authority).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = http::Request::get("/")
        .header(http::header::HOST, authority)
        .body(Empty::<bytes::Bytes>::new())?;
    let exchange = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_PAGE_BYTES)
            .collect()
            .await?
            .to_bytes();
        Ok((status, body))
    };
    tokio::pin!(exchange);
    tokio::select! {
        done = &mut exchange => done,
        // The connection may end just after the answer; the answer then is there already.
        ended = connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(error.into()),
        },
    }
}

fn authority(url: &str) -> Option<String> {
    let url = Url::parse(url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "ws"))?;
    Some(format!("{}:{}", url.host()?, url.port_or_known_default()?))
}

impl StatusPage {
    fn from_json(raw: Json) -> Option<Self> {
        let text = |key: &str| raw.get(key).and_then(|value| value.decode::<String>().ok());
        Some(Self {
            server_uid: text("serverUid")?,
            message: text("message"),
            domain: text("domain"),
            nanocore_http_endpoint: text("nanocoreHttpEndpoint"),
            server_display_name: text("serverDisplayName").or_else(|| text("serverName")),
            server_package_id: text("serverPackageId"),
            loaded_nodes: raw.get("loadedNodes").and_then(|value| value.decode().ok()),
            node_uids: raw
                .get("nodeUIDs")
                .and_then(|value| value.decode().ok())
                .unwrap_or_default(),
            raw: raw.clone(),
        })
    }
}
