//! `nodewire device app`: a device, from the command line. spec: autotrainer 13

mod answers;
mod counts;
mod line;
mod publishing;
mod report;
mod samples;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use autotrainer_api::zmq::{AllowedClients, Security};
use autotrainer_api::{
    CommandRequest, CommandResponse, Deadline, EventLogOptions, Handler, Pending, ProtocolLevel,
    ResultCode, Service, ServiceBuilder, StartError, TelemetryOptions,
};

use super::event_kinds::kind_words;
use super::flags::read_options;
use super::key_files;
use super::prompt::{Entered, Prompt, PromptSettings};
use super::telemetry;
use crate::failure::{Failure, chain};
use crate::signals::Signals;
use crate::terminal;
use answers::{Answers, ExecBounds};
use line::{LINES_HELP, WORDS};
use publishing::{Flow, Publishing};
use report::Report;

const HELP: &str = "\
Examples:
  # Heartbeats, sensible answers, events from the prompt
  nodewire device app
  > app_launch
  > trialStarted {\"sessionId\": \"6f1c3f0e-0d7a-4f3e-9f2b-0b8f5b6b7a01\", \"trialId\": 1, \"reason\": \"\"}
  > repeat 100 every 50 tunnelEnter

  # A script, and answers of one's own, as a device of 0.9.11
  nodewire device app --level 0.9.11 --script events.txt --answers answers.json --stay --json

Lines of the prompt, of a script, or of standard input:
{LINES}
An empty line at the prompt repeats the one before. Lines that begin with # are comments. A context that is not what the kind \
promises is published all the same, with a warning.

The answers' file is a JSON object: the key is a command (a name, the start of one, or a number), \"custom 7\", or \"*\" for all \
others, each once; the value has, as needed,
  result         SUCCESS unless set; a name or a number
  data           its keys become camelCase, unless verbatim is true
  error_code, error_message
  after_ms       answered with PENDING_WITH_NOTIFICATION; the rest comes so much later
  exec           a shell command: the data is its standard input; the environment has
                 DEVICE_REQUEST_COMMAND, _NUMBER, _RAW_COMMAND, _CUSTOM_COMMAND, _NONCE.
                 What it prints is the data. A status other than 0 is FAILED, with that error
                 code and the last line of its standard error. timeout_s bounds its time.
For example {\"GET_STATUS\": {\"data\": {\"app_status\": 100}}, \"start\": {\"after_ms\": 500}, \"*\": {\"exec\": \"./answer.sh\"}}. \
What has no answer there is answered as by a device that is idle and does what it is told.

An answer that takes longer than --deadline becomes PENDING_WITH_NOTIFICATION, and its result is published when it is there.

It ends with its input, unless --stay, at quit, and at a signal; then applicationTerminating is published if applicationLaunched \
was, and what is queued is sent.

Exit status: 0 ended; 1 some lines were wrong (--keep-going); 2 wrong usage, or a wrong line; 3 it could not listen.";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP.replace("{LINES}", &indented(LINES_HELP)))]
pub(super) struct AppArgs {
    /// What heartbeats call it; autotrainer-device unless set.
    #[arg(long, value_name = "NAME", env = "NODEWIRE_DEVICE_IDENTIFIER")]
    identifier: Option<String>,
    /// Where it listens; 127.0.0.1 unless set. May be repeated. Without keys, whoever can reach it can command it.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "NODEWIRE_DEVICE_BIND",
        value_delimiter = ','
    )]
    bind: Vec<IpAddr>,
    /// The event port; 5556 unless set, 0 for any.
    #[arg(long, value_name = "PORT", env = "NODEWIRE_DEVICE_EVENT_PORT")]
    event_port: Option<u16>,
    /// The command port; 5557 unless set, 0 for any.
    #[arg(long, value_name = "PORT", env = "NODEWIRE_DEVICE_COMMAND_PORT")]
    command_port: Option<u16>,
    /// Time between heartbeats; 5 unless set.
    #[arg(long, value_name = "SECONDS", value_parser = crate::micro::seconds, env = "NODEWIRE_DEVICE_HEARTBEAT_INTERVAL")]
    heartbeat_interval: Option<Duration>,
    /// Which version of the protocol it speaks, 0.9.11 to 0.12.0; the newest unless set.
    #[arg(long, value_name = "VERSION", value_parser = super::flags::level, env = "NODEWIRE_DEVICE_LEVEL")]
    level: Option<ProtocolLevel>,
    /// A device's options, JSON, as the peers have them: {"rpc": {"identifier": .., "heartbeat_interval": .., ..},
    /// "telemetry": {"enable": true, "endpoint": .., "api_key": ..}}.
    #[arg(long, value_name = "FILE", env = "NODEWIRE_DEVICE_CONFIG")]
    config: Option<PathBuf>,
    /// What commands are answered.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// How long an answer may take before it becomes PENDING_WITH_NOTIFICATION.
    #[arg(long, value_name = "SECONDS", default_value = "0.1", value_parser = crate::micro::seconds)]
    deadline: Duration,
    /// How long a shell command of an answer may take, where the answer does not say it.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = crate::micro::seconds)]
    exec_timeout: Duration,
    /// How much a shell command of an answer may print.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    exec_max_output: usize,
    /// How many shell commands of answers run at the same time; further ones wait.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    exec_at_once: u16,
    /// Number what is published and keep it in this SQLite file, for clients that were away: `device replay` and
    /// `device listen --since` ask for it.
    #[arg(long, value_name = "PATH", env = "NODEWIRE_DEVICE_EVENTS_DB")]
    events_db: Option<PathBuf>,
    /// Do not number what is published: then it is to the byte what a Python device publishes.
    #[arg(long, conflicts_with = "events_db")]
    no_sequence: bool,
    /// Read lines from this file instead of standard input.
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Go on after a wrong line.
    #[arg(long)]
    keep_going: bool,
    /// Stay when there are no more lines.
    #[arg(long)]
    stay: bool,
    /// Print JSON objects, one per line: started, request, response, published, connections, counts, stopped. Errors and
    /// warnings are text on standard error all the same.
    #[arg(long)]
    json: bool,
    /// The key pair of the device: connections are encrypted.
    // Not the variable of clients, which have another pair on the same machine.
    #[arg(long, value_name = "FILE", env = "NODEWIRE_DEVICE_APP_CURVE_KEY_FILE")]
    curve_key_file: Option<PathBuf>,
    /// Whose connections are admitted: a file with the public key of a client on each line.
    #[arg(long, value_name = "FILE", requires = "curve_key_file")]
    curve_allow: Option<PathBuf>,
    /// Everybody who knows the device's public key is admitted.
    #[arg(long, requires = "curve_key_file", conflicts_with = "curve_allow")]
    curve_allow_any: bool,
}

/// Lines of help, indented.
pub(super) fn indented(text: &str) -> String {
    let lines = text.lines().map(|line| format!("  {line}\n"));
    lines.collect()
}

pub(super) async fn app(args: AppArgs) -> Result<(), Failure> {
    let level = args.level.unwrap_or_default();
    let bounds = ExecBounds {
        timeout: args.exec_timeout,
        output_bytes_max: args.exec_max_output,
        at_once_max: args.exec_at_once.into(),
    };
    let answers = Answers::new(args.answers.as_deref(), level, bounds)?;
    let builder = args.builder(level)?;
    let telemetry = telemetry::start(args.telemetry()?.as_ref())?;
    let builder = match &telemetry {
        Some(telemetry) => builder.telemetry(telemetry),
        None => builder,
    };
    let signals = Signals::listen()?;
    let mut prompt = Prompt::open(PromptSettings {
        text: "device> ",
        words: kind_words(level, &WORDS),
        history: Some("device-app-history"),
        script: args.script.clone(),
    })?;
    let report = Report::new(prompt.screen(), args.json, level);
    let answering = Answering {
        answers: Arc::new(answers),
        report: report.clone(),
    };
    let service = builder.handler(answering).build();
    let served = serve(&args, &service, &report, &mut prompt, &signals, level).await;
    drop((service, report));
    let exported = signals.unless_killed(telemetry::stop(telemetry)).await;
    prompt.close().await;
    let written = terminal::results_written();
    served.and(written).and(exported)
}

async fn serve(
    args: &AppArgs,
    service: &Service,
    report: &Report,
    prompt: &mut Prompt,
    signals: &Signals,
    level: ProtocolLevel,
) -> Result<(), Failure> {
    service.start().await.map_err(|error| not_started(&error))?;
    report.started(service);
    let mut publishing = Publishing::new(service, report, level);
    let mut wrong = 0;
    let lines = Box::pin(run_lines(args, &mut publishing, prompt, &mut wrong));
    let ended = tokio::select! {
        biased;
        () = signals.stop.cancelled() => Ok(()),
        () = report.watch(service) => Ok(()),
        ended = lines => ended,
    };
    // However it ended.
    let ended = ended.and_then(|()| summary(wrong));
    let terminating = publishing.terminate(ended.is_ok()).await;
    let stopped = async {
        service.stop().await;
        Ok(())
    };
    let stopped = signals.unless_killed(stopped).await;
    report.stopped(service);
    ended.and(terminating).and(stopped)
}

/// Does the lines, and then stays if it shall; counts those that were wrong and left.
async fn run_lines(
    args: &AppArgs,
    publishing: &mut Publishing<'_>,
    prompt: &mut Prompt,
    wrong: &mut u64,
) -> Result<(), Failure> {
    let is_interactive = prompt.is_interactive();
    let mut number = 0_u64;
    let mut before: Option<String> = None;
    loop {
        let entered = prompt.next().await;
        number += 1;
        let done = match entered {
            Entered::Line(line) if is_interactive => {
                let line = repeated(line, &mut before);
                publishing.line(&line).await
            }
            Entered::Line(line) => publishing.line(&line).await,
            Entered::Bad(problem) => Err(Failure::usage(problem)),
            Entered::Interrupted => return Ok(()),
            Entered::End => break,
        };
        match done {
            Ok(Flow::On) => {}
            Ok(Flow::End) => return Ok(()),
            Err(error) if is_interactive => publishing.report.problem(&error.to_string()),
            Err(error) => {
                let error = error.prefixed(&format!("line {number}: "));
                if !args.keep_going {
                    return Err(error);
                }
                *wrong += 1;
                publishing.report.problem(&error.to_string());
            }
        }
    }
    if args.stay {
        std::future::pending::<()>().await;
    }
    Ok(())
}

/// An empty line is the one before. spec: autotrainer 13
fn repeated(line: String, before: &mut Option<String>) -> String {
    if line.is_empty() {
        return before.clone().unwrap_or_default();
    }
    before.insert(line).clone()
}

fn summary(wrong: u64) -> Result<(), Failure> {
    match wrong {
        0 => Ok(()),
        1 => Err(Failure::failed("1 line was wrong")),
        wrong => Err(Failure::failed(format!("{wrong} lines were wrong"))),
    }
}

fn not_started(error: &StartError) -> Failure {
    Failure::servers(chain(error))
}

impl AppArgs {
    fn builder(&self, level: ProtocolLevel) -> Result<ServiceBuilder, Failure> {
        let mut builder = self.configured()?.level(level);
        if let Some(identifier) = &self.identifier {
            builder = builder.identifier(identifier);
        }
        if let Some(interval) = self.heartbeat_interval {
            if interval.is_zero() {
                return Err(Failure::usage(
                    "the time between heartbeats must be more than 0",
                ));
            }
            builder = builder.heartbeat_interval(interval);
        }
        if let Some(port) = self.event_port {
            builder = builder.subscriber_port(port);
        }
        if let Some(port) = self.command_port {
            builder = builder.command_port(port);
        }
        if self.bind.iter().any(|address| !address.is_loopback()) && self.curve_key_file.is_none() {
            terminal::say(format_args!(
                "{} whoever can reach this device can command it; --curve-key-file closes it",
                terminal::warning_word()
            ));
        }
        if !self.bind.is_empty() {
            builder = builder.bind_addresses(self.bind.iter().copied());
        }
        builder = builder.sequence(!self.no_sequence);
        if let Some(path) = &self.events_db {
            builder = builder.event_log(EventLogOptions::at(path));
        }
        let builder = builder.deadline(Deadline::PendingAfter(self.deadline));
        Ok(builder.security(self.security()?))
    }

    fn telemetry(&self) -> Result<Option<TelemetryOptions>, Failure> {
        let path = self.config.as_deref();
        let options = path.map(read_options).transpose()?;
        Ok(options.and_then(|options| options.telemetry))
    }

    fn configured(&self) -> Result<ServiceBuilder, Failure> {
        let Some(path) = &self.config else {
            return Ok(Service::builder());
        };
        let wrong = |problem: &str| Failure::usage(format!("{}: {problem}", path.display()));
        let service = read_options(path)?.service();
        service
            .map_err(|error| wrong(&error.to_string()))?
            .ok_or_else(|| {
                wrong("it wants no service: \"rpc\" is missing, or its \"enable\" is false")
            })
    }

    fn security(&self) -> Result<Security, Failure> {
        let Some(path) = &self.curve_key_file else {
            return Ok(Security::None);
        };
        let allowed = match &self.curve_allow {
            Some(list) => AllowedClients::Only(key_files::read_list(list)?),
            None if self.curve_allow_any => AllowedClients::Any,
            None => {
                return Err(Failure::usage(
                    "who may connect? Give --curve-allow FILE, or --curve-allow-any",
                ));
            }
        };
        let keys = key_files::read_pair(path)?;
        Ok(Security::CurveServer { keys, allowed })
    }
}

/// Answers commands, and tells what was asked and answered.
#[derive(Debug)]
struct Answering {
    answers: Arc<Answers>,
    report: Report,
}

impl Handler for Answering {
    async fn handle(&self, request: CommandRequest, pending: Pending) -> CommandResponse {
        self.report.request(&request);
        let (response, after) = self.answers.answer(&request).await;
        let Some(after) = after else {
            pending.forget();
            self.report.response(&request, &response, false);
            return response;
        };
        self.report.response(&request, &response, true);
        answers::complete_later(response, after, pending);
        CommandResponse::new(ResultCode::PendingWithNotification)
    }
}
