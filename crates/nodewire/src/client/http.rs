//! Plain HTTP.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use nodewire_core::BoxFuture;
use nodewire_json::Json;
use reqwest::header::ACCEPT;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};

use super::RemoteOptions;
use super::call::Call;
use super::description::{Load, NodeDescription, ServerDescription};
use super::error::{RemoteError, RemoteErrorKind};
use super::execution::RemoteEvent;
use super::plain;
use super::sse::{Events, Unreadable};
use super::target::Secret;
use super::wire::{Told, Wire};
use crate::capability::Wire as WireName;

/// Servers of plain HTTP at one address.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    url: Url,
    token: Option<Secret>,
    options: Arc<RemoteOptions>,
}

impl Http {
    pub(super) fn new(
        url: &str,
        token: Option<&Secret>,
        options: &Arc<RemoteOptions>,
    ) -> Result<Self, RemoteError> {
        let url = Url::parse(url)
            .map_err(|error| RemoteError::of(RemoteErrorKind::Unreachable, error))?;
        // Without one, reqwest would panic.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(RemoteError::new(
                RemoteErrorKind::Unsupported,
                "no TLS provider: install one (rustls CryptoProvider::install_default) before connecting",
            ));
        }
        // A library does not read the environment, so proxies named there are not used.
        let client = Client::builder()
            .no_proxy()
            .connect_timeout(options.connect_timeout)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| RemoteError::of(RemoteErrorKind::Unsupported, error))?;
        Ok(Self {
            client,
            url,
            token: token.cloned(),
            options: Arc::clone(options),
        })
    }

    fn address(&self, path: &[&str]) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    fn with_token(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token.reveal()),
            None => request,
        }
    }

    async fn get(&self, path: &str, within: Duration) -> Result<Json, RemoteError> {
        let request = self.with_token(self.client.get(self.address(&[path])));
        let answer = async {
            let response = request.send().await.map_err(lost)?;
            let status = response.status();
            let answer = body(response, self.options.message_bytes_max).await?;
            if status.is_success() {
                return Ok(answer);
            }
            Err(refused(status, &answer))
        };
        let answered = tokio::time::timeout(within, answer).await;
        answered.unwrap_or_else(|_| {
            let text = format!("{} does not answer in time", self.url);
            Err(RemoteError::new(RemoteErrorKind::Unreachable, text))
        })
    }

    async fn stats(&self, within: Duration) -> Result<(Json, Duration), RemoteError> {
        let begun = Instant::now();
        let stats = self.get("stats", within).await?;
        Ok((stats, begun.elapsed()))
    }

    async fn described(&self, within: Duration) -> Result<Vec<ServerDescription>, RemoteError> {
        let all = tokio::try_join!(self.stats(within), self.get("nodes", within));
        let ((stats, round_trip), told) = all?;
        let nodes = told.get("nodes").and_then(|nodes| nodes.elements());
        let nodes = nodes.ok_or_else(|| {
            RemoteError::new(
                RemoteErrorKind::Protocol,
                format!("{} serves no nodes", self.url),
            )
        })?;
        let stats = stats.get("nodes").unwrap_or_default();
        let node = |node: &Json| {
            let mut described = NodeDescription::from_definition(&node.get("definition")?)?;
            described.schema = node.get("schema");
            described.load = stats
                .get(&described.uid)
                .as_ref()
                .and_then(Load::from_stats);
            Some(described)
        };
        let host = self.url.host_str().unwrap_or_default();
        let address = match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let server = told.get("server").unwrap_or_default();
        Ok(vec![ServerDescription {
            version: plain::text(&server, "version"),
            round_trip: Some(round_trip),
            nodes: nodes.iter().filter_map(node).collect(),
            ..ServerDescription::at(WireName::Http, plain::text(&server, "name"), address)
        }])
    }

    async fn executed(&self, call: &Call, told: &Told) -> RemoteEvent {
        let accept = if call.wants_events {
            "text/event-stream"
        } else {
            "application/json"
        };
        let address = self.address(&["nodes", &call.node, "execute"]);
        let request = self.with_token(self.client.post(address));
        let request = request
            .header(ACCEPT, accept)
            .header("Content-Type", "application/json")
            .body(plain::request(call, &call.inputs).into_bytes());
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return RemoteEvent::Failed(lost(error)),
        };
        let status = response.status();
        let is_stream = response
            .headers()
            .get("content-type")
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        if status.is_success() && is_stream {
            return self.follow(response, told).await;
        }
        match body(response, self.options.message_bytes_max).await {
            Ok(answer) if status.is_success() => plain::completed(&answer),
            Ok(answer) => plain::failed(refused(status, &answer)),
            Err(error) => RemoteEvent::Failed(error),
        }
    }

    async fn follow(&self, response: Response, told: &Told) -> RemoteEvent {
        let mut events = Events::new(self.options.message_bytes_max);
        let mut chunks = response.bytes_stream();
        loop {
            match events.next() {
                Ok(Some(event)) => {
                    if let Some(end) = plain::take(&event, told).await {
                        return end;
                    }
                    continue;
                }
                Ok(None) => {}
                Err(Unreadable::TooLong) => {
                    return RemoteEvent::failed(RemoteErrorKind::TooLarge, "an event is too long");
                }
                Err(Unreadable::NoJson) => return plain::unreadable("an event is no JSON"),
            }
            match chunks.next().await {
                Some(Ok(chunk)) => events.push(&chunk),
                Some(Err(error)) => return RemoteEvent::Failed(lost(error)),
                None => {
                    let text = "the server ended the connection before the execution's end";
                    return RemoteEvent::failed(RemoteErrorKind::Lost, text);
                }
            }
        }
    }
}

impl Wire for Http {
    fn describe(
        &self,
        at_most: Duration,
    ) -> BoxFuture<'_, Result<Vec<ServerDescription>, RemoteError>> {
        Box::pin(self.described(at_most.min(self.options.answer_timeout)))
    }

    /// A server does not say how much it takes; it refuses what is too much.
    fn carries(&self, _call: &Call) -> Result<(), RemoteError> {
        Ok(())
    }

    fn run(self: Arc<Self>, call: Call, told: Told) -> BoxFuture<'static, RemoteEvent> {
        Box::pin(async move {
            tokio::select! {
                end = self.executed(&call, &told) => end,
                // What is dropped then ends the connection, which is how the server learns of it.
                () = told.cancel.cancelled() => RemoteEvent::Cancelled,
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// All of a body, as JSON.
async fn body(response: Response, bytes_max: usize) -> Result<Json, RemoteError> {
    let mut chunks = response.bytes_stream();
    let mut whole = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(lost)?;
        if whole.len() + chunk.len() > bytes_max {
            let text = format!("the answer has more than {bytes_max} bytes");
            return Err(RemoteError::new(RemoteErrorKind::TooLarge, text));
        }
        whole.extend_from_slice(&chunk);
    }
    if whole.is_empty() {
        return Ok(Json::null());
    }
    Json::parse_bytes(whole).map_err(|_| {
        let text = "the answer is no JSON: this is no server of nodes";
        RemoteError::new(RemoteErrorKind::Protocol, text)
    })
}

fn refused(status: StatusCode, answer: &Json) -> RemoteError {
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        let text = "the server wants another token";
        return RemoteError::new(RemoteErrorKind::Unauthorized, text);
    }
    plain::error(answer).unwrap_or_else(|| {
        let text = format!("the server answered HTTP {status}");
        RemoteError::new(RemoteErrorKind::Protocol, text)
    })
}

fn lost(error: reqwest::Error) -> RemoteError {
    let kind = if error.is_connect() {
        RemoteErrorKind::Unreachable
    } else {
        RemoteErrorKind::Lost
    };
    RemoteError::of(kind, error)
}
