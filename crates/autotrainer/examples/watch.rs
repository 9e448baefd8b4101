//! Watches a device until Ctrl-C: events, heartbeats, connections. With a command by name, asks that first.
//!
//! ```sh
//! cargo run -p autotrainer-api --example device
//! cargo run -p autotrainer-api --example watch                         # 127.0.0.1, ports 5556 and 5557
//! cargo run -p autotrainer-api --example watch -- 5556 5557 GET_CONFIGURATION
//! ```

use std::time::Duration;

use anyhow::Context;
use autotrainer_api::{Command, Delivery, Message, Remote, RemoteOptions, resolve};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "this is what the example shows")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let port = |place: usize, default| match arguments.get(place) {
        Some(port) => port
            .parse()
            .context("usage: watch [EVENT_PORT COMMAND_PORT [COMMAND]]"),
        None => Ok(default),
    };
    let options = RemoteOptions::ports("127.0.0.1", port(0, 5556)?, port(1, 5557)?);
    // Heard from here on, and also while something else is dealt with.
    let mut interrupted = tokio::spawn(tokio::signal::ctrl_c());
    let remote = Remote::connect(options).await?;
    let (mut events, mut changes) = (remote.events().await, remote.changes());
    if let Some(name) = arguments.get(2) {
        ask(&remote, name).await?;
    }
    loop {
        tokio::select! {
            Some(change) = changes.next() => println!("{change:?}"),
            Some(delivery) = events.next() => {
                if let Delivery::Message(Message::Event { event, level, .. }) = delivery {
                    println!("{:?} {}", event.kind(level), event.context.as_str());
                } else {
                    println!("{delivery:?}");
                }
            }
            ended = &mut interrupted => break ended??,
        }
    }
    remote.close().await;
    println!("{:#?}", remote.counts());
    Ok(())
}

/// Three heartbeats, and a bit.
const PATIENCE: Duration = Duration::from_secs(16);

#[expect(clippy::print_stdout, reason = "this is what the example shows")]
async fn ask(remote: &Remote, name: &str) -> anyhow::Result<()> {
    // A heartbeat tells which numbers the service has for its commands.
    let heartbeat = remote.wait_for_heartbeat(PATIENCE).await?;
    println!("{} {}", heartbeat.identifier, heartbeat.version);
    let command = resolve(name, Command::members(remote.level()))?;
    let answer = remote.command(command).timeout(PATIENCE).send().await?;
    println!(
        "{:?} {}",
        answer.answer.result,
        answer.answer.data().as_str()
    );
    if let Some(mut pending) = answer.pending {
        let result = pending.result(Duration::from_secs(60)).await?;
        println!("{:?} {}", result.result, result.data().as_str());
    }
    Ok(())
}
