//! What the parts counted, as OpenMetrics text.

use std::fmt;

use nodewire_core::{Counters, Durations, NodeStats, OriginRefusals, OriginStats, RefusalKind};
use nodewire_telemetry::SpanCounts;
use nodewire_telemetry::names::{label, metric};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::Sources;
use crate::capability::{Feature, Support, Wire, support};

/// What the program itself submitted.
const DIRECT: &str = "direct";

/// Everything at one moment; of each node at one moment, too.
#[derive(Debug)]
pub(super) struct Snapshot {
    series: Vec<Series>,
    refused: Vec<(&'static str, RefusalKind, u64)>,
    lost: Vec<(Wire, Feature, u64)>,
    spans: Option<SpanCounts>,
}

/// One wire and one node.
#[derive(Debug)]
struct Series {
    labels: [(&'static str, String); 2],
    counters: Counters,
    waiting: u64,
    durations: Durations,
}

impl Snapshot {
    pub(super) fn take(sources: &Sources) -> Self {
        let nodes = sources.executor.registry().stats();
        let nodes = nodes.iter();
        let served = &sources.wires;
        Self {
            series: nodes.flat_map(|node| series(node, served)).collect(),
            refused: refused(&sources.executor.refusals(), served),
            lost: lost(sources),
            spans: sources.telemetry.as_ref().map(|it| it.spans()),
        }
    }

    pub(super) fn text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

fn name(origin: Option<&'static str>) -> &'static str {
    origin.unwrap_or(DIRECT)
}

/// Of the wires that are served, and of whatever else requests came from.
fn series(node: &NodeStats, served: &[Wire]) -> Vec<Series> {
    let of = |wire: &'static str, stats: Option<&OriginStats>| Series {
        labels: [
            (label::WIRE, wire.to_owned()),
            (label::NODE, node.uid.clone()),
        ],
        counters: stats.map(|stats| stats.counters).unwrap_or_default(),
        waiting: stats.map_or(0, |stats| stats.waiting),
        durations: stats.map(|stats| stats.durations).unwrap_or_default(),
    };
    let came = node.origins.iter();
    let came = came.map(|stats| of(name(stats.origin), Some(stats)));
    let unused = served.iter().map(|wire| wire.name());
    let unused = unused.filter(|wire| !node.origins.iter().any(|it| name(it.origin) == *wire));
    came.chain(unused.map(|wire| of(wire, None))).collect()
}

fn refused(refusals: &[OriginRefusals], served: &[Wire]) -> Vec<(&'static str, RefusalKind, u64)> {
    let came = refusals
        .iter()
        .flat_map(|of| RefusalKind::ALL.map(|kind| (name(of.origin), kind, of.count(kind))));
    let unused = served.iter().map(|wire| wire.name());
    let unused = unused.filter(|wire| !refusals.iter().any(|it| name(it.origin) == *wire));
    let unused = unused.flat_map(|wire| RefusalKind::ALL.map(|kind| (wire, kind, 0)));
    came.chain(unused).collect()
}

/// Of each served wire, what it cannot carry as it is.
fn lost(sources: &Sources) -> Vec<(Wire, Feature, u64)> {
    let counted = sources.losses.snapshot();
    let count = |wire, feature| {
        let lost = counted
            .iter()
            .find(|it| it.wire == wire && it.feature == feature);
        lost.map_or(0, |lost| lost.executions)
    };
    let of = |wire: &Wire| Feature::ALL.map(|feature| (*wire, feature, count(*wire, feature)));
    let all = sources.wires.iter().flat_map(of);
    all.filter(|(wire, feature, count)| *count > 0 || support(*wire, *feature) != Support::Full)
        .collect()
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.executions(&mut encoder)?;
        self.durations(&mut encoder)?;
        self.gauges(&mut encoder)?;
        let mut refused = counters(&mut encoder, metric::REFUSED, "Requests not admitted")?;
        for (wire, reason, count) in &self.refused {
            let labels = [(label::WIRE, *wire), (label::REASON, reason.name())];
            counter(&mut refused, &labels, *count)?;
        }
        let help = "Executions that lost something their wire cannot carry";
        let mut lost = counters(&mut encoder, metric::LOST, help)?;
        for (wire, feature, count) in &self.lost {
            let labels = [(label::WIRE, wire.name()), (label::FEATURE, feature.name())];
            counter(&mut lost, &labels, *count)?;
        }
        match &self.spans {
            Some(spans) => encode_spans(&mut encoder, spans),
            None => Ok(()),
        }
    }
}

impl Snapshot {
    fn executions(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut accepted = counters(encoder, metric::ACCEPTED, "Executions admitted")?;
        for series in &self.series {
            counter(&mut accepted, &series.labels, series.counters.accepted)?;
        }
        let mut ended = counters(encoder, metric::EXECUTIONS, "Executions ended")?;
        for series in &self.series {
            let [wire, node] = series.labels.clone();
            for (outcome, count) in outcomes(&series.counters) {
                let labels = [
                    wire.clone(),
                    node.clone(),
                    (label::OUTCOME, outcome.to_owned()),
                ];
                counter(&mut ended, &labels, count)?;
            }
        }
        Ok(())
    }

    fn durations(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut family = encoder.encode_descriptor(
            metric::DURATION,
            "From admission to end",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for series in &self.series {
            let durations = &series.durations;
            family
                .encode_family(&series.labels)?
                .encode_histogram::<NoLabelSet>(
                    durations.sum().as_secs_f64(),
                    durations.count(),
                    &buckets(durations),
                    None,
                )?;
        }
        Ok(())
    }

    fn gauges(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Executions waiting or running";
        let mut in_flight = gauges(encoder, metric::IN_FLIGHT, help)?;
        for series in &self.series {
            gauge(&mut in_flight, series, series.counters.in_flight)?;
        }
        let mut queued = gauges(encoder, metric::QUEUED, "Executions waiting")?;
        for series in &self.series {
            gauge(&mut queued, series, series.waiting)?;
        }
        Ok(())
    }
}

fn outcomes(counters: &Counters) -> [(&'static str, u64); 4] {
    [
        ("completed", counters.completed),
        ("failed", counters.failed),
        ("cancelled", counters.cancelled),
        ("dropped", counters.dropped()),
    ]
}

/// Not cumulative, and with the last one, as the encoder wants them.
fn buckets(durations: &Durations) -> Vec<(f64, u64)> {
    let mut before = 0;
    let mut buckets: Vec<_> = durations
        .cumulative()
        .map(|(bound, cumulative)| {
            let count = cumulative - before;
            before = cumulative;
            (bound.as_secs_f64(), count)
        })
        .collect();
    buckets.push((f64::INFINITY, durations.count() - before));
    buckets
}

fn encode_spans(encoder: &mut DescriptorEncoder<'_>, spans: &SpanCounts) -> Result<(), fmt::Error> {
    let mut family = counters(encoder, metric::SPANS, "Spans, by what became of them")?;
    let mut outcomes = spans.by_outcome().into_iter();
    outcomes
        .try_for_each(|(outcome, count)| counter(&mut family, &[(label::OUTCOME, outcome)], count))
}

fn counters<'e>(
    encoder: &'e mut DescriptorEncoder<'_>,
    name: &'e str,
    help: &str,
) -> Result<MetricEncoder<'e>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Counter)
}

fn gauges<'e>(
    encoder: &'e mut DescriptorEncoder<'_>,
    name: &'e str,
    help: &str,
) -> Result<MetricEncoder<'e>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)
}

fn counter(
    family: &mut MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    count: u64,
) -> Result<(), fmt::Error> {
    ConstCounter::new(count).encode(family.encode_family(labels)?)
}

fn gauge(family: &mut MetricEncoder<'_>, series: &Series, value: u64) -> Result<(), fmt::Error> {
    ConstGauge::new(value).encode(family.encode_family(&series.labels)?)
}
