//! What can be entered at the console.

use autotrainer_api::{Command, Json, ProtocolLevel};

use crate::device::asking::{self, Asked, PEER_WORDS};
use crate::device::event_kinds::kind_words;
use crate::failure::Failure;

pub(super) const LINES_HELP: &str = "\
start, stop, configuration, status   as the console of the peer has them
COMMAND [JSON]                       a command: its name, the start of one, or a number; its data
custom N [JSON]                      a command of the application's own
raw TEXT                             a request as it is; one that cannot be read ends a device
                                     before 0.9.18
services                             whose heartbeats were seen
help, quit (q)";

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    Command(Asked, Json),
    Raw(String),
    Services,
    Help,
    Quit,
    Nothing,
}

impl Line {
    pub(super) fn parse(line: &str, level: ProtocolLevel) -> Result<Self, Failure> {
        let (word, rest) = split(line);
        Ok(match word {
            "" => Self::Nothing,
            "?" | "help" => Self::Help,
            "q" | "quit" | "exit" => Self::Quit,
            "services" => Self::Services,
            "raw" if rest.is_empty() => return Err(Failure::usage("raw TEXT")),
            "raw" => Self::Raw(rest.to_owned()),
            "custom" => {
                let (number, data) = split(rest);
                let number = number.parse();
                let number = number.map_err(|_| Failure::usage("custom N [JSON]"))?;
                Self::Command(Asked::Custom(number), optional(data)?)
            }
            word => {
                let hint = |number| {
                    format!("`raw {{\"command\": {number}, \"nonce\": 1}}` sends it all the same")
                };
                Self::Command(Asked::by_word(word, level, hint)?, optional(rest)?)
            }
        })
    }
}

/// What is completed.
pub(super) fn words(level: ProtocolLevel) -> Vec<String> {
    let mut words: Vec<&str> = PEER_WORDS.iter().map(|(word, _)| *word).collect();
    words.extend(["custom", "raw", "services", "help", "quit"]);
    words.extend(Command::members(level).map(|member| member.name));
    kind_words(level, &words)
}

fn optional(text: &str) -> Result<Json, Failure> {
    if text.is_empty() {
        return Ok(Json::null());
    }
    asking::data(text)
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(char::is_whitespace)
        .map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let level = ProtocolLevel::NEWEST;
        let parse = |line| Line::parse(line, level).map_err(|error| error.to_string());
        let start = Asked::Command(Command::StartAcquisition);
        assert_eq!(parse("start"), Ok(Line::Command(start, Json::null())));
        let data = Json::parse("[1, 2]").unwrap();
        assert_eq!(
            parse(" custom -3 [1, 2] "),
            Ok(Line::Command(Asked::Custom(-3), data))
        );
        assert_eq!(parse("raw {\"x"), Ok(Line::Raw("{\"x".to_owned())));
        assert_eq!(parse("  "), Ok(Line::Nothing));
        assert_eq!(parse("q"), Ok(Line::Quit));
        assert!(parse("status {").unwrap_err().contains("no JSON"));
        assert!(parse("custom x").unwrap_err().contains("custom N"));
        assert!(parse("fly").unwrap_err().contains("unknown command"));
        // What is told can be entered.
        let told = parse("-7").unwrap_err();
        let raw = told.split('`').nth(1).unwrap();
        let request = r#"{"command": -7, "nonce": 1}"#.to_owned();
        assert_eq!(parse(raw), Ok(Line::Raw(request)), "{told}");
    }

    #[test]
    fn words_of_the_peer_commands_and_kinds_are_completed() {
        let words = words(ProtocolLevel::NEWEST);
        for word in ["start", "GET_ANIMALS", "trialStarted", "custom"] {
            assert!(words.iter().any(|known| known == word), "{word}");
        }
    }
}
