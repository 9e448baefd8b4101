//! A device that keeps its events, and a client that may come and go without missing any.
//!
//! ```sh
//! cargo run -p autotrainer-api --features event-log --example events_db -- serve events.db
//! cargo run -p autotrainer-api --features event-log --example events_db -- follow position.json
//! ```
//!
//! Stop either of them, in whatever way, and start it again: the client goes on where it was.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use autotrainer_api::{
    Delivery, EventKind, EventLogOptions, Message, Remote, RemoteOptions, Resume, Service,
    SubscribeOptions,
};

const USAGE: &str = "usage: events_db serve FILE [EVENT_PORT COMMAND_PORT [PAUSE_MS]]\n       \
                     events_db follow FILE [EVENT_PORT COMMAND_PORT]";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: u16| match arguments.get(place) {
        Some(number) => number.parse().context(USAGE),
        None => Ok(default),
    };
    let [mode, file, ..] = &arguments[..] else {
        bail!(USAGE);
    };
    let (file, ports) = (PathBuf::from(file), (number(2, 5556)?, number(3, 5557)?));
    match mode.as_str() {
        "serve" => serve(&file, ports, Duration::from_millis(number(4, 100)?.into())).await,
        "follow" => follow(&file, ports).await,
        _ => bail!(USAGE),
    }
}

#[expect(clippy::print_stdout, reason = "this is what the example shows")]
async fn serve(file: &Path, ports: (u16, u16), pause: Duration) -> anyhow::Result<()> {
    let service = Service::builder()
        .identifier("example")
        .subscriber_port(ports.0)
        .command_port(ports.1)
        .event_log(EventLogOptions::at(file))
        .build();
    service.start().await?;
    println!(
        "events at {:?}, commands at {:?}, {:?}",
        service.event_addresses(),
        service.command_addresses(),
        service.event_log_status()
    );
    let publisher = service.publisher();
    let publish = async {
        loop {
            let event = publisher.event(EventKind::PelletSendBegin)?;
            publisher.send_event(&event).await?;
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    };
    tokio::select! {
        ended = publish => return ended,
        pressed = tokio::signal::ctrl_c() => pressed?,
    }
    service.stop().await;
    println!("{:?}", service.event_log_status());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what the example shows")]
async fn follow(file: &Path, ports: (u16, u16)) -> anyhow::Result<()> {
    let from = match std::fs::read(file) {
        Ok(position) => Resume::After(serde_json::from_slice(&position)?),
        Err(_) => Resume::Oldest,
    };
    let remote = Remote::connect(RemoteOptions::ports("127.0.0.1", ports.0, ports.1)).await?;
    let options = SubscribeOptions::events().resuming(from);
    let mut events = remote.subscribe(options).await;
    let mut pressed = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let delivery = tokio::select! {
            delivery = events.next() => delivery,
            pressed = &mut pressed => return Ok(pressed?),
        };
        match delivery {
            Some(Delivery::Message(Message::Event { event, .. })) => {
                println!("event {}", event.sequence().unwrap_or(0));
            }
            Some(other) => println!("{other:?}"),
            None => return Ok(()),
        }
        // Written once it was dealt with: a client that is killed gets the last one again, and misses none.
        if let Some(position) = events.position() {
            // Never half written.
            let written = file.with_extension("new");
            std::fs::write(&written, serde_json::to_vec(&position)?)?;
            std::fs::rename(&written, file)?;
        }
    }
}
