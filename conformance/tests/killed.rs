//! The server's process is killed under load: every caller learns of it, in the words of its client; none hangs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use nodewire::capability::Wire;
use nodewire_conformance::callers::{Caller, End};
use nodewire_conformance::{Addresses, Door, PATIENCE};
use nodewire_testkit::{NatsServer, PeerProcess};
use serde_json::json;
use tokio::process::Command;
use tokio::task::JoinSet;

/// Executions of each wire that run when the server is killed.
const RUNNING: usize = 4;

/// Where a wire does not tell that its server is gone, an answer is given up after so long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Between asking and the end that is told, beyond [`ANSWER_TIMEOUT`], on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(65);

async fn start(broker: &NatsServer) -> (PeerProcess, Addresses) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conformance-server"));
    command.arg(broker.url());
    let mut process = PeerProcess::spawn(command).unwrap();
    process.wait_for_output("serving ", PATIENCE).await.unwrap();
    let logs = process.logs();
    let told = logs.lines().find_map(|line| line.strip_prefix("serving "));
    (process, Addresses::from_json(told.unwrap()).unwrap())
}

async fn connect(wire: Wire, addresses: &Addresses) -> Caller {
    let caller = Caller::connect(wire, addresses, ANSWER_TIMEOUT).await;
    caller.unwrap_or_else(|error| panic!("{wire}: {error:#}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_caller_learns_that_the_server_was_killed() {
    let broker = NatsServer::start().await.unwrap();
    let (mut process, addresses) = start(&broker).await;
    let (mut callers, mut calls) = (Vec::new(), Vec::new());
    for wire in Wire::ALL {
        let caller = connect(wire, &addresses).await;
        for _ in 0..RUNNING {
            let call = caller.begin("wait", json!({})).await;
            calls.push((wire, call.unwrap_or_else(|end| panic!("{wire}: {end:?}"))));
        }
        callers.push((wire, caller));
    }
    all_run(&addresses, calls.len()).await;
    let mut load = JoinSet::new();
    for wire in Wire::ALL {
        let caller = connect(wire, &addresses).await;
        load.spawn(async move { (wire, echo_until_lost(&caller).await) });
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    process.signal("KILL").unwrap();
    process.wait(PATIENCE).await.unwrap();
    // What ran, what comes now, and what was asked for all the time.
    for (wire, call) in calls {
        load.spawn(async move { (wire, call.end().await) });
    }
    for (wire, caller) in callers {
        load.spawn(async move { (wire, caller.run("echo", json!({"text": ["a"]})).await) });
    }
    let ended = tokio::time::timeout(LIMIT, load.join_all()).await;
    let ended = ended.expect("nobody hangs");
    assert_eq!(ended.len(), Wire::ALL.len() * (RUNNING + 2));
    for (wire, end) in ended {
        is_lost(wire, end);
    }
}

/// As curl hears it from the server.
async fn all_run(addresses: &Addresses, count: usize) {
    let mut door = Door::open(Wire::Http, addresses).await.unwrap();
    let run = async {
        while door
            .ask(json!({"op": "stats", "node": "wait"}))
            .await
            .unwrap()["running"]
            != count
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, run).await.expect("all run");
}

async fn echo_until_lost(caller: &Caller) -> End {
    loop {
        match caller.run("echo", json!({"text": ["a"]})).await {
            End::Completed => {}
            end @ (End::Told(_) | End::Lost(_)) => return end,
        }
    }
}

fn is_lost(wire: Wire, end: End) {
    match end {
        End::Lost(words) => assert!(!words.is_empty(), "{wire} says nothing"),
        End::Completed | End::Told(_) => panic!("{wire}: {end:?} from a dead server"),
    }
}
