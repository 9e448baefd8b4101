//! `nodewire micro ls`: services with their instances, endpoints and load.

use std::collections::{BTreeMap, BTreeSet};

use nats_micro::document::{EndpointInfo, EndpointStats, Info, Stats};
use serde::Serialize;

use super::connect::{Place, Purpose};
use super::connection_flags::ConnectionFlags;
use super::discover::{CollectArgs, collect};
use super::output::print_json;
use super::settings::Settings;
use super::table::{Table, nanoseconds, or_dash};
use crate::failure::Failure;
use crate::terminal;

const HELP: &str = "\
Examples:
  nodewire micro ls
  nodewire micro ls --json | jq '.[].endpoints[] | select(.num_errors > 0) | .subject'

Requests, errors and the average time are those of all instances together.";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct ListArgs {
    #[command(flatten)]
    collect: CollectArgs,
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
    // Last: its heading holds for all that follows.
    #[command(flatten)]
    pub(super) connection: ConnectionFlags,
}

/// All instances of a service.
#[derive(Debug, Default, Serialize)]
struct Listed {
    name: String,
    versions: BTreeSet<String>,
    description: String,
    /// Ids.
    instances: BTreeSet<String>,
    endpoints: Vec<ListedEndpoint>,
}

/// An endpoint of all instances that have it.
#[derive(Debug, Default, Serialize)]
struct ListedEndpoint {
    name: String,
    subject: String,
    queue_group: String,
    num_requests: u64,
    num_errors: u64,
    processing_time: u64,
    average_processing_time: u64,
}

pub(super) async fn list(settings: &Settings, args: ListArgs) -> Result<(), Failure> {
    let limits = args.collect.limits();
    let place = Place::find(settings.clone(), Purpose::Ask).await?;
    let context = place.connect().await?;
    let client = place.client(&context)?;
    let infos = collect(client.info(), limits);
    let (infos, stats) = tokio::try_join!(infos, collect(client.stats(), limits))?;
    let services = merge(infos, stats);
    if args.json {
        print_json(&services)?;
    } else if services.is_empty() {
        terminal::say("nobody answered");
    } else {
        table(&services).print();
    }
    terminal::results_written()
}

/// Both say what endpoints there are: an instance may answer only one of the two.
fn merge(infos: Vec<Info>, stats: Vec<Stats>) -> Vec<Listed> {
    let mut services = BTreeMap::<String, Listed>::new();
    for info in infos {
        let service = services.entry(info.name.clone()).or_default();
        service.add_instance(info.name, info.version, info.id);
        if service.description.is_empty() {
            service.description = info.description;
        }
        for endpoint in info.endpoints {
            service.add_endpoint(endpoint);
        }
    }
    for stats in stats {
        let service = services.entry(stats.name.clone()).or_default();
        service.add_instance(stats.name, stats.version, stats.id);
        for endpoint in stats.endpoints {
            service.add_stats(endpoint);
        }
    }
    services.into_values().collect()
}

impl Listed {
    fn add_instance(&mut self, name: String, version: String, id: String) {
        self.name = name;
        self.versions.insert(version);
        self.instances.insert(id);
    }

    fn add_endpoint(&mut self, endpoint: EndpointInfo) {
        let EndpointInfo {
            name,
            subject,
            queue_group,
            ..
        } = endpoint;
        let is_it = |other: &ListedEndpoint| {
            other.name == name && other.subject == subject && other.queue_group == queue_group
        };
        if !self.endpoints.iter().any(is_it) {
            self.endpoints.push(ListedEndpoint {
                name,
                subject,
                queue_group,
                ..ListedEndpoint::default()
            });
        }
    }

    fn add_stats(&mut self, stats: EndpointStats) {
        let same_place =
            |other: &ListedEndpoint| other.name == stats.name && other.subject == stats.subject;
        let same_group = |other: &ListedEndpoint| other.queue_group == stats.queue_group;
        let all = &self.endpoints;
        let at = all
            .iter()
            .position(|other| same_place(other) && same_group(other))
            // After a reset, services in Go have no queue group in their statistics. spec: nats-micro 4.3
            .or_else(|| all.iter().position(same_place));
        match at {
            Some(at) => self.endpoints[at].add(&stats),
            None => self.endpoints.push(ListedEndpoint::from(stats)),
        }
    }
}

impl ListedEndpoint {
    fn add(&mut self, stats: &EndpointStats) {
        self.num_requests = self.num_requests.saturating_add(stats.num_requests);
        self.num_errors = self.num_errors.saturating_add(stats.num_errors);
        self.processing_time = self.processing_time.saturating_add(stats.processing_time);
        let average = self.processing_time.checked_div(self.num_requests);
        self.average_processing_time = average.unwrap_or_default();
    }
}

impl From<EndpointStats> for ListedEndpoint {
    fn from(stats: EndpointStats) -> Self {
        let mut endpoint = Self::default();
        endpoint.add(&stats);
        Self {
            name: stats.name,
            subject: stats.subject,
            queue_group: stats.queue_group,
            ..endpoint
        }
    }
}

fn table(services: &[Listed]) -> Table {
    let mut table = Table::new(&[
        "SERVICE",
        "VERSION",
        "INSTANCES#",
        "ENDPOINT",
        "SUBJECT",
        "QUEUE GROUP",
        "REQUESTS#",
        "ERRORS#",
        "AVERAGE#",
    ]);
    for service in services {
        let versions: Vec<_> = service.versions.iter().map(String::as_str).collect();
        let mut row = |endpoint: &ListedEndpoint| {
            table.row([
                service.name.clone(),
                versions.join(", "),
                service.instances.len().to_string(),
                or_dash(&endpoint.name),
                or_dash(&endpoint.subject),
                or_dash(&endpoint.queue_group),
                endpoint.num_requests.to_string(),
                endpoint.num_errors.to_string(),
                nanoseconds(endpoint.average_processing_time),
            ]);
        };
        service.endpoints.iter().for_each(&mut row);
        if service.endpoints.is_empty() {
            row(&ListedEndpoint::default());
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn info(id: &str, version: &str, endpoints: Value) -> Info {
        let info = json!({"name": "s", "id": id, "version": version, "endpoints": endpoints});
        serde_json::from_value(info).unwrap()
    }

    fn stats(id: &str, endpoints: Value) -> Stats {
        let stats = json!({"name": "s", "id": id, "version": "1.0.0", "endpoints": endpoints});
        serde_json::from_value(stats).unwrap()
    }

    #[test]
    fn instances_are_added_up_by_endpoint() {
        let endpoints = json!([
            {"name": "e", "subject": "a.e", "queue_group": "q"},
            {"name": "e", "subject": "b.e", "queue_group": "q"}]);
        let infos = vec![
            info("1", "1.0.0", endpoints.clone()),
            info("2", "1.1.0", endpoints),
        ];
        let counts = |group: &str, requests: u64| {
            json!([
                {"name": "e", "subject": "a.e", "queue_group": group, "num_requests": requests,
                 "num_errors": 1, "processing_time": 300, "average_processing_time": 1},
                {"name": "late", "subject": "late", "queue_group": "q", "num_requests": 1}])
        };
        let services = merge(
            infos,
            vec![stats("2", counts("q", 2)), stats("3", counts("", 4))],
        );
        let [service] = &services[..] else {
            panic!("{services:?}");
        };
        assert_eq!(service.instances.len(), 3);
        assert_eq!(Vec::from_iter(&service.versions), ["1.0.0", "1.1.0"]);
        let shown: Vec<_> = service
            .endpoints
            .iter()
            .map(|e| {
                (
                    e.subject.as_str(),
                    e.num_requests,
                    e.num_errors,
                    e.average_processing_time,
                )
            })
            .collect();
        assert_eq!(
            shown,
            [("a.e", 6, 2, 100), ("b.e", 0, 0, 0), ("late", 2, 0, 0)]
        );
    }
}
