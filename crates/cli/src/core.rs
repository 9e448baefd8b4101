//! The daemon: its commands, and what talks to it.
//!
//! `register`, `unregister`, `list` and `env` work on the registry file, so that they need no daemon. Everything else
//! uses the daemon's HTTP API and nothing deeper.

mod args;
mod assets;
mod client;
mod doctor;
mod down;
mod events;
mod follow;
mod logs;
mod nodes;
mod on_nats;
mod place;
mod program;
mod registering;
mod run;
mod running;
mod runs;
mod servers;
mod show;
mod up;

pub(crate) use args::{CoreCommand, DaemonArgs, ServersArgs, UpArgs};
pub(crate) use on_nats::on_nats;
pub(crate) use program::{Program, is_nanocore, nanocore_command};
pub(crate) use registering::{is_server_folder, validate_folder};
pub(crate) use run::run;
pub(crate) use running::{RunningServers, running_servers};
pub(crate) use servers::start;
pub(crate) use up::up;

use crate::failure::Failure;
use crate::signals::Signals;
use crate::terminal;

/// Does one of the commands that nodewire and nanocore share.
pub(crate) async fn core(command: CoreCommand) -> Result<(), Failure> {
    // A second signal is never needed: these leave nothing behind.
    let signals = Signals::listen()?;
    signals.unless_stopped(Box::pin(execute(command))).await?;
    terminal::results_written()
}

async fn execute(command: CoreCommand) -> Result<(), Failure> {
    match command {
        CoreCommand::Register(args) => registering::register(args).await,
        CoreCommand::Unregister(args) => registering::unregister(&args),
        CoreCommand::Enable(args) => registering::switch(&args, true),
        CoreCommand::Disable(args) => registering::switch(&args, false),
        CoreCommand::Env(args) => registering::env(&args),
        CoreCommand::Stop(args) => servers::stop(args).await,
        CoreCommand::Restart(args) => servers::restart(args).await,
        CoreCommand::List(args) => servers::list(args).await,
        CoreCommand::Status(args) => servers::status(args).await,
        CoreCommand::Logs(args) => logs::logs(args).await,
        CoreCommand::Down(args) => down::down(args).await,
        CoreCommand::Doctor(args) => doctor::doctor(args).await,
        CoreCommand::Nodes(args) => nodes::nodes(args).await,
        CoreCommand::Runs(args) => runs::runs(args.command).await,
        CoreCommand::Queue(args) => runs::queue(args).await,
        CoreCommand::Assets(args) => assets::assets(args.command).await,
    }
}
