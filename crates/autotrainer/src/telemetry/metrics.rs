//! Counts as OTLP says them.

use nodewire_telemetry::attributes::text;
use nodewire_telemetry::otlp::{
    Data, Histogram, HistogramDataPoint, KeyValue, Metric, NumberDataPoint, Sum, Temporality,
};

use crate::service::{DURATION_BOUNDS, ServiceCounts};
use crate::zmq::ConnectionCounts;

/// Collects what one source has counted since it was made.
#[derive(Debug)]
pub(crate) struct MetricsWriter {
    start_unix_ns: u64,
    now_unix_ns: u64,
    metrics: Vec<Metric>,
}

impl MetricsWriter {
    pub(super) const fn new(start_unix_ns: u64, now_unix_ns: u64) -> Self {
        Self {
            start_unix_ns,
            now_unix_ns,
            metrics: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Vec<Metric> {
        self.metrics
    }

    /// What a service has counted, and how long its answers took in all.
    pub(crate) fn service(&mut self, counts: &ServiceCounts, durations_sum_s: f64) {
        self.requests(counts);
        self.durations(&counts.durations, durations_sum_s);
        self.publications(counts);
        self.connections(&[
            ("event", counts.event_connections),
            ("command", counts.command_connections),
        ]);
    }

    fn requests(&mut self, counts: &ServiceCounts) {
        self.counters(
            "autotrainer.requests",
            "Requests that were answered",
            "{request}",
            counts.requests.iter().map(|(command, result, count)| {
                let result = text("result", result.name().unwrap_or("OTHER"));
                (vec![text("command", command.name()), result], *count)
            }),
        );
        self.by(
            "autotrainer.requests.malformed",
            "Requests that could not be read",
            "reason",
            counts
                .malformed
                .iter()
                .copied()
                .chain([("undelimited", counts.undelimited)]),
        );
        self.by(
            "autotrainer.requests.refused",
            "Requests refused because too many waited",
            "reason",
            [
                ("per_client", counts.refused_per_client),
                ("in_all", counts.refused_in_all),
            ],
        );
        self.by(
            "autotrainer.requests.overdue",
            "Requests whose deadline was over, by what was answered",
            "answer",
            [
                ("PENDING_WITH_NOTIFICATION", counts.made_pending),
                ("FAILED", counts.timed_out),
            ],
        );
        self.by(
            "autotrainer.replies.lost",
            "Replies that reached no client",
            "reason",
            [
                ("gone", counts.replies_gone),
                ("not_read", counts.replies_not_read),
            ],
        );
        self.by(
            "autotrainer.results.late",
            "Results that were published after their answer",
            "outcome",
            [
                ("published", counts.late_results),
                ("given_up", counts.late_results_given_up),
            ],
        );
    }

    fn durations(&mut self, buckets: &[u64], sum_s: f64) {
        let point = HistogramDataPoint {
            start_time_unix_nano: self.start_unix_ns,
            time_unix_nano: self.now_unix_ns,
            count: buckets.iter().sum(),
            sum: Some(sum_s),
            bucket_counts: buckets.to_vec(),
            explicit_bounds: DURATION_BOUNDS
                .iter()
                .map(std::time::Duration::as_secs_f64)
                .collect(),
        };
        self.metrics.push(Metric {
            name: "autotrainer.request.duration".to_owned(),
            description: "From the arrival of a request to its answer".to_owned(),
            unit: "s".to_owned(),
            data: Some(Data::Histogram(Histogram {
                data_points: vec![point],
                aggregation_temporality: Temporality::Cumulative.into(),
            })),
        });
    }

    fn publications(&mut self, counts: &ServiceCounts) {
        let topics = counts.publications.iter();
        self.by(
            "autotrainer.publications",
            "Messages that were published",
            "topic",
            topics.map(|(topic, count)| {
                let name = topic.and_then(crate::topic::Topic::name);
                (name.unwrap_or("OTHER"), *count)
            }),
        );
        let lost = [
            ("dropped", counts.dropped),
            ("refused", counts.refused_publications),
        ];
        self.by(
            "autotrainer.publications.lost",
            "Messages that were dropped for newer ones, or refused with an error",
            "reason",
            lost,
        );
        let heartbeats = counts
            .publications
            .iter()
            .filter(|(topic, _)| *topic == Some(crate::topic::Topic::HEARTBEAT));
        self.counter(
            "autotrainer.heartbeats",
            "Heartbeats that were published",
            "{heartbeat}",
            heartbeats.map(|(_, count)| count).sum(),
        );
    }

    fn connections(&mut self, sockets: &[(&str, ConnectionCounts); 2]) {
        let of = |count: fn(&ConnectionCounts) -> u64| {
            sockets.map(|(socket, counts)| (vec![text("socket", socket)], count(&counts)))
        };
        let open = of(|counts| counts.opened.saturating_sub(counts.closed));
        self.sum(
            "autotrainer.connections.open",
            "Peers that are connected",
            "{connection}",
            false,
            open,
        );
        self.counters(
            "autotrainer.connections",
            "Peers that have connected",
            "{connection}",
            of(|counts| counts.opened),
        );
        let lost = sockets.iter().flat_map(|(socket, counts)| {
            let reasons = [
                ("broken", counts.broken),
                ("refused", counts.refused),
                ("handshake_failed", counts.handshakes_failed),
            ];
            reasons.map(|(reason, count)| {
                (vec![text("socket", *socket), text("reason", reason)], count)
            })
        });
        self.counters(
            "autotrainer.connections.failed",
            "Connections that broke, were refused, or came to nothing",
            "{connection}",
            lost,
        );
    }

    /// A count without attributes.
    pub(crate) fn counter(&mut self, name: &str, description: &str, unit: &str, count: u64) {
        self.counters(name, description, unit, [(Vec::new(), count)]);
    }

    /// Counts by one attribute.
    pub(crate) fn by<'a>(
        &mut self,
        name: &str,
        description: &str,
        key: &str,
        counts: impl IntoIterator<Item = (&'a str, u64)>,
    ) {
        let counts = counts.into_iter();
        let counts = counts.map(|(value, count)| (vec![text(key, value)], count));
        self.counters(name, description, "1", counts);
    }

    fn counters(
        &mut self,
        name: &str,
        description: &str,
        unit: &str,
        counts: impl IntoIterator<Item = (Vec<KeyValue>, u64)>,
    ) {
        self.sum(name, description, unit, true, counts);
    }

    fn sum(
        &mut self,
        name: &str,
        description: &str,
        unit: &str,
        is_monotonic: bool,
        counts: impl IntoIterator<Item = (Vec<KeyValue>, u64)>,
    ) {
        let counts = counts.into_iter();
        let points = counts.map(|(attributes, count)| NumberDataPoint {
            start_time_unix_nano: self.start_unix_ns,
            time_unix_nano: self.now_unix_ns,
            as_int: Some(i64::try_from(count).unwrap_or(i64::MAX)),
            attributes,
        });
        let points: Vec<_> = points.collect();
        if points.is_empty() {
            return;
        }
        self.metrics.push(Metric {
            name: name.to_owned(),
            description: description.to_owned(),
            unit: unit.to_owned(),
            data: Some(Data::Sum(Sum {
                data_points: points,
                aggregation_temporality: Temporality::Cumulative.into(),
                is_monotonic,
            })),
        });
    }
}
