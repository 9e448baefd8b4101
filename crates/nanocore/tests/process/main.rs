//! Node-server processes: started, watched, stopped; with a stub in Python that needs no packages.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod prepare;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use nanocore::process::{
    Launch, LaunchOptions, ProcessError, ServerFolder, ServerProcess, StopTimes, Tools, prepare,
    scan,
};
use nanograph::client::{StatusPage, probe};
use tempfile::TempDir;

/// SHA-256 of nothing: what was installed from no requirements.
const NO_REQUIREMENTS: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A Python server that behaves as `mode` says, with an environment that needs no installation.
fn stub(mode: &str) -> (TempDir, ServerFolder) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "nanoserver.json",
        r#"{"serverUid": "stub", "serverPackageId": "stub-package", "serverDisplayName": "Stub", "domain": "d.test", "language": "python"}"#,
    );
    write("main.py", include_str!("stub.py"));
    write("mode.txt", mode);
    std::fs::create_dir_all(folder.path().join("venv/bin")).unwrap();
    write("venv/nodewire-requirements.sha256", NO_REQUIREMENTS);
    write("venv/bin/python", "#!/bin/sh\nexec python3 \"$@\"\n");
    std::fs::set_permissions(
        folder.path().join("venv/bin/python"),
        std::fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let server = found(folder.path());
    (folder, server)
}

fn found(folder: &Path) -> ServerFolder {
    scan(&[folder.to_owned()], 0)
        .servers
        .pop()
        .expect("a usable nanoserver.json")
}

fn tools() -> Tools {
    Tools {
        path: std::env::var_os("PATH"),
        ..Tools::default()
    }
}

fn options() -> LaunchOptions {
    let mut options = LaunchOptions::new("http://127.0.0.1:1", "secret");
    options.stop = StopTimes {
        interrupt: Duration::from_secs(20),
        terminate: Duration::from_secs(20),
    };
    options
}

async fn launch(server: &ServerFolder) -> Launch {
    prepare(server, &tools(), &|_| {}).await.unwrap()
}

async fn start(
    mode: &str,
    options: &LaunchOptions,
) -> (TempDir, Result<ServerProcess, ProcessError>) {
    let (folder, server) = stub(mode);
    let started = ServerProcess::start(&launch(&server).await, options).await;
    (folder, started)
}

async fn page(server: &ServerProcess) -> StatusPage {
    probe(&server.url(), Duration::from_secs(10)).await.unwrap()
}

/// Waits until the condition holds; the test's own time limit ends it otherwise.
async fn eventually(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether the process is there and no zombie.
fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}

#[tokio::test]
async fn a_server_gets_its_environment_and_is_interrupted_first() {
    let (folder, started) = start("good", &options()).await;
    let server = started.unwrap();
    let raw: serde_json::Value = page(&server).await.raw.decode().unwrap();
    let expected = serde_json::json!({
        "PORT": server.port().to_string(), "SERVER_UID": "stub", "SERVER_PACKAGE_ID": "stub-package", "SERVER_DISPLAY_NAME": "Stub",
        "DOMAIN": "d.test", "NANOCORE_TOKEN": "secret", "NANOCORE_HTTP_ENDPOINT": "http://127.0.0.1:1", "NANOCORE_ENDPOINT": "http://127.0.0.1:1",
        "PYTHONUNBUFFERED": "1", "VIRTUAL_ENV": folder.path().canonicalize().unwrap().join("venv"), "NANOSDK_LOG_LEVEL": null,
    });
    assert_eq!(raw["environment"], expected);
    assert_eq!(
        raw["cwd"],
        folder.path().canonicalize().unwrap().to_str().unwrap()
    );
    let pid = server.pid().unwrap().to_string();
    let exit = server.stop().await;
    assert!(
        exit.success && exit.last_lines == ["got SIGINT"],
        "{exit:?}"
    );
    assert!(!is_alive(&pid));
}

#[tokio::test]
async fn who_minds_no_signal_is_killed_after_both() {
    let mut options = options();
    // Enough to say which signals came, however busy the machine.
    options.stop.interrupt = Duration::from_secs(3);
    let (_folder, started) = start("ignores-sigint", &options).await;
    let exit = started.unwrap().stop().await;
    assert!(
        exit.success && exit.last_lines == ["got SIGINT", "got SIGTERM"],
        "{exit:?}"
    );

    options.stop.terminate = Duration::from_secs(3);
    let (_folder, started) = start("stubborn", &options).await;
    let exit = started.unwrap().stop().await;
    assert!(
        exit.status.contains("SIGKILL") && exit.last_lines == ["got SIGINT", "got SIGTERM"],
        "{exit:?}"
    );
}

#[tokio::test]
async fn an_early_end_is_told_with_its_last_lines() {
    let (_folder, started) = start("broken", &options()).await;
    let error = started.unwrap_err();
    assert!(matches!(error, ProcessError::Ended { .. }));
    let text = error.to_string();
    assert!(
        text.contains("exit status: 1")
            && text.contains("first line")
            && text.contains("ValueError: the model file is missing"),
        "{text}"
    );

    let (_folder, started) = start("returns", &options()).await;
    assert!(matches!(
        started.unwrap_err(),
        ProcessError::EndedAtOnce { .. }
    ));
}

#[tokio::test]
async fn a_foreign_server_on_the_port_is_noticed() {
    let (_folder, started) = start("foreign", &options()).await;
    let text = started.unwrap_err().to_string();
    assert!(
        text.contains("somebody-else") && text.contains("not by stub"),
        "{text}"
    );
}

#[tokio::test]
async fn a_server_that_is_never_ready_is_given_up() {
    let (_folder, started) = start(
        "never-ready",
        &LaunchOptions {
            ready_timeout: Duration::from_secs(1),
            ..options()
        },
    )
    .await;
    assert!(matches!(
        started.unwrap_err(),
        ProcessError::NotReady { .. }
    ));
}

#[tokio::test]
async fn a_crash_while_running_is_reported() {
    let (_folder, started) = start("crashes-later", &options()).await;
    let exit = started.unwrap().exited().await;
    assert_eq!(
        (exit.status.as_str(), exit.last_lines),
        ("exit status: 7", vec!["out of memory".to_owned()])
    );
}

#[tokio::test]
async fn a_server_that_prints_much_does_not_wait_for_a_reader() {
    let (_folder, started) = start("noisy", &options()).await;
    let server = started.unwrap();
    assert!(
        server
            .last_lines()
            .iter()
            .all(|line| line.len() <= 16 << 10)
    );
    server.stop().await;
}

#[tokio::test]
async fn what_a_server_started_ends_with_it() {
    for is_dropped in [true, false] {
        let (_folder, started) = start("family", &options()).await;
        let server = started.unwrap();
        let pid = server.pid().unwrap().to_string();
        eventually(|| !server.last_lines().is_empty()).await;
        let grandchild = server.last_lines()[0]
            .trim_start_matches("grandchild ")
            .to_owned();
        assert!(is_alive(&pid) && is_alive(&grandchild));
        if is_dropped {
            drop(server)
        } else {
            drop(server.stop().await)
        }
        eventually(|| !is_alive(&pid) && !is_alive(&grandchild)).await;
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let (_folder, server) = stub("good");
    std::fs::remove_dir_all(server.folder.join("venv")).unwrap();
    let tools = Tools {
        python: "/nowhere/python9".into(),
        ..tools()
    };
    let said = Mutex::new(Vec::new());
    let error = prepare(&server, &tools, &|line| {
        said.lock().unwrap().push(line.to_owned())
    })
    .await
    .unwrap_err();
    assert!(error.to_string().contains("`/nowhere/python9`"), "{error}");
    assert_eq!(*said.lock().unwrap(), ["making a virtual environment"]);
}
