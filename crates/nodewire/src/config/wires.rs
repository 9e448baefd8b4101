//! What the settings make of a server.

#[cfg(feature = "autotrainer")]
mod autotrainer;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "mcp")]
mod mcp;
mod nanograph;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "nnrp")]
mod nnrp;

use std::path::Path;

use super::layers::{Layers, View};
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
}

impl Surroundings<'_> {
    fn has_nanoserver(&self) -> bool {
        self.folder
            .is_some_and(|folder| folder.join(::nanograph::config::FILE_NAME).exists())
    }
}

/// What each wire is made with.
struct Making<'a> {
    layers: &'a Layers,
    around: Surroundings<'a>,
    /// The server's name, and its version if it has one.
    name: String,
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
    general(parts, layers);
    let making = Making {
        layers,
        around,
        name: parts.name.clone().unwrap_or_else(|| around.name.to_owned()),
        version: parts.version.clone(),
    };
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
    Ok(problems.check()?)
}

impl Making<'_> {
    const fn view(&self, table: Table) -> View<'_> {
        self.layers.table(table)
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
fn general(parts: &mut Parts, layers: &Layers) {
    let server = layers.table(Table::Server);
    parts.name = server.get("name").or_else(|| parts.name.take());
    parts.version = server.get("version").or_else(|| parts.version.take());
    parts.drain = server.get("drain_ms").or(parts.drain);
    let executor = layers.table(Table::Executor);
    executor.set("in_flight_max", &mut parts.executor.in_flight_max);
    executor.set("concurrency", &mut parts.executor.concurrency);
    executor.set("queue", &mut parts.executor.queue);
    executor.set("grace_ms", &mut parts.executor.grace);
}

/// The wires to serve. Where neither code nor file name one, it is Nanograph, as it was before there were files; what
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
    served
}

pub(super) fn is_in_code(wires: &Wires, wire: Table) -> bool {
    match wire {
        Table::Server | Table::Log | Table::Executor => false,
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
        #[cfg(not(all(
            feature = "nats",
            feature = "autotrainer",
            feature = "nnrp",
            feature = "http",
            feature = "mcp"
        )))]
        Table::Nats | Table::Autotrainer | Table::Nnrp | Table::Http | Table::Mcp => false,
    }
}
