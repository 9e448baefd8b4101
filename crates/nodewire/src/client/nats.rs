//! The NATS wire.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_nats::{ConnectOptions, ServerAddr};
use futures_util::StreamExt;
use futures_util::future::join_all;
use nats_micro::client::{Client, End, Limits, OutgoingRequest, ReplyStream, RequestError};
use nats_micro::document::{EndpointInfo, EndpointStats, Info, Stats};
use nats_micro::{Reply, ServiceError, schema};
use nodewire_core::BoxFuture;
use nodewire_json::Json;
use uuid::Uuid;

use super::RemoteOptions;
use super::call::Call;
use super::description::{Load, NodeDescription, ServerDescription};
use super::error::{RemoteError, RemoteErrorKind};
use super::execution::RemoteEvent;
use super::plain;
use super::target::Target;
use super::wire::{Told, Wire};
use crate::capability::Wire as WireName;

const NODE: &str = "nodewire.node";
const DEFINITION: &str = "nodewire.definition";
const CAPABILITY: &str = "nodewire.capability.";

/// Nobody else answers after so long without an answer.
const QUIET: Duration = Duration::from_millis(200);

/// Instances whose round trip is measured at once.
const PINGS_MAX: usize = 64;

/// Without a timeout of the caller's.
const LONG: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Between two requests to cancel.
const CANCEL_INTERVAL: Duration = Duration::from_millis(200);

/// Subjects that are remembered; beyond them all are forgotten.
const SUBJECTS_MAX: usize = 4_096;

/// Services on a broker.
#[derive(Debug)]
pub(super) struct Nats {
    client: Client,
    service: Option<String>,
    options: Arc<RemoteOptions>,
    /// By node.
    subjects: Mutex<HashMap<String, String>>,
}

impl Nats {
    pub(super) async fn connect(
        target: &Target,
        options: &Arc<RemoteOptions>,
    ) -> Result<Self, RemoteError> {
        let Target::Nats {
            url,
            service,
            credentials,
        } = target
        else {
            let text = "this is no target on NATS";
            return Err(RemoteError::new(RemoteErrorKind::Unsupported, text));
        };
        let unreachable = |why: String| RemoteError::new(RemoteErrorKind::Unreachable, why);
        let addresses: Result<Vec<ServerAddr>, _> =
            url.reveal().split(',').map(str::parse).collect();
        let addresses = addresses.map_err(|_| unreachable(format!("{target} is no address")))?;
        let connect = ConnectOptions::new()
            .name("nodewire client")
            .connection_timeout(options.connect_timeout);
        let connect = match credentials {
            Some(file) => connect.credentials_file(file).await.map_err(|error| {
                unreachable(format!("{} cannot be read: {error}", file.display()))
            })?,
            None => connect,
        };
        let connection = connect.connect(addresses).await.map_err(|error| {
            unreachable(format!("the broker at {target} cannot be reached: {error}"))
        })?;
        Ok(Self {
            client: Client::new(connection),
            service: service.clone(),
            options: Arc::clone(options),
            subjects: Mutex::default(),
        })
    }

    fn subjects(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.subjects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limits(&self) -> Limits {
        Limits {
            max_wait: self.options.answer_timeout,
            max_interval: Some(QUIET),
            ..Limits::default()
        }
    }

    async fn infos(&self) -> Result<Vec<Info>, RemoteError> {
        let asked = match &self.service {
            Some(service) => self.client.service(service).info(),
            None => self.client.info(),
        };
        let found = asked
            .limits(self.limits())
            .list()
            .await
            .map_err(not_asked)?;
        let mut subjects = self.subjects();
        if subjects.len() > SUBJECTS_MAX {
            subjects.clear();
        }
        for endpoint in found.documents.iter().flat_map(|info| &info.endpoints) {
            if let Some(node) = endpoint.metadata.get(NODE) {
                subjects.insert(node.clone(), endpoint.subject.clone());
            }
        }
        Ok(found.documents)
    }

    async fn stats(&self) -> Result<HashMap<String, Stats>, RemoteError> {
        let asked = match &self.service {
            Some(service) => self.client.service(service).stats(),
            None => self.client.stats(),
        };
        let found = asked
            .limits(self.limits())
            .list()
            .await
            .map_err(not_asked)?;
        let all = found.documents.into_iter();
        Ok(all.map(|stats| (stats.id.clone(), stats)).collect())
    }

    async fn round_trip(&self, info: &Info) -> Option<Duration> {
        let begun = Instant::now();
        let instance = self.client.instance(&info.name, &info.id);
        let answered = instance
            .with_timeout(self.options.answer_timeout)
            .ping()
            .await;
        answered.ok().map(|_| begun.elapsed())
    }

    async fn described(&self) -> Result<Vec<ServerDescription>, RemoteError> {
        let (infos, stats) = tokio::try_join!(self.infos(), self.stats())?;
        let mut servers = Vec::new();
        for some in infos.chunks(PINGS_MAX) {
            let trips = join_all(some.iter().map(|info| self.round_trip(info))).await;
            for (info, round_trip) in some.iter().zip(trips) {
                let mut server = server(info, stats.get(&info.id));
                server.round_trip = round_trip;
                servers.push(server);
            }
        }
        servers.sort_by(|a, b| (&a.name, &a.instance).cmp(&(&b.name, &b.instance)));
        Ok(servers)
    }

    async fn subject(&self, node: &str) -> Result<String, RemoteError> {
        let known = self.subjects().get(node).cloned();
        if let Some(subject) = known {
            return Ok(subject);
        }
        self.infos().await?;
        let found = self.subjects().get(node).cloned();
        found.ok_or_else(|| RemoteError::unknown_node(node))
    }

    async fn executed(&self, call: &Call, told: &Told) -> RemoteEvent {
        let subject = match self.subject(&call.node).await {
            Ok(subject) => subject,
            Err(error) => return RemoteEvent::Failed(error),
        };
        let execution = Execution {
            client: &self.client,
            cancel: cancel_subject(&subject),
            told,
        };
        let ended = execution.run(&subject, call).await;
        ended.unwrap_or_else(|error| {
            if matches!(error, RequestError::NoResponders { .. }) {
                self.subjects().remove(&*call.node);
            }
            plain::failed(not_asked(error))
        })
    }
}

impl Wire for Nats {
    fn describe(&self) -> BoxFuture<'_, Result<Vec<ServerDescription>, RemoteError>> {
        Box::pin(self.described())
    }

    fn run(self: Arc<Self>, call: Call, told: Told) -> BoxFuture<'static, RemoteEvent> {
        Box::pin(async move { self.executed(&call, &told).await })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            // What cannot be flushed any more is lost with the connection.
            let _ = self.client.connection().drain().await;
        })
    }
}

/// Where an execution is cancelled, and its name there.
struct CancelSubject {
    subject: String,
    id: String,
}

fn cancel_subject(subject: &str) -> CancelSubject {
    let id = Uuid::new_v4().simple().to_string();
    let group = subject.rsplit_once('.').map_or("", |(group, _)| group);
    CancelSubject {
        subject: format!("{group}.$cancel.{id}"),
        id,
    }
}

/// An execution on its way.
struct Execution<'a> {
    client: &'a Client,
    cancel: CancelSubject,
    told: &'a Told,
}

impl Execution<'_> {
    async fn run(&self, subject: &str, call: &Call) -> Result<RemoteEvent, RequestError> {
        let body = plain::request(call, &call.inputs).into_bytes();
        let wait = call.timeout.map_or(LONG, |time| time.saturating_add(LONG));
        let request = OutgoingRequest::new(body)
            .with_header("Nodewire-Execution", &self.cancel.id)
            .with_timeout(wait);
        if call.wants_events {
            let request = request.with_header("Nodewire-Stream", "1");
            let replies = self.client.request_many(subject, request);
            let limits = Limits {
                max_wait: wait,
                max_interval: None,
                max_count: usize::MAX,
                max_bytes: usize::MAX,
            };
            return self.follow(replies.limits(limits).stream().await?).await;
        }
        let asked = self.client.request(subject, request);
        tokio::pin!(asked);
        loop {
            tokio::select! {
                // First, so that it is sent before it is cancelled.
                biased;
                reply = &mut asked => return Ok(match read(&reply?) {
                    Ok(answer) => plain::completed(&answer),
                    Err(end) => end,
                }),
                () = self.stop() => {}
            }
        }
    }

    async fn follow(&self, mut replies: ReplyStream) -> Result<RemoteEvent, RequestError> {
        loop {
            let reply = tokio::select! {
                biased;
                reply = replies.next() => reply,
                () = self.stop() => continue,
            };
            let reply = match reply {
                Some(Ok(reply)) => reply,
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(broken_off(replies.end())),
            };
            if reply.header("Nodewire-Event") == Some("accepted") {
                continue;
            }
            let event = match read(&reply) {
                Ok(event) => event,
                Err(end) => return Ok(end),
            };
            if let Some(end) = plain::take(&event, self.told).await {
                return Ok(end);
            }
        }
    }

    /// Once it is wanted: asks for it, and waits before that is done again, as a request may be overtaken.
    async fn stop(&self) {
        self.told.cancel.cancelled().await;
        // Without an answer it has ended, or the end says how it went.
        let _ = self.client.request(&self.cancel.subject, "").await;
        tokio::time::sleep(CANCEL_INTERVAL).await;
    }
}

fn read(reply: &Reply) -> Result<Json, RemoteEvent> {
    Json::parse_bytes(reply.payload.clone()).map_err(|_| plain::unreadable("it is no JSON"))
}

fn broken_off(end: Option<End>) -> RemoteEvent {
    match end {
        Some(End::NoResponders) => {
            let text = "no service answers: has it been stopped?";
            RemoteEvent::failed(RemoteErrorKind::Unreachable, text)
        }
        Some(End::MaxWait | End::MaxInterval) => {
            RemoteEvent::failed(RemoteErrorKind::Deadline, "there was no end in time")
        }
        Some(End::Closed | End::MaxCount | End::MaxBytes | End::Sentinel | _) | None => {
            RemoteEvent::failed(
                RemoteErrorKind::Lost,
                "the connection to the broker was lost",
            )
        }
    }
}

fn not_asked(error: RequestError) -> RemoteError {
    let kind = match &error {
        RequestError::Service(error) => return service_error(error),
        RequestError::NoResponders { .. } => RemoteErrorKind::Unreachable,
        RequestError::TimedOut { .. } => RemoteErrorKind::Unreachable,
        RequestError::TooLarge { .. } => RemoteErrorKind::TooLarge,
        RequestError::InvalidSubject { .. } => RemoteErrorKind::Protocol,
        RequestError::Closed => RemoteErrorKind::Lost,
    };
    RemoteError::of(kind, error)
}

fn service_error(error: &ServiceError) -> RemoteError {
    let body = Json::parse_bytes(error.payload().clone()).unwrap_or_default();
    if let Some(told) = plain::error(&body) {
        return told;
    }
    let kind = match error.code() {
        Some(400) => RemoteErrorKind::InvalidInput,
        Some(404) => RemoteErrorKind::NotFound,
        Some(408) => RemoteErrorKind::Deadline,
        Some(429) => RemoteErrorKind::Overloaded,
        Some(499) => RemoteErrorKind::Cancelled,
        Some(501) => RemoteErrorKind::Unsupported,
        Some(503) => RemoteErrorKind::Unavailable,
        Some(_) | None => RemoteErrorKind::Failed,
    };
    RemoteError::new(kind, error.to_string())
}

fn server(info: &Info, stats: Option<&Stats>) -> ServerDescription {
    let is_ours = info.metadata.keys().any(|key| key.starts_with(CAPABILITY));
    let endpoints = info.endpoints.iter();
    let nodes = endpoints
        .filter(|endpoint| !is_ours || endpoint.metadata.contains_key(NODE))
        .map(|endpoint| {
            let stats = stats.and_then(|stats| {
                let mut all = stats.endpoints.iter();
                all.find(|each| each.subject == endpoint.subject && each.name == endpoint.name)
            });
            node(endpoint, stats)
        });
    ServerDescription {
        instance: Some(info.id.clone()),
        version: Some(info.version.clone()),
        nodes: nodes.collect(),
        is_callable: is_ours,
        ..ServerDescription::new(WireName::Nats, info.name.clone())
    }
}

fn node(endpoint: &EndpointInfo, stats: Option<&EndpointStats>) -> NodeDescription {
    let metadata = |key: &str| endpoint.metadata.get(key);
    let json = |key: &str| metadata(key).and_then(|text| Json::parse(text.as_str()).ok());
    let definition = json(DEFINITION);
    let described = definition
        .as_ref()
        .and_then(NodeDescription::from_definition);
    let uid = metadata(NODE).unwrap_or(&endpoint.name);
    let mut node = described.unwrap_or_else(|| NodeDescription::new(uid.as_str()));
    node.description = node
        .description
        .or_else(|| metadata(schema::DESCRIPTION).cloned());
    node.schema = json(schema::REQUEST_SCHEMA);
    node.address = Some(endpoint.subject.clone());
    node.load = stats.map(load);
    node
}

/// What the executor counts, where it does; else what every service counts.
fn load(stats: &EndpointStats) -> Load {
    let data = Json::from(stats.data.clone());
    Load::from_stats(&data).unwrap_or_else(|| Load {
        completed: Some(stats.num_requests.saturating_sub(stats.num_errors)),
        failed: Some(stats.num_errors),
        run_mean_us: Some(stats.average_processing_time / 1_000),
        ..Load::default()
    })
}
