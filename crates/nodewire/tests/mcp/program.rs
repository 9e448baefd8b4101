//! A program that a client starts as its server: in a folder with nothing in it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use crate::support::{PATIENCE, WITH_SESSIONS};

/// What a program wrote: messages, and its log.
struct Wrote {
    messages: Vec<Value>,
    log: String,
}

/// Starts the example that names no wire in its code, in this folder.
fn start(folder: &Path, flags: &[&str]) -> Child {
    start_with_log(folder, flags, Stdio::piped())
}

fn start_with_log(folder: &Path, flags: &[&str], log: Stdio) -> Child {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples/greet");
    Command::new(&program)
        .arg("--mcp-stdio")
        .args(flags)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

/// Starts it, writes these lines to it and closes its input.
async fn started(flags: &[&str], lines: &[String]) -> Wrote {
    let folder = tempfile::tempdir().unwrap();
    served(start(folder.path(), flags), lines).await
}

async fn served(mut process: Child, lines: &[String]) -> Wrote {
    let mut input = process.stdin.take().unwrap();
    let output = async {
        for line in lines {
            input.write_all(line.as_bytes()).await.unwrap();
            input.write_all(b"\n").await.unwrap();
        }
        drop(input);
        process.wait_with_output().await.unwrap()
    };
    let output = tokio::time::timeout(PATIENCE, output).await;
    let output = output.expect("it ends with its input");
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    let messages = String::from_utf8(output.stdout).unwrap();
    let messages = messages.lines().map(serde_json::from_str);
    Wrote {
        messages: messages.collect::<Result<_, _>>().unwrap(),
        log,
    }
}

/// Nonsense, then a session with one call.
fn lines() -> Vec<String> {
    let params = json!({
        "protocolVersion": WITH_SESSIONS,
        "capabilities": {},
        "clientInfo": {"name": "bare", "version": "1"},
    });
    let call = json!({"name": "greet", "arguments": {"names": ["Ada"]}});
    let mut lines = vec!["hello".to_owned(), "{}".to_owned()];
    let messages = [
        json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}),
    ];
    lines.extend(messages.map(|message| message.to_string()));
    lines
}

#[tokio::test]
async fn it_needs_no_files_and_says_what_it_cannot_read() {
    let wrote = started(&[], &lines()).await;
    let [no_json, no_message, begun, answer] = wrote.messages.as_slice() else {
        panic!("{:#?}", wrote.messages);
    };
    assert_eq!(no_json["error"]["code"], -32700);
    assert_eq!(no_message["error"]["code"], -32600);
    assert_eq!((&begun["id"], &answer["id"]), (&json!(0), &json!(1)));
    let greeting = &answer["result"]["structuredContent"];
    assert_eq!(*greeting, json!({"greeting": ["Hello, Ada!"]}));
}

#[tokio::test]
async fn a_log_that_cannot_be_written_costs_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let process = start_with_log(folder.path(), &[], full.unwrap().into());
    let wrote = served(process, &lines()).await;
    assert_eq!(wrote.messages.len(), 4, "{:#?}", wrote.messages);
}

#[tokio::test]
async fn its_log_is_ours_unless_more_is_wanted() {
    let log = started(&[], &lines()).await.log;
    assert!(log.contains("lines that are no messages"), "{log}");
    assert!(!log.contains("rmcp"), "{log}");
    let log = started(&["--log-level", "debug"], &lines()).await.log;
    assert!(log.contains("rmcp"), "{log}");
    let log = started(&["--log-level", "error"], &lines()).await.log;
    assert_eq!(log, "");
}

#[tokio::test]
async fn a_signal_ends_it_although_its_client_reads_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = start(folder.path(), &[]);
    let mut input = process.stdin.take().unwrap();
    // Each line has an answer that nobody reads; in the end nothing more is taken in.
    let lines = "x\n".repeat(1 << 15);
    let is_full = async {
        let moment = Duration::from_millis(500);
        while let Ok(written) =
            tokio::time::timeout(moment, input.write_all(lines.as_bytes())).await
        {
            written.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, is_full)
        .await
        .expect("it stops to read");
    let pid = process.id().unwrap().to_string();
    let told = Command::new("kill").args(["-s", "TERM", &pid]).status();
    assert!(told.await.unwrap().success());
    let ended = tokio::time::timeout(PATIENCE, process.wait()).await;
    assert!(ended.expect("it ends").unwrap().success());
}
