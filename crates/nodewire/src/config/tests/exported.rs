//! Traces and metrics: who wins, and what OpenTelemetry's variables say to it.

use std::time::Duration;

use super::Start;
use crate::metrics::MetricsConfig;
use crate::server::Parts;
use crate::telemetry::TelemetryConfig;

const FILE: &str = "\
[server]
name = \"greeter\"
[telemetry]
endpoint = \"http://of-file:4318\"
sample_ratio = 0.5
resource = \"zone=a,rack=b%2C1\"
timeout_ms = 250
retries_max = 0
span_queue_max = 9
span_batch_max = 8
span_interval_ms = 70
flush_timeout_ms = 60
";

/// Where a program so started exports to.
fn exported(start: &Start) -> Option<TelemetryConfig> {
    let parts = start.apply();
    let lookup = |name: &str| start.lookup(name);
    parts.export.config(&lookup, "program").unwrap()
}

fn traces(config: &TelemetryConfig) -> String {
    format!("{:?}", config.endpoint)
}

#[test]
fn everything_of_an_exporter_can_be_in_the_file() {
    let config = exported(&Start::file(FILE)).unwrap();
    assert!(traces(&config).contains("of-file"), "{config:?}");
    assert_eq!(config.service_name, "greeter");
    let resource = [("zone", "a"), ("rack", "b,1")].map(|(key, value)| (key.into(), value.into()));
    assert_eq!(config.resource, resource);
    assert_eq!(
        (config.sampler.ratio, config.sampler.follows_parent),
        (0.5, true)
    );
    assert_eq!(config.export_timeout, Duration::from_millis(250));
    assert_eq!(
        (
            config.retries_max,
            config.span_queue_max,
            config.span_batch_max
        ),
        (0, 9, 8)
    );
    assert_eq!(
        (config.span_interval, config.flush_timeout),
        (Duration::from_millis(70), Duration::from_millis(60))
    );
    assert!(config.headers.is_empty());
}

#[test]
fn nothing_is_exported_without_an_endpoint_or_if_it_is_switched_off() {
    assert!(exported(&Start::default().flags(&["--nanograph-enabled"])).is_none());
    let off = || Start::file(FILE).variable("NODEWIRE_TELEMETRY_ENABLED", "false");
    assert!(exported(&off()).is_none());
    assert!(exported(&off().flags(&["--telemetry-enabled"])).is_some());
    for (variable, value) in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ] {
        let disabled = || Start::file(FILE).variable(variable, value);
        assert!(exported(&disabled()).is_none(), "{variable}");
        assert!(
            exported(&disabled().flags(&["--telemetry-enabled"])).is_some(),
            "{variable}"
        );
    }
    // Where there is nothing in the settings, it is as it was without them.
    let collector = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://elsewhere:4318");
    let start = Start::file("[nanograph]").variable(collector.0, collector.1);
    assert_eq!(exported(&start).unwrap().service_name, "program");
}

#[test]
fn the_file_then_open_telemetry_s_variables_then_ours_then_flags() {
    let endpoint = |start: Start| traces(&exported(&start).unwrap());
    let otel = || {
        Start::file(FILE)
            .variable(
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                "http://of-otel/v1/traces",
            )
            .variable("OTEL_SERVICE_NAME", "of-otel")
            .variable("OTEL_TRACES_SAMPLER", "always_off")
            .variable("OTEL_EXPORTER_OTLP_TIMEOUT", "111")
    };
    let config = exported(&otel()).unwrap();
    assert!(traces(&config).contains("of-otel"), "{config:?}");
    assert_eq!(config.service_name, "of-otel");
    assert_eq!(
        (config.sampler.ratio, config.sampler.follows_parent),
        (0.0, false)
    );
    assert_eq!(config.export_timeout, Duration::from_millis(111));
    // What they say nothing of is the file's.
    assert_eq!(config.resource.len(), 2);

    let ours = || {
        otel()
            .variable("NODEWIRE_TELEMETRY_ENDPOINT", "http://of-ours:4318")
            .variable("NODEWIRE_TELEMETRY_SERVICE_NAME", "of-ours")
            .variable("NODEWIRE_TELEMETRY_SAMPLE_RATIO", "0.75")
    };
    let config = exported(&ours()).unwrap();
    assert!(traces(&config).contains("of-ours"), "{config:?}");
    assert_eq!(
        (config.service_name.as_str(), config.sampler.ratio),
        ("of-ours", 0.75)
    );
    let flags = ["--telemetry-endpoint", "http://of-flag:4318"];
    assert!(endpoint(ours().flags(&flags)).contains("of-flag"));
    let sampler = [
        "--telemetry-sample-ratio=1",
        "--telemetry-follow-parent=false",
    ];
    let sampler = exported(&ours().flags(&sampler)).unwrap().sampler;
    assert_eq!((sampler.ratio, sampler.follows_parent), (1.0, false));
}

#[test]
fn headers_come_from_the_environment_or_a_file_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("headers");
    std::fs::write(&path, "authorization=Bearer%20x\n").unwrap();
    let file: &'static str = format!("{FILE}headers_file = {path:?}\n").leak();
    let headers = |start: Start| exported(&start).unwrap().headers;
    let of_file = [("authorization".to_owned(), "Bearer x".to_owned())];
    assert_eq!(headers(Start::file(file)), of_file);
    let variable = Start::file(file).variable("NODEWIRE_TELEMETRY_HEADERS", "a=1,b=2");
    assert_eq!(headers(variable).len(), 2);
    let otel = Start::file(file).variable("OTEL_EXPORTER_OTLP_HEADERS", "c=3");
    assert_eq!(headers(otel)[0].0, "c");
    let shown = format!("{:?}", Start::file(file).apply().export);
    assert!(!shown.contains("Bearer"), "{shown}");
}

#[test]
fn metrics_have_a_listener_where_their_table_is_there_or_a_flag_names_it() {
    let metrics = |start: Start| start.apply().wires.metrics;
    const BARE: &str = "[nanograph]\n[metrics]\n";
    assert!(metrics(Start::file("[nanograph]")).is_none());
    assert!(metrics(Start::file(BARE)).unwrap().access.token().is_none());
    assert!(metrics(Start::file("[nanograph]\n[metrics]\nenabled = false")).is_none());
    let variable = Start::file("[nanograph]").variable("NODEWIRE_METRICS_LISTEN", "127.0.0.1:2");
    assert!(metrics(variable).is_none(), "variables are inherited");

    let listen = || Start::file("[nanograph]\n[metrics]\nlisten = \"127.0.0.1:1\"");
    let port = |start: Start| metrics(start).unwrap().address.port();
    assert_eq!(port(listen()), 1);
    let variable = || listen().variable("NODEWIRE_METRICS_LISTEN", "127.0.0.1:2");
    assert_eq!(port(variable()), 2);
    assert_eq!(
        port(variable().flags(&["--metrics-listen", "127.0.0.1:3"])),
        3
    );

    let token = |start: Start| {
        let config = metrics(start).unwrap();
        config.access.token().unwrap().reveal().to_owned()
    };
    let secret = || Start::file(BARE).variable("NODEWIRE_METRICS_TOKEN", "secret");
    assert_eq!(token(secret()), "secret");
    let other = secret().variable("OTHER", "other");
    assert_eq!(
        token(other.flags(&["--metrics-token-env", "OTHER"])),
        "other"
    );

    let mut parts = Parts::default();
    parts.wires.metrics = Some(MetricsConfig::new().address("127.0.0.1:9".parse().unwrap()));
    let bounded = Start::file("[nanograph]\n[metrics]\nconnections_max = 3");
    let kept = bounded.apply_to(parts).unwrap().wires.metrics.unwrap();
    assert_eq!((kept.address.port(), kept.connections_max), (9, 3));
}

/// Metrics alone are no server, and switch no wire off.
#[test]
fn metrics_are_no_wire() {
    let folder = tempfile::tempdir().unwrap();
    let json = r#"{"serverUid": "u", "serverPackageId": "p"}"#;
    std::fs::write(folder.path().join("nanoserver.json"), json).unwrap();
    let wires = Start::file("[metrics]").folder(folder.path()).apply().wires;
    assert!(wires.metrics.is_some() && wires.nanograph.is_some());
}

/// A client of MCP that starts a program wants that wire alone: others' files need not be there.
#[test]
fn mcp_over_stdio_needs_nothing_of_other_wires() {
    let folder = tempfile::tempdir().unwrap();
    let start =
        Start::file("[nats]\ncredentials_file = \"nowhere\"\n[metrics]\n[mcp]\nin_flight_max = 3");
    let start = start.folder(folder.path());
    assert!(!start.problems().is_empty());
    let wires = start.apply_mcp_stdio().unwrap().wires;
    assert!(wires.is_empty() && wires.metrics.is_none());
    assert_eq!(wires.mcp_options.in_flight_max, 3);
    // What is wrong for it is told.
    let wrong = Start::file("[mcp]\nin_flight_max = 0").apply_mcp_stdio();
    assert!(wrong.unwrap_err().to_string().contains("in_flight_max"));
}
