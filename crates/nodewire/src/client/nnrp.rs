//! The NNRP wire.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::nnrp::client::{
    ConnectOptions, FrameEnd, FrameItem, FrameStream, Session, Submit, SubmitError,
};
use ::nnrp::{ClientTls, DialOptions, Dialer, Endpoint};
use futures_util::StreamExt;
use nnrp_wire::body::{PayloadKind, TypedPayload};
use nnrp_wire::build::SubmitOptions;
use nnrp_wire::session::{FrameError, FrameKey, FrameOutcome};
use nnrp_wire::{BudgetPolicy, ErrorCode, FrameSubmit, ResultBody, ResultFlags, ResultPush};
use nodewire_core::{BoxFuture, Inputs, Outputs, PortValue, Value};
use nodewire_json::Json;
use serde_json::json;
use uuid::Uuid;

use super::RemoteOptions;
use super::call::Call;
use super::description::{Load, NodeDescription, ServerDescription};
use super::error::{RemoteError, RemoteErrorKind};
use super::execution::RemoteEvent;
use super::plain;
use super::target::NnrpTrust;
use super::wire::{Told, Wire};
use crate::capability::Wire as WireName;
use crate::nnrp::DISCOVERY_NODE;

/// Of a probe that takes the place of a ping.
const PROBE_BYTES: u32 = 64;

/// Timers of both sides differ by less.
const TIMER_SLACK: Duration = Duration::from_millis(20);

/// A server.
#[derive(Debug)]
pub(super) struct Nnrp {
    session: Session,
    dialer: Dialer,
    endpoint: Endpoint,
    options: Arc<RemoteOptions>,
    /// By node: the names of its inputs and outputs.
    ports: Mutex<HashMap<String, Arc<Ports>>>,
}

#[derive(Debug, Default)]
struct Ports {
    inputs: Vec<String>,
    outputs: Vec<String>,
}

/// A frame that is followed.
struct Following<'a> {
    key: FrameKey,
    ports: &'a Ports,
    expires: Option<Instant>,
}

/// What a server tells of its nodes.
struct Discovered {
    version: Option<String>,
    nodes: Vec<NodeDescription>,
}

impl Nnrp {
    pub(super) async fn connect(
        endpoint: &str,
        trust: &NnrpTrust,
        options: &Arc<RemoteOptions>,
    ) -> Result<Self, RemoteError> {
        let endpoint: Endpoint = endpoint
            .parse()
            .map_err(|error| RemoteError::of(RemoteErrorKind::Unsupported, error))?;
        let tls = match trust {
            NnrpTrust::Web => ClientTls::new(),
            NnrpTrust::Authorities(pem) => ClientTls::with_authority(pem)
                .map_err(|error| RemoteError::of(RemoteErrorKind::Unsupported, error))?,
            NnrpTrust::AnybodyOnLoopback => ClientTls::insecure(),
        };
        let dialer = Dialer::new(DialOptions::tls(tls));
        // The reference gives what is asked for, 0 too, which is no session.
        let [a, b, c, d, ..] = Uuid::new_v4().into_bytes();
        let session_id = u32::from_be_bytes([a, b, c, d]).max(1);
        let connect = ConnectOptions {
            result_bytes_max: u32::try_from(options.message_bytes_max).unwrap_or(u32::MAX),
            ..ConnectOptions::default()
        }
        .with_requested_session_id(session_id)
        .with_connect_timeout(options.connect_timeout);
        let session = Box::pin(Session::connect(&dialer, &endpoint, connect)).await;
        Ok(Self {
            session: session
                .map_err(|error| RemoteError::of(RemoteErrorKind::Unreachable, error))?,
            dialer,
            endpoint,
            options: Arc::clone(options),
            ports: Mutex::default(),
        })
    }

    fn ports(&self) -> MutexGuard<'_, HashMap<String, Arc<Ports>>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn round_trip(&self) -> Option<Duration> {
        let ping = tokio::time::timeout(self.options.answer_timeout / 2, self.session.ping());
        if let Ok(Ok(time)) = ping.await {
            return Some(time);
        }
        // The reference does not answer pings.
        let begun = Instant::now();
        let probe = self.session.probe(PROBE_BYTES);
        let probed = tokio::time::timeout(self.options.answer_timeout / 2, probe).await;
        matches!(probed, Ok(Ok(_))).then(|| begun.elapsed())
    }

    async fn described(&self) -> Result<Vec<ServerDescription>, RemoteError> {
        if let Some(end) = self.session.end() {
            return Err(RemoteError::of(RemoteErrorKind::Lost, end));
        }
        let round_trip = self.round_trip().await;
        let discovered = self.discover().await;
        let host = self.endpoint.host();
        let port = self.endpoint.port(::nnrp::TransportId::Tcp).unwrap_or(0);
        let name = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        let server = ServerDescription {
            round_trip,
            ..ServerDescription::new(WireName::Nnrp, name)
        };
        Ok(vec![match discovered {
            Some(Discovered { version, nodes }) => ServerDescription {
                version,
                nodes,
                ..server
            },
            None => ServerDescription {
                is_callable: false,
                instance: self.model(),
                ..server
            },
        }])
    }

    /// By custom, what the server says of the model that is active.
    fn model(&self) -> Option<String> {
        let established = self.session.established()?;
        let model = String::from_utf8(established.payload.to_vec()).ok()?;
        Some(model).filter(|model| !model.is_empty())
    }

    /// Asks what is served; `None` if the answer is another one, or none in time.
    async fn discover(&self) -> Option<Discovered> {
        let request = json!({"node": DISCOVERY_NODE}).to_string();
        let message = FrameSubmit::builder()
            .payloads(vec![TypedPayload::structured_event(request)])
            .build()
            .ok()?;
        let asked = Submit::new(FrameKey::new(self.session.next_frame_id()), message);
        let answered = tokio::time::timeout(self.options.answer_timeout, self.session.call(asked));
        let answer = answered.await.ok()?.ok()?;
        let told = payloads(&answer.result.result).into_iter().next()?;
        let told = Json::parse_bytes(told.payload).ok()?;
        let nodes: Vec<_> = told.get("nodes")?.elements()?;
        let nodes: Vec<_> = nodes.iter().filter_map(node).collect();
        let by_node = nodes.iter().map(|node| (node.uid.clone(), ports_of(node)));
        *self.ports() = by_node.collect();
        Some(Discovered {
            version: plain::text(&told, "version"),
            nodes,
        })
    }

    async fn ports_of(&self, node: &str) -> Option<Arc<Ports>> {
        let known = self.ports().get(node).cloned();
        if known.is_some() {
            return known;
        }
        self.discover().await?;
        self.ports().get(node).cloned()
    }

    async fn executed(&self, call: &Call, told: &Told) -> RemoteEvent {
        if let Some(end) = self.session.end() {
            return RemoteEvent::Failed(RemoteError::of(RemoteErrorKind::Lost, end));
        }
        let Some(ports) = self.ports_of(&call.node).await else {
            return match self.session.end() {
                Some(end) => RemoteEvent::Failed(RemoteError::of(RemoteErrorKind::Lost, end)),
                None => RemoteEvent::Failed(RemoteError::unknown_node(&call.node)),
            };
        };
        let message = match submit(call, &ports) {
            Ok(message) => message,
            Err(error) => {
                return RemoteEvent::Failed(RemoteError::of(RemoteErrorKind::TooLarge, error));
            }
        };
        let key = FrameKey::new(self.session.next_frame_id());
        let expires = call
            .timeout
            .and_then(|time| Instant::now().checked_add(time));
        let submitting = self.session.submit_stream(Submit::new(key, message));
        let frames = tokio::select! {
            submitted = submitting => submitted,
            // Nothing was sent.
            () = told.cancel.cancelled() => return RemoteEvent::Cancelled,
        };
        match frames {
            Ok(frames) => {
                self.follow(
                    frames.cancelling_on_drop(),
                    Following {
                        key,
                        ports: &ports,
                        expires,
                    },
                    told,
                )
                .await
            }
            Err(error) => RemoteEvent::Failed(not_sent(error)),
        }
    }

    async fn follow(
        &self,
        mut frames: FrameStream,
        Following {
            key,
            ports,
            expires,
        }: Following<'_>,
        told: &Told,
    ) -> RemoteEvent {
        let mut is_asked = false;
        let mut outputs = Outputs::new();
        loop {
            let item = tokio::select! {
                biased;
                () = told.cancel.cancelled(), if !is_asked => {
                    is_asked = true;
                    self.session.cancel(key);
                    continue;
                }
                item = frames.next() => item,
            };
            match item {
                Some(FrameItem::Result(result)) => {
                    let result = &result.result;
                    let is_partial = result.metadata.result_flags.contains(ResultFlags::PARTIAL);
                    if !is_partial {
                        outputs = read(result, ports);
                    } else if let Some(event) = progress(result) {
                        told.progress(plain::progress(&event));
                    } else {
                        told.partial(read(result, ports)).await;
                    }
                }
                Some(FrameItem::Hint(_)) => {}
                Some(FrameItem::End(end)) => {
                    // Servers drop what has run out of its budget, without a word.
                    let is_late = expires.is_some_and(|at| Instant::now() + TIMER_SLACK >= at);
                    if end.outcome != FrameOutcome::Dropped {
                        return ended(end, outputs);
                    }
                    if told.is_cancelled() {
                        return RemoteEvent::Cancelled;
                    }
                    if is_late {
                        let text = "the execution's time is over";
                        return RemoteEvent::failed(RemoteErrorKind::Deadline, text);
                    }
                    return ended(end, outputs);
                }
                None => {
                    let text = "the session has ended";
                    return RemoteEvent::failed(RemoteErrorKind::Lost, text);
                }
            }
        }
    }
}

impl Wire for Nnrp {
    fn describe(&self) -> BoxFuture<'_, Result<Vec<ServerDescription>, RemoteError>> {
        Box::pin(self.described())
    }

    fn run(self: Arc<Self>, call: Call, told: Told) -> BoxFuture<'static, RemoteEvent> {
        Box::pin(async move { self.executed(&call, &told).await })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let closing = async {
                self.session.close("done").await;
                self.dialer.idle().await;
            };
            // A server that does not answer learns of it by its own timeout.
            let _ = tokio::time::timeout(self.options.answer_timeout, closing).await;
        })
    }
}

fn node(told: &Json) -> Option<NodeDescription> {
    let mut node = NodeDescription::from_definition(told)?;
    node.schema = told.get("schema");
    let counted = told.get("stats").as_ref().and_then(Load::from_stats);
    node.load = counted.or_else(|| {
        Some(Load {
            running: Some(plain::number(told, "running")?),
            waiting: plain::number(told, "waiting"),
            ..Load::default()
        })
    });
    Some(node)
}

fn ports_of(node: &NodeDescription) -> Arc<Ports> {
    let names = |ports: &Option<Vec<super::description::PortDescription>>| {
        let ports = ports.iter().flatten();
        ports.map(|port| port.name.clone()).collect()
    };
    Arc::new(Ports {
        inputs: names(&node.inputs),
        outputs: names(&node.outputs),
    })
}

/// Bytes are payloads of their own, of their port; everything else is in the request.
fn submit(call: &Call, ports: &Ports) -> Result<FrameSubmit, nnrp_wire::WireError> {
    let mut inputs = Inputs::new();
    let mut pieces = Vec::new();
    for (port, values) in call.inputs.iter() {
        let place = ports.inputs.iter().position(|name| name == port);
        let place = place.and_then(|place| u16::try_from(place + 1).ok());
        match (place, only_bytes(values)) {
            (Some(place), Some(bytes)) => {
                let payloads = bytes.into_iter();
                pieces.extend(
                    payloads.map(|bytes| TypedPayload::opaque_bytes(bytes).with_profile(place)),
                );
            }
            _ => inputs.insert(port, values.clone()),
        }
    }
    let request = TypedPayload::structured_event(plain::request(call, &inputs).into_bytes());
    let mut payloads = vec![request];
    payloads.append(&mut pieces);
    let budget_ms = call
        .timeout
        .and_then(|time| u16::try_from(time.as_millis()).ok());
    let options = SubmitOptions {
        budget_policy: if call.wants_events {
            BudgetPolicy::ALLOW_PARTIAL
        } else {
            BudgetPolicy::empty()
        },
        latency_budget_ms: budget_ms.unwrap_or(0),
        ..SubmitOptions::default()
    };
    FrameSubmit::builder()
        .options(options)
        .payloads(payloads)
        .build()
}

fn only_bytes(values: &PortValue) -> Option<Vec<bytes::Bytes>> {
    let values = values.values();
    let bytes = values.iter().map(|value| match value {
        Value::Bytes(bytes) => Some(bytes.clone()),
        Value::Json(_) | Value::Asset(_) => None,
    });
    bytes
        .collect::<Option<Vec<_>>>()
        .filter(|all| !all.is_empty())
}

fn payloads(result: &ResultPush) -> Vec<TypedPayload> {
    match &result.body {
        ResultBody::Composed(composed) => composed.body().typed.iter().collect(),
        ResultBody::Empty | ResultBody::Flat(_) => Vec::new(),
    }
}

/// The event, if the result is one of progress.
fn progress(result: &ResultPush) -> Option<Json> {
    let payloads = payloads(result);
    let [payload] = payloads.as_slice() else {
        return None;
    };
    if payload.kind != PayloadKind::StructuredEvent || payload.profile_id != 0 {
        return None;
    }
    let event = Json::parse_bytes(payload.payload.clone()).ok()?;
    (plain::text(&event, "event").as_deref() == Some("progress")).then_some(event)
}

/// A result's payloads, each at the output whose place its profile is.
fn read(result: &ResultPush, ports: &Ports) -> Outputs {
    let mut lists: Vec<Vec<Value>> = ports.outputs.iter().map(|_| Vec::new()).collect();
    let mut outputs = Outputs::new();
    for payload in payloads(result) {
        let place = usize::from(payload.profile_id).checked_sub(1);
        match place.and_then(|place| lists.get_mut(place)) {
            Some(list) => list.push(output(&payload)),
            None => {
                let json = Json::parse_bytes(payload.payload).unwrap_or_default();
                for (port, values) in plain::outputs(&json.get("outputs").unwrap_or_default()) {
                    outputs.insert(port, values);
                }
            }
        }
    }
    for (name, list) in ports.outputs.iter().zip(lists) {
        if !list.is_empty() {
            outputs.insert(name.as_str(), PortValue::List(list));
        }
    }
    outputs
}

fn output(payload: &TypedPayload) -> Value {
    let bytes = || Value::Bytes(payload.payload.clone());
    match payload.kind {
        PayloadKind::TokenChunk => match std::str::from_utf8(&payload.payload) {
            Ok(text) => Value::Json(Json::from(text)),
            Err(_) => bytes(),
        },
        PayloadKind::StructuredEvent | PayloadKind::ToolDelta => {
            Json::parse_bytes(payload.payload.clone()).map_or_else(|_| bytes(), plain::value)
        }
        PayloadKind::Tensor
        | PayloadKind::AudioChunk
        | PayloadKind::VideoChunk
        | PayloadKind::OpaqueBytes => bytes(),
    }
}

fn ended(end: FrameEnd, outputs: Outputs) -> RemoteEvent {
    match end.outcome {
        FrameOutcome::Complete | FrameOutcome::Stale | FrameOutcome::Degraded => {
            RemoteEvent::Completed(outputs)
        }
        FrameOutcome::Cancelled => RemoteEvent::Cancelled,
        FrameOutcome::Dropped => RemoteEvent::Dropped {
            reason: "the server dropped the frame".to_owned(),
        },
        FrameOutcome::Expired => {
            RemoteEvent::failed(RemoteErrorKind::Deadline, "there was no result in time")
        }
        FrameOutcome::Error => failed(end.error),
        FrameOutcome::ConnectionLost => {
            let text = match end.session {
                Some(end) => end.to_string(),
                None => "the connection was lost".to_owned(),
            };
            RemoteEvent::failed(RemoteErrorKind::Lost, text)
        }
    }
}

fn failed(error: Option<FrameError>) -> RemoteEvent {
    let Some(FrameError::Peer(peer)) = &error else {
        let text = error.map_or_else(|| "the frame failed".to_owned(), |error| error.to_string());
        return RemoteEvent::failed(RemoteErrorKind::Protocol, text);
    };
    let text = String::from_utf8_lossy(&peer.diagnostic);
    if let Some((name, message)) = text.split_once(": ")
        && let Some(kind) = RemoteErrorKind::from_name(name)
    {
        return plain::failed(RemoteError::new(kind, message));
    }
    let kind = match peer.metadata.known_code() {
        Some(ErrorCode::MalformedBody) => RemoteErrorKind::InvalidInput,
        Some(ErrorCode::FrameCancelled) => RemoteErrorKind::Cancelled,
        Some(ErrorCode::FrameExpired) => RemoteErrorKind::Deadline,
        Some(ErrorCode::ServerBusy) => RemoteErrorKind::Overloaded,
        Some(ErrorCode::UnsupportedCapability) => RemoteErrorKind::Unsupported,
        Some(ErrorCode::LimitExceeded) => RemoteErrorKind::TooLarge,
        Some(_) | None => RemoteErrorKind::Failed,
    };
    plain::failed(RemoteError::new(kind, peer.to_string()))
}

fn not_sent(error: SubmitError) -> RemoteError {
    let kind = match &error {
        SubmitError::Expired { .. } => RemoteErrorKind::Deadline,
        SubmitError::Ending | SubmitError::Over(_) | SubmitError::Connecting => {
            RemoteErrorKind::Lost
        }
        SubmitError::Refused(_) | SubmitError::NotReceived { .. } | SubmitError::OthersWait | _ => {
            RemoteErrorKind::TooManyInFlight
        }
    };
    RemoteError::of(kind, error)
}
