//! When there is telemetry, and when not. spec: autotrainer 12

use autotrainer_api::TelemetryOptions;
use autotrainer_api::telemetry::{NotStarted, Settings, Start, Telemetry, TelemetryError};

use crate::collector::{Collector, Manner, install_provider, options, started};

fn why_not(options: Option<&TelemetryOptions>, fallback: Option<&str>) -> NotStarted {
    let settings = Settings {
        fallback_endpoint: fallback.map(str::to_owned),
        ..Settings::default()
    };
    match Telemetry::start(options, settings).unwrap() {
        Start::Started(telemetry) => panic!("{telemetry:?}"),
        Start::NotStarted(why) => why,
    }
}

fn error_of(options: &TelemetryOptions) -> TelemetryError {
    match Telemetry::start(Some(options), Settings::default()) {
        Err(error) => error,
        Ok(start) => panic!("{start:?}"),
    }
}

#[tokio::test]
async fn without_options_or_endpoint_there_is_none_and_nothing_is_wrong() {
    let disabled = TelemetryOptions {
        enable: false,
        ..options("http://127.0.0.1:1")
    };
    let nowhere = TelemetryOptions {
        endpoint: None,
        ..options("")
    };
    let somewhere = Some("http://127.0.0.1:1");
    assert_eq!(why_not(None, somewhere), NotStarted::NoOptions);
    assert_eq!(why_not(Some(&disabled), somewhere), NotStarted::NotEnabled);
    assert_eq!(why_not(Some(&nowhere), None), NotStarted::NoEndpoint);
    assert_eq!(
        why_not(Some(&options(" ")), Some("")),
        NotStarted::NoEndpoint
    );
}

#[tokio::test]
async fn what_cannot_work_is_an_error() {
    install_provider();
    assert!(matches!(
        error_of(&options("localhost:4318")),
        TelemetryError::Endpoint(_)
    ));
    let unsendable = TelemetryOptions {
        api_key: "two\nlines".to_owned(),
        ..options("http://127.0.0.1:1")
    };
    let error = error_of(&unsendable);
    assert_eq!(error, TelemetryError::ApiKey);
    assert!(!error.to_string().contains("lines"));
}

#[test]
fn it_needs_a_runtime() {
    install_provider();
    assert_eq!(
        error_of(&options("http://127.0.0.1:1")),
        TelemetryError::NoRuntime
    );
}

#[tokio::test]
async fn the_program_may_name_the_endpoint() {
    let collector = Collector::started(Manner::Takes).await;
    let settings = Settings {
        fallback_endpoint: Some(format!("{}/", collector.endpoint())),
        ..Settings::default()
    };
    let telemetry = started(
        &TelemetryOptions {
            endpoint: None,
            ..options("")
        },
        settings,
    );
    telemetry.stop().await;
    assert_eq!(collector.exported()[0].path, "/v1/metrics");
}

#[tokio::test]
async fn the_key_is_sent_and_shown_nowhere() {
    let collector = Collector::started(Manner::Takes).await;
    let with_key = TelemetryOptions {
        api_key: "s3cret".to_owned(),
        ..options(collector.endpoint())
    };
    let telemetry = started(&with_key, Settings::default());
    assert!(!format!("{telemetry:?} {with_key:?}").contains("s3cret"));
    telemetry.stop().await;
    let exported = collector.exported();
    assert_eq!(exported[0].headers["authorization"], "Bearer s3cret");

    let collector = Collector::started(Manner::Takes).await;
    started(&options(collector.endpoint()), Settings::default())
        .stop()
        .await;
    assert!(
        !collector.exported()[0]
            .headers
            .contains_key("authorization")
    );
}
