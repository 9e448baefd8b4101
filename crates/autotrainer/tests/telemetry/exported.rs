//! What a scripted conversation looks like at the collector.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use autotrainer_api::telemetry::Settings;
use autotrainer_api::{
    Command, CommandRequest, CommandResponse, Deadline, Event, EventKind, ProtocolLevel, Remote,
    RemoteOptions, ResultCode, Service, Topic, UnixTime,
};
use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::collector::{Collector, Manner, PATIENCE, attributes, options, started};

/// A service, and a remote for it. What is started takes longer than its deadline: until there is a permit.
async fn conversing(builder: autotrainer_api::ServiceBuilder) -> (Service, Remote, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let of_handler = Arc::clone(&gate);
    let service = builder
        .identifier("box-7")
        .subscriber_port(0)
        .command_port(0)
        .deadline(Deadline::Wait)
        .deadline_of(
            Command::StartAcquisition,
            Deadline::PendingAfter(Duration::from_millis(1)),
        )
        .handler(move |request: CommandRequest| {
            let gate = Arc::clone(&of_handler);
            async move {
                match request.command {
                    Command::EmergencyStop => CommandResponse::success(),
                    Command::StartAcquisition => {
                        gate.acquire().await.unwrap().forget();
                        CommandResponse::success()
                    }
                    _ => CommandResponse::new(ResultCode::Failed).with_error(42, "Motor not ready"),
                }
            }
        })
        .build();
    service.start().await.unwrap();
    let (events, commands) = (service.event_addresses()[0], service.command_addresses()[0]);
    let options = RemoteOptions::ports("127.0.0.1", events.port(), commands.port());
    let remote = Remote::connect(options).await.unwrap();
    (service, remote, gate)
}

async fn call(remote: &Remote, command: Command) -> autotrainer_api::Answer {
    remote
        .command(command)
        .timeout(PATIENCE)
        .send()
        .await
        .unwrap()
}

/// Two stops, a failure, a pending command with its result, something unreadable, an event and an emergency.
async fn converse(service: &Service, remote: &Remote, gate: &Semaphore) {
    for _ in 0..2 {
        call(remote, Command::EmergencyStop).await;
    }
    call(remote, Command::StopAcquisition).await;
    let pending = call(remote, Command::StartAcquisition).await.pending;
    gate.add_permits(1);
    let result = pending.expect("pending").result(PATIENCE).await.unwrap();
    assert_eq!(result.result, ResultCode::Success);
    let garbage = [Bytes::from_static(b"{")];
    remote.call_raw(&garbage, PATIENCE).await.unwrap();

    let publisher = service.publisher();
    let level = ProtocolLevel::NEWEST;
    let kinds = [EventKind::ApplicationLaunched, EventKind::EmergencyStop];
    for (kind, index) in kinds.into_iter().zip(11..) {
        let event = Event::new(kind, level, UnixTime::now(), index).unwrap();
        publisher.send_event(&event).await.unwrap();
    }
}

fn map<const N: usize>(entries: [(&str, i64); N]) -> BTreeMap<String, i64> {
    entries.map(|(key, value)| (key.to_owned(), value)).into()
}

#[tokio::test]
async fn metrics_say_what_the_service_counted() {
    let collector = Collector::started(Manner::Takes).await;
    let telemetry = started(&options(collector.endpoint()), Settings::default());
    let (service, remote, gate) = conversing(Service::builder().telemetry(&telemetry)).await;
    assert!(remote.observe(&telemetry, "console"));
    assert!(!remote.observe(&telemetry, "again"));
    converse(&service, &remote, &gate).await;
    remote.close().await;
    service.stop().await;
    telemetry.stop().await;

    let metrics = collector.metrics(Some("box-7"));
    let expected = map([
        ("command=EMERGENCY_STOP,result=SUCCESS", 2),
        (
            "command=START_ACQUISITION,result=PENDING_WITH_NOTIFICATION",
            1,
        ),
        ("command=STOP_ACQUISITION,result=FAILED", 1),
    ]);
    assert_eq!(metrics.sum("autotrainer.requests"), expected);
    let malformed = metrics.sum("autotrainer.requests.malformed");
    assert_eq!(malformed.values().sum::<i64>(), 1, "{malformed:?}");
    let overdue = metrics.sum("autotrainer.requests.overdue");
    assert_eq!(
        overdue,
        map([
            ("answer=FAILED", 0),
            ("answer=PENDING_WITH_NOTIFICATION", 1)
        ])
    );
    let mut published = metrics.sum("autotrainer.publications");
    let heartbeats = published.remove("topic=HEARTBEAT").unwrap_or(0);
    assert_eq!(
        published,
        map([
            ("topic=COMMAND_RESULT", 1),
            ("topic=EMERGENCY", 1),
            ("topic=EVENT", 2)
        ])
    );
    assert_eq!(
        metrics.sum("autotrainer.heartbeats"),
        map([("", heartbeats)])
    );
    assert_eq!(
        metrics.sum("autotrainer.publications.lost"),
        map([("reason=dropped", 0), ("reason=refused", 0)])
    );
    let open = metrics.sum("autotrainer.connections.open");
    assert_eq!(open, map([("socket=command", 0), ("socket=event", 0)]));

    let durations = metrics.histogram("autotrainer.request.duration");
    assert_eq!(durations.count, 4);
    assert_eq!(durations.bucket_counts.iter().sum::<u64>(), 4);
    assert_eq!(
        durations.bucket_counts.len(),
        durations.explicit_bounds.len() + 1
    );
    assert!(durations.sum.unwrap() > 0.0);
    assert_eq!(durations.explicit_bounds[..2], [0.0001, 0.00025]);

    let metrics = collector.metrics(Some("console"));
    // Four commands, and what could not be read.
    assert_eq!(metrics.sum("autotrainer.remote.answers"), map([("", 5)]));
    assert_eq!(metrics.sum("autotrainer.remote.results"), map([("", 1)]));
    let itself = collector.metrics(None);
    assert!(itself.names().contains(&"autotrainer.telemetry.spans"));
}

#[tokio::test]
async fn every_command_late_result_and_event_has_a_span() {
    let collector = Collector::started(Manner::Takes).await;
    let telemetry = started(&options(collector.endpoint()), Settings::default());
    let (service, remote, gate) = conversing(Service::builder().telemetry(&telemetry)).await;
    remote.observe(&telemetry, "console");
    converse(&service, &remote, &gate).await;
    service.stop().await;
    telemetry.stop().await;

    let spans = collector.spans();
    let of_kind = |kind| {
        let spans = spans.iter().filter(move |span| span.kind == kind);
        spans.collect::<Vec<_>>()
    };
    let (servers, clients, producers) = (of_kind(2), of_kind(3), of_kind(4));
    let names: Vec<_> = servers.iter().map(|span| span.name.as_str()).collect();
    let expected = [
        "EMERGENCY_STOP",
        "EMERGENCY_STOP",
        "STOP_ACQUISITION",
        "START_ACQUISITION",
    ];
    assert_eq!(names, expected);
    let names: Vec<_> = clients.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, expected);
    for (server, client) in servers.iter().zip(&clients) {
        let (server, client) = (
            attributes(&server.attributes),
            attributes(&client.attributes),
        );
        for shared in ["autotrainer.nonce", "autotrainer.result"] {
            assert_eq!(server[shared], client[shared]);
        }
    }
    for span in &spans {
        assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
    }

    let failed = servers[2];
    let status = failed.status.as_ref().unwrap();
    assert_eq!(
        (status.code, status.message.as_str()),
        (2, "Motor not ready")
    );
    let failed = attributes(&failed.attributes);
    assert_eq!(failed["autotrainer.result"], "FAILED");
    assert_eq!(failed["autotrainer.error_code"], "42");

    let started = servers[3];
    let late = producers.iter().find(|span| span.name == "late result");
    let late = late.expect("the late result");
    assert_eq!(
        (&late.trace_id, &late.parent_span_id),
        (&started.trace_id, &started.span_id)
    );
    assert_eq!(
        attributes(&late.attributes)["autotrainer.nonce"],
        attributes(&started.attributes)["autotrainer.nonce"]
    );

    let events = producers
        .iter()
        .filter(|span| attributes(&span.attributes).contains_key("autotrainer.event.kind"));
    let events: Vec<_> = events
        .map(|span| {
            let index = attributes(&span.attributes)["autotrainer.event.index"].clone();
            (span.name.as_str(), index)
        })
        .collect();
    let expected = [
        ("publish EVENT", "11"),
        ("publish EMERGENCY", "12"),
        ("publish EVENT", "12"),
    ];
    assert_eq!(
        events,
        expected.map(|(name, index)| (name, index.to_owned()))
    );
    assert_eq!(telemetry.counts().spans_exported, spans.len() as u64);
}

#[tokio::test]
async fn requests_are_as_otlp_says_and_name_the_service() {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use prost::Message;

    let collector = Collector::started(Manner::Takes).await;
    let telemetry = started(&options(collector.endpoint()), Settings::default());
    let (service, remote, _) = conversing(Service::builder().telemetry(&telemetry)).await;
    call(&remote, Command::EmergencyStop).await;
    service.stop().await;
    telemetry.stop().await;

    let exported = collector.exported();
    let traces = exported
        .iter()
        .find(|each| each.path == "/v1/traces")
        .unwrap();
    assert!(exported.iter().any(|each| each.path == "/v1/metrics"));
    for each in &exported {
        assert_eq!(each.headers["content-type"], "application/x-protobuf");
    }
    let request = ExportTraceServiceRequest::decode(traces.body.clone()).unwrap();
    let resource = request.resource_spans[0].resource.as_ref().unwrap();
    let resource = attributes(&resource.attributes);
    assert_eq!(resource["service.name"], "auto-trainer");
    assert_eq!(resource["autotrainer.identifier"], "box-7");
    assert!(resource["service.version"].starts_with("0.12.0+"));
    let scope = request.resource_spans[0].scope_spans[0]
        .scope
        .as_ref()
        .unwrap();
    assert_eq!(scope.name, "autotrainer-api");
}

#[tokio::test]
async fn a_flood_of_events_is_sampled_and_the_rest_is_counted() {
    let collector = Collector::started(Manner::Takes).await;
    let settings = Settings {
        message_spans_per_second_max: 0,
        ..Settings::default()
    };
    let telemetry = started(&options(collector.endpoint()), settings);
    let (service, _remote, _) = conversing(Service::builder().telemetry(&telemetry)).await;
    for index in 0..50 {
        let event = Event::numbered(7, UnixTime::now(), index);
        service
            .publisher()
            .publish_event(Topic::EVENT, &event)
            .await
            .unwrap();
    }
    service.stop().await;
    telemetry.stop().await;
    assert_eq!(telemetry.counts().messages_not_sampled, 50);
    assert!(collector.spans().is_empty());
    let metrics = collector.metrics(Some("box-7"));
    assert_eq!(metrics.sum("autotrainer.publications")["topic=EVENT"], 50);
    let itself = collector.metrics(None);
    let not_sampled = itself.sum("autotrainer.telemetry.messages_not_sampled");
    assert_eq!(not_sampled, map([("", 50)]));
}

#[tokio::test]
async fn a_service_that_is_dropped_tells_its_counts_once_more() {
    let collector = Collector::started(Manner::Takes).await;
    let settings = Settings {
        metrics_interval: Duration::from_millis(10),
        sources_max: 1,
        ..Settings::default()
    };
    let telemetry = started(&options(collector.endpoint()), settings);
    let (service, remote, _) = conversing(Service::builder().telemetry(&telemetry)).await;
    call(&remote, Command::EmergencyStop).await;
    let too_many = Service::builder().telemetry(&telemetry).build();
    assert_eq!(telemetry.counts().sources_refused, 1);
    drop((service, too_many));
    // Twice: what was read before the drop may be under way.
    let before = telemetry.counts().exports;
    crate::collector::wait_for_counts(&telemetry, |counts| counts.exports >= before + 2).await;
    let (service, _remote, _) = conversing(Service::builder().telemetry(&telemetry)).await;
    assert_eq!(telemetry.counts().sources_refused, 1);
    service.stop().await;
    telemetry.stop().await;
}
