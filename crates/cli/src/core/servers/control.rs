//! `start`, `stop` and `restart`.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::args::ServersArgs;
use super::super::client::Daemon;
use super::super::show::{cell, list as elements, state};
use super::{named_one, path_of};
use crate::failure::Failure;
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

pub(in crate::core) async fn stop(args: ServersArgs) -> Result<(), Failure> {
    control(args, Verb::Stop).await
}

pub(in crate::core) async fn restart(args: ServersArgs) -> Result<(), Failure> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
