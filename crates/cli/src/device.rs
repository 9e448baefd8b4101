//! `nodewire device`: the Autotrainer device API from the command line. spec: autotrainer 13

mod app;
mod asking;
mod bridge;
mod call;
mod console;
mod event_kinds;
mod flags;
mod key_files;
mod keys;
mod listen;
mod prompt;
mod replay;
mod show;
mod telemetry;
mod watch;

use clap::Subcommand;

use crate::failure::Failure;

const DEVICE_HELP: &str = "\
Where a setting comes from, first to last: flags, variables of the environment (NODEWIRE_DEVICE_*), the file of --config, \
defaults.

Exit status: 0 done; 1 the device said no, or what was asked for did not come; 2 wrong usage; 3 the device cannot be reached, or \
does not answer; 130 interrupted.";

/// What to do.
#[derive(Debug, clap::Args)]
#[command(after_help = DEVICE_HELP)]
pub(crate) struct DeviceArgs {
    #[command(subcommand)]
    command: DeviceCommand,
}

#[derive(Debug, Subcommand)]
enum DeviceCommand {
    /// Be a device: heartbeats, events from the prompt or a script, canned or scripted answers.
    App(Box<app::AppArgs>),
    /// Pass events and commands of devices on, over NATS.
    Bridge(Box<bridge::BridgeArgs>),
    /// Command a device from a prompt, with what it publishes above it.
    Console(Box<console::ConsoleArgs>),
    /// Send one command and print the answer.
    Call(Box<call::CallArgs>),
    /// Print what the device publishes, as it comes.
    Listen(Box<listen::ListenArgs>),
    /// Print what the device has kept of what it published.
    Replay(Box<replay::ReplayArgs>),
    /// Show how the device is: alarms, detectors, heartbeats, last events.
    Watch(Box<watch::WatchArgs>),
    /// Make keys for encrypted connections.
    Keys(keys::KeysArgs),
}

pub(crate) async fn device(args: DeviceArgs) -> Result<(), Failure> {
    match args.command {
        DeviceCommand::App(args) => Box::pin(app::app(*args)).await,
        DeviceCommand::Bridge(args) => Box::pin(bridge::bridge(*args)).await,
        DeviceCommand::Console(args) => Box::pin(console::console(*args)).await,
        DeviceCommand::Call(args) => Box::pin(call::call(*args)).await,
        DeviceCommand::Listen(args) => Box::pin(listen::listen(*args)).await,
        DeviceCommand::Replay(args) => Box::pin(replay::replay(*args)).await,
        DeviceCommand::Watch(args) => Box::pin(watch::watch(*args)).await,
        DeviceCommand::Keys(args) => keys::keys(args),
    }
}
