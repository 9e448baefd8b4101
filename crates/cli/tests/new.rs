//! `nodewire new`: what it makes is built, tested, started and called.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// Nobody else builds a program of this name into the same folder.
const NAME: &str = "nodewire-new-project";

fn nodewire() -> assert_cmd::Command {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_nodewire"));
    command.env_remove("NODEWIRE_LOG_FORMAT");
    command
}

/// Where this test was built: most of what the project needs is there already.
fn target() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.ancestors().nth(3).unwrap().to_owned()
}

fn cargo(project: &Path, arguments: &[&str]) {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(project)
        .env("CARGO_TARGET_DIR", target())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{said}");
}

/// A process that is killed if the test fails half-way.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_new_project_is_tested_started_called_and_can_be_registered() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("project");
    let made = nodewire()
        .args(["new", NAME, "--path", project.to_str().unwrap()])
        .assert()
        .success();
    let told = String::from_utf8_lossy(&made.get_output().stdout).into_owned();
    assert!(
        told.contains("cargo run") && told.contains("curl"),
        "{told}"
    );
    let said = String::from_utf8_lossy(&made.get_output().stderr).into_owned();
    assert!(said.contains("it uses the crate nodewire in"), "{said}");
    let token = project.join("http.token");
    assert_eq!(
        fs::metadata(&token).unwrap().permissions().mode() & 0o077,
        0
    );

    // Builds the program, too.
    cargo(&project, &["test", "--offline"]);
    serve_and_call(&project, fs::read_to_string(&token).unwrap().trim());

    nodewire()
        .arg("validate")
        .arg(&project)
        .env("NANOCORE_DATA", folder.path().join("data"))
        .assert()
        .success();
}

fn serve_and_call(project: &Path, token: &str) {
    let mut log = tempfile::tempfile().unwrap();
    let child = Command::new(target().join("debug").join(NAME))
        .current_dir(project)
        .args([
            "--nanograph-listen=127.0.0.1:0",
            "--http-listen=127.0.0.1:0",
        ])
        .args(["--nnrp-listen=127.0.0.1:0", "--autotrainer-event-port=0"])
        .args(["--autotrainer-command-port=0", "--log-format=json"])
        .stdout(Stdio::piped())
        .stderr(log.try_clone().unwrap())
        .spawn();
    let mut running = Running(child.unwrap());
    let mut line = String::new();
    let stdout = running.0.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let mut text = String::new();
    log.rewind().unwrap();
    log.read_to_string(&mut text).unwrap();
    assert_eq!(line, "[NANOSERVER_READY]\n", "{text}");
    for wire in [
        "the Nanograph wire",
        "the Autotrainer wire",
        "the NNRP wire",
        "plain HTTP",
    ] {
        assert!(
            text.contains(&format!("serving {wire}")),
            "{wire} in {text}"
        );
    }
    assert!(project.join("nnrp.pem").exists());

    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let http = lines
        .into_iter()
        .find(|line| line["message"] == "serving plain HTTP");
    let address = http.unwrap()["address"].as_str().unwrap().parse().unwrap();
    let answer = call(address, token);
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("Hello, Ada!"),
        "{answer}"
    );

    nodewire_testkit::signal(running.0.id(), "-TERM").unwrap();
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
}

fn call(address: SocketAddr, token: &str) -> String {
    let body = r#"{"inputs": {"names": ["Ada"]}}"#;
    let length = body.len();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST /nodes/greet/execute HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn bad_names_and_used_folders_are_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str]| {
        let made = nodewire()
            .current_dir(folder.path())
            .arg("new")
            .args(arguments)
            .assert()
            .code(2);
        String::from_utf8_lossy(&made.get_output().stderr).into_owned()
    };
    assert!(refused(&["2fast"]).contains("begins with a letter"));
    assert!(refused(&["async"]).contains("choose another name"));
    assert!(refused(&["a", "--nodewire-path", "/"]).contains("is not the crate `nodewire`"));
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none());

    fs::create_dir(folder.path().join("used")).unwrap();
    fs::write(folder.path().join("used/file"), "").unwrap();
    assert!(refused(&["used"]).contains("is not empty"));
    assert!(refused(&["fine", "--path", "used/file"]).contains("cannot be used"));
    assert_eq!(fs::read_dir(folder.path().join("used")).unwrap().count(), 1);
}

#[test]
fn a_checkout_can_be_named_and_an_empty_folder_used() {
    let folder = tempfile::tempdir().unwrap();
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::create_dir(folder.path().join("fine")).unwrap();
    nodewire()
        .current_dir(folder.path())
        .args(["new", "fine", "--nodewire-path", checkout.to_str().unwrap()])
        .assert()
        .success();
    let manifest = fs::read_to_string(folder.path().join("fine/Cargo.toml")).unwrap();
    let crate_path = checkout.join("crates/nodewire").canonicalize().unwrap();
    let dependency = format!("nodewire = {{ path = {crate_path:?} }}");
    assert!(manifest.contains(&dependency), "{manifest}");
    assert!(!manifest.contains("{{"), "{manifest}");
}
