//! Services with a log, and what follows them.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use autotrainer_api::{
    Delivery, Event, EventLogOptions, Gap, Message, Remote, RemoteOptions, Resume, Service,
    ServiceBuilder, StartError, SubscribeOptions, Subscription, UnixTime,
};
use tempfile::TempDir;
use tokio::time::timeout;

/// Fails a test that waits for something that never comes; nothing is measured with it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn patiently<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it comes in time")
}

pub(crate) fn log_in(folder: &TempDir) -> EventLogOptions {
    EventLogOptions {
        // A busy machine is no failure.
        lock_wait_ms: 30_000,
        ..EventLogOptions::at(folder.path().join("events.db"))
    }
}

pub(crate) fn builder(log: &EventLogOptions) -> ServiceBuilder {
    Service::builder()
        .subscriber_port(0)
        .command_port(0)
        .heartbeat_interval(Duration::from_millis(50))
        .event_log(log.clone())
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

pub(crate) fn ports(service: &Service) -> (u16, u16) {
    let port = |addresses: Vec<std::net::SocketAddr>| addresses[0].port();
    (
        port(service.event_addresses()),
        port(service.command_addresses()),
    )
}

/// The same service again, after it was stopped.
pub(crate) async fn again(log: &EventLogOptions, (events, commands): (u16, u16)) -> Service {
    let builder = builder(log);
    started(builder.subscriber_port(events).command_port(commands)).await
}

pub(crate) async fn remote_at((events, commands): (u16, u16)) -> Remote {
    let options = RemoteOptions {
        // A busy machine is no failure.
        timeout: PATIENCE / 2,
        ..RemoteOptions::ports("127.0.0.1", events, commands)
    };
    Remote::connect(options).await.unwrap()
}

pub(crate) async fn resumed(remote: &Remote, from: Resume) -> Subscription {
    let options = SubscribeOptions::events().resuming(from);
    remote.subscribe(options).await
}

pub(crate) fn event(index: u64) -> Event {
    Event::numbered(201, UnixTime(1.5), index)
}

pub(crate) async fn publish(service: &Service, indices: std::ops::Range<u64>) {
    for index in indices {
        service.publisher().send_event(&event(index)).await.unwrap();
    }
}

/// The indices of so many events; a gap is a failure.
pub(crate) async fn indices(subscription: &mut Subscription, count: usize) -> Vec<u64> {
    let mut indices = Vec::new();
    while indices.len() < count {
        match patiently(subscription.next()).await {
            Some(Delivery::Message(Message::Event { event, .. })) => {
                indices.push(event.index.unwrap());
            }
            other => panic!("{other:?} after {indices:?}"),
        }
    }
    indices
}

/// Up to the first gap, which is returned.
pub(crate) async fn gap(subscription: &mut Subscription) -> Gap {
    loop {
        match patiently(subscription.next()).await {
            Some(Delivery::Gap(gap)) => return gap,
            Some(_) => {}
            None => panic!("the end"),
        }
    }
}

pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    let poll = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    patiently(poll).await;
}

/// A connection of somebody else.
pub(crate) fn other(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).unwrap()
}
