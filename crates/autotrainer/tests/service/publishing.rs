//! What is published, and in which order. spec: autotrainer 2, 5

use autotrainer_api::{
    Event, EventKind, PropertyChange, ProtocolLevel, PublishError, Topic, UnixTime,
};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::clients::{Subscriber, builder, started};
use crate::recording::{frames, scenario};

#[tokio::test]
async fn emergencies_are_published_twice_and_nothing_else_is() {
    let service = started(builder()).await;
    let all = Subscriber::of(&service, Topic::ANY).await;
    let publisher = service.publisher();
    for kind in [101, 102, 201] {
        let event = Event::numbered(kind, UnixTime(1.5), 7);
        publisher.send_event(&event).await.unwrap();
        publisher.try_send_event(&event).unwrap();
    }
    let dict = json!({"kind": 101, "when": 1.5, "some_key": 1});
    publisher.send_event_dict(&dict).await.unwrap();
    let text = json!({"kind": "emergencyStop"});
    publisher.send_event_dict(&text).await.unwrap();
    let event = Event::numbered(101, UnixTime(1.5), 7);
    publisher
        .publish_event(Topic::EMERGENCY, &event)
        .await
        .unwrap();
    publisher
        .publish(Topic::EVENT, event.to_payload())
        .await
        .unwrap();
    publisher
        .publish(Topic(70000), Bytes::from_static(b"any bytes"))
        .await
        .unwrap();

    let expected = [
        (Topic::EMERGENCY, json!(101)),
        (Topic::EVENT, json!(101)),
        (Topic::EMERGENCY, json!(101)),
        (Topic::EVENT, json!(101)),
        (Topic::EMERGENCY, json!(102)),
        (Topic::EVENT, json!(102)),
        (Topic::EMERGENCY, json!(102)),
        (Topic::EVENT, json!(102)),
        (Topic::EVENT, json!(201)),
        (Topic::EVENT, json!(201)),
        (Topic::EMERGENCY, json!(101)),
        (Topic::EVENT, json!(101)),
        (Topic::EVENT, json!("emergencyStop")),
        (Topic::EMERGENCY, json!(101)),
        (Topic::EVENT, json!(101)),
    ];
    for (topic, kind) in expected {
        let (got, payload) = all.next_json().await;
        assert_eq!((got, &payload["kind"]), (topic, &kind));
    }
    let last = all.next().await;
    assert_eq!(last, (Topic(70000), Bytes::from_static(b"any bytes")));
    service.stop().await;
    let counts = service.counts().publications;
    assert!(counts.contains(&(Some(Topic::EMERGENCY), 6)), "{counts:?}");
    assert!(counts.contains(&(Some(Topic::EVENT), 9)), "{counts:?}");
}

#[tokio::test]
async fn a_property_change_goes_out_in_an_event_envelope() {
    let service = started(builder()).await;
    let changes = Subscriber::of(&service, Topic::PROPERTY_CHANGE).await;
    let change = json!({"target": 3, "name": "speed", "newValue": {"aB": 2}, "oldValue": null});
    let change: PropertyChange = serde_json::from_value(change.clone()).unwrap();
    service
        .publisher()
        .send_property_change(&change)
        .await
        .unwrap();
    let (topic, payload) = changes.next_json().await;
    assert_eq!(
        (topic, &payload["kind"]),
        (Topic::PROPERTY_CHANGE, &json!(501))
    );
    let expected = json!({"target": 3, "name": "speed", "newValue": {"aB": 2}, "oldValue": null});
    assert_eq!(payload["context"], expected);
    assert!(payload["when"].is_f64() && payload["index"].is_u64());
    service.stop().await;
}

#[tokio::test]
async fn what_is_no_event_is_an_error_and_the_next_event_is_published() {
    let service = started(builder().level(ProtocolLevel::V0_9_11)).await;
    let events = Subscriber::of(&service, Topic::EVENT).await;
    let publisher = service.publisher();
    let no_kind = publisher.send_event_dict(&json!({"when": 1})).await;
    assert!(matches!(no_kind, Err(PublishError::NoEvent)));
    let no_mapping = publisher.send_event_dict(&json!([1])).await;
    assert!(matches!(no_mapping, Err(PublishError::NoEvent)));
    let unserializable = std::collections::HashMap::from([((1, 2), 3)]);
    let no_json = publisher.send_event_dict(&unserializable).await;
    assert!(matches!(no_json, Err(PublishError::Encode(_))));
    let too_long = publisher
        .publish(Topic::EVENT, Bytes::from(vec![0; (1 << 20) + 1]))
        .await;
    assert!(matches!(too_long, Err(PublishError::TooLong { .. })));
    let later_kind = publisher.event(EventKind::TrialStarted);
    assert!(matches!(later_kind, Err(PublishError::UnknownKind { .. })));
    let event = publisher.event(EventKind::ApplicationLaunched).unwrap();
    publisher.send_event(&event).await.unwrap();
    assert_eq!(events.next_json().await.1["kind"], 201);
    assert_eq!(service.counts().refused_publications, 1);
    service.stop().await;
}

#[tokio::test]
async fn heartbeats_come_by_themselves_and_carry_the_identity() {
    let interval = std::time::Duration::from_millis(5);
    let builder = builder().identifier("box-7").heartbeat_interval(interval);
    let service = started(builder.software("rig 2")).await;
    let heartbeats = Subscriber::of(&service, Topic::HEARTBEAT).await;
    for _ in 0..3 {
        let (topic, payload) = heartbeats.next_json().await;
        assert_eq!(topic, Topic::HEARTBEAT);
        assert_eq!(payload["identifier"], "box-7");
        assert_eq!(payload["version"], "0.12.0+rig.2");
        assert!(payload["timestamp"].is_f64());
    }
    service.stop().await;
}

#[tokio::test]
async fn a_subscriber_gets_its_topic_only_and_every_message_of_a_burst() {
    let service = started(builder()).await;
    let (events, all) = (
        Subscriber::of(&service, Topic::EVENT).await,
        Subscriber::of(&service, Topic::ANY).await,
    );
    let publisher = service.publisher();
    for index in 0..900_u32 {
        let payload = Bytes::from(index.to_string());
        publisher
            .publish(Topic::EVENT, payload.clone())
            .await
            .unwrap();
        publisher
            .publish(Topic(0x0001_0fa1), payload)
            .await
            .unwrap();
        // No subscriber is further behind than its high-water mark.
        assert_eq!(
            events.next().await,
            (Topic::EVENT, index.to_string().into())
        );
        assert_eq!(all.next().await.0, Topic::EVENT);
        assert_eq!(all.next().await.0, Topic(0x0001_0fa1));
    }
    service.stop().await;
}

/// spec: autotrainer 17 (3)
#[tokio::test]
async fn recorded_events_are_published_as_recorded() {
    let service = started(builder().sequence(false)).await;
    let all = Subscriber::of(&service, Topic::ANY).await;
    let mut compared = 0;
    let scenario = scenario("pub", ProtocolLevel::V0_12_0);
    for step in scenario.steps() {
        let published = step["published"].as_array().unwrap();
        let published: Vec<Vec<Bytes>> = published.iter().map(frames).collect();
        let Some([topic, payload]) = published.last().map(Vec::as_slice) else {
            continue;
        };
        let value: Value = serde_json::from_slice(payload).unwrap();
        let publisher = service.publisher();
        match Topic::from_frame(topic).unwrap() {
            Topic::EVENT => publisher.send_event_dict(&value).await.unwrap(),
            topic => publisher.publish(topic, payload.clone()).await.unwrap(),
        }
        for recorded in &published {
            let (topic, payload) = all.next_json().await;
            assert_eq!(recorded[0], topic.to_frame()[..], "{}", step["step"]);
            assert_eq!(payload, value, "{}", step["step"]);
        }
        compared += 1;
    }
    assert!(compared > 10, "{compared}");
    service.stop().await;
}

#[tokio::test]
async fn what_is_typed_is_numbered_and_bytes_are_not_touched() {
    let service = started(builder()).await;
    let all = Subscriber::of(&service, Topic::ANY).await;
    let publisher = service.publisher();
    let mut event = Event::numbered(101, UnixTime(1.5), 7);
    publisher.send_event(&event).await.unwrap();
    // From another service, which numbered it.
    event
        .extra
        .push(("sequence".to_owned(), Value::from(900).into()));
    publisher.publish_event(Topic::EVENT, &event).await.unwrap();
    let dict = json!({"kind": 201, "sequence": 901, "other_key": 1});
    publisher.send_event_dict(&dict).await.unwrap();
    let raw = event.to_payload();
    publisher.publish(Topic::EVENT, raw.clone()).await.unwrap();
    publisher.publish_event(Topic(77), &event).await.unwrap();
    let change = json!({"target": 3, "name": "speed", "newValue": 1});
    let change: PropertyChange = serde_json::from_value(change).unwrap();
    publisher.send_property_change(&change).await.unwrap();

    let own = |sequence: u64| {
        format!(
            r#"{{"kind": 101, "when": 1.5, "index": 7, "context": null, "sequence": {sequence}}}"#
        )
    };
    let expected = [
        (Topic::EMERGENCY, Bytes::from(own(1))),
        (Topic::EVENT, Bytes::from(own(1))),
        (Topic::EVENT, Bytes::from(own(2))),
        (
            Topic::EVENT,
            r#"{"kind": 201, "otherKey": 1, "sequence": 3}"#.into(),
        ),
        (Topic::EVENT, raw.clone()),
        (Topic(77), raw),
    ];
    for expected in expected {
        assert_eq!(all.next().await, expected);
    }
    assert_eq!(all.next_json().await.1["sequence"], 4);
    service.stop().await;
}
