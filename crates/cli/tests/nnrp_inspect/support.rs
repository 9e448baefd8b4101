//! The command, and what was recorded.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// `nodewire nnrp`, without settings of the machine.
pub(crate) fn nnrp(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nodewire"));
    command.arg("nnrp").args(arguments).env_clear();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs it to its end with this input.
pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = nnrp(arguments).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // It may end before it has read all.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// It ended well, and this is what it printed.
pub(crate) fn printed(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    stdout(output)
}

/// It ended with this status, and this is what it said.
pub(crate) fn said(output: &Output, status: i32) -> &str {
    assert_eq!(output.status.code(), Some(status), "{}", stderr(output));
    stderr(output)
}

/// An object from each line.
pub(crate) fn objects(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

pub(crate) fn vector_file(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../nnrp-wire/tests/vectors");
    PathBuf::from(folder).join(name)
}

pub(crate) fn vectors(name: &str) -> Value {
    let text = std::fs::read_to_string(vector_file(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// A packet of this type with this body and no metadata; the session is 7.
pub(crate) fn packet(message_type: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = b"NNRP\x01\0\0\x28".to_vec();
    packet[6] = message_type;
    packet.resize(40, 0);
    let length = u32::try_from(body.len()).unwrap();
    packet[16..20].copy_from_slice(&length.to_le_bytes());
    packet[20] = 7;
    packet.extend_from_slice(body);
    packet
}

pub(crate) const PING: u8 = 0x20;
pub(crate) const CLOSE: u8 = 0x05;
