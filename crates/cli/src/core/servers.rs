//! `start`, `stop`, `restart`, `list` and `status`.

mod control;
mod listing;
mod status;

use serde_json::Value;

use super::client::{Daemon, part};
use super::show::cell;
use crate::failure::Failure;

pub(crate) use control::start;
pub(super) use control::{restart, stop};
pub(super) use listing::list;
pub(super) use status::status;

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

#[cfg(test)]
mod tests {
    use serde_json::json;

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
}
