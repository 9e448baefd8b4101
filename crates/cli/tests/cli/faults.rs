//! What goes wrong, and the exit status that says so.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use super::setup::{Project, single, text_graph};

fn stderr(assert: &assert_cmd::assert::Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

#[test]
fn a_failing_node_is_status_1_with_its_error() {
    let project = Project::new();
    let graph = project.graph(&single("fail", "[]"));
    let text = stderr(&project.run(&graph).assert().code(1));
    assert!(
        text.contains("error: node 1 (fail) failed: boom: é \"quoted\""),
        "{text}"
    );
}

#[test]
fn a_wrong_command_line_or_graph_is_status_2() {
    let project = Project::new();
    let graph = project.graph(&text_graph());
    let cases: [(&[&str], &str); 7] = [
        (&["--input", "nobody=1"], "no node \"nobody\""),
        (&["--input", "shown=1"], "no input"),
        (&["--input", "words"], "expected NAME=VALUE"),
        (&["--input", "words=@/no/such/file"], "cannot read"),
        (&["--param", "nothing=1"], "expected NODE.NAME=VALUE"),
        (&["--target", "nobody"], "no node \"nobody\""),
        (&["--param", "2.count=99"], "param_range"),
    ];
    for (arguments, message) in cases {
        let text = stderr(&project.run(&graph).args(arguments).assert().code(2));
        assert!(text.contains(message), "{arguments:?}: {text}");
    }
    let text = stderr(
        &project
            .run(&project.graph("{\"nodes\": 5"))
            .assert()
            .code(2),
    );
    assert!(text.contains("not JSON"), "{text}");
    let text = stderr(&project.run("/no/such/graph.json").assert().code(2));
    assert!(text.contains("cannot read /no/such/graph.json"), "{text}");
}

#[test]
fn all_problems_of_a_graph_are_told_at_once() {
    let project = Project::without_server();
    let links = r#"[{"id": 1, "link": [1, "nothing", 2, "text"]}, {"id": 1, "link": [9, "text", 3, "value"]}]"#;
    let graph = text_graph();
    let graph = project.graph(&format!(
        "{}\"links\": {links}}}",
        graph.split("\"links\"").next().unwrap()
    ));
    let text = stderr(&project.run(&graph).assert().code(2));
    for problem in [
        "unknown_port",
        "duplicate_link_id",
        "unknown_node",
        "node_missing",
        "no nanoserver.json of the server trace-server",
    ] {
        assert!(text.contains(problem), "{problem}: {text}");
    }
}

#[test]
fn a_server_that_does_not_start_is_status_3_with_its_last_words() {
    let project = Project::new();
    project.file(
        "servers/python/main.py",
        "import sys\nsys.exit('no licence found')",
    );
    let text = stderr(&project.run(&project.graph(&text_graph())).assert().code(3));
    assert!(
        text.contains("server trace-server ended before it was ready")
            && text.contains("no licence found"),
        "{text}"
    );

    let text = stderr(
        &project
            .run(&project.graph(&text_graph()))
            .args(["--server", "http://127.0.0.1:1"])
            .assert()
            .code(3),
    );
    assert!(text.contains("127.0.0.1:1"), "{text}");
}

#[test]
fn a_time_limit_stops_the_run() {
    let project = Project::new();
    let graph = project.graph(&single("sleep", r#"[{"name": "seconds", "value": 600}]"#));
    let text = stderr(
        &project
            .run(&graph)
            .args(["--timeout", "0.5"])
            .assert()
            .code(1),
    );
    assert!(text.contains("--timeout"), "{text}");
}

/// Starts a run that sleeps, waits until it does, and gives the pid of its server too.
fn sleeping(project: &Project) -> (Child, BufReader<std::process::ChildStderr>, String) {
    let graph = project.graph(&single("sleep", r#"[{"name": "seconds", "value": 600}]"#));
    let mut child = Command::new(Project::binary())
        .args(["run", &graph])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("sleep-1: started") {
        line.clear();
        assert_ne!(
            lines.read_line(&mut line).unwrap(),
            0,
            "the run ended early"
        );
    }
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id()))
        .unwrap_or_default();
    let server =
        pid_of_server(child.id()).unwrap_or_else(|| panic!("no server among {children:?}"));
    (child, lines, server)
}

/// The child process that is the leader of a group of its own.
fn pid_of_server(parent: u32) -> Option<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| entry.file_name().into_string().ok())
        .find(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(')')
                .next()
                .is_some_and(|rest| rest.split_whitespace().nth(1) == Some(&parent.to_string()))
        })
}

fn signal(name: &str, pid: &str) {
    nodewire_testkit::signal(pid.parse().unwrap(), name).unwrap();
}

fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}

#[test]
fn ctrl_c_stops_the_run_and_the_servers() {
    for name in ["-INT", "-TERM", "-HUP"] {
        let project = Project::new();
        let (mut child, mut lines, server) = sleeping(&project);
        signal(name, &child.id().to_string());
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
        assert!(
            rest.contains("stopping") && rest.contains("sleep-1: "),
            "{rest}"
        );
        assert!(!is_alive(&server));
        // The server was asked, not killed: its shutdown handler ran.
        assert!(project.path().join("servers/python/shutdown.txt").exists());
    }
}

#[test]
fn a_server_that_dies_fails_its_nodes() {
    let project = Project::new();
    let (mut child, mut lines, server) = sleeping(&project);
    signal("-KILL", &server);
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{rest}");
    assert!(
        rest.contains("server trace-server ended (signal: 9 (SIGKILL))")
            && rest.contains("server_lost"),
        "{rest}"
    );
}

#[test]
fn an_output_that_the_server_cannot_send_fails_its_node_instead_of_hanging() {
    let project = Project::new();
    let graph = project.graph(&single("bad-output", "[]"));
    let text = stderr(&project.run(&graph).assert().code(1));
    assert!(
        text.contains("node 1 (bad-output) failed: status_undeliverable: the server could not send the node's status"),
        "{text}"
    );
}

#[test]
fn results_that_cannot_be_written_are_a_failure() {
    let project = Project::new();
    let graph = project.graph(&text_graph());
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_nodewire"));
    let output = command
        .arg("run")
        .arg(&graph)
        .stdout(full)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("standard output: No space left"), "{text}");
}

const NNRP_TOP: [&str; 6] = [
    "nnrp",
    "top",
    "nnrp+tcp://127.0.0.1:1",
    "--json",
    "--interval",
    "0.1",
];

#[test]
fn a_reader_that_goes_away_is_no_error() {
    // `top` ends as it would if it was asked to.
    for (arguments, code) in [(&["completions", "bash"][..], 0), (&NNRP_TOP, 3)] {
        let project = Project::without_server();
        let mut command = Command::new(env!("CARGO_BIN_EXE_nodewire"));
        command.args(arguments).current_dir(project.path());
        let ended = nodewire_testkit::status_without_reader(&mut command).unwrap();
        assert_eq!(ended, Some(code), "{arguments:?}");
    }
}

#[test]
fn a_secret_that_is_empty_opens_no_door() {
    let project = Project::without_server();
    for (command, variable) in [
        (
            &["micro", "broker", "--listen", "127.0.0.1:0"][..],
            "NODEWIRE_BROKER_TOKEN",
        ),
        (
            &["device", "app", "--event-port", "0", "--command-port", "0"],
            "NODEWIRE_DEVICE_APP_CURVE_KEY_FILE",
        ),
        (
            &["device", "call", "status"],
            "NODEWIRE_DEVICE_CURVE_SERVER_KEY",
        ),
    ] {
        let refused = project.nodewire().args(command).env(variable, "").assert();
        let code = refused.get_output().status.code();
        assert!(
            matches!(code, Some(1 | 2)),
            "{variable}: {}",
            stderr(&refused)
        );
    }
}

#[test]
fn a_variable_that_is_empty_counts_as_not_set() {
    let project = Project::without_server();
    let graph = project.graph("{}");
    let problem = project
        .nodewire()
        .args(["validate", "--json", "--offline"])
        .arg(&graph)
        .envs([("NODEWIRE_LOG_FORMAT", ""), ("NODEWIRE_DEVICE_TIMEOUT", "")])
        .assert()
        .code(2);
    // What is no graph is told as JSON, too.
    let problem: serde_json::Value = serde_json::from_slice(&problem.get_output().stdout).unwrap();
    assert_eq!(problem["code"], "bad_graph");
}

#[test]
fn a_folder_that_cannot_be_made_is_told_before_anything_runs() {
    let project = Project::new();
    let graph = project.graph(&text_graph());
    project.file("taken", "a file");
    let out = project.path().join("taken/results");
    let text = stderr(
        &project
            .run(&graph)
            .arg("--out")
            .arg(&out)
            .assert()
            .failure(),
    );
    assert!(
        text.contains("taken/results") && !text.contains("trace-server"),
        "{text}"
    );
}

#[test]
fn a_node_cannot_steer_the_terminal() {
    let project = Project::new();
    let graph = project.graph(&single("no\\u001b[31msuch", "[]"));
    let text = stderr(&project.run(&graph).assert().code(2));
    assert!(!text.contains('\u{1b}'), "{text:?}");
}
