//! What is said to `run` on the command line, and what it means for a run on the daemon.

use serde_json::json;

use super::place::{Place, SERVER, done};

#[test]
fn what_only_a_run_of_its_own_needs_is_refused_with_the_daemon() {
    let place = Place::new();
    let graph = place.file("graph.json", r#"{"nodes": [], "links": []}"#);
    let flags = [
        ["--servers", "x"],
        ["--server", "ws://127.0.0.1:1"],
        ["--assets", "x"],
        ["--python", "python3.12"],
        ["--server-log-level", "debug"],
    ];
    for [flag, value] in flags {
        let refused = place.done(&["run", &graph, "--daemon", flag, value]);
        assert_eq!(refused.code, Some(2), "{flag}: {refused:?}");
        assert!(
            refused
                .stderr
                .contains(&format!("{flag} is for runs without --daemon")),
            "{flag}: {refused:?}"
        );
    }
    // A variable is for all runs: the daemon, which is not there, is what is missing.
    let mut run = place.nodewire(&["run", &graph, "--daemon"]);
    run.env("NODEWIRE_SERVERS", "x:y")
        .env("NODEWIRE_SERVER", "ws://a,ws://b")
        .env("NODEWIRE_ASSETS", "x")
        .env("NODEWIRE_PYTHON", "python3.12")
        .env("NODEWIRE_SERVER_LOG_LEVEL", "debug");
    let run = done(&mut run);
    assert_eq!(run.code, Some(3), "{run:?}");
}

#[test]
fn parameters_are_given_to_nodes_as_they_are_shown() {
    let place = Place::with_server();
    let _daemon = place.up();
    place.until_state(SERVER, "ready");
    let node = |id: u32| json!({"id": id, "uid": "upper-case", "serverUid": SERVER});
    let words = json!({"id": 1, "name": "the-words", "uid": "text-input", "serverUid": "builtin"});
    let link = json!({"id": 1, "link": [1, "text", 2, "in"]});
    let graph = json!({"nodes": [words, node(2)], "links": [link]}).to_string();
    let graph = place.file("graph.json", &graph);
    for name in ["upper-case", "upper-case-2", "2"] {
        let param = format!("{name}.suffix={name}");
        let run = [
            "run",
            &graph,
            "--daemon",
            "--param",
            "the-words.text=a",
            "--param",
            &param,
        ];
        let run = place.done(&run);
        let shown = format!("upper-case-2.text: A{name}\n");
        assert_eq!(
            (run.code, run.stdout),
            (Some(0), shown),
            "{name}: {}",
            run.stderr
        );
    }
    let run = ["run", &graph, "--daemon", "--param", "uper-case.suffix=!"];
    let run = place.done(&run);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("the-words, 2 (upper-case)"), "{run:?}");
}
