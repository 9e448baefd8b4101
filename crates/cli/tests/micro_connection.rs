//! Where `nodewire micro` gets its connection from, and what it says when there is none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod micro_support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use micro_support::{Done, Home, Running, done};
use nodewire_testkit::{NatsServer, free_port};

/// Asking succeeds wherever a server takes us, also if no service answers.
const ASK: [&str; 4] = ["ping", "-t", "0.05", "--json"];

/// Flags, variables, and the exit status.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], i32);

fn ask(home: &Home, before: &[&str], after: &[&str], environment: &[(&str, &str)]) -> Done {
    let mut command = home.micro();
    command.args(before).args(ASK).args(after);
    done(command.envs(environment.iter().copied()))
}

/// Nobody listens there, and no test is given that port: it is not among those the system chooses from.
fn nowhere() -> String {
    "nats://127.0.0.1:1".to_owned()
}

fn context(home: &Home, name: &str, json: &str) {
    home.file(&format!(".config/nats/context/{name}.json"), json);
}

#[test]
fn each_place_wins_over_those_after_it() {
    let home = Home::new();
    let broker = home.broker(NatsServer::options());
    let (good, bad) = (broker.url(), nowhere());
    let place = |at: usize, url: &str| -> (Vec<String>, Vec<String>, Vec<(&str, String)>) {
        let flag = || vec!["--server".to_owned(), url.to_owned()];
        match at {
            0 => (vec![], flag(), vec![]),
            1 => (flag(), vec![], vec![]),
            2 => (vec![], vec![], vec![("NATS_SERVER", url.to_owned())]),
            3 => (vec![], vec![], vec![("NATS_URL", url.to_owned())]),
            _ => {
                let name = if url == good { "good" } else { "bad" };
                context(&home, name, &format!(r#"{{"url": "{url}"}}"#));
                (vec![], vec![], vec![("NATS_CONTEXT", name.to_owned())])
            }
        }
    };
    let run = |first: (usize, &str), second: (usize, &str)| {
        let (a, b) = (place(first.0, first.1), place(second.0, second.1));
        let mut command = home.micro();
        command.args(a.0).args(b.0).args(ASK).args(a.1).args(b.1);
        done(command.envs(a.2).envs(b.2)).code
    };
    for first in 0..4 {
        for second in first + 1..5 {
            assert_eq!(
                run((first, &good), (second, &bad)),
                Some(0),
                "{first} {second}"
            );
            assert_eq!(
                run((first, &bad), (second, &good)),
                Some(1),
                "{first} {second}"
            );
        }
    }
}

#[test]
fn a_flag_wins_with_its_whole_way_to_authenticate() {
    let home = Home::new();
    let user = home.broker(NatsServer::options().user("u", "p w"));
    let token = home.broker(NatsServer::options().token("tok"));
    let (user, token) = (user_and_url(&user), user_and_url(&token));
    let cases: &[Case<'_>] = &[
        (
            &["-s", &user.0, "--username", "u", "--password", "p w"],
            &[],
            0,
        ),
        (
            &["-s", &user.0],
            &[("NATS_USERNAME", "u"), ("NATS_PASSWORD", "p w")],
            0,
        ),
        (
            &["-s", &user.0],
            &[("NATS_USER", "u"), ("NATS_PASSWORD", "p w")],
            0,
        ),
        // The password may come from elsewhere.
        (
            &["-s", &user.0, "--username", "u"],
            &[("NATS_PASSWORD", "p w")],
            0,
        ),
        (&["-s", &format!("nats://u:p%20w@{}", user.1)], &[], 0),
        // A user from a flag, though there is a token in the environment.
        (
            &["-s", &user.0, "--username", "u", "--password", "p w"],
            &[("NATS_TOKEN", "x")],
            0,
        ),
        (
            &["-s", &token.0, "--token", "tok"],
            &[("NATS_USER", "x")],
            0,
        ),
        (&["-s", &token.0], &[("NATS_TOKEN", "tok")], 0),
        (&["-s", &format!("nats://tok@{}", token.1)], &[], 0),
        (&["-s", &user.0], &[], 1),
        (
            &["-s", &user.0, "--username", "u", "--password", "wrong"],
            &[],
            1,
        ),
        (&["-s", &user.0, "--password", "p w"], &[], 2),
        (&["-s", &user.0, "--username", "u", "--token", "t"], &[], 2),
    ];
    for (flags, environment, code) in cases {
        let done = ask(&home, &[], flags, environment);
        assert_eq!(done.code, Some(*code), "{flags:?} {environment:?} {done:?}");
    }
}

fn user_and_url(broker: &NatsServer) -> (String, String) {
    (broker.url(), format!("127.0.0.1:{}", broker.port()))
}

#[test]
fn contexts_are_read_and_what_they_cannot_do_is_said() {
    let home = Home::new();
    let broker = home.broker(NatsServer::options().user("u", "p"));
    let url = broker.url();
    context(
        &home,
        "full",
        &format!(
            r#"{{"url": "{url}", "user": "u", "password": "p", "description": "d", "token": "", "inbox_prefix": "_MINE",
            "tls_first": false, "jetstream_domain": "x", "socks_proxy": "socks5://p", "nsc": "nsc://a", "color_scheme": "red"}}"#
        ),
    );
    let named = ask(&home, &[], &["--context", "full"], &[]);
    assert_eq!(
        (named.code, named.stdout.as_str()),
        (Some(0), "[]\n"),
        "{named:?}"
    );
    assert!(
        named.stderr.contains("color_scheme, nsc, socks_proxy")
            && !named.stderr.contains("jetstream"),
        "{named:?}"
    );
    // The selected one; XDG's folder comes before the usual one.
    home.file(".config/nats/context.txt", "full\n");
    assert_eq!(ask(&home, &[], &[], &[]).code, Some(0));
    let elsewhere = home.path().join("xdg");
    home.file(
        "xdg/nats/context/other.json",
        &format!(r#"{{"url": "{url}", "user": "u", "password": "p"}}"#),
    );
    let xdg = [("XDG_CONFIG_HOME", elsewhere.to_str().unwrap())];
    assert_eq!(ask(&home, &[], &["--context", "other"], &xdg).code, Some(0));

    // One that is named must be there; one that is selected only if it is.
    let missing = ask(&home, &[], &["--context", "gone"], &[]);
    assert!(
        missing.code == Some(2) && missing.stderr.contains("no context \"gone\""),
        "{missing:?}"
    );
    home.file(".config/nats/context.txt", "gone");
    let stale = ask(
        &home,
        &[],
        &["-s", &url, "--username", "u", "--password", "p"],
        &[],
    );
    assert!(
        stale.code == Some(0) && stale.stderr.contains("does not exist"),
        "{stale:?}"
    );
    for (name, json) in [
        ("a", "{"),
        ("b", "[]"),
        ("c", r#"{"url": 1}"#),
        ("d", r#"{"tls_first": "yes"}"#),
    ] {
        context(&home, name, json);
        assert_eq!(
            ask(&home, &[], &["--context", name], &[]).code,
            Some(2),
            "{json}"
        );
    }
    assert_eq!(ask(&home, &[], &["--context", "../x"], &[]).code, Some(2));
}

#[test]
fn no_connection_is_one_message_at_once() {
    let home = Home::new();
    let url = nowhere();
    let refused = ask(&home, &[], &["-s", &url], &[]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
    assert!(
        refused.stderr.contains(&format!("cannot connect to {url}")),
        "{refused:?}"
    );

    // With a budget it is tried again: the server comes up meanwhile.
    let port = free_port().unwrap();
    let url = format!("nats://127.0.0.1:{port}");
    let patient = Running::start(home.micro().args(ASK).args(["-v", "-s", &url]).envs([
        ("NATS_MAX_RECONNECT", "100000"),
        ("NATS_RECONNECT_DELAY", "0.02"),
    ]));
    patient.says("cannot connect yet");
    let broker = home.runtime.block_on(NatsServer::start_on(port)).unwrap();
    assert!(patient.wait().success());
    drop(broker);
    let budget = ask(
        &home,
        &["--max-reconnect", "3", "--reconnect-delay", "0"],
        &["-s", &nowhere()],
        &[],
    );
    assert_eq!(
        (budget.code, budget.stderr.lines().count()),
        (Some(1), 1),
        "{budget:?}"
    );
}

#[test]
fn secrets_are_in_no_output() {
    let home = Home::new();
    let broker = home.broker(NatsServer::options().user("u", "right"));
    let secret = "hunter2-secret";
    let url = format!("nats://u:{secret}@127.0.0.1:{}", broker.port());
    let variables = [
        ("NATS_PASSWORD", secret),
        ("NATS_TOKEN", secret),
        ("NATS_SEED", secret),
    ];
    for command in [
        vec!["-vv", "ping", "-s", url.as_str()],
        vec!["-vv", "ping", "-s", "ftp://u:hunter2-secret@h"],
        vec!["-vv", "ping", "-s", "nats://u:hunter2-secret@[bad"],
        vec!["ping", "--help"],
        vec!["--help"],
        vec!["broker", "--help"],
    ] {
        let mut micro = home.micro();
        micro
            .args(&command)
            .envs(variables)
            .env("NODEWIRE_BROKER_TOKEN", secret);
        let done = done(&mut micro);
        assert!(
            !format!("{done:?}").contains(secret),
            "{command:?} {done:?}"
        );
    }
}

#[test]
fn what_cannot_be_meant_is_wrong_usage() {
    let home = Home::new();
    for (flags, environment) in [
        (vec!["-s", "http://x"], vec![]),
        (vec!["-s", "ws://x"], vec![]),
        (vec!["-s", ","], vec![]),
        (vec!["--max-reconnect", "many"], vec![]),
        (vec!["--reconnect-delay", "-1"], vec![]),
        (vec!["-t", "NaN"], vec![]),
        (vec!["-c", "0"], vec![]),
        (vec!["--tls-cert", "x"], vec![]),
        (vec!["--inbox-prefix", "a.*"], vec![]),
        (vec![], vec![("NATS_MAX_RECONNECT", "x")]),
        (vec![], vec![("NATS_TIMEOUT", "soon")]),
        (vec![], vec![("NATS_JWT", "x")]),
    ] {
        let done = ask(&home, &[], &flags, &environment);
        assert_eq!(
            (done.code, done.stdout.as_str()),
            (Some(2), ""),
            "{flags:?} {environment:?} {done:?}"
        );
    }
    for (flag, code) in [("--creds", 1), ("--nkey", 1), ("--tls-ca", 1)] {
        let broker = home.broker(NatsServer::options());
        let done = ask(&home, &[], &["-s", &broker.url(), flag, "missing"], &[]);
        assert_eq!(done.code, Some(code), "{flag} {done:?}");
    }
}

#[test]
fn the_broker_serves_until_it_is_asked_to_end() {
    let home = Home::new();
    let mut command = home.micro();
    command.args([
        "broker",
        "--listen",
        "127.0.0.1:0",
        "--username",
        "u",
        "--password",
        "p",
    ]);
    let mut broker = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(broker.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    let url = first.trim();
    assert_eq!(ask(&home, &[], &["-s", url], &[]).code, Some(1));
    let user = ["-s", url, "--username", "u", "--password", "p"];
    assert_eq!(ask(&home, &[], &user, &[]).code, Some(0));
    nodewire_testkit::signal(broker.id(), "-TERM").unwrap();
    assert_eq!(broker.wait().unwrap().code(), Some(0));

    let refused = done(home.micro().args(["broker", "--listen", "0.0.0.0:0"]));
    assert!(
        refused.code == Some(2) && refused.stderr.contains("--allow-non-loopback"),
        "{refused:?}"
    );
}
