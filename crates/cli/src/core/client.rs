//! The daemon's HTTP API as the commands use it. spec: nanograph 19.3

use std::time::Duration;

use nanocore::home;
use nanograph::assets::{AssetClient, AssetClientConfig};
use nodewire_telemetry::TraceParent;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::args::DaemonArgs;
use super::place::{Place, variable};
use crate::failure::{Failure, chain};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that is stopped may take its time to finish what it runs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// What there is, is told at once, also on a busy machine; a daemon that stands still has whoever asks wait no longer.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest answer read, in bytes. Outputs that are larger than 64 KiB are not in answers.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// What stays as it is in a part of a path or query.
const PART: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A daemon that may be running.
#[derive(Debug, Clone)]
pub(super) struct Daemon {
    http: reqwest::Client,
    /// Without a slash at the end.
    url: String,
    token: Option<String>,
    /// Why it is asked at this address, for when nobody answers.
    origin: String,
    /// Whether somebody named the address, instead of the daemon that has the folder.
    is_named: bool,
}

/// What the API says when it refuses.
#[derive(Debug, Deserialize)]
struct Refusal {
    error: Reason,
    #[serde(default)]
    problems: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct Reason {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// A problem of a graph or folder.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    level: String,
    code: String,
    message: String,
    reason: String,
}

impl Daemon {
    /// Finds out where it is and what opens it; asks nobody yet.
    pub(super) fn find(args: &DaemonArgs) -> Result<Self, Failure> {
        let place = Place::find(&args.place)?;
        Self::at(&place, args)
    }

    /// The same, with the data folder known.
    pub(super) fn at(place: &Place, args: &DaemonArgs) -> Result<Self, Failure> {
        let named = args
            .url
            .clone()
            .or_else(|| variable("NANOCORE_URL"))
            .or_else(|| place.settings.url.clone());
        let own = place.holder()?.and_then(|holder| holder.address);
        let own = own.map(|address| format!("http://{address}"));
        let is_named = named.is_some();
        let (url, origin) = match (named, &own) {
            (Some(url), _) => {
                let url = url.trim_end_matches('/').to_owned();
                let origin =
                    "check --url, NANOCORE_URL or the data folder's config.json".to_owned();
                (url, origin)
            }
            (None, Some(url)) => (
                url.clone(),
                "it has the data folder, but does not answer".to_owned(),
            ),
            (None, None) => return Err(not_running(place)),
        };
        let given = place.token(args.token.as_deref())?;
        // The folder's token opens the folder's daemon; nobody else is to see it.
        let token = match given {
            None if own.as_ref() == Some(&url) => home::read_token(&place.data)
                .map_err(|error| Failure::failed(chain(&error)))?
                .map(|token| token.reveal().to_owned()),
            given => given,
        };
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| Failure::failed(chain(&error)))?;
        Ok(Self {
            http,
            url,
            token,
            origin,
            is_named,
        })
    }

    /// Its address.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// What `path` answers, below `/api/v1`.
    pub(super) async fn get(&self, path: &str) -> Result<String, Failure> {
        let request = self.api(Method::GET, path);
        self.send_within(READ_TIMEOUT, request).await
    }

    /// The same, read.
    pub(super) async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let text = self.get(path).await?;
        serde_json::from_str(&text)
            .map_err(|error| self.foreign(&format!("what it answers was not understood: {error}")))
    }

    /// What the daemon says of itself; a failure if it is none.
    pub(super) async fn info(&self) -> Result<Value, Failure> {
        let info: Value = self.read("/info").await?;
        if info["version"].is_string() {
            return Ok(info);
        }
        Err(self.foreign("it answers with something else than a daemon's version"))
    }

    /// Posts a JSON body, or none.
    pub(super) async fn post(&self, path: &str, body: Option<String>) -> Result<String, Failure> {
        let request = self.api(Method::POST, path);
        let request = match body {
            Some(body) => request
                .header("content-type", "application/json")
                .body(body),
            None => request,
        };
        self.send(request).await
    }

    /// Submits a run; the same key never submits a second one.
    pub(super) async fn submit(
        &self,
        body: String,
        key: &str,
        parent: Option<TraceParent>,
    ) -> Result<String, Failure> {
        let mut request = self
            .api(Method::POST, "/runs")
            .header("idempotency-key", key);
        if let Some(parent) = parent {
            request = request.header("traceparent", parent.to_string());
        }
        self.send(
            request
                .header("content-type", "application/json")
                .body(body),
        )
        .await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<String, Failure> {
        self.send(self.api(Method::DELETE, path)).await
    }

    /// A request beside `/api/v1`.
    pub(super) async fn plain(&self, method: Method, path: &str) -> Result<String, Failure> {
        self.send(self.request(method, path)).await
    }

    /// An answer that has no end.
    pub(super) async fn stream(&self, path: &str) -> Result<Response, Failure> {
        let asked = self.api(Method::GET, path).send();
        let answer = tokio::time::timeout(READ_TIMEOUT, asked).await;
        let answer = answer.map_err(|_| {
            let seconds = READ_TIMEOUT.as_secs();
            self.no_answer(&format!("nothing within {seconds} s"))
        })?;
        self.checked(answer.map_err(|error| self.unreachable(&error))?)
            .await
    }

    /// The same daemon's assets.
    pub(super) fn assets(&self) -> Result<AssetClient, Failure> {
        let token = self.token.clone().unwrap_or_default();
        AssetClient::new(AssetClientConfig::new(self.url.clone(), token.as_str()))
            .map_err(|error| Failure::usage(chain(&error)))
    }

    fn api(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, &format!("/api/v1{path}"))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<String, Failure> {
        self.send_within(ANSWER_TIMEOUT, request).await
    }

    async fn send_within(
        &self,
        timeout: Duration,
        request: RequestBuilder,
    ) -> Result<String, Failure> {
        let answer = request.timeout(timeout).send().await;
        let answer = self
            .checked(answer.map_err(|error| self.unreachable(&error))?)
            .await?;
        self.text(answer).await
    }

    async fn checked(&self, answer: Response) -> Result<Response, Failure> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let text = self.text(answer).await?;
        Err(refusal(status, &text)
            .unwrap_or_else(|| self.foreign(&format!("it answered {status}"))))
    }

    async fn text(&self, mut answer: Response) -> Result<String, Failure> {
        let mut bytes = Vec::new();
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|error| self.unreachable(&error))?
        {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Failure::failed(format!(
                    "the daemon's answer is longer than {ANSWER_BYTES_MAX} bytes; ask for less with --limit"
                )));
            }
            bytes.extend_from_slice(&chunk);
        }
        String::from_utf8(bytes).map_err(|_| self.foreign("what it answers is not UTF-8"))
    }

    /// Something answers, but not as a daemon does.
    fn foreign(&self, what: &str) -> Failure {
        let advice = if self.is_named {
            self.origin.as_str()
        } else {
            "another program may have taken its address; start the daemon again with `nodewire up`"
        };
        Failure::servers(format!(
            "no daemon of nodewire answers at {}: {what}; {advice}",
            self.url
        ))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        if error.is_builder() {
            return Failure::usage(format!("{}: {}", self.url, chain(error)));
        }
        self.no_answer(&chain(error))
    }

    fn no_answer(&self, why: &str) -> Failure {
        Failure::servers(format!(
            "no answer from the daemon at {}: {why}; {}",
            self.url, self.origin
        ))
    }
}

/// A part of a path or of a query.
pub(super) fn part(text: &str) -> String {
    utf8_percent_encode(text, PART).to_string()
}

/// Reads an answer.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::failed(format!("the daemon's answer was not understood: {error}"))
    })
}

fn not_running(place: &Place) -> Failure {
    Failure::servers(format!(
        "no daemon runs on {}; start one with `nodewire up`",
        place.data.display()
    ))
}

/// What a refusal means for whoever called us; `None` if a daemon does not refuse so.
pub(super) fn refusal(status: StatusCode, text: &str) -> Option<Failure> {
    let refusal = serde_json::from_str::<Refusal>(text).ok()?;
    let mut message = match (refusal.error.message, refusal.error.code) {
        (message, code) if message.is_empty() => format!("the daemon refused: {code}"),
        (message, _) => message,
    };
    for problem in refusal.problems {
        let told: Told = serde_json::from_value(problem).unwrap_or_default();
        let text = if told.message.is_empty() {
            told.reason
        } else {
            told.message
        };
        message.push_str(&format!("\n  {} {}: {text}", told.level, told.code));
    }
    Some(match status {
        StatusCode::UNAUTHORIZED => Failure::failed(format!(
            "{message}; give the daemon's token with --token or NANOCORE_TOKEN"
        )),
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => {
            Failure::usage(message)
        }
        _ => Failure::failed(message),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_with_their_problems() {
        let text = r#"{"error":{"code":"invalid_graph","message":"1 problem"},
            "problems":[{"code":"cycle","level":"error","message":"nodes 1 and 2 wait for each other"}]}"#;
        let failure = refusal(StatusCode::UNPROCESSABLE_ENTITY, text);
        assert_eq!(
            failure.unwrap().to_string(),
            "1 problem\n  error cycle: nodes 1 and 2 wait for each other"
        );
        assert!(refusal(StatusCode::BAD_GATEWAY, "<html>").is_none());
    }

    #[test]
    fn parts_of_paths_are_escaped() {
        assert_eq!(part("a/b c?é"), "a%2Fb%20c%3F%C3%A9");
        assert_eq!(part("3c1e-4_5.~"), "3c1e-4_5.~");
    }
}
