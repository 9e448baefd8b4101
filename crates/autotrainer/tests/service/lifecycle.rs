//! Starting and stopping. spec: autotrainer 10

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use autotrainer_api::zmq::ZmqErrorKind;
use autotrainer_api::{
    CommandRequest, CommandResponse, Event, PublishError, Service, StartError, Topic, UnixTime,
};
use bytes::Bytes;
use serde_json::json;

use crate::clients::{Client, Subscriber, builder, command_address, event_address, started};

fn event() -> Event {
    Event::numbered(202, UnixTime(1.0), 1)
}

#[tokio::test]
async fn publishing_needs_a_service_that_runs() {
    let service = builder().build();
    let publisher = service.publisher();
    let early = publisher.send_event(&event()).await;
    assert!(matches!(early, Err(PublishError::NotStarted)));
    service.start().await.unwrap();
    publisher.send_event(&event()).await.unwrap();
    service.stop().await;
    let late = publisher.send_event(&event()).await;
    assert!(matches!(late, Err(PublishError::Stopped)));
}

#[tokio::test]
async fn a_dropped_service_has_stopped_too() {
    let service = started(builder()).await;
    let publisher = service.publisher();
    drop(service);
    let late = publisher.send_event(&event()).await;
    assert!(matches!(late, Err(PublishError::Stopped)));
}

#[tokio::test]
async fn starting_and_stopping_in_every_order() {
    let service = builder().build();
    service.stop().await;
    service.start().await.unwrap();
    assert!(matches!(
        service.start().await,
        Err(StartError::AlreadyStarted)
    ));
    tokio::join!(service.stop(), service.stop());
    service.stop().await;
    assert!(matches!(
        service.start().await,
        Err(StartError::AlreadyStarted)
    ));
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_leaves_both_ports_free() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let (taken_port, free_port) = (port(&taken), port(&free));
    drop(free);
    for (events, commands) in [(taken_port, free_port), (free_port, taken_port)] {
        let builder = Service::builder()
            .subscriber_port(events)
            .command_port(commands);
        let service = builder.build();
        let error = service.start().await.unwrap_err();
        let StartError::Bind { address, source } = error else {
            panic!("{error}");
        };
        assert_eq!(address.port(), taken_port);
        assert_eq!(source.kind, ZmqErrorKind::AddressInUse);
        let early = service.publisher().send_event(&event()).await;
        assert!(matches!(early, Err(PublishError::NotStarted)));
        drop(TcpListener::bind(("127.0.0.1", free_port)).expect("a free port"));
    }

    let builder = Service::builder()
        .subscriber_port(taken_port)
        .command_port(free_port);
    let service = builder.build();
    service.start().await.unwrap_err();
    drop(taken);
    service.start().await.unwrap();
    service.stop().await;
}

#[tokio::test]
async fn an_address_that_cannot_be_had_is_an_error() {
    let foreign = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let error = builder().bind_addresses([foreign]).build().start().await;
    let Err(StartError::Bind { source, .. }) = error else {
        panic!("{error:?}");
    };
    assert_eq!(source.kind, ZmqErrorKind::AddressNotAvailable);
    let error = builder().bind_addresses([]).build().start().await;
    assert!(matches!(error, Err(StartError::NoAddress)));
}

#[tokio::test]
async fn several_addresses_share_their_ports() {
    let addresses =
        [[127, 0, 0, 1], [127, 0, 0, 2]].map(|bytes| IpAddr::from(Ipv4Addr::from(bytes)));
    let builder = builder().bind_addresses(addresses).handler(success);
    let service = started(builder).await;
    let bound = service.command_addresses();
    assert_eq!(bound[0].port(), bound[1].port());
    for (nonce, address) in (1..).zip(bound) {
        let client = Client::at(address, &Default::default()).await;
        client.assert_served(nonce).await;
    }
    service.stop().await;
}

async fn success(_: CommandRequest) -> CommandResponse {
    CommandResponse::success()
}

#[tokio::test]
async fn a_stop_sends_what_was_published_before_it() {
    let service = started(builder()).await;
    let events = Subscriber::of(&service, Topic::EVENT).await;
    for index in 0..500 {
        let payload = Bytes::from(format!("{index}"));
        service
            .publisher()
            .publish(Topic::EVENT, payload)
            .await
            .unwrap();
    }
    service.stop().await;
    for index in 0..500 {
        assert_eq!(events.next().await.1, format!("{index}"));
    }
}

#[tokio::test]
async fn a_stop_lets_the_running_command_finish_and_refuses_what_waits() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let begun = Arc::new(tokio::sync::Notify::new());
    let of_handler = (Arc::clone(&gate), Arc::clone(&begun));
    let handler = move |_: CommandRequest| {
        let (gate, begun) = of_handler.clone();
        async move {
            begun.notify_one();
            gate.acquire().await.unwrap().forget();
            CommandResponse::success()
        }
    };
    let builder = builder()
        .handler(handler)
        .deadline(autotrainer_api::Deadline::Wait)
        .linger(Duration::from_secs(20));
    let service = Arc::new(started(builder).await);
    let client = Client::of(&service).await;
    client.send(&json!({"command": 400, "nonce": 1})).await;
    begun.notified().await;
    client.send(&json!({"command": 400, "nonce": 2})).await;
    let stopping = Arc::clone(&service);
    let stopping = tokio::spawn(async move { stopping.stop().await });
    let refused = client.reply().await;
    assert_eq!(
        (&refused["nonce"], &refused["result"]),
        (&json!(2), &json!(9999))
    );
    gate.add_permits(1);
    let answer = client.reply().await;
    assert_eq!(
        (&answer["nonce"], &answer["result"]),
        (&json!(1), &json!(100))
    );
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_longer_than_the_linger_for_a_handler() {
    let handler = async |_: CommandRequest| -> CommandResponse { std::future::pending().await };
    let builder = builder()
        .handler(handler)
        .deadline(autotrainer_api::Deadline::Wait)
        .linger(Duration::from_millis(50));
    let service = started(builder).await;
    let client = Client::of(&service).await;
    client.send(&json!({"command": 400, "nonce": 1})).await;
    client.send(&json!({"command": 400, "nonce": 2})).await;
    crate::clients::until(&service, |counts| counts.command_connections.opened == 1).await;
    service.stop().await;
    // Both are told, if they were received at all; nothing else can come.
    for _ in 0..service
        .counts()
        .requests
        .iter()
        .map(|each| each.2)
        .sum::<u64>()
    {
        assert_eq!(client.reply().await["result"], 9999);
    }
}

/// spec: autotrainer 8.3
#[tokio::test]
async fn a_handler_may_stop_its_service() {
    let service = builder().linger(Duration::from_millis(50)).build();
    let service = Arc::new(service);
    let of_handler = Arc::downgrade(&service);
    let handler = move |_: CommandRequest| {
        let service = of_handler.upgrade();
        async move {
            if let Some(service) = service {
                service.stop().await;
            }
            CommandResponse::success()
        }
    };
    service.set_handler(handler).unwrap();
    service.start().await.unwrap();
    let client = Client::of(&service).await;
    let answer = client.ask(&json!({"command": 400, "nonce": 1})).await;
    assert_eq!(answer["result"], 9999);
    service.stop().await;
    let late = service.publisher().send_event(&event()).await;
    assert!(matches!(late, Err(PublishError::Stopped)));
}

#[tokio::test]
async fn clients_and_subscribers_survive_restarts_on_the_same_ports() {
    let first = started(builder().handler(success)).await;
    let (events, commands) = (event_address(&first).port(), command_address(&first).port());
    let client = Client::of(&first).await;
    let subscriber = Subscriber::of(&first, Topic::EVENT).await;
    client.assert_served(1).await;
    let mut running = first;
    for round in 0..10 {
        running.stop().await;
        let builder = Service::builder()
            .subscriber_port(events)
            .command_port(commands);
        running = started(builder.handler(success)).await;
        client.assert_served(10 + round).await;
        crate::clients::until(&running, |counts| counts.event_connections.opened == 1).await;
        let marker = round.to_string();
        let found = async {
            loop {
                let payload = Bytes::from(marker.clone());
                running
                    .publisher()
                    .publish(Topic::EVENT, payload)
                    .await
                    .unwrap();
                // Only how often it is tried depends on this time.
                let next = tokio::time::timeout(Duration::from_millis(20), subscriber.next());
                if next.await.is_ok_and(|(_, payload)| payload == marker) {
                    return;
                }
            }
        };
        tokio::time::timeout(crate::clients::PATIENCE, found)
            .await
            .unwrap();
    }
    running.stop().await;
}
