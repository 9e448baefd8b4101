//! `serve`.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nodewire_testkit::python_micro_cli;
use serde_json::{Value, json};

use super::{Answer, Setup, answer};
use crate::micro_support::{HANG, Running};

impl Setup {
    /// A served command, ready for requests.
    fn serve(&self, name: &str, command: &str, more: &[&str]) -> Running {
        let arguments = [&["serve", name, "--command", command], more].concat();
        let served = Running::start(&mut self.micro(&arguments));
        served.says(&format!("serving {name}"));
        served
    }

    fn ask(&self, subject: &str, payload: &str) -> Answer {
        self.run(&["request", subject, payload])
    }
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < HANG, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_command_answers_with_what_it_prints() {
    let setup = Setup::new();
    let served = setup.serve("shout", "tr a-z A-Z", &[]);
    setup.ask("shout", "hello").is("HELLO\n");
    let bytes: Vec<u8> = (128..=255).cycle().take(500_000).collect();
    let back = setup.run_with(&["request", "shout", "-"], &bytes);
    back.is(&bytes);
    let mut python = Command::new(python_micro_cli().unwrap());
    python
        .env_clear()
        .args(["request", "-s", &setup.broker.url(), "shout", "peer"]);
    answer(&mut python).is("PEER\n");
    assert_eq!(served.stop().code(), Some(0));
    setup.ask("shout", "x").fails(1, "no service listens");
}

#[test]
fn it_is_described_as_the_flags_say() {
    let setup = Setup::new();
    let info = |name: &str| {
        setup
            .run(&["info", name, "-c", "1", "-t", "60", "--json"])
            .json()
    };
    let _plain = setup.serve("plain", "cat", &[]);
    let plain = info("plain");
    assert_eq!(plain[0]["version"], "0.1.0");
    assert_eq!(
        plain[0]["endpoints"],
        json!([{"name": "plain", "subject": "plain", "metadata": {}, "queue_group": "q"}])
    );
    let flags = [
        "--version",
        "2.1.0",
        "--description",
        "All of it",
        "--subject",
        "a.*",
        "--endpoint",
        "all",
        "--queue-group",
        "g",
        "--metadata",
        "team=a",
    ];
    let _all = setup.serve("all-of-it", "printf %s \"$NATS_REQUEST_SUBJECT\"", &flags);
    let all = info("all-of-it");
    assert_eq!(all[0]["version"], "2.1.0");
    assert_eq!(all[0]["description"], "All of it");
    assert_eq!(all[0]["metadata"], json!({"team": "a"}));
    assert_eq!(
        all[0]["endpoints"],
        json!([{"name": "all", "subject": "a.*", "metadata": {}, "queue_group": "g"}])
    );
    setup.ask("a.b", "").is("a.b\n");
    let _none = setup.serve("none", "cat", &["--no-queue-group"]);
    assert_eq!(info("none")[0]["endpoints"][0]["queue_group"], "");
}

#[test]
fn headers_are_in_the_environment() {
    let setup = Setup::new();
    let script = r#"printf '%s|%s|%s' "$NATS_REQUEST_HEADER_X_A" "$NATS_REQUEST_HEADER_OLD" "$NATS_REQUEST_HEADERS""#;
    let mut serving = setup.micro(&["serve", "env", "--command", script]);
    let served = Running::start(serving.env("NATS_REQUEST_HEADER_OLD", "of another request"));
    served.says("serving env");
    let headers = ["-H", "X-A: one", "-H", "X-A: two", "-H", "b.c: $(id)"];
    setup
        .run(&[&["request", "env"][..], &headers].concat())
        .is("one||{\"X-A\":[\"one\",\"two\"],\"b.c\":[\"$(id)\"]}\n");
    setup.ask("env", "").is("||{}\n");
    let huge = "x".repeat(40_000);
    let refused = setup.run(&["request", "env", "-H", &format!("X-A: {huge}")]);
    refused.fails(1, "431: ");
}

#[test]
fn a_command_that_fails_is_an_error_with_its_last_line() {
    let setup = Setup::new();
    let script = "echo partial; echo first >&2; printf 'out of \\033[2Jpaper\\n\\n' >&2; exit 3";
    let _failing = setup.serve("failing", script, &[]);
    let failed = setup.run(&["request", "failing", "--json"]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.stderr.contains("500: out of [2Jpaper"), "{failed:?}");
    let object: Value = serde_json::from_str(failed.text()).unwrap();
    assert_eq!(
        object["error"],
        json!({"code": 500, "description": "out of [2Jpaper"})
    );
    assert_eq!(object["headers"]["Nats-Service-Error-Code"], json!(["500"]));
    assert_eq!(object["headers"]["Nodewire-Exit-Code"], json!(["3"]));
    assert_eq!(object["data"], "partial\n");

    let _long = setup.serve(
        "long",
        "head -c 100000 /dev/zero | tr '\\0' e >&2; exit 1",
        &[],
    );
    let long = setup.ask("long", "");
    long.fails(1, "500: eee");
    assert!(long.stderr.len() < 300, "{long:?}");

    let _killed = setup.serve("killed", "kill -9 $$", &[]);
    setup
        .ask("killed", "")
        .fails(1, "500: the command ended with signal: 9");
    let stats = setup
        .run(&["stats", "failing", "-c", "1", "-t", "60", "--json"])
        .json();
    assert_eq!(stats[0]["endpoints"][0]["num_errors"], 1);
}

#[test]
fn a_command_that_takes_too_long_is_killed_with_all_that_it_started() {
    let setup = Setup::new();
    let script = "sleep 1000 & echo $! > pid.tmp; mv pid.tmp pid; wait";
    let _slow = setup.serve("slow", script, &["--timeout", "3"]);
    setup
        .ask("slow", "")
        .fails(1, "504: the command took longer than 3 s");
    let pid = std::fs::read_to_string(setup.home.path().join("pid")).unwrap();
    wait_until("the sleep ends", || !is_running(pid.trim()));
}

/// Whether a process is there and not merely waited for.
fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_command_that_prints_too_much_is_stopped() {
    let setup = Setup::new();
    // It would go on for ever, and does not end when nobody reads.
    let script = "trap '' PIPE; echo $$ > pid; head -c 2000 /dev/zero; sleep 1000";
    let _loud = setup.serve("loud", script, &["--max-output", "1000"]);
    setup
        .ask("loud", "")
        .fails(1, "500: the command printed more than 1000 bytes");
    let pid = std::fs::read_to_string(setup.home.path().join("pid")).unwrap();
    wait_until("the command ends", || !is_running(pid.trim()));
    let _exact = setup.serve("exact", "printf 12345", &["--max-output", "5"]);
    setup.ask("exact", "").is("12345\n");
}

#[test]
fn as_many_commands_run_at_the_same_time_as_allowed() {
    let setup = Setup::new();
    // Each waits for the other.
    let meet = "me=$(cat); : > met-$me; while [ ! -e met-a ] || [ ! -e met-b ]; do sleep 0.01; done; echo met";
    let _pair = setup.serve("pair", meet, &["--concurrency", "2"]);
    thread::scope(|scope| {
        for me in ["a", "b"] {
            let setup = &setup;
            scope.spawn(move || setup.ask("pair", me).is("met\n\n"));
        }
    });
    let alone = "mkdir lock || exit 9; sleep 0.05; rmdir lock";
    let _alone = setup.serve("alone", alone, &["--concurrency", "1"]);
    thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| setup.ask("alone", "").is("\n"));
        }
    });
}

#[test]
fn what_was_taken_is_answered_before_it_leaves() {
    let setup = Setup::new();
    let script = ": > running; while [ ! -e go ]; do sleep 0.01; done; echo done";
    let served = setup.serve("leaving", script, &[]);
    let exists = |name: &str| setup.home.path().join(name).exists();
    thread::scope(|scope| {
        let asking = scope.spawn(|| setup.ask("leaving", ""));
        wait_until("the command runs", || exists("running"));
        served.signal("-INT");
        let info = || setup.run(&["request", "leaving", "-t", "0.2"]);
        wait_until("no more is taken", || {
            info().stderr.contains("no service listens")
        });
        setup.home.file("go", "");
        asking.join().unwrap().is("done\n\n");
    });
    assert_eq!(served.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_and_the_command_at_once() {
    let setup = Setup::new();
    let script = "echo $$ > pid.tmp; mv pid.tmp pid; sleep 1000";
    let served = setup.serve("stuck", script, &["--timeout", "2000"]);
    thread::scope(|scope| {
        scope.spawn(|| setup.run(&["request", "stuck", "-t", "0.5"]));
        let pid = setup.home.path().join("pid");
        wait_until("the command runs", || pid.exists());
        served.signal("-TERM");
        let gone = || setup.run(&["request", "stuck", "-t", "0.2"]);
        wait_until("it leaves", || gone().stderr.contains("no service listens"));
        served.signal("-TERM");
    });
    assert_eq!(served.wait().code(), Some(130));
    let pid = std::fs::read_to_string(Path::new(setup.home.path()).join("pid")).unwrap();
    wait_until("the command ends", || !is_running(pid.trim()));
}

#[test]
fn losing_the_broker_for_good_is_a_failure() {
    let mut setup = Setup::new();
    let served = setup.serve(
        "lonely",
        "cat",
        &["--max-reconnect", "2", "--reconnect-delay", "0.05"],
    );
    setup.home.runtime.block_on(setup.broker.kill()).unwrap();
    served.says("connection to the broker is closed");
    assert_eq!(served.wait().code(), Some(1));
}

#[test]
fn what_cannot_be_served_is_explained_before_anything_starts() {
    let setup = Setup::new();
    for (arguments, hint) in [
        (&["serve", "a.b"][..], "service name \"a.b\""),
        (&["serve", "a", "--version", "1"], "version \"1\""),
        (&["serve", "a", "--subject", "a..b"], "\"a..b\""),
        (&["serve", "a", "--subject", "$SRV.x"], "reserved"),
        (&["serve", "a", "--endpoint", "x y"], "endpoint name"),
        (&["serve", "a", "--queue-group", "x y"], "queue group"),
        (
            &["serve", "a", "--queue-group", "g", "--no-queue-group"],
            "cannot be used with",
        ),
        (&["serve", "a", "--concurrency", "0"], "0 is not in"),
        (&["serve", "a", "--metadata", "x"], "KEY=VALUE"),
        (&["serve", "a", "--timeout", "x"], "no number of seconds"),
    ] {
        setup
            .run(&[arguments, &["--command", "cat"]].concat())
            .fails(2, hint);
    }
    setup.run(&["serve", "a"]).fails(2, "--command");
}
