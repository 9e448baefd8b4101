//! `runs` and `queue`.

use std::fmt::Display;

use serde_json::{Value, json};

use super::args::{OneRunArgs, QueueArgs, RerunArgs, RunsCommand, RunsLsArgs};
use super::client::{Daemon, parse, part};
use super::show::{cell, list, milliseconds, state};
use crate::failure::Failure;
use crate::micro::Table;
use crate::terminal;

pub(super) async fn runs(command: RunsCommand) -> Result<(), Failure> {
    match command {
        RunsCommand::Ls(args) => ls(args).await,
        RunsCommand::Show(args) => show(args).await,
        RunsCommand::Abort(args) => {
            let daemon = Daemon::find(&args.daemon)?;
            let answer = daemon
                .post(&format!("/runs/{}/abort", part(&args.run)), None)
                .await?;
            done(&args, &answer, &aborted(&answer))
        }
        RunsCommand::Rm(args) => {
            let daemon = Daemon::find(&args.daemon)?;
            let answer = daemon.delete(&format!("/runs/{}", part(&args.run))).await?;
            done(&args, &answer, "is forgotten")
        }
        RunsCommand::Rerun(args) => rerun(args).await,
    }
}

/// What became of the request to stop a run. spec: nanograph 16.4
fn aborted(answer: &str) -> String {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    if answer["wasFinished"] == true {
        return format!("had ended before: {}", cell(&answer, "status"));
    }
    "is being stopped".to_owned()
}

/// What a person should know of a run whose end is not on disk.
pub(super) fn not_kept(why: &str) -> String {
    format!(
        "{} the run has ended, but that is not on disk yet: {}",
        terminal::warning_word(),
        terminal::plain(why)
    )
}

fn done(args: &OneRunArgs, answer: &str, what: &str) -> Result<(), Failure> {
    if args.json {
        let answer: Value = if answer.is_empty() {
            json!({})
        } else {
            parse(answer)?
        };
        terminal::json(answer);
    } else {
        terminal::result(format_args!("run {} {what}", terminal::plain(&args.run)));
    }
    Ok(())
}

async fn ls(args: RunsLsArgs) -> Result<(), Failure> {
    let daemon = Daemon::find(&args.daemon)?;
    let mut path = format!("/runs?limit={}", args.limit);
    let filters = [
        ("status", &args.status),
        ("clientId", &args.client),
        ("cursor", &args.cursor),
    ];
    for (key, value) in filters {
        if let Some(value) = value {
            path.push_str(&format!("&{key}={}", part(value)));
        }
    }
    let text = daemon.get(&path).await?;
    if args.json {
        terminal::json(text);
        return Ok(());
    }
    let page: Value = parse(&text)?;
    let mut table = Table::new(&["RUN", "STATUS", "NAME", "SUBMITTED", "TOOK#", "PRIORITY#"]);
    for run in list(&page, "runs") {
        table.row([
            run["runId"].as_str().unwrap_or_default().to_owned(),
            cell(run, "status"),
            cell(run, "name"),
            cell(run, "submittedAt"),
            milliseconds(&run["durationMs"]),
            cell(run, "priority"),
        ]);
    }
    table.print();
    if let Some(cursor) = page["nextCursor"].as_str() {
        terminal::say(format_args!(
            "there are more: --cursor {}",
            terminal::plain(cursor)
        ));
    }
    Ok(())
}

async fn show(args: OneRunArgs) -> Result<(), Failure> {
    let daemon = Daemon::find(&args.daemon)?;
    let text = daemon.get(&format!("/runs/{}", part(&args.run))).await?;
    if args.json {
        terminal::json(text);
        return Ok(());
    }
    let run: Value = parse(&text)?;
    let status = cell(&run, "status");
    line("run", &args.run);
    let waits = !run["waitingFor"].is_null();
    let why = if waits { ", waiting for servers" } else { "" };
    line("status", format_args!("{}{why}", state(&status)));
    for (name, key) in [
        ("name", "name"),
        ("submitted", "submittedAt"),
        ("started", "startedAt"),
        ("ended", "finishedAt"),
    ] {
        if !run[key].is_null() {
            line(name, cell(&run, key));
        }
    }
    if !run["durationMs"].is_null() {
        line("took", milliseconds(&run["durationMs"]));
    }
    for missing in list(&run["waitingFor"], "missing") {
        line("waits for", missing_node(missing));
    }
    if let Some(until) = run["waitingFor"]["until"].as_str() {
        line("waits till", until);
    }
    for (name, key) in [
        ("place", "position"),
        ("repeats", "rerunOf"),
        ("reason", "reason"),
    ] {
        if !run[key].is_null() {
            line(name, cell(&run, key));
        }
    }
    let mut table = Table::new(&[
        "NODE#",
        "NAME",
        "STATE",
        "ATTEMPTS#",
        "TOOK#",
        "SERVER",
        "ERROR",
    ]);
    for node in list(&run, "nodes") {
        let error = node["error"]["message"]
            .as_str()
            .map_or_else(|| "-".to_owned(), super::show::shortened);
        table.row([
            cell(node, "nodeId"),
            node["name"]
                .as_str()
                .map_or_else(|| cell(node, "uid"), super::show::shortened),
            cell(node, "state"),
            cell(node, "attempts"),
            milliseconds(&node["durationMs"]),
            cell(node, "serverUid"),
            error,
        ]);
    }
    table.print();
    if let Some(why) = run["notKept"].as_str() {
        terminal::say(not_kept(why));
    }
    Ok(())
}

/// A node that no server offers, and the server that the graph names for it.
fn missing_node(missing: &Value) -> String {
    let uid = cell(missing, "uid");
    let (server, package) = (&missing["serverUid"], &missing["serverPackageId"]);
    match (server.as_str(), package.as_str()) {
        (Some(server), _) => format!("{uid} of server {}", super::show::shortened(server)),
        (None, Some(package)) => format!("{uid} of package {}", super::show::shortened(package)),
        (None, None) => format!("{uid} of any server"),
    }
}

fn line(name: &str, value: impl Display) {
    terminal::result(terminal::plain(&format!("{name:10} {value}")));
}

async fn rerun(args: RerunArgs) -> Result<(), Failure> {
    let daemon = Daemon::find(&args.daemon)?;
    let body = if args.failed {
        json!({"from": "failed"})
    } else {
        json!({})
    };
    let path = format!("/runs/{}/rerun", part(&args.run));
    let text = daemon.post(&path, Some(body.to_string())).await?;
    if args.json {
        terminal::json(text);
        return Ok(());
    }
    let submitted: Value = parse(&text)?;
    terminal::result(cell(&submitted, "runId"));
    Ok(())
}

pub(super) async fn queue(args: QueueArgs) -> Result<(), Failure> {
    let daemon = Daemon::find(&args.daemon)?;
    if args.clear || !args.delete.is_empty() {
        return change(&daemon, &args).await;
    }
    let text = daemon.get("/queue").await?;
    if args.json {
        terminal::json(text);
        return Ok(());
    }
    let queue: Value = parse(&text)?;
    let mut table = Table::new(&["RUN", "STATUS", "PLACE#", "PRIORITY#", "MISSING"]);
    for (key, status) in [
        ("running", "running"),
        ("waiting", "waiting"),
        ("waitingForServers", "waiting for servers"),
    ] {
        for run in list(&queue, key) {
            let missing = list(run, "missing");
            let missing: Vec<&str> = missing
                .iter()
                .filter_map(|node| node["uid"].as_str())
                .collect();
            table.row([
                cell(run, "runId"),
                status.to_owned(),
                cell(run, "position"),
                cell(run, "priority"),
                terminal::plain(&missing.join(", ")).into_owned(),
            ]);
        }
    }
    table.print();
    Ok(())
}

/// Takes runs out, and fails if one of those named did not wait.
async fn change(daemon: &Daemon, args: &QueueArgs) -> Result<(), Failure> {
    let change = json!({"clear": args.clear, "delete": args.delete});
    let text = daemon.post("/queue", Some(change.to_string())).await?;
    let changed: Value = parse(&text)?;
    if args.json {
        terminal::json(text);
    } else {
        for run in list(&changed, "removed") {
            let run = terminal::plain(run.as_str().unwrap_or_default()).into_owned();
            terminal::result(format_args!("run {run} is taken out"));
        }
    }
    let others: Vec<_> = list(&changed, "notWaiting")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "not waiting: {}; `nodewire runs abort` stops a run",
        others.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_is_not_said_to_be_stopped() {
        let ended = r#"{"runId": "1", "status": "complete", "wasFinished": true}"#;
        assert_eq!(aborted(ended), "had ended before: complete");
        let running = r#"{"runId": "1", "status": "running", "wasFinished": false}"#;
        assert_eq!(aborted(running), "is being stopped");
        assert_eq!(aborted(""), "is being stopped");
    }
}
