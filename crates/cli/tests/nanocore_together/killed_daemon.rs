//! The daemon is killed at random moments of durable runs: what was finished is not executed again, what was not is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt;
use nodewire_testkit::free_port;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::daemon::{Daemon, Place, until};
use crate::processes::processes_in;
use crate::runs::{SERVER, counting_lanes};

const STEPS: u64 = 50;
/// As many steps are under way at a time.
const LANES: u64 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemon_goes_on_with_durable_runs_where_they_were() {
    kill_during_runs(12, 7).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; CONTRIBUTING.md has the command"]
async fn a_daemon_is_killed_a_hundred_times() {
    kill_during_runs(100, 2026).await;
}

#[expect(
    clippy::print_stdout,
    reason = "the figures, for who runs it with --nocapture"
)]
async fn kill_during_runs(kills: u64, seed: u64) {
    let place = Place::with_javascript_server();
    let folder = place.path("javascript");
    let mut random = Random(seed);
    // Looks like one of the daemon's, but is somebody's own.
    let mut bystander = Bystander::start(&folder);
    let mut daemon = place.up().await;
    let (mut repeated, mut finished_before) = (0, 0);
    for round in 0..kills {
        let counted = place.path(&format!("counted-{round}"));
        let graph = counting_lanes(STEPS, LANES, &counted);
        daemon.ready(SERVER).await;
        let run_id = daemon
            .submit(&json!({"graph": graph, "durable": true, "cache": "off"}))
            .await;
        let finished = watch(&daemon, &run_id).await;
        let steps = random.below(STEPS);
        until("steps are executed", async || {
            (lines(&counted).len() as u64 >= steps).then_some(())
        })
        .await;
        std::thread::sleep(Duration::from_micros(random.below(8000)));
        daemon.kill();
        let finished = finished.await.unwrap();

        daemon = place.up().await;
        let run = daemon.finished(&run_id).await;
        let what = format!(
            "round {round}, killed after {steps} steps: {run}\n{}",
            daemon.log()
        );
        assert_eq!(run["status"], "complete", "{what}");
        let times = count(&lines(&counted));
        assert_eq!(
            times.keys().copied().collect::<Vec<_>>(),
            (1..=STEPS).collect::<Vec<_>>()
        );
        let again: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
        for step in &finished {
            assert_eq!(times[step], 1, "step {step} was finished; {what}");
        }
        // Only what was under way when the daemon was killed.
        assert!(again.len() as u64 <= LANES, "{again:?}; {what}");
        assert!(
            again.iter().all(|(_, times)| **times == 2),
            "{again:?}; {what}"
        );
        repeated += again.len();
        finished_before += finished.len();
        one_server_is_left(&folder, &bystander).await;
    }
    // Otherwise the moments were no good.
    assert!(
        finished_before > 0,
        "nothing was ever finished before a kill"
    );
    println!("{kills} kills: {finished_before} steps finished before, {repeated} executed again");
    assert!(bystander.is_running(), "somebody else's process was ended");
    place.succeed(&["down"]);
    daemon.ended().await;
    let left = processes_in(&folder);
    assert!(
        left.iter().all(|process| process.id == bystander.0.id()),
        "{left:?}"
    );
}

/// Steps that the daemon tells to be finished, until its end.
async fn watch(daemon: &Daemon, run_id: &str) -> JoinHandle<BTreeSet<u64>> {
    let events = format!("/runs/{run_id}/events?since=0");
    let response = daemon.stream(&events).await;
    assert!(response.status().is_success(), "{response:?}");
    let mut bytes = response.bytes_stream();
    tokio::spawn(async move {
        let (mut text, mut finished) = (Vec::new(), BTreeSet::new());
        while let Some(Ok(more)) = bytes.next().await {
            text.extend_from_slice(&more);
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<_> = text.drain(..=end).collect();
                finished.extend(finished_step(&line));
            }
        }
        finished
    })
}

/// The step that a line of the stream says is finished.
fn finished_step(line: &[u8]) -> Option<u64> {
    let event: Value = serde_json::from_slice(line.strip_prefix(b"data:")?).ok()?;
    (event["type"] == "node_complete").then(|| event["nodeId"].as_u64())?
}

/// What has been counted, without a line that is being written.
fn lines(file: &Path) -> Vec<u64> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| line.parse().unwrap()).collect()
}

fn count(steps: &[u64]) -> BTreeMap<u64, usize> {
    let mut times = BTreeMap::new();
    for step in steps {
        *times.entry(*step).or_default() += 1;
    }
    times
}

/// The killed daemon's server has ended or was adopted: there are not two.
async fn one_server_is_left(folder: &Path, bystander: &Bystander) {
    until("there is one server", async || {
        let others = processes_in(folder).into_iter();
        let groups: BTreeSet<_> = others
            .filter(|process| process.id != bystander.0.id())
            .map(|process| process.group)
            .collect();
        (groups.len() == 1).then_some(())
    })
    .await;
}

/// The same program in the same folder, started by hand; killed when dropped.
struct Bystander(Child);

impl Bystander {
    fn start(folder: &Path) -> Self {
        let child = Command::new("node")
            .arg("main.js")
            .current_dir(folder)
            .env("PORT", free_port().unwrap().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        // Fails if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Numbers that are the same for the same seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
