//! Collectors that refuse, hang, or are not there.

use std::time::Duration;

use autotrainer_api::telemetry::{Settings, Telemetry, TelemetryCounts};
use autotrainer_api::{
    Command, CommandRequest, CommandResponse, Deadline, Remote, RemoteOptions, Service,
};

use crate::collector::{Collector, Manner, PATIENCE, options, started, wait_for_counts};

/// Exports as soon as it can.
fn eager() -> Settings {
    Settings {
        span_interval: Duration::from_millis(10),
        export_timeout: PATIENCE,
        retries_max: 0,
        ..Settings::default()
    }
}

async fn served(telemetry: &Telemetry) -> (Service, Remote) {
    let service = Service::builder()
        .telemetry(telemetry)
        .subscriber_port(0)
        .command_port(0)
        .deadline(Deadline::Wait)
        .handler(async |_: CommandRequest| CommandResponse::success())
        .build();
    service.start().await.unwrap();
    let (events, commands) = (service.event_addresses()[0], service.command_addresses()[0]);
    let options = RemoteOptions::ports("127.0.0.1", events.port(), commands.port());
    (service, Remote::connect(options).await.unwrap())
}

async fn ask(remote: &Remote, times: u32) {
    for _ in 0..times {
        let call = remote.command(Command::EmergencyStop).timeout(PATIENCE);
        assert!(call.send().await.unwrap().answer.result.is_positive());
    }
}

#[tokio::test]
async fn a_hanging_collector_costs_spans_and_nothing_else() {
    let collector = Collector::started(Manner::Hangs).await;
    let settings = Settings {
        span_queue_max: 8,
        span_batch_max: 4,
        flush_timeout: Duration::from_millis(50),
        ..eager()
    };
    let telemetry = started(&options(collector.endpoint()), settings);
    let (service, remote) = served(&telemetry).await;
    ask(&remote, 4).await;
    collector.wait_for(|exported| !exported.is_empty()).await;
    ask(&remote, 20).await;
    wait_for_counts(&telemetry, |counts| counts.spans_dropped > 0).await;
    service.stop().await;
    telemetry.stop().await;
    let counts = telemetry.counts();
    let ended = counts.spans_dropped + counts.spans_failed;
    assert_eq!((ended, counts.spans_exported), (24, 0), "{counts:?}");
    assert!(counts.spans_failed <= 12, "{counts:?}");
}

#[tokio::test]
async fn an_export_that_takes_too_long_is_given_up() {
    let collector = Collector::started(Manner::Hangs).await;
    let settings = Settings {
        export_timeout: Duration::from_millis(20),
        ..eager()
    };
    let telemetry = started(&options(collector.endpoint()), settings);
    let (service, remote) = served(&telemetry).await;
    ask(&remote, 1).await;
    wait_for_counts(&telemetry, |counts| counts.spans_failed == 1).await;
    collector.set(Manner::Takes);
    // A busy machine may be too slow for that time once more.
    let mut asked = 1;
    while telemetry.counts().spans_exported == 0 {
        ask(&remote, 1).await;
        asked += 1;
        let is_ended =
            |counts: &TelemetryCounts| counts.spans_failed + counts.spans_exported == asked;
        wait_for_counts(&telemetry, is_ended).await;
    }
    service.stop().await;
    telemetry.stop().await;
}

#[tokio::test]
async fn what_is_refused_for_good_is_not_sent_again() {
    let collector = Collector::started(Manner::Answers(401)).await;
    let settings = Settings {
        retries_max: 5,
        ..eager()
    };
    let telemetry = started(&options(collector.endpoint()), settings);
    let (service, remote) = served(&telemetry).await;
    ask(&remote, 1).await;
    wait_for_counts(&telemetry, |counts| counts.spans_failed == 1).await;
    assert_eq!(telemetry.counts().exports_failed, 1);
    assert_eq!(collector.exported().len(), 1);
    service.stop().await;
    telemetry.stop().await;
}

#[tokio::test]
async fn a_busy_collector_gets_the_spans_again() {
    let collector = Collector::started(Manner::Answers(503)).await;
    let settings = Settings {
        retries_max: 1000,
        ..eager()
    };
    let telemetry = started(&options(collector.endpoint()), settings);
    let (service, remote) = served(&telemetry).await;
    ask(&remote, 1).await;
    wait_for_counts(&telemetry, |counts| counts.exports_failed > 0).await;
    collector.set(Manner::Takes);
    wait_for_counts(&telemetry, |counts| counts.spans_exported == 1).await;
    assert_eq!(telemetry.counts().spans_failed, 0);
    service.stop().await;
    telemetry.stop().await;
}

#[tokio::test]
async fn a_collector_that_comes_later_gets_what_is_left() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let settings = Settings {
        retries_max: 1000,
        ..eager()
    };
    let telemetry = started(&options(format!("http://{address}")), settings);
    let (service, remote) = served(&telemetry).await;
    ask(&remote, 1).await;
    wait_for_counts(&telemetry, |counts| counts.exports_failed > 0).await;
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let collector = Collector::on(listener, Manner::Takes);
    wait_for_counts(&telemetry, |counts| counts.spans_exported == 1).await;
    assert_eq!(collector.spans().len(), 1);
    service.stop().await;
    telemetry.stop().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_collector_that_is_not_there() {
    let telemetry = started(&options("http://127.0.0.1:1"), Settings::default());
    let (service, remote) = served(&telemetry).await;
    ask(&remote, 3).await;
    service.stop().await;
    telemetry.stop().await;
    let counts = telemetry.counts();
    assert_eq!((counts.spans_failed, counts.spans_exported), (3, 0));
}

#[tokio::test]
async fn rejected_spans_are_counted() {
    let collector = Collector::started(Manner::Rejects(2)).await;
    let telemetry = started(&options(collector.endpoint()), Settings::default());
    let (service, remote) = served(&telemetry).await;
    ask(&remote, 5).await;
    service.stop().await;
    telemetry.stop().await;
    let counts = telemetry.counts();
    assert_eq!((counts.spans_rejected, counts.spans_exported), (2, 3));
}

#[tokio::test]
async fn a_service_goes_on_when_telemetry_has_stopped() {
    let collector = Collector::started(Manner::Takes).await;
    let telemetry = started(&options(collector.endpoint()), Settings::default());
    let (service, remote) = served(&telemetry).await;
    telemetry.stop().await;
    telemetry.stop().await;
    ask(&remote, 2).await;
    assert_eq!(telemetry.counts().spans_dropped, 2);
    service.stop().await;
}
