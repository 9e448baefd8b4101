//! A program that a client starts as its server: in a folder with nothing in it.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::{PATIENCE, WITH_SESSIONS};

/// What a program wrote: messages, and its log.
struct Wrote {
    messages: Vec<Value>,
    log: String,
}

/// Starts the example that names no wire in its code, writes these lines to it and closes its input.
async fn started(flags: &[&str], lines: &[String]) -> Wrote {
    let folder = tempfile::tempdir().unwrap();
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples/greet");
    let mut process = Command::new(&program)
        .arg("--mcp-stdio")
        .args(flags)
        .current_dir(folder.path())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
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
async fn its_log_is_ours_unless_more_is_wanted() {
    let log = started(&[], &lines()).await.log;
    assert!(log.contains("lines that are no messages"), "{log}");
    assert!(!log.contains("rmcp"), "{log}");
    let log = started(&["--log-level", "debug"], &lines()).await.log;
    assert!(log.contains("rmcp"), "{log}");
    let log = started(&["--log-level", "error"], &lines()).await.log;
    assert_eq!(log, "");
}
