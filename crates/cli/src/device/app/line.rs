//! What can be entered at the prompt of a device, or be a line of its script.

use std::time::Duration;

use autotrainer_api::{EventKind, Json, PropertyChange, ProtocolLevel, Topic};
use serde_json::json;

use crate::device::asking;
use crate::device::event_kinds::{kind_number, topic};
use crate::failure::Failure;

/// The words that are no events.
pub(super) const WORDS: [&str; 11] = [
    "app_launch",
    "app_terminate",
    "stop",
    "resume",
    "property",
    "repeat",
    "wait",
    "publish",
    "counts",
    "help",
    "quit",
];

pub(super) const LINES_HELP: &str = "\
app_launch                     publish applicationLaunched
app_terminate [REASON]         publish applicationTerminating
KIND [JSON]                    publish an event: a number, a name or the start of one; its context
stop [REASON], resume [REASON] publish emergencyStop, emergencyResume
property TARGET NAME NEW [OLD] publish a changed property on PROPERTY_CHANGE; values are JSON
publish TOPIC TEXT             publish a text on any topic
repeat N every MS LINE         do a line N times, so far apart
wait MS                        wait
counts                         what the service has counted
help, quit (q)";

/// What a line asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    Event {
        number: i64,
        context: Json,
    },
    Property(PropertyChange),
    Publish {
        topic: Topic,
        text: String,
    },
    Repeat {
        times: u64,
        every: Duration,
        action: Box<Self>,
    },
    Wait(Duration),
    Counts,
    Help,
    Quit,
    /// A comment, or nothing at all.
    Nothing,
}

impl Action {
    pub(super) fn parse(line: &str, level: ProtocolLevel) -> Result<Self, Failure> {
        let (word, rest) = split(line);
        Ok(match word {
            "" => Self::Nothing,
            word if word.starts_with('#') => Self::Nothing,
            "?" | "help" => Self::Help,
            "q" | "quit" | "exit" => Self::Quit,
            "counts" => Self::Counts,
            // Words after it are ignored, as the peer does.
            "app_launch" => Self::named(EventKind::ApplicationLaunched, Json::null(), level)?,
            "app_terminate" => Self::terminating(rest, level)?,
            "stop" => Self::emergency(EventKind::EmergencyStop, "activeAlarms", rest, level)?,
            "resume" => Self::emergency(EventKind::EmergencyResume, "resumedAlarms", rest, level)?,
            "property" => Self::property(rest)?,
            "publish" => {
                let (name, text) = split(rest);
                let topic = topic(name).map_err(Failure::usage)?;
                let text = text.to_owned();
                Self::Publish { topic, text }
            }
            "wait" => Self::Wait(milliseconds(rest)?),
            "repeat" => Self::repeat(rest, level)?,
            word => Self::Event {
                number: kind_number(word, level)?,
                context: optional_json(rest)?,
            },
        })
    }

    pub(super) fn terminating(reason: &str, level: ProtocolLevel) -> Result<Self, Failure> {
        let context = match reason {
            "" => Json::null(),
            reason => json!({"reason": reason}).into(),
        };
        Self::named(EventKind::ApplicationTerminating, context, level)
    }

    fn named(kind: EventKind, context: Json, level: ProtocolLevel) -> Result<Self, Failure> {
        let number = kind.number(level);
        let missing = || Failure::usage(format!("services of level {level} have no event {kind}"));
        let number = number.ok_or_else(missing)?;
        Ok(Self::Event { number, context })
    }

    /// A person stopped or resumed it; the code of that came with 0.11.0. spec: autotrainer 15.5, 15.6
    fn emergency(
        kind: EventKind,
        alarms: &str,
        reason: &str,
        level: ProtocolLevel,
    ) -> Result<Self, Failure> {
        const USER_BUTTON: i64 = 301;
        let reason = if reason.is_empty() {
            "user_button"
        } else {
            reason
        };
        let context = if level >= ProtocolLevel::V0_11_0 {
            json!({"reason": reason, "reasonCode": USER_BUTTON, alarms: []})
        } else {
            json!({"reason": reason})
        };
        Self::named(kind, context.into(), level)
    }

    fn property(rest: &str) -> Result<Self, Failure> {
        let usage =
            || Failure::usage("property TARGET NAME NEW [OLD]; values are JSON without blanks");
        let words: Vec<_> = rest.split_whitespace().collect();
        let (target, name, new, old) = match words.as_slice() {
            [target, name, new] => (target, name, new, None),
            [target, name, new, old] => (target, name, new, Some(old)),
            _ => return Err(usage()),
        };
        Ok(Self::Property(PropertyChange {
            target: target.parse().map_err(|_| usage())?,
            name: (*name).to_owned(),
            new_value: asking::data(new)?,
            old_value: old.map_or_else(|| Ok(Json::null()), |old| asking::data(old))?,
        }))
    }

    fn repeat(rest: &str, level: ProtocolLevel) -> Result<Self, Failure> {
        let usage = || Failure::usage("repeat N every MS LINE");
        let (times, rest) = split(rest);
        let (every, rest) = split(rest);
        let (ms, line) = split(rest);
        let times = times.parse().map_err(|_| usage())?;
        if every != "every" || line.is_empty() {
            return Err(usage());
        }
        let action = Self::parse(line, level)?;
        if matches!(action, Self::Quit | Self::Repeat { .. }) {
            return Err(Failure::usage("that cannot be repeated"));
        }
        Ok(Self::Repeat {
            times,
            every: milliseconds(ms)?,
            action: Box::new(action),
        })
    }

    /// Whether it says that the application has been launched.
    pub(super) fn launches(&self, level: ProtocolLevel) -> bool {
        let launched = EventKind::ApplicationLaunched.number(level);
        matches!(self, Self::Event { number, .. } if Some(*number) == launched)
    }

    /// Whether it says that the application terminates.
    pub(super) fn terminates(&self, level: ProtocolLevel) -> bool {
        let terminating = EventKind::ApplicationTerminating.number(level);
        matches!(self, Self::Event { number, .. } if Some(*number) == terminating)
    }
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(char::is_whitespace)
        .map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}

fn optional_json(text: &str) -> Result<Json, Failure> {
    if text.is_empty() {
        return Ok(Json::null());
    }
    asking::data(text)
}

fn milliseconds(text: &str) -> Result<Duration, Failure> {
    let ms = text.parse().map(Duration::from_millis);
    ms.map_err(|_| Failure::usage(format!("{text:?} is no number of milliseconds")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEWEST: ProtocolLevel = ProtocolLevel::NEWEST;

    fn parse(line: &str) -> Result<Action, String> {
        Action::parse(line, NEWEST).map_err(|error| error.to_string())
    }

    #[test]
    fn lines() {
        let launched = Action::Event {
            number: 201,
            context: Json::null(),
        };
        assert_eq!(parse("app_launch whatever"), Ok(launched.clone()));
        assert_eq!(parse("applicationL"), Ok(launched.clone()));
        assert_eq!(parse(" 201 "), Ok(launched.clone()));
        let context = Json::parse(r#"{"a": 1}"#).unwrap();
        assert_eq!(
            parse(r#"77 {"a": 1}"#),
            Ok(Action::Event {
                number: 77,
                context
            })
        );
        let repeat = Action::Repeat {
            times: 3,
            every: Duration::from_millis(10),
            action: Box::new(launched),
        };
        assert_eq!(parse("repeat 3 every 10 201"), Ok(repeat));
        assert_eq!(parse("# a comment"), Ok(Action::Nothing));
        assert!(matches!(
            parse("stop the door"),
            Ok(Action::Event { number: 101, .. })
        ));
        assert!(matches!(
            parse("property 1 gain 2.5"),
            Ok(Action::Property(_))
        ));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (line, told) in [
            ("fly", "unknown event"),
            ("201 {", "no JSON"),
            ("201 NaN", "NaN"),
            ("repeat 3 201", "repeat N every MS LINE"),
            (
                "repeat 2 every 1 repeat 2 every 1 201",
                "cannot be repeated",
            ),
            ("repeat 2 every 1 quit", "cannot be repeated"),
            ("wait soon", "milliseconds"),
            ("property x gain 1", "property TARGET"),
            ("publish news x", "no topic"),
        ] {
            let problem = parse(line).unwrap_err();
            assert!(problem.contains(told), "{line}: {problem}");
        }
    }
}
