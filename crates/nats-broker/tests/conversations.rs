//! What a usual client does with the broker.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, HeaderMap, RequestErrorKind};
use common::{again_on, broker, eventually, limited};
use futures_util::StreamExt as _;
use nats_broker::{Broker, CloseReason, StartError};
use tokio::sync::mpsc;

async fn client(broker: &Broker) -> Client {
    async_nats::connect(broker.url()).await.unwrap()
}

/// Waits until the broker knows of so many subscriptions: clients do not wait for that.
async fn subscribed(broker: &Broker, count: u64) {
    eventually("they are subscribed", || {
        broker.stats().subscriptions_open == count
    })
    .await;
}

/// A client that reports its events.
async fn observed(broker: &Broker) -> (Client, mpsc::Receiver<Event>) {
    let (events, receiver) = mpsc::channel(64);
    let options = ConnectOptions::new()
        .reconnect_delay_callback(|_| Duration::from_millis(5))
        .event_callback(move |event| {
            let events = events.clone();
            async move {
                let _ = events.send(event).await;
            }
        });
    (options.connect(broker.url()).await.unwrap(), receiver)
}

async fn wait_for(events: &mut mpsc::Receiver<Event>, wanted: Event) {
    let wait = async { while events.recv().await.unwrap() != wanted {} };
    tokio::time::timeout(common::PATIENCE, wait).await.unwrap();
}

#[tokio::test]
async fn messages_reach_all_who_subscribed() {
    let broker = broker().await;
    let (one, two) = (client(&broker).await, client(&broker).await);
    let mut exact = one.subscribe("a.b").await.unwrap();
    let mut pattern = two.subscribe("a.>").await.unwrap();
    subscribed(&broker, 2).await;

    let mut headers = HeaderMap::new();
    headers.insert("X-A", "1");
    headers.append("X-A", "2");
    one.publish_with_reply_and_headers("a.b", "re.ply", headers.clone(), "hi".into())
        .await
        .unwrap();
    for subscriber in [&mut exact, &mut pattern] {
        let message = subscriber.next().await.unwrap();
        assert_eq!(&message.payload[..], b"hi");
        assert_eq!(message.subject.as_str(), "a.b");
        assert_eq!(message.reply.as_deref(), Some("re.ply"));
        assert_eq!(message.headers.as_ref(), Some(&headers));
    }
    let stats = broker.stats();
    assert_eq!((stats.messages_in, stats.messages_out), (1, 2));
    assert_eq!((stats.connections_open, stats.subscriptions_open), (2, 2));
}

#[tokio::test]
async fn large_messages_arrive_whole() {
    let broker = broker().await;
    let client = client(&broker).await;
    let mut messages = client.subscribe("big").await.unwrap();
    for size in [1 << 20, 16 << 10, (16 << 10) - 1, 0, 300_000] {
        let payload: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        client.publish("big", payload.clone().into()).await.unwrap();
        assert!(
            messages.next().await.unwrap().payload == payload,
            "{size} bytes"
        );
    }
}

#[tokio::test]
async fn requests_are_answered_or_refused() {
    let broker = broker().await;
    let (service, client) = (client(&broker).await, client(&broker).await);
    let mut requests = service.subscribe("double").await.unwrap();
    subscribed(&broker, 1).await;
    let serving = tokio::spawn(async move {
        let request = requests.next().await.unwrap();
        let twice = [&request.payload[..], &request.payload[..]].concat();
        let reply = request.reply.unwrap();
        service.publish(reply, twice.into()).await.unwrap();
        // It sends only as long as it lives.
        service
    });
    let answer = client.request("double", "ab".into()).await.unwrap();
    assert_eq!(&answer.payload[..], b"abab");
    serving.await.unwrap();

    let error = client.request("nobody", "".into()).await.unwrap_err();
    assert_eq!(error.kind(), RequestErrorKind::NoResponders);
    let error = client.request("$JS.API.INFO", "".into()).await.unwrap_err();
    assert_eq!(error.kind(), RequestErrorKind::NoResponders);
    let stats = broker.stats();
    assert_eq!((stats.no_responders, stats.jetstream_requests), (2, 1));
}

#[tokio::test]
async fn a_queue_group_shares_its_messages() {
    let broker = broker().await;
    let publisher = client(&broker).await;
    let mut members = Vec::new();
    for subject in ["job.*", "job.1", "job.>", "job.1"] {
        let member = client(&broker).await;
        let messages = member.queue_subscribe(subject, "q".into()).await.unwrap();
        members.push((member, messages));
    }
    subscribed(&broker, 4).await;
    const MESSAGES: u64 = 400;
    for _ in 0..MESSAGES {
        publisher.publish("job.1", "".into()).await.unwrap();
    }
    eventually("all are delivered", || {
        broker.stats().messages_out == MESSAGES
    })
    .await;
    let mut sum = 0;
    for (member, messages) in members {
        member.drain().await.unwrap();
        let share = messages.count().await;
        assert!(share > 0, "chance of 4 in 10^50");
        sum += share as u64;
    }
    assert_eq!(sum, MESSAGES);
}

#[tokio::test]
async fn a_drained_client_gets_what_was_sent() {
    let broker = broker().await;
    let (subscriber, publisher) = (client(&broker).await, client(&broker).await);
    let messages = subscriber.subscribe("a").await.unwrap();
    subscribed(&broker, 1).await;
    for _ in 0..1000 {
        publisher.publish("a", "x".into()).await.unwrap();
    }
    eventually("all are delivered", || broker.stats().messages_out == 1000).await;
    subscriber.drain().await.unwrap();
    assert_eq!(messages.count().await, 1000);
    eventually("it is gone", || {
        broker.stats().closed(CloseReason::Client) == 1
    })
    .await;
    assert_eq!(broker.stats().subscriptions_open, 0);
}

#[tokio::test]
async fn clients_come_back_after_a_restart() {
    let first = broker().await;
    let address = first.addr();
    let (client, mut events) = observed(&first).await;
    let mut messages = client.subscribe("a").await.unwrap();
    wait_for(&mut events, Event::Connected).await;
    subscribed(&first, 1).await;
    first.shutdown().await;
    wait_for(&mut events, Event::Disconnected).await;

    let second = again_on(address).await;
    wait_for(&mut events, Event::Connected).await;
    eventually("it subscribes again", || {
        second.stats().subscriptions_open == 1
    })
    .await;
    client.publish("a", "again".into()).await.unwrap();
    assert_eq!(&messages.next().await.unwrap().payload[..], b"again");
}

#[tokio::test]
async fn clients_come_back_after_a_fault() {
    let broker = broker().await;
    let (client, mut events) = observed(&broker).await;
    client.flush().await.unwrap();
    broker.drop_connections();
    wait_for(&mut events, Event::Disconnected).await;
    wait_for(&mut events, Event::Connected).await;
    eventually("it is counted", || {
        broker.stats().closed(CloseReason::Dropped) == 1
    })
    .await;
}

#[tokio::test]
async fn a_lame_duck_says_so() {
    let broker = broker().await;
    let (client, mut events) = observed(&broker).await;
    client.flush().await.unwrap();
    broker.lame_duck();
    wait_for(&mut events, Event::LameDuckMode).await;
    client.flush().await.unwrap();
}

#[tokio::test]
async fn credentials_are_checked() {
    let user = Broker::builder()
        .user_password("u", "p")
        .start()
        .await
        .unwrap();
    let token = Broker::builder().token("tok").start().await.unwrap();
    let with_user =
        |password: &str| ConnectOptions::with_user_and_password("u".into(), password.into());
    with_user("p")
        .connect(user.url())
        .await
        .unwrap()
        .flush()
        .await
        .unwrap();
    let with_token = |token: &str| ConnectOptions::with_token(token.into());
    with_token("tok")
        .connect(token.url())
        .await
        .unwrap()
        .flush()
        .await
        .unwrap();
    for (refused, url) in [
        (with_user("q"), user.url()),
        (with_token("p"), user.url()),
        (ConnectOptions::new(), user.url()),
        (with_token("tok2"), token.url()),
    ] {
        let error = refused.connect(url).await.unwrap_err();
        assert_eq!(error.kind(), ConnectErrorKind::AuthorizationViolation);
    }
    assert_eq!(user.stats().closed(CloseReason::Authorization), 3);
}

#[tokio::test]
async fn only_loopback_unless_forced() {
    let anywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let refused = Broker::builder()
        .listen(anywhere)
        .start()
        .await
        .unwrap_err();
    assert!(matches!(refused, StartError::NotLoopback(address) if address == anywhere));
    let forced = Broker::builder().listen(anywhere).allow_non_loopback(true);
    assert_ne!(forced.start().await.unwrap().addr().port(), 0);
}

#[tokio::test]
async fn what_cannot_work_does_not_start() {
    let first = broker().await;
    let taken = Broker::builder()
        .listen(first.addr())
        .start()
        .await
        .unwrap_err();
    assert!(matches!(taken, StartError::Listen { address, .. } if address == first.addr()));
    let empty = Broker::builder().token("").start().await.unwrap_err();
    assert!(matches!(empty, StartError::EmptyCredentials));
    let usual = nats_broker::Limits::default;
    for limits in [
        nats_broker::Limits {
            pending_bytes_max: 1 << 20,
            ..usual()
        },
        nats_broker::Limits {
            pending_bytes_total_max: usual().pending_bytes_max - 1,
            ..usual()
        },
    ] {
        let small = Broker::builder().limits(limits).start().await.unwrap_err();
        assert!(matches!(small, StartError::Limits(_)));
    }
}

#[tokio::test]
async fn an_end_reaches_the_clients() {
    for drops in [true, false] {
        let broker = limited(|_| {}).await;
        let (client, mut events) = observed(&broker).await;
        client.flush().await.unwrap();
        if drops {
            drop(broker);
        } else {
            broker.shutdown().await;
        }
        wait_for(&mut events, Event::Disconnected).await;
    }
}
