//! `nodewire call`.

use std::time::Duration;

use nodewire::capability::Wire;
use nodewire::client::{Call, RemoteErrorKind, RemoteEvent, RemoteExecution};
use nodewire::{Outputs, Progress, Value, plain};
use nodewire_json::{Json, Kind};
use nodewire_telemetry::names::attribute;
use nodewire_telemetry::{Span, TraceParent};
use serde_json::json;

use super::chosen::{self, Chosen, Wanted};
use super::places::{PlaceFlags, WHERE, wire};
use super::values::{self, VALUES};
use crate::failure::Failure;
use crate::signals::Signals;
use crate::terminal;
use crate::traces::{self, Traces};

const HELP: &str = "\
Examples:
  nodewire call greet names=Ada names=Grace --param word=Hi --nats nats://127.0.0.1:4222
  nodewire call resize data=@photo.jpg --via http --http http://127.0.0.1:8080 --raw > small.jpg
  nodewire call render scene=@scene.json --stream --json --timeout 60

Without --via, the node is executed on the first of these wires that has it and can carry what goes in: nats, nnrp, http, autotrainer, \
nanograph. Where OTEL_EXPORTER_OTLP_ENDPOINT says where traces go, one begins here, and goes on in the node.
Progress goes to standard error, results to standard output: a line `output: value` for each. With --json the line is \
{\"event\": \"completed\", \"outputs\": {..}}, or how else it ended; bytes are {\"$bytes\": \"<base64>\"} there.
Ctrl-C cancels the execution and waits for its end; a second one does not wait.

Exit status: 0 it completed; 1 it failed, and why; 2 wrong usage, no server has the node, or no wire can carry what goes in; 3 no server was reached, or the \
connection was lost; 130 interrupted.";

#[derive(Debug, clap::Args)]
#[command(after_help = format!("{VALUES}\n\n{HELP}\n\n{WHERE}"))]
pub(crate) struct CallArgs {
    /// The node's uid.
    #[arg(value_name = "NODE")]
    node: String,
    /// What goes in.
    #[arg(value_name = "KEY=VALUE")]
    inputs: Vec<String>,
    /// Set a parameter: JSON, or a text. May be repeated.
    #[arg(short, long, value_name = "KEY=VALUE")]
    param: Vec<String>,
    /// On this wire: nanograph, nats, autotrainer, nnrp or http.
    #[arg(long, value_name = "WIRE", value_parser = wire)]
    via: Option<Wire>,
    /// Print partial outputs, too, and with --json all events.
    #[arg(long)]
    stream: bool,
    /// Print JSON objects, one per line.
    #[arg(long)]
    json: bool,
    /// Write the one value of the one output as it is: bytes, or a text.
    #[arg(long, conflicts_with_all = ["json", "stream"])]
    raw: bool,
    /// End it after this time, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = crate::micro::seconds)]
    timeout: Option<Duration>,
    /// Higher goes first among those waiting.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    priority: Option<i32>,
    /// The W3C trace context that it belongs to; else that of the variable TRACEPARENT, or a new one.
    #[arg(long, value_name = "TEXT", value_parser = traces::trace_parent)]
    traceparent: Option<TraceParent>,
    #[command(flatten)]
    places: PlaceFlags,
}

pub(super) async fn call(args: CallArgs) -> Result<(), Failure> {
    values::check(&args.inputs, &args.param)?;
    let signals = Signals::listen()?;
    let traces = Traces::start("nodewire-call");
    let mut call = Call::new(args.node.as_str());
    call.timeout = args.timeout;
    call.priority = args.priority;
    let wanted = Wanted {
        call,
        inputs: &args.inputs,
        parameters: &args.param,
        via: args.via,
    };
    let work = async |chosen| execute(&args, chosen, &signals, &traces).await;
    let called = chosen::with_node(&args.places, wanted, &signals, work).await;
    traces.stop().await;
    called
}

async fn execute(
    args: &CallArgs,
    chosen: Chosen,
    signals: &Signals,
    traces: &Traces,
) -> Result<(), Failure> {
    let Chosen {
        remote,
        server,
        mut call,
    } = chosen;
    let (wire, server) = (remote.wire(), terminal::plain(&server));
    tracing::info!(%wire, %server, "executing");
    let parent = args.traceparent.or_else(traces::parent);
    let mut span = traces.request_within(&args.node, parent);
    if let Some(span) = &mut span {
        span.add_text(attribute::WIRE, wire.name());
        span.add_text(attribute::NODE, &args.node);
        span.add_text(attribute::SERVER, &server);
    }
    let context = span.as_ref().map(Span::context).or(parent);
    call.trace_parent = context.map(|context| context.to_string());
    let mut execution = remote.execute(call).await;
    let cancel = execution.cancel_token();
    let stop = signals.stop.clone();
    tokio::spawn(async move {
        stop.cancelled().await;
        cancel.cancel();
    });
    let ended = follow(args, &mut execution).await;
    if let Some(span) = span {
        end(span, ended.as_ref());
    }
    match ended {
        Some(RemoteEvent::Completed(outputs)) if args.raw => write_raw(&outputs),
        Some(RemoteEvent::Completed(outputs)) => {
            if !args.json {
                print(&outputs);
            }
            Ok(())
        }
        Some(RemoteEvent::Cancelled) if signals.stop.is_cancelled() => Err(Failure::interrupted()),
        Some(ended) => Err(failure(&ended)),
        None => Err(Failure::servers("the execution has no end")),
    }
}

/// Shows what happens, and gives the end.
async fn follow(args: &CallArgs, execution: &mut RemoteExecution) -> Option<RemoteEvent> {
    while let Some(event) = execution.next().await {
        if args.json && (args.stream || event.is_terminal()) {
            terminal::json(as_json(&event));
        }
        match event {
            RemoteEvent::Progress(progress) if !args.json => say(&progress),
            RemoteEvent::Partial(outputs) if args.stream && !args.json => print(&outputs),
            RemoteEvent::Progress(_) | RemoteEvent::Partial(_) => {}
            ended @ (RemoteEvent::Completed(_)
            | RemoteEvent::Failed(_)
            | RemoteEvent::Cancelled
            | RemoteEvent::Dropped { .. }) => return Some(ended),
        }
    }
    None
}

/// With the outcome, in the words of the node's own span.
fn end(mut span: Span, ended: Option<&RemoteEvent>) {
    let outcome = match ended {
        Some(RemoteEvent::Completed(_)) => "completed",
        Some(RemoteEvent::Cancelled) => "cancelled",
        Some(RemoteEvent::Dropped { .. }) => "dropped",
        Some(RemoteEvent::Failed(_) | RemoteEvent::Progress(_) | RemoteEvent::Partial(_))
        | None => "failed",
    };
    span.add_text(attribute::OUTCOME, outcome);
    match ended {
        Some(RemoteEvent::Failed(error)) => {
            span.add_text(attribute::ERROR_TYPE, error.kind().name());
            span.end(Some(error.message()));
        }
        Some(RemoteEvent::Dropped { reason }) => {
            span.add_text(attribute::ERROR_TYPE, reason);
            span.end(Some("it was dropped"));
        }
        Some(
            RemoteEvent::Completed(_)
            | RemoteEvent::Cancelled
            | RemoteEvent::Progress(_)
            | RemoteEvent::Partial(_),
        )
        | None => span.end(None),
    }
}

fn failure(ended: &RemoteEvent) -> Failure {
    match ended {
        RemoteEvent::Failed(error) => {
            let text = format!("{}: {}", error.kind(), crate::failure::chain(error));
            let is_away = matches!(
                error.kind(),
                RemoteErrorKind::Unreachable
                    | RemoteErrorKind::Lost
                    | RemoteErrorKind::Unauthorized
            );
            if is_away {
                Failure::servers(text)
            } else {
                Failure::node(text)
            }
        }
        RemoteEvent::Dropped { reason } => Failure::node(format!("dropped: {reason}")),
        RemoteEvent::Cancelled => Failure::node("cancelled: the execution was cancelled"),
        RemoteEvent::Progress(_) | RemoteEvent::Partial(_) | RemoteEvent::Completed(_) => {
            Failure::node("the execution has no end")
        }
    }
}

fn say(progress: &Progress) {
    let steps = match (progress.step, progress.total) {
        (Some(step), Some(total)) => format!("{step}/{total} "),
        (Some(step), None) => format!("{step} "),
        (None, _) => String::new(),
    };
    terminal::say(format_args!(
        "{steps}{}",
        terminal::plain(&progress.message)
    ));
}

/// A line for each value; texts as they are.
fn print(outputs: &Outputs) {
    for (port, values) in outputs.iter() {
        for value in values.values() {
            let line = format!("{port}: {}", in_words(value));
            terminal::result(terminal::plain(&line));
        }
    }
}

fn in_words(value: &Value) -> String {
    match value {
        Value::Json(json) if json.kind() == Kind::String => {
            json.string().unwrap_or_default().into_owned()
        }
        Value::Json(json) => json.to_string(),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Value::Asset(asset) => asset.to_string(),
    }
}

fn write_raw(outputs: &Outputs) -> Result<(), Failure> {
    let mut values = outputs.iter().flat_map(|(_, values)| values.values());
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Failure::failed(
            "--raw is for nodes with one value at one output; this one has more or none",
        ));
    };
    match value {
        Value::Bytes(bytes) => terminal::result_bytes(bytes),
        Value::Json(_) | Value::Asset(_) => terminal::result_bytes(in_words(value).as_bytes()),
    }
    Ok(())
}

/// As the wires write events.
fn as_json(event: &RemoteEvent) -> Json {
    let named = |name: &str, key: &str, value: Json| {
        Json::object([("event", Json::from(name)), (key, value)])
    };
    match event {
        RemoteEvent::Progress(progress) => Json::from(json!({
            "event": "progress",
            "step": progress.step,
            "total": progress.total,
            "message": progress.message,
        })),
        RemoteEvent::Partial(some) => named("partial", "outputs", plain::outputs(some)),
        RemoteEvent::Completed(all) => named("completed", "outputs", plain::outputs(all)),
        RemoteEvent::Failed(error) => {
            let error = json!({"kind": error.kind().name(), "message": error.message()});
            named("failed", "error", error.into())
        }
        RemoteEvent::Cancelled => Json::from(json!({"event": "cancelled"})),
        RemoteEvent::Dropped { reason } => {
            Json::from(json!({"event": "dropped", "reason": reason}))
        }
    }
}
