//! What keeping events costs: events per second that a service publishes with and without a log, to nobody and to one
//! subscriber.
//!
//! ```sh
//! cargo run --release -p autotrainer-api --features event-log --example event_log_cost -- 400000
//! ```

use std::time::{Duration, Instant};

use anyhow::Context;
use autotrainer_api::{
    Durability, Event, EventLogOptions, Remote, RemoteOptions, Service, SubscribeOptions, Topic,
    UnixTime,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let events = std::env::args().nth(1);
    let events: u64 = events.map_or(Ok(400_000), |events| events.parse())?;
    for round in 1..=3 {
        for durability in [
            None,
            Some(Durability::ProcessKilled),
            Some(Durability::PowerLost),
        ] {
            for is_subscribed in [false, true] {
                run(round, events, durability, is_subscribed).await?;
            }
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what the example shows")]
async fn run(
    round: u32,
    events: u64,
    durability: Option<Durability>,
    is_subscribed: bool,
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut builder = Service::builder().subscriber_port(0).command_port(0);
    if let Some(durability) = durability {
        builder = builder.event_log(EventLogOptions {
            durability,
            ..EventLogOptions::at(folder.path().join("events.db"))
        });
    }
    let service = builder.build();
    service.start().await?;
    let port = |addresses: Vec<std::net::SocketAddr>| addresses[0].port();
    let ports = (
        port(service.event_addresses()),
        port(service.command_addresses()),
    );
    let remote = Remote::connect(RemoteOptions::ports("127.0.0.1", ports.0, ports.1)).await?;
    let subscription = remote.subscribe(SubscribeOptions::events()).await;
    let received = is_subscribed.then_some(subscription);
    let context = serde_json::json!({"text": "x".repeat(80)});
    let event = Event::numbered(201, UnixTime(1.5), 1 << 50).with_context(&context)?;

    let publisher = service.publisher();
    let start = Instant::now();
    for _ in 0..events {
        publisher.send_event(&event).await?;
    }
    let sent = || {
        let counts = service.counts().publications;
        let of_events = counts
            .iter()
            .find(|(topic, _)| *topic == Some(Topic::EVENT));
        of_events.map_or(0, |(_, count)| *count)
    };
    while sent() < events {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    let per_s = events as f64 / start.elapsed().as_secs_f64();
    let log = durability.map_or_else(|| "none".to_owned(), |durability| format!("{durability:?}"));
    let counts = remote.counts();
    println!(
        "round {round}, log {log}, subscribed {is_subscribed}: {per_s:.0} events/s of {} bytes, kept {}, received {}",
        event.to_payload().len(),
        service.counts().log_kept,
        counts.messages
    );
    drop(received);
    remote.close().await;
    service.stop().await;
    folder.close().context("the folder of the log")?;
    Ok(())
}
