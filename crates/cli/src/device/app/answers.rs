//! The answers of a file: fixed ones, late ones, and shell commands.

mod in_order;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use autotrainer_api::{
    Command, CommandRequest, CommandResponse, Json, Pending, ProtocolLevel, ResultCode, resolve,
};
use serde::Deserialize;
use tokio::sync::Semaphore;

use self::in_order::InOrder;
use super::samples;
use crate::device::asking::Asked;
use crate::failure::Failure;
use crate::shell_command::{Ended, Given, RunError, ShellCommand};

/// What the variables of a shell command begin with.
const VARIABLES: &str = "DEVICE_REQUEST_";
/// What a variable may be long; the system limits one to 128 KiB.
const VARIABLE_BYTES_MAX: usize = 32 << 10;
/// The answer to whatever has none of its own.
const ANY: &str = "*";

/// Which requests an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Command(Command),
    Custom(i64),
    Any,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(command) => write!(f, "{command}"),
            Self::Custom(number) => write!(f, "custom {number}"),
            Self::Any => f.write_str(ANY),
        }
    }
}

/// An answer as the file has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Described {
    /// A name, the start of one, or a number.
    result: Option<ResultName>,
    data: Json,
    /// Whether the keys of the data stay as they are.
    verbatim: bool,
    error_code: i64,
    error_message: Option<String>,
    /// Answered with PENDING_WITH_NOTIFICATION; this comes so much later.
    after_ms: Option<u64>,
    /// A shell command makes the answer.
    exec: Option<String>,
    timeout_s: Option<f64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum ResultName {
    Number(i64),
    Name(String),
}

#[derive(Debug)]
enum Made {
    Fixed(CommandResponse),
    Exec(ShellCommand),
}

#[derive(Debug)]
struct Canned {
    made: Made,
    after: Option<Duration>,
}

/// Bounds of shell commands, where an answer does not say another.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExecBounds {
    pub(super) timeout: Duration,
    pub(super) output_bytes_max: usize,
    /// How many run at the same time; further ones wait.
    pub(super) at_once_max: usize,
}

/// All answers.
#[derive(Debug)]
pub(super) struct Answers {
    canned: HashMap<Key, Canned>,
    level: ProtocolLevel,
    execs: Semaphore,
}

impl Answers {
    pub(super) fn new(
        path: Option<&Path>,
        level: ProtocolLevel,
        bounds: ExecBounds,
    ) -> Result<Self, Failure> {
        let canned = path.map(|path| {
            let wrong = |problem: String| Failure::usage(format!("{}: {problem}", path.display()));
            let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
            all_canned(&text, level, bounds).map_err(wrong)
        });
        Ok(Self {
            canned: canned.transpose()?.unwrap_or_default(),
            level,
            execs: Semaphore::new(bounds.at_once_max),
        })
    }

    /// Answers a request; what comes later is completed by `pending`.
    pub(super) async fn answer(
        &self,
        request: &CommandRequest,
    ) -> (CommandResponse, Option<Duration>) {
        let Some(canned) = self.of(request) else {
            return (samples::answer(request, self.level), None);
        };
        let response = match &canned.made {
            Made::Fixed(response) => response.clone(),
            Made::Exec(command) => self.exec(command, request).await,
        };
        (response, canned.after)
    }

    fn of(&self, request: &CommandRequest) -> Option<&Canned> {
        let custom = request.custom_command.as_str().parse().ok();
        let custom = custom.filter(|_| request.command == Command::UserDefined);
        let keys = [
            custom.map(Key::Custom),
            Some(Key::Command(request.command)),
            Some(Key::Any),
        ];
        keys.into_iter()
            .flatten()
            .find_map(|key| self.canned.get(&key))
    }

    async fn exec(&self, command: &ShellCommand, request: &CommandRequest) -> CommandResponse {
        let Ok(_permit) = self.execs.acquire().await else {
            return CommandResponse::unavailable();
        };
        let data = request.data();
        let variables = match variables(request, self.level) {
            Ok(variables) => variables,
            Err(message) => return CommandResponse::new(ResultCode::Failed).with_error(0, message),
        };
        let given = Given {
            input: data.as_str().as_bytes(),
            prefix: VARIABLES,
            variables: &variables,
        };
        match command.run(&given).await {
            Ok(ended) => response(ended),
            Err(error) => {
                if let RunError::Io(error) = &error {
                    tracing::warn!(%error, command = command.line, "a shell command cannot be run");
                }
                CommandResponse::new(ResultCode::Failed).with_error(0, error.to_string())
            }
        }
    }
}

/// The answers of a file, or what is wrong with them.
fn all_canned(
    text: &[u8],
    level: ProtocolLevel,
    bounds: ExecBounds,
) -> Result<HashMap<Key, Canned>, String> {
    let unread = |error: serde_json::Error| error.to_string();
    // A list would be read as fields in their order.
    let objects: InOrder<serde_json::Value> = serde_json::from_slice(text).map_err(unread)?;
    if let Some((word, _)) = objects.0.iter().find(|(_, answer)| !answer.is_object()) {
        return Err(format!("{word}: the answer is no JSON object"));
    }
    let described: InOrder<Described> = serde_json::from_slice(text).map_err(unread)?;
    let mut canned = HashMap::new();
    let mut words = HashMap::new();
    for (word, described) in described.0 {
        let of_word = |error: Failure| format!("{word}: {error}");
        let key = key(&word, level).map_err(of_word)?;
        let answer = described.canned(bounds).map_err(of_word)?;
        canned.insert(key, answer);
        // The same command may be called by several names.
        if let Some(before) = words.insert(key, word.clone()) {
            return Err(format!(
                "{before:?} and {word:?} are two answers for {key}; one has to go"
            ));
        }
    }
    Ok(canned)
}

/// Completes a command that was answered with PENDING_WITH_NOTIFICATION.
pub(super) fn complete_later(response: CommandResponse, after: Duration, pending: Pending) {
    // As many as may be pending at the service; it answers no further ones.
    tokio::spawn(async move {
        tokio::time::sleep(after).await;
        // An error says that the service has stopped.
        let _ = pending.complete(response);
    });
}

fn key(word: &str, level: ProtocolLevel) -> Result<Key, Failure> {
    if word == ANY {
        return Ok(Key::Any);
    }
    if let Some(number) = word.strip_prefix("custom ") {
        let number = number.trim().parse();
        let number = number.map_err(|_| Failure::usage("a custom command is a number"))?;
        return Ok(Key::Custom(number));
    }
    // What a service takes such a number for. spec: autotrainer 5.5
    let hint = |_| "USER_DEFINED answers all that have no name".to_owned();
    match Asked::by_word(word, level, hint)? {
        Asked::Command(command) => Ok(Key::Command(command)),
        Asked::Number(number) | Asked::Custom(number) => Command::from_number(number, level)
            .map(Key::Command)
            .ok_or_else(|| {
                Failure::usage(format!("services of level {level} have no such command"))
            }),
    }
}

impl Described {
    fn canned(self, bounds: ExecBounds) -> Result<Canned, Failure> {
        let after = self.after_ms.map(Duration::from_millis);
        let made = match self.exec {
            Some(line) => Made::Exec(ShellCommand {
                line,
                timeout: match self.timeout_s {
                    Some(seconds) => Duration::try_from_secs_f64(seconds)
                        .map_err(|error| Failure::usage(format!("timeout_s: {error}")))?,
                    None => bounds.timeout,
                },
                output_bytes_max: bounds.output_bytes_max,
            }),
            None => Made::Fixed(self.fixed()?),
        };
        Ok(Canned { made, after })
    }

    fn fixed(self) -> Result<CommandResponse, Failure> {
        let result = match &self.result {
            None => ResultCode::Success,
            Some(ResultName::Number(number)) => ResultCode::from_value(*number),
            Some(ResultName::Name(name)) => resolve(name, ResultCode::members())
                .map_err(|error| Failure::usage(format!("result: {error}")))?,
        };
        let mut response = CommandResponse::new(result);
        response = if self.verbatim {
            response.with_verbatim_data(self.data)
        } else {
            response.with_data(&self.data)
        };
        response.error_code = self.error_code;
        response.error_message = self.error_message;
        Ok(response)
    }
}

fn variables(
    request: &CommandRequest,
    level: ProtocolLevel,
) -> Result<Vec<(String, String)>, &'static str> {
    let all = [
        ("COMMAND", request.command.to_string()),
        ("NUMBER", request.answered_number(level).to_string()),
        ("RAW_COMMAND", request.raw_command.as_str().to_owned()),
        ("CUSTOM_COMMAND", request.custom_command.as_str().to_owned()),
        ("NONCE", request.nonce.as_str().to_owned()),
    ];
    if all
        .iter()
        .any(|(_, value)| value.len() > VARIABLE_BYTES_MAX)
    {
        return Err("a field of the request is too long for the command that answers it");
    }
    let named = all
        .into_iter()
        .map(|(name, value)| (format!("{VARIABLES}{name}"), value));
    Ok(named.collect())
}

/// What it printed is the data: JSON, or a text. Another status than 0 is a failure with that error code.
fn response(ended: Ended) -> CommandResponse {
    let text = String::from_utf8_lossy(&ended.output);
    let text = text.trim();
    let data = match Json::parse(text.to_owned()) {
        _ if text.is_empty() => Json::null(),
        Ok(json) => json.to_strict(),
        Err(_) => Json::from(text),
    };
    if ended.status.success() {
        return CommandResponse::success().with_data(&data);
    }
    CommandResponse::new(ResultCode::Failed)
        .with_data(&data)
        .with_error(ended.exit_code().unwrap_or(1).into(), ended.description())
}
