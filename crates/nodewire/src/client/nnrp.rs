//! The NNRP wire.

mod ending;
mod message;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::nnrp::client::{ConnectOptions, FrameItem, FrameStream, Session, Submit};
use ::nnrp::{ClientTls, DialOptions, Dialer, Endpoint};
use futures_util::StreamExt;
use nnrp_wire::body::TypedPayload;
use nnrp_wire::session::{FrameKey, FrameOutcome};
use nnrp_wire::{FrameSubmit, ResultFlags};
use nodewire_core::{BoxFuture, Outputs};
use nodewire_json::Json;
use serde_json::json;
use uuid::Uuid;

use self::ending::{ended, not_sent};
use self::message::{Ports, body_bytes, payloads, progress, read, submit};
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

/// A frame that is followed.
struct Following<'a> {
    key: FrameKey,
    ports: &'a Ports,
    expires: Option<Instant>,
}

/// What a server tells of its nodes.
struct Discovered {
    name: Option<String>,
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

    async fn round_trip(&self, within: Duration) -> Option<Duration> {
        let ping = tokio::time::timeout(within / 2, self.session.ping());
        if let Ok(Ok(time)) = ping.await {
            return Some(time);
        }
        // The reference does not answer pings.
        let begun = Instant::now();
        let probe = self.session.probe(PROBE_BYTES);
        let probed = tokio::time::timeout(within / 2, probe).await;
        matches!(probed, Ok(Ok(_))).then(|| begun.elapsed())
    }

    async fn described(&self, within: Duration) -> Result<Vec<ServerDescription>, RemoteError> {
        if let Some(end) = self.session.end() {
            return Err(RemoteError::of(RemoteErrorKind::Lost, end));
        }
        let (round_trip, discovered) = tokio::join!(self.round_trip(within), self.discover(within));
        let host = self.endpoint.host();
        let port = self.endpoint.port(::nnrp::TransportId::Tcp).unwrap_or(0);
        let address = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        let server = match discovered {
            Some(Discovered {
                name,
                version,
                nodes,
            }) => ServerDescription {
                version,
                nodes,
                ..ServerDescription::at(WireName::Nnrp, name, address)
            },
            None => ServerDescription {
                is_callable: false,
                instance: self.model(),
                ..ServerDescription::new(WireName::Nnrp, address)
            },
        };
        Ok(vec![ServerDescription {
            round_trip,
            ..server
        }])
    }

    /// By custom, what the server says of the model that is active.
    fn model(&self) -> Option<String> {
        let established = self.session.established()?;
        let model = String::from_utf8(established.payload.to_vec()).ok()?;
        Some(model).filter(|model| !model.is_empty())
    }

    /// Asks what is served; `None` if the answer is another one, or none in time.
    async fn discover(&self, within: Duration) -> Option<Discovered> {
        let request = json!({"node": DISCOVERY_NODE}).to_string();
        let message = FrameSubmit::builder()
            .payloads(vec![TypedPayload::structured_event(request)])
            .build()
            .ok()?;
        let asked = Submit::new(FrameKey::new(self.session.next_frame_id()), message);
        let answered = tokio::time::timeout(within, self.session.call(asked));
        let answer = answered.await.ok()?.ok()?;
        let told = payloads(&answer.result.result).into_iter().next()?;
        let told = Json::parse_bytes(told.payload).ok()?;
        let nodes: Vec<_> = told.get("nodes")?.elements()?;
        let nodes: Vec<_> = nodes.iter().filter_map(node).collect();
        let by_node = nodes
            .iter()
            .map(|node| (node.uid.clone(), Arc::new(Ports::of(node))));
        *self.ports() = by_node.collect();
        Some(Discovered {
            name: plain::text(&told, "name"),
            version: plain::text(&told, "version"),
            nodes,
        })
    }

    async fn ports_of(&self, node: &str) -> Option<Arc<Ports>> {
        let known = self.ports().get(node).cloned();
        if known.is_some() {
            return known;
        }
        self.discover(self.options.answer_timeout).await?;
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
    fn describe(
        &self,
        at_most: Duration,
    ) -> BoxFuture<'_, Result<Vec<ServerDescription>, RemoteError>> {
        Box::pin(self.described(at_most.min(self.options.answer_timeout)))
    }

    fn carries(&self, call: &Call) -> Result<(), RemoteError> {
        let established = self.session.established();
        // Whatever the server said: 0 is no limit.
        let bytes_max = established.map_or(0, |it| it.ack.max_body_bytes);
        let ports = self.ports().get(&*call.node).cloned().unwrap_or_default();
        let bytes = submit(call, &ports).and_then(|message| body_bytes(&message));
        let bytes = bytes.map_err(|error| RemoteError::of(RemoteErrorKind::TooLarge, error))?;
        if bytes_max != 0 && bytes > u64::from(bytes_max) {
            let wire = WireName::Nnrp;
            return Err(RemoteError::too_large(wire, bytes, u64::from(bytes_max)));
        }
        Ok(())
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
