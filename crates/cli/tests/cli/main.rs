//! The binary as a person or a script uses it, with servers made with the real Python SDK.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod dev;
mod faults;
mod setup;

use std::fs;

use setup::{Project, text_graph};

#[test]
fn a_graph_runs_and_prints_its_results() {
    let project = Project::new();
    let graph = project.graph(&text_graph());
    let run = project
        .run(&graph)
        .args(["--input", "words=hi", "--param", "2.prefix=> "])
        .assert()
        .code(0);
    let output = run.get_output();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "shown.value: > hi\n"
    );
    let progress = String::from_utf8_lossy(&output.stderr);
    assert!(
        progress.contains("trace-server: ready") && progress.contains("echo-2: done in"),
        "{progress}"
    );
    assert!(
        !progress.contains('\u{1b}'),
        "no colours when nobody looks: {progress}"
    );
}

#[test]
fn results_go_to_a_folder_and_inputs_come_from_files() {
    let project = Project::new();
    let graph = project.graph(&text_graph());
    let file = project.file("words.txt", "Grüße\naus der Datei");
    let out = project.path().join("deep/out");
    let run = project
        .run(&graph)
        .args([
            "--input",
            &format!("words=@{file}"),
            "--out",
            out.to_str().unwrap(),
        ])
        .assert()
        .code(0);
    let written = out.join("shown.value.txt");
    assert_eq!(
        String::from_utf8_lossy(&run.get_output().stdout).trim(),
        written.to_str().unwrap()
    );
    assert_eq!(fs::read_to_string(written).unwrap(), "Grüße\naus der Datei");
}

#[test]
fn events_are_json_lines() {
    let project = Project::new();
    let graph = project.graph(&text_graph());
    let run = project
        .run(&graph)
        .args([
            "--input",
            "words=hi",
            "--json",
            "--out",
            project.path().join("out").to_str().unwrap(),
        ])
        .assert()
        .code(0);
    let stdout = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    let events: Vec<serde_json::Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let types: Vec<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    let position = |wanted: &str| types.iter().position(|kind| *kind == wanted).expect(wanted);
    assert!(
        position("server_state") < position("run_started")
            && position("run_started") < position("node_complete")
    );
    assert_eq!(&types[types.len() - 2..], ["run_finished", "output"]);
    assert_eq!(events[types.len() - 2]["status"], "complete");
    assert!(
        events.last().unwrap()["path"]
            .as_str()
            .unwrap()
            .ends_with("shown.value.txt")
    );
}

#[test]
fn files_of_a_folder_become_assets_in_order_and_come_out_under_their_names() {
    let project = Project::new();
    for (name, text) in [
        ("pics/b.png", "two"),
        ("pics/a.png", "one"),
        ("pics/.hidden", "x"),
        ("pics/notes.txt", "not a picture"),
    ] {
        project.file(name, text);
    }
    let graph = project.graph(r#"{"nodes": [
        {"id": 1, "name": "pics", "uid": "asset-input", "serverUid": "builtin", "params": [{"name": "asset", "value": [], "accept": "image/*"}]},
        {"id": 2, "name": "shown", "uid": "viewer", "serverUid": "builtin"}],
        "links": [{"id": 1, "link": [1, "asset", 2, "value"]}]}"#);
    let pics = project.path().join("pics");
    let out = project.path().join("out");
    let input = format!("pics=@{}", pics.display());
    let run = project
        .run(&graph)
        .args(["--input", &input, "--out", out.to_str().unwrap()])
        .assert()
        .code(0);
    let stdout = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
    let names: Vec<_> = stdout
        .lines()
        .map(|line| line.rsplit('/').next().unwrap())
        .collect();
    assert_eq!(names, ["a.png", "b.png"]);
    assert_eq!(fs::read_to_string(out.join("b.png")).unwrap(), "two");

    // Another folder's file of the same name does not replace the first.
    let again = project.file("other/a.png", "three");
    project
        .run(&graph)
        .args([
            "--input",
            &input,
            "--input",
            &format!("pics=@{again}"),
            "--out",
            out.to_str().unwrap(),
        ])
        .assert()
        .code(0);
    assert_eq!(
        (
            fs::read_to_string(out.join("a.png")).unwrap(),
            fs::read_to_string(out.join("a-2.png")).unwrap()
        ),
        ("one".into(), "three".into())
    );
}

#[test]
fn assets_are_named_as_the_servers_sdk_wants_them() {
    for (version, prefix) in [
        (
            setup::SdkVersion::V0_1_22,
            "nanocore://nanocore.local/asset/",
        ),
        (setup::SdkVersion::V0_2_3, "sha256:"),
    ] {
        let project = Project::with_sdk(version);
        let file = project.file("a.bin", "content");
        let graph = project.graph(
            r#"{"nodes": [
            {"id": 1, "name": "file", "uid": "asset-input", "serverUid": "builtin", "params": []},
            {"id": 2, "uid": "echo", "serverUid": "trace-server", "params": []}],
            "links": [{"id": 1, "link": [1, "asset", 2, "text"]}]}"#,
        );
        let run = project
            .run(&graph)
            .args(["--input", &format!("file=@{file}")])
            .assert()
            .code(0);
        let stdout = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
        assert!(
            stdout.starts_with(&format!("echo-2.text: {prefix}")),
            "{stdout}"
        );
    }
}

#[test]
fn targets_run_alone_and_their_outputs_are_results() {
    let project = Project::new();
    let graph = project.graph(&text_graph());
    let run = project
        .run(&graph)
        .args(["--target", "words", "--input", "words=only this"])
        .assert()
        .code(0);
    assert_eq!(
        String::from_utf8_lossy(&run.get_output().stdout),
        "words.text: only this\n"
    );
}

#[test]
fn a_server_that_runs_already_is_used_and_left_running() {
    let project = Project::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime
        .block_on(nodewire_testkit::PythonNodeServer::start(
            setup::SdkVersion::V0_2_3,
        ))
        .unwrap();
    let alone = Project::without_server();
    let graph = alone.graph(&text_graph());
    for _ in 0..2 {
        let run = alone
            .run(&graph)
            .args(["--input", "words=hi", "--server", &server.url()])
            .assert()
            .code(0);
        assert_eq!(
            String::from_utf8_lossy(&run.get_output().stdout),
            "shown.value: hi\n"
        );
    }
    drop(project);
}

#[test]
fn validate_says_everything_with_and_without_servers() {
    let project = Project::new();
    let graph = project.graph(&text_graph());
    project
        .nodewire()
        .arg("validate")
        .arg(&graph)
        .assert()
        .code(0)
        .stdout("the graph can run\n");
    let bad = project.graph(
        &text_graph()
            .replace(r#"[1, "text", 2, "text"]"#, r#"[1, "txt", 2, "text"]"#)
            .replace(
                "\"params\": []",
                "\"params\": [{\"name\": \"count\", \"value\": 99}]",
            ),
    );
    let full = project
        .nodewire()
        .arg("validate")
        .arg(&bad)
        .arg("--json")
        .assert()
        .code(2);
    let stdout = String::from_utf8_lossy(&full.get_output().stdout).into_owned();
    assert!(
        stdout.contains("\"unknown_port\"") && stdout.contains("\"param_range\""),
        "{stdout}"
    );
    let offline = project
        .nodewire()
        .arg("validate")
        .arg(&bad)
        .arg("--offline")
        .assert()
        .code(2);
    let stderr = String::from_utf8_lossy(&offline.get_output().stderr).into_owned();
    assert!(
        stderr.contains("unknown_port")
            && !stderr.contains("param_range")
            && !stderr.contains("node_missing"),
        "{stderr}"
    );
}

#[test]
fn the_examples_graph_is_well_formed() {
    let graph = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/contact-sheet/graph.json");
    Project::without_server()
        .nodewire()
        .arg("validate")
        .arg(graph)
        .arg("--offline")
        .assert()
        .code(0);
}

#[test]
fn it_explains_itself() {
    let project = Project::without_server();
    let help = project.nodewire().args(["run", "--help"]).assert().code(0);
    let help = String::from_utf8_lossy(&help.get_output().stdout).into_owned();
    assert!(
        help.contains("Examples:") && help.contains("photos=@holiday/"),
        "{help}"
    );
    project
        .nodewire()
        .arg("--version")
        .assert()
        .code(0)
        .stdout(format!("nodewire {}\n", env!("CARGO_PKG_VERSION")));
    let bash = project
        .nodewire()
        .args(["completions", "bash"])
        .assert()
        .code(0);
    assert!(String::from_utf8_lossy(&bash.get_output().stdout).contains("_nodewire()"));
}
