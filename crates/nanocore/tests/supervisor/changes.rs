//! What changes while servers run: their files, the registry.

use nanocore::supervisor::{ServerState, SupervisorError};

use super::support::{Bench, eventually, is_alive, javascript};

fn config(display_name: &str) -> String {
    serde_json::json!({
        "serverUid": "one", "serverPackageId": "one-package", "serverDisplayName": display_name, "domain": "d.test",
        "language": "javascript", "nodesPath": "src",
    })
    .to_string()
}

#[tokio::test]
async fn another_valid_configuration_restarts_and_an_invalid_one_is_only_told() {
    let mut bench = Bench::start(|home| vec![javascript(home, "one")]).await;
    let file = bench.home.join("one/nanoserver.json");
    let first = bench.state("one", ServerState::Ready).await;
    std::fs::write(&file, config("Renamed")).unwrap();
    let second = bench.ready_again("one", first.pid).await;
    let page = nanograph::client::probe(
        second.url.as_deref().unwrap(),
        std::time::Duration::from_secs(20),
    )
    .await
    .unwrap();
    assert_eq!(page.server_display_name.as_deref(), Some("Renamed"));

    std::fs::write(&file, "{\"port\": \"high\"}").unwrap();
    let told = bench
        .until("one", "reported", |status| !status.problems.is_empty())
        .await;
    assert_eq!((told.state, told.pid), (ServerState::Ready, second.pid));
    assert!(
        told.problems
            .iter()
            .any(|finding| finding.key.as_deref() == Some("port")),
        "{told:?}"
    );
    bench
        .event("server_state", |event| {
            event["problems"]
                .as_array()
                .is_some_and(|problems| !problems.is_empty())
        })
        .await;
    std::fs::write(&file, config("Renamed")).unwrap();
    let back = bench
        .until("one", "as before", |status| status.problems.is_empty())
        .await;
    assert_eq!((back.pid, back.starts), (second.pid, 2));
    bench.supervisor.shutdown().await;
}

#[tokio::test]
async fn the_registry_is_followed() {
    let bench = Bench::start(|_| Vec::new()).await;
    assert!(bench.supervisor.list().is_empty());
    bench.registry.put(javascript(&bench.home, "one")).unwrap();
    bench.supervisor.reload().await;
    let first = bench.state("one", ServerState::Ready).await;

    bench.change("one", |entry| {
        drop(entry.env.insert("A".to_owned(), "b".to_owned()))
    });
    let second = bench.ready_again("one", first.pid).await;
    assert_eq!(second.starts, 2);

    bench.change("one", |entry| entry.enabled = false);
    bench.state("one", ServerState::Stopped).await;
    bench.change("one", |entry| entry.enabled = true);
    let third = bench.state("one", ServerState::Ready).await;

    // A port somebody writes by hand counts; the one we wrote ourselves has restarted nothing.
    assert_eq!(third.starts, 3);
    bench.registry.remove("one").unwrap();
    bench.supervisor.reload().await;
    assert!(matches!(
        bench.supervisor.get("one"),
        Err(SupervisorError::Name(_))
    ));
    eventually("its process is gone", || !is_alive(third.pid.unwrap())).await;
    eventually("it is forgotten", || !bench.supervisor.is_registered("one")).await;
    bench.registry.put(javascript(&bench.home, "one")).unwrap();
    bench.supervisor.reload().await;
    bench.state("one", ServerState::Ready).await;
    bench.supervisor.shutdown().await;
}

#[tokio::test]
async fn a_registry_that_cannot_be_read_changes_nothing() {
    let mut bench = Bench::start(|home| vec![javascript(home, "one")]).await;
    let first = bench.state("one", ServerState::Ready).await;
    let text = std::fs::read_to_string(bench.registry.path()).unwrap();
    std::fs::write(bench.registry.path(), &text[..text.len() / 2]).unwrap();
    let event = bench
        .event("registry", |event| event["problem"].is_string())
        .await;
    assert!(
        event["problem"]
            .as_str()
            .unwrap()
            .contains("nodeservers.json cannot be used"),
        "{event}"
    );
    assert_eq!(bench.supervisor.get("one").unwrap().pid, first.pid);
    assert!(bench.supervisor.registry_problem().is_some());
    std::fs::write(bench.registry.path(), text).unwrap();
    bench
        .event("registry", |event| event["problem"].is_null())
        .await;
    assert_eq!(bench.supervisor.get("one").unwrap().pid, first.pid);
    bench.supervisor.shutdown().await;
}

#[tokio::test]
async fn nodes_that_are_not_reloaded_restart_their_server_if_that_is_wanted() {
    let options = nanocore::supervisor::SupervisorOptions {
        watch: true,
        ..super::support::quick()
    };
    let bench = Bench::start_with(options, |home| {
        let entry = javascript(home, "one");
        let file = home.join("one/nanoserver.json");
        let mut config: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        config["autoWatch"] = false.into();
        std::fs::write(file, config.to_string()).unwrap();
        vec![entry]
    })
    .await;
    let first = bench.state("one", ServerState::Ready).await;
    std::fs::write(bench.home.join("one/src/more.js"), "// more\n").unwrap();
    bench.ready_again("one", first.pid).await;
    bench.supervisor.shutdown().await;
}

/// A server that Python would run, with a pip that waits for `go` and fails for bad requirements.
fn with_pip(home: &std::path::Path) -> nanocore::registry::Entry {
    let mut entry = javascript(home, "one");
    let folder = home.join("one");
    let config = config("One").replace("javascript", "python");
    std::fs::write(folder.join("nanoserver.json"), config).unwrap();
    std::fs::write(folder.join("main.py"), "").unwrap();
    std::fs::write(folder.join("requirements.txt"), "# first\n").unwrap();
    std::fs::write(folder.join("go"), "").unwrap();
    std::fs::create_dir_all(folder.join("venv/bin")).unwrap();
    let python = folder.join("venv/bin/python");
    let script = "#!/bin/sh\necho pip >> pip.txt\nwhile [ ! -e go ]; do sleep 0.05; done\n! grep -q bad requirements.txt || { echo no such package >&2; exit 1; }\n";
    std::fs::write(&python, script).unwrap();
    std::fs::set_permissions(&python, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    entry.language = nanograph::config::Language::Python;
    entry
}

#[tokio::test]
async fn other_requirements_are_installed_while_the_server_serves() {
    let mut bench = Bench::start(|home| vec![with_pip(home)]).await;
    let folder = bench.home.join("one");
    let first = bench.state("one", ServerState::Ready).await;
    std::fs::remove_file(folder.join("go")).unwrap();
    std::fs::remove_file(folder.join("pip.txt")).unwrap();
    std::fs::write(folder.join("requirements.txt"), "# second\n").unwrap();
    eventually("pip is at work", || folder.join("pip.txt").exists()).await;
    let status = bench.supervisor.get("one").unwrap();
    assert_eq!((status.state, status.pid), (ServerState::Ready, first.pid));
    assert_eq!(bench.pool.clients().len(), 1, "its nodes are still offered");
    std::fs::write(folder.join("go"), "").unwrap();
    let second = bench.ready_again("one", first.pid).await;

    std::fs::write(folder.join("requirements.txt"), "bad\n").unwrap();
    let event = bench
        .event("server_state", |event| event["updateError"].is_string())
        .await;
    assert!(
        event["updateError"]
            .as_str()
            .unwrap()
            .contains("no such package"),
        "{event}"
    );
    let status = bench.supervisor.get("one").unwrap();
    assert_eq!((status.state, status.pid), (ServerState::Ready, second.pid));
    assert!(status.update_error.is_some() && status.failed_starts == 0);
    assert!(bench.log_text("one").contains("runs on as it was started"));
    // What was installed before has to be installed again, as part of it may be gone.
    std::fs::write(folder.join("requirements.txt"), "# second\n").unwrap();
    let third = bench.ready_again("one", second.pid).await;
    assert_eq!(third.update_error, None);
    bench.supervisor.shutdown().await;
}

// spec: nanograph N12
#[tokio::test]
async fn nodes_that_are_gone_are_told() {
    let mut bench = Bench::start(|home| vec![javascript(home, "one")]).await;
    let first = bench.state("one", ServerState::Ready).await;
    let file = bench.home.join("one/src/nodes.js");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        format!("{text}\ndelete module.exports['upper-case'];\n"),
    )
    .unwrap();
    bench.supervisor.restart_server("one").await.unwrap();
    let event = bench
        .event("definitions_update", |event| {
            event["removed"] != serde_json::json!([])
        })
        .await;
    assert_eq!(
        event["removed"],
        serde_json::json!(["upper-case"]),
        "{event}"
    );
    assert_eq!(event["added"], serde_json::json!([]));
    let second = bench.ready_again("one", first.pid).await;
    assert!(!second.nodes.contains(&"upper-case".to_owned()));
    bench.supervisor.shutdown().await;
}
