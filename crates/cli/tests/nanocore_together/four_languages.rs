//! Servers made with both generations of the Python SDK, in JavaScript and in Rust, in one graph.

use std::path::{Path, PathBuf};

use nodewire_testkit::{
    SdkVersion, javascript_server_folder, python_server_folder, rust_server_folder,
};
use serde_json::json;

use crate::daemon::Place;
use crate::processes::processes_in;

#[tokio::test(flavor = "multi_thread")]
async fn servers_in_four_languages_run_a_graph_together() {
    let place = Place::new();
    javascript_server_folder(&place.path("javascript")).unwrap();
    python_server_folder(SdkVersion::V0_1_22, "old-python", &place.path("old-python")).unwrap();
    python_server_folder(SdkVersion::V0_2_3, "new-python", &place.path("new-python")).unwrap();
    rust_server_folder(&greeter(), "rust-server", &place.path("rust")).unwrap();
    for folder in ["javascript", "old-python", "new-python", "rust"] {
        place.register(folder);
    }

    let daemon = place.up().await;
    let versions = [
        ("old-python", json!("0.1.22")),
        ("new-python", json!("0.2.3")),
    ];
    for (server, version) in versions {
        assert_eq!(daemon.ready(server).await["sdkVersion"], version);
    }
    daemon.ready("counting-server").await;
    daemon.ready("rust-server").await;

    let graph = json!({
        "nodes": [
            {"id": 1, "uid": "text-input", "serverUid": "builtin", "params": [{"name": "text", "value": "hé"}]},
            {"id": 2, "uid": "upper-case", "serverUid": "counting-server", "params": {"suffix": "?"}},
            {"id": 3, "uid": "echo", "serverUid": "old-python", "params": {"prefix": "old> "}},
            {"id": 4, "uid": "greet", "serverUid": "rust-server", "params": {"word": "Hi"}},
            {"id": 5, "uid": "echo", "serverUid": "new-python", "params": {"prefix": "new> "}},
            {"id": 6, "name": "shown", "uid": "viewer", "serverUid": "builtin"}],
        "links": [
            {"id": 1, "link": [1, "text", 2, "in"]},
            {"id": 2, "link": [2, "text", 3, "text"]},
            {"id": 3, "link": [3, "text", 4, "names"]},
            {"id": 4, "link": [4, "greeting", 5, "text"]},
            {"id": 5, "link": [5, "text", 6, "value"]}]});
    let file = place.path("graph.json");
    std::fs::write(&file, graph.to_string()).unwrap();
    let run = place.succeed(&["run", file.to_str().unwrap()]);
    assert_eq!(
        String::from_utf8_lossy(&run.stdout),
        "shown.value: new> Hi, old> HÉ?!\n"
    );

    place.succeed(&["down"]);
    daemon.ended().await;
    for folder in ["javascript", "old-python", "new-python", "rust"] {
        assert_eq!(processes_in(&place.path(folder)), []);
    }
}

/// The `nodewire` package's example; cargo builds it with all tests.
fn greeter() -> PathBuf {
    let command: &Path = assert_cmd::cargo::cargo_bin!("nodewire");
    let greeter = command.with_file_name("examples").join("greet");
    assert!(
        greeter.exists(),
        "run `cargo build -p nodewire --example greet` first, or all tests"
    );
    greeter
}
