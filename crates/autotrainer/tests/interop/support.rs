//! Services on free ports, and remotes for them.

use std::future::Future;
use std::time::Duration;

use autotrainer_api::{
    Delivery, Event, Handler, Message, Remote, RemoteCounts, RemoteOptions, Service,
    ServiceBuilder, StartError, SubscribeOptions, Subscription, Topic, UnixTime,
};
use bytes::Bytes;
use nodewire_testkit::{AutotrainerService, AutotrainerServiceOptions, AutotrainerVersion};
use serde_json::json;
use tokio::time::timeout;

/// Fails a test that waits for something that never comes; nothing is measured with it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Heartbeats come only where a test asks for them, however long it takes.
const NO_HEARTBEATS: Duration = Duration::from_secs(3600);

pub(crate) fn builder() -> ServiceBuilder {
    let builder = Service::builder().subscriber_port(0).command_port(0);
    builder.heartbeat_interval(NO_HEARTBEATS)
}

/// As soon as its ports are free: a process that another test is just starting has a copy of every open socket until it
/// runs its own program.
pub(crate) async fn started(builder: ServiceBuilder) -> Service {
    let service = builder.build();
    loop {
        match service.start().await {
            Err(StartError::Bind { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            started => break started.unwrap(),
        }
    }
    service
}

pub(crate) async fn serving(handler: impl Handler) -> Service {
    started(builder().handler(handler)).await
}

/// As patient as the test.
pub(crate) fn options_of(service: &Service) -> RemoteOptions {
    let (events, commands) = ports(service);
    RemoteOptions {
        timeout: PATIENCE,
        ..RemoteOptions::ports("127.0.0.1", events, commands)
    }
}

pub(crate) fn ports(service: &Service) -> (u16, u16) {
    let port = |addresses: Vec<std::net::SocketAddr>| addresses[0].port();
    (
        port(service.event_addresses()),
        port(service.command_addresses()),
    )
}

pub(crate) async fn remote_of(service: &Service) -> Remote {
    Remote::connect(options_of(service)).await.unwrap()
}

pub(crate) async fn python(version: AutotrainerVersion, interval_s: f64) -> AutotrainerService {
    let options = AutotrainerServiceOptions {
        heartbeat_interval_s: interval_s,
        ..AutotrainerServiceOptions::default()
    };
    AutotrainerService::start(version, options).await.unwrap()
}

pub(crate) fn python_options(service: &AutotrainerService) -> RemoteOptions {
    RemoteOptions {
        timeout: PATIENCE,
        ..RemoteOptions::endpoints(service.event_endpoint(), service.command_endpoint())
    }
}

/// Knows the service's level.
pub(crate) async fn remote_of_python(service: &AutotrainerService) -> Remote {
    let remote = Remote::connect(python_options(service)).await.unwrap();
    let heartbeat = remote.wait_for_heartbeat(PATIENCE).await.unwrap();
    assert_eq!(heartbeat.version, service.version().as_str());
    remote
}

/// A topic that no service uses.
pub(crate) const MARKER: Topic = Topic(0x6b72_614d);

pub(crate) async fn marker(remote: &Remote) -> Subscription {
    remote.subscribe(SubscribeOptions::topics(&[MARKER])).await
}

/// Waits until what was subscribed to so far is in effect at the service: subscriptions arrive in order.
pub(crate) async fn joined(remote: &Remote, service: &Service) {
    let publisher = service.publisher();
    let publish = async |number: u64| {
        let marker = Bytes::from(number.to_string());
        publisher.publish(MARKER, marker).await.unwrap();
    };
    arrives(&mut marker(remote).await, publish).await;
}

pub(crate) async fn joined_python(remote: &Remote, service: &mut AutotrainerService) {
    let mut marker = marker(remote).await;
    let publish = async |number: u64| {
        let text = number.to_string();
        let publish = json!({"op": "publish_bytes", "topic": MARKER.0, "text": text});
        service.call(publish).await.unwrap();
    };
    arrives(&mut marker, publish).await;
}

/// Publishes until the last one arrives, so that none is under way any more.
async fn arrives(subscription: &mut Subscription, mut publish: impl AsyncFnMut(u64)) {
    let arrived = async {
        for number in 0.. {
            publish(number).await;
            let last = number.to_string();
            // Only how often it is tried depends on this time.
            while let Ok(came) = timeout(Duration::from_millis(20), subscription.next()).await {
                match came {
                    Some(Delivery::Message(Message::Other { payload, .. })) if payload == last => {
                        return;
                    }
                    Some(_) => {}
                    None => panic!("the end of the subscription"),
                }
            }
        }
    };
    patiently(arrived).await;
}

pub(crate) async fn patiently<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it comes in time")
}

/// The next delivery, which is a message.
pub(crate) async fn message(subscription: &mut Subscription) -> Message {
    match patiently(subscription.next()).await {
        Some(Delivery::Message(message)) => message,
        other => panic!("no message but {other:?}"),
    }
}

pub(crate) async fn until(remote: &Remote, is_so: impl Fn(&RemoteCounts) -> bool) {
    let poll = async {
        while !is_so(&remote.counts()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let so = timeout(PATIENCE, poll).await;
    so.unwrap_or_else(|_| panic!("{:?}", remote.counts()));
}

pub(crate) fn event(index: u64) -> Event {
    Event::numbered(201, UnixTime(1.5), index)
}
