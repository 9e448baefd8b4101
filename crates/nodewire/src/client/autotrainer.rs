//! The Autotrainer wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use autotrainer_api::command::data::Configuration;
use autotrainer_api::{
    CallError, Channel, Command, CommandAnswer, CommandResult, Delivery, Heartbeat, Message,
    PendingResult, Presence, PropertyChange, Remote, RemoteOptions as WireOptions, ResultCode,
    ResultError, SubscribeOptions, Subscription, Topic,
};
use nodewire_core::BoxFuture;
use nodewire_json::Json;
use serde_json::json;

use super::RemoteOptions;
use super::call::Call;
use super::description::{Load, NodeDescription, ServerDescription};
use super::error::{RemoteError, RemoteErrorKind};
use super::execution::RemoteEvent;
use super::plain;
use super::wire::{Told, Wire};
use crate::autotrainer::error_code;
use crate::capability::Wire as WireName;

/// The commands of this crate's devices, unless they are configured otherwise.
const NODES_COMMAND: i64 = 1;
const CANCEL_COMMAND: i64 = 2;

/// Without a timeout of the caller's.
const LONG: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// For the answer to a request that a device has: one that runs long is answered before it has ended, and a connection that
/// is lost is told of.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Whether a device is still there is looked at so often, while it executes.
const WATCH_INTERVAL: Duration = Duration::from_secs(4);

/// What stands around a request's data.
const ENVELOPE_BYTES: u64 = 256;

/// A device.
#[derive(Debug)]
pub(super) struct Autotrainer {
    remote: Remote,
    options: Arc<RemoteOptions>,
    /// What it takes, as it told last.
    message_bytes_max: AtomicU64,
    /// Keeps the topic subscribed to, so that the first changes of an execution are not missed. Its own messages are
    /// dropped.
    _changes: Subscription,
}

impl Autotrainer {
    pub(super) async fn connect(
        events: &str,
        commands: &str,
        options: &Arc<RemoteOptions>,
    ) -> Result<Self, RemoteError> {
        let mut wire = WireOptions::endpoints(events, commands);
        wire.timeout = options.connect_timeout;
        wire.event_channel_wait = options.connect_timeout;
        wire.results_max = options.executions_max.max(1);
        wire.limits.frame_bytes_max = options.message_bytes_max;
        let remote = Remote::connect(wire)
            .await
            .map_err(|error| RemoteError::of(RemoteErrorKind::Unreachable, error))?;
        let kept = SubscribeOptions {
            messages_max: 1,
            ..changes()
        };
        Ok(Self {
            _changes: remote.subscribe(kept).await,
            message_bytes_max: AtomicU64::new(options.message_bytes_max as u64),
            remote,
            options: Arc::clone(options),
        })
    }

    async fn described(&self, at_most: Duration) -> Result<Vec<ServerDescription>, RemoteError> {
        let begun = Instant::now();
        let left = |time: Duration| time.min(at_most).saturating_sub(begun.elapsed());
        let answer_timeout = self.options.answer_timeout;
        let probed = self.remote.probe(left(answer_timeout)).await;
        let round_trip = probed.is_ok().then(|| begun.elapsed());
        let configuration = match round_trip {
            Some(_) => self.configuration(left(answer_timeout)).await,
            None => None,
        };
        let configuration = configuration.unwrap_or_default();
        let version = &configuration.application_version;
        if let Some(version) = version.strip_prefix("nodewire ") {
            let (told_version, nodes) = self.nodes(left(answer_timeout)).await?;
            return Ok(vec![ServerDescription {
                version: told_version.or_else(|| Some(version.to_owned())),
                round_trip,
                nodes,
                ..ServerDescription::new(WireName::Autotrainer, configuration.device_id)
            }]);
        }
        // They are heard from the connection on, whatever was asked meanwhile.
        let heard = self.heartbeat(left(self.options.heartbeat_timeout)).await;
        let mut server = match (heard, probed) {
            (Some(heartbeat), _) => ServerDescription {
                version: Some(heartbeat.version),
                ..ServerDescription::new(WireName::Autotrainer, heartbeat.identifier)
            },
            (None, Ok(_)) => ServerDescription::new(
                WireName::Autotrainer,
                Some(configuration.device_id)
                    .filter(|id| !id.is_empty())
                    .unwrap_or_else(|| self.remote.options().command_endpoint.clone()),
            ),
            (None, Err(error)) => return Err(not_sent(error)),
        };
        server.round_trip = round_trip;
        server.is_callable = false;
        Ok(vec![server])
    }

    /// The last heartbeat, or the first once it comes; not that of a device that has fallen silent.
    async fn heartbeat(&self, within: Duration) -> Option<Heartbeat> {
        let heartbeat = self.remote.wait_for_heartbeat(within).await.ok()?;
        let mut services = self.remote.services().into_iter();
        let is_gone = services.any(|seen| {
            seen.heartbeat.identifier == heartbeat.identifier && seen.presence == Presence::Gone
        });
        (!is_gone).then_some(heartbeat)
    }

    /// What any device tells, without an effect there.
    async fn configuration(&self, within: Duration) -> Option<Configuration> {
        let call = self.remote.command(Command::GetConfiguration);
        let answered = call.timeout(within).send().await;
        answered.ok()?.answer.verbatim_data.decode().ok()
    }

    /// The server's version, if it tells that, and its nodes.
    async fn nodes(
        &self,
        within: Duration,
    ) -> Result<(Option<String>, Vec<NodeDescription>), RemoteError> {
        let call = self.remote.custom_command(NODES_COMMAND);
        let answered = call.timeout(within).send().await;
        let told = answered.map_err(not_sent)?.answer.verbatim_data;
        if let Some(bytes_max) = plain::number(&told, "messageBytesMax") {
            let ours = self.options.message_bytes_max as u64;
            self.message_bytes_max
                .store(bytes_max.min(ours), Ordering::Relaxed);
        }
        let version = told
            .get("server")
            .and_then(|server| plain::text(&server, "version"));
        let nodes = told.get("nodes").and_then(|nodes| nodes.elements());
        let nodes = nodes.unwrap_or_default();
        Ok((version, nodes.iter().filter_map(node).collect()))
    }

    fn check_room(&self, bytes: u64) -> Result<(), RemoteError> {
        let bytes = bytes.saturating_add(ENVELOPE_BYTES);
        let bytes_max = self.message_bytes_max.load(Ordering::Relaxed);
        if bytes > bytes_max {
            let wire = WireName::Autotrainer;
            return Err(RemoteError::too_large(wire, bytes, bytes_max));
        }
        Ok(())
    }

    async fn executed(&self, call: &Call, told: &Told) -> RemoteEvent {
        let mut changes = match call.wants_events {
            true => Some(self.remote.subscribe(changes()).await),
            false => None,
        };
        let data = plain::request(call, &call.inputs);
        // A device does not read what is too long, nor does it answer.
        if let Err(error) = self.check_room(data.as_str().len() as u64) {
            return RemoteEvent::Failed(error);
        }
        let asked = self
            .remote
            .command(Command::UserDefined)
            .verbatim_data(data);
        let is_there = self.remote.is_connected(Channel::Commands);
        let patience = if is_there {
            ANSWER_TIMEOUT
        } else {
            self.options.connect_timeout
        };
        let answered = match asked.timeout(patience).send().await {
            Ok(answered) => answered,
            Err(CallError::ResultOnly(result)) => return ended(&result),
            Err(error) => return RemoteEvent::Failed(not_sent(error)),
        };
        match answered.pending {
            Some(pending) => self.follow(pending, changes.as_mut(), told).await,
            None => answer(&answered.answer),
        }
    }

    async fn follow(
        &self,
        mut pending: PendingResult,
        mut changes: Option<&mut Subscription>,
        told: &Told,
    ) -> RemoteEvent {
        let nonce = pending.nonce();
        let mut is_asked = false;
        let gone = self.gone();
        tokio::pin!(gone);
        let result = loop {
            tokio::select! {
                biased;
                () = told.cancel.cancelled(), if !is_asked => {
                    is_asked = true;
                    self.stop(nonce).await;
                }
                delivery = next(&mut changes) => match delivery {
                    Some(delivery) => take(delivery, nonce, told).await,
                    None => changes = None,
                },
                result = pending.result(LONG) => break result,
                () = &mut gone => {
                    let text = "the device is not there any more; it may have been executed";
                    return RemoteEvent::failed(RemoteErrorKind::Lost, text);
                }
            }
        };
        // They were published before the result.
        while let Some(delivery) = changes.as_mut().and_then(|changes| changes.try_next()) {
            take(delivery, nonce, told).await;
        }
        match result {
            Ok(result) => ended(&result),
            Err(ResultError::TimedOut(_)) => {
                RemoteEvent::failed(RemoteErrorKind::Deadline, "there was no result in time")
            }
            Err(error @ ResultError::Closed) => {
                RemoteEvent::Failed(RemoteError::of(RemoteErrorKind::Lost, error))
            }
        }
    }

    /// Once the device has been away for longer than a moment: no result comes from one that was started anew.
    async fn gone(&self) {
        let mut misses = 0;
        while misses < 2 {
            tokio::time::sleep(WATCH_INTERVAL).await;
            let is_there = self.remote.is_connected(Channel::Commands);
            misses = if is_there { 0 } else { misses + 1 };
        }
    }

    async fn stop(&self, nonce: u64) {
        let data = Json::from(json!({"nonce": nonce}));
        let call = self
            .remote
            .custom_command(CANCEL_COMMAND)
            .verbatim_data(data);
        // Without an answer the end says how it went.
        let _ = call.timeout(self.options.answer_timeout).send().await;
    }
}

impl Wire for Autotrainer {
    fn describe(
        &self,
        at_most: Duration,
    ) -> BoxFuture<'_, Result<Vec<ServerDescription>, RemoteError>> {
        Box::pin(self.described(at_most))
    }

    fn carries(&self, call: &Call) -> Result<(), RemoteError> {
        self.check_room(plain::request_bytes(call))
    }

    fn run(self: Arc<Self>, call: Call, told: Told) -> BoxFuture<'static, RemoteEvent> {
        Box::pin(async move { self.executed(&call, &told).await })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.remote.close())
    }
}

fn changes() -> SubscribeOptions {
    SubscribeOptions::topics(&[Topic::PROPERTY_CHANGE])
}

async fn next(changes: &mut Option<&mut Subscription>) -> Option<Delivery> {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

/// What is told of other executions, and of a device's other properties, is left.
async fn take(delivery: Delivery, nonce: u64, told: &Told) {
    let Delivery::Message(Message::Event { event, .. }) = delivery else {
        return;
    };
    let Ok(change) = event.context.decode::<PropertyChange>() else {
        return;
    };
    if plain::number(&change.new_value, "nonce") == Some(nonce)
        && matches!(change.name.as_str(), "progress" | "partial")
    {
        // Neither ends an execution.
        let _ = plain::take(&change.new_value, told).await;
    }
}

fn node(told: &Json) -> Option<NodeDescription> {
    Some(NodeDescription {
        name: plain::text(told, "name"),
        version: plain::text(told, "version"),
        description: plain::text(told, "description").filter(|text| !text.is_empty()),
        schema: told.get("schema"),
        address: plain::number(told, "command").map(|number| number.to_string()),
        load: told.get("stats").as_ref().and_then(Load::from_stats),
        ..NodeDescription::new(plain::text(told, "node")?)
    })
}

fn answer(answer: &CommandAnswer) -> RemoteEvent {
    if answer.result == ResultCode::Success {
        return plain::completed(&answer.verbatim_data);
    }
    let message = answer.error_message.as_deref();
    failed(answer.result, answer.error_code, message)
}

fn ended(result: &CommandResult) -> RemoteEvent {
    if result.result == ResultCode::Success {
        return plain::completed(&result.verbatim_data);
    }
    failed(
        result.result,
        result.error_code,
        result.error_message.as_deref(),
    )
}

fn failed(result: ResultCode, code: i64, message: Option<&str>) -> RemoteEvent {
    let kind = match code {
        error_code::INVALID_INPUT => RemoteErrorKind::InvalidInput,
        error_code::NOT_FOUND => RemoteErrorKind::NotFound,
        error_code::CANCELLED => RemoteErrorKind::Cancelled,
        error_code::DEADLINE => RemoteErrorKind::Deadline,
        error_code::OVERLOADED => RemoteErrorKind::Overloaded,
        error_code::UNSUPPORTED => RemoteErrorKind::Unsupported,
        error_code::UNAVAILABLE | error_code::EMERGENCY_STOPPED => RemoteErrorKind::Unavailable,
        error_code::UNKNOWN_NODE => RemoteErrorKind::UnknownNode,
        error_code::QUEUE_FULL => RemoteErrorKind::QueueFull,
        error_code::TOO_MANY_IN_FLIGHT => RemoteErrorKind::TooManyInFlight,
        error_code::SHUTTING_DOWN => RemoteErrorKind::ShuttingDown,
        error_code::ANSWER_TOO_LONG => RemoteErrorKind::TooLarge,
        _ if result == ResultCode::Exception => RemoteErrorKind::Internal,
        _ if result == ResultCode::Unrecognized => RemoteErrorKind::UnknownNode,
        _ => RemoteErrorKind::Failed,
    };
    let message = message.map_or_else(|| format!("the device answered {result}"), str::to_owned);
    plain::failed(RemoteError::new(kind, message))
}

fn not_sent(error: CallError) -> RemoteError {
    let kind = match &error {
        CallError::Unreachable { .. } | CallError::TimedOut => RemoteErrorKind::Unreachable,
        CallError::Busy | CallError::TooManyResults => RemoteErrorKind::TooManyInFlight,
        CallError::TooLong { .. } => RemoteErrorKind::TooLarge,
        CallError::ConnectionLost | CallError::Closed => RemoteErrorKind::Lost,
        CallError::ResultOnly(_)
        | CallError::NotUnderstood
        | CallError::Response(_)
        | CallError::UnknownCommand { .. }
        | CallError::Encode(_)
        | CallError::Socket(_)
        | _ => RemoteErrorKind::Protocol,
    };
    RemoteError::of(kind, error)
}
