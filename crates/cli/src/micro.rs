//! `nodewire micro`: NATS services from the command line. spec: nats-micro 12

mod broker;
mod connect;
mod connection_flags;
mod context_file;
mod credentials;
mod discover;
mod environment;
mod ignore;
mod instance;
mod list;
mod output;
mod reload;
mod reply;
mod request;
mod run;
mod serve;
mod serve_command;
mod servers;
mod settings;
mod table;
mod target;
mod units;

use clap::Subcommand;

pub(crate) use connect::{Place, Purpose};
pub(crate) use connection_flags::ConnectionFlags;
pub(crate) use environment::lookup;
pub(crate) use settings::Settings;
pub(crate) use table::Table;
pub(crate) use units::{go_duration, seconds};

use crate::failure::Failure;

const MICRO_HELP: &str = "\
Where the connection comes from, first to last: flags of the command, flags before the command, NATS_SERVER and the other
variables of the flags, natscli's variables (NATS_URL, NATS_USER, NATS_PASSWORD, NATS_TOKEN, NATS_CREDS, NATS_NKEY, NATS_JWT
with NATS_SEED, NATS_CERT, NATS_KEY, NATS_CA, NATS_TIMEOUT, NATS_CONTEXT), natscli's context, defaults. Without any server,
one that answers on localhost:4222 is taken; `run`, `dev` and `serve` else start a broker of their own.

Exit status: 0 done, also when nothing was found; 1 failed; 2 wrong usage; 130 interrupted by a second signal.";

/// Connection flags, and what to do.
#[derive(Debug, clap::Args)]
#[command(after_help = MICRO_HELP)]
pub(crate) struct MicroArgs {
    #[command(flatten)]
    connection: ConnectionFlags,
    #[command(subcommand)]
    command: MicroCommand,
}

#[derive(Debug, Subcommand)]
enum MicroCommand {
    /// Build and run a service, with the connection handed on.
    Run(run::RunArgs),
    /// As `run`, and follow its sources: the new instance is up before the old one drains.
    Dev(run::DevArgs),
    /// Send a request and print the reply.
    Request(request::RequestArgs),
    /// Who is there.
    Ping(discover::DiscoverArgs),
    /// What endpoints services have.
    Info(discover::EndpointsArgs),
    /// What endpoints have done.
    Stats(discover::EndpointsArgs),
    /// Services with their instances, endpoints and load.
    Ls(list::ListArgs),
    /// Make a service of a shell command.
    Serve(serve::ServeArgs),
    /// Run the embedded broker, for development.
    Broker(broker::BrokerArgs),
}

pub(crate) async fn micro(args: MicroArgs) -> Result<(), Failure> {
    let settings = |own: ConnectionFlags| Settings::resolve(own, args.connection.clone(), &lookup);
    match args.command {
        MicroCommand::Run(args) => {
            run::run(settings(args.connection)?, args.target, args.watch).await
        }
        MicroCommand::Dev(args) => {
            run::dev(settings(args.connection)?, args.target, args.watch).await
        }
        MicroCommand::Request(args) => {
            request::request(&settings(args.connection.clone())?, args).await
        }
        MicroCommand::Ping(args) => {
            let settings = settings(args.connection.clone())?;
            discover::discover::<nats_micro::document::Ping>(&settings, args, None).await
        }
        MicroCommand::Info(args) => {
            let settings = settings(args.discover.connection.clone())?;
            discover::discover::<nats_micro::document::Info>(
                &settings,
                args.discover,
                args.endpoint,
            )
            .await
        }
        MicroCommand::Stats(args) => {
            let settings = settings(args.discover.connection.clone())?;
            discover::discover::<nats_micro::document::Stats>(
                &settings,
                args.discover,
                args.endpoint,
            )
            .await
        }
        MicroCommand::Ls(args) => list::list(&settings(args.connection.clone())?, args).await,
        MicroCommand::Serve(args) => serve::serve(settings(args.connection.clone())?, args).await,
        MicroCommand::Broker(args) => broker::broker(args).await,
    }
}
