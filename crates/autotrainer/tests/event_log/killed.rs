//! A service that is killed while it publishes as fast as it can, and the example that does so.

use std::path::{Path, PathBuf};

use autotrainer_api::{Delivery, Message, Remote, ReplayRequest, Resume, SubscribeOptions};
use nodewire_testkit::PeerProcess;
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::{PATIENCE, other, patiently, remote_at};

/// Cargo builds a package's examples together with its tests.
fn example() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let folder = tests.ancestors().nth(2).unwrap().join("examples");
    let program = folder.join("events_db");
    assert!(
        program.exists(),
        "{} is missing; run `cargo build -p autotrainer-api --features event-log --examples`",
        program.display()
    );
    program
}

fn run(arguments: &[&str]) -> PeerProcess {
    let mut command = Command::new(example());
    command.args(arguments).env_clear();
    PeerProcess::spawn(command).unwrap()
}

async fn serve(
    file: &Path,
    (events, commands): (u16, u16),
    pause_ms: &str,
) -> (PeerProcess, (u16, u16)) {
    let (events, commands) = (events.to_string(), commands.to_string());
    let file = file.to_str().unwrap();
    let mut service = run(&["serve", file, &events, &commands, pause_ms]);
    service
        .wait_for_output("EventLogStatus", PATIENCE)
        .await
        .unwrap();
    let logs = service.logs();
    let mut ports = logs.split("127.0.0.1:").skip(1).map(|text| {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    });
    let ports = (ports.next().unwrap(), ports.next().unwrap());
    (service, ports)
}

/// What is in the file, and whether any number is there twice or missing.
fn kept(file: &Path) -> (u64, u64) {
    let rows = "SELECT count(*), max(sequence), min(sequence) FROM events";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let (count, last, first): (u64, u64, u64) = other(file).query_row(rows, [], read).unwrap();
    assert_eq!(count, last + 1 - first);
    (first, last)
}

/// spec: none, our own. What a subscriber has seen is in the log, and no number is given twice.
#[tokio::test]
async fn killed_under_load_it_goes_on_where_it_was() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("events.db");
    let mut ports = (0, 0);
    let mut last_seen = 0;
    let mut follower: Option<(Remote, autotrainer_api::Subscription)> = None;
    for _ in 0..5 {
        let (mut service, at) = serve(&file, ports, "0").await;
        ports = at;
        let (_, events) = match &mut follower {
            Some(follower) => follower,
            none => {
                let remote = remote_at(ports).await;
                let options = SubscribeOptions::events().resuming(Resume::Oldest);
                let events = remote.subscribe(options).await;
                none.insert((remote, events))
            }
        };
        for _ in 0..3000 {
            match patiently(events.next()).await {
                Some(Delivery::Message(Message::Event { event, .. })) => {
                    assert_eq!(event.sequence(), Some(last_seen + 1));
                    last_seen += 1;
                }
                other => panic!("{other:?} after {last_seen}"),
            }
        }
        service.signal("KILL").unwrap();
        service.wait(PATIENCE).await.unwrap();
        let (first, last) = kept(&file);
        assert!(
            first == 1 && last >= last_seen,
            "{first} {last} {last_seen}"
        );
    }
    // All that was kept is replayed, to the last.
    let (_, last) = kept(&file);
    let (mut service, at) = serve(&file, ports, "60000").await;
    let remote = remote_at(at).await;
    let request = ReplayRequest {
        after: last - 1,
        ..ReplayRequest::default()
    };
    let page = loop {
        let page = remote.replay_page(&request).await.unwrap();
        if page.next == last + 1 {
            break page;
        }
    };
    let sequences: Vec<u64> = page.events.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, [last, last + 1]);
    service.signal("INT").unwrap();
    assert!(service.wait(PATIENCE).await.unwrap().success());
}

#[tokio::test]
async fn the_example_follows_across_restarts_of_both() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("events.db");
    let position = folder.path().join("position.json");
    let (mut service, ports) = serve(&file, (0, 0), "5").await;
    let follow = || {
        let (events, commands) = (ports.0.to_string(), ports.1.to_string());
        run(&["follow", position.to_str().unwrap(), &events, &commands])
    };
    let mut follower = follow();
    follower
        .wait_for_output("event 5\n", PATIENCE)
        .await
        .unwrap();
    follower.signal("KILL").unwrap();
    follower.wait(PATIENCE).await.unwrap();
    service.signal("INT").unwrap();
    assert!(
        service.wait(PATIENCE).await.unwrap().success(),
        "{}",
        service.logs()
    );
    let (_, last) = kept(&file);
    let (mut service, _) = serve(&file, ports, "5").await;
    let mut follower = follow();
    let after = format!("event {}\n", last + 5);
    follower.wait_for_output(&after, PATIENCE).await.unwrap();
    follower.signal("INT").unwrap();
    assert!(follower.wait(PATIENCE).await.unwrap().success());
    assert!(!follower.logs().contains("Gap"), "{}", follower.logs());
    service.signal("INT").unwrap();
    assert!(service.wait(PATIENCE).await.unwrap().success());
}
