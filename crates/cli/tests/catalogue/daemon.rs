//! The node servers that a running daemon knows.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use nats_broker::Broker;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nodewire::nats::NatsConfig;
use nodewire::{NodeServer, RunningServer};
use tokio::process::{Child, Command};

use crate::support::{Ended, PATIENCE, any_command, echo, end_of, ended, nodewire};

/// `nodewire up`, with its data in the folder.
pub(crate) struct Daemon {
    child: Child,
}

impl Daemon {
    /// Started with this command's environment, once it answers.
    pub(crate) async fn start(folder: &Path, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = any_command(folder, &["up", "--bind", "127.0.0.1:0"]);
        change(&mut command);
        // Nobody reads what it says.
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(folder.join("daemon.log"))
            .unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        let status = || any_command(folder, &["status", "--json"]);
        asked_until(status, |told| {
            // It is written a moment later.
            told.status == 0 && folder.join("data/nats-url").exists()
        })
        .await;
        Self { child }
    }

    pub(crate) async fn stop(self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        end_of(self.child).await;
    }
}

/// The embedded broker's address, with its password.
pub(crate) fn embedded_url(folder: &Path) -> String {
    let text = std::fs::read_to_string(folder.join("data/nats-url")).unwrap();
    text.trim().to_owned()
}

/// Asks until it is so.
pub(crate) async fn asked_until(
    command: impl Fn() -> Command,
    is_so: impl Fn(&Ended) -> bool,
) -> Ended {
    let begun = tokio::time::Instant::now();
    loop {
        let told = ended(command()).await;
        if is_so(&told) {
            return told;
        }
        assert!(begun.elapsed() < PATIENCE, "waited too long: {told:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn serve(service: &str, url: &str) -> RunningServer {
    let builder = NodeServer::builder().node(echo());
    let builder = builder.nats(NatsConfig::new(service, "1.2.3", url));
    Box::pin(builder.build().unwrap().start()).await.unwrap()
}

fn servers(told: &Ended) -> Vec<String> {
    let told: serde_json::Value = serde_json::from_str(&told.stdout).unwrap_or_default();
    let servers = told["servers"].as_array().cloned().unwrap_or_default();
    let names = servers
        .iter()
        .map(|server| server["name"].as_str().unwrap().to_owned());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_are_registered_are_found_with_their_passwords() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), |_| {}).await;
    let broker = Broker::builder()
        .user_password("me", "very-secret")
        .start()
        .await
        .unwrap();
    let elsewhere = format!("nats://me:very-secret@{}", broker.addr());
    let own = serve("workers", &embedded_url(folder.path())).await;
    let other = serve("others", &elsewhere).await;
    let quiet = |arguments: &[&str]| any_command(folder.path(), arguments);
    let told = ended(quiet(&["register", "--nats", "workers"])).await;
    assert_eq!(told.status, 0, "{told:?}");
    let told = ended(quiet(&[
        "register",
        "--nats",
        "others",
        "--nats-url",
        &elsewhere,
    ]))
    .await;
    assert_eq!(told.status, 0, "{told:?}");

    let ls = || nodewire(folder.path(), &["ls", "--json"]);
    let told = asked_until(ls, |told| servers(told) == ["others", "workers"]).await;
    assert_eq!(told.status, 0, "{told:?}");
    assert!(!told.stdout.contains("very-secret"), "{told:?}");
    let told = ended(nodewire(folder.path(), &["call", "echo", "text=a"])).await;
    assert_eq!(told.stdout, "text: > a\n", "{told:?}");
    let told = ended(nodewire(
        folder.path(),
        &["top", "--once", "--json", "--interval", "0.1"],
    ))
    .await;
    assert_eq!(
        told.json()["nodes"].as_array().unwrap().len(),
        2,
        "{told:?}"
    );

    // The table decides whether the daemon is asked.
    let file = folder.path().join("nodewire.toml");
    for (text, is_asked) in [
        ("daemon = false", false),
        ("daemon = true", true),
        ("", true),
    ] {
        std::fs::write(&file, format!("[catalogue]\n{text}\n")).unwrap();
        let told = ended(nodewire(folder.path(), &["ls", "--json"])).await;
        assert_eq!(told.status == 0, is_asked, "{text}: {told:?}");
        assert_eq!(
            told.stderr.contains("nowhere to look"),
            !is_asked,
            "{text}: {told:?}"
        );
    }
    let told = ended(nodewire(folder.path(), &["ls", "--no-daemon"])).await;
    assert_eq!(told.status, 2, "{told:?}");

    own.stop().await;
    other.stop().await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_does_not_answer_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::builder().start().await.unwrap();
    let server = serve("workers", &broker.url()).await;
    // It takes connections, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let table = format!("[catalogue]\nnats = [\"{}/workers\"]\n", broker.url());
    std::fs::write(folder.path().join("nodewire.toml"), table).unwrap();
    let mut command = nodewire(folder.path(), &["ls", "--json"]);
    command.env("NANOCORE_URL", url);
    let told = ended(command).await;
    assert_eq!(
        (told.status, servers(&told)),
        (0, vec!["workers".to_owned()]),
        "{told:?}"
    );
    assert!(
        told.stderr
            .contains("the daemon's node servers are left out"),
        "{told:?}"
    );
    server.stop().await;
}
