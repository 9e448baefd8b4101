//! Concurrency and pending limits. spec: nats-micro 9, checklist 8

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nats_micro::{Endpoint, Overflow, PendingLimits, Request, ServiceError, StopReason};

use crate::support::{TestBroker, ask, counted, demo, echo, gated, on_both_brokers, until};

on_both_brokers! {
    no_more_than_the_limit_run_together
    one_at_a_time_keeps_the_order
    what_goes_beyond_is_refused_at_once
    bytes_are_limited_too
    an_overflow_can_stop_the_service
}

async fn no_more_than_the_limit_run_together(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (inside, peak) = (Arc::clone(&running), Arc::clone(&most));
    let endpoint = Endpoint::new("e", move |_: Request| {
        let (inside, peak) = (Arc::clone(&inside), Arc::clone(&peak));
        async move {
            let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
            peak.fetch_max(now, Ordering::SeqCst);
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            inside.fetch_sub(1, Ordering::SeqCst);
        }
    });
    let service = demo()
        .endpoint(endpoint.concurrency(3))
        .start(&client)
        .await
        .unwrap();
    for _ in 0..100 {
        client.publish("e", "".into()).await.unwrap();
    }
    until("all handled", || {
        service.stats().endpoints[0].num_requests == 100
    })
    .await;
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert!(service.snapshots()[0].queue_time > std::time::Duration::ZERO);
}

async fn one_at_a_time_keeps_the_order(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let serial = Endpoint::new("serial", |request: Request| async move {
        // The earlier, the longer: only an order of execution brings them back in order.
        let number: usize = String::from_utf8_lossy(request.payload()).parse().unwrap();
        for _ in number..50 {
            tokio::task::yield_now().await;
        }
        request.payload().clone()
    });
    let _service = demo()
        .endpoint(serial.concurrency(1))
        .start(&client)
        .await
        .unwrap();
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(inbox.clone()).await.unwrap();
    for number in 0..50 {
        let payload = number.to_string().into();
        client
            .publish_with_reply("serial", inbox.clone(), payload)
            .await
            .unwrap();
    }
    for number in 0..50 {
        let reply = futures_util::StreamExt::next(&mut replies).await.unwrap();
        assert_eq!(reply.payload, number.to_string());
    }
}

async fn what_goes_beyond_is_refused_at_once(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let (endpoint, gate) = gated("gated");
    let limits = PendingLimits {
        messages: 2,
        ..PendingLimits::default()
    };
    let service = demo()
        .endpoint(endpoint.concurrency(1).pending_limits(limits))
        .endpoint(echo("other"))
        .start(&client)
        .await
        .unwrap();
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(ask(&client, "gated", "taken").await);
    }
    gate.wait_until_begun(1).await;
    until("two wait", || service.snapshots()[0].queued == 2).await;
    for _ in 0..50 {
        let refused = client.request("gated", "refused".into()).await.unwrap();
        let error = ServiceError::from_reply(&refused).unwrap();
        assert_eq!(error.to_string(), "503:Service Unavailable");
    }
    assert_eq!(service.snapshots()[0].rejected, 50);
    client.request("other", "".into()).await.unwrap();
    gate.open();
    for mut replies in taken {
        assert_eq!(replies.next().await.payload, "taken");
    }
    // With the one of the other endpoint.
    counted(&service, 4).await;
    let stats = service.stats().endpoints.remove(0);
    assert_eq!(
        (stats.num_requests, stats.num_errors),
        (3, 0),
        "refusals are counted apart"
    );
}

async fn bytes_are_limited_too(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let (endpoint, gate) = gated("gated");
    let limits = PendingLimits {
        bytes: 1000,
        ..PendingLimits::default()
    };
    let service = demo()
        .concurrency(1)
        .pending_limits(limits)
        .endpoint(endpoint)
        .start(&client)
        .await
        .unwrap();
    let _running = ask(&client, "gated", "").await;
    gate.wait_until_begun(1).await;
    let large = client
        .request("gated", vec![b'x'; 1001].into())
        .await
        .unwrap();
    assert_eq!(ServiceError::from_reply(&large).unwrap().code(), Some(503));
    let _small = ask(&client, "gated", "fits").await;
    until("it waits", || service.snapshots()[0].queued == 1).await;
    gate.open();
}

async fn an_overflow_can_stop_the_service(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let (endpoint, gate) = gated("gated");
    let limits = PendingLimits {
        messages: 0,
        ..PendingLimits::default()
    };
    let endpoint = endpoint
        .concurrency(1)
        .pending_limits(limits)
        .overflow(Overflow::StopService);
    let service = demo().endpoint(endpoint).start(&client).await.unwrap();
    let mut running = ask(&client, "gated", "x").await;
    gate.wait_until_begun(1).await;
    let refused = client.request("gated", "".into()).await.unwrap();
    assert_eq!(
        ServiceError::from_reply(&refused).unwrap().code(),
        Some(503)
    );
    gate.open();
    assert_eq!(running.next().await.payload, "x");
    let reason = service.stopped().await;
    assert!(
        matches!(&*reason, StopReason::Overflow(name) if name == "gated"),
        "{reason}"
    );
}
