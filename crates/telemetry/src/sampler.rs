//! Which traces are recorded.

use crate::config::wrong;
use crate::error::TelemetryError;
use crate::trace_parent::TraceParent;

/// Which traces are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Of the traces that begin here, or of all if `follows_parent` is not set: from 0 to 1.
    pub ratio: f64,
    /// Whether a trace that came from elsewhere is recorded if, and only if, it is recorded there.
    pub follows_parent: bool,
}

impl Default for Sampler {
    fn default() -> Self {
        Self {
            ratio: 1.0,
            follows_parent: true,
        }
    }
}

impl Sampler {
    pub(crate) fn from_words(
        word: Option<&str>,
        argument: Option<&str>,
    ) -> Result<Self, TelemetryError> {
        let Some(word) = word.map(str::trim) else {
            return Ok(Self::default());
        };
        let own = word.strip_prefix("parentbased_");
        let ratio = match own.unwrap_or(word) {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => ratio(argument)?,
            _ => return Err(wrong("OTEL_TRACES_SAMPLER", "is none that is known")),
        };
        Ok(Self {
            ratio,
            follows_parent: own.is_some(),
        })
    }

    /// Whether a span of this trace is recorded; `parent` is where it came from.
    pub(crate) fn records(&self, span: &TraceParent, parent: Option<&TraceParent>) -> bool {
        match parent {
            Some(parent) if self.follows_parent => parent.is_sampled(),
            Some(_) | None => is_within(self.ratio, span),
        }
    }
}

/// The same for each span of a trace, here and elsewhere: by the lower half of the trace's id.
fn is_within(ratio: f64, span: &TraceParent) -> bool {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    let place = (span.trace_id().to_u128() & u128::from(u64::MAX)) >> 1;
    #[expect(
        clippy::cast_precision_loss,
        reason = "a part in ten quadrillions is no matter"
    )]
    let place = place as f64;
    place < ratio * HALF
}

fn ratio(argument: Option<&str>) -> Result<f64, TelemetryError> {
    let Some(argument) = argument else {
        return Ok(1.0);
    };
    let ratio = argument.trim().parse::<f64>().ok();
    let ratio = ratio.filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| wrong("OTEL_TRACES_SAMPLER_ARG", "must be a number from 0 to 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(word: &str, argument: Option<&str>) -> Sampler {
        Sampler::from_words(Some(word), argument).unwrap()
    }

    #[test]
    fn a_trace_from_elsewhere_is_recorded_as_there() {
        let new = TraceParent::new_trace(false);
        let [on, off] = [true, false].map(TraceParent::new_trace);
        for (word, expected) in [
            ("parentbased_always_on", [true, true, false]),
            ("parentbased_always_off", [false, true, false]),
            ("always_on", [true, true, true]),
            ("always_off", [false, false, false]),
        ] {
            let sampler = sampler(word, None);
            let records = [None, Some(&on), Some(&off)].map(|parent| sampler.records(&new, parent));
            assert_eq!(records, expected, "{word}");
        }
    }

    #[test]
    fn a_ratio_is_about_so_many() {
        let half = sampler("traceidratio", Some("0.5"));
        let recorded = (0..10_000)
            .filter(|_| half.records(&TraceParent::new_trace(true), None))
            .count();
        assert!((4_500..5_500).contains(&recorded), "{recorded}");
        assert!(Sampler::from_words(Some("traceidratio"), Some("1.1")).is_err());
        assert!(Sampler::from_words(Some("jaeger_remote"), None).is_err());
    }
}
