//! Servers that fail, each in its way.

use std::net::TcpListener;

use nanocore::process::StopTimes;
use nanocore::supervisor::{RestartPolicy, ServerState, SupervisorOptions};
use nanocore::workflow::{Catalog, GraphNode};
use std::time::Duration;

use super::support::{Bench, commanded, eventually, is_alive, javascript, quick, signal};

#[tokio::test]
async fn a_server_that_crashes_is_started_again_on_its_port() {
    let mut bench = Bench::start(|home| vec![javascript(home, "one")]).await;
    let first = bench.state("one", ServerState::Ready).await;
    signal(first.pid.unwrap(), "-KILL");
    let event = bench
        .event("server_state", |event| event["state"] == "backoff")
        .await;
    assert_eq!(event["failedStarts"], 1);
    assert!(
        event["nextStart"].is_string() && event["error"].as_str().unwrap().contains("signal: 9"),
        "{event}"
    );
    let second = bench.ready_again("one", first.pid).await;
    assert_eq!(
        (second.port, second.starts, second.failed_starts),
        (first.port, 2, 1)
    );
    assert_eq!(bench.pool.clients().len(), 1);
    bench.supervisor.shutdown().await;
}

// spec: nanograph N4
#[tokio::test]
async fn an_entry_point_that_returns_is_given_up_with_a_hint() {
    let bench = Bench::start(|home| {
        vec![commanded(
            home,
            "one",
            "echo '[NANOSERVER_READY]'; echo '[NanoSDK@one] | [INFO] bye' >&2",
        )]
    })
    .await;
    let status = bench.state("one", ServerState::Failed).await;
    let error = status.last_error.unwrap();
    assert!(
        error.message.contains("must wait after `start()`"),
        "{error:?}"
    );
    assert_eq!(error.stderr, ["[NanoSDK@one] | [INFO] bye"]);
    assert_eq!(
        (status.starts, status.failed_starts, status.pid),
        (3, 3, None)
    );
    // It is left alone until somebody says otherwise, and has all its attempts again then.
    bench.change("one", |entry| {
        entry.command = Some(["node", "main.js"].map(str::to_owned).to_vec())
    });
    let status = bench.state("one", ServerState::Ready).await;
    assert_eq!((status.failed_starts, status.last_error), (0, None));
    bench.supervisor.shutdown().await;
}

#[tokio::test]
async fn a_server_that_ends_before_it_is_ready_has_nothing_to_stop() {
    let mut bench = Bench::start(|home| vec![commanded(home, "one", "exit 3")]).await;
    let mut states = Vec::new();
    loop {
        let event = bench.event("server_state", |_| true).await;
        let state = event["state"].as_str().unwrap().to_owned();
        let is_over = state == "failed";
        if state == "backoff" {
            let error = event["error"].as_str().unwrap();
            assert_eq!(error, "it ended before it was ready (exit status: 3)");
        }
        states.push(state);
        if is_over {
            break;
        }
    }
    let attempt = ["installing", "starting", "backoff"];
    let mut expected = [attempt, attempt, attempt].concat();
    expected[8] = "failed";
    assert_eq!(states, expected);
    bench.supervisor.shutdown().await;
}

#[tokio::test]
async fn a_node_of_a_server_in_backoff_is_told_with_its_next_start() {
    let options = SupervisorOptions {
        restart: RestartPolicy {
            backoff_min: Duration::from_secs(600),
            backoff_max: Duration::from_secs(600),
            ..quick().restart
        },
        ..quick()
    };
    let bench = Bench::start_with(options, |home| vec![javascript(home, "one")]).await;
    let ready = bench.state("one", ServerState::Ready).await;
    let node = GraphNode::new(1, "upper-case");
    assert!(bench.pool.resolve(&node).is_some());
    signal(ready.pid.unwrap(), "-KILL");
    bench.state("one", ServerState::Backoff).await;
    let told = bench.pool.absence(&node).unwrap();
    let begins = "server \"Server one\" (one) has it, but is in backoff: it ended (signal: 9";
    assert!(told.starts_with(begins), "{told}");
    assert!(
        told.contains("it is started again in ") && told.contains("nodewire logs one"),
        "{told}"
    );
    bench.supervisor.shutdown().await;
}

#[tokio::test]
async fn what_it_said_last_is_in_its_status() {
    let bench = Bench::start(|home| {
        let script = "i=0; while [ $i -lt 80 ]; do i=$((i+1)); echo line $i >&2; done; exit 3";
        vec![commanded(home, "one", script)]
    })
    .await;
    let status = bench.state("one", ServerState::Failed).await;
    let error = status.last_error.unwrap();
    assert!(error.message.contains("exit status: 3"), "{error:?}");
    assert_eq!(error.stderr.len(), 50);
    assert_eq!(
        (error.stderr[0].as_str(), error.stderr[49].as_str()),
        ("line 31", "line 80")
    );
    assert!(bench.supervisor.restart_server("one").await.is_ok());
    bench
        .until("one", "started again", |status| status.starts > 3)
        .await;
    bench.supervisor.shutdown().await;
}

#[tokio::test]
async fn somebody_else_on_the_port_is_no_reason_to_try_again() {
    let bench =
        Bench::start(|home| vec![commanded(home, "one", "SERVER_UID=other exec node main.js")])
            .await;
    let status = bench.state("one", ServerState::Failed).await;
    let error = status.last_error.unwrap();
    assert!(error.message.contains("other"), "{error:?}");
    assert_eq!((status.starts, status.pid), (1, None));
    assert!(bench.pool.clients().is_empty());
    bench.supervisor.shutdown().await;
}

// spec: nanograph N3
#[tokio::test]
async fn a_port_that_is_taken_is_changed_and_said() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port();
    let bench = Bench::start(|home| {
        let mut entry = javascript(home, "one");
        entry.port = Some(taken);
        vec![entry]
    })
    .await;
    let status = bench.state("one", ServerState::Ready).await;
    assert_ne!(status.port, Some(taken));
    assert!(
        status.notes[0].contains(&taken.to_string()),
        "{:?}",
        status.notes
    );
    assert_eq!(
        bench.registry.load().unwrap().get("one").unwrap().port,
        status.port
    );
    assert_eq!((status.starts, status.failed_starts), (1, 0));
    bench.supervisor.shutdown().await;
}

#[tokio::test]
async fn a_folder_that_is_no_server_fails_without_a_loop_and_recovers() {
    let bench = Bench::start(|home| {
        let entry = javascript(home, "one");
        std::fs::remove_file(home.join("one/package.json")).unwrap();
        vec![entry]
    })
    .await;
    let status = bench.state("one", ServerState::Failed).await;
    assert!(status.last_error.unwrap().message.contains("package.json"));
    assert!(
        status
            .problems
            .iter()
            .any(|finding| finding.key.as_deref() == Some("package.json"))
    );
    assert_eq!(status.starts, 0);
    std::fs::write(
        bench.home.join("one/package.json"),
        r#"{"scripts": {"start": "node main.js"}}"#,
    )
    .unwrap();
    bench.supervisor.restart_server("one").await.unwrap();
    bench.state("one", ServerState::Ready).await;
    bench.supervisor.shutdown().await;
}

#[tokio::test]
async fn who_is_never_ready_is_stopped_and_counts_as_crashed() {
    let bench = Bench::start(|home| {
        let mut entry = commanded(home, "one", "echo loading >&2; exec sleep 600");
        entry.start_timeout = Some(Duration::from_millis(200));
        vec![entry]
    })
    .await;
    let status = bench.state("one", ServerState::Failed).await;
    assert!(
        status
            .last_error
            .unwrap()
            .message
            .contains("not ready within")
    );
    assert_eq!(status.starts, 3);
    bench.supervisor.shutdown().await;
}

#[tokio::test]
async fn the_stubborn_and_what_they_started_are_killed_and_others_do_not_wait() {
    let options = SupervisorOptions {
        stop: StopTimes {
            interrupt: Duration::from_millis(100),
            terminate: Duration::from_millis(100),
        },
        ..quick()
    };
    let script = "trap '' INT TERM; sleep 600 & echo $! > child.txt; node main.js; sleep 600";
    let bench = Bench::start_with(options, |home| {
        vec![
            commanded(home, "one", script),
            commanded(home, "two", script),
        ]
    })
    .await;
    let mut pids = Vec::new();
    for name in ["one", "two"] {
        pids.push(bench.state(name, ServerState::Ready).await.pid.unwrap());
        let child = std::fs::read_to_string(bench.home.join(name).join("child.txt")).unwrap();
        pids.push(child.trim().parse().unwrap());
    }
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    bench.supervisor.shutdown().await;
    // Killed, and perhaps not reaped yet by whoever they were left to.
    eventually("all are gone", || !pids.iter().any(|pid| is_alive(*pid))).await;
}

#[tokio::test]
async fn a_start_can_be_taken_back_at_any_time() {
    let bench = Bench::start(|home| vec![commanded(home, "one", "exec sleep 600")]).await;
    let pid = bench.state("one", ServerState::Starting).await;
    assert_eq!(pid.state, ServerState::Starting);
    bench.supervisor.stop_server("one").await.unwrap();
    let status = bench.state("one", ServerState::Stopped).await;
    assert_eq!(status.pid, None);
    bench.supervisor.shutdown().await;
}

// Two daemons that start at the same time choose the same ports.
#[tokio::test]
async fn a_port_that_is_taken_while_a_server_starts_is_no_crash() {
    for answers in [false, true] {
        // The first start waits until its port is taken; then it fails for it, or goes on waiting.
        let first = if answers {
            "exec sleep 600"
        } else {
            "while [ ! -e taken ]; do sleep 0.05; done"
        };
        let script = format!("[ -e second ] || {{ touch second; {first}; }}; exec node main.js");
        let bench = Bench::start(|home| vec![commanded(home, "one", &script)]).await;
        let status = bench
            .until("one", "starting", |status| status.pid.is_some())
            .await;
        let port = status.port.unwrap();
        let listener = TcpListener::bind(("0.0.0.0", port)).unwrap();
        if answers {
            std::thread::spawn(move || {
                while let Ok((mut stream, _)) = listener.accept() {
                    let answer =
                        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                    drop(std::io::Read::read(&mut stream, &mut [0; 1024]));
                    drop(std::io::Write::write_all(&mut stream, answer));
                }
            });
        } else {
            std::fs::write(bench.home.join("one/taken"), "").unwrap();
        }
        let status = bench.state("one", ServerState::Ready).await;
        assert_ne!(status.port, Some(port));
        assert_eq!(
            (status.starts, status.failed_starts, status.last_error),
            (2, 0, None)
        );
        assert!(
            status.notes[0].contains(&port.to_string()),
            "{:?}",
            status.notes
        );
        bench.supervisor.shutdown().await;
    }
}
