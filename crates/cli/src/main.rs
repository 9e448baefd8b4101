//! The `nodewire` command: runs workflow graphs over node servers, checks them, helps to develop node servers,
//! and works with NATS services.
//!
//! This is a binary, so it may do what the libraries must not: read the environment, install the log and the TLS
//! provider, and choose the exit status.

#![forbid(unsafe_code)]

mod args;
mod dev;
mod device;
mod failure;
mod inputs;
mod log;
mod micro;
mod nnrp;
mod outputs;
mod progress;
mod run;
mod servers;
mod shell_command;
mod signals;
mod terminal;
mod validate;
mod watching;

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser};

use args::{Args, Command};
use failure::Failure;

/// How long the last background work may take at the end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let args = Args::parse();
    log::install(&args);
    // It can only fail if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return Failure::servers(format!("cannot start: {error}")).report(),
    };
    let result = runtime.block_on(execute(args.command));
    // Drops what is left, children included.
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    result.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

async fn execute(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(args) => Box::pin(run::run(args)).await,
        Command::Validate(args) => validate::validate(args).await,
        Command::Dev(args) => dev::dev(args).await,
        Command::Micro(args) => Box::pin(micro::micro(*args)).await,
        Command::Device(args) => Box::pin(device::device(*args)).await,
        Command::Nnrp(args) => Box::pin(nnrp::nnrp(*args)).await,
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Args::command(),
                "nodewire",
                &mut std::io::stdout(),
            );
            Ok(())
        }
    }
}
