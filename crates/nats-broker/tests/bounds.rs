//! What one client costs the others has a bound.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::{Raw, broker, eventually, limited};
use nats_broker::CloseReason;

const LONG: Duration = Duration::from_secs(3600);

async fn subscribed(port: u16, count: usize) -> Raw {
    let mut raw = Raw::connected(port).await.unwrap();
    let lines: String = (0..count).map(|sid| format!("SUB x {sid}\r\n")).collect();
    assert_eq!(raw.answer_to(&lines).await.unwrap(), "");
    raw
}

/// On one thread: between two looks at the counter, the others had one turn each.
#[tokio::test]
async fn a_burst_to_many_leaves_others_their_turn() {
    const SUBSCRIPTIONS: usize = 100;
    const MESSAGES: usize = 12_000;
    let broker = broker().await;
    let port = broker.addr().port();
    let _subscriber = subscribed(port, SUBSCRIPTIONS).await;
    let mut publisher = Raw::connected(port).await.unwrap();
    let watching = async {
        let (mut seen, mut most) = (0, 0);
        while seen < (SUBSCRIPTIONS * MESSAGES) as u64 {
            tokio::task::yield_now().await;
            let now = broker.stats().messages_out;
            most = most.max(now - seen);
            seen = now;
        }
        most
    };
    let burst = "PUB x 0\r\n\r\n".repeat(MESSAGES);
    let ((), most) = tokio::join!(publisher.send(&burst), watching);
    assert!(most < 50_000, "{most} deliveries in one turn");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_reads_is_not_closed_for_a_burst() {
    const SUBSCRIPTIONS: usize = 200;
    const MESSAGES: usize = 5000;
    let broker = limited(|limits| {
        limits.payload_bytes_max = 64 << 10;
        limits.pending_bytes_max = 1 << 20;
        limits.publisher_stall_max = LONG;
        limits.stuck_after = LONG;
    })
    .await;
    let port = broker.addr().port();
    let mut subscriber = subscribed(port, SUBSCRIPTIONS).await;
    let mut publisher = Raw::connected(port).await.unwrap();
    let burst = "PUB x 0\r\n\r\n".repeat(MESSAGES) + "PUB x 4\r\nlast\r\n";
    let sending = tokio::spawn(async move {
        publisher.send(&burst).await;
        publisher
    });
    let last = format!("MSG x {} 4\r\nlast\r\n", SUBSCRIPTIONS - 1);
    let received = subscriber.read_until("all of it", &last).await.unwrap();
    assert_eq!(
        received.matches("MSG x ").count(),
        SUBSCRIPTIONS * (MESSAGES + 1)
    );
    assert_eq!(broker.stats().closed(CloseReason::SlowConsumer), 0);
    sending.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_waits_for_all_has_a_bound() {
    let broker = limited(|limits| {
        limits.payload_bytes_max = 64 << 10;
        limits.pending_bytes_max = 16 << 20;
        limits.pending_bytes_total_max = 16 << 20;
        limits.publisher_stall_max = Duration::from_millis(1);
        limits.write_timeout = LONG;
    })
    .await;
    let port = broker.addr().port();
    let mut stuck = Vec::new();
    for _ in 0..8 {
        stuck.push(subscribed(port, 1).await);
    }
    let mut reader = subscribed(port, 1).await;
    let mut publisher = Raw::connected(port).await.unwrap();
    let message = format!("PUB x 60000\r\n{}\r\n", "x".repeat(60_000));
    // Until most of those who do not read are gone: less than half of what each of them may have has come for it.
    let publishing = async {
        while broker.stats().closed(CloseReason::PendingTotal) < 5 {
            publisher.send(&message).await;
            reader.read_until("it", "x\r\n").await.unwrap();
        }
    };
    tokio::time::timeout(common::PATIENCE, publishing)
        .await
        .unwrap();
    eventually("they are gone", || {
        broker.stats().connections_open < 8 + 2 - 4
    })
    .await;
    let stats = broker.stats();
    assert_eq!(stats.closed(CloseReason::SlowConsumer), 0);
    assert!(stats.bytes_undelivered > 0);
    assert_eq!(reader.answer_to("").await.unwrap(), "");
}
