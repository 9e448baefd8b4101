//! A device that publishes events and answers commands, until Ctrl-C.
//!
//! ```sh
//! cargo run -p autotrainer-api --example device            # ports 5556 and 5557
//! cargo run -p autotrainer-api --example device -- 0 0     # any ports; it prints them
//! cargo run -p autotrainer-api --example device -- 0 0 50  # homing takes 50 ms instead of 2 s
//! ```

use std::time::Duration;

use anyhow::Context;
use autotrainer_api::command::data::Configuration;
use autotrainer_api::event::EventPayload;
use autotrainer_api::event::payloads::Reason;
use autotrainer_api::{
    Command, CommandRequest, CommandResponse, Deadline, EventKind, ResultCode, Service,
};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "this is what the example shows")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| match arguments.next() {
        Some(number) => number
            .parse()
            .context("usage: device [EVENT_PORT COMMAND_PORT [HOMING_MS]]"),
        None => Ok(default),
    };
    let (event_port, command_port) = (number(5556)?, number(5557)?);
    let homing = Duration::from_millis(number(2000)?.into());
    // Heard from here on, so that none ends the program in the middle of its start.
    let interrupted = tokio::spawn(tokio::signal::ctrl_c());
    let service = Service::builder()
        .identifier("example")
        .subscriber_port(event_port)
        .command_port(command_port)
        // Homing takes long: the client is answered at once, and the result is published later.
        .deadline_of(
            Command::UserDefined,
            Deadline::PendingAfter(Duration::from_millis(20)),
        )
        .handler(move |request| answer(request, homing))
        .build();
    service.start().await?;
    println!(
        "events at {:?}, commands at {:?}",
        service.event_addresses(),
        service.command_addresses()
    );
    let publisher = service.publisher();
    publisher
        .send_event(&publisher.event(EventKind::ApplicationLaunched)?)
        .await?;

    interrupted.await??;
    let reason = EventPayload::Reason(Reason {
        reason: "Ctrl-C".to_owned(),
    });
    let terminating = publisher.event(EventKind::ApplicationTerminating)?;
    publisher
        .send_event(&terminating.with_payload(&reason)?)
        .await?;
    service.stop().await;
    println!("{:#?}", service.counts());
    Ok(())
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a device knows few of the commands"
)]
async fn answer(request: CommandRequest, homing: Duration) -> CommandResponse {
    match request.command {
        Command::None | Command::EmergencyStop | Command::EmergencyResume => {
            CommandResponse::success()
        }
        Command::GetConfiguration => CommandResponse::success().with_data(&Configuration {
            device_id: "example".to_owned(),
            ..Configuration::default()
        }),
        Command::UserDefined => {
            tokio::time::sleep(homing).await;
            CommandResponse::success()
        }
        _ => CommandResponse::new(ResultCode::Unrecognized),
    }
}
