//! `GET /metrics`: what the parts counted, for Prometheus. spec: nanograph 19.3
//!
//! What node servers count, too, has the names that it has there ([`nodewire_telemetry::names::metric`]); the rest begins
//! with `nanocore_`.

mod shared;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use nodewire_telemetry::names;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use self::shared::Shared;
use super::Api;
use super::document::{Operation, Routes};
use crate::assets::ObjectsFailure;
use crate::refusal::ApiError;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn add(routes: &mut Routes) {
    let text = routes.schema::<String>();
    routes.add(
        Operation::get("/metrics", "metrics", "What was counted, for Prometheus").answer_of(
            200,
            "OpenMetrics text.",
            "application/openmetrics-text",
            &text,
        ),
        get(show),
    );
}

async fn show(State(api): State<Api>) -> Result<Response, ApiError> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Shared::take(&api)));
    let own = registry.sub_registry_with_prefix(names::ORCHESTRATOR);
    own.register_collector(Box::new(Snapshot::take(&api)));
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| ApiError::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// Everything at the moment it was asked for.
#[derive(Debug)]
struct Snapshot {
    counters: Vec<(&'static str, &'static str, u64)>,
    gauges: Vec<(&'static str, &'static str, u64)>,
    servers: BTreeMap<&'static str, u64>,
}

impl Snapshot {
    fn take(api: &Api) -> Self {
        let mut snapshot = Self {
            counters: Vec::new(),
            gauges: Vec::new(),
            servers: BTreeMap::new(),
        };
        snapshot.connections(api);
        snapshot.events(api);
        snapshot.database(api);
        snapshot.servers(api);
        snapshot.runs(api);
        snapshot.transfers(api);
        snapshot.assets(api);
        snapshot
    }

    fn connections(&mut self, api: &Api) {
        self.counters.push((
            "connections_timed_out",
            "Connections closed, as no request came in time",
            api.timed_out.load(Ordering::Relaxed),
        ));
    }

    fn events(&mut self, api: &Api) {
        let events = api.events.counters();
        self.counters.extend([
            ("events", "Events published", events.published),
            (
                "events_oversized",
                "Events of which only the size was told",
                events.oversized,
            ),
            ("events_invalid", "Events not published", events.invalid),
            (
                "streams_too_slow",
                "Times a stream of events was too slow",
                events.too_slow,
            ),
            (
                "events_missed",
                "Events that slow streams missed",
                events.missed,
            ),
        ]);
        let streams = ("streams", "Streams of events open", events.subscriptions);
        self.gauges.push(streams);
    }

    fn database(&mut self, api: &Api) {
        let database = api.database.counters();
        self.counters.extend([
            ("database_writes", "Writes committed", database.committed),
            (
                "database_transactions",
                "Transactions these were committed in",
                database.transactions,
            ),
            ("database_failures", "Writes failed", database.failed),
            (
                "database_refused",
                "Writes that found no place in the queue",
                database.refused,
            ),
        ]);
    }

    fn runs(&mut self, api: &Api) {
        let runs = api.runs.counters();
        self.counters.extend([
            ("runs_submitted", "Runs accepted", runs.submitted),
            (
                "runs_refused",
                "Runs refused, as too many waited",
                runs.refused,
            ),
            ("runs_complete", "Runs that completed", runs.complete),
            ("runs_error", "Runs of which a node failed", runs.error),
            ("runs_aborted", "Runs stopped on request", runs.aborted),
            (
                "runs_interrupted",
                "Runs broken off with a process",
                runs.interrupted,
            ),
            ("runs_resumed", "Runs that went on after that", runs.resumed),
            (
                "runs_panicked",
                "Runs ended by a fault of the program",
                runs.panicked,
            ),
            (
                "runs_not_kept",
                "Runs whose end never came to be on disk",
                runs.not_kept,
            ),
        ]);
        let (usage, queue) = (api.runs.usage(), api.runs.queue());
        self.gauges.extend([
            (
                "runs_waiting",
                "Runs in the queue",
                count(queue.waiting.len()),
            ),
            (
                "runs_waiting_for_servers",
                "Runs that wait for node servers",
                count(queue.waiting_for_servers.len()),
            ),
            (
                "runs_running",
                "Runs being executed",
                count(queue.running.len()),
            ),
            (
                "runs_unkept",
                "Runs that have ended, but are not on disk yet",
                api.runs.unkept().map_or(0, |unkept| count(unkept.runs)),
            ),
            (
                "nodes_in_flight",
                "Nodes in flight, over all runs",
                count(usage.in_flight),
            ),
            (
                "nodes_waiting",
                "Nodes that wait for a place",
                count(usage.waiting),
            ),
        ]);
        if let Some(cache) = api.runs.cache_counters() {
            self.counters.extend([
                ("cache_hits", "Results used again", cache.hits),
                ("cache_misses", "Results not found", cache.misses),
                (
                    "cache_discarded",
                    "Results whose assets were gone",
                    cache.discarded,
                ),
                ("cache_refused", "Results not kept", cache.refused),
                (
                    "cache_failures",
                    "Results not read, as the database failed",
                    cache.failed,
                ),
            ]);
        }
    }

    fn transfers(&mut self, api: &Api) {
        let transfers = api.transfer.counters();
        self.counters.extend([
            (
                "assets_imported",
                "Assets copied from other asset servers",
                transfers.imported,
            ),
            (
                "assets_exported",
                "Assets copied to other asset servers",
                transfers.exported,
            ),
            (
                "assets_present",
                "Assets that did not need to be copied",
                transfers.present,
            ),
            (
                "asset_copy_bytes",
                "Bytes of the assets copied",
                transfers.bytes,
            ),
            (
                "asset_copies_failed",
                "Copies of assets that failed",
                transfers.failed,
            ),
            (
                "asset_copies_cancelled",
                "Copies of assets that were given up",
                transfers.cancelled,
            ),
        ]);
    }

    fn assets(&mut self, api: &Api) {
        let named = |(failure, count)| {
            let (name, help) = match failure {
                ObjectsFailure::NoKeys => (
                    "asset_objects_no_keys",
                    "Uses of the object store that failed without keys",
                ),
                ObjectsFailure::Unreachable => (
                    "asset_objects_unreachable",
                    "Uses of the object store that got no answer",
                ),
                ObjectsFailure::Refused => (
                    "asset_objects_refused",
                    "Uses of the object store that it refused the keys of",
                ),
                ObjectsFailure::NoBucket => (
                    "asset_objects_no_bucket",
                    "Uses of the object store that failed without the bucket",
                ),
                ObjectsFailure::Other => (
                    "asset_objects_other",
                    "Uses of the object store that failed in another way",
                ),
            };
            (name, help, count)
        };
        let failures = api.assets.store().failures();
        self.counters.extend(failures.map(named));
    }

    fn servers(&mut self, api: &Api) {
        let servers = api.supervisor.list();
        let mut lines = (0, 0, 0);
        for server in &servers {
            *self.servers.entry(server.state.as_str()).or_default() += 1;
            lines.0 += server.log.lines;
            lines.1 += server.log.not_written;
            lines.2 += server.log.missed;
        }
        self.counters.extend([
            ("log_lines", "Lines that servers wrote", lines.0),
            (
                "log_lines_not_written",
                "Lines that are in no file",
                lines.1,
            ),
            (
                "log_lines_missed",
                "Lines that slow followers missed",
                lines.2,
            ),
        ]);
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, help, count) in &self.counters {
            let counter = ConstCounter::new(*count);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        for (name, help, value) in &self.gauges {
            let gauge = ConstGauge::new(*value);
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        let kind = ConstGauge::new(0_u64).metric_type();
        let mut servers = encoder.encode_descriptor("servers", "Servers by state", None, kind)?;
        for (state, count) in &self.servers {
            let label = [("state", *state)];
            let family = servers.encode_family(&label)?;
            ConstGauge::new(*count).encode(family)?;
        }
        Ok(())
    }
}
