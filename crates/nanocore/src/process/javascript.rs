//! JavaScript servers: `npm install` when needed, then `npm start`. spec: nanograph 2.1, 12.3

use std::fs;
use std::path::Path;

use super::error::ProcessError;
use super::launch::{Launch, Tools};
use super::scan::ServerFolder;
use super::tool::Tool;

pub(super) async fn prepare(
    server: &ServerFolder,
    tools: &Tools,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Launch, ProcessError> {
    let text = fs::read(server.folder.join("package.json"))
        .map_err(|_| server.problem("has no package.json"))?;
    let package: serde_json::Value = serde_json::from_slice(&text)
        .map_err(|error| server.problem(format!("package.json is no JSON: {error}")))?;
    if !package["scripts"]["start"].is_string() {
        return Err(server.problem("package.json has no `start` script"));
    }
    let has_dependencies = package["dependencies"]
        .as_object()
        .is_some_and(|dependencies| !dependencies.is_empty());
    if has_dependencies && !is_installed(&server.folder) {
        say("npm install");
        let arguments = ["install", "--no-audit", "--no-fund"]
            .map(Into::into)
            .to_vec();
        Tool {
            program: tools.npm.as_os_str(),
            arguments,
            folder: &server.folder,
        }
        .run(say)
        .await?;
    }
    Ok(server.launch(tools.npm.clone(), &["start"]))
}

/// Whether an installation has finished: all package managers write such a file at the end. One that was interrupted
/// is done again.
fn is_installed(folder: &Path) -> bool {
    let modules = folder.join("node_modules");
    [
        ".package-lock.json",
        ".modules.yaml",
        ".yarn-integrity",
        ".yarn-state.yml",
    ]
    .iter()
    .any(|name| modules.join(name).is_file())
}
