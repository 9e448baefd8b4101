//! `nodewire device keys`: CURVE keys.

use std::path::PathBuf;

use autotrainer_api::zmq::KeyPair;
use clap::Subcommand;
use serde_json::json;

use super::key_files;
use crate::failure::Failure;
use crate::terminal;

const HELP: &str = "\
Examples:
  # One pair for the service, one for each client
  nodewire device keys generate service.key > service.pub
  nodewire device keys generate office.key

  # Who may connect: a line for each client
  echo \"$(nodewire device keys public office.key) the office\" >> clients

  nodewire device app --bind 0.0.0.0 --curve-key-file service.key --curve-allow clients
  nodewire device console --host box-7 --curve-server-key service.pub --curve-key-file office.key

A key pair is a text file as ZeroMQ's own tools have it (zmq.auth of pyzmq reads it). Only its owner may read it.";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Write a new key pair, of a service or a client, to a new file, and print its public key.
    Generate {
        /// The file; it must not be there yet.
        file: PathBuf,
        /// Print a JSON object. Errors are text on standard error all the same.
        #[arg(long)]
        json: bool,
    },
    /// Print the public key of a file.
    Public {
        /// The file.
        file: PathBuf,
        /// Print a JSON object. Errors are text on standard error all the same.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn keys(args: KeysArgs) -> Result<(), Failure> {
    let (public, file, json) = match args.command {
        KeysCommand::Generate { file, json } => {
            let pair = KeyPair::generate();
            key_files::write_pair(&file, &pair)?;
            (pair.public, file, json)
        }
        KeysCommand::Public { file, json } => (key_files::read_public(&file)?, file, json),
    };
    if json {
        let file = file.to_string_lossy();
        terminal::result(json!({"public": public.to_string(), "file": file}));
    } else {
        terminal::result(public);
    }
    terminal::results_written()
}
