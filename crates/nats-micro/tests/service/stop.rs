//! Stopping. spec: nats-micro 8, checklist 7

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::RequestErrorKind;
use nats_micro::{Endpoint, Request, ServiceError, StopReason};

use crate::support::{
    LoadOf, PATIENCE, TestBroker, ask, demo, echo, gated, on_both_brokers, until,
};

on_both_brokers! {
    two_hundred_restarts_lose_nothing
    leaving_under_a_light_load_loses_nothing
    leaving_in_bursts_loses_nothing
    what_runs_and_waits_is_answered
    past_the_deadline_callers_are_told
    control_requests_are_answered_while_draining
    stopping_twice_is_stopping_once
    an_error_can_be_the_reason
    dropping_the_handle_stops_everything
    a_closed_connection_is_fine
    handlers_know_that_the_service_stops
}

/// The figure to show: the reference lost 81 requests in 40 leaves, `async_nats::service` 63.
async fn two_hundred_restarts_lose_nothing(broker: &mut TestBroker) {
    let steady = demo()
        .endpoint(echo("echo"))
        .start(&broker.connect().await)
        .await
        .unwrap();
    let client = broker.connect().await;
    let load = LoadOf::start(broker, "echo", 64).await;
    let mut handled = 0;
    for _ in 0..200 {
        let before = load.answered();
        let service = demo().endpoint(echo("echo")).start(&client).await.unwrap();
        until("requests go on", || load.answered() > before + 200).await;
        service.stop().await;
        handled += service.stats().endpoints[0].num_requests;
    }
    let (answered, lost) = load.end().await;
    assert!(
        lost.is_empty(),
        "{} of {answered} lost: {lost:?}",
        lost.len()
    );
    assert!(
        handled > 200,
        "the restarted service had its share: {handled}"
    );
    // The last one is counted a moment after its caller has the reply.
    until("statistics are right", || {
        handled + steady.stats().endpoints[0].num_requests == answered as u64
    })
    .await;
}

/// Where the maximum is never reached, and a quiet moment has to do.
async fn leaving_under_a_light_load_loses_nothing(broker: &mut TestBroker) {
    let slow = || {
        Endpoint::new("slow", |_: Request| async {
            tokio::time::sleep(Duration::from_millis(2)).await;
            "done"
        })
    };
    let _steady = demo()
        .endpoint(slow())
        .start(&broker.connect().await)
        .await
        .unwrap();
    let client = broker.connect().await;
    let load = LoadOf::start(broker, "slow", 2).await;
    for _ in 0..30 {
        let service = demo().endpoint(slow()).start(&client).await.unwrap();
        until("it has its share", || {
            service.stats().endpoints[0].num_requests > 1
        })
        .await;
        service.stop().await;
    }
    let (answered, lost) = load.end().await;
    assert!(
        lost.is_empty(),
        "{} of {answered} lost: {lost:?}",
        lost.len()
    );
}

/// Far more on its way than usual: the callers' share of a queue that moves in bursts.
async fn leaving_in_bursts_loses_nothing(broker: &mut TestBroker) {
    let steady = demo()
        .endpoint(echo("echo"))
        .start(&broker.connect().await)
        .await
        .unwrap();
    let client = broker.connect().await;
    let load = LoadOf::start(broker, "echo", 2000).await;
    for _ in 0..10 {
        let before = load.answered();
        let service = demo().endpoint(echo("echo")).start(&client).await.unwrap();
        until("requests go on", || load.answered() > before + 4000).await;
        service.stop().await;
    }
    let (answered, lost) = load.end().await;
    assert!(
        lost.is_empty(),
        "{} of {answered} lost: {lost:?}",
        lost.len()
    );
    steady.stop().await;
}

async fn what_runs_and_waits_is_answered(broker: &mut TestBroker) {
    let caller = broker.connect().await;
    let client = broker.connect().await;
    let (endpoint, gate) = gated("gated");
    let service = demo()
        .endpoint(endpoint.concurrency(1))
        .start(&client)
        .await
        .unwrap();
    let mut asked = Vec::new();
    for _ in 0..3 {
        asked.push(ask(&caller, "gated", "x").await);
    }
    gate.wait_until_begun(1).await;
    until("two wait", || service.snapshots()[0].queued == 2).await;
    let stopping = tokio::spawn({
        let service = service.clone();
        async move { service.stop().await }
    });
    until("it stops", || service.is_stopping()).await;
    gate.open();
    for mut replies in asked {
        assert_eq!(replies.next().await.payload, "x");
    }
    stopping.await.unwrap();
    let gone = caller.request("gated", "".into()).await.unwrap_err();
    assert_eq!(gone.kind(), RequestErrorKind::NoResponders);
    let gone = caller
        .request("$SRV.PING.demo", "".into())
        .await
        .unwrap_err();
    assert_eq!(gone.kind(), RequestErrorKind::NoResponders);
    // The connection is still good.
    let again = demo().endpoint(echo("again")).start(&client).await.unwrap();
    caller.request("again", "".into()).await.unwrap();
    again.stop().await;
}

async fn past_the_deadline_callers_are_told(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let (inline, inline_gate) = gated("inline");
    let (spawned, spawned_gate) = gated("spawned");
    let service = demo()
        .stop_timeout(Duration::from_millis(50))
        .endpoint(inline.concurrency(1))
        .endpoint(spawned.spawn())
        .start(&client)
        .await
        .unwrap();
    let mut asked = vec![ask(&client, "inline", "runs").await];
    inline_gate.wait_until_begun(1).await;
    asked.push(ask(&client, "inline", "waits").await);
    asked.push(ask(&client, "spawned", "runs").await);
    spawned_gate.wait_until_begun(1).await;
    until("one waits", || service.snapshots()[0].queued == 1).await;
    service.stop().await;
    for mut replies in asked {
        let reply = replies.next().await;
        let error = ServiceError::from_reply(&reply).unwrap();
        assert_eq!(error.to_string(), "503:Service Unavailable");
    }
    let stats = service.stats();
    let counts: Vec<_> = stats
        .endpoints
        .iter()
        .map(|e| (e.num_requests, e.num_errors))
        .collect();
    assert_eq!(counts, [(2, 2), (1, 1)]);
    let snapshots = service.snapshots();
    assert!(
        snapshots.iter().all(|s| s.in_flight == 0 && s.queued == 0),
        "{snapshots:?}"
    );
}

async fn control_requests_are_answered_while_draining(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let (endpoint, gate) = gated("gated");
    let service = demo().endpoint(endpoint).start(&client).await.unwrap();
    let mut running = ask(&client, "gated", "x").await;
    gate.wait_until_begun(1).await;
    let stopped = service.stopped();
    let stop = tokio::spawn(async move { service.stop().await });
    // STATS shows the endpoint until all is done.
    let stats = client.request("$SRV.STATS.demo", "".into()).await.unwrap();
    assert!(String::from_utf8_lossy(&stats.payload).contains("gated"));
    gate.open();
    running.next().await;
    stop.await.unwrap();
    assert!(stopped.await.is_requested());
}

async fn stopping_twice_is_stopping_once(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let service = demo().endpoint(echo("echo")).start(&client).await.unwrap();
    let told = Arc::new(AtomicBool::new(false));
    let callback = Arc::clone(&told);
    service.on_stopped(move |reason| {
        callback.store(reason.is_requested(), Ordering::SeqCst);
    });
    let (one, two) = tokio::join!(service.stop(), service.stop());
    assert!(Arc::ptr_eq(&one, &two));
    service.stop().await;
    until("the callback ran", || told.load(Ordering::SeqCst)).await;
}

async fn an_error_can_be_the_reason(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let service = demo().start(&client).await.unwrap();
    let reason = service.stop_with("the disk is full").await;
    assert_eq!(
        reason.to_string(),
        "the service was stopped: the disk is full"
    );
    assert!(matches!(&*service.stop().await, StopReason::Error(_)));
}

async fn dropping_the_handle_stops_everything(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let service = demo().endpoint(echo("echo")).start(&client).await.unwrap();
    let clone = service.clone();
    let stopped = service.stopped();
    drop(service);
    client.request("echo", "".into()).await.unwrap();
    drop(clone);
    assert!(stopped.await.is_requested());
    for subject in ["echo", "$SRV.PING.demo"] {
        let error = client.request(subject, "".into()).await.unwrap_err();
        assert_eq!(error.kind(), RequestErrorKind::NoResponders, "{subject}");
    }
}

async fn a_closed_connection_is_fine(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let service = demo().endpoint(echo("echo")).start(&client).await.unwrap();
    client.drain().await.unwrap();
    let reason = tokio::time::timeout(PATIENCE, service.stopped())
        .await
        .unwrap();
    assert!(matches!(&*reason, StopReason::ConnectionClosed), "{reason}");
    service.stop().await;
    let late = demo().start(&client).await;
    assert!(late.is_err(), "a closed connection cannot carry a service");
}

async fn handlers_know_that_the_service_stops(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let endpoint = Endpoint::new("patient", |request: Request| async move {
        request.stopping().await;
        "stopping"
    });
    let service = demo().endpoint(endpoint).start(&client).await.unwrap();
    let mut replies = ask(&client, "patient", "").await;
    until("it runs", || service.snapshots()[0].in_flight == 1).await;
    service.stop().await;
    assert_eq!(replies.next().await.payload, "stopping");
}
