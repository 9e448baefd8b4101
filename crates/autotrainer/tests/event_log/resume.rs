//! Subscriptions that miss nothing which was kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use autotrainer_api::{
    CommandRequest, CommandResponse, Delivery, Event, EventLogOptions, Gap, Message, Remote,
    RemoteOptions, Resume, Service, SubscribeOptions, Subscription, Topic, UnixTime,
};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{
    PATIENCE, again, builder, gap, indices, log_in, patiently, ports, publish, remote_at, resumed,
    started,
};

#[tokio::test]
async fn a_client_that_was_away_gets_what_it_missed() {
    let folder = TempDir::new().unwrap();
    let service = started(builder(&log_in(&folder))).await;
    publish(&service, 0..10).await;
    let remote = remote_at(ports(&service)).await;
    let mut events = resumed(&remote, Resume::Oldest).await;
    assert_eq!(indices(&mut events, 6).await, [0, 1, 2, 3, 4, 5]);
    let position = events.position().unwrap();
    assert_eq!(position.sequence, 6);
    drop(events);
    remote.close().await;

    publish(&service, 10..20).await;
    let text = serde_json::to_string(&position).unwrap();
    let position = serde_json::from_str(&text).unwrap();
    let remote = remote_at(ports(&service)).await;
    let mut events = resumed(&remote, Resume::After(position)).await;
    let came: Vec<u64> = (6..20).collect();
    assert_eq!(indices(&mut events, 14).await, came);
    publish(&service, 20..30).await;
    let came: Vec<u64> = (20..30).collect();
    assert_eq!(indices(&mut events, 10).await, came);
    service.stop().await;
}

#[tokio::test]
async fn from_now_on_what_was_before_is_not_told() {
    let folder = TempDir::new().unwrap();
    let log = log_in(&folder);
    let service = started(builder(&log)).await;
    let at = ports(&service);
    publish(&service, 0..10).await;
    service.stop().await;
    let service = again(&log, at).await;
    let remote = remote_at(at).await;
    let mut events = resumed(&remote, Resume::Now).await;
    assert_eq!(events.try_next(), None);
    // Asks for where it begins.
    tokio::select! {
        biased;
        delivery = events.next() => panic!("{delivery:?}"),
        () = crate::support::until(|| service.counts().replays >= 1) => {}
    }
    // The answer is under way, and nothing of it is lost.
    let known = async {
        while events.position().is_none() {
            let _ = tokio::time::timeout(Duration::from_millis(20), events.next()).await;
        }
    };
    patiently(known).await;
    assert_eq!(events.position().unwrap().sequence, 10);
    publish(&service, 10..13).await;
    assert_eq!(indices(&mut events, 3).await, [10, 11, 12]);
    service.stop().await;
}

#[tokio::test]
async fn restarts_of_the_service_leave_no_gap() {
    let folder = TempDir::new().unwrap();
    let log = log_in(&folder);
    let mut service = started(builder(&log)).await;
    let at = ports(&service);
    let remote = remote_at(at).await;
    let mut events = resumed(&remote, Resume::Oldest).await;
    for round in 0..5 {
        publish(&service, round * 20..round * 20 + 20).await;
        if round % 2 == 0 {
            let came: Vec<u64> = (round * 20..round * 20 + 10).collect();
            assert_eq!(indices(&mut events, 10).await, came);
        }
        service.stop().await;
        service = again(&log, at).await;
        if round % 2 == 0 {
            let came: Vec<u64> = (round * 20 + 10..round * 20 + 20).collect();
            assert_eq!(indices(&mut events, 10).await, came);
        } else {
            let came: Vec<u64> = (round * 20..round * 20 + 20).collect();
            assert_eq!(indices(&mut events, 20).await, came);
        }
    }
    service.stop().await;
}

#[tokio::test]
async fn a_slow_reader_loses_nothing_that_is_kept() {
    let folder = TempDir::new().unwrap();
    let service = started(builder(&log_in(&folder))).await;
    let remote = remote_at(ports(&service)).await;
    let options = SubscribeOptions {
        messages_max: 10,
        ..SubscribeOptions::events()
    };
    let mut events = remote.subscribe(options.resuming(Resume::Oldest)).await;
    // More than the high-water mark, too.
    for round in 0..4 {
        publish(&service, round * 2000..round * 2000 + 2000).await;
        let came: Vec<u64> = (round * 2000..round * 2000 + 2000).collect();
        assert_eq!(indices(&mut events, 2000).await, came);
    }
    service.stop().await;
}

#[tokio::test]
async fn what_the_log_has_no_more_is_told() {
    let folder = TempDir::new().unwrap();
    let log = EventLogOptions {
        events_max: 5,
        ..log_in(&folder)
    };
    let service = started(builder(&log)).await;
    let remote = remote_at(ports(&service)).await;
    publish(&service, 0..20).await;
    crate::support::until(|| service.counts().log_kept == 20).await;
    let mut events = resumed(&remote, Resume::Oldest).await;
    assert_eq!(gap(&mut events).await, Gap::Sequence { missing: 15 });
    assert_eq!(indices(&mut events, 5).await, [15, 16, 17, 18, 19]);
    service.stop().await;
}

#[tokio::test]
async fn another_log_is_told_and_replayed_from_its_start() {
    let folder = TempDir::new().unwrap();
    let log = log_in(&folder);
    let service = started(builder(&log)).await;
    let at = ports(&service);
    let remote = remote_at(at).await;
    let mut events = resumed(&remote, Resume::Oldest).await;
    publish(&service, 0..10).await;
    indices(&mut events, 10).await;
    service.stop().await;
    for suffix in ["", "-wal", "-shm"] {
        let path = format!("{}{suffix}", log.path.display());
        let _ = std::fs::remove_file(path);
    }
    let service = again(&log, at).await;
    publish(&service, 100..103).await;
    assert_eq!(gap(&mut events).await, Gap::LogReplaced);
    assert_eq!(indices(&mut events, 3).await, [100, 101, 102]);
    assert_eq!(events.position().unwrap().sequence, 3);
    service.stop().await;
}

#[tokio::test]
async fn only_what_is_wanted_comes_and_emergencies_come_once() {
    let folder = TempDir::new().unwrap();
    let service = started(builder(&log_in(&folder))).await;
    let remote = remote_at(ports(&service)).await;
    let of = |topics: &[Topic]| SubscribeOptions::topics(topics).resuming(Resume::Oldest);
    let emergency = |index| Event::numbered(101, UnixTime(1.5), index);
    let publisher = service.publisher();
    publisher.send_event(&emergency(0)).await.unwrap();
    publish(&service, 1..3).await;
    let mut by_event = remote.subscribe(of(&[Topic::EVENT])).await;
    let mut by_emergency = remote.subscribe(of(&[Topic::EMERGENCY])).await;
    let mut changes = remote.subscribe(of(&[Topic::PROPERTY_CHANGE])).await;
    let both = of(&[Topic::EVENT, Topic::EMERGENCY]);
    let mut by_both = remote.subscribe(both).await;
    assert_eq!(indices(&mut by_event, 3).await, [0, 1, 2]);
    assert_eq!(indices(&mut by_emergency, 1).await, [0]);
    assert_eq!(indices(&mut by_both, 3).await, [0, 1, 2]);
    publisher.send_event(&emergency(3)).await.unwrap();
    publish(&service, 4..5).await;
    publisher.send_event(&emergency(5)).await.unwrap();
    publisher
        .publish_event(Topic::PROPERTY_CHANGE, &emergency(6))
        .await
        .unwrap();
    assert_eq!(indices(&mut by_event, 3).await, [3, 4, 5]);
    assert_eq!(indices(&mut by_emergency, 2).await, [3, 5]);
    assert_eq!(indices(&mut by_both, 3).await, [3, 4, 5]);
    match patiently(changes.next()).await {
        Some(Delivery::Message(Message::Event { topic, event, .. })) => {
            assert_eq!((topic, event.index), (Topic::PROPERTY_CHANGE, Some(6)));
        }
        other => panic!("{other:?}"),
    }
    service.stop().await;
}

/// What comes until a few heartbeats have come: more than may be received before it is known that there is a connection.
async fn until_settled(subscription: &mut Subscription) -> Vec<Delivery> {
    let (mut come, mut heartbeats) = (Vec::new(), 0);
    while heartbeats < 3 {
        let delivery = patiently(subscription.next()).await.expect("no end");
        let is_heartbeat = matches!(delivery, Delivery::Message(Message::Heartbeat(_)));
        heartbeats += usize::from(is_heartbeat);
        come.push(delivery);
    }
    come
}

fn gaps(come: &[Delivery]) -> usize {
    let gaps = come.iter().filter(|it| matches!(it, Delivery::Gap(_)));
    gaps.count()
}

/// Of what is not kept, too, an interruption is told only where there was one, and the beginning is none.
#[tokio::test]
async fn a_beginning_is_no_interruption() {
    let folder = TempDir::new().unwrap();
    let log = log_in(&folder);
    let service = started(builder(&log)).await;
    let at = ports(&service);
    publish(&service, 0..3).await;
    crate::support::until(|| service.counts().log_kept == 3).await;
    let everything = |from| SubscribeOptions::topics(&[Topic::ANY]).resuming(from);

    let remote = remote_at(at).await;
    remote.wait_for_heartbeat(PATIENCE).await.unwrap();
    let mut connected = remote.subscribe(everything(Resume::Oldest)).await;
    let come = until_settled(&mut connected).await;
    assert_eq!((come.len(), gaps(&come)), (6, 0), "{come:?}");
    let position = connected.position().unwrap();
    service.stop().await;

    // Of those that are there before the service is, too.
    let early = remote_at(at).await;
    let mut subscriptions = [
        early.subscribe(everything(Resume::Now)).await,
        early.subscribe(everything(Resume::Oldest)).await,
        early.subscribe(everything(Resume::After(position))).await,
    ];
    let service = again(&log, at).await;
    for subscription in &mut subscriptions {
        let come = until_settled(subscription).await;
        assert_eq!(gaps(&come), 0, "{come:?}");
    }
    assert_eq!(gap(&mut connected).await, Gap::Interrupted);
    service.stop().await;
    let service = again(&log, at).await;
    for subscription in &mut subscriptions {
        assert_eq!(gap(subscription).await, Gap::Interrupted);
    }
    service.stop().await;
}

/// Answers replays "later" so many times, then with two events.
async fn busy_service(times: usize) -> Service {
    let left = Arc::new(AtomicUsize::new(times));
    let handler = move |_: CommandRequest| {
        let take_one = |left: usize| left.checked_sub(1);
        let is_busy = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take_one);
        let kept = |sequence: u64| {
            let payload = json!({"kind": 201, "when": 1.5, "index": sequence, "context": null});
            json!({"sequence": sequence, "topic": 4001, "payload": payload})
        };
        let page = json!({"log_id": "a", "first": 1, "last": 2, "next": 2, "is_complete": true,
            "events": [kept(1), kept(2)]});
        async move {
            match is_busy {
                Ok(_) => CommandResponse::unavailable().with_error(0, "Too many replays."),
                Err(_) => CommandResponse::success().with_data(&page),
            }
        }
    };
    let builder = Service::builder().subscriber_port(0).command_port(0);
    started(builder.handler(handler)).await
}

#[tokio::test]
async fn what_is_kept_is_waited_for_while_the_service_is_busy() {
    // More than the attempts that a service has which fails.
    let service = busy_service(11).await;
    let remote = remote_at(ports(&service)).await;
    let mut events = resumed(&remote, Resume::Oldest).await;
    assert_eq!(indices(&mut events, 2).await, [1, 2]);
    service.stop().await;
}

#[tokio::test]
async fn a_busy_service_is_waited_for_as_long_as_was_chosen() {
    let service = busy_service(usize::MAX).await;
    let (event_port, command_port) = ports(&service);
    let options = RemoteOptions {
        replay_patience: Duration::from_millis(150),
        ..RemoteOptions::ports("127.0.0.1", event_port, command_port)
    };
    let remote = Remote::connect(options).await.unwrap();
    let mut events = resumed(&remote, Resume::Oldest).await;
    assert_eq!(gap(&mut events).await, Gap::Interrupted);
    assert!(remote.counts().answers >= 2);
    service.stop().await;
}
