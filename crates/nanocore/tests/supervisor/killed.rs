//! A supervisor that is killed leaves no orphans for long.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use nanocore::supervisor::ServerState;

use super::support::{Bench, commanded, eventually, is_alive, quick, signal};

const HOME: &str = "SUPERVISOR_TEST_HOME";

/// What is run, and killed, as a process of its own.
#[tokio::test]
#[ignore = "run by the test below"]
async fn supervise_until_killed() {
    let home = PathBuf::from(std::env::var_os(HOME).unwrap());
    let bench = Bench::over(None, home.clone(), quick()).await;
    let status = bench.state("one", ServerState::Ready).await;
    std::fs::write(home.join("ready.new"), status.pid.unwrap().to_string()).unwrap();
    std::fs::rename(home.join("ready.new"), home.join("ready.txt")).unwrap();
    std::future::pending::<()>().await;
}

/// A disk without room is like a folder in the place of the file that is written first.
#[tokio::test]
async fn a_record_of_processes_that_cannot_be_written_keeps_nobody_from_starting() {
    let root = tempfile::tempdir().unwrap();
    let home = root.path().canonicalize().unwrap();
    let registry = nanocore::registry::Registry::new(home.join("nodeservers.json"));
    registry
        .put(commanded(&home, "one", "exec node main.js"))
        .unwrap();
    let of_before = r#"[{"serverUid": "one", "mark": "x", "boot": "before", "pid": 1, "startTime": 1, "port": 1}]"#;
    std::fs::write(home.join("processes.json"), of_before).unwrap();
    std::fs::create_dir(home.join("processes.json.new")).unwrap();
    let bench = Bench::over(None, home.clone(), quick()).await;
    let status = bench.state("one", ServerState::Ready).await;
    assert!(
        status
            .notes
            .iter()
            .any(|note| note.contains("could not be recorded")),
        "{:?}",
        status.notes
    );
    bench.supervisor.shutdown().await;
    assert!(!is_alive(status.pid.unwrap()));
}

#[tokio::test]
async fn the_next_supervisor_ends_what_a_killed_one_left() {
    let root = tempfile::tempdir().unwrap();
    let home = root.path().canonicalize().unwrap();
    let script = "sleep 600 & echo $! > child.txt; exec node main.js";
    let registry = nanocore::registry::Registry::new(home.join("nodeservers.json"));
    registry.put(commanded(&home, "one", script)).unwrap();
    let mut first = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::supervise_until_killed", "--ignored"])
        .env(HOME, &home)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the first one is ready", || home.join("ready.txt").exists()).await;
    let read = |path: PathBuf| {
        std::fs::read_to_string(path)
            .unwrap()
            .trim()
            .parse::<u32>()
            .unwrap()
    };
    let (server, child) = (
        read(home.join("ready.txt")),
        read(home.join("one/child.txt")),
    );
    signal(first.id(), "-KILL");
    first.wait().unwrap();
    assert!(
        is_alive(server) && is_alive(child),
        "an orphan, which is what this is about"
    );

    // What a shell starts beside itself minds no SIGINT, and has 20 s. Nobody waits for that.
    let second = Bench::over(None, home, quick()).await;
    assert!(is_alive(child), "it is still being ended");
    let status = second.supervisor.get("one").unwrap();
    assert_eq!((status.pid, status.starts), (None, 0), "{status:?}");
    let asked = second.supervisor.clone();
    let asked = tokio::spawn(async move { asked.start_server("one").await });
    second
        .until("one", "waiting", |status| !status.notes.is_empty())
        .await;
    assert_eq!(second.supervisor.get("one").unwrap().starts, 0);
    signal(child, "-KILL");
    let status = second
        .until("one", "started", |status| status.starts > 0)
        .await;
    // Ended before anything was started, so the port was free again.
    assert!(!is_alive(server) && !is_alive(child), "{status:?}");
    asked.await.unwrap().unwrap();
    let status = second.state("one", ServerState::Ready).await;
    assert_ne!(status.pid, Some(server));
    assert!(
        !status.notes.iter().any(|note| note.contains("is taken")),
        "{:?}",
        status.notes
    );
    second.supervisor.shutdown().await;
}
