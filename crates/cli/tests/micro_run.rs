//! `nodewire micro run`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod micro_support;

use std::time::Duration;

use micro_support::{HANG, Home, Running, ask, done, package};
use nodewire_testkit::NatsServer;

#[test]
fn the_connection_is_handed_on_and_nothing_beside_it() {
    let home = Home::new();
    let broker = home.broker(NatsServer::options().user("u", "p"));
    let url = broker.url();
    let with_credentials = url.replace("nats://", "nats://u:p@");
    let printed = done(
        home.micro()
            .args([
                "run",
                "-s",
                &with_credentials,
                "--",
                "sh",
                "-c",
                "env | grep ^NATS_ | sort",
            ])
            .envs([
                ("NATS_TOKEN", "stale"),
                ("NATS_URL", "nats://elsewhere"),
                ("NATS_TIMEOUT", "1s"),
            ]),
    );
    let expected = format!(
        "NATS_PASSWORD=p\nNATS_SERVER={url}\nNATS_URL={url}\nNATS_USER=u\nNATS_USERNAME=u\n"
    );
    assert_eq!(
        (printed.code, printed.stdout),
        (Some(0), expected),
        "{}",
        printed.stderr
    );
}

#[test]
fn the_program_decides_how_run_ends() {
    let home = Home::new();
    let broker = home.broker(NatsServer::options());
    let url = broker.url();
    let run = |words: &[&str]| {
        let mut command = home.micro();
        done(command.args(["run", "-s", &url]).args(words))
    };
    assert_eq!(run(&["--", "true"]).code, Some(0));
    let failed = run(&["--", "sh", "-c", "exit 7"]);
    assert!(
        failed.code == Some(1) && failed.stderr.contains("exit status: 7"),
        "{failed:?}"
    );
    let unknown = run(&["--", "no-such-program"]);
    assert!(
        unknown.code == Some(1) && unknown.stderr.contains("cannot start"),
        "{unknown:?}"
    );
    assert_eq!(run(&[]).code, Some(2));
    assert_eq!(run(&["--release", "--", "true"]).code, Some(2));
    let unwatched = done(
        home.micro()
            .args(["dev", "-s", &url, "--watch", "gone", "--", "true"]),
    );
    assert_eq!(unwatched.code, Some(2), "{unwatched:?}");
    let refused = done(home.micro().args([
        "run",
        "-s",
        "nats://127.0.0.1:1",
        "--max-reconnect",
        "1",
        "--",
        "true",
    ]));
    assert_eq!(refused.code, Some(1), "{refused:?}");
}

#[test]
fn a_signal_lets_the_program_answer_what_it_has_taken() {
    let home = Home::new();
    let broker = home.broker(NatsServer::options());
    let nodewire = env!("CARGO_BIN_EXE_nodewire");
    let flag = home.path().join("taken");
    let command = format!("touch {}; sleep 0.5; echo done", flag.display());
    // The shell ends at once; the service that it has started answers and is waited for.
    let script = format!("'{nodewire}' micro serve answers --command '{command}'; echo never");
    let arguments = ["run", "-s", &broker.url(), "--", "sh", "-c", &script];
    let run = Running::start(home.micro().args(arguments));
    run.says("serving answers");
    home.runtime.block_on(async {
        let client = async_nats::connect(broker.url()).await.unwrap();
        let asked = tokio::spawn(async move { ask(&client).await });
        tokio::time::timeout(HANG, async {
            while !flag.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap();
        run.signal("-INT");
        assert_eq!(asked.await.unwrap().as_deref(), Ok("done"));
    });
    assert_eq!(run.wait().code(), Some(0));
}

#[test]
fn cargo_packages_and_examples_are_built_and_run() {
    let home = Home::new();
    let broker = home.broker(NatsServer::options());
    let url = broker.url();
    package(
        &home,
        "fn main() { println!(\"example at {}\", std::env::var(\"NATS_URL\").unwrap()); }",
    );
    let run = |words: &[&str]| done(home.micro().args(["run", "-s", &url]).args(words));
    let program = run(&["tiny", "--", "word"]);
    assert_eq!(program.stdout, "program Some(\"word\")\n", "{program:?}");
    let example = run(&["--example", "shown"]);
    assert_eq!(example.stdout, format!("example at {url}\n"), "{example:?}");
    let folder = run(&[home.path().to_str().unwrap()]);
    assert_eq!(folder.stdout, "program None\n", "{folder:?}");
    assert_eq!(run(&["--example", "missing"]).code, Some(1));
}

#[test]
fn without_any_server_a_broker_is_there_for_other_terminals() {
    let home = Home::new();
    let dev = Running::start(home.micro().args(["run", "--", "sleep", "1000"]));
    // A machine may have a server there; then that is taken.
    if std::net::TcpStream::connect("localhost:4222").is_ok() {
        dev.says("using the server that answers on localhost:4222");
        assert_eq!(dev.stop().code(), Some(0));
        return;
    }
    let line = dev.says("none answers on localhost:4222; started the embedded broker");
    let url = line.split("NATS_SERVER=").nth(1).unwrap();
    let found = done(
        home.micro()
            .args(["ping", "-t", "0.05", "--json"])
            .env("NATS_SERVER", url),
    );
    assert_eq!(
        (found.code, found.stdout.as_str()),
        (Some(0), "[]\n"),
        "{found:?}"
    );
    assert_eq!(dev.stop().code(), Some(0));
}
