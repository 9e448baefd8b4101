//! What devices publish, over the broker.

use autotrainer_api::{EventKind, Topic};
use bytes::Bytes;

use crate::setup::{Bridge, Hub, device, header, next, next_on, place_of};

#[tokio::test]
async fn messages_come_byte_for_byte_on_subjects_of_their_kind() {
    let (hub, device) = (Hub::start().await, device("box").await);
    let mut all = hub.subscribe("lab.devices.box.>").await;
    let url = hub.broker.url();
    let arguments = ["--device", &place_of(&device), "--prefix", "lab.devices"];
    let bridge = Bridge::bridging(&url, 1, &arguments).await;
    let heartbeat = next_on(&mut all, ".heartbeat").await;
    assert_eq!(header(&heartbeat, "Nodewire-Topic"), "1001");
    assert_eq!(header(&heartbeat, "Nodewire-Level"), "0.12.0");
    assert!(header(&heartbeat, "Nodewire-Version").starts_with("0.12.0+nodewire"));

    let publisher = device.publisher();
    let stop = publisher.event(EventKind::EmergencyStop).unwrap();
    publisher.send_event(&stop).await.unwrap();
    let bytes = [
        (
            Topic::EVENT,
            r#"{ "kind":201,"index":  1e0, "x": "\u00e4"}"#,
            "event.applicationLaunched",
        ),
        (Topic::EVENT, r#"{"kind": 4711}"#, "event.4711"),
        (Topic::EVENT, "no JSON \u{1}", "unreadable"),
        (Topic::PROPERTY_CHANGE, r#"{"kind":501}"#, "property"),
        (
            Topic::COMMAND_RESULT,
            r#"{"result":100.0,"nonce":1}"#,
            "result",
        ),
        (Topic(77), "own", "topic.77"),
    ];
    for (topic, payload, _) in bytes {
        let payload = Bytes::from_static(payload.as_bytes());
        publisher.publish(topic, payload).await.unwrap();
    }
    next_on(&mut all, ".emergency.emergencyStop").await;
    next_on(&mut all, ".event.emergencyStop").await;
    for (topic, payload, subject) in bytes {
        let message = next_on(&mut all, subject).await;
        assert_eq!(
            message.subject.as_str(),
            format!("lab.devices.box.{subject}")
        );
        let topic = topic.0.to_string();
        assert_eq!(header(&message, "Nodewire-Topic"), topic);
        if !payload.starts_with('{') {
            assert_eq!(message.payload, payload.as_bytes());
        }
    }
    assert_eq!(bridge.stop().await, Some(0));
    device.stop().await;
}

#[tokio::test]
async fn a_burst_comes_whole_and_numbered_without_a_hole() {
    const EVENTS: usize = 20_000;
    let (hub, device) = (Hub::start().await, device("box").await);
    let mut all = hub.subscribe("devices.box.>").await;
    let url = hub.broker.url();
    let bridge = Bridge::bridging(&url, 1, &["--device", &place_of(&device)]).await;
    next_on(&mut all, ".heartbeat").await;
    let publisher = device.publisher();
    for index in 0..EVENTS {
        let payload = format!(r#"{{"kind": 201, "index": {index}}}"#);
        publisher
            .publish(Topic::EVENT, payload.into())
            .await
            .unwrap();
    }
    let (mut events, mut last) = (0, None);
    while events < EVENTS {
        let message = next(&mut all).await;
        let sequence: u64 = header(&message, "Nodewire-Sequence").parse().unwrap();
        assert!(
            last.is_none_or(|last| sequence == last + 1),
            "{last:?} {sequence}"
        );
        last = Some(sequence);
        if message.subject.contains(".event.") {
            let text = std::str::from_utf8(&message.payload).unwrap();
            assert!(text.contains(&format!(r#""index": {events}"#)), "{text}");
            events += 1;
        }
        assert!(!message.subject.ends_with("bridge.gap"), "{message:?}");
    }
    // What is published right before the stop comes too.
    publisher.publish(Topic(9), "last".into()).await.unwrap();
    device.stop().await;
    next_on(&mut all, ".topic.9").await;
    assert_eq!(bridge.stop().await, Some(0));
}
