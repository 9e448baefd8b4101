//! `nodewire call`.

use std::sync::atomic::Ordering;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Served, WIRES, end_of, ended, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_go_in_and_come_out_on_every_wire() {
    let served = Served::start().await;
    for wire in WIRES {
        let arguments = [
            "call", "echo", "text=a", "text=b c", "--param", "prefix=1", "--via", wire,
        ];
        let told = ended(served.on_all(&arguments)).await;
        assert_eq!(
            (told.status, told.stdout.as_str()),
            (0, "text: 1a\ntext: 1b c\n"),
            "{wire}: {told:?}"
        );
        let told = ended(served.on(wire, &["call", "echo", "text=x", "--json"])).await;
        assert_eq!(told.json()["outputs"]["text"][0], "> x", "{wire}");
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_a_parameter_where_it_is_no_input_and_told_where_it_is_neither() {
    let served = Served::start().await;
    for wire in WIRES {
        let told = ended(served.on(wire, &["call", "echo", "text=x", "prefix=1"])).await;
        assert_eq!(
            (told.status, told.stdout.as_str()),
            (0, "text: 1x\n"),
            "{wire}: {told:?}"
        );
        let told = ended(served.on(wire, &["call", "echo", "text=x", "txt=y"])).await;
        let warning = "`echo` tells of no input `txt`; it has text, prefix";
        assert!(told.stderr.contains(warning), "{wire}: {told:?}");
    }
    let told = ended(served.on("http", &["call", "echo", "text=x", "-p", "text=y"])).await;
    let warning = "`text` is an input of `echo`: give text=VALUE without --param";
    assert!(told.stderr.contains(warning), "{told:?}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_bytes_and_come_back_raw() {
    let served = Served::start().await;
    std::fs::write(served.folder.path().join("data"), "abc").unwrap();
    for wire in ["nats", "nnrp", "http"] {
        let told = ended(served.on(wire, &["call", "reverse", "data=@data", "--raw"])).await;
        assert_eq!(
            (told.status, told.stdout.as_str()),
            (0, "cba"),
            "{wire}: {told:?}"
        );
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_is_told_apart_from_results() {
    let served = Served::start().await;
    for wire in ["nanograph", "nats", "nnrp", "http"] {
        let told = ended(served.on(wire, &["call", "progress"])).await;
        assert_eq!(
            (told.status, told.stdout.as_str()),
            (0, "n: 3\n"),
            "{wire}: {told:?}"
        );
        assert!(told.stderr.contains("3/3 step 3"), "{wire}: {told:?}");
        let told = ended(served.on(wire, &["call", "progress", "--stream", "--json"])).await;
        let events: Vec<serde_json::Value> = told
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let names: Vec<_> = events
            .iter()
            .map(|event| event["event"].as_str().unwrap())
            .collect();
        let expected = ["progress", "progress", "progress", "partial", "completed"];
        assert_eq!(names, expected, "{wire}");
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_have_their_kind_and_status() {
    let served = Served::start().await;
    for wire in WIRES {
        let told = ended(served.on(wire, &["call", "echo"])).await;
        let kind = if wire == "nanograph" {
            "failed"
        } else {
            "invalid_input"
        };
        assert_eq!(told.status, 1, "{wire}: {told:?}");
        assert!(
            told.stderr.contains(&format!("{kind}: ")),
            "{wire}: {told:?}"
        );
        let told = ended(served.on(wire, &["call", "wait", "--timeout", "0.2", "--json"])).await;
        assert_eq!(told.status, 1, "{wire}: {told:?}");
        assert_eq!(told.json()["error"]["kind"], "deadline", "{wire}");
        let told = ended(served.on(wire, &["call", "ech"])).await;
        assert_eq!(told.status, 2, "{wire}: {told:?}");
        assert!(
            told.stderr.contains("did you mean echo?"),
            "{wire}: {told:?}"
        );
    }
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_cancels_the_execution() {
    let served = Served::start().await;
    for (begun, wire) in WIRES.into_iter().enumerate() {
        let child = served.on(wire, &["call", "wait"]).spawn().unwrap();
        until("it has begun", || {
            served.begun.load(Ordering::SeqCst) > begun
        })
        .await;
        let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
        kill(pid, Signal::SIGINT).unwrap();
        let told = end_of(child).await;
        assert_eq!(told.status, 130, "{wire}: {told:?}");
        until("it is told", || {
            served.told_to_stop.load(Ordering::SeqCst) > begun
        })
        .await;
    }
    served.stop().await;
}
