//! `nodewire micro serve`: a shell command as a service.

use std::sync::Arc;
use std::time::Duration;

use nats_micro::{AddServiceError, Context, Endpoint, Request, Service, ServiceBuilder};

use super::connect::{Place, Purpose};
use super::connection_flags::ConnectionFlags;
use super::serve_command;
use super::settings::Settings;
use super::units::seconds;
use crate::failure::{Failure, chain};
use crate::shell_command::ShellCommand;
use crate::signals::Signals;
use crate::terminal;

const HELP: &str = "\
Examples:
  nodewire micro serve shout --command 'tr a-z A-Z'
  nodewire micro serve thumbnails --subject images.thumbnail --command 'convert - -resize 128 png:-' --concurrency 2

Each request runs the command with `sh -c`: the payload is its standard input, what it prints is the reply. In its environment \
NATS_REQUEST_SUBJECT is the request's subject, NATS_REQUEST_HEADER_<NAME> the first value of each header (upper case, other \
characters as _), and NATS_REQUEST_HEADERS all of them as JSON.

A command that ends with another status than 0 is answered with error 500: the last line that it wrote on standard error is \
the description, what it printed is the body, the header Nodewire-Exit-Code has the status (128 and its number for a signal). \
One that takes too long is killed, with all that it started, and answered with error 504; one that prints too much, with 500.

It serves until SIGINT, SIGTERM or SIGHUP; what it has taken by then is answered.";

/// How much longer than a command leaving may take.
const STOP_MARGIN: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
#[command(after_help = HELP, disable_version_flag = true)]
pub(super) struct ServeArgs {
    /// The service's name.
    name: String,
    /// What answers a request.
    #[arg(long, value_name = "COMMAND")]
    command: String,
    /// The subject; the service's name unless set. Wildcards are allowed.
    #[arg(long)]
    subject: Option<String>,
    /// The endpoint's name; the service's unless set.
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
    /// The service's version.
    #[arg(long, value_name = "VERSION", default_value = "0.1.0")]
    version: String,
    /// What the service is for.
    #[arg(long, default_value = "")]
    description: String,
    /// Metadata of the service. May be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// The queue group that instances share requests in; q unless set.
    #[arg(long, value_name = "NAME", conflicts_with = "no_queue_group")]
    queue_group: Option<String>,
    /// Every instance answers every request.
    #[arg(long)]
    no_queue_group: bool,
    /// How many commands run at the same time; further requests wait.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// How long a command may take.
    #[arg(short, long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    timeout: Duration,
    /// How much a command may print.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20)]
    max_output: usize,
    // Last: its heading holds for all that follows.
    #[command(flatten)]
    pub(super) connection: ConnectionFlags,
}

pub(super) async fn serve(settings: Settings, args: ServeArgs) -> Result<(), Failure> {
    let service = args.service(settings.control_prefix.as_deref());
    service
        .check()
        .map_err(|error| Failure::usage(error.to_string()))?;
    let signals = Signals::listen()?;
    let found = Place::find(settings, Purpose::Serve);
    let place = signals.unless_stopped(found).await?;
    let context = signals.unless_stopped(place.connect()).await?;
    let served = Box::pin(until_stopped(&context, service, &signals, &place.url())).await;
    let closed = async {
        context.close().await;
        Ok(())
    };
    signals.unless_killed(closed).await.and(served)
}

/// Serves until a signal comes, or the service cannot go on.
async fn until_stopped(
    context: &Context,
    service: ServiceBuilder,
    signals: &Signals,
    url: &str,
) -> Result<(), Failure> {
    let added = signals.unless_stopped(async {
        context
            .add_service(service)
            .await
            .map_err(|e| not_added(&e))
    });
    let service = added.await?;
    let subjects: Vec<_> = service
        .endpoints()
        .into_iter()
        .map(|(_, _, subject)| subject)
        .collect();
    terminal::say(format_args!(
        "serving {} {} on {} at {url}",
        service.name(),
        service.id(),
        subjects.join(", ")
    ));
    tokio::select! {
        () = signals.stop.cancelled() => Ok(()),
        reason = service.stopped() => Err(Failure::failed(chain(&*reason))),
    }
}

fn not_added(error: &AddServiceError) -> Failure {
    Failure::failed(chain(error))
}

impl ServeArgs {
    fn service(&self, control_prefix: Option<&str>) -> ServiceBuilder {
        let command = Arc::new(ShellCommand {
            line: self.command.clone(),
            timeout: self.timeout,
            output_bytes_max: self.max_output,
        });
        let handler = move |request: Request| {
            let command = Arc::clone(&command);
            async move { serve_command::answer(&command, &request).await }
        };
        let mut endpoint = Endpoint::new(self.endpoint.as_ref().unwrap_or(&self.name), handler)
            .subject(self.subject.as_ref().unwrap_or(&self.name))
            .concurrency(self.concurrency.into());
        if let Some(queue_group) = &self.queue_group {
            endpoint = endpoint.queue_group(queue_group);
        }
        if self.no_queue_group {
            endpoint = endpoint.no_queue_group();
        }
        let mut service = Service::builder(&self.name, &self.version)
            .description(&self.description)
            .stop_timeout(self.timeout.saturating_add(STOP_MARGIN))
            .endpoint(endpoint);
        for (key, value) in &self.metadata {
            service = service.metadata(key, value);
        }
        match control_prefix {
            Some(prefix) => service.control_prefix(prefix),
            None => service,
        }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("metadata is KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
