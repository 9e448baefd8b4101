//! What a program's settings say of its exporter, around what OpenTelemetry's variables say.

use std::collections::BTreeMap;
use std::time::Duration;

use nodewire_telemetry::{TelemetryConfig, TelemetryError};

/// A variable of OpenTelemetry, and the ones that win over it.
type Variables = (&'static str, &'static [&'static str]);

/// Each can stand for a setting. Where a setting counts, none of its variables does.
const VARIABLES: [Variables; 8] = [
    ("OTEL_SDK_DISABLED", &["OTEL_TRACES_EXPORTER"]),
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        &["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"],
    ),
    (
        "OTEL_EXPORTER_OTLP_HEADERS",
        &["OTEL_EXPORTER_OTLP_TRACES_HEADERS"],
    ),
    (
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        &["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"],
    ),
    ("OTEL_SERVICE_NAME", &[]),
    ("OTEL_RESOURCE_ATTRIBUTES", &[]),
    ("OTEL_TRACES_SAMPLER", &[]),
    ("OTEL_TRACES_SAMPLER_ARG", &[]),
];

/// A value that a setting has, in the form of the variable it stands for.
#[derive(Clone)]
pub(crate) struct Given {
    pub(crate) text: String,
    /// Whether the variables count before it.
    pub(crate) is_of_file: bool,
}

/// What the settings say; nothing by default, so that the variables count alone.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExportSettings {
    /// By the variable they stand for.
    pub(crate) given: BTreeMap<&'static str, Given>,
    /// What the server is called, if it is called anything.
    pub(crate) server_name: Option<String>,
    /// What has no variable.
    pub(crate) bounds: ExportBounds,
}

/// Bounds of the exporter that somebody gave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ExportBounds {
    pub(crate) retries_max: Option<u32>,
    pub(crate) span_queue_max: Option<usize>,
    pub(crate) span_batch_max: Option<usize>,
    pub(crate) span_interval: Option<Duration>,
    pub(crate) flush_timeout: Option<Duration>,
}

/// Headers may be secret.
impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Given")
            .field("is_of_file", &self.is_of_file)
            .finish_non_exhaustive()
    }
}

impl ExportSettings {
    /// What to export and where to, of the settings and of these variables; `None` for nowhere.
    ///
    /// # Errors
    /// Something cannot be used.
    pub(crate) fn config(
        &self,
        lookup: &dyn Fn(&str) -> Option<String>,
        program: &str,
    ) -> Result<Option<TelemetryConfig>, TelemetryError> {
        let name = self.server_name.as_deref().unwrap_or(program);
        let config = TelemetryConfig::from_variables(|name| self.variable(lookup, name), name)?;
        Ok(config.map(|config| self.bounds.apply(config)))
    }

    /// A variable as it is with the settings.
    fn variable(&self, lookup: &dyn Fn(&str) -> Option<String>, name: &str) -> Option<String> {
        let stands = |(own, others): &&Variables| *own == name || others.contains(&name);
        let Some((own, others)) = VARIABLES.iter().find(stands) else {
            return lookup(name);
        };
        let is_set = |name: &&'static str| lookup(name).is_some_and(|text| !text.trim().is_empty());
        let Some(given) = self.given.get(own) else {
            return lookup(name);
        };
        if given.is_of_file && (is_set(own) || others.iter().any(is_set)) {
            return lookup(name);
        }
        (*own == name).then(|| given.text.clone())
    }
}

impl ExportBounds {
    fn apply(&self, mut config: TelemetryConfig) -> TelemetryConfig {
        config.retries_max = self.retries_max.unwrap_or(config.retries_max);
        config.span_queue_max = self.span_queue_max.unwrap_or(config.span_queue_max);
        config.span_batch_max = self.span_batch_max.unwrap_or(config.span_batch_max);
        config.span_interval = self.span_interval.unwrap_or(config.span_interval);
        config.flush_timeout = self.flush_timeout.unwrap_or(config.flush_timeout);
        config
    }
}
