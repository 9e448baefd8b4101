//! `doctor`: what keeps the daemon and node servers from working.

mod assets;
mod machine;
mod servers;

use serde::Serialize;
use serde_json::{Value, json};

use super::args::DoctorArgs;
use super::client::Daemon;
use super::place::Place;
use super::servers::service;
use super::show::{cell, list, state};
use crate::failure::{Failure, chain};
use crate::terminal;

/// One line of the report.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    /// What was looked at.
    check: String,
    level: Level,
    /// What was found.
    message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Level {
    Ok,
    Warning,
    Error,
}

impl Finding {
    fn ok(check: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            level: Level::Ok,
            message: message.into(),
            advice: None,
        }
    }

    fn warning(
        check: impl Into<String>,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Warning,
            advice: Some(advice.into()),
            ..Self::ok(check, message)
        }
    }

    fn error(
        check: impl Into<String>,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Error,
            advice: Some(advice.into()),
            ..Self::ok(check, message)
        }
    }
}

pub(super) async fn doctor(args: DoctorArgs) -> Result<(), Failure> {
    let place = match Place::find(&args.daemon.place) {
        Ok(place) => place,
        Err(failure) => {
            let advice = "until it is mended, nothing else can be looked at";
            let finding = Finding::error("settings", failure.to_string(), advice);
            return report(&[finding], args.json);
        }
    };
    let mut findings = machine::folder(&place);
    if let Err(failure) = place.token(args.daemon.token.as_deref()) {
        let advice = "`nodewire up` and its clients refuse it";
        findings.push(Finding::error("token", failure.to_string(), advice));
    }
    findings.extend(machine::space(&place));
    let (holder, held) = machine::lock(&place);
    findings.push(held);
    findings.extend(machine::database(&place).await);
    let (told, live) = daemon(&place, &args).await;
    findings.extend(told);
    findings.extend(assets::object_store(&place, live.as_ref()).await);
    findings.extend(servers::registry(&place, holder.is_some()));
    findings.extend(machine::tools(&place).await);
    report(&findings, args.json)
}

/// Whether the daemon answers, and lets us in; itself, if so.
async fn daemon(place: &Place, args: &DoctorArgs) -> (Vec<Finding>, Option<Daemon>) {
    let daemon = match Daemon::at(place, &args.daemon) {
        Ok(daemon) => daemon,
        Err(failure) => {
            let advice = "start it: nodewire up";
            let finding = Finding::warning("daemon", failure.to_string(), advice);
            return (vec![finding], None);
        }
    };
    let failed = |failure: &Failure| {
        Finding::error(
            "daemon",
            failure.to_string(),
            "look at what `nodewire up` says, or restart it",
        )
    };
    let info = match daemon.info().await {
        Ok(info) => info,
        Err(failure) => return (vec![failed(&failure)], None),
    };
    let text = format!(
        "version {} answers at {}",
        cell(&info, "version"),
        daemon.url()
    );
    let mut findings = vec![Finding::ok("daemon", text)];
    match daemon.read::<Value>("/servers").await {
        Ok(answer) => findings.extend(list(&answer, "servers").iter().map(live)),
        Err(failure) => findings.push(failed(&failure)),
    }
    (findings, Some(daemon))
}

/// How a server is doing.
fn live(server: &Value) -> Finding {
    let name = format!("server {}", cell(server, "serverDisplayName"));
    let word = cell(server, "state");
    if matches!(&*word, "failed" | "backoff") {
        let message = format!("{word}: {}", cell(&server["lastError"], "message"));
        let uid = cell(server, "serverUid");
        return Finding::error(
            name,
            message,
            format!("see `nodewire logs {uid}`, then `nodewire restart {uid}`"),
        );
    }
    if server["unresponsive"] == true {
        return Finding::warning(
            name,
            "it does not answer",
            "it may be busy; if it stays so, restart it",
        );
    }
    if server["nats"].is_object() {
        return Finding::ok(name, format!("{word}: {}", service(server)));
    }
    Finding::ok(name, word)
}

fn report(findings: &[Finding], json: bool) -> Result<(), Failure> {
    if json {
        terminal::json(json!(findings));
    } else {
        for finding in findings {
            let word = match finding.level {
                Level::Ok => "ok",
                Level::Warning => "warning",
                Level::Error => "error",
            };
            let text = format!("{}: {}", finding.check, finding.message);
            terminal::result(format_args!("{} {}", state(word), terminal::plain(&text)));
            if let Some(advice) = &finding.advice {
                terminal::result(format_args!("    {}", terminal::plain(advice)));
            }
        }
    }
    let errors = findings
        .iter()
        .filter(|finding| finding.level == Level::Error)
        .count();
    match errors {
        0 => Ok(()),
        1 => Err(Failure::failed("1 error")),
        errors => Err(Failure::failed(format!("{errors} errors"))),
    }
}

fn reason(error: &dyn std::error::Error) -> String {
    chain(error)
}
