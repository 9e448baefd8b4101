//! The daemon's node servers, for the catalogue.

use serde_json::Value;

use super::args::DaemonArgs;
use super::client::Daemon;

/// Addresses of the node servers that a daemon keeps up; none if there is no daemon, or it does not answer: the catalogue
/// is not about the daemon.
pub(crate) async fn running_servers() -> Vec<String> {
    let Ok(daemon) = Daemon::find(&DaemonArgs::default()) else {
        return Vec::new();
    };
    let Ok(told) = daemon.read::<Value>("/servers").await else {
        return Vec::new();
    };
    let servers = told["servers"].as_array().or_else(|| told.as_array());
    let servers = servers.into_iter().flatten();
    let is_ready = |server: &&Value| server["state"] == "ready";
    servers
        .filter(is_ready)
        .filter_map(|server| Some(server["url"].as_str()?.to_owned()))
        .collect()
}
