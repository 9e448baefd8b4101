//! `nodewire device call`: one command.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use autotrainer_api::{CommandAnswer, CommandResult, Json, PendingResult, ResultError};

use super::asking::{self, Asked, Asking, Outcome};
use super::flags::RemoteFlags;
use super::show;
use crate::failure::Failure;
use crate::signals::Signals;
use crate::terminal;

const HELP: &str = "\
Examples:
  nodewire device call status
  nodewire device call SET_TRAINING_MODE '{\"mode\": 300}'
  nodewire device call set-live '{\"enabled\": true}' --host box-7 --json
  nodewire device call --custom 12 '{\"speed\": 2}'
  nodewire device call GET_ANIMALS --data @request.json

A command is one of start, stop, configuration, status, or a name, the start of a name that no other has (- is as good as _), or \
a number. The keys of the data may be in snake_case or camelCase.

The numbers of start and stop depend on the version that the device speaks: without --level they wait for a heartbeat, as long as \
--level-wait, and take the newest if none comes. All others are sent at once.

The data of the answer is printed as JSON; how it went is the exit status. A command that is answered with \
PENDING_WITH_NOTIFICATION is waited for, and the data of its result printed too. With --json there is an object for the answer and \
one for the result.

Exit status: 0 done or started; 1 the device says that it was not done, or the data was lost; 2 wrong usage; 3 the device cannot be \
reached, or no answer or result came in time; 130 interrupted. To NONE, any answer is a sign of life.";

/// Longer data is no request that a device reads.
const DATA_BYTES_MAX: u64 = 16 << 20;

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct CallArgs {
    /// The command, but with --custom or --number; then its data, JSON.
    #[arg(
        value_name = "COMMAND] [DATA",
        required_unless_present_any = ["custom", "number"],
        num_args = 1..=2,
        allow_negative_numbers = true
    )]
    words: Vec<String>,
    /// Its data: JSON, @FILE, or - for standard input.
    #[arg(short, long, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    data: Option<String>,
    /// A command of the application's own.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    custom: Option<i64>,
    /// A command by its number, whatever that means there.
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        conflicts_with = "custom"
    )]
    number: Option<i64>,
    /// Leave the keys of the data as they are: they are data too.
    #[arg(long)]
    verbatim: bool,
    /// Print JSON objects, one per line. Errors are text on standard error all the same.
    #[arg(long)]
    json: bool,
    /// Do not wait for a late result.
    #[arg(long)]
    no_wait: bool,
    /// How long a late result may take.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = crate::micro::seconds)]
    result_timeout: Duration,
    #[command(flatten)]
    remote: RemoteFlags,
}

pub(super) async fn call(args: CallArgs) -> Result<(), Failure> {
    let data = args.data()?;
    let asked = args.asked()?;
    let asking = Asking::connect(&args.remote).await?;
    let signals = Signals::listen()?;
    let done = signals
        .unless_stopped(args.run(&asking, asked, &data))
        .await;
    asking.remote.close().await;
    terminal::results_written().and(done)
}

impl CallArgs {
    fn asked(&self) -> Result<Asked, Failure> {
        match (self.custom, self.number, self.words.first()) {
            (Some(number), _, _) => Ok(Asked::Custom(number)),
            (None, Some(number), _) => Ok(Asked::Number(number)),
            (None, None, Some(word)) => {
                let hint = |number| format!("--number {number} sends it all the same");
                Asked::by_word(word, self.remote.level.unwrap_or_default(), hint)
            }
            (None, None, None) => Err(Failure::usage("which command?")),
        }
    }

    fn data(&self) -> Result<Json, Failure> {
        let has_command = self.custom.is_none() && self.number.is_none();
        let mut words = self.words.iter().skip(usize::from(has_command));
        let word = words.next();
        if words.next().is_some() || (word.is_some() && self.data.is_some()) {
            return Err(Failure::usage("there is more than one data"));
        }
        match self.data.as_deref().or_else(|| word.map(String::as_str)) {
            None => Ok(Json::null()),
            Some("-") => asking::data(&read(std::io::stdin(), "standard input")?),
            Some(text) => match text.strip_prefix('@') {
                Some(path) => asking::data(&read_file(Path::new(path))?),
                None => asking::data(text),
            },
        }
    }

    async fn run(&self, asking: &Asking, asked: Asked, data: &Json) -> Result<(), Failure> {
        let outcome = asking.ask(asked, data, self.verbatim).await?;
        let name = asked.name(asking.level());
        match outcome {
            Outcome::Answer(answer, pending) => {
                self.print(&answer, &name, asking.is_lossy());
                asking::verdict(asked, &answer)?;
                match pending.filter(|_| !self.no_wait) {
                    Some(pending) => self.wait(pending, &name).await,
                    None => Ok(()),
                }
            }
            Outcome::Result(result) => self.print_result(&result, &name),
            Outcome::Unreadable => {
                terminal::say("it answers, with what cannot be read");
                Ok(())
            }
        }
    }

    async fn wait(&self, mut pending: PendingResult, name: &str) -> Result<(), Failure> {
        match pending.result(self.result_timeout).await {
            Ok(result) => self.print_result(&result, name),
            Err(error @ (ResultError::TimedOut(_) | ResultError::Closed)) => {
                Err(Failure::servers(error.to_string()))
            }
        }
    }

    fn print(&self, answer: &CommandAnswer, name: &str, is_lossy: bool) {
        if self.json {
            terminal::result(show::answer_json(answer, name, is_lossy));
            return;
        }
        print_data(&answer.verbatim_data);
        if is_lossy && !answer.verbatim_data.is_null() {
            terminal::say(format_args!(
                "{} a device before 0.9.14 loses blanks, - and _ of texts, and the signs of numbers",
                terminal::warning_word()
            ));
        }
    }

    fn print_result(&self, result: &CommandResult, name: &str) -> Result<(), Failure> {
        if self.json {
            terminal::result(show::result_json(result, Some(name)));
        } else {
            print_data(&result.verbatim_data);
        }
        asking::late_verdict(result)
    }
}

fn print_data(data: &Json) {
    if !data.is_null() {
        terminal::result(show::indented(data));
    }
}

fn read_file(path: &Path) -> Result<String, Failure> {
    let file = std::fs::File::open(path);
    let file = file.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    read(file, &path.display().to_string())
}

fn read(from: impl Read, name: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = from.take(DATA_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    Ok(text)
}
