//! Metrics and traces of what a command does. spec: autotrainer 12

use autotrainer_api::TelemetryOptions;
use autotrainer_api::telemetry::{NotStarted, Settings, Start, Telemetry};

use crate::failure::Failure;
use crate::terminal;

/// Where programs with OpenTelemetry look for the collector, where no option names it.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Starts to export, if the options want it and there is somewhere to export to.
pub(super) fn start(options: Option<&TelemetryOptions>) -> Result<Option<Telemetry>, Failure> {
    let settings = Settings {
        fallback_endpoint: crate::micro::lookup(ENDPOINT),
        ..Settings::default()
    };
    let started = Telemetry::start(options, settings);
    match started.map_err(|error| Failure::usage(error.to_string()))? {
        Start::Started(telemetry) => Ok(Some(telemetry)),
        Start::NotStarted(NotStarted::NoEndpoint) => {
            let why = NotStarted::NoEndpoint;
            terminal::say(format_args!("{} {why}", terminal::warning_word()));
            Ok(None)
        }
        Start::NotStarted(NotStarted::NoOptions | NotStarted::NotEnabled) => Ok(None),
    }
}

/// Exports what is left.
pub(super) async fn stop(telemetry: Option<Telemetry>) -> Result<(), Failure> {
    if let Some(telemetry) = telemetry {
        telemetry.stop().await;
    }
    Ok(())
}
