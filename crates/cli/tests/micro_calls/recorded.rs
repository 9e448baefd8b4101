//! What the recorded command line of `nats-micro` for Python printed, and what the real one prints.

use std::process::{Command, Stdio};

use nodewire_testkit::{python_micro_cli, vector_path};
use serde_json::Value;

use super::{Answer, Setup, answer};

/// Where the recordings were made.
const RECORDED_SERVER: &str = "nats://127.0.0.1:14223";

/// Keys whose values differ from run to run.
const CHANGING: [&str; 5] = [
    "id",
    "started",
    "num_requests",
    "processing_time",
    "average_processing_time",
];

#[test]
fn recorded_commands_end_and_print_as_recorded() {
    let setup = Setup::new();
    let _service = setup.python_service();
    let traces = std::fs::read(vector_path("nats-micro-traces.json")).unwrap();
    let traces: Value = serde_json::from_slice(&traces).unwrap();
    let cases = traces["seed_cli"].as_array().unwrap();
    assert!(cases.len() >= 17, "{}", cases.len());
    for case in cases {
        let ours = replay(&setup, case);
        let hint = format!("{}: {ours:?}", case["argv"]);
        assert_eq!(
            ours.code.map(Value::from).as_ref(),
            Some(&case["exit_code"]),
            "{hint}"
        );
        let error = case["stderr_last_line"].as_str().unwrap();
        assert!(ours.stderr.contains(our_words(error)), "{hint}");
        // Bodies of errors, which it drops, are results too.
        let expected = match error.ends_with("404: not found") {
            true => "{\"k\":1}\n",
            false => case["stdout"].as_str().unwrap(),
        };
        assert_eq!(
            without_changing(ours.text()),
            without_changing(expected),
            "{hint}"
        );
    }
}

fn replay(setup: &Setup, case: &Value) -> Answer {
    let ours = |text: &str| text.replace(RECORDED_SERVER, &setup.broker.url());
    let argv = case["argv"].as_array().unwrap();
    let mut arguments: Vec<_> = argv[1..]
        .iter()
        .map(|text| ours(text.as_str().unwrap()))
        .collect();
    if !arguments.iter().any(|argument| argument == "request") {
        // As long as a busy machine takes, instead of 0.5 or 0.1.
        if let Some(at) = arguments.iter().position(|argument| argument == "-t") {
            arguments.drain(at..at + 2);
        }
        arguments.extend(["-t", "3", "--json"].map(str::to_owned));
    }
    let mut command = setup.home.micro();
    command.args(&arguments);
    for (name, value) in case["env"].as_object().unwrap() {
        command.env(name, ours(value.as_str().unwrap()));
    }
    answer(&mut command)
}

/// What we say for the last line of a Python traceback.
fn our_words(error: &str) -> &str {
    if error.starts_with("nats.errors.TimeoutError") {
        return "no reply from \"demo.sub.silent\" within 1s";
    }
    if error.starts_with("nats.errors.NoRespondersError") {
        return "no service listens on \"demo.nothing\"";
    }
    error
        .rsplit_once("Service error ")
        .map_or("", |(_, error)| error)
}

/// Lines with values that differ from run to run become their keys.
fn without_changing(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let key = line
            .split_once("\": ")
            .map_or("", |(key, _)| key.trim_start());
        let changes = key
            .strip_prefix('"')
            .is_some_and(|key| CHANGING.contains(&key));
        if changes { key } else { line }.to_owned()
    };
    text.lines().map(line).collect()
}

#[test]
fn json_is_byte_for_byte_that_of_the_python_command() {
    let setup = Setup::new();
    let service = setup.python_service();
    for subject in ["echo", "demo.sub.boom", "demo.sub.err", "mw"] {
        setup.run(&["request", subject, "x"]);
    }
    for arguments in [
        &["ping"][..],
        &["ping", "demo-service", "-t", "3"],
        &["ping", "-c", "1"],
        &["info", "demo-service", "-c", "1"],
        &["info", "-i", "1"],
        &["stats", "-c", "1"],
        &["stats", "demo-service", "-t", "3"],
        &["stats", "nobody"],
    ] {
        let mut python = Command::new(python_micro_cli().unwrap());
        let python = answer(
            python
                .args(arguments)
                .env_clear()
                .env("NATS_SERVER", setup.broker.url())
                .stdin(Stdio::null()),
        );
        assert_eq!(python.code, Some(0), "{python:?}");
        setup
            .run(&[arguments, &["--json"]].concat())
            .is(&python.stdout);
    }
    assert!(
        setup
            .run(&["stats", "--json"])
            .text()
            .contains(service.id())
    );
}
