//! What the settings make of a server.

#[cfg(feature = "autotrainer")]
mod autotrainer;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "mcp")]
mod mcp;
mod metrics;
mod nanograph;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "nnrp")]
mod nnrp;
mod telemetry;
mod version;

use std::path::Path;
use std::sync::Arc;

use super::layers::{Layers, View};
#[cfg(feature = "autotrainer")]
use super::near::{hint, nearest};
use super::problem::Problems;
use super::setting::Table;
use crate::server::{Parts, ServeError, Wires};

/// What a program has around it, beside its settings.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// The environment.
    pub(crate) lookup: &'a dyn Fn(&str) -> Option<String>,
    /// Where `nanoserver.json` may be; `None` if it is not to be looked for.
    pub(crate) folder: Option<&'a Path>,
    /// What the server is called if nobody says.
    pub(crate) name: &'a str,
    /// The uids of its nodes.
    #[cfg_attr(
        not(feature = "autotrainer"),
        expect(dead_code, reason = "only its settings name nodes")
    )]
    pub(crate) nodes: &'a [Arc<str>],
}

impl Surroundings<'_> {
    fn has_nanoserver(&self) -> bool {
        self.folder
            .is_some_and(|folder| folder.join(::nanograph::config::FILE_NAME).exists())
    }
}

/// Nodes that are named to whoever named one that there is not.
#[cfg(feature = "autotrainer")]
const NODES_SHOWN_MAX: usize = 32;

/// What each wire is made with.
struct Making<'a> {
    layers: &'a Layers,
    around: Surroundings<'a>,
    /// The server's name, and its version if it has one.
    name: String,
    #[cfg_attr(
        not(feature = "nats"),
        expect(dead_code, reason = "only its settings have a version")
    )]
    version: Option<String>,
}

/// Lets the settings win over what the program's code says.
///
/// # Errors
/// Everything that is wrong, at once. What is wrong with `nanoserver.json` is an error of its own, if it is the only one.
pub(crate) fn apply(
    parts: &mut Parts,
    layers: &Layers,
    around: Surroundings<'_>,
    mut problems: Problems,
) -> Result<(), ServeError> {
    let making = general(parts, layers, around, &mut problems);
    let served = served(layers, &parts.wires, around);
    let wires = &mut parts.wires;
    let is_served = |wire| served.contains(&wire);
    let base = wires.nanograph.take();
    if is_served(Table::Nanograph) {
        match nanograph::make(&making, base) {
            Ok(config) => wires.nanograph = Some(config),
            Err(error) if problems.is_empty() => return Err(error.into()),
            Err(error) => problems.add(
                &making.view(Table::Nanograph).place("enabled"),
                error.to_string(),
            ),
        }
    }
    #[cfg(feature = "nats")]
    {
        let base = wires.nats.take();
        wires.nats = is_served(Table::Nats).then(|| nats::make(&making, base, &mut problems));
    }
    #[cfg(feature = "autotrainer")]
    {
        let base = wires.autotrainer.take();
        wires.autotrainer =
            is_served(Table::Autotrainer).then(|| autotrainer::make(&making, base, &mut problems));
    }
    #[cfg(feature = "nnrp")]
    {
        let base = wires.nnrp.take();
        wires.nnrp = is_served(Table::Nnrp)
            .then(|| nnrp::make(&making, base, &mut problems))
            .flatten();
    }
    #[cfg(feature = "http")]
    {
        let base = wires.http.take();
        wires.http = is_served(Table::Http).then(|| http::make(&making, base, &mut problems));
    }
    #[cfg(feature = "mcp")]
    {
        mcp::options(&making, &mut wires.mcp_options);
        let base = wires.mcp.take();
        wires.mcp = is_served(Table::Mcp).then(|| mcp::make(&making, base, &mut problems));
    }
    let base = wires.metrics.take();
    wires.metrics = is_served(Table::Metrics).then(|| metrics::make(&making, base, &mut problems));
    Ok(problems.check()?)
}

/// As [`apply`], for a server of MCP on standard input and output: there is no other wire, whatever is said of them.
///
/// # Errors
/// Everything that is wrong, at once, but for what only other wires look at.
#[cfg(feature = "mcp")]
pub(crate) fn apply_mcp_stdio(
    parts: &mut Parts,
    layers: &Layers,
    around: Surroundings<'_>,
    mut problems: Problems,
) -> Result<(), ServeError> {
    let making = general(parts, layers, around, &mut problems);
    let mut mcp_options = std::mem::take(&mut parts.wires.mcp_options);
    mcp::options(&making, &mut mcp_options);
    parts.wires = Wires {
        mcp_options,
        ..Wires::default()
    };
    Ok(problems.check()?)
}

impl Making<'_> {
    const fn view(&self, table: Table) -> View<'_> {
        self.layers.table(table)
    }

    /// Checks what a setting says of nodes: those of the server, as it is about to start. What the program's code says may
    /// be of nodes that it adds later.
    #[cfg(feature = "autotrainer")]
    fn check_nodes<'n>(
        &self,
        table: Table,
        key: &'static str,
        named: impl IntoIterator<Item = &'n String>,
        problems: &mut Problems,
    ) {
        let nodes = self.around.nodes.iter().map(|node| &**node);
        for name in named {
            if nodes.clone().any(|node| node == name) {
                continue;
            }
            let known = match nodes.clone().take(NODES_SHOWN_MAX).collect::<Vec<_>>() {
                all if all.is_empty() => "the server has none".to_owned(),
                some => format!("it has {}", some.join(", ")),
            };
            let more = match nodes.len().saturating_sub(NODES_SHOWN_MAX) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let near = hint(nearest(name, nodes.clone()));
            let message = format!(
                "[{}] {key}: the server has no node `{name}`; {known}{more}{near}",
                table.name()
            );
            problems.add(&self.view(table).place(key), message);
        }
    }

    /// The server's name, in letters that any wire takes.
    fn token(&self) -> String {
        let letter = |c: char| match c {
            c if c.is_ascii_alphanumeric() || c == '_' || c == '-' => c,
            _ => '-',
        };
        self.name.chars().map(letter).collect()
    }
}

/// The tables that are for all wires.
fn general<'a>(
    parts: &mut Parts,
    layers: &'a Layers,
    around: Surroundings<'a>,
    problems: &mut Problems,
) -> Making<'a> {
    let server = layers.table(Table::Server);
    parts.identity.name = server.get("name").or_else(|| parts.identity.name.take());
    parts.identity.version = server
        .get("version")
        .or_else(|| parts.identity.version.take());
    version::check(layers, problems);
    parts.drain = server.get("drain_ms").or(parts.drain);
    let executor = layers.table(Table::Executor);
    let bounds = &mut parts.executor;
    executor.set("in_flight_max", &mut bounds.in_flight_max);
    executor.set("concurrency", &mut bounds.concurrency);
    executor.set("queue", &mut bounds.queue);
    executor.set("grace_ms", &mut bounds.grace);
    executor.set("events_max", &mut bounds.events_max);
    executor.set("events_bytes_max", &mut bounds.events_bytes_max);
    executor.set("events_bytes_held_max", &mut bounds.events_bytes_held_max);
    executor.set("asset_bytes_max", &mut bounds.asset_bytes_max);
    executor.set("asset_bytes_held_max", &mut bounds.asset_bytes_held_max);
    executor.set("asset_fetches_max", &mut bounds.asset_fetches_max);
    executor.set("asset_timeout_ms", &mut bounds.asset_timeout);
    let view = layers.table(Table::Telemetry);
    parts.export = telemetry::make(view, parts.identity.name.as_deref(), problems);
    let name = parts
        .identity
        .name
        .get_or_insert_with(|| around.name.to_owned());
    Making {
        layers,
        around,
        name: name.clone(),
        version: parts.identity.version.clone(),
    }
}

/// The wires to serve, and metrics. Where neither code nor file name one, it is Nanograph, as it was before there were files; what
/// environment and flags add is added to that, if there is a `nanoserver.json`.
pub(super) fn served(layers: &Layers, wires: &Wires, around: Surroundings<'_>) -> Vec<Table> {
    let all = Table::ALL
        .into_iter()
        .filter(|table| table.is_wire() && table.is_built());
    let mut served: Vec<Table> = all
        .filter(|wire| layers.is_served(*wire, is_in_code(wires, *wire)))
        .collect();
    let is_named_in_file = layers.in_file.keys().any(|table| table.is_wire());
    let is_open = served.is_empty() || (!is_named_in_file && around.has_nanoserver());
    let is_switched_off = layers.table(Table::Nanograph).has(&["enabled"]);
    if wires.is_empty() && is_open && !is_switched_off && !served.contains(&Table::Nanograph) {
        served.insert(0, Table::Nanograph);
    }
    if layers.is_served(Table::Metrics, wires.metrics.is_some()) {
        served.push(Table::Metrics);
    }
    served
}

pub(super) fn is_in_code(wires: &Wires, wire: Table) -> bool {
    match wire {
        Table::Server | Table::Log | Table::Telemetry | Table::Executor => false,
        Table::Metrics => wires.metrics.is_some(),
        Table::Nanograph => wires.nanograph.is_some(),
        #[cfg(feature = "nats")]
        Table::Nats => wires.nats.is_some(),
        #[cfg(feature = "autotrainer")]
        Table::Autotrainer => wires.autotrainer.is_some(),
        #[cfg(feature = "nnrp")]
        Table::Nnrp => wires.nnrp.is_some(),
        #[cfg(feature = "http")]
        Table::Http => wires.http.is_some(),
        #[cfg(feature = "mcp")]
        Table::Mcp => wires.mcp.is_some(),
        #[cfg(not(feature = "nats"))]
        Table::Nats => false,
        #[cfg(not(feature = "autotrainer"))]
        Table::Autotrainer => false,
        #[cfg(not(feature = "nnrp"))]
        Table::Nnrp => false,
        #[cfg(not(feature = "http"))]
        Table::Http => false,
        #[cfg(not(feature = "mcp"))]
        Table::Mcp => false,
    }
}
