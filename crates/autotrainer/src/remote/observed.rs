//! What telemetry sees of a remote; without the feature, nothing, at no cost.

#[cfg(feature = "telemetry")]
pub(super) use with_telemetry::Observed;
#[cfg(not(feature = "telemetry"))]
pub(super) use without_telemetry::Observed;

#[cfg(feature = "telemetry")]
mod with_telemetry {
    use std::sync::{Arc, OnceLock, Weak};
    use std::time::Instant;

    use crate::remote::Remote;
    use crate::remote::call::{Answer, What};
    use crate::remote::counters::Counters;
    use crate::remote::error::CallError;
    use crate::remote::shared::Shared;
    use crate::telemetry::{MetricsWriter, Observable, Source, Telemetry};

    /// Tells telemetry of calls, once somebody has said which.
    #[derive(Debug, Default)]
    pub(in crate::remote) struct Observed(OnceLock<Arc<Source>>);

    impl Observed {
        pub(in crate::remote) fn start(&self) -> Option<Instant> {
            self.0.get().map(|_| Instant::now())
        }

        pub(in crate::remote) fn called(
            &self,
            what: What,
            start: Option<Instant>,
            outcome: &Result<Answer, CallError>,
        ) {
            let (Some(source), Some(start)) = (self.0.get(), start) else {
                return;
            };
            let outcome = match outcome {
                Ok(Answer { answer, .. }) => Ok((answer.result, answer.error_code, &answer.nonce)),
                Err(error) => Err(error.to_string()),
            };
            source.called(what.name(), outcome, start.elapsed());
        }
    }

    impl Remote {
        /// Tells this of every call from now on, and what is counted. The identifier is an attribute of its resource.
        /// `false` if it is told to one already, or that one observes too many.
        pub fn observe(&self, telemetry: &Telemetry, identifier: &str) -> bool {
            let observed = &self.shared.observed.0;
            if observed.get().is_some() {
                return false;
            }
            let counted = Counted {
                counters: Arc::clone(&self.shared.counters),
                shared: Arc::downgrade(&self.shared),
            };
            let version = env!("CARGO_PKG_VERSION");
            let source = telemetry.observe(identifier, version, Box::new(counted));
            source.is_some_and(|source| observed.set(source).is_ok())
        }
    }

    #[derive(Debug)]
    struct Counted {
        counters: Arc<Counters>,
        shared: Weak<Shared>,
    }

    impl Observable for Counted {
        fn observe(&self, _: &Source, metrics: &mut MetricsWriter) {
            for (name, count) in self.counters.snapshot().named() {
                let name = format!("autotrainer.remote.{name}");
                metrics.counter(&name, "Counted by the remote side", "1", count);
            }
        }

        fn is_gone(&self) -> bool {
            self.shared.strong_count() == 0
        }
    }
}

#[cfg(not(feature = "telemetry"))]
mod without_telemetry {
    use crate::remote::call::{Answer, What};
    use crate::remote::error::CallError;

    #[derive(Debug, Default)]
    pub(in crate::remote) struct Observed(());

    #[derive(Debug)]
    pub(in crate::remote) struct Start;

    impl Observed {
        pub(in crate::remote) const fn start(&self) -> Start {
            Start
        }

        pub(in crate::remote) const fn called(
            &self,
            _: What,
            _: Start,
            _: &Result<Answer, CallError>,
        ) {
        }
    }
}
