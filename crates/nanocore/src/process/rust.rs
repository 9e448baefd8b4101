//! Rust servers: built by cargo in release mode, then run as they are.

use std::path::PathBuf;

use serde::Deserialize;

use super::error::ProcessError;
use super::launch::{Launch, Tools};
use super::scan::ServerFolder;
use super::tool::Tool;

/// What of cargo's messages is looked at.
#[derive(Deserialize)]
struct Message {
    reason: String,
    executable: Option<PathBuf>,
    manifest_path: Option<PathBuf>,
}

pub(super) async fn prepare(
    server: &ServerFolder,
    tools: &Tools,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Launch, ProcessError> {
    let manifest = server.folder.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(server.problem("has no Cargo.toml"));
    }
    say("cargo build --release");
    let arguments = [
        "build",
        "--release",
        "--message-format=json-render-diagnostics",
    ]
    .map(Into::into)
    .to_vec();
    let mut executables = Vec::new();
    let take = |line: &str| executables.extend(executable(line, &manifest));
    Tool {
        program: tools.cargo.as_os_str(),
        arguments,
        folder: &server.folder,
    }
    .run_with(take, say)
    .await?;
    match executables.as_slice() {
        [executable] => Ok(server.launch(executable.clone(), &[])),
        [] => Err(server.problem("its package has no program; add src/main.rs")),
        [_, _, ..] => Err(server.problem(
            "its package has several programs; give the node server a package of its own",
        )),
    }
}

/// The program that this message announces, if it is one of the server's own package.
fn executable(line: &str, manifest: &std::path::Path) -> Option<PathBuf> {
    let message: Message = serde_json::from_str(line).ok()?;
    let own = message
        .manifest_path
        .and_then(|path| path.canonicalize().ok())
        == manifest.canonicalize().ok();
    message
        .executable
        .filter(|_| own && message.reason == "compiler-artifact")
}
