//! What node servers count, too: under the names, labels and words that it has there.

use std::fmt;

use nodewire_telemetry::SpanCounts;
use nodewire_telemetry::names::{self, metric};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::api::Api;
use crate::workflow::StepCount;

/// Executions on node servers as this side sees them, and spans.
#[derive(Debug)]
pub(super) struct Shared {
    steps: Vec<([(&'static str, String); 2], StepCount)>,
    spans: Option<SpanCounts>,
}

impl Shared {
    pub(super) fn take(api: &Api) -> Self {
        let steps = api.steps.snapshot().into_iter();
        let labelled = |(wire, node, count): (&str, _, _)| {
            let labels = [
                (names::label::WIRE, wire.to_owned()),
                (names::label::NODE, node),
            ];
            (labels, count)
        };
        Self {
            steps: steps.map(labelled).collect(),
            spans: api.tracer.as_ref().map(|tracer| tracer.spans()),
        }
    }

    fn executions(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (name, help) = (metric::ACCEPTED, "Executions sent to node servers");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, count) in &self.steps {
            ConstCounter::new(count.accepted).encode(family.encode_family(labels)?)?;
        }
        let (name, help) = (metric::EXECUTIONS, "Executions that have ended there");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for ([wire, node], count) in &self.steps {
            for (outcome, ended) in outcomes(count) {
                let outcome = (names::label::OUTCOME, outcome.to_owned());
                let labels = [wire.clone(), node.clone(), outcome];
                ConstCounter::new(ended).encode(family.encode_family(&labels)?)?;
            }
        }
        let (name, help) = (metric::IN_FLIGHT, "Executions waiting or running there");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, count) in &self.steps {
            ConstGauge::new(count.in_flight()).encode(family.encode_family(labels)?)?;
        }
        Ok(())
    }
}

fn outcomes(count: &StepCount) -> [(&'static str, u64); 4] {
    [
        ("completed", count.completed),
        ("failed", count.failed),
        ("cancelled", count.cancelled),
        ("dropped", count.dropped),
    ]
}

impl Collector for Shared {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.executions(&mut encoder)?;
        let Some(spans) = &self.spans else {
            return Ok(());
        };
        let (name, help) = (metric::SPANS, "Spans, by what became of them");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (outcome, count) in spans.by_outcome() {
            let labels = [(names::label::OUTCOME, outcome)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
