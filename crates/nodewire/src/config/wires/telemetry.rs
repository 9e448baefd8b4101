//! Traces: settings in the form of OpenTelemetry's variables, which stand between the file and our own.

use std::time::Duration;

use crate::config::layers::View;
use crate::config::problem::{ConfigPlace, Problems};
use crate::config::secret_file;
use crate::telemetry::TelemetryError;
use crate::telemetry::settings::{ExportBounds, ExportSettings, Given};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

pub(super) fn make(
    view: View<'_>,
    server_name: Option<&str>,
    problems: &mut Problems,
) -> ExportSettings {
    let mut settings = ExportSettings {
        server_name: server_name.map(str::to_owned),
        bounds: bounds(view),
        ..ExportSettings::default()
    };
    for (key, variable, text) in texts(view, problems) {
        let is_of_file = matches!(view.place(key), ConfigPlace::File { .. });
        if let Some(problem) = problem(variable, &text) {
            problems.add(&view.place(key), format!("[telemetry] {key} {problem}"));
        }
        settings.given.insert(variable, Given { text, is_of_file });
    }
    sampler(view, &mut settings);
    settings
}

fn texts(view: View<'_>, problems: &mut Problems) -> Vec<(&'static str, &'static str, String)> {
    let (headers_key, headers) = match view.choose(&["headers", "headers_file"], problems) {
        Some("headers_file") => (
            "headers_file",
            secret_file::read(view, "headers_file", problems),
        ),
        Some(_) | None => ("headers", view.get("headers")),
    };
    let is_disabled = view.get::<bool>("enabled").map(|enabled| !enabled);
    let timeout = view.get::<Duration>("timeout_ms");
    let all = [
        (
            "enabled",
            "OTEL_SDK_DISABLED",
            is_disabled.map(|it| it.to_string()),
        ),
        ("endpoint", ENDPOINT, view.get("endpoint")),
        (headers_key, "OTEL_EXPORTER_OTLP_HEADERS", headers),
        (
            "service_name",
            "OTEL_SERVICE_NAME",
            view.get("service_name"),
        ),
        ("resource", "OTEL_RESOURCE_ATTRIBUTES", view.get("resource")),
        (
            "timeout_ms",
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            timeout.map(|timeout| timeout.as_millis().to_string()),
        ),
    ];
    all.into_iter()
        .filter_map(|(key, variable, text)| Some((key, variable, text?)))
        .collect()
}

/// One word and its argument say what two settings do; whichever came last counts for both.
fn sampler(view: View<'_>, settings: &mut ExportSettings) {
    let keys = ["sample_ratio", "follow_parent"];
    let Some(place) = keys
        .into_iter()
        .filter(|key| view.has(&[*key]))
        .map(|key| view.place(key))
        .max_by_key(ConfigPlace::rank)
    else {
        return;
    };
    let is_of_file = matches!(place, ConfigPlace::File { .. });
    let word = match view.get("follow_parent") {
        Some(false) => "traceidratio",
        Some(true) | None => "parentbased_traceidratio",
    };
    let ratio: f64 = view.get("sample_ratio").unwrap_or(1.0);
    let mut give = |variable, text| {
        settings.given.insert(variable, Given { text, is_of_file });
    };
    give("OTEL_TRACES_SAMPLER", word.to_owned());
    give("OTEL_TRACES_SAMPLER_ARG", ratio.to_string());
}

fn bounds(view: View<'_>) -> ExportBounds {
    ExportBounds {
        retries_max: view.get("retries_max"),
        span_queue_max: view.get("span_queue_max"),
        span_batch_max: view.get("span_batch_max"),
        span_interval: view.get("span_interval_ms"),
        flush_timeout: view.get("flush_timeout_ms"),
    }
}

/// What is wrong with a text, without the text.
fn problem(variable: &'static str, text: &str) -> Option<String> {
    let mut alone = ExportSettings::default();
    let mut give = |variable, text: &str| {
        let (text, is_of_file) = (text.to_owned(), false);
        alone.given.insert(variable, Given { text, is_of_file });
    };
    give(ENDPOINT, "http://127.0.0.1:4318");
    give(variable, text);
    let error = alone.config(&|_| None, "").err()?;
    if let TelemetryError::Variable { problem, .. } = error {
        return Some(problem.to_owned());
    }
    Some(format!("cannot be used: {error}"))
}
