//! The Python SDK, installed by us.

use nanocore::register::{RegisterOptions, register};
use nanocore::supervisor::ServerState;
use nodewire_testkit::{SdkVersion, python_server_folder};

use super::support::Bench;

#[tokio::test]
async fn a_python_server_is_registered_supervised_and_kept_up_to_date() {
    let mut bench = Bench::start(|_| Vec::new()).await;
    let folder = bench.home.join("python");
    python_server_folder(SdkVersion::V0_2_3, "py", &folder).unwrap();
    let registered = register(
        &folder,
        &bench.registry,
        RegisterOptions::default(),
        &|_| {},
    )
    .await
    .unwrap();
    assert_eq!(registered.entry.sdk_version.as_deref(), Some("0.2.3"));
    bench.supervisor.reload().await;
    let first = bench.state("py", ServerState::Ready).await;
    assert_eq!(
        (first.asset_refs, first.sdk_version.as_deref()),
        (Some("hash"), Some("0.2.3"))
    );

    // An idle server notices changes of its files only since something arrives. spec: nanograph N13
    bench
        .event("definitions_update", |event| event["serverUid"] == "py")
        .await;
    let node = folder.join("nodes/echo/node.py");
    let text = std::fs::read_to_string(&node).unwrap();
    std::fs::write(&node, format!("{text}\n# changed\n")).unwrap();
    bench
        .event("definitions_update", |event| event["serverUid"] == "py")
        .await;
    assert_eq!(
        bench.supervisor.get("py").unwrap().pid,
        first.pid,
        "it has reloaded itself"
    );

    // Other requirements are installed before it is started again; and it is interrupted, not terminated. spec: nanograph N20
    let shutdown = folder.join("shutdown.txt");
    assert!(!shutdown.exists());
    let requirements = folder.join("requirements.txt");
    let text = std::fs::read_to_string(&requirements).unwrap();
    std::fs::write(&requirements, format!("{text}# changed\n")).unwrap();
    bench.ready_again("py", first.pid).await;
    assert!(shutdown.exists(), "its shutdown handlers ran");
    assert!(bench.log_text("py").contains("installing requirements.txt"));
    assert!(
        bench
            .supervisor
            .logs("py", 1000)
            .unwrap()
            .iter()
            .any(|line| line.level.is_some() && line.text.contains("NanoSDK"))
    );

    // A file that the SDK cannot read does not stop it. spec: nanograph N1
    let second = bench.supervisor.get("py").unwrap();
    let file = folder.join("nanoserver.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("// who\n{text}")).unwrap();
    let told = bench
        .until("py", "reported", |status| !status.problems.is_empty())
        .await;
    assert_eq!((told.state, told.pid), (ServerState::Ready, second.pid));
    bench.supervisor.shutdown().await;
}
