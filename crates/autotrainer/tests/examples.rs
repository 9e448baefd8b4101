//! The examples as processes, so that they stay true: one watches the other and asks it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::time::Duration;

use nodewire_testkit::PeerProcess;
use tokio::process::Command;

/// Longer than anything takes; only a hang runs into it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Cargo builds a package's examples together with its tests.
fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples")
        .join(name);
    assert!(
        program.exists(),
        "{} is missing; run `cargo build -p autotrainer-api --examples`",
        program.display()
    );
    program
}

fn start(name: &str, arguments: &[&str]) -> PeerProcess {
    let mut command = Command::new(example(name));
    command.args(arguments).env_clear();
    PeerProcess::spawn(command).unwrap()
}

/// The ports in `events at [127.0.0.1:1], commands at [127.0.0.1:2]`.
fn ports(line: &str) -> Vec<String> {
    let addresses = line.split("127.0.0.1:").skip(1);
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect();
    addresses.map(digits).collect()
}

async fn end(mut process: PeerProcess) {
    process.signal("INT").unwrap();
    let status = process.wait(PATIENCE).await.unwrap();
    assert!(status.success(), "{status}: {}", process.logs());
}

#[tokio::test]
async fn a_device_is_watched_and_answers() {
    let mut device = start("device", &["0", "0"]);
    device
        .wait_for_output("commands at", PATIENCE)
        .await
        .unwrap();
    let ports = ports(&device.logs());
    let [events, commands] = &ports[..] else {
        panic!("{}", device.logs());
    };
    let mut watch = start("watch", &[events, commands, "GET_CONFIGURATION"]);
    // The first heartbeat tells who it is, and comes after five seconds.
    for said in ["example ", "Success", "\"device_id\": \"example\""] {
        watch.wait_for_output(said, PATIENCE).await.unwrap();
    }
    end(watch).await;
    end(device).await;
}
