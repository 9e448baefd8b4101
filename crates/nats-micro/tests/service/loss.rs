//! The broker goes away and comes back, under load. spec: nats-micro 8, 9

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nats_broker::{Broker, StartError};
use nats_micro::{Endpoint, Request};

use crate::support::{TestBroker, demo, echo, on_both_brokers, until};

on_both_brokers! {
    the_service_comes_back_and_nobody_hangs
    stopping_without_a_broker_ends
}

impl TestBroker {
    /// Kills the broker and starts it again on the same port.
    async fn lose(&mut self) {
        match self {
            Self::Real(server) => {
                server.kill().await.unwrap();
                server.restart().await.unwrap();
            }
            Self::Embedded(broker) => {
                let address = broker.addr();
                // A broker cannot be moved out of a reference; one that nobody uses takes its place.
                let old = std::mem::replace(broker, Broker::builder().start().await.unwrap());
                old.shutdown().await;
                *broker = again_on(address).await;
            }
        }
    }
}

/// As soon as the port is free: a process that another test is just starting has a copy of every open socket until it runs
/// its own program.
async fn again_on(address: SocketAddr) -> Broker {
    loop {
        match Broker::builder().listen(address).start().await {
            Ok(broker) => return broker,
            Err(StartError::Listen { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

async fn the_service_comes_back_and_nobody_hangs(broker: &mut TestBroker) {
    let handled = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&handled);
    let endpoint = Endpoint::new("echo", move |request: Request| {
        counting.fetch_add(1, Ordering::SeqCst);
        async move { request.payload().clone() }
    });
    let service = demo()
        .endpoint(endpoint)
        .start(&broker.connect().await)
        .await
        .unwrap();
    let options = async_nats::ConnectOptions::new().request_timeout(Some(Duration::from_secs(2)));
    let caller = options.connect(broker.url()).await.unwrap();
    let (answered, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let callers: Vec<_> = (0..32)
        .map(|_| {
            let caller = caller.clone();
            let (answered, failed, over) = (
                Arc::clone(&answered),
                Arc::clone(&failed),
                Arc::clone(&over),
            );
            tokio::spawn(async move {
                while !over.load(Ordering::SeqCst) {
                    let counter = match caller.request("echo", "x".into()).await {
                        Ok(_) => &answered,
                        Err(_) => &failed,
                    };
                    counter.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for _ in 0..3 {
        let before = answered.load(Ordering::SeqCst);
        until("requests are answered", || {
            answered.load(Ordering::SeqCst) > before + 500
        })
        .await;
        broker.lose().await;
    }
    let before = answered.load(Ordering::SeqCst);
    until("requests are answered again", || {
        answered.load(Ordering::SeqCst) > before + 500
    })
    .await;
    over.store(true, Ordering::SeqCst);
    for caller in callers {
        // None hangs: each request ends with a reply or an error.
        caller.await.unwrap();
    }
    let stats = || service.stats().endpoints.remove(0);
    until("all that was handled is counted", || {
        stats().num_requests == handled.load(Ordering::SeqCst) as u64
    })
    .await;
    assert!(stats().num_requests >= answered.load(Ordering::SeqCst) as u64);
    until("none runs", || service.snapshots()[0].in_flight == 0).await;
    service.stop().await;
}

async fn stopping_without_a_broker_ends(broker: &mut TestBroker) {
    let client = broker.connect().await;
    let service = demo().endpoint(echo("echo")).start(&client).await.unwrap();
    match broker {
        TestBroker::Real(server) => server.kill().await.unwrap(),
        TestBroker::Embedded(_) => {
            *broker = TestBroker::embedded().await;
        }
    }
    until("the loss is noticed", || {
        client.connection_state() != async_nats::connection::State::Connected
    })
    .await;
    assert!(service.stop().await.is_requested());
}
