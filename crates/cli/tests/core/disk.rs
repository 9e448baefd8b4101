//! A daemon whose disk takes no more: nothing of its history goes, whoever waits is told, and all is there when there is
//! room again.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::place::{Done, Place, Running, SERVER, until};

const TOKEN: &str = "a-token-for-tests";
/// Texts of this length reach so many nodes: more than the disk has left, and than the -wal file has room for.
const TEXT_BYTES: usize = 400_000;
const NODES: usize = 24;

/// How a daemon comes to a small disk, and the disk to be full.
enum Small {
    /// A file system of its own.
    Disk,
    /// Files may not become longer, as with a quota: the system refuses, but does not say that the disk is full.
    Files,
}

impl Small {
    /// The smallest of disks, if this machine lets a process have one; else what it does let.
    fn disk() -> Self {
        let mount = "mount -t tmpfs -o size=1m tmpfs /tmp";
        let may_mount = Command::new("unshare")
            .args(["-Urm", "sh", "-c", mount])
            .status();
        if may_mount.is_ok_and(|status| status.success()) {
            Self::Disk
        } else {
            Self::Files
        }
    }

    /// The command within it. What is `exec`ed keeps the process id.
    fn around(&self, command: &Command, data: &Path) -> Command {
        let script = match self {
            // Twice what a run gives, which is in the -wal file first, and room to spare.
            Self::Disk => "mount -t tmpfs -o size=48m tmpfs \"$0\" && exec \"$@\"",
            // 5 MiB, in blocks of 512 bytes; only the soft limit, so that it can be lifted.
            Self::Files => "trap '' XFSZ; ulimit -S -f 10240; exec \"$@\"",
        };
        let mut around = Command::new(match self {
            Self::Disk => "unshare",
            Self::Files => "sh",
        });
        if matches!(self, Self::Disk) {
            around.args(["-Urm", "sh"]);
        }
        around.args(["-c", script]).arg(data);
        around.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => around.env(name, value),
                None => around.env_remove(name),
            };
        }
        around
            .current_dir(command.get_current_dir().unwrap())
            .stdin(Stdio::null());
        around
    }

    fn fill(&self, scene: &Scene) {
        if let Self::Disk = self {
            let mut file = File::create(scene.filler()).unwrap();
            // To the last byte.
            for piece in [1 << 16, 1 << 10, 1] {
                while file.write_all(&vec![1; piece]).is_ok() {}
            }
        }
    }

    fn free(&self, scene: &Scene) {
        match self {
            Self::Disk => fs::remove_file(scene.filler()).unwrap(),
            Self::Files => {
                let pid = scene.daemon.pid().to_string();
                let lifted = Command::new("prlimit")
                    .args(["--pid", &pid, "--fsize=unlimited:"])
                    .status();
                assert!(lifted.unwrap().success());
            }
        }
    }
}

struct Scene {
    place: Place,
    daemon: Running,
    url: String,
}

impl Scene {
    fn start(small: &Small) -> Self {
        let place = Place::with_server();
        let data = place.path("data");
        // The registry stays where it is; what else is in the folder is on the small disk.
        let registry = place.path("registry.json");
        fs::rename(data.join("nodeservers.json"), &registry).unwrap();
        let mut up = place.nodewire(&["up", "--bind", "127.0.0.1:0", "--token", TOKEN]);
        up.args(["--nats", "off"]).env("NANOCORE_CONFIG", registry);
        let daemon = place.logged(small.around(&up, &data));
        let mut url = String::new();
        until("the daemon listens", || {
            let log = daemon.log();
            let listening = log.split_once("the daemon listens on ");
            let address = listening.and_then(|(_, rest)| rest.split_once(','));
            url = address.map(|(url, _)| url.to_owned()).unwrap_or_default();
            !url.is_empty()
        });
        let scene = Self { place, daemon, url };
        until("its server is ready", || {
            scene.json(&["status", "--json"])["servers"][0]["state"] == "ready"
        });
        scene
    }

    fn done(&self, arguments: &[&str]) -> Done {
        let at = ["--url", &self.url, "--token", TOKEN];
        self.place.done(&[arguments, &at].concat())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let done = self.done(arguments);
        assert_eq!(
            done.code,
            Some(0),
            "{arguments:?}: {done:?}\n{}",
            self.daemon.log()
        );
        serde_json::from_str(&done.stdout).unwrap()
    }

    /// The ids of all runs, newest first.
    fn runs(&self) -> Vec<String> {
        let listed = self.json(&["runs", "ls", "--json"]);
        let runs = listed["runs"].as_array().unwrap().iter();
        runs.map(|run| run["runId"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Takes the room on the daemon's disk, where only its processes see it.
    fn filler(&self) -> PathBuf {
        let root = format!("/proc/{}/root", self.daemon.pid());
        let inside = self.place.path("data/filler");
        Path::new(&root).join(inside.strip_prefix("/").unwrap())
    }
}

/// `words` to so many nodes, each of which makes another text of it.
fn graph(nodes: usize) -> String {
    let mut all =
        vec![json!({"id": 1, "name": "words", "uid": "text-input", "serverUid": "builtin"})];
    let mut links = Vec::new();
    for id in 2..2 + nodes {
        let suffix = json!({"suffix": format!("-{id}")});
        all.push(json!({"id": id, "uid": "upper-case", "serverUid": SERVER, "params": suffix}));
        links.push(json!({"id": id, "link": [1, "text", id, "in"]}));
    }
    json!({"nodes": all, "links": links}).to_string()
}

/// Runs until the disk is full, and further; what is told of it has these words.
fn runs_on(small: &Small, words: &str) {
    let scene = Scene::start(small);
    let place = &scene.place;
    let few = place.file("few.json", &graph(1));
    let many = place.file("many.json", &graph(NODES));
    // Few, so that the -wal file has room for a request while the disk has none.
    for word in ["a", "b", "c", "d"] {
        let input = format!("words={word}");
        let run = scene.done(&["run", &few, "--daemon", "--input", &input]);
        assert_eq!(run.code, Some(0), "{run:?}");
    }
    let before = scene.runs();
    assert_eq!(before.len(), 4);
    // It goes on while the disk comes to be full.
    let text = place.file("text", &"x".repeat(TEXT_BYTES));
    let input = format!("words=@{text}");
    small.fill(&scene);
    let run = [
        "run", &many, "--daemon", "--cache", "off", "--input", &input,
    ];
    let run = scene.done(&run);
    // It was executed to its end, whose results are told; only the disk has none of it.
    assert_eq!(run.code, Some(0), "{}\n{}", run.stderr, scene.daemon.log());
    assert!(
        run.stderr.contains("not on disk yet") && run.stderr.contains(words),
        "{}",
        run.stderr
    );
    assert_eq!(run.stdout.matches("X-25\n").count(), 1, "of the last node");

    let all = scene.runs();
    assert_eq!(all[1..], before, "nothing is forgotten");
    let status = scene.done(&["status"]);
    assert!(
        status.stderr.contains("the database cannot be written") && status.stderr.contains(words),
        "{status:?}"
    );
    assert!(status.stderr.contains("1 run that has ended"), "{status:?}");
    let info = &scene.json(&["status", "--json"])["info"];
    assert!(info["databaseProblem"].as_str().unwrap().contains(words));
    let shown = scene.json(&["runs", "show", &all[0], "--json"]);
    assert_eq!(shown["status"], "complete", "{}", shown["reason"]);
    let told = shown["notKept"].as_str().unwrap();
    assert!(
        told.contains(words) && told.contains("nanocore.db"),
        "{told}"
    );
    let log = scene.daemon.log();
    assert!(
        log.contains("the database cannot be written") && log.contains(words),
        "{log}"
    );
    // A request that finds no room says so, too, and why.
    let refused = scene.done(&["run", &many, "--daemon", "--input", &input_of(place)]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains(words), "{refused:?}");

    small.free(&scene);
    until("the end is on disk", || {
        let shown = scene.json(&["runs", "show", &all[0], "--json"]);
        shown["notKept"].is_null() && shown["status"] == "complete"
    });
    assert_eq!(scene.runs(), all);
    until("all is well again", || {
        !scene.done(&["status"]).stderr.contains("cannot be written")
    });
    let run = scene.done(&["run", &few, "--daemon", "--input", "words=last"]);
    assert_eq!(
        (run.code, run.stdout.contains("LAST-2")),
        (Some(0), true),
        "{run:?}"
    );
}

/// An input that the database has no room for.
fn input_of(place: &Place) -> String {
    let file = place.file("larger", &"y".repeat(12 << 20));
    format!("words=@{file}")
}

#[test]
fn a_full_disk_costs_no_history_and_nobody_waits_for_it() {
    let small = Small::disk();
    let words = match small {
        Small::Disk => "is full",
        Small::Files => "the system refuses to write",
    };
    runs_on(&small, words);
}

#[test]
fn files_that_may_not_grow_cost_no_history_and_nobody_waits_for_them() {
    runs_on(&Small::Files, "the system refuses to write");
}
