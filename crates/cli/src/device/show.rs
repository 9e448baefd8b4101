//! What is published and answered, as lines for people and as JSON objects for programs.

mod json;

pub(super) use json::{answer_json, delivery_json, event_json, result_json};

use autotrainer_api::{
    Channel, CommandResult, Delivery, Event, Gap, Heartbeat, Json, Message, Presence,
    ProtocolLevel, RemoteChange, ResultCode, Topic, UnixTime,
};
use serde::Serialize;

use crate::terminal;

/// One JSON object, of this type, with these members. What others wrote comes out as they wrote it, made standard.
pub(super) fn object<'a>(
    of_type: &str,
    members: impl IntoIterator<Item = (&'a str, Json)>,
) -> Json {
    let members = members
        .into_iter()
        .map(|(key, value)| (key, value.to_strict()));
    on_one_line(Json::object(
        std::iter::once(("type", Json::from(of_type))).chain(members),
    ))
}

/// Without line ends between values, which a peer may have written, and with what would steer a terminal escaped.
fn on_one_line(json: Json) -> Json {
    if !json
        .as_str()
        .contains(|c: char| c.is_control() || terminal::steers(c))
    {
        return json;
    }
    // Inside strings these are escaped already.
    let line = json.as_str().replace(['\n', '\t'], " ");
    Json::parse(terminal::escaped(&line).into_owned()).unwrap_or_default()
}

/// Numbers, texts, lists of them, and what may be none of them.
pub(super) fn value(value: impl Serialize) -> Json {
    // Only mappings with other keys than texts have no JSON form.
    Json::from_serialize(&value).unwrap_or_default()
}

/// What somebody else wrote, on one line and without what would steer a terminal.
pub(super) fn one_line(text: &str) -> String {
    terminal::plain(text).replace(['\n', '\t'], " ")
}

/// A JSON value, readable: a line for each member and element, in their order; numbers as they were written, with what
/// would steer a terminal escaped.
pub(super) fn indented(json: &Json) -> String {
    let strict = json.to_strict();
    let (mut out, mut depth) = (String::new(), 0_usize);
    let (mut is_inside, mut is_escaped) = (false, false);
    let mut chars = strict.as_str().chars().peekable();
    while let Some(char) = chars.next() {
        if is_inside {
            out.push(char);
            is_inside = is_escaped || char != '"';
            is_escaped = !is_escaped && char == '\\';
            continue;
        }
        match char {
            ' ' | '\t' | '\n' | '\r' => {}
            '{' | '[' => {
                out.push(char);
                while chars.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(char);
            }
            ',' => {
                out.push(char);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                is_inside = char == '"';
                out.push(char);
            }
        }
    }
    terminal::escaped(&out).into_owned()
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// When, in UTC to the millisecond.
pub(super) fn time(when: UnixTime) -> String {
    let timestamp = when.to_timestamp();
    timestamp.map_or_else(|| "at no time".to_owned(), |at| format!("{at:.3}"))
}

/// The name of an event's kind at this level, or its number.
pub(super) fn kind_name(event: &Event, level: ProtocolLevel) -> String {
    let kind = event.kind(level);
    kind.map_or_else(
        || event.kind_number.to_string(),
        |kind| kind.name().to_owned(),
    )
}

fn data(json: &Json) -> String {
    if json.is_null() {
        return String::new();
    }
    format!(" {}", one_line(json.to_strict().as_str()))
}

/// A line for people.
pub(super) fn delivery(delivery: &Delivery) -> String {
    match delivery {
        Delivery::Message(message) => message_line(message),
        Delivery::Gap(gap) => gap_line(gap),
        _ => "something unknown".to_owned(),
    }
}

fn message_line(message: &Message) -> String {
    match message {
        Message::Event {
            topic,
            event,
            level,
        } => event_line(*topic, event, *level),
        Message::Heartbeat(heartbeat) => heartbeat_line(heartbeat),
        Message::Result(result) => format!(
            "result of command {}, nonce {}: {}",
            result.command_number,
            one_line(result.nonce.as_str()),
            result_line(result)
        ),
        Message::Other { topic, payload } => {
            format!(
                "topic {topic}: {}",
                one_line(&String::from_utf8_lossy(payload))
            )
        }
        _ => "an unknown message".to_owned(),
    }
}

pub(super) fn event_line(topic: Topic, event: &Event, level: ProtocolLevel) -> String {
    let when = event.when.map_or_else(|| "-".to_owned(), time);
    let on = match topic {
        Topic::EVENT => String::new(),
        other => format!(" on {other}"),
    };
    let repeat = match event.repeat {
        None | Some(0) => String::new(),
        Some(repeat) => format!(" (and {} more)", counted(repeat, "time")),
    };
    let number = match event.kind(level) {
        Some(_) => format!(" ({})", event.kind_number),
        None => String::new(),
    };
    let (name, context) = (kind_name(event, level), data(&event.context));
    format!("{when} {name}{number}{on}{context}{repeat}")
}

fn heartbeat_line(heartbeat: &Heartbeat) -> String {
    let (identifier, version) = (
        one_line(&heartbeat.identifier),
        one_line(&heartbeat.version),
    );
    format!(
        "{} heartbeat of {identifier}, version {version}",
        time(heartbeat.timestamp)
    )
}

/// How a command went, with its data.
pub(super) fn result_line(result: &CommandResult) -> String {
    let error = error(
        result.result,
        result.error_code,
        result.error_message.as_deref(),
    );
    format!("{error}{}", data(&result.verbatim_data))
}

/// How a command went, with what is told of an error.
pub(super) fn error(result: ResultCode, code: i64, message: Option<&str>) -> String {
    let mut text = result.to_string();
    if code != 0 {
        text.push_str(&format!(", error {code}"));
    }
    if let Some(message) = message.filter(|message| !message.is_empty()) {
        text.push_str(&format!(": {}", one_line(message)));
    }
    text
}

/// So many of what has a plural with an s.
pub(super) fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

fn gap_line(gap: &Gap) -> String {
    match gap {
        Gap::SlowReader(1) => "1 message was lost here, read too slowly".to_owned(),
        Gap::SlowReader(missing) => format!("{missing} messages were lost here, read too slowly"),
        Gap::Interrupted => {
            "the connection was lost; what was published meanwhile is missing".to_owned()
        }
        Gap::IndexWentBack { last, index } => {
            format!("the device was started anew: the index went from {last} back to {index}")
        }
        Gap::Sequence { missing: 1 } => "1 message is missing".to_owned(),
        Gap::Sequence { missing } => format!("{missing} messages are missing"),
        Gap::SequenceWentBack { last, sequence } => {
            format!("the device was started anew: the sequence went from {last} back to {sequence}")
        }
        Gap::LogReplaced => "the device keeps its events in another log now".to_owned(),
        _ => "something may be missing".to_owned(),
    }
}

pub(super) const fn channel_name(channel: Channel) -> &'static str {
    match channel {
        Channel::Events => "events",
        Channel::Commands => "commands",
    }
}

pub(super) const fn presence_name(presence: Presence) -> &'static str {
    match presence {
        Presence::Present => "present",
        Presence::Late => "late",
        Presence::Gone => "gone",
    }
}

/// What changed, as a line and as an object; `None` for what is tried again every moment.
pub(super) fn change(change: &RemoteChange) -> Option<(String, Json)> {
    Some(match change {
        RemoteChange::Presence {
            identifier,
            presence,
        } => {
            let name = presence_name(*presence);
            let members = [
                ("identifier", identifier.as_str().into()),
                ("presence", name.into()),
            ];
            (
                format!("{} is {name}", one_line(identifier)),
                object("presence", members),
            )
        }
        RemoteChange::Level(level) => {
            let text = level.to_string();
            let members = [("level", text.as_str().into())];
            (
                format!("the device speaks {text}"),
                object("level", members),
            )
        }
        RemoteChange::Connected { channel, .. } => {
            let name = channel_name(*channel);
            (
                format!("connected: {name}"),
                object("connected", [("channel", name.into())]),
            )
        }
        RemoteChange::Disconnected { channel, .. } => {
            let name = channel_name(*channel);
            let members = [("channel", name.into())];
            (
                format!("connection lost: {name}"),
                object("disconnected", members),
            )
        }
        RemoteChange::NotConnected {
            channel,
            reason: Some(reason),
            ..
        } => {
            let name = channel_name(*channel);
            let members = [("channel", name.into()), ("reason", reason.as_str().into())];
            let line = format!("no connection: {name}: {}", one_line(reason));
            (line, object("notConnected", members))
        }
        RemoteChange::NotConnected { reason: None, .. } | RemoteChange::Missed(_) | _ => {
            return None;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_write_cannot_steer_and_stays_on_its_line() {
        let mut event = Event::numbered(201, UnixTime(1.5), 7);
        event.context = Json::parse("{\"a\":\n\t\"\u{9b}31m\"}").unwrap();
        let line = event_line(Topic::EVENT, &event, ProtocolLevel::NEWEST);
        assert_eq!(
            line,
            "1970-01-01T00:00:01.500Z applicationLaunched (201) {\"a\":  \"\u{fffd}31m\"}"
        );
    }

    #[test]
    fn one_is_no_plural() {
        let mut event = Event::numbered(201, UnixTime(1.5), 7);
        let mut line = |repeat| {
            event.repeat = Some(repeat);
            event_line(Topic::EVENT, &event, ProtocolLevel::NEWEST)
        };
        assert!(line(1).ends_with(" (and 1 time more)"), "{}", line(1));
        assert!(line(2).ends_with(" (and 2 times more)"), "{}", line(2));
        let gap = |missing| gap_line(&Gap::Sequence { missing });
        assert_eq!(gap(1), "1 message is missing");
        assert_eq!(gap(2), "2 messages are missing");
        let slow = gap_line(&Gap::SlowReader(1));
        assert_eq!(slow, "1 message was lost here, read too slowly");
    }

    #[test]
    fn indenting_leaves_strings_alone_and_empty_things_together() {
        let json = Json::parse(r#"{"b": [1,{}, [ ]],"a":"x, \"{y}\\", "c":2}"#).unwrap();
        let lines = [
            "{",
            r#"  "b": ["#,
            "    1,",
            "    {},",
            "    []",
            "  ],",
            r#"  "a": "x, \"{y}\\","#,
            r#"  "c": 2"#,
            "}",
        ];
        assert_eq!(indented(&json), lines.join("\n"));
        let steering = Json::parse("\"\u{9b}m\u{202e}\"").unwrap();
        assert_eq!(indented(&steering), r#""\u009bm\u202e""#);
    }

    #[test]
    fn an_object_is_one_line_that_cannot_steer() {
        let data = "{\n\t\"a\": \"\u{9b}31m\u{7f}\u{202e}\u{2028}\\n\"\r\n}";
        let data = Json::parse(data).unwrap();
        let text = object("answer", [("data", data)]);
        assert!(!text.as_str().contains(terminal::steers), "{text}");
        let back: serde_json::Value = text.decode().unwrap();
        assert_eq!(back["data"]["a"], "\u{9b}31m\u{7f}\u{202e}\u{2028}\n");
    }

    #[test]
    fn numbers_of_any_length_stay() {
        let long = Json::parse(r#"{"n": 123456789012345678901234567890, "x": NaN}"#).unwrap();
        assert_eq!(
            indented(&long),
            "{\n  \"n\": 123456789012345678901234567890,\n  \"x\": null\n}"
        );
        let text = object("event", [("context", long)]);
        assert!(
            text.as_str().contains("123456789012345678901234567890"),
            "{text}"
        );
    }
}
