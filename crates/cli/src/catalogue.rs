//! `nodewire ls`, `call`, `top` and `bench`: the nodes of all servers, on all wires, in one catalogue.

mod bench;
mod call;
mod chosen;
mod config;
mod found;
mod ls;
mod near;
mod places;
mod show;
mod top;
mod values;

use crate::failure::Failure;
use crate::terminal;

/// What is done with the catalogue.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum CatalogueCommand {
    /// List every server and node on every wire.
    Ls(Box<ls::LsArgs>),
    /// Execute a node, on whichever wire it is.
    Call(Box<call::CallArgs>),
    /// Watch nodes: rates, times, what runs, waits and is dropped.
    Top(Box<top::TopArgs>),
    /// Load a node, and measure.
    Bench(Box<bench::BenchArgs>),
}

pub(crate) async fn catalogue(command: CatalogueCommand) -> Result<(), Failure> {
    match command {
        CatalogueCommand::Ls(args) => Box::pin(ls::ls(*args)).await?,
        CatalogueCommand::Call(args) => Box::pin(call::call(*args)).await?,
        CatalogueCommand::Top(args) => Box::pin(top::top(*args)).await?,
        CatalogueCommand::Bench(args) => Box::pin(bench::bench(*args)).await?,
    }
    terminal::results_written()
}
