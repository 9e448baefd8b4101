//! `nodewire micro ping`, `info` and `stats`.

use std::time::Duration;

use futures_util::future::BoxFuture;
use nats_micro::client::{
    Client, ControlError, Discovery, End, InstanceClient, Limits, RequestError, ServiceClient,
    Unusable,
};
use nats_micro::document::{Document, Info, Ping, Stats};
use serde::Serialize;

use super::connect::{Place, Purpose};
use super::connection_flags::ConnectionFlags;
use super::ignore::Pattern;
use super::output::print_json;
use super::request::not_asked;
use super::settings::Settings;
use super::table::{Table, nanoseconds, or_dash, shortened};
use super::units::seconds;
use crate::failure::{Failure, chain};
use crate::terminal;

/// How long answers are collected unless somebody says so.
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(500);

const HELP: &str = "\
Examples:
  # Everybody, for half a second
  nodewire micro ping

  # As soon as three have answered; for a program
  nodewire micro ping -c 3 --json

  # One service, one instance, some endpoints
  nodewire micro info orders
  nodewire micro stats orders 8QcXnVNWbBCrNXhWyRdAJ3
  nodewire micro stats orders -e 'price*'

Answers are collected until the time is over, enough have come, or none came for the interval. Nobody answering is no \
failure: the result is empty (`[]` with --json), and the exit status 0.";

/// `ping`, and what `info` and `stats` share with it.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct DiscoverArgs {
    /// Only this service.
    service: Option<String>,
    /// Only this instance of it.
    id: Option<String>,
    #[command(flatten)]
    collect: CollectArgs,
    /// Print the documents as a JSON array, with the keys of the wire.
    #[arg(long)]
    json: bool,
    // Last: its heading holds for all that follows.
    #[command(flatten)]
    pub(super) connection: ConnectionFlags,
}

/// `info` and `stats`.
#[derive(Debug, clap::Args)]
pub(super) struct EndpointsArgs {
    /// Only endpoints whose name or subject matches, with * for any text.
    #[arg(short, long, value_name = "PATTERN")]
    pub(super) endpoint: Option<Pattern>,
    #[command(flatten)]
    pub(super) discover: DiscoverArgs,
}

/// How long answers are collected.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct CollectArgs {
    /// How long answers are collected in total; 0.5 unless set.
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// How many answers are enough.
    #[arg(short = 'c', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_count: Option<u32>,
    /// End when no answer came for so long after the last one.
    #[arg(short = 'i', long, value_name = "SECONDS", value_parser = seconds)]
    max_interval: Option<Duration>,
}

impl CollectArgs {
    /// `NATS_TIMEOUT` says how long to wait for somebody; here that time would always be waited to its end.
    pub(super) fn limits(self) -> Limits {
        let mut limits = Limits {
            max_wait: self.timeout.unwrap_or(DEFAULT_TIMEOUT),
            max_interval: self.max_interval,
            ..Limits::default()
        };
        if let Some(count) = self.max_count {
            limits.max_count = usize::try_from(count).unwrap_or(usize::MAX);
        }
        limits
    }
}

/// A document that can be asked for and shown.
pub(super) trait Shown: Document + Serialize {
    fn ask_all(client: &Client) -> Discovery<Self>;
    fn ask_service(service: &ServiceClient) -> Discovery<Self>;
    fn ask_instance(instance: &InstanceClient) -> BoxFuture<'_, Result<Self, ControlError>>;
    /// Leaves only endpoints that match.
    fn select(&mut self, pattern: &Pattern);
    fn table(documents: &[Self]) -> Table;
}

pub(super) async fn discover<D: Shown>(
    settings: &Settings,
    args: DiscoverArgs,
    endpoint: Option<Pattern>,
) -> Result<(), Failure> {
    let limits = args.collect.limits();
    let place = Place::find(settings.clone(), Purpose::Ask).await?;
    let context = place.connect().await?;
    let client = place.client(&context)?;
    let mut documents = match (&args.service, &args.id) {
        (None, _) => collect(D::ask_all(&client), limits).await?,
        (Some(service), None) => collect(D::ask_service(&client.service(service)), limits).await?,
        (Some(service), Some(id)) => {
            let instance = client.instance(service, id).with_timeout(limits.max_wait);
            one(D::ask_instance(&instance).await)?
        }
    };
    if let Some(pattern) = &endpoint {
        documents
            .iter_mut()
            .for_each(|document| document.select(pattern));
    }
    if args.json {
        print_json(&documents)?;
    } else if documents.is_empty() {
        terminal::say("nobody answered");
    } else {
        documents.sort_by(|a, b| (a.name(), a.id()).cmp(&(b.name(), b.id())));
        D::table(&documents).print();
    }
    terminal::results_written()
}

/// What cannot be used is said and costs none of the others.
pub(super) async fn collect<D: Document>(
    discovery: Discovery<D>,
    limits: Limits,
) -> Result<Vec<D>, Failure> {
    let found = discovery.limits(limits).await;
    let found = found.map_err(|error| not_asked(&error))?;
    if let Some(first) = found.unusable.first() {
        left_out(found.unusable_count, first);
    }
    if found.end == End::Closed {
        return Err(not_asked(&RequestError::Closed));
    }
    if found.end == End::MaxBytes {
        warn("there are more answers than can be taken");
    }
    Ok(found.documents)
}

fn left_out(count: usize, first: &dyn std::error::Error) {
    let answers = if count == 1 { "answer" } else { "answers" };
    warn(&format!(
        "{count} {answers} cannot be used; the first: {}",
        chain(first)
    ));
}

fn warn(text: &str) {
    let text = terminal::plain(text);
    terminal::say(format_args!("{} {text}", terminal::warning_word()));
}

fn one<D>(answer: Result<D, ControlError>) -> Result<Vec<D>, Failure> {
    match answer {
        Ok(document) => Ok(vec![document]),
        Err(ControlError::Document(error)) => {
            left_out(1, &error);
            Ok(Vec::new())
        }
        Err(ControlError::Request(error)) => match error {
            RequestError::NoResponders { .. } | RequestError::TimedOut { .. } => Ok(Vec::new()),
            RequestError::Service(error) => {
                left_out(1, &Unusable::Service(error));
                Ok(Vec::new())
            }
            RequestError::TooLarge { .. }
            | RequestError::InvalidSubject { .. }
            | RequestError::Closed => Err(not_asked(&error)),
        },
    }
}

impl Shown for Ping {
    fn ask_all(client: &Client) -> Discovery<Self> {
        client.ping()
    }

    fn ask_service(service: &ServiceClient) -> Discovery<Self> {
        service.ping()
    }

    fn ask_instance(instance: &InstanceClient) -> BoxFuture<'_, Result<Self, ControlError>> {
        Box::pin(instance.ping())
    }

    fn select(&mut self, _: &Pattern) {}

    fn table(documents: &[Self]) -> Table {
        let mut table = Table::new(&["SERVICE", "VERSION", "ID", "METADATA"]);
        for ping in documents {
            let pairs: Vec<_> = ping
                .metadata
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            table.row([
                ping.name.clone(),
                ping.version.clone(),
                ping.id.clone(),
                pairs.join(" "),
            ]);
        }
        table
    }
}

impl Shown for Info {
    fn ask_all(client: &Client) -> Discovery<Self> {
        client.info()
    }

    fn ask_service(service: &ServiceClient) -> Discovery<Self> {
        service.info()
    }

    fn ask_instance(instance: &InstanceClient) -> BoxFuture<'_, Result<Self, ControlError>> {
        Box::pin(instance.info())
    }

    fn select(&mut self, pattern: &Pattern) {
        self.endpoints.retain(|endpoint| {
            pattern.matches(&endpoint.name) || pattern.matches(&endpoint.subject)
        });
    }

    fn table(documents: &[Self]) -> Table {
        let mut table = Table::new(&[
            "SERVICE",
            "VERSION",
            "ID",
            "ENDPOINT",
            "SUBJECT",
            "QUEUE GROUP",
            "DESCRIPTION",
        ]);
        for info in documents {
            let mut row = |endpoint: [&str; 3]| {
                let [name, subject, queue_group] = endpoint.map(or_dash);
                let [service, version, id] =
                    [&info.name, &info.version, &info.id].map(Clone::clone);
                let description = shortened(&info.description);
                table.row([
                    service,
                    version,
                    id,
                    name,
                    subject,
                    queue_group,
                    description,
                ]);
            };
            info.endpoints.iter().for_each(|endpoint| {
                row([&endpoint.name, &endpoint.subject, &endpoint.queue_group]);
            });
            if info.endpoints.is_empty() {
                row(["", "", ""]);
            }
        }
        table
    }
}

impl Shown for Stats {
    fn ask_all(client: &Client) -> Discovery<Self> {
        client.stats()
    }

    fn ask_service(service: &ServiceClient) -> Discovery<Self> {
        service.stats()
    }

    fn ask_instance(instance: &InstanceClient) -> BoxFuture<'_, Result<Self, ControlError>> {
        Box::pin(instance.stats())
    }

    fn select(&mut self, pattern: &Pattern) {
        self.endpoints.retain(|endpoint| {
            pattern.matches(&endpoint.name) || pattern.matches(&endpoint.subject)
        });
    }

    fn table(documents: &[Self]) -> Table {
        let mut table = Table::new(&[
            "SERVICE",
            "ID",
            "ENDPOINT",
            "SUBJECT",
            "REQUESTS#",
            "ERRORS#",
            "AVERAGE#",
            "TOTAL#",
            "LAST ERROR",
        ]);
        for stats in documents {
            let mut row = |endpoint: [String; 7]| {
                let [name, subject, requests, errors, average, total, last_error] = endpoint;
                let (service, id) = (stats.name.clone(), stats.id.clone());
                table.row([
                    service, id, name, subject, requests, errors, average, total, last_error,
                ]);
            };
            for endpoint in &stats.endpoints {
                row([
                    or_dash(&endpoint.name),
                    or_dash(&endpoint.subject),
                    endpoint.num_requests.to_string(),
                    endpoint.num_errors.to_string(),
                    nanoseconds(endpoint.average_processing_time),
                    nanoseconds(endpoint.processing_time),
                    shortened(&endpoint.last_error),
                ]);
            }
            if stats.endpoints.is_empty() {
                row(std::array::from_fn(|_| or_dash("")));
            }
        }
        table
    }
}
