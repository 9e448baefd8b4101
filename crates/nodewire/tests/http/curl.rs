//! The same, asked by curl.

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{Fixture, TOKEN, parse, until};

/// The command, with the token.
fn curl(arguments: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "60",
            "--noproxy",
            "*",
        ])
        .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
        .args(arguments)
        .kill_on_drop(true);
    command
}

/// What it prints.
async fn output(arguments: &[&str]) -> Vec<u8> {
    let output = curl(arguments).output().await.expect("curl is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    output.stdout
}

async fn json_of(arguments: &[&str]) -> Value {
    serde_json::from_slice(&output(arguments).await).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_is_asked_and_answered() {
    let fixture = Fixture::start().await;
    let echo = fixture.url("/nodes/echo/execute");
    let body = r#"{"inputs": {"text": "a"}}"#;
    let json_type = "Content-Type: application/json";
    let answer = json_of(&[&echo, "--header", json_type, "--data", body]).await;
    assert_eq!(answer, json!({"outputs": {"text": ["> a"]}}));
    let status = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    let mut arguments = vec![echo.as_str(), "--header", json_type, "--data", "{"];
    arguments.extend(status);
    assert_eq!(output(&arguments).await, b"400");
    let nodes = json_of(&[&fixture.url("/nodes")]).await;
    assert!(nodes["nodes"].as_array().unwrap().len() > 5);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_sent_and_bytes_come_back() {
    let fixture = Fixture::start().await;
    let file: Vec<u8> = (0..3_u32 << 20).map(|i| (i % 249) as u8).collect();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.bin");
    std::fs::write(&path, &file).unwrap();
    let part = format!("data=@{}", path.display());
    let arguments = [
        &fixture.url("/nodes/reverse/execute"),
        "--header",
        "Accept: application/octet-stream",
        "--form",
        &part,
        "--form",
        r#"parameters={"suffix": "."}"#,
    ];
    let reversed = output(&arguments).await;
    let mut expected = file;
    expected.reverse();
    expected.push(b'.');
    assert!(reversed == expected, "{} bytes differ", reversed.len());
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_read() {
    let fixture = Fixture::start().await;
    let url = fixture.url("/nodes/progress/execute");
    let accept = "Accept: text/event-stream";
    let text = output(&[&url, "--no-buffer", "--request", "POST", "--header", accept]).await;
    let text = String::from_utf8(text).unwrap();
    let events: Vec<_> = text.split("\n\n").filter_map(parse).collect();
    let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        ["progress", "progress", "progress", "partial", "completed"]
    );
    assert_eq!(events[4].1["outputs"], json!({"n": [3]}));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_end_cancels() {
    let fixture = Fixture::start().await;
    let url = fixture.url("/nodes/wait%2Fhere/execute");
    let mut asking = curl(&[&url, "--request", "POST"]).spawn().unwrap();
    fixture.probe.wait_until_begun(1).await;
    asking.kill().await.unwrap();
    fixture.wait_until_told_to_stop().await;
    let executor = fixture.executor();
    until("it is counted", || executor.counters().cancelled == 1).await;
    fixture.stop().await;
}
