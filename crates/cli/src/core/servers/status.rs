//! `status`: how the daemon and its servers are.

use serde_json::{Value, json};

use super::super::args::StatusArgs;
use super::super::client::Daemon;
use super::super::show::{cell, count, list as elements};
use super::{service, state_cell};
use crate::failure::Failure;
use crate::micro::Table;
use crate::terminal;

/// How the daemon and its servers are.
pub(in crate::core) async fn status(args: StatusArgs) -> Result<(), Failure> {
    let daemon = Daemon::find(&args.daemon)?;
    let info = daemon.info().await?;
    let answer: Value = daemon.read("/servers").await?;
    let servers = elements(&answer, "servers");
    if args.json {
        let mut status = json!({"url": daemon.url(), "info": info, "servers": servers});
        if !answer["registryProblem"].is_null() {
            status["registryProblem"] = answer["registryProblem"].clone();
        }
        terminal::json(status);
        return Ok(());
    }
    terminal::result(format_args!(
        "daemon {} at {}",
        terminal::plain(&cell(&info, "version")),
        daemon.url()
    ));
    tell_nats(&info["nats"]);
    tell_assets(&info["assetStore"]);
    tell_database(&info);
    let problem = answer["registryProblem"].as_str();
    if let Some(problem) = problem {
        terminal::say(format_args!(
            "{} the registry cannot be used, what it said before holds: {}; correct the file, or restore it from a copy",
            terminal::warning_word(),
            terminal::plain(problem)
        ));
    }
    if servers.is_empty() {
        if problem.is_none() {
            terminal::say("no servers are registered; see `nodewire register`");
        }
        return Ok(());
    }
    let mut table = Table::new(&[
        "NAME", "UID", "STATE", "PORT#", "PID#", "NODES#", "RUNNING#", "STARTS#", "SDK",
    ]);
    for server in servers {
        table.row([
            cell(server, "serverDisplayName"),
            cell(server, "serverUid"),
            state_cell(server),
            cell(server, "port"),
            cell(server, "pid"),
            count(server, "nodes"),
            cell(server, "running"),
            cell(server, "starts"),
            cell(server, "sdkVersion"),
        ]);
    }
    table.print();
    for server in servers {
        remarks(server);
    }
    Ok(())
}

/// The NATS on which servers are looked for whose entry names none.
fn tell_nats(nats: &Value) {
    let Some(url) = nats["url"].as_str() else {
        return;
    };
    let what = match nats["embedded"].as_bool() {
        Some(true) => "embedded; its address with the password is in nats-url in the data folder",
        Some(false) | None => "for servers whose entry names none",
    };
    terminal::result(format_args!("NATS at {} ({what})", terminal::plain(url)));
}

/// Why the daemon cannot write its database, if it cannot.
fn tell_database(info: &Value) {
    let Some(problem) = info["databaseProblem"].as_str() else {
        return;
    };
    let ended = match info["runsNotKept"].as_u64().unwrap_or_default() {
        0 => String::new(),
        1 => "; 1 run that has ended is not on disk yet".to_owned(),
        runs => format!("; {runs} runs that have ended are not on disk yet"),
    };
    terminal::say(format_args!(
        "{} the database cannot be written: {}{ended}",
        terminal::warning_word(),
        terminal::plain(problem)
    ));
}

/// Why assets can be neither stored nor read, if so.
fn tell_assets(store: &Value) {
    let problem = &store["problem"];
    if let Some(message) = problem["message"].as_str() {
        let text = format!("{message} (seen at {})", cell(problem, "at"));
        terminal::say(format_args!(
            "{} {}",
            terminal::error_word(),
            terminal::plain(&text)
        ));
    }
}

/// What an operator should know about a server.
fn remarks(server: &Value) {
    if server["nats"].is_object() {
        let name = cell(server, "serverDisplayName");
        let text = format!("{}: {}", name, service(server));
        terminal::say(terminal::plain(&text));
    }
    let name = cell(server, "serverDisplayName");
    let say = |word: &dyn std::fmt::Display, text: &str| {
        terminal::say(format_args!(
            "{word} {}: {}",
            terminal::plain(&name),
            terminal::plain(text)
        ));
    };
    if server["unresponsive"] == true {
        let uid = cell(server, "serverUid");
        let text = format!(
            "it has not answered for a while, though nodes run on it; it may be busy: if it stays so, `nodewire restart {uid}`"
        );
        say(&terminal::warning_word(), &text);
    }
    if let Some(message) = server["lastError"]["message"].as_str() {
        if server["state"] == "ready" {
            let text = format!("before, at {}: {message}", cell(&server["lastError"], "at"));
            say(&"note:", &text);
        } else {
            say(&terminal::error_word(), message);
        }
    }
    for problem in elements(server, "problems") {
        let word = if problem["level"] == "error" {
            terminal::error_word()
        } else {
            terminal::warning_word()
        };
        say(&word, &problem_text(problem));
    }
    for note in elements(server, "notes") {
        say(&"note:", note.as_str().unwrap_or_default());
    }
}

/// What is wrong with a server's `nanoserver.json`, and where: at a key, or where the text is no JSON.
fn problem_text(problem: &Value) -> String {
    let reason = problem["reason"].as_str().unwrap_or_default();
    let place = match (&problem["key"], &problem["line"], &problem["column"]) {
        (Value::String(key), ..) => format!("{key} "),
        (_, Value::Number(line), Value::Number(column)) => {
            format!("line {line}, column {column}: ")
        }
        _ => String::new(),
    };
    format!("nanoserver.json: {place}{reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_where_it_is() {
        let problems = [
            json!({"key": "port", "reason": "must be a number", "line": 2, "column": 9}),
            json!({"key": null, "reason": "the text ends too early", "line": 2, "column": 1}),
            json!({"key": null, "reason": "must be an object", "line": null, "column": null}),
        ];
        assert_eq!(
            problems.map(|problem| problem_text(&problem)),
            [
                "nanoserver.json: port must be a number",
                "nanoserver.json: line 2, column 1: the text ends too early",
                "nanoserver.json: must be an object"
            ]
        );
    }
}
