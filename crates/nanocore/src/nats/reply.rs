//! From the binding's replies to what the engine is told. The form is in `nodewire::nats` and `nodewire::plain`.

use async_nats::{Message, StatusCode};
use bytes::Bytes;
use nats_micro::ServiceError;
use nodewire_json::{Json, Kind};

use super::request::ASSET;
use crate::workflow::{NodeError, NodeErrorCode, ObjectWriter, Report};

const EVENT: &str = "Nodewire-Event";
const CANCEL: &str = "Nodewire-Cancel";
/// What Python servers say of a node that was stopped, and ours on the Nanograph wire.
const CANCELLED: &str = "Execution cancelled";

/// What a reply is, before its body is read.
#[derive(Debug)]
pub(super) enum ReplyKind {
    /// Nobody serves the subject.
    NoResponders,
    /// An instance has admitted the execution.
    Accepted(Option<Accepted>),
    /// Progress or partial outputs.
    Interim,
    /// The last reply.
    End,
}

/// Who has an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Accepted {
    /// The instance.
    pub(super) instance: String,
    /// Where the execution is cancelled.
    pub(super) cancel_subject: String,
}

/// How an execution ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// So.
    Report(Report),
    /// It was refused by an instance that is full or leaving; another one may take it.
    TryAgain(String),
}

pub(super) fn kind_of(message: &Message) -> ReplyKind {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return ReplyKind::NoResponders;
    }
    match header(message, EVENT) {
        Some("accepted") => ReplyKind::Accepted(header(message, CANCEL).and_then(accepted)),
        Some("progress" | "partial") => ReplyKind::Interim,
        Some(_) | None => ReplyKind::End,
    }
}

/// `<group>.$cancel.<instance>.<id>`
fn accepted(cancel_subject: &str) -> Option<Accepted> {
    let instance = cancel_subject.rsplit('.').nth(1)?;
    Some(Accepted {
        instance: instance.to_owned(),
        cancel_subject: cancel_subject.to_owned(),
    })
}

/// What is told of an execution that was accepted.
pub(super) fn accepted_report(accepted: &Accepted) -> Report {
    Report::running(&format!("accepted by instance {}", accepted.instance))
}

/// What progress or partial outputs tell; `None` if they cannot be read.
pub(super) fn interim(payload: &Bytes) -> Option<Report> {
    let event = Json::parse_bytes(payload.clone()).ok()?;
    let mut status = ObjectWriter::new();
    status.string("type", "running");
    let text = |key: &str| event.get(key).filter(|value| value.kind() == Kind::String);
    if let Some(message) = text("message") {
        status.member("message", &message);
    }
    let number = |key: &str| event.get(key).filter(|value| value.kind() == Kind::Number);
    if let (Some(step), Some(total)) = (number("step"), number("total")) {
        status.member(
            "progress",
            &Json::object([("step", step), ("total", total)]),
        );
    }
    if let Some(some) = event.get("outputs") {
        status.member("outputs", &outputs(&some));
    }
    Some(Report::status(status.finish().ok()?))
}

/// What the last reply tells. `was_accepted`: an instance had admitted the execution.
pub(super) fn last(message: &Message, was_accepted: bool) -> Ended {
    let body = Json::parse_bytes(message.payload.clone()).unwrap_or_default();
    let Some(error) = ServiceError::from_reply(message) else {
        return Ended::Report(completed(&body));
    };
    let said = body.get("error");
    let text = |key: &str| {
        let value = said.as_ref()?.get(key)?;
        Some(value.string()?.into_owned())
    };
    let description = text("message").unwrap_or_else(|| error.description().to_owned());
    let dropped = body
        .get("reason")
        .and_then(|reason| Some(reason.string()?.into_owned()));
    let event = header(message, EVENT);
    Ended::Report(match (event, error.code()) {
        (_, Some(429 | 503)) if !was_accepted => return Ended::TryAgain(description),
        (_, Some(404)) if !was_accepted => failed(NodeErrorCode::NodeNotFound, description),
        (Some("cancelled"), _) => Report::error(CANCELLED),
        (Some("dropped"), _) if dropped.as_deref() == Some("shutdown") => failed(
            NodeErrorCode::ServerLost,
            "the instance that had it has shut down",
        ),
        (Some("dropped"), _) => failed(NodeErrorCode::Timeout, description),
        (_, Some(408)) => failed(NodeErrorCode::Timeout, description),
        (_, _) => Report::error(&description),
    })
}

fn completed(body: &Json) -> Report {
    match body.get("outputs") {
        Some(all) if all.kind() == Kind::Object => Report::complete(&outputs(&all)),
        Some(_) | None => failed(
            NodeErrorCode::InvalidOutputs,
            "the last reply has no object of outputs",
        ),
    }
}

fn failed(code: NodeErrorCode, message: impl Into<String>) -> Report {
    Report::Failed(NodeError::new(code, message))
}

/// The outputs with marked references as the plain texts that other wires have.
fn outputs(all: &Json) -> Json {
    if !all.as_str().contains(ASSET) {
        return all.clone();
    }
    let mut object = ObjectWriter::with_capacity(all.as_str().len());
    for (port, value) in all.entries().unwrap_or_default() {
        match value.elements() {
            Some(elements) => {
                let plain: Vec<Json> = elements.iter().map(unmarked).collect();
                object.member(&port, &Json::array(&plain));
            }
            None => drop(object.member(&port, &unmarked(&value))),
        }
    }
    object.finish().unwrap_or_else(|_| all.clone())
}

fn unmarked(value: &Json) -> Json {
    let only = value.entries().filter(|entries| entries.len() == 1);
    let Some([(key, reference)]) = only.as_deref() else {
        return value.clone();
    };
    if key == ASSET && reference.kind() == Kind::String {
        return reference.clone();
    }
    value.clone()
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    let headers = message.headers.as_ref()?;
    Some(headers.get(name)?.as_str())
}
