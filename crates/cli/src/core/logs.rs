//! `logs`: what a node server writes.

use serde_json::Value;

use super::args::LogsArgs;
use super::client::{Daemon, parse};
use super::events::Events;
use super::servers::{named_one, path_of};
use super::show::list;
use crate::failure::Failure;
use crate::terminal;

pub(super) async fn logs(args: LogsArgs) -> Result<(), Failure> {
    let daemon = Daemon::find(&args.daemon)?;
    let server = named_one(&daemon, &args.name).await?;
    let path = format!("{}/logs?tail={}", path_of(&server), args.tail);
    if !args.follow {
        let answer: Value = parse(&daemon.get(&path).await?)?;
        list(&answer, "lines")
            .iter()
            .for_each(|line| show(line, args.json));
        return Ok(());
    }
    let mut lines = Events::new(daemon.stream(&format!("{path}&follow=true")).await?);
    while let Some(line) = lines.next().await? {
        show(&parse(&line)?, args.json);
        if terminal::nobody_reads() {
            return terminal::results_written();
        }
    }
    Err(Failure::servers(
        "the daemon ended the log; it was stopped, or the server unregistered",
    ))
}

fn show(line: &Value, json: bool) {
    if json {
        return terminal::json(line);
    }
    if let Some(missed) = line["missed"].as_u64() {
        return terminal::say(format_args!(
            "({missed} lines were written faster than they were read)"
        ));
    }
    let text = line["text"]
        .as_str()
        .or_else(|| line["line"].as_str())
        .unwrap_or_default();
    terminal::result(terminal::plain(text));
}
