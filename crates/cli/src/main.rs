//! The `nodewire` command: runs node servers and workflow graphs over them, checks them, helps to develop node servers,
//! and works with NATS services, devices and NNRP. Started as `nanocore`, it has the commands of that name.
//!
//! This is a binary, so it may do what the libraries must not: read the environment, install the log and the TLS
//! provider, and choose the exit status.

#![forbid(unsafe_code)]

mod args;
mod catalogue;
mod core;
mod dev;
mod device;
mod failure;
mod inputs;
mod log;
mod micro;
mod new;
mod nnrp;
mod outputs;
mod progress;
mod run;
mod servers;
mod shell_command;
mod signals;
mod terminal;
mod traces;
mod validate;
mod view;
mod watching;

use std::ffi::OsStr;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::Resettable;
use clap::{CommandFactory, Parser};

use args::{Args, Command};
use failure::Failure;

/// How long the last background work may take at the end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let is_nanocore = core::is_nanocore(std::env::args_os().next().as_deref());
    let (verbose, log_format, command) = if is_nanocore {
        let program: core::Program = parse();
        let (verbose, log_format) = (program.verbose, program.log_format);
        (verbose, log_format, core::nanocore_command(program))
    } else {
        let args: Args = parse();
        (args.verbose, args.log_format, args.command)
    };
    log::install(verbose, log_format);
    // It can only fail if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return Failure::servers(format!("cannot start: {error}")).report(),
    };
    let result = runtime.block_on(execute(command, is_nanocore));
    // Drops what is left, children included.
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    result.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

/// Variables of what guards a connection, besides those whose values are hidden.
const GUARDS: [&str; 4] = [
    "NODEWIRE_BROKER_USERNAME",
    "NODEWIRE_DEVICE_APP_CURVE_KEY_FILE",
    "NODEWIRE_DEVICE_CURVE_KEY_FILE",
    "NODEWIRE_DEVICE_CURVE_SERVER_KEY",
];

/// Reads the command line, and the variables that have values: one that is empty, such as `${X:-}` in a compose file makes
/// it, counts as not set; but not where a door would be open then.
fn parse<T: Parser>() -> T {
    let read = without_empty_variables(T::command()).get_matches();
    T::from_arg_matches(&read).unwrap_or_else(|error| error.format(&mut T::command()).exit())
}

fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    let is_guard = |name: &OsStr| GUARDS.iter().any(|guard| name == *guard);
    command
        .mut_args(|arg| match arg.get_env() {
            Some(name) if arg.is_hide_env_values_set() || is_guard(name) => arg,
            Some(name) if is_empty(name) => arg.env(Resettable::Reset),
            Some(_) | None => arg,
        })
        .mut_subcommands(without_empty_variables)
}

async fn execute(command: Command, is_nanocore: bool) -> Result<(), Failure> {
    match command {
        Command::Run(args) => Box::pin(run::run(*args)).await,
        Command::Up(args) => Box::pin(core::up(*args)).await,
        Command::Start(args) => core::start(args).await,
        Command::Core(command) => core::core(command).await,
        Command::Catalogue(command) => Box::pin(catalogue::catalogue(command)).await,
        Command::Validate(args) => validate::validate(args).await,
        Command::Dev(args) => dev::dev(args).await,
        Command::New(args) => new::new(&args),
        Command::Micro(args) => Box::pin(micro::micro(*args)).await,
        Command::Device(args) => Box::pin(device::device(*args)).await,
        Command::Nnrp(args) => Box::pin(nnrp::nnrp(*args)).await,
        Command::Completions { shell } => {
            let (mut program, name) = if is_nanocore {
                (core::Program::command(), "nanocore")
            } else {
                (Args::command(), "nodewire")
            };
            // In memory first: it panics where it cannot write.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut program, name, &mut script);
            terminal::result_bytes(&script);
            terminal::results_written()
        }
    }
}
