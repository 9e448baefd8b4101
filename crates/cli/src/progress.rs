//! What is shown while a run goes on: bars on a terminal, lines elsewhere, JSON for programs.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use console::style;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use nanocore::workflow::{Event, EventKind, Graph, NodeState, RunStatus};
use nanograph::message::Status;
use serde_json::json;

use crate::terminal;

/// Between two lines about the same node, except for its end.
const LINE_PERIOD: Duration = Duration::from_millis(500);

/// Between two pictures of a spinner.
const TICK: Duration = Duration::from_millis(120);

/// What every server says first, which is no news after "started". spec: nanograph 5.4
const STARTING: &str = "Starting execution...";

/// Shows what happens. Everything but JSON goes to standard error.
#[derive(Debug)]
pub(crate) struct Progress {
    names: HashMap<u64, String>,
    width: usize,
    started: Instant,
    /// How the run went, told last.
    summary: Option<String>,
    look: Look,
}

#[derive(Debug)]
enum Look {
    Bars {
        all: MultiProgress,
        bars: HashMap<String, ProgressBar>,
    },
    Lines {
        last: HashMap<String, Instant>,
    },
    Json,
}

/// How a node or server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Going,
    Done,
    Failed,
    Skipped,
}

impl Progress {
    pub(crate) fn new(graph: &Graph, json: bool) -> Self {
        let names: HashMap<_, _> = graph
            .nodes
            .iter()
            .map(|node| {
                (
                    node.id,
                    node.name
                        .clone()
                        .unwrap_or_else(|| format!("{}-{}", node.uid, node.id)),
                )
            })
            .collect();
        let width = names
            .values()
            .map(|name| console::measure_text_width(name))
            .max()
            .unwrap_or_default();
        let look = if json {
            Look::Json
        } else if std::io::stderr().is_terminal() {
            Look::Bars {
                all: MultiProgress::new(),
                bars: HashMap::new(),
            }
        } else {
            Look::Lines {
                last: HashMap::new(),
            }
        };
        Self {
            names,
            width,
            started: Instant::now(),
            summary: None,
            look,
        }
    }

    /// A server is being prepared or started.
    pub(crate) fn server(&mut self, server_uid: &str, state: &str, message: &str) {
        if let Look::Json = self.look {
            return terminal::json(
                json!({"type": "server_state", "serverUid": server_uid, "state": state, "message": message}),
            );
        }
        let mark = if state == "ready" {
            Mark::Done
        } else {
            Mark::Going
        };
        let text = if message.is_empty() { state } else { message };
        self.show(server_uid, mark, None, text);
    }

    /// A line between the others, also for programs that read JSON.
    pub(crate) fn note(&mut self, text: &str) {
        match &self.look {
            Look::Bars { all, .. } => all.suspend(|| terminal::say(text)),
            Look::Lines { .. } | Look::Json => terminal::say(text),
        }
    }

    /// Something happened in the run.
    pub(crate) fn event(&mut self, event: &Event) {
        if let Look::Json = self.look {
            return serde_json::to_string(event).map_or((), terminal::json);
        }
        let name = event
            .kind
            .node_id()
            .and_then(|id| self.names.get(&id).cloned())
            .unwrap_or_default();
        match &event.kind {
            EventKind::NodeState {
                state: NodeState::Skipped,
                cause,
                ..
            } => {
                let cause = cause
                    .and_then(|cause| self.names.get(&cause))
                    .map(|cause| format!("skipped because of {cause}"));
                self.show(
                    &name,
                    Mark::Skipped,
                    None,
                    &cause.unwrap_or_else(|| "skipped".to_owned()),
                );
            }
            EventKind::NodeState {
                state: NodeState::Aborted,
                ..
            } => self.show(&name, Mark::Skipped, None, "stopped"),
            EventKind::NodeState {
                state: NodeState::Dispatched,
                ..
            } => self.show(&name, Mark::Going, None, "started"),
            EventKind::NodeStatus { status, .. } => self.status(&name, status),
            EventKind::NodeComplete { duration, .. } => self.show(
                &name,
                Mark::Done,
                None,
                &format!("done in {}", seconds(*duration)),
            ),
            EventKind::NodeError {
                error,
                retry_in: Some(wait),
                ..
            } => {
                self.show(
                    &name,
                    Mark::Going,
                    None,
                    &format!("{error}; again in {}", seconds(*wait)),
                );
            }
            EventKind::NodeError { error, .. } => {
                self.show(&name, Mark::Failed, None, &error.to_string())
            }
            EventKind::RunFinished {
                status, duration, ..
            } => self.finished(*status, *duration),
            EventKind::RunStarted { .. } | EventKind::NodeState { .. } | _ => {}
        }
    }

    /// The name of a node of the graph.
    pub(crate) fn name(&self, node_id: u64) -> Option<&str> {
        self.names.get(&node_id).map(String::as_str)
    }

    /// Whether a program reads events as JSON.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self.look, Look::Json)
    }

    pub(crate) fn status(&mut self, name: &str, status: &Status) {
        let message = status.message.as_deref().unwrap_or_default();
        if message == STARTING && status.progress.is_none() {
            return;
        }
        let steps = status
            .progress
            .as_ref()
            .map(|progress| (progress.step, progress.total));
        self.show(name, Mark::Going, steps, message);
    }

    pub(crate) fn finished(&mut self, status: RunStatus, duration: Duration) {
        let word = match status {
            RunStatus::Complete => style("done").green(),
            RunStatus::Aborted => style("stopped").yellow(),
            RunStatus::Error | _ => style("failed").red(),
        };
        self.summary = Some(format!(
            "{} in {}",
            word.for_stderr().bold(),
            seconds(duration)
        ));
    }

    /// Ends the display, leaving its last state on the screen.
    pub(crate) fn end(&mut self) {
        if let Look::Bars { bars, .. } = &mut self.look {
            bars.drain()
                .filter(|(_, bar)| !bar.is_finished())
                .for_each(|(_, bar)| bar.abandon());
        }
        self.summary.take().into_iter().for_each(terminal::say);
    }

    pub(crate) fn show(&mut self, name: &str, mark: Mark, steps: Option<(u64, u64)>, text: &str) {
        let (name, text) = (&*terminal::name(name), &*terminal::plain(text));
        match &mut self.look {
            Look::Bars { all, bars } => {
                let bar = bars
                    .entry(name.to_owned())
                    .or_insert_with(|| new_bar(all, name, self.width));
                update(bar, mark, steps, text);
            }
            Look::Lines { last } => {
                let now = Instant::now();
                let is_due = last.get(name).is_none_or(|last| now - *last >= LINE_PERIOD);
                if mark == Mark::Going && steps.is_some() && !is_due {
                    return;
                }
                last.insert(name.to_owned(), now);
                let steps = steps
                    .map(|(step, total)| format!("{step}/{total} "))
                    .unwrap_or_default();
                terminal::say(format_args!(
                    "{:>7} {name}: {steps}{text}",
                    seconds(self.started.elapsed())
                ));
            }
            Look::Json => {}
        }
    }
}

fn new_bar(all: &MultiProgress, name: &str, width: usize) -> ProgressBar {
    // Complete before it is added, since it is drawn from then on.
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    bar.set_prefix(format!("{name:width$}"));
    bar.set_style(look("{spinner:.cyan} {prefix} {wide_msg}"));
    let bar = all.add(bar);
    bar.enable_steady_tick(TICK);
    bar
}

fn update(bar: &ProgressBar, mark: Mark, steps: Option<(u64, u64)>, text: &str) {
    let template = match (mark, steps) {
        (Mark::Going, Some((step, total))) => {
            bar.set_length(total);
            bar.set_position(step);
            "{spinner:.cyan} {prefix} {bar:24.cyan/dim} {pos}/{len} {wide_msg}"
        }
        (Mark::Going, None) => "{spinner:.cyan} {prefix} {wide_msg}",
        (Mark::Done, _) => "{prefix:.green} {wide_msg}",
        (Mark::Failed, _) => "{prefix:.red} {wide_msg}",
        (Mark::Skipped, _) => "{prefix:.yellow} {wide_msg}",
    };
    let sign = match mark {
        Mark::Going => "",
        Mark::Done => "✓ ",
        Mark::Failed => "✗ ",
        Mark::Skipped => "– ",
    };
    let template = if sign.is_empty() {
        template.to_owned()
    } else {
        format!("{sign}{template}")
    };
    bar.set_style(look(&template));
    let line = text.lines().next().unwrap_or_default().to_owned();
    if mark == Mark::Going {
        bar.set_message(line)
    } else {
        bar.finish_with_message(line)
    }
}

fn look(template: &str) -> ProgressStyle {
    // The templates here are right; a wrong one would only look plainer.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
