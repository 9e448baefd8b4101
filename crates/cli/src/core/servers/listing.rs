//! `list`: what is registered.

use serde_json::{Value, json};

use super::super::args::ListArgs;
use super::super::client::Daemon;
use super::super::place::Place;
use super::super::registering::{entry_json, registry_failed};
use super::super::show::{cell, list as elements};
use super::{service, state_cell};
use crate::failure::Failure;
use crate::micro::Table;
use crate::terminal;

/// What is registered, with its live state if there is a daemon.
pub(in crate::core) async fn list(args: ListArgs) -> Result<(), Failure> {
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
