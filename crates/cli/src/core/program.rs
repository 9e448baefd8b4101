//! The second name of the program: `nanocore`, with the commands that its users know. spec: nanograph 12.1

use std::ffi::OsStr;
use std::path::Path;

use clap::{ArgAction, Parser, Subcommand};
use clap_complete::Shell;

use super::args::{CoreCommand, UpArgs};
use crate::args::{LogFormat, RunArgs, ValidateArgs};

/// Runs node servers and workflows over them.
#[derive(Debug, Parser)]
#[command(
    name = "nanocore",
    version,
    max_term_width = 110,
    propagate_version = true
)]
#[command(
    after_help = "Exit status: 0 done, 1 it failed, 2 wrong usage or invalid, 3 not running or not reachable, 130 interrupted."
)]
pub(crate) struct Program {
    /// More log on standard error; twice for everything.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// How the log on standard error looks.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, env = "NODEWIRE_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the daemon in the foreground, with all registered node servers.
    Start(Box<UpArgs>),
    /// Run a workflow graph on the daemon.
    Run(Box<RunArgs>),
    /// Report everything that is wrong with a node server's folder, or with a graph.
    #[command(mut_arg("file", |file| file.required(false).default_value(".")))]
    Validate(ValidateArgs),
    #[command(flatten)]
    Core(CoreCommand),
    /// Print a shell's completions.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Whether the program was started under this name.
pub(crate) fn is_nanocore(argument: Option<&OsStr>) -> bool {
    let name = argument.and_then(|argument| Path::new(argument).file_stem());
    name == Some(OsStr::new("nanocore"))
}

/// nodewire's command for one of nanocore's.
pub(crate) fn nanocore_command(program: Program) -> crate::args::Command {
    use crate::args::Command as Ours;
    match program.command {
        Command::Start(args) => Ours::Up(args),
        Command::Run(mut args) => {
            args.on_daemon.daemon = true;
            Ours::Run(args)
        }
        Command::Validate(args) => Ours::Validate(args),
        Command::Core(command) => Ours::Core(command),
        Command::Completions { shell } => Ours::Completions { shell },
    }
}
