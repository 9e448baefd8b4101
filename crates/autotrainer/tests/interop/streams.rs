//! Subscriptions, gaps, presence, from our service.

use std::time::Duration;

use autotrainer_api::zmq::{ConnectionEvent, Publisher, SocketOptions};
use autotrainer_api::{
    Anomaly, Delivery, EventKind, Gap, Message, Presence, Remote, RemoteChange, RemoteOptions,
    SubscribeOptions, Topic,
};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::json;

use crate::support::{
    PATIENCE, builder, event, joined, message, options_of, patiently, ports, remote_of, started,
    until,
};

#[tokio::test]
async fn events_are_typed_and_each_emergency_comes_once() {
    let service = started(builder()).await;
    let remote = remote_of(&service).await;
    let mut events = remote.events().await;
    let both = SubscribeOptions::topics(&[Topic::EVENT, Topic::EMERGENCY]);
    let mut both = remote.subscribe(both).await;
    let mut everything = remote
        .subscribe(SubscribeOptions::topics(&[Topic::ANY]))
        .await;
    joined(&remote, &service).await;
    while everything.try_next().is_some() {}

    let publisher = service.publisher();
    let stop = publisher.event(EventKind::EmergencyStop).unwrap();
    publisher.send_event(&stop).await.unwrap();
    publisher.send_event(&event(u64::MAX)).await.unwrap();
    let change = serde_json::from_value(json!({"target": 1, "name": "x", "newValue": 2})).unwrap();
    publisher.send_property_change(&change).await.unwrap();

    for (topic, number) in [(Topic::EMERGENCY, 101), (Topic::EVENT, 201)] {
        let Message::Event {
            topic: its_topic,
            event,
            level,
        } = message(&mut events).await
        else {
            panic!("an event");
        };
        assert_eq!((its_topic, event.kind_number), (topic, number));
        assert!(event.kind(level).is_some());
    }
    let gap = patiently(events.next()).await;
    assert!(matches!(
        gap,
        Some(Delivery::Gap(Gap::IndexWentBack { last: u64::MAX, .. }))
    ));
    let changed = patiently(events.next_event()).await.unwrap();
    assert_eq!(changed.kind_number, 501);

    let topics = [
        message(&mut both).await.topic(),
        message(&mut both).await.topic(),
    ];
    assert_eq!(topics, [Topic::EMERGENCY, Topic::EVENT]);
    let mut everything = Box::pin(everything.into_stream());
    for topic in [Topic::EMERGENCY, Topic::EVENT, Topic::EVENT] {
        match patiently(everything.next()).await {
            Some(Delivery::Message(message)) => assert_eq!(message.topic(), topic),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(remote.counts().merged_emergencies, 1);
    assert_eq!(remote.anomalies().total(), 0);
    service.stop().await;
}

#[tokio::test]
async fn a_slow_reader_loses_its_oldest_and_disturbs_nobody() {
    let service = started(builder()).await;
    let remote = remote_of(&service).await;
    let few = SubscribeOptions {
        messages_max: 10,
        ..SubscribeOptions::events()
    };
    let mut slow = remote.subscribe(few).await;
    let mut quick = remote.events().await;
    joined(&remote, &service).await;
    for index in 0..500 {
        service.publisher().send_event(&event(index)).await.unwrap();
        let Message::Event { event, .. } = message(&mut quick).await else {
            panic!("an event");
        };
        assert_eq!(event.index, Some(index));
    }
    let gap = patiently(slow.next()).await;
    assert_eq!(gap, Some(Delivery::Gap(Gap::SlowReader(490))));
    for index in 490..500 {
        let event = slow.next_event().await.unwrap();
        assert_eq!(event.index, Some(index));
    }
    assert_eq!(slow.try_next(), None);
    assert_eq!(remote.counts().lagged, 490);
    service.stop().await;
}

#[tokio::test]
async fn a_remote_that_is_not_read_at_all_disturbs_no_other_remote() {
    let service = started(builder()).await;
    let (idle, remote) = (remote_of(&service).await, remote_of(&service).await);
    let _unread = idle.events().await;
    let mut events = remote.events().await;
    joined(&idle, &service).await;
    joined(&remote, &service).await;
    for index in 0..10_000 {
        service.publisher().send_event(&event(index)).await.unwrap();
        if index % 100 == 99 {
            for _ in 0..100 {
                message(&mut events).await;
            }
        }
    }
    assert_eq!(remote.counts().lagged, 0);
    until(&idle, |counts| counts.lagged > 0).await;
    service.stop().await;
}

#[tokio::test]
async fn a_subscription_that_is_dropped_is_cancelled_at_the_service() {
    let (publisher, options) = publisher().await;
    let mut connections = publisher.events();
    let mut until_event = async |wanted: fn(&ConnectionEvent) -> Option<&Bytes>, prefix: &[u8]| {
        loop {
            let event = patiently(connections.next()).await.unwrap();
            if wanted(&event).is_some_and(|its_prefix| its_prefix == prefix) {
                return;
            }
        }
    };
    let remote = Remote::connect(options).await.unwrap();
    let own = Topic(77);
    // What results come with is subscribed to in any case.
    until_event(subscribed, &Topic::COMMAND_RESULT.to_frame()).await;
    let options = SubscribeOptions::topics(&[own]);
    let (first, second) = (
        remote.subscribe(options.clone()).await,
        remote.subscribe(options).await,
    );
    until_event(subscribed, &own.to_frame()).await;
    drop(first);
    // Another one comes and goes meanwhile, and the second of the two is still there.
    drop(
        remote
            .subscribe(SubscribeOptions::topics(&[Topic(78)]))
            .await,
    );
    until_event(unsubscribed, &Topic(78).to_frame()).await;
    publisher
        .send(own, Bytes::from_static(b"wanted"))
        .await
        .unwrap();
    let mut second = second;
    assert_eq!(message(&mut second).await.topic(), own);
    drop(second);
    until_event(unsubscribed, &own.to_frame()).await;
}

fn subscribed(event: &ConnectionEvent) -> Option<&Bytes> {
    match event {
        ConnectionEvent::Subscribed { prefix, .. } => Some(prefix),
        _ => None,
    }
}

fn unsubscribed(event: &ConnectionEvent) -> Option<&Bytes> {
    match event {
        ConnectionEvent::Unsubscribed { prefix, .. } => Some(prefix),
        _ => None,
    }
}

async fn publisher() -> (Publisher, RemoteOptions) {
    let publisher = Publisher::new(&SocketOptions::default()).unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    let port = publisher.bind(any).await.unwrap().port();
    (publisher, RemoteOptions::ports("127.0.0.1", port, 9))
}

/// spec: autotrainer 2.3
#[tokio::test]
async fn anomalies_are_counted_and_end_nothing() {
    let (publisher, options) = publisher().await;
    let remote = Remote::connect(options).await.unwrap();
    let mut events = remote.events().await;
    let publish = async |topic, payload: &'static str| {
        publisher
            .send(topic, Bytes::from_static(payload.as_bytes()))
            .await
            .unwrap();
    };
    // Until the subscription is in effect.
    while remote.counts().messages == 0 {
        publish(
            Topic::HEARTBEAT,
            r#"{"identifier":"a","version":"0.9.11","timestamp":1.5}"#,
        )
        .await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    publish(Topic::EVENT, "[1]").await;
    publish(Topic::EVENT, "").await;
    publish(Topic::EVENT, "\u{7f}{").await;
    publish(Topic::HEARTBEAT, "{}").await;
    publish(Topic::COMMAND_RESULT, "\"a debug print\"").await;
    publish(Topic::EVENT, r#"{"kind": 201, "index": 3}"#).await;
    let Message::Event { event, .. } = message(&mut events).await else {
        panic!("an event");
    };
    assert_eq!(event.index, Some(3));
    assert_eq!(remote.anomalies().of(Anomaly::Payload), 5);
}

#[tokio::test]
async fn services_come_are_late_go_and_come_again() {
    // So long that no busy machine keeps the check from seeing a service that is late, but not gone yet.
    let interval = Duration::from_secs(1);
    let service = started(builder().identifier("a").heartbeat_interval(interval)).await;
    let options = RemoteOptions {
        heartbeat_interval: Some(interval),
        ..options_of(&service)
    };
    let remote = Remote::connect(options).await.unwrap();
    let mut changes = remote.changes();
    let mut until_presence = async |wanted: Presence| loop {
        match patiently(changes.next()).await.unwrap() {
            RemoteChange::Presence {
                identifier,
                presence,
            } if presence == wanted => {
                assert_eq!(identifier, "a");
                return;
            }
            _ => {}
        }
    };
    until_presence(Presence::Present).await;
    assert_eq!(remote.services()[0].heartbeat.identifier, "a");
    let (events, commands) = ports(&service);
    service.stop().await;
    until_presence(Presence::Late).await;
    until_presence(Presence::Gone).await;
    assert_eq!(remote.services()[0].presence, Presence::Gone);
    let again = builder().identifier("a").heartbeat_interval(interval);
    let again = started(again.subscriber_port(events).command_port(commands)).await;
    until_presence(Presence::Present).await;
    again.stop().await;
}

#[tokio::test]
async fn several_services_on_one_subscription_are_told_apart() {
    let interval = Duration::from_millis(20);
    let mut services = Vec::new();
    for identifier in ["a", "b"] {
        let builder = builder().identifier(identifier);
        services.push(started(builder.heartbeat_interval(interval)).await);
    }
    let mut options = options_of(&services[0]);
    options.identifier = Some("a".to_owned());
    let second = format!("tcp://{}", services[1].event_addresses()[0]);
    options.event_endpoints.push(second);
    let remote = Remote::connect(options).await.unwrap();
    let both = async {
        while remote.services().len() < 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    patiently(both).await;
    let seen = remote.services();
    let seen: Vec<&str> = seen
        .iter()
        .map(|seen| seen.heartbeat.identifier.as_str())
        .collect();
    assert_eq!(seen, ["a", "b"]);
    let chosen = remote.wait_for_heartbeat(PATIENCE).await.unwrap();
    assert_eq!(chosen.identifier, "a");
    for service in services {
        service.stop().await;
    }
}

#[tokio::test]
async fn a_verbatim_subscription_gets_every_byte_as_it_came() {
    let service = started(builder().sequence(false)).await;
    let remote = remote_of(&service).await;
    let options = SubscribeOptions {
        verbatim: true,
        ..SubscribeOptions::topics(&[Topic::ANY])
    };
    let mut verbatim = remote.subscribe(options).await;
    joined(&remote, &service).await;
    while verbatim.try_next().is_some() {}

    let published = [
        (Topic::EVENT, r#"{ "kind":201,  "index": 1e0}"#),
        (Topic::EVENT, "this is no event"),
        (Topic::COMMAND_RESULT, r#"{"result":100.0, "nonce":"x"}"#),
        (Topic(77), "\u{0}\u{1}"),
    ];
    for (topic, payload) in published {
        let payload = Bytes::from_static(payload.as_bytes());
        service.publisher().publish(topic, payload).await.unwrap();
    }
    for (topic, payload) in published {
        let payload = Bytes::from_static(payload.as_bytes());
        assert_eq!(
            message(&mut verbatim).await,
            Message::Other { topic, payload }
        );
    }
    assert_eq!(remote.anomalies().of(Anomaly::Payload), 1);
    service.stop().await;
}
