//! Folders of node servers as their authors have them: to be registered, installed and started by what is tested.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::json;

use crate::{SdkVersion, copy_dir, scripts};

/// A server in plain JavaScript, in `folder`: nodes that count their executions in a file, sleep, fail, crash.
///
/// # Errors
/// The folder cannot be written.
pub fn javascript_server_folder(folder: &Path) -> anyhow::Result<()> {
    copy_dir(&scripts("nanograph-js"), folder)
}

/// The server of [`PythonNodeServer`](crate::PythonNodeServer) in `folder`, without an environment: what pip needs to
/// make one lies beside it, so that no network is.
///
/// # Errors
/// The SDK is not installed, or the folder cannot be written.
pub fn python_server_folder(
    version: SdkVersion,
    server_uid: &str,
    folder: &Path,
) -> anyhow::Result<()> {
    copy_dir(&scripts("nanograph"), folder)?;
    let wheels = folder.join("wheels");
    let pack = Command::new(version.python()?)
        .arg(scripts("wheels.py"))
        .arg(&wheels)
        .output()?;
    ensure!(
        pack.status.success(),
        "cannot pack wheels:\n{}",
        String::from_utf8_lossy(&pack.stderr)
    );
    let requirements = format!(
        "--no-index\n--find-links {}\nnanograph-sdk=={}\n",
        wheels.display(),
        version.as_str()
    );
    std::fs::write(folder.join("requirements.txt"), requirements)?;
    let config = json!({
        "domain": "local-python.nanograph",
        "serverDisplayName": format!("Python {}", version.as_str()),
        "serverUid": server_uid,
        "serverPackageId": format!("{server_uid}-package"),
        "language": "python",
        "nodesPath": "nodes",
        "watchDebounceTime": 300,
    });
    Ok(std::fs::write(
        folder.join("nanoserver.json"),
        config.to_string(),
    )?)
}

/// A cargo package without dependencies in `folder`, which becomes `program`, a built node server: cargo builds it in a
/// moment and without a network.
///
/// # Errors
/// The folder cannot be written, or there is no such program.
pub fn rust_server_folder(program: &Path, server_uid: &str, folder: &Path) -> anyhow::Result<()> {
    let program = program
        .canonicalize()
        .with_context(|| format!("{} is not built", program.display()))?;
    std::fs::create_dir_all(folder.join("src"))?;
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text);
    write(
        "Cargo.toml",
        "[package]\nname = \"rust-server\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\n[workspace]\n"
            .to_owned(),
    )?;
    let main = format!(
        "use std::os::unix::process::CommandExt;\n\nfn main() {{\n    \
         panic!(\"{{}}\", std::process::Command::new({:?}).exec());\n}}\n",
        program
    );
    write("src/main.rs", main)?;
    let config = json!({
        "domain": "local-rust.nanograph",
        "serverDisplayName": "Rust",
        "serverUid": server_uid,
        "serverPackageId": format!("{server_uid}-package"),
        "language": "rust",
    });
    Ok(write("nanoserver.json", config.to_string())?)
}
