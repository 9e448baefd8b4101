//! `nodewire ls`.

use std::collections::BTreeMap;

use nodewire::capability::Wire;
use nodewire::client::{Load, ServerDescription};
use serde_json::json;

use super::found::{self, Found};
use super::places::{PlaceFlags, WHERE, wire};
use super::show;
use crate::failure::Failure;
use crate::micro::Table;
use crate::signals::Signals;
use crate::terminal;

const HELP: &str = "\
Examples:
  nodewire ls --nats nats://127.0.0.1:4222 --http http://127.0.0.1:8080 --http-token-file http.token
  nodewire ls --nanograph ws://127.0.0.1:3017 --json

Devices of others are known by their heartbeats, which come every 5 seconds; it ends after --wait at the latest. A node that is found on several wires is one line, \
with the load of the wire that tells most of it.

Exit status: 0 every place was reached; 2 wrong usage; 3 one was not, or has no server: what was found is shown nevertheless.";

#[derive(Debug, clap::Args)]
#[command(after_help = format!("{HELP}\n\n{WHERE}"))]
pub(crate) struct LsArgs {
    /// Print one JSON object: `servers`, each with its nodes, and `unreachable`.
    #[arg(long)]
    json: bool,
    /// Look on this wire only: nanograph, nats, autotrainer, nnrp or http.
    #[arg(long, value_name = "WIRE", value_parser = wire)]
    via: Option<Wire>,
    #[command(flatten)]
    places: PlaceFlags,
}

pub(super) async fn ls(args: LsArgs) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let look = async {
        let places = args.places.find(args.via).await?;
        let found = found::look(&places).await;
        found::close(&found).await;
        Ok(found)
    };
    let found = signals.unless_stopped(Box::pin(look)).await?;
    if args.json {
        print_json(&found);
    } else {
        print_tables(&found);
    }
    let missing: Vec<_> = found.iter().filter(|found| !found.is_there()).collect();
    match missing.as_slice() {
        [] => Ok(()),
        [one] if found.len() == 1 => Err(Failure::servers(reason(one))),
        some => Err(Failure::servers(format!(
            "{} of {} places have no server that was reached",
            some.len(),
            found.len()
        ))),
    }
}

fn reason(found: &Found) -> String {
    match &found.servers {
        Ok(_) => format!("{}: no service answers", found.target),
        Err(unreached) => format!("{}: {}", found.target, unreached.text),
    }
}

fn print_json(found: &[Found]) {
    let mut servers = Vec::new();
    let mut unreachable = Vec::new();
    for found in found {
        match &found.servers {
            Ok(some) => servers.extend(some.iter().map(|each| show::server(&found.target, each))),
            Err(unreached) => unreachable.push(show::unreached(&found.target, unreached)),
        }
    }
    terminal::json(json!({"servers": servers, "unreachable": unreachable}));
}

fn print_tables(found: &[Found]) {
    let servers: Vec<_> = found
        .iter()
        .filter_map(|found| Some((found, found.servers.as_ref().ok()?)))
        .flat_map(|(found, servers)| servers.iter().map(move |server| (found, server)))
        .collect();
    if !servers.is_empty() {
        let mut table = Table::new(&["SERVER", "WIRE", "VERSION", "NODES#", "ROUND TRIP#", "AT"]);
        for (found, server) in &servers {
            table.row([
                named(server),
                server.wire.name().to_owned(),
                server.version.clone().unwrap_or_else(show::dash),
                server.nodes.len().to_string(),
                show::time(server.round_trip.map(show::as_micros)),
                found.target.to_string(),
            ]);
        }
        table.print();
    }
    let nodes = nodes(servers.iter().map(|(_, server)| *server));
    if !nodes.is_empty() {
        terminal::result("");
        let mut table = Table::new(&["NODE", "VERSION", "WIRES", "RUNNING#", "WAITING#", "WHAT"]);
        for (uid, node) in nodes {
            table.row([
                uid.to_owned(),
                node.version.unwrap_or_else(show::dash),
                node.wires.join(","),
                show::count(node.running),
                show::count(node.waiting),
                node.what,
            ]);
        }
        table.print();
    }
    for found in found.iter().filter(|found| !found.is_there()) {
        terminal::say(format_args!(
            "{} {}",
            terminal::warning_word(),
            terminal::plain(&reason(found))
        ));
    }
}

fn named(server: &ServerDescription) -> String {
    match &server.instance {
        Some(instance) => format!("{} ({instance})", server.name),
        None => server.name.clone(),
    }
}

/// A node, wherever it is.
#[derive(Debug, Default)]
struct Row {
    version: Option<String>,
    wires: Vec<&'static str>,
    running: Option<u64>,
    waiting: Option<u64>,
    what: String,
}

/// By uid. Loads of the servers of one wire are added; of several wires, which may be the same servers, the larger counts.
fn nodes<'a>(servers: impl Iterator<Item = &'a ServerDescription>) -> BTreeMap<&'a str, Row> {
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    let mut sums: BTreeMap<(&str, &str), Load> = BTreeMap::new();
    for server in servers {
        for node in &server.nodes {
            let wire = server.wire.name();
            let row = rows.entry(&node.uid).or_default();
            row.version = row.version.take().or_else(|| node.version.clone());
            if !row.wires.contains(&wire) {
                row.wires.push(wire);
            }
            if row.what.is_empty() {
                row.what = first_line(node.description.as_deref().unwrap_or_default());
            }
            if let Some(load) = &node.load {
                let sum = sums.entry((&node.uid, wire)).or_default();
                sum.running = added(sum.running, load.running);
                sum.waiting = added(sum.waiting, load.waiting);
            }
        }
    }
    for ((uid, _), sum) in sums {
        if let Some(row) = rows.get_mut(uid) {
            row.running = row.running.max(sum.running);
            row.waiting = row.waiting.max(sum.waiting);
        }
    }
    rows
}

fn added(sum: Option<u64>, more: Option<u64>) -> Option<u64> {
    match (sum, more) {
        (Some(sum), Some(more)) => Some(sum.saturating_add(more)),
        (sum, more) => sum.or(more),
    }
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}
