//! `nodewire micro dev`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod micro_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_nats::Client;
use micro_support::{HANG, Home, Running, ask, package};
use nodewire_testkit::NatsServer;

/// What `dev` runs: this program's own service, made of a shell command.
fn script(answer: &str) -> String {
    let nodewire = env!("CARGO_BIN_EXE_nodewire");
    format!(
        "exec '{nodewire}' micro serve answers --concurrency 8 --command 'sleep 0.02; echo {answer}'\n"
    )
}

/// Asks until the answer is this.
async fn answers(client: &Client, wanted: &str) {
    tokio::time::timeout(HANG, async {
        while ask(client).await.as_deref() != Ok(wanted) {}
    })
    .await
    .expect("the answer does not come");
}

#[test]
fn a_restart_runs_the_new_code_and_loses_no_request() {
    let home = Home::new();
    let broker = home.broker(NatsServer::options());
    home.file("src/service.sh", &script("one"));
    let dev = Running::start(home.micro().args([
        "dev",
        "-s",
        &broker.url(),
        "--watch",
        "src",
        "--",
        "sh",
        "src/service.sh",
    ]));
    dev.says("up; waiting");
    home.runtime.block_on(async {
        let client = async_nats::connect(broker.url()).await.unwrap();
        answers(&client, "one").await;
        let stop = Arc::new(AtomicBool::new(false));
        let load: Vec<_> = (0..4)
            .map(|_| {
                let (client, stop) = (client.clone(), Arc::clone(&stop));
                tokio::spawn(async move {
                    let (mut asked, mut lost) = (0, Vec::new());
                    while !stop.load(Ordering::Relaxed) {
                        asked += 1;
                        lost.extend(ask(&client).await.err());
                    }
                    (asked, lost)
                })
            })
            .collect();
        for answer in ["two", "three", "four"] {
            home.file("src/service.sh", &script(answer));
            dev.says("stopping the old instance");
            dev.says("up; waiting");
            answers(&client, answer).await;
            // The old one is gone.
            for _ in 0..20 {
                assert_eq!(ask(&client).await.as_deref(), Ok(answer));
            }
        }
        stop.store(true, Ordering::Relaxed);
        for task in load {
            let (asked, lost) = task.await.unwrap();
            assert!(
                asked > 0 && lost.is_empty(),
                "{asked} requests, lost: {lost:?}"
            );
        }
    });
    assert_eq!(dev.stop().code(), Some(0));
}

#[test]
fn the_old_instance_stays_when_the_new_one_fails() {
    let home = Home::new();
    let broker = home.broker(NatsServer::options());
    home.file("service.sh", &script("one"));
    let arguments = [
        "dev",
        "-s",
        &broker.url(),
        "--start-timeout",
        "10",
        "--",
        "sh",
        "service.sh",
    ];
    let dev = Running::start(home.micro().args(arguments));
    dev.says("up; waiting");
    let client = home
        .runtime
        .block_on(async_nats::connect(broker.url()))
        .unwrap();
    let still_one = || {
        home.runtime
            .block_on(async { assert_eq!(ask(&client).await.as_deref(), Ok("one")) })
    };
    still_one();

    home.file("service.sh", "exit 3\n");
    dev.says("ended with exit status: 3 before it was up");
    dev.says("the old instance goes on");
    still_one();
    // It runs, but it is no service any more.
    home.file("service.sh", "exec sleep 1000\n");
    dev.says("no service of it answered within 10 s");
    dev.says("the old instance goes on");
    still_one();

    home.file("service.sh", &script("two"));
    dev.says("up; waiting");
    home.runtime.block_on(answers(&client, "two"));
    assert_eq!(dev.stop().code(), Some(0));
}

#[test]
fn only_sources_count_and_a_change_during_a_start_is_not_missed() {
    let home = Home::new();
    let broker = home.broker(NatsServer::options());
    home.file(".gitignore", "generated/\n");
    // It says when it starts, and is never up.
    let slow = |name: &str| format!("echo starting {name} >&2\nexec sleep 1000\n");
    home.file("service.sh", &slow("one"));
    let dev = Running::start(home.micro().args([
        "dev",
        "-s",
        &broker.url(),
        "--start-timeout",
        "1000",
        "--",
        "sh",
        "service.sh",
    ]));
    dev.says("starting one");
    for ignored in [
        "target/a.rs",
        "generated/b.rs",
        "notes.txt",
        ".git/c.rs",
        "node_modules/d/e.js",
    ] {
        home.file(ignored, "x");
    }
    home.file("service.sh", &slow("two"));
    dev.says("starting two");
    home.file("service.sh", &slow("three"));
    dev.says("starting three");
    assert_eq!(dev.stop().code(), Some(0));
}

#[test]
fn a_command_without_services_is_up_when_it_has_run_for_a_while() {
    let home = Home::new();
    let broker = home.broker(NatsServer::options());
    home.file("a.sh", "exec sleep 1000\n");
    let dev = Running::start(home.micro().args([
        "run",
        "-s",
        &broker.url(),
        "--watch",
        ".",
        "--start-timeout",
        "3",
        "--",
        "sh",
        "a.sh",
    ]));
    dev.says("the program runs, that is enough");
    dev.says("up; waiting");
    home.file("a.sh", "exit 0\n");
    dev.says("before it was up");
    assert_eq!(dev.stop().code(), Some(0));
}

#[test]
fn dev_rebuilds_an_example_and_survives_mistakes() {
    let home = Home::new();
    let broker = home.broker(NatsServer::options());
    let example = |name: &str| {
        format!("fn main() {{ eprintln!(\"running {name}\"); loop {{ std::thread::park(); }} }}")
    };
    package(&home, &example("one"));
    let arguments = [
        "dev",
        "-s",
        &broker.url(),
        "--example",
        "shown",
        "--start-timeout",
        "0.5",
    ];
    let dev = Running::start(home.micro().args(arguments));
    // It counts as up after a while, also if it has not come to saying something.
    dev.says_all(&["running one", "up; waiting"]);
    package(&home, "fn main() { mistake }");
    dev.says("cannot find value `mistake`");
    dev.says("the old instance goes on");
    package(&home, &example("two"));
    dev.says_all(&["running two", "stopping the old instance", "up; waiting"]);
    assert_eq!(dev.stop().code(), Some(0));
}
