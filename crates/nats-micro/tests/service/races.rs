//! Changes that meet a stop, or each other. spec: nats-micro 2.4, 8

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::RequestErrorKind;
use nats_micro::document::{Document, Info};
use nats_micro::{AddError, ConfigError, Endpoint, Group, MAX_CONCURRENCY, Request};

use crate::support::{
    LoadOf, PATIENCE, TestBroker, ask, demo, echo, gated, on_both_brokers, until,
};

on_both_brokers! {
    info_never_shows_what_was_before
    what_meets_a_stop_is_served_or_refused
    an_aborted_start_loses_nothing
    an_aborted_addition_is_taken_out
    a_stop_waits_for_endpoints_that_leave
    an_endpoint_on_everything_sees_requests_only
    callbacks_come_before_the_stop_returns
    impossible_numbers_are_refused_or_cut
}

async fn info_never_shows_what_was_before(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let service = demo().start(&client).await.unwrap();
    let asking = tokio::spawn({
        let client = client.clone();
        async move {
            loop {
                client.request("$SRV.INFO.demo", "".into()).await.unwrap();
            }
        }
    });
    for round in 0..30 {
        let added = service
            .add_endpoint(echo(&format!("e-{round}")))
            .await
            .unwrap();
        if round % 3 == 0 {
            service.remove_endpoint(added).await;
        }
        let reply = client.request("$SRV.INFO.demo", "".into()).await.unwrap();
        assert_eq!(
            Info::parse(&reply.payload).unwrap(),
            service.info(),
            "round {round}"
        );
    }
    asking.abort();
}

async fn what_meets_a_stop_is_served_or_refused(broker: &mut TestBroker) {
    let _steady = demo()
        .endpoint(echo("echo"))
        .start(&broker.connect().await)
        .await
        .unwrap();
    let client = broker.connect().await;
    let load = LoadOf::start(broker, "echo", 32).await;
    for _ in 0..20 {
        let before = load.answered();
        let service = demo().start(&client).await.unwrap();
        let adding = tokio::spawn({
            let service = service.clone();
            async move { service.add_endpoint(echo("echo")).await }
        });
        tokio::task::yield_now().await;
        service.stop().await;
        match adding.await.unwrap() {
            Ok(_) | Err(AddError::Stopping) => {}
            Err(other) => panic!("{other}"),
        }
        until("requests go on", || load.answered() > before + 50).await;
    }
    let (answered, lost) = load.end().await;
    assert!(
        lost.is_empty(),
        "{} of {answered} lost: {lost:?}",
        lost.len()
    );
}

async fn an_aborted_start_loses_nothing(broker: &mut TestBroker) {
    let _steady = demo()
        .endpoint(echo("echo"))
        .start(&broker.connect().await)
        .await
        .unwrap();
    let client = broker.connect().await;
    let load = LoadOf::start(broker, "echo", 32).await;
    for round in 0..20 {
        let before = load.answered();
        let builder = demo().endpoint(echo("echo"));
        let starting = builder.start(&client);
        // Somewhere between its first and its last step.
        let _ = tokio::time::timeout(Duration::from_micros(50 * round), starting).await;
        until("requests go on", || load.answered() > before + 50).await;
    }
    let (answered, lost) = load.end().await;
    assert!(
        lost.is_empty(),
        "{} of {answered} lost: {lost:?}",
        lost.len()
    );
}

async fn an_aborted_addition_is_taken_out(broker: &mut TestBroker) {
    let _steady = demo()
        .endpoint(echo("echo"))
        .start(&broker.connect().await)
        .await
        .unwrap();
    let service = demo().start(&broker.connect().await).await.unwrap();
    let load = LoadOf::start(broker, "echo", 32).await;
    let mut aborted = 0;
    for round in 0..20 {
        let before = load.answered();
        let group = Group::new("")
            .endpoint(echo("echo"))
            .endpoint(echo("other"));
        let adding = service.add_group(group);
        match tokio::time::timeout(Duration::from_micros(50 * round), adding).await {
            Ok(added) => {
                for endpoint in added.unwrap() {
                    assert!(service.remove_endpoint(endpoint).await);
                }
            }
            Err(_) => aborted += 1,
        }
        assert!(service.info().endpoints.is_empty(), "all or nothing");
        until("requests go on", || load.answered() > before + 50).await;
    }
    assert!(aborted > 0, "the first has no time at all");
    let (answered, lost) = load.end().await;
    assert!(
        lost.is_empty(),
        "{} of {answered} lost: {lost:?}",
        lost.len()
    );
}

async fn a_stop_waits_for_endpoints_that_leave(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let (endpoint, gate) = gated("gated");
    let service = demo().start(&client).await.unwrap();
    let added = service.add_endpoint(endpoint).await.unwrap();
    let mut running = ask(&client, "gated", "x").await;
    gate.wait_until_begun(1).await;
    let removing = tokio::spawn({
        let service = service.clone();
        async move { service.remove_endpoint(added).await }
    });
    until("it leaves", || service.info().endpoints.is_empty()).await;
    let ended = Arc::new(AtomicUsize::new(0));
    let stopping = tokio::spawn({
        let (service, ended) = (service.clone(), Arc::clone(&ended));
        async move {
            service.stop().await;
            ended.fetch_add(1, Ordering::SeqCst);
        }
    });
    until("it stops", || service.is_stopping()).await;
    // The control subjects go last: as long as they answer, the stop waits.
    client.request("$SRV.PING.demo", "".into()).await.unwrap();
    assert_eq!(ended.load(Ordering::SeqCst), 0);
    gate.open();
    assert_eq!(running.next().await.payload, "x");
    stopping.await.unwrap();
    assert!(removing.await.unwrap());
}

async fn an_endpoint_on_everything_sees_requests_only(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let inside = Arc::clone(&seen);
    let everything = Endpoint::new("everything", move |request: Request| {
        inside.lock().unwrap().push(request.subject().to_owned());
        async {}
    });
    let service = demo()
        .endpoint(everything.subject(">"))
        .start(&client)
        .await
        .unwrap();
    let other = demo().endpoint(echo("own")).start(&client).await.unwrap();
    client.publish("anything", "".into()).await.unwrap();
    until("it came", || {
        seen.lock().unwrap().iter().any(|s| s == "anything")
    })
    .await;
    other.stop().await;
    service.stop().await;
    let seen = seen.lock().unwrap();
    assert!(
        seen.iter().all(|subject| !subject.contains("fence")),
        "{seen:?}"
    );
}

async fn callbacks_come_before_the_stop_returns(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let service = demo().start(&client).await.unwrap();
    let told = Arc::new(AtomicUsize::new(0));
    let count = |told: &Arc<AtomicUsize>| {
        let told = Arc::clone(told);
        move |_: &nats_micro::StopReason| {
            told.fetch_add(1, Ordering::SeqCst);
        }
    };
    service.on_stopped(|_| panic!("wanted by the test"));
    service.on_stopped(count(&told));
    service.stop().await;
    assert_eq!(told.load(Ordering::SeqCst), 1);
    service.on_stopped(count(&told));
    assert_eq!(
        told.load(Ordering::SeqCst),
        2,
        "at once, since it has stopped"
    );
}

async fn impossible_numbers_are_refused_or_cut(broker: &mut TestBroker) {
    for concurrency in [0, MAX_CONCURRENCY + 1, usize::MAX] {
        let error = demo()
            .endpoint(echo("e").concurrency(concurrency))
            .check()
            .unwrap_err();
        assert!(matches!(error, ConfigError::Concurrency { actual, .. } if actual == concurrency));
    }
    let client = broker.connect().await;
    let largest = demo().endpoint(echo("e").concurrency(MAX_CONCURRENCY));
    let service = largest
        .stop_timeout(Duration::MAX)
        .start(&client)
        .await
        .unwrap();
    client.request("e", "".into()).await.unwrap();
    tokio::time::timeout(PATIENCE, service.stop())
        .await
        .unwrap();
    let gone = client.request("e", "".into()).await.unwrap_err();
    assert_eq!(gone.kind(), RequestErrorKind::NoResponders);
}
