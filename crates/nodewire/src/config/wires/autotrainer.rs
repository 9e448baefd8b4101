//! The Autotrainer wire.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use autotrainer_api::zmq::SecretKey;

use super::Making;
use crate::autotrainer::{AllowedClients, AutotrainerConfig, KeyPair, Security};
use crate::config::layers::View;
use crate::config::problem::Problems;
use crate::config::secret_file;
use crate::config::setting::Table;

pub(super) fn make(
    making: &Making<'_>,
    base: Option<AutotrainerConfig>,
    problems: &mut Problems,
) -> AutotrainerConfig {
    let view = making.view(Table::Autotrainer);
    let mut config = base.unwrap_or_else(|| AutotrainerConfig::new(making.name.clone()));
    view.set("identifier", &mut config.identifier);
    view.set("listen", &mut config.listen);
    view.set("event_port", &mut config.event_port);
    view.set("command_port", &mut config.command_port);
    view.set("heartbeat_interval_ms", &mut config.heartbeat_interval);
    view.set("commands", &mut config.commands);
    view.set("first_command", &mut config.first_command);
    view.set("quick_nodes", &mut config.quick_nodes);
    view.set("quick_node_wait_ms", &mut config.quick_node_wait);
    view.set("in_flight_max", &mut config.in_flight_max);
    view.set("message_bytes_max", &mut config.message_bytes_max);
    let commands: BTreeMap<String, i64> = view.get("commands").unwrap_or_default();
    let quick: BTreeSet<String> = view.get("quick_nodes").unwrap_or_default();
    making.check_nodes(Table::Autotrainer, "commands", commands.keys(), problems);
    making.check_nodes(Table::Autotrainer, "quick_nodes", &quick, problems);
    if let Some(security) = security(view, problems) {
        config.security = security;
    }
    config
}

fn security(view: View<'_>, problems: &mut Problems) -> Option<Security> {
    let allowed = allowed(view, problems);
    if view.has(&["curve_clients"]) && !view.has(&["curve_key_file"]) {
        problems.add(
            &view.place("curve_clients"),
            "[autotrainer] curve_clients needs curve_key_file",
        );
    }
    let text = secret_file::read(view, "curve_key_file", problems)?;
    let Some(secret) = secret_key(&text).and_then(|key| key.parse::<SecretKey>().ok()) else {
        let path: PathBuf = view.get("curve_key_file")?;
        problems.add(
            &view.place("curve_key_file"),
            format!(
                "[autotrainer] curve_key_file: {} has no CURVE secret key; `nodewire device keys generate` writes such files",
                path.display()
            ),
        );
        return None;
    };
    Some(Security::CurveServer {
        keys: KeyPair::from(secret),
        allowed,
    })
}

/// The key alone, or the line that ZeroMQ's own tools write.
fn secret_key(text: &str) -> Option<&str> {
    let field = text.lines().find_map(|line| {
        let value = line.trim().strip_prefix("secret-key")?.trim_start();
        Some(value.strip_prefix('=')?.trim().trim_matches(['"', '\'']))
    });
    field.or_else(|| text.split_whitespace().next())
}

fn allowed(view: View<'_>, problems: &mut Problems) -> AllowedClients {
    let Some(clients) = view.get::<Vec<String>>("curve_clients") else {
        return AllowedClients::Any;
    };
    let keys: Result<_, _> = clients.iter().map(|client| client.parse()).collect();
    keys.map(AllowedClients::Only).unwrap_or_else(|error| {
        let message = format!("[autotrainer] curve_clients: {error}");
        problems.add(&view.place("curve_clients"), message);
        AllowedClients::Any
    })
}
