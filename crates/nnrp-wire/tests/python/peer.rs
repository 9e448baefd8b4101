//! The real nnrp-py, in a process of its own.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use serde_json::Value;

fn python(arguments: &[&str]) -> Command {
    let python = nodewire_testkit::peers_dir().join("nnrp-py-1.0.0rc2/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run `cargo xtask peers`, which installs it",
        python.display()
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/peer.py");
    let mut command = Command::new(python);
    command
        .arg(script)
        .args(arguments)
        .env_clear()
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// Runs it to its end with this input.
fn answers(arguments: &[&str], input: String) -> Vec<Value> {
    let mut child = python(arguments).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let answers = text.lines();
    answers
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Random packets of all types, with what it says of them.
pub(crate) fn make(count: usize, seed: u64) -> Vec<Value> {
    answers(
        &["make", &count.to_string(), &seed.to_string()],
        String::new(),
    )
}

/// What it exports of frames and results, given as JSON.
pub(crate) fn replay(cases: &[Value]) -> Vec<Value> {
    let input: String = cases.iter().map(|case| format!("{case}\n")).collect();
    let answers = answers(&["replay"], input);
    assert_eq!(answers.len(), cases.len());
    answers
}

/// What it says of packets.
pub(crate) fn decode(packets: &[Bytes]) -> Vec<Value> {
    let mut input = String::new();
    for packet in packets {
        writeln!(input, "{}", nnrp_wire::inspect::to_hex(packet)).unwrap();
    }
    let answers = answers(&["decode"], input);
    assert_eq!(answers.len(), packets.len());
    answers
}
