//! What becomes a span. Nonces are attributes of spans and never of metrics, where each would be a series of its own.

use std::time::Duration;

use bytes::Bytes;
use nodewire_json::Json;
use nodewire_telemetry::attributes::{integer, peer_text, text};
use nodewire_telemetry::otlp::{KeyValue, SpanKind};

use super::source::{Ended, Source, SpanContext};
use crate::command::{CommandRequest, CommandResponse, CommandResult, ResultCode};
use crate::event::Event;
use crate::json::Limits;
use crate::level::ProtocolLevel;
use crate::topic::Topic;

impl Source {
    /// A command was answered.
    pub(crate) fn answered(
        &self,
        request: &CommandRequest,
        response: &CommandResponse,
        took: Duration,
    ) -> SpanContext {
        self.add_duration(took);
        let mut attributes = vec![
            text("rpc.system", "autotrainer"),
            text("rpc.method", request.command.name()),
            peer_text("autotrainer.command", request.raw_command.as_str()),
            peer_text("autotrainer.nonce", request.nonce.as_str()),
            peer_text(
                "autotrainer.custom_command",
                request.custom_command.as_str(),
            ),
        ];
        attributes.extend(result_attributes(response.result, response.error_code));
        self.end(Ended {
            name: request.command.name().to_owned(),
            kind: SpanKind::Server,
            parent: None,
            took,
            error: error(response.result, response.error_message.as_deref()),
            attributes,
        })
    }

    /// The result of a command came after its answer, whose span is the parent; from the command's arrival on.
    pub(crate) fn late_result(&self, of: SpanContext, result: &CommandResult, took: Duration) {
        let mut attributes = vec![
            integer("autotrainer.command", result.command_number),
            peer_text("autotrainer.nonce", result.nonce.as_str()),
        ];
        attributes.extend(result_attributes(result.result, result.error_code));
        self.end(Ended {
            name: "late result".to_owned(),
            kind: SpanKind::Producer,
            parent: Some(of),
            took,
            error: error(result.result, result.error_message.as_deref()),
            attributes,
        });
    }

    /// A message was published, which took so long.
    pub(crate) fn published(
        &self,
        topic: Topic,
        payload: &Bytes,
        level: ProtocolLevel,
        took: Duration,
    ) {
        let mut attributes = vec![
            text("messaging.system", "autotrainer"),
            text("messaging.destination.name", topic.to_string()),
            integer(
                "messaging.message.body.size",
                i64::try_from(payload.len()).unwrap_or(i64::MAX),
            ),
        ];
        if matches!(
            topic,
            Topic::EVENT | Topic::EMERGENCY | Topic::PROPERTY_CHANGE
        ) {
            attributes.extend(event_attributes(payload, level));
        }
        self.end(Ended {
            name: format!("publish {topic}"),
            kind: SpanKind::Producer,
            parent: None,
            took,
            error: None,
            attributes,
        });
    }

    /// A call of a remote ended, with an answer or with an error's text.
    pub(crate) fn called(
        &self,
        what: &str,
        outcome: Result<(ResultCode, i64, &Json), String>,
        took: Duration,
    ) {
        let mut attributes = vec![
            text("rpc.system", "autotrainer"),
            peer_text("rpc.method", what),
        ];
        let error = match outcome {
            Ok((result, error_code, nonce)) => {
                attributes.push(peer_text("autotrainer.nonce", nonce.as_str()));
                attributes.extend(result_attributes(result, error_code));
                error(result, None)
            }
            Err(error) => Some(error),
        };
        self.end(Ended {
            name: what.to_owned(),
            kind: SpanKind::Client,
            parent: None,
            took,
            error,
            attributes,
        });
    }
}

fn result_attributes(result: ResultCode, error_code: i64) -> [KeyValue; 2] {
    [
        text("autotrainer.result", result.to_string()),
        integer("autotrainer.error_code", error_code),
    ]
}

fn error(result: ResultCode, message: Option<&str>) -> Option<String> {
    let message = || message.map_or_else(|| result.to_string(), str::to_owned);
    (!result.is_positive()).then(message)
}

fn event_attributes(payload: &Bytes, level: ProtocolLevel) -> Vec<KeyValue> {
    let Ok(event) = Event::parse(payload, &Limits::default()) else {
        return Vec::new();
    };
    let mut attributes = vec![integer("autotrainer.event.kind", event.kind_number)];
    if let Some(kind) = event.kind(level) {
        attributes.push(text("autotrainer.event.name", kind.to_string()));
    }
    if let Some(index) = event.index.and_then(|index| i64::try_from(index).ok()) {
        attributes.push(integer("autotrainer.event.index", index));
    }
    attributes
}
