//! The client of an asset server.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use nodewire_json::Json;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, RequestBuilder, Response, Url};

use super::{Asset, AssetError, AssetFilter, AssetRef, Download, PresignedUrl, Resource, Upload};

/// What stays as it is in query values; the colon of a hash is among it. spec: nanograph 10.2
const QUERY_SET: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':');
/// How much of a refusal's text is kept.
const MAX_REFUSAL_BYTES: usize = 2048;

/// A secret that does not show itself.
#[derive(Clone)]
pub struct Token(String);

impl From<&str> for Token {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// Where the asset server is and how long to wait for it.
#[derive(Debug, Clone)]
pub struct AssetClientConfig {
    /// Base address, with or without a slash at the end.
    pub endpoint: String,
    /// Bearer token.
    pub token: Token,
    /// For a connection to be made; 10 s.
    pub connect_timeout: Duration,
    /// For anything to move: the next bytes of a body, or the answer once the request is sent; 60 s.
    pub idle_timeout: Duration,
    /// For a whole call that is no transfer; 300 s, as in the Python SDK. Transfers have no such limit.
    pub call_timeout: Duration,
    /// Bytes of an answer that is read whole (descriptions, lists); 16 MiB.
    pub max_answer_bytes: u64,
}

impl AssetClientConfig {
    /// The usual limits.
    pub fn new(endpoint: impl Into<String>, token: impl Into<Token>) -> Self {
        Self {
            endpoint: endpoint.into(),
            token: token.into(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            call_timeout: Duration::from_secs(300),
            max_answer_bytes: 16 << 20,
        }
    }

    /// From `NANOCORE_HTTP_ENDPOINT` and `NANOCORE_TOKEN`, which an orchestrator gives to its node servers.
    ///
    /// # Errors
    /// One of them is missing or empty.
    pub fn from_variables(env: impl Fn(&str) -> Option<String>) -> Result<Self, AssetError> {
        let get = |variable| {
            env(variable)
                .filter(|text| !text.is_empty())
                .ok_or(AssetError::NotConfigured { variable })
        };
        Ok(Self::new(
            get("NANOCORE_HTTP_ENDPOINT")?,
            get("NANOCORE_TOKEN")?,
        ))
    }
}

/// Calls an asset server. Cloning shares the connections. spec: nanograph 10.2
///
/// Cancel safety: dropping the future of a call gives the call up; an upload may then be stored or not.
#[derive(Debug, Clone)]
pub struct AssetClient {
    http: reqwest::Client,
    /// Without a slash at the end.
    endpoint: Arc<str>,
    authorization: HeaderValue,
    config: Arc<AssetClientConfig>,
}

impl AssetClient {
    /// Makes a client; connects to nothing yet.
    ///
    /// # Errors
    /// The endpoint or the token cannot be used, or the process has no TLS provider.
    pub fn new(config: AssetClientConfig) -> Result<Self, AssetError> {
        let endpoint = config.endpoint.trim_end_matches('/');
        let invalid_endpoint = || AssetError::InvalidEndpoint {
            endpoint: config.endpoint.clone(),
        };
        let url = Url::parse(endpoint).map_err(|_| invalid_endpoint())?;
        if !matches!(url.scheme(), "http" | "https")
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return Err(invalid_endpoint());
        }
        let authorization = HeaderValue::from_str(&format!("Bearer {}", config.token.0));
        let mut authorization = authorization.map_err(|_| AssetError::InvalidToken)?;
        authorization.set_sensitive(true);
        let http =
            crate::http_client::new(config.connect_timeout).ok_or(AssetError::NoTlsProvider)?;
        Ok(Self {
            http,
            endpoint: endpoint.into(),
            authorization,
            config: Arc::new(config),
        })
    }

    /// The asset's bytes as a stream.
    ///
    /// # Errors
    /// The server refuses or cannot be reached.
    pub async fn resolve(&self, asset: &AssetRef) -> Result<Download, AssetError> {
        let response = self
            .send(
                self.request(Method::GET, &asset_path(asset, "download"))?,
                None,
            )
            .await?;
        Ok(Download::new(response, self.config.idle_timeout))
    }

    /// The asset's bytes, unless there are more than `limit`.
    ///
    /// # Errors
    /// As [`Self::resolve`] and [`Download::bytes`].
    pub async fn resolve_bytes(&self, asset: &AssetRef, limit: u64) -> Result<Bytes, AssetError> {
        self.resolve(asset).await?.bytes(limit).await
    }

    /// Where the asset can be fetched, with the token. Asks nobody.
    #[must_use]
    pub fn download_url(&self, asset: &AssetRef) -> String {
        format!("{}{}", self.endpoint, asset_path(asset, "download"))
    }

    /// A temporary address of the asset that needs no token.
    ///
    /// # Errors
    /// The server refuses, cannot be reached, or answers something else.
    pub async fn presigned_url(&self, asset: &AssetRef) -> Result<PresignedUrl, AssetError> {
        let request = self.request(Method::GET, &asset_path(asset, "presigned"))?;
        PresignedUrl::from_json(&self.call(request).await?)
    }

    /// The assets that pass the filter.
    ///
    /// # Errors
    /// The server refuses, cannot be reached, or answers something else.
    pub async fn list(&self, filter: &AssetFilter) -> Result<Vec<Asset>, AssetError> {
        let pairs = [("type", &filter.kind), ("hash", &filter.hash)];
        let pairs = pairs
            .into_iter()
            .filter_map(|(key, value)| Some((key, value.as_deref()?)));
        let query: Vec<_> = pairs
            .map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, QUERY_SET)))
            .collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let request = self.request(Method::GET, &format!("/assets{mark}{}", query.join("&")))?;
        Asset::list_from_json(&self.call(request).await?)
    }

    /// Whether the server has the asset. Servers of the 0.1 generation do not know this call and answer `false`.
    ///
    /// # Errors
    /// The server refuses otherwise than with 404, cannot be reached, or answers something else.
    pub async fn exists(&self, asset: &AssetRef) -> Result<bool, AssetError> {
        let answer = match self
            .call(self.request(Method::GET, &asset_path(asset, "exists"))?)
            .await
        {
            Err(AssetError::Status { status: 404, .. }) => return Ok(false),
            other => other?,
        };
        let exists = answer.get("exists").and_then(|value| value.decode().ok());
        exists.ok_or_else(|| AssetError::InvalidAnswer {
            reason: "\"exists\" is missing".to_owned(),
        })
    }

    /// Stores an asset. spec: nanograph 10.3
    ///
    /// # Errors
    /// What to upload cannot be read; the server refuses, cannot be reached, or answers something else.
    pub async fn upload(&self, upload: Upload) -> Result<Asset, AssetError> {
        let progress = Arc::new(AtomicU64::new(0));
        let request = self
            .request(Method::POST, "/assets")?
            .multipart(upload.into_form(&progress).await?);
        let response = self.send(request, Some(&progress)).await?;
        Asset::from_json(self.json(response).await?)
    }

    /// Reports that `server_uid` holds a resource; the server's answer. spec: nanograph 10.5
    ///
    /// # Errors
    /// The server refuses, cannot be reached, or answers something else.
    pub async fn allocate_resource(
        &self,
        server_uid: &str,
        resource: &Resource,
    ) -> Result<Json, AssetError> {
        self.resource(server_uid, "ALLOCATE", Json::from_serialize(resource))
            .await
    }

    /// Reports that `server_uid` gave a resource back; the server's answer.
    ///
    /// # Errors
    /// The server refuses, cannot be reached, or answers something else.
    pub async fn free_resource(
        &self,
        server_uid: &str,
        resource_id: &str,
    ) -> Result<Json, AssetError> {
        self.resource(
            server_uid,
            "FREE",
            Json::from_serialize(&serde_json::json!({ "resourceId": resource_id })),
        )
        .await
    }

    async fn resource(
        &self,
        server_uid: &str,
        action: &str,
        data: Result<Json, nodewire_json::DecodeError>,
    ) -> Result<Json, AssetError> {
        let data = data.map_err(|error| AssetError::InvalidAnswer {
            reason: error.to_string(),
        })?;
        let [server_uid, action] = [server_uid, action].map(Json::from);
        let body = format!(r#"{{"serverUid": {server_uid}, "action": {action}, "data": {data}}}"#);
        let request = self.request(Method::POST, "/resources")?;
        self.call(
            request
                .header(http::header::CONTENT_TYPE, "application/json")
                .body(body),
        )
        .await
    }

    fn request(&self, method: Method, target: &str) -> Result<RequestBuilder, AssetError> {
        let address = format!("{}{target}", self.endpoint);
        let url =
            Url::parse(&address).map_err(|_| AssetError::InvalidEndpoint { endpoint: address })?;
        Ok(self
            .http
            .request(method, url)
            .header(AUTHORIZATION, self.authorization.clone()))
    }

    /// A whole call that is answered with JSON.
    async fn call(&self, request: RequestBuilder) -> Result<Json, AssetError> {
        let after = self.config.call_timeout;
        let whole = async { self.json(self.send(request, None).await?).await };
        tokio::time::timeout(after, whole)
            .await
            .unwrap_or(Err(AssetError::TimedOut { after }))
    }

    async fn json(&self, response: Response) -> Result<Json, AssetError> {
        let download = Download::new(response, self.config.idle_timeout);
        let body = download.bytes(self.config.max_answer_bytes).await?;
        Json::parse_bytes(body).map_err(|error| AssetError::InvalidAnswer {
            reason: error.to_string(),
        })
    }

    /// Sends the request; a status from 400 on is an error. `progress` counts the bytes of the body that went out.
    async fn send(
        &self,
        request: RequestBuilder,
        progress: Option<&AtomicU64>,
    ) -> Result<Response, AssetError> {
        let sent = watched(request.send(), progress, self.config.idle_timeout).await?;
        let response = sent.map_err(|error| AssetError::Unreachable {
            endpoint: self.endpoint.to_string(),
            source: error.without_url().into(),
        })?;
        let status = response.status().as_u16();
        if status < 400 {
            return Ok(response);
        }
        let body = Download::new(response, self.config.idle_timeout)
            .head(MAX_REFUSAL_BYTES)
            .await;
        Err(AssetError::Status { status, body })
    }
}

/// Waits as long as `progress` grows at least every `idle_timeout`.
async fn watched<F: Future>(
    future: F,
    progress: Option<&AtomicU64>,
    idle_timeout: Duration,
) -> Result<F::Output, AssetError> {
    let count = || progress.map_or(0, |progress| progress.load(Ordering::Relaxed));
    tokio::pin!(future);
    let mut seen = count();
    loop {
        if let Ok(output) = tokio::time::timeout(idle_timeout, &mut future).await {
            return Ok(output);
        }
        if seen == count() {
            return Err(AssetError::TimedOut {
                after: idle_timeout,
            });
        }
        seen = count();
    }
}

fn asset_path(asset: &AssetRef, call: &str) -> String {
    format!("/assets/{}/{call}", asset.id())
}
