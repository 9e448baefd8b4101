//! Our service, as a process that publishes what its input asks for.

use std::time::Duration;

use anyhow::Context;
use autotrainer_api::event::payloads::Project;
use autotrainer_api::zmq::SocketOptions;
use autotrainer_api::{
    CommandRequest, CommandResponse, Event, EventPayload, EventPublisher, ProtocolLevel, Service,
    Topic, UnixTime,
};
use bytes::Bytes;
use tokio::sync::mpsc;

use super::load::event_context;
use super::subject::{EVENT_KIND, MARKER_TOPIC};

/// Serves until the process is killed; `announce` gets both addresses.
///
/// # Errors
/// It cannot listen.
pub async fn serve(
    heartbeat_interval: Duration,
    announce: impl FnOnce(&str),
) -> anyhow::Result<()> {
    let service = Service::builder()
        .identifier("bench")
        .subscriber_port(0)
        .command_port(0)
        .heartbeat_interval(heartbeat_interval)
        .level(ProtocolLevel::V0_9_11)
        // The same fields as the reference writes.
        .sequence(false)
        .socket_options(socket_options())
        .handler(async |request: CommandRequest| {
            CommandResponse::success().with_verbatim_data(request.verbatim_data)
        })
        .build();
    service.start().await?;
    let (events, commands) = (service.event_addresses(), service.command_addresses());
    let addresses = events.first().zip(commands.first());
    let (events, commands) = addresses.context("a started service has addresses")?;
    announce(&format!("{events} {commands}"));
    publish(&service.publisher()).await
}

/// As many messages may wait for a subscriber as a sample has, as with the bare sockets.
fn socket_options() -> SocketOptions {
    SocketOptions {
        high_water_mark: 1 << 20,
        subscriber_bytes_max: 1 << 30,
        ..SocketOptions::default()
    }
}

async fn publish(publisher: &EventPublisher) -> anyhow::Result<()> {
    let project: Project = serde_json::from_str(&event_context().to_string())?;
    let payload = EventPayload::Project(project);
    let mut lines = input();
    while let Some(line) = lines.recv().await {
        let Some(count) = line.strip_prefix("events ") else {
            let marker = Bytes::from_static(b"-");
            publisher.publish(Topic(MARKER_TOPIC), marker).await?;
            continue;
        };
        for index in 0..count.parse()? {
            let event = Event::numbered(EVENT_KIND, UnixTime::now(), index);
            publisher.send_event(&event.with_payload(&payload)?).await?;
        }
    }
    std::future::pending().await
}

/// The lines of the standard input, read on a thread of its own.
fn input() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
