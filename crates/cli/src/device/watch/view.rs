//! The state for people.

use std::fmt::Write as _;
use std::io::Write as _;

use autotrainer_api::{Presence, ServiceSeen};
use console::{Term, style, truncate_str};

use super::state::State;
use crate::device::show::{self, one_line};

/// Draws in place.
#[derive(Debug)]
pub(super) struct View {
    terminal: Term,
    /// What was drawn, and on how many columns: text of another width wraps.
    drawn: Option<(String, u16)>,
}

impl View {
    pub(super) fn new() -> Self {
        Self {
            terminal: Term::stdout(),
            drawn: None,
        }
    }

    pub(super) fn draw(&mut self, state: &State) {
        let (rows, columns) = self.terminal.size();
        let lines = lines(state).into_iter().take(usize::from(rows.max(2)) - 1);
        let mut text = String::new();
        for line in lines {
            let _ = writeln!(text, "{}", truncate_str(&line, columns.into(), "…"));
        }
        if self
            .drawn
            .as_ref()
            .is_some_and(|(drawn, of)| *drawn == text && *of == columns)
        {
            return;
        }
        // A terminal that cannot be written to has gone, and its hang-up ends us.
        let _ = self.replace(&text, columns);
        self.drawn = Some((text, columns));
    }

    fn replace(&mut self, text: &str, columns: u16) -> std::io::Result<()> {
        match &self.drawn {
            Some((drawn, of)) if *of == columns => {
                self.terminal.clear_last_lines(drawn.lines().count())?;
            }
            Some(_) => self.terminal.clear_screen()?,
            None => {}
        }
        self.terminal.write_all(text.as_bytes())?;
        self.terminal.flush()
    }
}

/// All that is known, a line for each thing.
pub(super) fn lines(state: &State) -> Vec<String> {
    let mut lines: Vec<String> = state.services.iter().map(service).collect();
    if lines.is_empty() {
        lines.push("no heartbeat yet".to_owned());
    }
    lines.push(format!(
        "events {}, commands {}",
        connected(state.has_events),
        connected(state.has_commands)
    ));
    if let Some(problem) = &state.problem {
        lines.push(format!("{} {}", style("status:").red(), one_line(problem)));
    }
    let known = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), one_line);
    lines.push(format!(
        "mode {}, training {}, animal {}, session {}",
        known(&state.application_mode),
        known(&state.training_mode),
        known(&state.animal),
        known(&state.session)
    ));
    lines.push(format!("alarms: {}", alarms(state)));
    lines.push(format!("detectors: {}", detectors(state)));
    lines.push(losses(state));
    lines.push(format!("events: {}", state.events_count));
    let events = state.events.iter().rev();
    lines.extend(
        events
            .map(|(topic, event, level)| format!("  {}", show::event_line(*topic, event, *level))),
    );
    lines
}

fn connected(is_so: bool) -> String {
    if is_so {
        style("connected").green().to_string()
    } else {
        style("not connected").red().to_string()
    }
}

fn service(seen: &ServiceSeen) -> String {
    let name = show::presence_name(seen.presence);
    let presence = match seen.presence {
        Presence::Present => style(name).green(),
        Presence::Late => style(name).yellow(),
        Presence::Gone => style(name).red(),
    };
    format!(
        "{} {presence}, version {}, heartbeat {} s ago, every {:.1} s",
        style(one_line(&seen.heartbeat.identifier)).bold(),
        one_line(&seen.heartbeat.version),
        seen.seen_at.elapsed().as_secs(),
        seen.interval.as_secs_f64()
    )
}

fn alarms(state: &State) -> String {
    let flags = state.alarms.values().map(|alarm| {
        let name = alarm.alarm_id.to_string();
        (name, alarm.is_active, alarm.is_enabled)
    });
    conditions(flags)
}

fn detectors(state: &State) -> String {
    let flags = state.detectors.values().map(|detector| {
        let name = detector.detector_id.to_string();
        (name, detector.is_active, detector.is_enabled)
    });
    conditions(flags)
}

/// The active ones, and how many there are.
fn conditions(all: impl Iterator<Item = (String, bool, bool)>) -> String {
    let (mut active, mut count) = (Vec::new(), 0);
    for (name, is_active, is_enabled) in all {
        count += 1;
        if is_active && is_enabled {
            active.push(style(name).red().bold().to_string());
        } else if is_active {
            active.push(format!("{name} (disabled)"));
        }
    }
    match active.as_slice() {
        [] => format!("none of {count} active"),
        active => format!("{}; of {count}", active.join(", ")),
    }
}

fn losses(state: &State) -> String {
    let losses = &state.losses;
    let counts = [
        (losses.interruptions, "interruptions"),
        (losses.restarts, "restarts"),
        (losses.missing, "events missing"),
        (losses.read_too_slowly, "read too slowly"),
        (losses.malformed, "malformed messages"),
    ];
    let seen: Vec<_> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{what} {count}"))
        .collect();
    match seen.as_slice() {
        [] => "losses: none seen".to_owned(),
        seen => format!("losses: {}", style(seen.join(", ")).yellow()),
    }
}
