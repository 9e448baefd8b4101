//! Commands as people name them, sent, with what comes of them. spec: autotrainer 7, 8, 13

use std::time::Duration;

use autotrainer_api::{
    Call, CallError, Command, CommandAnswer, CommandResult, Json, PendingResult, ProtocolLevel,
    Remote, ResultCode, resolve,
};

use super::flags::RemoteFlags;
use super::show;
use crate::failure::{Failure, chain};
use crate::terminal;

/// How long a person waits without being told for what.
const HINT_AFTER: Duration = Duration::from_millis(500);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// By its name: the number depends on the level.
    Command(Command),
    /// By its number, whatever it means there.
    Number(i64),
    /// A command of the application's own.
    Custom(i64),
}

/// The words of the peer's console. spec: autotrainer 13
pub(super) const PEER_WORDS: [(&str, Command); 4] = [
    ("start", Command::StartAcquisition),
    ("stop", Command::StopAcquisition),
    ("configuration", Command::GetConfiguration),
    ("status", Command::GetStatus),
];

impl Asked {
    /// By a word of the peer's console, a number, a name (`-` is as good as `_`), or the start of one. What else can be
    /// done, where it is named, about a number that is no command's, is told by `hint`.
    pub(super) fn by_word(
        word: &str,
        level: ProtocolLevel,
        hint: fn(i64) -> String,
    ) -> Result<Self, Failure> {
        if let Some((_, command)) = PEER_WORDS.iter().find(|(known, _)| *known == word) {
            return Ok(Self::Command(*command));
        }
        if let Ok(number) = word.parse() {
            let is_known = |level: &ProtocolLevel| Command::from_number(number, *level).is_some();
            return if ProtocolLevel::ALL.iter().any(is_known) {
                Ok(Self::Number(number))
            } else {
                let hint = hint(number);
                Err(Failure::usage(format!(
                    "no command has the number {number}; {hint}"
                )))
            };
        }
        let name = word.replace('-', "_");
        if let Some(command) = named(&name, level) {
            return Ok(Self::Command(command));
        }
        let found = resolve(&name, Command::members(level));
        found.map(Self::Command).map_err(|error| {
            if let Some(newer) = named(&name, ProtocolLevel::NEWEST) {
                return no_command(newer, level);
            }
            let error = error.to_string();
            Failure::usage(format!("unknown command: {}", error.replace(&name, word)))
        })
    }

    /// How it is called in what is printed.
    pub(super) fn name(self, level: ProtocolLevel) -> String {
        match self {
            Self::Command(command) => command.to_string(),
            Self::Number(number) => Command::from_number(number, level)
                .map_or_else(|| number.to_string(), |command| command.to_string()),
            Self::Custom(number) => format!("custom {number}"),
        }
    }

    /// Whether the number is another at another level.
    pub(super) fn needs_level(self) -> bool {
        let Self::Command(command) = self else {
            return false;
        };
        let all = ProtocolLevel::ALL.iter();
        let mut numbers = all.filter_map(|level| command.number(*level));
        let first = numbers.next();
        numbers.any(|number| Some(number) != first)
    }
}

/// The command of this name, in any case.
fn named(name: &str, level: ProtocolLevel) -> Option<Command> {
    let mut members = Command::members(level);
    let found = members.find(|member| member.name.eq_ignore_ascii_case(name));
    found.map(|member| member.member)
}

fn no_command(command: Command, level: ProtocolLevel) -> Failure {
    Failure::usage(format!(
        "services of level {level} have no command {command}"
    ))
}

/// What came of a command.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The answer, and the result that is still to come.
    Answer(Box<CommandAnswer>, Option<PendingResult>),
    /// The answer was lost, but the result came.
    Result(Box<CommandResult>),
    /// A sign of life that cannot be read.
    Unreadable,
}

/// How the device is asked.
#[derive(Debug, Clone)]
pub(super) struct Asking {
    pub(super) remote: Remote,
    /// What was given; without it heartbeats tell.
    level: Option<ProtocolLevel>,
    level_wait: Duration,
}

impl Asking {
    pub(super) async fn connect(flags: &RemoteFlags) -> Result<Self, Failure> {
        let connected = Remote::connect(flags.options()?).await;
        Ok(Self {
            remote: connected.map_err(|error| Failure::usage(chain(&error)))?,
            level: flags.level,
            level_wait: flags.level_wait,
        })
    }

    /// What is known by now.
    pub(super) fn level(&self) -> ProtocolLevel {
        self.level.unwrap_or_else(|| self.remote.level())
    }

    /// Sends it and gives what came. Nothing is sent twice.
    pub(super) async fn ask(
        &self,
        asked: Asked,
        data: &Json,
        keeps_keys: bool,
    ) -> Result<Outcome, Failure> {
        self.know_level(asked).await;
        if asked == Asked::Command(Command::None) && data.is_null() {
            return self.probe().await;
        }
        let call = self.call(asked)?;
        let call = if keeps_keys {
            call.verbatim_data(data.clone())
        } else {
            call.data(data)
        };
        match call.send().await {
            Ok(answered) => Ok(Outcome::Answer(Box::new(answered.answer), answered.pending)),
            Err(CallError::ResultOnly(result)) => Ok(Outcome::Result(result)),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Whether what a service of this level answers has lost parts of its texts and numbers. spec: autotrainer 6.3
    pub(super) fn is_lossy(&self) -> bool {
        let is_known = self.level.is_some() || self.remote.last_heartbeat().is_some();
        is_known && self.level().has_lossy_responses()
    }

    /// Waits for a heartbeat, if what it tells is needed.
    async fn know_level(&self, asked: Asked) {
        if self.level.is_some() || !asked.needs_level() {
            return;
        }
        let at_first = self.level_wait.min(HINT_AFTER);
        if self.remote.wait_for_heartbeat(at_first).await.is_ok() {
            return;
        }
        let rest = self.level_wait.saturating_sub(at_first);
        if !rest.is_zero() {
            terminal::say("waiting for the heartbeat that tells the version; --level spares that");
        }
        if self.remote.wait_for_heartbeat(rest).await.is_err() {
            terminal::say(format_args!(
                "{} no heartbeat within {} s, so the number of the command is that of {}; --level says another",
                terminal::warning_word(),
                self.level_wait.as_secs_f64(),
                self.remote.level()
            ));
        }
    }

    fn call(&self, asked: Asked) -> Result<Call<'_>, Failure> {
        Ok(match (asked, self.level) {
            (Asked::Command(command), Some(level)) => {
                let number = command.number(level);
                let number = number.ok_or_else(|| no_command(command, level))?;
                self.remote.command_number(number)
            }
            (Asked::Command(command), None) => self.remote.command(command),
            (Asked::Number(number), _) => self.remote.command_number(number),
            (Asked::Custom(number), _) => self.remote.custom_command(number),
        })
    }

    /// Whatever is answered to `NONE` is a sign of life (Q15).
    async fn probe(&self) -> Result<Outcome, Failure> {
        let timeout = self.remote.options().timeout;
        let answer = self.remote.probe(timeout).await;
        Ok(match answer.map_err(|error| failed(&error))? {
            Some(answer) => Outcome::Answer(Box::new(answer), None),
            None => Outcome::Unreadable,
        })
    }
}

/// 1: the device said no; 2: it could never be sent; 3: there is no answer.
pub(super) fn failed(error: &CallError) -> Failure {
    let message = chain(error);
    match error {
        CallError::NotUnderstood => Failure::failed(message),
        CallError::UnknownCommand { .. } | CallError::Encode(_) | CallError::TooLong { .. } => {
            Failure::usage(message)
        }
        CallError::Unreachable { .. }
        | CallError::Busy
        | CallError::TooManyResults
        | CallError::TimedOut
        | CallError::ConnectionLost
        | CallError::ResultOnly(_)
        | CallError::Response(_)
        | CallError::Socket(_)
        | CallError::Closed
        | _ => Failure::servers(message),
    }
}

/// Whether a command went well; why not, if not.
pub(super) fn verdict(asked: Asked, answer: &CommandAnswer) -> Result<(), Failure> {
    if asked == Asked::Command(Command::None) {
        return Ok(());
    }
    if !answer.result.is_positive() {
        let code = answer.error_code;
        let text = show::error(answer.result, code, answer.error_message.as_deref());
        return Err(Failure::failed(text));
    }
    if answer.has_data() {
        return Ok(());
    }
    Err(Failure::failed(
        "it was done, but the device could not write the data of its answer",
    ))
}

/// As [`verdict`], of a late result.
pub(super) fn late_verdict(result: &CommandResult) -> Result<(), Failure> {
    if result.result.is_positive() || result.result == ResultCode::Success {
        return Ok(());
    }
    let code = result.error_code;
    let text = show::error(result.result, code, result.error_message.as_deref());
    Err(Failure::failed(text))
}

/// Data as a person gives it: JSON.
pub(super) fn data(text: &str) -> Result<Json, Failure> {
    let json = Json::parse(text.to_owned())
        .map_err(|error| Failure::usage(format!("the data is no JSON: {error}")))?;
    if !json.is_strict() {
        return Err(Failure::usage(
            "the data has NaN, Infinity or half a character, which no device reads",
        ));
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEWEST: ProtocolLevel = ProtocolLevel::NEWEST;

    #[test]
    fn words() {
        let hint = |number| format!("{number} it stays");
        let by = |word| Asked::by_word(word, NEWEST, hint).map_err(|error| error.to_string());
        assert_eq!(by("start"), Ok(Asked::Command(Command::StartAcquisition)));
        assert_eq!(by("status"), Ok(Asked::Command(Command::GetStatus)));
        assert_eq!(by("get-an"), Ok(Asked::Command(Command::GetAnimals)));
        assert_eq!(by("none"), Ok(Asked::Command(Command::None)));
        assert_eq!(by("100"), Ok(Asked::Number(100)));
        assert!(by("get").unwrap_err().contains("ambiguous"));
        let told = "no command has the number -7; -7 it stays";
        assert_eq!(by("-7"), Err(told.to_owned()));
        assert!(by("fly-away").unwrap_err().contains("fly-away"));
    }

    #[test]
    fn only_what_was_renumbered_needs_the_level() {
        let needs = |command| Asked::Command(command).needs_level();
        assert!(needs(Command::StartAcquisition) && needs(Command::StopAcquisition));
        assert!(!needs(Command::GetStatus) && !needs(Command::GetAnimals));
        assert!(!Asked::Number(100).needs_level());
    }
}
