//! `nodewire device console`: commands at a prompt, with what the device publishes above it. spec: autotrainer 13

mod line;
mod live;

use std::time::Duration;

use autotrainer_api::{CallError, CommandAnswer, CommandResult, Json, PendingResult, ResultError};
use bytes::Bytes;
use console::style;
use tokio::sync::mpsc;

use super::asking::{self, Asked, Asking, Outcome};
use super::flags::RemoteFlags;
use super::prompt::{Entered, Prompt, PromptSettings, Screen};
use super::show;
use crate::failure::Failure;
use crate::signals::Signals;
use crate::terminal;
use line::{LINES_HELP, Line, words};
use live::live;

const HELP: &str = "\
Examples:
  nodewire device console --host box-7
  printf 'start\\nstatus\\n' | nodewire device console --json

Lines:
{LINES}
An empty line repeats the one before. Commands and kinds of events are completed with Tab; lines are kept in \
$XDG_STATE_HOME/nodewire/device-console-history (~/.local/state without it), the last 1000, which only their owner can read. A line \
that begins with a blank is not kept.

The numbers of start and stop depend on the version that the device speaks: without --level they wait for a heartbeat, as long as \
--level-wait, and take the newest if none comes. Late results are shown when they come.

With a pipe there is no prompt, and what the device publishes is shown only with --live.

Exit status: 0 all commands were done; 1 one failed, and the input was no terminal; 2 wrong usage; 130 interrupted.";

/// Late results that are waited for at the same time; of further commands they are not.
const PENDING_MAX: usize = 256;

#[derive(Debug, clap::Args)]
#[command(after_help = HELP.replace("{LINES}", &super::app::indented(LINES_HELP)))]
pub(super) struct ConsoleArgs {
    /// Show what the device publishes, at a pipe too.
    #[arg(long, conflicts_with = "quiet")]
    live: bool,
    /// Do not show what the device publishes.
    #[arg(long)]
    quiet: bool,
    /// Show heartbeats too.
    #[arg(long)]
    heartbeats: bool,
    /// Do not keep the lines.
    #[arg(long)]
    no_history: bool,
    /// Print JSON objects, one per line. Errors are text on standard error all the same.
    #[arg(long)]
    json: bool,
    /// How long late results may take.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = crate::micro::seconds)]
    result_timeout: Duration,
    #[command(flatten)]
    remote: RemoteFlags,
}

pub(super) async fn console(args: ConsoleArgs) -> Result<(), Failure> {
    let asking = Asking::connect(&args.remote).await?;
    let signals = Signals::listen()?;
    let mut prompt = Prompt::open(PromptSettings {
        text: "> ",
        words: words(asking.level()),
        history: (!args.no_history).then_some("device-console-history"),
        script: None,
    })?;
    let is_interactive = prompt.is_interactive();
    if !is_interactive {
        console::set_colors_enabled(false);
    }
    let is_live = args.live || (is_interactive && !args.quiet);
    let (late, results) = mpsc::channel(PENDING_MAX);
    let mut console = Console {
        screen: prompt.screen(),
        asking: asking.clone(),
        results,
        late: Some(late),
        failed: 0,
        waiting: 0,
        args: &args,
    };
    if is_interactive {
        let at = &asking.remote.options().command_endpoint;
        console
            .screen
            .show(&format!("commands to {at}; ? for help, q to end"));
    }
    let ended = tokio::select! {
        biased;
        () = signals.stop.cancelled() => Err(Failure::interrupted()),
        () = live(&args, &asking, console.screen.clone(), is_live) => Ok(()),
        ended = Box::pin(console.run(&mut prompt)) => ended,
    };
    let failed = console.failed;
    drop(console);
    asking.remote.close().await;
    prompt.close().await;
    ended?;
    terminal::results_written()?;
    if failed > 0 && !is_interactive {
        let failed = show::counted(failed, "command");
        return Err(Failure::failed(format!("{failed} failed")));
    }
    Ok(())
}

#[derive(Debug)]
struct Console<'a> {
    args: &'a ConsoleArgs,
    asking: Asking,
    screen: Screen,
    results: mpsc::Receiver<Late>,
    late: Option<mpsc::Sender<Late>>,
    failed: u64,
    /// Late results that are waited for.
    waiting: usize,
}

/// What came of a command later.
#[derive(Debug)]
struct Late {
    name: String,
    result: Result<CommandResult, ResultError>,
}

impl Console<'_> {
    async fn run(&mut self, prompt: &mut Prompt) -> Result<(), Failure> {
        let mut before: Option<String> = None;
        loop {
            let entered = tokio::select! {
                biased;
                Some(late) = self.results.recv() => {
                    self.tell_late(late);
                    continue;
                }
                entered = prompt.next() => entered,
            };
            let line = match entered {
                Entered::Line(line) if line.is_empty() => before.clone().unwrap_or_default(),
                Entered::Line(line) => before.insert(line).clone(),
                Entered::Bad(problem) => {
                    self.tell_failure(&Failure::usage(problem));
                    continue;
                }
                Entered::Interrupted => return Err(Failure::interrupted()),
                Entered::End => break,
            };
            match Line::parse(&line, self.asking.level()) {
                Ok(Line::Quit) => break,
                Ok(line) => self.act(line).await,
                Err(error) => self.tell_failure(&error),
            }
        }
        if !prompt.is_interactive() {
            self.wait_for_results().await;
        }
        Ok(())
    }

    async fn act(&mut self, line: Line) {
        match line {
            Line::Nothing => self.aside("enter a command, ? for help"),
            Line::Help => self.aside(LINES_HELP),
            Line::Services => self.tell_services(),
            Line::Raw(text) => match self.raw(text).await {
                Ok(reply) if self.args.json => {
                    let members = [("reply", reply.as_str().into())];
                    self.screen.show(show::object("raw", members).as_str());
                }
                Ok(reply) => self.screen.show(&reply),
                Err(error) => self.tell_failure(&error),
            },
            Line::Command(asked, data) => {
                if let Err(error) = self.command(asked, &data).await {
                    self.tell_failure(&error);
                }
            }
            // Told from the others before.
            Line::Quit => {}
        }
    }

    async fn command(&mut self, asked: Asked, data: &Json) -> Result<(), Failure> {
        let outcome = self.asking.ask(asked, data, false).await?;
        let name = asked.name(self.asking.level());
        match outcome {
            Outcome::Answer(answer, pending) => {
                self.tell_answer(&answer, &name);
                if let Some(pending) = pending {
                    self.expect(pending, name);
                }
                let went_well = asking::verdict(asked, &answer).is_ok();
                self.failed += u64::from(!went_well);
            }
            Outcome::Result(result) => self.tell_late(Late {
                name,
                result: Ok(*result),
            }),
            Outcome::Unreadable => self.aside("it answers, with what cannot be read"),
        }
        Ok(())
    }

    /// Has a late result told when it comes.
    fn expect(&mut self, mut pending: PendingResult, name: String) {
        let Some(late) = self.late.clone().filter(|_| self.waiting < PENDING_MAX) else {
            self.screen
                .show("too many late results are waited for; this one is not");
            return;
        };
        self.waiting += 1;
        let timeout = self.args.result_timeout;
        tokio::spawn(async move {
            let result = pending.result(timeout).await;
            // An error says that the console has ended.
            let _ = late.send(Late { name, result }).await;
        });
    }

    async fn wait_for_results(&mut self) {
        self.late = None;
        while let Some(late) = self.results.recv().await {
            self.tell_late(late);
        }
    }

    /// Frames as they are, on a connection of their own.
    async fn raw(&self, text: String) -> Result<String, Failure> {
        let timeout = self.asking.remote.options().timeout;
        let frames = [Bytes::from(text)];
        let replied = self.asking.remote.call_raw(&frames, timeout).await;
        let reply = replied.map_err(|error: CallError| asking::failed(&error))?;
        let texts = reply
            .iter()
            .map(|frame| show::one_line(&String::from_utf8_lossy(frame)));
        Ok(texts.collect::<Vec<_>>().join("\n"))
    }

    fn tell_answer(&self, answer: &CommandAnswer, name: &str) {
        if self.args.json {
            let json = show::answer_json(answer, name, self.asking.is_lossy());
            self.screen.show(json.as_str());
            return;
        }
        let message = answer.error_message.as_deref();
        let how = show::error(answer.result, answer.error_code, message);
        let how = if answer.result.is_positive() {
            style(how).green()
        } else {
            style(how).red()
        };
        self.screen.show(&how.to_string());
        self.tell_data(&answer.verbatim_data);
    }

    fn tell_data(&self, data: &Json) {
        if !data.is_null() {
            self.screen.show(&show::indented(data));
        }
    }

    fn tell_late(&mut self, late: Late) {
        self.waiting = self.waiting.saturating_sub(1);
        let Late { name, result } = late;
        match result {
            Ok(result) => {
                self.failed += u64::from(!result.result.is_positive());
                if self.args.json {
                    self.screen
                        .show(show::result_json(&result, Some(&name)).as_str());
                    return;
                }
                let message = result.error_message.as_deref();
                let how = show::error(result.result, result.error_code, message);
                self.screen.show(&format!("result of {name}: {how}"));
                self.tell_data(&result.verbatim_data);
            }
            Err(error) => self.tell_failure(&Failure::servers(format!("{name}: {error}"))),
        }
    }

    fn tell_failure(&mut self, error: &Failure) {
        self.failed += 1;
        let message = error.to_string();
        match &self.screen {
            Screen::Direct => terminal::error(&terminal::plain(&message)),
            Screen::Above { .. } => {
                let word = style("error:").red().bold();
                self.screen
                    .show(&format!("{word} {}", terminal::plain(&message)));
            }
        }
    }

    /// For people only.
    fn aside(&self, line: &str) {
        if self.args.json {
            terminal::say(line);
        } else {
            self.screen.show(line);
        }
    }

    fn tell_services(&self) {
        let services = self.asking.remote.services();
        if services.is_empty() {
            self.aside("no heartbeat yet");
        }
        for seen in services {
            let heartbeat = &seen.heartbeat;
            self.aside(&format!(
                "{}, version {}: {}",
                show::one_line(&heartbeat.identifier),
                show::one_line(&heartbeat.version),
                show::presence_name(seen.presence)
            ));
        }
    }
}
