//! The JSON objects.

use autotrainer_api::{
    CommandAnswer, CommandResult, Delivery, Event, Gap, Json, Message, ProtocolLevel, Topic,
};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::{object, value};

/// A JSON object for programs.
pub(in crate::device) fn delivery_json(delivery: &Delivery) -> Json {
    match delivery {
        Delivery::Message(message) => message_json(message),
        Delivery::Gap(gap) => gap_json(gap),
        _ => object("unknown", []),
    }
}

fn message_json(message: &Message) -> Json {
    match message {
        Message::Event {
            topic,
            event,
            level,
        } => event_json("event", *topic, event, *level),
        Message::Heartbeat(heartbeat) => object(
            "heartbeat",
            [
                ("identifier", heartbeat.identifier.as_str().into()),
                ("version", heartbeat.version.as_str().into()),
                ("timestamp", value(heartbeat.timestamp)),
            ],
        ),
        Message::Result(result) => result_json(result, None),
        Message::Other { topic, payload } => {
            let payload = match std::str::from_utf8(payload) {
                Ok(text) => ("text", text.into()),
                Err(_) => ("base64", BASE64_STANDARD.encode(payload).as_str().into()),
            };
            object("message", [("topic", topic_json(*topic)), payload])
        }
        _ => object("unknown", []),
    }
}

/// The name, or the number of a topic that has none.
fn topic_json(topic: Topic) -> Json {
    topic.name().map_or_else(|| value(topic.0), Json::from)
}

pub(in crate::device) fn event_json(
    of_type: &str,
    topic: Topic,
    event: &Event,
    level: ProtocolLevel,
) -> Json {
    let kind = event.kind(level).map(|kind| kind.name());
    let mut members = vec![
        ("topic", topic_json(topic)),
        ("kind", value(kind)),
        ("kindNumber", value(event.kind_number)),
        ("when", value(event.when)),
        ("index", value(event.index)),
        ("context", event.context.clone()),
    ];
    members.extend(event.repeat.map(|repeat| ("repeat", value(repeat))));
    members.extend(event.sequence().map(|number| ("sequence", value(number))));
    let mut extra = event
        .extra
        .iter()
        .filter(|(key, _)| key != "sequence")
        .peekable();
    if extra.peek().is_some() {
        let extra = extra.map(|(key, value)| (key.as_str(), value.to_strict()));
        members.push(("extra", Json::object(extra)));
    }
    object(of_type, members)
}

/// The late result of a command; of which, if that is known.
pub(in crate::device) fn result_json(result: &CommandResult, command: Option<&str>) -> Json {
    let mut members: Vec<_> = command
        .map(|name| ("command", name.into()))
        .into_iter()
        .collect();
    members.extend([
        ("commandNumber", value(result.command_number)),
        ("nonce", result.nonce.clone()),
        ("result", result.result.to_string().as_str().into()),
        ("resultNumber", value(result.result)),
        ("positive", value(result.result.is_positive())),
        ("data", result.verbatim_data.clone()),
        ("errorCode", value(result.error_code)),
        ("errorMessage", value(&result.error_message)),
    ]);
    object("result", members)
}

/// The answer to a command.
pub(in crate::device) fn answer_json(
    answer: &CommandAnswer,
    command: &str,
    is_lossy: bool,
) -> Json {
    object(
        "answer",
        [
            ("command", command.into()),
            ("commandNumber", value(answer.command_number)),
            ("nonce", answer.nonce.clone()),
            ("result", answer.result.to_string().as_str().into()),
            ("resultNumber", value(answer.result)),
            ("positive", value(answer.result.is_positive())),
            ("data", answer.verbatim_data.clone()),
            ("errorKind", answer.error_kind.to_string().as_str().into()),
            ("errorCode", value(answer.error_code)),
            ("errorMessage", value(&answer.error_message)),
            ("lossy", value(is_lossy)),
        ],
    )
}

fn gap_json(gap: &Gap) -> Json {
    let (reason, members) = match gap {
        Gap::SlowReader(missing) => ("slowReader", vec![("missing", value(missing))]),
        Gap::Interrupted => ("interrupted", Vec::new()),
        Gap::IndexWentBack { last, index } => (
            "indexWentBack",
            vec![("last", value(last)), ("index", value(index))],
        ),
        Gap::Sequence { missing } => ("sequence", vec![("missing", value(missing))]),
        Gap::SequenceWentBack { last, sequence } => (
            "sequenceWentBack",
            vec![("last", value(last)), ("sequence", value(sequence))],
        ),
        Gap::LogReplaced => ("logReplaced", Vec::new()),
        _ => ("unknown", Vec::new()),
    };
    object(
        "gap",
        std::iter::once(("reason", reason.into())).chain(members),
    )
}
