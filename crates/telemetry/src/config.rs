//! What to export, and where to.

use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::endpoint::Endpoint;
use crate::error::TelemetryError;
use crate::sampler::Sampler;

/// How many headers and attributes a variable may name.
const PAIRS_MAX: usize = 64;

/// What to export, and where to. All bounds are at least 1.
#[derive(Clone)]
#[non_exhaustive]
pub struct TelemetryConfig {
    /// The collector.
    pub endpoint: Endpoint,
    /// Further headers of each export, such as a token.
    pub headers: Vec<(String, String)>,
    /// `service.name` of the resource.
    pub service_name: String,
    /// Further attributes of the resource.
    pub resource: Vec<(String, String)>,
    /// Which traces are recorded; all, and what callers record, by default.
    pub sampler: Sampler,
    /// Spans that may wait; 4,096. Further ones are dropped and counted.
    pub span_queue_max: usize,
    /// Spans of one export; 512.
    pub span_batch_max: usize,
    /// How long a span waits at most until it is exported; 5 s.
    pub span_interval: Duration,
    /// How long one attempt to export may take; 10 s.
    pub export_timeout: Duration,
    /// How often a batch is exported again when the collector is not there or asks for it; 3.
    pub retries_max: u32,
    /// How long [`Telemetry::stop`](crate::Telemetry::stop) may take; 5 s.
    pub flush_timeout: Duration,
}

/// Without the headers, which may be secret.
impl fmt::Debug for TelemetryConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetryConfig")
            .field("endpoint", &self.endpoint)
            .field("service_name", &self.service_name)
            .field("resource", &self.resource)
            .field("sampler", &self.sampler)
            .finish_non_exhaustive()
    }
}

impl TelemetryConfig {
    /// The defaults, for this collector.
    #[must_use]
    pub fn new(endpoint: Endpoint, service_name: impl Into<String>) -> Self {
        Self {
            endpoint,
            headers: Vec::new(),
            service_name: service_name.into(),
            resource: Vec::new(),
            sampler: Sampler::default(),
            span_queue_max: 4_096,
            span_batch_max: 512,
            span_interval: Duration::from_secs(5),
            export_timeout: Duration::from_secs(10),
            retries_max: 3,
            flush_timeout: Duration::from_secs(5),
        }
    }

    /// What OpenTelemetry's variables say, looked up by their names; an empty one counts as unset. `None` if there is
    /// nothing to export to, or it is switched off.
    ///
    /// Known are `OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER` (`otlp`, `none`), `OTEL_EXPORTER_OTLP_[TRACES_]ENDPOINT`,
    /// `…_HEADERS`, `…_TIMEOUT` (ms), `…_PROTOCOL` (`http/protobuf`), `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`,
    /// `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
    ///
    /// # Errors
    /// If telemetry is wanted and one of them cannot be used.
    pub fn from_variables(
        lookup: impl Fn(&str) -> Option<String>,
        service_name: &str,
    ) -> Result<Option<Self>, TelemetryError> {
        let get = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let is_on = |name: &str| get(name).is_some_and(|it| it.trim().eq_ignore_ascii_case("true"));
        if is_on("OTEL_SDK_DISABLED") || !exports_traces(&get)? {
            return Ok(None);
        }
        let Some(endpoint) = endpoint(&get)? else {
            return Ok(None);
        };
        check_protocol(&get)?;
        let mut config = Self::new(endpoint, service_name);
        if let Some(resource) = get("OTEL_RESOURCE_ATTRIBUTES") {
            config.resource = pairs("OTEL_RESOURCE_ATTRIBUTES", &resource)?;
            let named = config
                .resource
                .iter()
                .position(|(key, _)| key == "service.name");
            if let Some(named) = named {
                config.service_name = config.resource.swap_remove(named).1;
            }
        }
        if let Some(name) = get("OTEL_SERVICE_NAME") {
            config.service_name = name;
        }
        if let Some((name, headers)) = of_traces(&get, HEADERS) {
            config.headers = pairs(name, &headers)?;
        }
        if let Some((name, timeout)) = of_traces(&get, TIMEOUT) {
            config.export_timeout = timeout_ms(name, &timeout)?;
        }
        config.sampler = Sampler::from_words(
            get("OTEL_TRACES_SAMPLER").as_deref(),
            get("OTEL_TRACES_SAMPLER_ARG").as_deref(),
        )?;
        Ok(Some(config))
    }
}

/// A variable's name for traces, and for everything.
type Names = (&'static str, &'static str);

const HEADERS: Names = (
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_HEADERS",
);
const TIMEOUT: Names = (
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
);
const PROTOCOL: Names = (
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
);
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_EXPORTER: &str = "OTEL_TRACES_EXPORTER";

fn of_traces(
    get: &impl Fn(&str) -> Option<String>,
    (traces, all): Names,
) -> Option<(&'static str, String)> {
    let own = get(traces).map(|value| (traces, value));
    own.or_else(|| Some((all, get(all)?)))
}

fn exports_traces(get: &impl Fn(&str) -> Option<String>) -> Result<bool, TelemetryError> {
    match get(TRACES_EXPORTER).as_deref().map(str::trim) {
        None | Some("otlp") => Ok(true),
        Some("none") => Ok(false),
        Some(_) => Err(wrong(TRACES_EXPORTER, "must be `otlp` or `none`")),
    }
}

fn endpoint(get: &impl Fn(&str) -> Option<String>) -> Result<Option<Endpoint>, TelemetryError> {
    if let Some(traces) = get(TRACES_ENDPOINT) {
        return Ok(Some(Endpoint::for_traces(traces.trim())?));
    }
    match get(ENDPOINT) {
        Some(base) => Ok(Some(Endpoint::parse(base.trim())?)),
        None => Ok(None),
    }
}

fn check_protocol(get: &impl Fn(&str) -> Option<String>) -> Result<(), TelemetryError> {
    match of_traces(get, PROTOCOL) {
        Some((name, protocol)) if protocol.trim() != "http/protobuf" => {
            Err(wrong(name, "must be `http/protobuf`: no other is known"))
        }
        Some(_) | None => Ok(()),
    }
}

/// `key=value,key=value`, values percent-encoded.
fn pairs(name: &'static str, text: &str) -> Result<Vec<(String, String)>, TelemetryError> {
    let problem = || wrong(name, "must be a list `key=value,key=value` of at most 64");
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').ok_or_else(problem)?;
        let value = percent_decode_str(value.trim()).decode_utf8();
        let value = value.map_err(|_| problem())?;
        Ok((key.trim().to_owned(), value.into_owned()))
    };
    let parts: Vec<_> = text
        .split(',')
        .filter(|part| !part.trim().is_empty())
        .collect();
    if parts.len() > PAIRS_MAX {
        return Err(problem());
    }
    parts.into_iter().map(pair).collect()
}

fn timeout_ms(name: &'static str, text: &str) -> Result<Duration, TelemetryError> {
    let ms = text.trim().parse::<u64>().ok().filter(|ms| *ms > 0);
    let ms = ms.ok_or_else(|| wrong(name, "must be a number of milliseconds, above 0"))?;
    Ok(Duration::from_millis(ms))
}

pub(crate) fn wrong(name: &'static str, problem: &'static str) -> TelemetryError {
    TelemetryError::Variable { name, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<TelemetryConfig>, TelemetryError> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        TelemetryConfig::from_variables(lookup, "default")
    }

    #[test]
    fn without_an_endpoint_or_switched_off_there_is_none() {
        let collector = (ENDPOINT, "http://localhost:4318");
        for variables in [
            &[][..],
            &[(ENDPOINT, " ")],
            &[collector, ("OTEL_SDK_DISABLED", "TRUE")],
            &[collector, (TRACES_EXPORTER, "none")],
        ] {
            assert!(read(variables).unwrap().is_none(), "{variables:?}");
        }
    }

    #[test]
    fn the_variables_say_what_they_do_elsewhere() {
        let config = read(&[
            (ENDPOINT, "http://localhost:4318"),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "authorization=Bearer%20x, other=1",
            ),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=ignored,zone=a"),
            ("OTEL_SERVICE_NAME", "mine"),
            ("OTEL_TRACES_SAMPLER", "always_off"),
        ]);
        let config = config.unwrap().unwrap();
        assert_eq!(config.service_name, "mine");
        assert_eq!(config.headers[0].1, "Bearer x");
        assert_eq!(config.headers[1], ("other".to_owned(), "1".to_owned()));
        assert_eq!(config.resource, [("zone".to_owned(), "a".to_owned())]);
        assert_eq!(config.export_timeout, Duration::from_millis(250));
        assert_eq!(
            config.endpoint.traces.as_str(),
            "http://localhost:4318/v1/traces"
        );
        let own = [
            (TRACES_ENDPOINT, "http://host/here"),
            (ENDPOINT, "http://other"),
        ];
        let config = read(&own).unwrap().unwrap();
        assert_eq!(config.endpoint.traces.as_str(), "http://host/here");
        assert_eq!(config.service_name, "default");
    }

    #[test]
    fn what_cannot_be_used_is_named_and_not_repeated() {
        let collector = (ENDPOINT, "http://localhost:4318");
        for variable in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc-secret"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "secret"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
            ("OTEL_TRACES_EXPORTER", "secret"),
            ("OTEL_TRACES_SAMPLER", "secret"),
        ] {
            let error = read(&[collector, variable]).unwrap_err().to_string();
            assert!(error.starts_with(variable.0), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
