//! `start`, `stop`, `restart`, `list` and `status`.

use std::time::Duration;

use serde_json::{Value, json};

use super::args::{ListArgs, ServersArgs, StatusArgs};
use super::client::{Daemon, parse, part};
use super::place::Place;
use super::registering::{entry_json, registry_failed};
use super::show::{cell, count, list as elements, state};
use crate::failure::Failure;
use crate::micro::Table;
use crate::terminal;

/// Between two looks at servers that are on their way.
const LOOK_PERIOD: Duration = Duration::from_millis(200);
/// Lines of a failed server's standard error that are shown.
const LINES_SHOWN: usize = 20;

/// What a server is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Start,
    Stop,
    Restart,
}

impl Verb {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }

    /// Whether a server has got where it was to go, or never will. What it was before it was told does not count.
    fn is_over(self, before: &Value, now: &Value) -> bool {
        let state = now["state"].as_str().unwrap_or_default();
        let is_new = before["since"] != now["since"] || before["state"] != now["state"];
        match self {
            Self::Stop => state == "stopped",
            Self::Start if state == "ready" => true,
            Self::Start | Self::Restart => {
                is_new && matches!(state, "ready" | "failed" | "backoff")
            }
        }
    }
}

pub(crate) async fn start(args: ServersArgs) -> Result<(), Failure> {
    control(args, Verb::Start).await
}

pub(super) async fn stop(args: ServersArgs) -> Result<(), Failure> {
    control(args, Verb::Stop).await
}

pub(super) async fn restart(args: ServersArgs) -> Result<(), Failure> {
    control(args, Verb::Restart).await
}

/// Does it with all that were named, tells what became of each, and fails if one failed.
async fn control(args: ServersArgs, verb: Verb) -> Result<(), Failure> {
    let daemon = Daemon::find(&args.daemon)?;
    let servers = named(&daemon, &args.names).await?;
    if servers.is_empty() && !args.json {
        terminal::say("no servers are registered; see `nodewire register`");
    }
    let asked = servers.iter().map(|server| async {
        let path = path_of(server);
        daemon
            .post(&format!("{path}/{}", verb.as_str()), None)
            .await?;
        if args.no_wait {
            return daemon.read(&path).await;
        }
        settled(&daemon, &path, (server, verb)).await
    });
    let servers = futures_util::future::join_all(asked).await;
    let servers = servers.into_iter().collect::<Result<Vec<Value>, _>>()?;
    if args.json {
        terminal::json(json!(servers));
    } else {
        servers.iter().for_each(tell);
    }
    let failed = servers
        .iter()
        .filter(|server| matches!(server["state"].as_str(), Some("failed" | "backoff")))
        .count();
    if failed > 0 && !args.no_wait && verb != Verb::Stop {
        return Err(Failure::failed(format!(
            "{failed} of {} did not start",
            servers.len()
        )));
    }
    Ok(())
}

/// The servers with these names, or all of them; nothing is done unless each is there.
async fn named(daemon: &Daemon, names: &[String]) -> Result<Vec<Value>, Failure> {
    if names.is_empty() {
        let answer: Value = daemon.read("/servers").await?;
        return Ok(elements(&answer, "servers").to_vec());
    }
    let mut servers: Vec<Value> = Vec::new();
    for name in names {
        let server = named_one(daemon, name).await?;
        if !servers
            .iter()
            .any(|known| known["serverUid"] == server["serverUid"])
        {
            servers.push(server);
        }
    }
    Ok(servers)
}

/// The server of this name. A folder may be named from where we are.
pub(super) async fn named_one(daemon: &Daemon, name: &str) -> Result<Value, Failure> {
    let folder = std::path::Path::new(name).canonicalize().ok();
    let folder = folder
        .filter(|folder| folder.is_dir())
        .and_then(|folder| folder.to_str().map(str::to_owned));
    match daemon.read(&format!("/servers/{}", part(name))).await {
        Ok(server) => Ok(server),
        Err(failure) => match folder {
            Some(folder) => daemon.read(&format!("/servers/{}", part(&folder))).await,
            None => Err(failure),
        },
    }
}

pub(super) fn path_of(server: &Value) -> String {
    format!(
        "/servers/{}",
        part(server["serverUid"].as_str().unwrap_or_default())
    )
}

/// The server, once it is where it was to go or is known not to get there.
async fn settled(
    daemon: &Daemon,
    path: &str,
    (before, verb): (&Value, Verb),
) -> Result<Value, Failure> {
    loop {
        let server: Value = daemon.read(path).await?;
        if verb.is_over(before, &server) {
            return Ok(server);
        }
        tokio::time::sleep(LOOK_PERIOD).await;
    }
}

/// One line about a server, and why it failed.
fn tell(server: &Value) {
    let word = cell(server, "state");
    let name = cell(server, "serverDisplayName");
    terminal::result(format_args!("{}: {}", terminal::plain(&name), state(&word)));
    if !matches!(&*word, "failed" | "backoff") {
        return;
    }
    let error = &server["lastError"];
    if let Some(message) = error["message"].as_str() {
        terminal::say(format_args!("  {}", terminal::plain(message)));
    }
    let lines = error["stderr"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    for line in &lines[lines.len().saturating_sub(LINES_SHOWN)..] {
        terminal::say(format_args!(
            "    {}",
            terminal::plain(line.as_str().unwrap_or_default())
        ));
    }
}

/// What is registered, with its live state if there is a daemon.
pub(super) async fn list(args: ListArgs) -> Result<(), Failure> {
    let place = Place::find(&args.daemon.place)?;
    let entries = place
        .registry()
        .load()
        .map_err(|error| registry_failed(&error))?;
    let live = match Daemon::at(&place, &args.daemon) {
        Ok(daemon) => daemon.read::<Value>("/servers").await.ok(),
        Err(_) => None,
    };
    let live = live
        .as_ref()
        .map(|live| elements(live, "servers"))
        .unwrap_or_default();
    let servers: Vec<Value> = entries
        .iter()
        .map(|entry| {
            let mut server = entry_json(entry);
            let status = live
                .iter()
                .find(|status| status["serverUid"] == entry.server_uid.as_str());
            for key in ["state", "unresponsive"] {
                server[key] = status.map_or(Value::Null, |status| status[key].clone());
            }
            let nats = status.map(|status| &status["nats"]);
            if let Some(nats) = nats.filter(|nats| nats.is_object()) {
                server["nats"] = nats.clone();
            }
            server
        })
        .collect();
    if args.json {
        terminal::json(json!(servers));
        return Ok(());
    }
    if servers.is_empty() {
        terminal::say("no servers are registered; see `nodewire register`");
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "UID", "LANGUAGE", "STATE", "PORT#", "WHERE"]);
    for server in &servers {
        let place = if server["path"].is_null() {
            "url"
        } else {
            "path"
        };
        let is_service = server["nats"].is_object();
        table.row([
            cell(server, "serverDisplayName"),
            cell(server, "serverUid"),
            if is_service {
                "-".to_owned()
            } else {
                cell(server, "language")
            },
            state_cell(server),
            cell(server, "port"),
            if is_service {
                service(server)
            } else {
                server[place].as_str().unwrap_or("-").to_owned()
            },
        ]);
    }
    table.print();
    Ok(())
}

/// What a server is up to, whether it answers, and whether it is started with the daemon. spec: nanograph 13.3
fn state_cell(server: &Value) -> String {
    let state = cell(server, "state");
    if server["enabled"] == false {
        return match state.as_str() {
            // Without the daemon, nobody says a state.
            "stopped" | "-" => "disabled".to_owned(),
            state => format!("{state}, disabled"),
        };
    }
    if server["unresponsive"] == true {
        return format!("{state}, unresponsive");
    }
    state
}

/// `NATS greeter, 2 instances`
pub(super) fn service(server: &Value) -> String {
    let nats = &server["nats"];
    let url = server["url"].as_str().map(|url| format!(" on {url}"));
    let text = format!("NATS {}{}", cell(nats, "service"), url.unwrap_or_default());
    match nats["instances"].as_u64() {
        Some(1) => format!("{text}, 1 instance"),
        Some(instances) => format!("{text}, {instances} instances"),
        None => text,
    }
}

/// How the daemon and its servers are.
pub(super) async fn status(args: StatusArgs) -> Result<(), Failure> {
    let daemon = Daemon::find(&args.daemon)?;
    let info = daemon.get("/info").await?;
    let info: Value = parse(&info)?;
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
    fn a_disabled_server_is_called_so() {
        let cells = [
            json!({"state": "stopped", "enabled": false}),
            json!({"state": null, "enabled": false}),
            json!({"state": "ready", "enabled": false}),
            json!({"state": "stopped", "enabled": true}),
        ];
        let cells = cells.map(|server| state_cell(&server));
        assert_eq!(
            cells,
            ["disabled", "disabled", "ready, disabled", "stopped"]
        );
    }

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

    #[test]
    fn a_verb_is_over_where_it_leads() {
        let server = |state: &str, since: u64| json!({"state": state, "since": since});
        let ready = server("ready", 1);
        assert!(Verb::Stop.is_over(&ready, &server("stopped", 2)));
        assert!(!Verb::Stop.is_over(&ready, &server("stopping", 2)));
        assert!(Verb::Start.is_over(&ready, &ready));
        assert!(!Verb::Start.is_over(&server("failed", 1), &server("failed", 1)));
        assert!(Verb::Start.is_over(&server("failed", 1), &server("failed", 2)));
        assert!(
            !Verb::Restart.is_over(&ready, &ready),
            "it was not restarted yet"
        );
        assert!(!Verb::Restart.is_over(&ready, &server("stopping", 2)));
        assert!(Verb::Restart.is_over(&ready, &server("ready", 3)));
    }
}
