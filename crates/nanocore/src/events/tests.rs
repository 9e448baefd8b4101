//! Many watchers, stuck ones, and those who come back.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;

fn hub(events_max: usize) -> EventHub {
    EventHub::new(EventHubOptions {
        events_max,
        ..EventHubOptions::default()
    })
}

fn publish(hub: &EventHub, run: Option<&str>, number: u64) -> u64 {
    let run_id = run.map(Arc::from);
    hub.publish("test", run_id.as_ref(), json!({ "number": number }))
}

async fn event(subscription: &mut Subscription) -> Value {
    match tokio::time::timeout(Duration::from_secs(60), subscription.next())
        .await
        .unwrap()
    {
        Item::Event(event) => serde_json::from_str(event.text()).unwrap(),
        other @ (Item::Reset | Item::TooSlow { .. }) => panic!("{other:?}"),
    }
}

fn since(seq: u64) -> Subscribe {
    Subscribe {
        since: Some(seq),
        ..Subscribe::default()
    }
}

#[tokio::test]
async fn an_event_has_its_number_time_type_run_and_fields() {
    let hub = EventHub::default();
    let mut events = hub.subscribe(Subscribe::default());
    assert_eq!((publish(&hub, Some("r"), 7), hub.seq()), (1, 1));
    let seen = event(&mut events).await;
    assert_eq!(
        (&seen["seq"], &seen["type"], &seen["runId"], &seen["number"]),
        (&json!(1), &json!("test"), &json!("r"), &json!(7))
    );
    assert!(
        seen["ts"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .is_ok()
    );
}

#[tokio::test]
async fn all_of_many_watchers_see_everything_in_order_while_one_is_stuck() {
    let hub = hub(100);
    let mut stuck = hub.subscribe(Subscribe::default());
    let watchers: Vec<_> = (0..200)
        .map(|_| {
            let mut events = hub.subscribe(Subscribe::default());
            tokio::spawn(async move {
                for number in 0..1_000 {
                    assert_eq!(event(&mut events).await["number"], number);
                }
            })
        })
        .collect();
    for number in 0..1_000 {
        publish(&hub, None, number);
        tokio::task::yield_now().await;
    }
    for watcher in watchers {
        watcher.await.unwrap();
    }
    assert!(matches!(stuck.next().await, Item::TooSlow { missed: 900 }));
    assert_eq!(event(&mut stuck).await["number"], 900);
    let counters = hub.counters();
    assert_eq!(
        (counters.published, counters.too_slow, counters.missed),
        (1_000, 1, 900)
    );
    assert_eq!(counters.subscriptions, 1);
}

#[tokio::test]
async fn a_watcher_that_comes_back_misses_nothing_that_is_kept() {
    let hub = hub(5);
    for number in 1..=10 {
        publish(&hub, None, number);
    }
    let mut events = hub.subscribe(since(7));
    for number in 8..=10 {
        assert_eq!(event(&mut events).await["seq"], number);
    }
    publish(&hub, None, 11);
    assert_eq!(event(&mut events).await["seq"], 11);
    assert_eq!(events.seq(), 11);
}

#[tokio::test]
async fn a_number_that_is_no_longer_kept_or_not_known_resets() {
    let hub = hub(5);
    for number in 1..=10 {
        publish(&hub, None, number);
    }
    for old in [0, 4, 99, u64::MAX] {
        let mut events = hub.subscribe(since(old));
        assert!(matches!(events.next().await, Item::Reset), "{old}");
        let next = publish(&hub, None, 0);
        assert_eq!(event(&mut events).await["seq"], next);
    }
    let mut events = hub.subscribe(since(hub.seq()));
    let next = publish(&hub, None, 0);
    assert_eq!(event(&mut events).await["seq"], next);
}

#[tokio::test]
async fn a_watcher_sees_only_what_it_wants() {
    let hub = EventHub::default();
    let only = |run: &str| Runs::Only([run.to_owned()].into());
    let mut events = hub.subscribe(Subscribe {
        since: None,
        runs: only("a"),
        servers: false,
    });
    publish(&hub, Some("b"), 1);
    publish(&hub, None, 2);
    publish(&hub, Some("a"), 3);
    assert_eq!(event(&mut events).await["number"], 3);
    events.change(only("b"), true);
    publish(&hub, Some("a"), 4);
    publish(&hub, None, 5);
    publish(&hub, Some("b"), 6);
    assert_eq!(event(&mut events).await["number"], 5);
    assert_eq!(event(&mut events).await["number"], 6);
}

#[tokio::test]
async fn memory_is_bounded_by_bytes_too() {
    let hub = EventHub::new(EventHubOptions {
        events_max: 1_000,
        bytes_max: 10_000,
        event_bytes_max: 2_000,
    });
    let mut events = hub.subscribe(Subscribe::default());
    for _ in 0..100 {
        hub.publish("test", None, json!({ "text": "x".repeat(1_500) }));
    }
    let Item::TooSlow { missed } = events.next().await else {
        panic!("it cannot have kept up")
    };
    assert!((94..=95).contains(&missed), "{missed}");
    hub.publish("test", None, json!({ "text": "x".repeat(3_000) }));
    let mut last = Value::Null;
    while last["seq"] != 101 {
        last = event(&mut events).await;
    }
    assert_eq!(last["truncated"], true);
    assert!(last["size"].as_u64().unwrap() > 3_000);
    assert_eq!(hub.counters().oversized, 1);
}

#[tokio::test]
async fn fields_that_are_no_object_are_refused_and_counted() {
    let hub = EventHub::default();
    assert_eq!(hub.publish("test", None, 5), 0);
    assert_eq!((hub.seq(), hub.counters().invalid), (0, 1));
}

#[tokio::test]
async fn a_run_is_watched_from_its_first_event_or_says_that_it_is_not() {
    let hub = hub(5);
    let run: Arc<str> = "r".into();
    hub.publish("run_queued", Some(&run), json!({}));
    publish(&hub, Some("r"), 1);
    let mut events = hub.subscribe_run("r");
    assert_eq!(event(&mut events).await["type"], "run_queued");
    for number in 2..=6 {
        publish(&hub, Some(["r", "s"][number % 2]), 0);
    }
    let mut events = hub.subscribe_run("r");
    assert!(matches!(events.next().await, Item::Reset));
    assert_eq!(event(&mut events).await["seq"], 3);
    let mut events = hub.subscribe_run("unknown");
    assert!(matches!(events.next().await, Item::Reset));
    assert!(events.try_next().is_none());
}
