//! Clients that are broken, slow, hostile or many.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::{Raw, again_on, broker, eventually, limited};
use futures_util::StreamExt as _;
use nats_broker::{Broker, CloseReason};

/// Whether somebody who behaves is still served.
async fn serves(broker: &Broker) {
    let client = async_nats::connect(broker.url()).await.unwrap();
    let mut messages = client.subscribe("works").await.unwrap();
    client.publish("works", "yes".into()).await.unwrap();
    assert_eq!(&messages.next().await.unwrap().payload[..], b"yes");
}

/// Every connection is open or has ended for a reason.
fn assert_accounted(broker: &Broker) {
    let stats = broker.stats();
    let closed: u64 = CloseReason::ALL
        .iter()
        .map(|reason| stats.closed(*reason))
        .sum();
    assert_eq!(stats.connections_total, stats.connections_open + closed);
}

async fn nobody_is_left(broker: &Broker) {
    eventually("all connections are gone", || {
        broker.stats().connections_open == 0
    })
    .await;
    assert_eq!(broker.stats().subscriptions_open, 0);
    assert_accounted(broker);
}

#[tokio::test]
async fn garbage_costs_only_its_connection() {
    let broker = broker().await;
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..64 {
        let mut raw = Raw::open(broker.addr().port()).await.unwrap();
        let garbage: String = (0..200).map(|_| random.char('\u{80}'..'\u{ff}')).collect();
        raw.send(&garbage).await;
        assert_eq!(
            raw.rest().await.unwrap(),
            "-ERR 'Unknown Protocol Operation'\r\n<closed>"
        );
    }
    serves(&broker).await;
    nobody_is_left(&broker).await;
    assert_eq!(broker.stats().closed(CloseReason::Protocol), 64);
}

#[tokio::test]
async fn half_messages_reach_nobody() {
    let broker = broker().await;
    let port = broker.addr().port();
    let mut subscriber = Raw::connected(port).await.unwrap();
    assert_eq!(subscriber.answer_to("SUB a 1\r\n").await.unwrap(), "");
    for half in [
        "PUB",
        "PUB a",
        "PUB a 10\r\n",
        "PUB a 10\r\n12345",
        "PUB a 2\r\nab",
        "PUB a 2\r\nab\r",
    ] {
        let mut raw = Raw::connected(port).await.unwrap();
        raw.send(half).await;
        drop(raw);
    }
    eventually("they are gone", || {
        broker.stats().closed(CloseReason::Client) == 6
    })
    .await;
    assert_eq!(subscriber.answer_to("").await.unwrap(), "");
    assert_eq!(broker.stats().messages_in, 0);
}

#[tokio::test]
async fn oversized_input_is_counted_and_closed() {
    let broker = broker().await;
    let mut line = Raw::connected(broker.addr().port()).await.unwrap();
    line.send(&format!("SUB {}", "a".repeat(5000))).await;
    assert_eq!(
        line.rest().await.unwrap(),
        "-ERR 'maximum control line exceeded'\r\n<closed>"
    );
    let mut payload = Raw::connected(broker.addr().port()).await.unwrap();
    payload.send("PUB a 99999999\r\n").await;
    assert_eq!(
        payload.rest().await.unwrap(),
        "-ERR 'Maximum Payload Violation'\r\n<closed>"
    );
    nobody_is_left(&broker).await;
    assert_eq!(broker.stats().closed(CloseReason::ControlLine), 1);
    assert_eq!(broker.stats().closed(CloseReason::Payload), 1);
}

#[tokio::test]
async fn there_is_a_bound_on_connections() {
    let broker = limited(|limits| limits.connections_max = 2).await;
    let port = broker.addr().port();
    let first = Raw::connected(port).await.unwrap();
    let _second = Raw::connected(port).await.unwrap();
    let mut third = Raw::open(port).await.unwrap();
    assert_eq!(
        third.rest().await.unwrap(),
        "-ERR 'maximum connections exceeded'\r\n<closed>"
    );
    drop(first);
    eventually("one is gone", || broker.stats().connections_open == 1).await;
    Raw::connected(port).await.unwrap();
    assert_eq!(broker.stats().closed(CloseReason::TooManyConnections), 1);
}

#[tokio::test]
async fn there_is_a_bound_on_subscriptions() {
    let broker = limited(|limits| limits.subscriptions_max = 2).await;
    let mut raw = Raw::connected(broker.addr().port()).await.unwrap();
    let refused = "-ERR 'maximum subscriptions exceeded'\r\n";
    let answer = raw
        .answer_to("SUB a 1\r\nSUB a 2\r\nSUB a 3\r\n")
        .await
        .unwrap();
    assert_eq!(answer, refused);
    // One that has reached its maximum counts no more.
    let answer =
        raw.answer_to("UNSUB 1 1\r\nUNSUB 2\r\nPUB a 1\r\nx\r\nSUB b 3\r\nSUB b 4\r\nSUB b 5\r\n");
    assert_eq!(
        answer.await.unwrap(),
        format!("MSG a 1 1\r\nx\r\n{refused}")
    );
    assert_eq!(broker.stats().subscriptions_refused, 2);
    assert_eq!(broker.stats().subscriptions_open, 2);
}

#[tokio::test]
async fn silent_clients_are_closed() {
    let broker = limited(|limits| limits.ping_interval = Duration::from_millis(20)).await;
    let mut silent = Raw::open(broker.addr().port()).await.unwrap();
    let said = silent.rest().await.unwrap();
    assert_eq!(said, "PING\r\nPING\r\n-ERR 'Stale Connection'\r\n<closed>");
    nobody_is_left(&broker).await;
    assert_eq!(broker.stats().closed(CloseReason::Stale), 1);
}

#[tokio::test]
async fn clients_that_answer_stay() {
    let broker = limited(|limits| {
        limits.ping_interval = Duration::from_millis(100);
        limits.pings_unanswered_max = 20;
    })
    .await;
    let mut alive = Raw::open(broker.addr().port()).await.unwrap();
    for _ in 0..30 {
        assert_eq!(alive.read_until("a ping", "\n").await.unwrap(), "PING\r\n");
        alive.send("PONG\r\n").await;
    }
    assert_eq!(broker.stats().connections_open, 1);
}

#[tokio::test]
async fn credentials_must_come_in_time() {
    let limits = nats_broker::Limits {
        connect_timeout: Duration::from_millis(20),
        ..Default::default()
    };
    let broker = Broker::builder()
        .token("t")
        .limits(limits)
        .start()
        .await
        .unwrap();
    let mut late = Raw::open(broker.addr().port()).await.unwrap();
    assert_eq!(
        late.rest().await.unwrap(),
        "-ERR 'Authentication Timeout'\r\n<closed>"
    );
    nobody_is_left(&broker).await;
    assert_eq!(broker.stats().closed(CloseReason::ConnectTimeout), 1);
}

/// A broker with little room for each client.
async fn narrow(stall: Duration, write_timeout: Duration) -> Broker {
    limited(|limits| {
        limits.payload_bytes_max = 64 << 10;
        limits.pending_bytes_max = 1 << 20;
        limits.publisher_stall_max = stall;
        limits.stuck_after = Duration::from_secs(3600);
        limits.write_timeout = write_timeout;
    })
    .await
}

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_consumer_is_closed_and_the_others_get_everything() {
    let broker = narrow(Duration::from_millis(1), LONG).await;
    let mut stuck = Raw::connected(broker.addr().port()).await.unwrap();
    assert_eq!(stuck.answer_to("SUB a 1\r\n").await.unwrap(), "");
    let reader = async_nats::connect(broker.url()).await.unwrap();
    let mut messages = reader.subscribe("a").await.unwrap();
    eventually("both subscribed", || broker.stats().subscriptions_open == 2).await;
    let publisher = async_nats::connect(broker.url()).await.unwrap();
    let mut sent = 0u64;
    let publishing = async {
        while broker.stats().closed(CloseReason::SlowConsumer) == 0 {
            publisher
                .publish("a", vec![b'x'; 60_000].into())
                .await
                .unwrap();
            sent += 1;
            messages.next().await.unwrap();
        }
    };
    tokio::time::timeout(common::PATIENCE, publishing)
        .await
        .unwrap();
    let stats = broker.stats();
    assert!(
        stats.publisher_stalls > 0,
        "the publisher was slowed down first"
    );
    assert!(stats.bytes_undelivered > 0);
    assert_eq!(stats.messages_in, sent);
    serves(&broker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn publishers_wait_for_a_consumer_that_reads() {
    let broker = narrow(LONG, LONG).await;
    let mut slow = Raw::connected(broker.addr().port()).await.unwrap();
    assert_eq!(slow.answer_to("SUB a 1\r\n").await.unwrap(), "");
    const MESSAGES: usize = 2000;
    let mut publisher = Raw::connected(broker.addr().port()).await.unwrap();
    let publishing = tokio::spawn(async move {
        let message = format!("PUB a 20000\r\n{}\r\n", "x".repeat(20_000));
        for _ in 0..MESSAGES {
            publisher.send(&message).await;
        }
        publisher.send("PUB a 4\r\nlast\r\n").await;
        publisher
    });
    eventually("the publisher is stopped", || {
        broker.stats().publisher_stalls > 0
    })
    .await;
    let read = slow
        .read_until("the last message", "last\r\n")
        .await
        .unwrap();
    assert_eq!(read.matches("MSG a 1 20000\r\n").count(), MESSAGES);
    assert_eq!(broker.stats().closed(CloseReason::SlowConsumer), 0);
    publishing.await.unwrap();
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_closed_in_time() {
    let broker = limited(|limits| limits.write_timeout = Duration::from_millis(50)).await;
    let mut stuck = Raw::connected(broker.addr().port()).await.unwrap();
    assert_eq!(stuck.answer_to("SUB a 1\r\n").await.unwrap(), "");
    let mut publisher = Raw::connected(broker.addr().port()).await.unwrap();
    // More than the sockets hold, less than the queue does.
    let message = format!("PUB a 1000000\r\n{}\r\n", "x".repeat(1_000_000));
    for _ in 0..24 {
        publisher.send(&message).await;
    }
    eventually("it is closed", || {
        broker.stats().closed(CloseReason::SlowConsumer) == 1
    })
    .await;
    assert!(broker.stats().bytes_undelivered > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_connections_come_and_go() {
    let broker = broker().await;
    let port = broker.addr().port();
    for wave in 0..10 {
        let mut open = Vec::new();
        for at in 0..100 {
            let mut raw = Raw::open(port).await.unwrap();
            let hello = format!(
                "{}SUB s.{at} 1\r\nSUB s.* q 2\r\nPUB s.{at} 1\r\n",
                common::CONNECT
            );
            raw.send(&hello).await;
            open.push(raw);
        }
        // Half of them end in the middle of a message.
        for mut raw in open.into_iter().step_by(1 + wave % 2) {
            raw.send("x\r\n").await;
        }
    }
    nobody_is_left(&broker).await;
    assert_eq!(broker.stats().connections_total, 1000);
    serves(&broker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_reordered_between_many() {
    const PUBLISHERS: usize = 8;
    const MESSAGES: usize = 4000;
    let broker = broker().await;
    let port = broker.addr().port();
    let mut subscriber = Raw::connected(port).await.unwrap();
    assert_eq!(subscriber.answer_to("SUB p.* 1\r\n").await.unwrap(), "");
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            tokio::spawn(async move {
                let mut raw = Raw::connected(port).await.unwrap();
                for message in 0..MESSAGES {
                    raw.send(&format!("PUB p.{publisher} 4\r\n{message:04}\r\n"))
                        .await;
                }
                assert_eq!(raw.answer_to("").await.unwrap(), "");
            })
        })
        .collect();
    let mut next = [0; PUBLISHERS];
    for _ in 0..PUBLISHERS * MESSAGES {
        let head = subscriber.read_until("a message", "\r\n").await.unwrap();
        let body = subscriber.read_until("its body", "\r\n").await.unwrap();
        let publisher: usize = head["MSG p.".len()..][..1].parse().unwrap();
        assert_eq!(body, format!("{:04}\r\n", next[publisher]));
        next[publisher] += 1;
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
    assert_eq!(next, [MESSAGES; PUBLISHERS]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_maximum_is_exact_among_many_publishers() {
    let broker = broker().await;
    let port = broker.addr().port();
    let mut subscriber = Raw::connected(port).await.unwrap();
    assert_eq!(
        subscriber
            .answer_to("SUB a 1\r\nUNSUB 1 500\r\n")
            .await
            .unwrap(),
        ""
    );
    let publishers: Vec<_> = (0..4)
        .map(|_| {
            tokio::spawn(async move {
                let mut raw = Raw::connected(port).await.unwrap();
                let answer = raw.answer_to(&"PUB a 1\r\nx\r\n".repeat(300)).await;
                assert_eq!(answer.unwrap(), "");
            })
        })
        .collect();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    let received = subscriber.answer_to("").await.unwrap();
    assert_eq!(received, "MSG a 1 1\r\nx\r\n".repeat(500));
    assert_eq!(broker.stats().subscriptions_open, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_floods_can_be_closed() {
    let broker = broker().await;
    let mut raw = Raw::connected(broker.addr().port()).await.unwrap();
    let flood = "PUB a 1\r\nx\r\n".repeat(10_000);
    let flooding = async { while raw.try_send(&flood).await.is_ok() {} };
    let closing = async {
        eventually("it floods", || broker.stats().messages_in > 0).await;
        broker.drop_connections();
    };
    let both = async { tokio::join!(flooding, closing) };
    tokio::time::timeout(common::PATIENCE, both).await.unwrap();
    nobody_is_left(&broker).await;
    assert_eq!(broker.stats().closed(CloseReason::Dropped), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_shutdown_ends_amid_new_connections_and_messages() {
    for _ in 0..20 {
        let broker = broker().await;
        let address = broker.addr();
        let port = address.port();
        let clients: Vec<_> = (0..8)
            .map(|_| {
                tokio::spawn(async move {
                    while let Ok(mut raw) = Raw::open(port).await {
                        raw.send("SUB a 1\r\nPUB a 1\r\nx\r\n").await;
                    }
                })
            })
            .collect();
        eventually("they come", || broker.stats().messages_in > 10).await;
        tokio::time::timeout(common::PATIENCE, broker.shutdown())
            .await
            .unwrap();
        again_on(address).await;
        for client in clients {
            client.abort();
        }
    }
}
