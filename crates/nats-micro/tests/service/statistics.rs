//! What is counted. spec: nats-micro 6, 7, checklist 6

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use nats_micro::{Endpoint, Request, ServiceError};
use serde_json::json;

use crate::support::{TestBroker, demo, echo, gated, on_both_brokers, until};

on_both_brokers! {
    each_request_counts_once_when_it_ends
    overlapping_requests_add_their_own_times
    a_reset_begins_a_new_period
    the_statistics_handler_fills_data
}

async fn each_request_counts_once_when_it_ends(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let endpoint = Endpoint::new("all", |request: Request| async move {
        match &request.payload()[..] {
            b"error" => Err(ServiceError::new(404, "not found")),
            b"said" => {
                request.respond_error(409, "conflict", "").await?;
                request.respond_error(410, "gone", "").await?;
                Ok(())
            }
            b"panic" => panic!("wanted by the test"),
            b"twice" => {
                request.respond("1").await?;
                request.respond("2").await?;
                Ok(())
            }
            _ => Ok(()),
        }
    });
    let service = demo().endpoint(endpoint).start(&client).await.unwrap();
    let counts = || {
        let endpoint = service.stats().endpoints.remove(0);
        (
            endpoint.num_requests,
            endpoint.num_errors,
            endpoint.last_error,
        )
    };
    assert_eq!(counts(), (0, 0, String::new()));
    for (payload, requests, errors, last_error) in [
        ("silence", 1, 0, ""),
        ("twice", 2, 0, ""),
        ("error", 3, 1, "404:not found"),
        ("said", 4, 2, "410:gone"),
        ("panic", 5, 3, "the handler panicked: wanted by the test"),
        ("silence", 6, 3, "the handler panicked: wanted by the test"),
    ] {
        // Without a reply subject, so that silence needs no special case.
        client.publish("all", payload.into()).await.unwrap();
        until("counted", || counts().0 == requests).await;
        let (_, counted, last) = counts();
        assert_eq!(counted, errors, "{payload}");
        assert!(
            last.contains(last_error) && last.is_empty() == last_error.is_empty(),
            "{last}"
        );
    }
    let stats = service.stats().endpoints.remove(0);
    assert!(stats.processing_time > 0);
    assert_eq!(
        stats.average_processing_time,
        stats.processing_time / stats.num_requests
    );
}

async fn overlapping_requests_add_their_own_times(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let (endpoint, gate) = gated("gated");
    let service = demo().endpoint(endpoint).start(&client).await.unwrap();
    for _ in 0..10 {
        client.publish("gated", "".into()).await.unwrap();
    }
    gate.wait_until_begun(10).await;
    until("all run", || service.snapshots()[0].in_flight == 10).await;
    assert_eq!(
        service.stats().endpoints[0].num_requests,
        0,
        "counted when they end"
    );
    let before = std::time::Instant::now();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let waited = u64::try_from(before.elapsed().as_nanos()).unwrap();
    gate.open();
    until("all ended", || {
        service.stats().endpoints[0].num_requests == 10
    })
    .await;
    let stats = service.stats().endpoints.remove(0);
    assert!(stats.processing_time >= 10 * waited, "{stats:?}");
    assert!(stats.average_processing_time >= waited, "{stats:?}");
    until("none runs", || service.snapshots()[0].in_flight == 0).await;
}

async fn a_reset_begins_a_new_period(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let (endpoint, gate) = gated("gated");
    let now = Arc::new(AtomicI64::new(0));
    let clock = Arc::clone(&now);
    let service = demo()
        .clock(move || Timestamp::from_second(clock.load(Ordering::SeqCst)).unwrap())
        .endpoint(endpoint)
        .endpoint(echo("echo"))
        .start(&client)
        .await
        .unwrap();
    assert_eq!(service.stats().started, "1970-01-01T00:00:00.000000Z");
    client.request("echo", "".into()).await.unwrap();
    client.publish("gated", "".into()).await.unwrap();
    gate.wait_until_begun(1).await;
    until("counted", || service.stats().endpoints[1].num_requests == 1).await;
    now.store(60, Ordering::SeqCst);
    service.reset();
    let stats = service.stats();
    assert_eq!(stats.started, "1970-01-01T00:01:00.000000Z");
    assert_eq!(
        (
            stats.endpoints[1].num_requests,
            stats.endpoints[1].processing_time
        ),
        (0, 0)
    );
    assert_eq!(stats.endpoints[0].queue_group, "q");
    gate.open();
    until("counted in the new period", || {
        service.stats().endpoints[0].num_requests == 1
    })
    .await;
    assert!(service.stats().endpoints[0].average_processing_time > 0);
}

async fn the_statistics_handler_fills_data(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let service = demo()
        .endpoint(echo("good"))
        .endpoint(echo("none"))
        .endpoint(echo("bad"))
        .stats_handler(|endpoint| match endpoint.info.name.as_str() {
            "good" => json!({"rejected": endpoint.rejected}),
            "none" => serde_json::Value::Null,
            _ => panic!("wanted by the test"),
        })
        .start(&client)
        .await
        .unwrap();
    let data: Vec<_> = service
        .stats()
        .endpoints
        .into_iter()
        .map(|e| e.data)
        .collect();
    assert_eq!(data, [json!({"rejected": 0}), json!({}), json!({})]);
    // The task that answers goes on.
    client.request("$SRV.STATS.demo", "".into()).await.unwrap();
    client.request("$SRV.PING.demo", "".into()).await.unwrap();
}
