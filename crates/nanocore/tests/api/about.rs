//! What the daemon says of itself, its files, and its end.

use std::path::Path;
use std::time::Duration;

use nanocore::assets::{Contents, S3, Token};
use nanocore::daemon::{Daemon, DaemonError};
use nanocore::home::{self, HomeError};
use serde_json::json;

use crate::http::Part;
use crate::runs::busy;
use crate::support::{options, register_javascript, start, start_with};

#[tokio::test]
async fn it_lives_and_says_what_it_is() {
    let setup = start().await;
    let health = setup.client.send_bare("GET", "/health", &[], b"").await;
    assert_eq!(
        (health.status, health.json()),
        (200, json!({"status": "ok"}))
    );
    let info = setup.client.get("/api/v1/info").await.json();
    assert_eq!(info["pid"], std::process::id());
    assert_eq!(info["epoch"], setup.daemon.events().epoch());
    assert_eq!(info["endpoint"], setup.daemon.endpoint());
    assert!(info["limits"]["bodyBytesMax"].as_u64().unwrap() > 1_000_000);
    assert_eq!(info["runsNotKept"], 0);
    assert!(info.get("databaseProblem").is_none(), "{info}");
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn one_daemon_has_a_folder_until_its_end() {
    let setup = start().await;
    let folder = setup.daemon.data_folder().to_owned();
    let holder = home::running(&folder).unwrap().unwrap();
    assert_eq!(holder.address, Some(setup.daemon.address()));
    let token = home::read_token(&folder).unwrap().unwrap();
    assert_eq!(token.reveal(), setup.client.token);
    let second = Daemon::start(options(&setup.root)).await;
    match second {
        Err(DaemonError::Home(HomeError::InUse { holder, .. })) => {
            assert_eq!(holder.unwrap().address, Some(setup.daemon.address()));
        }
        other => panic!("{other:?}"),
    }
    let address = setup.daemon.address();
    setup.daemon.shutdown().await;
    assert_eq!(home::running(&folder).unwrap(), None);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    let again = Daemon::start(options(&setup.root)).await.unwrap();
    assert_eq!(again.tokens().master().reveal(), setup.client.token);
    again.shutdown().await;
}

#[tokio::test]
async fn a_weak_token_stays_on_this_machine() {
    let root = tempfile::tempdir().unwrap();
    let mut options = options(&root);
    options.bind = "0.0.0.0:0".parse().unwrap();
    options.token = Some(Token::new("changeme"));
    let refused = Daemon::start(options).await.unwrap_err();
    assert!(
        matches!(refused, DaemonError::WeakToken { .. }),
        "{refused}"
    );
    assert_eq!(home::running(&root.path().join("home")).unwrap(), None);
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root = tempfile::tempdir().unwrap();
    let mut options = options(&root);
    options.bind = taken.local_addr().unwrap();
    let refused = Daemon::start(options).await.unwrap_err().to_string();
    let address = taken.local_addr().unwrap().to_string();
    assert!(refused.contains(&address), "{refused}");
}

#[tokio::test]
async fn a_daemon_that_cannot_start_leaves_the_folder_to_the_next() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("home");
    std::fs::create_dir_all(&folder).unwrap();
    let registry = home::registry(&folder);
    std::fs::write(&registry, "[").unwrap();
    let refused = Daemon::start(options(&root)).await.unwrap_err();
    assert!(matches!(refused, DaemonError::Supervisor(_)), "{refused}");
    std::fs::remove_file(&registry).unwrap();
    let daemon = Daemon::start(options(&root)).await.unwrap();
    daemon.shutdown().await;
}

#[tokio::test]
async fn a_client_can_end_it() {
    let setup = start().await;
    let answer = setup
        .client
        .send("POST", "/api/v1/shutdown", &[], b"")
        .await;
    assert_eq!(answer.status, 202);
    tokio::time::timeout(crate::support::LIMIT, setup.daemon.asked_to_end())
        .await
        .unwrap();
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn what_was_counted_is_there_for_prometheus() {
    let setup = start().await;
    let metrics = setup.client.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.headers["content-type"].starts_with("application/openmetrics-text"));
    let text = String::from_utf8(metrics.body).unwrap();
    for name in [
        "nanocore_events_total",
        "nanocore_events_missed_total",
        "nanocore_runs_submitted_total 0",
        "nanocore_database_writes_total",
        "# EOF",
    ] {
        assert!(text.contains(name), "{name} is not in\n{text}");
    }
    setup.daemon.shutdown().await;
}

/// A bucket whose keys nobody gave.
fn without_keys() -> Contents {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let bucket = S3 {
        bucket: "assets".to_owned(),
        endpoint: Some("http://127.0.0.1:1".to_owned()),
        ..S3::default()
    };
    bucket.contents().unwrap()
}

#[tokio::test]
async fn an_object_store_that_cannot_be_used_is_told_before_anybody_uploads() {
    let setup = start_with(|options| options.assets.contents = without_keys()).await;
    let info = setup
        .until("/api/v1/info", |info| {
            info["assetStore"]["problem"].is_object()
        })
        .await;
    let store = &info["assetStore"];
    assert_eq!(store["place"], "objects");
    assert_eq!(store["problem"]["failure"], "no_keys");
    let message = store["problem"]["message"].as_str().unwrap();
    assert!(message.contains("AWS_SECRET_ACCESS_KEY"), "{message}");
    let refused = setup.client.upload(&[Part::File("a", "", b"a")]).await;
    assert_eq!(refused.error_code(), "storage_unavailable");
    let checked = setup.post("/api/v1/assets/check", &json!({})).await;
    assert_eq!(checked.json()["problem"]["failure"], "no_keys");
    let metrics = setup.client.get("/metrics").await.body;
    let metrics = String::from_utf8(metrics).unwrap();
    let counted = "nanocore_asset_objects_no_keys_total 3\n";
    assert!(metrics.contains(counted), "{metrics}");
    setup.daemon.shutdown().await;

    let setup = start().await;
    let checked = setup.post("/api/v1/assets/check", &json!({})).await;
    assert_eq!(checked.json(), json!({"place": "folder"}));
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn model_files_are_listed_by_kind() {
    let models = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(models.path().join("b/c")).unwrap();
    for file in ["a.safetensors", "b/c/d.ckpt"] {
        std::fs::write(models.path().join(file), "x").unwrap();
    }
    std::os::unix::fs::symlink("/etc", models.path().join("elsewhere")).unwrap();
    let (known, gone) = (
        models.path().to_owned(),
        Path::new("/nonexistent").to_owned(),
    );
    let setup = start_with(|options| {
        options.api.model_paths = [
            ("lora".to_owned(), known.clone()),
            ("gone".to_owned(), gone),
        ]
        .into();
    })
    .await;
    let folders = setup.client.get("/api/v1/paths").await.json();
    assert_eq!(folders["lora"], known.to_str().unwrap());
    let files = setup.client.get("/api/v1/paths/lora").await.json();
    assert_eq!(files["files"], json!(["a.safetensors", "b/c/d.ckpt"]));
    assert_eq!(files["truncated"], false);
    assert_eq!(files["skipped"][0]["path"], "elsewhere");
    assert_eq!(setup.client.get("/api/v1/paths/x").await.status, 404);
    let gone = setup.client.get("/api/v1/paths/gone").await.json();
    let why = "No such file or directory (os error 2)";
    assert_eq!(gone["skipped"], json!([{ "path": "", "why": why }]));
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn assets_and_resources_are_served_beside_the_api() {
    let setup = start().await;
    let parts = [
        Part::Text("name", "a.txt"),
        Part::File("a.txt", "text/plain", b"hello"),
    ];
    let asset = setup.client.upload(&parts).await.json();
    assert!(
        asset["uri"]
            .as_str()
            .unwrap()
            .starts_with("nanocore://nanocore.local/asset/")
    );
    let path = format!("/assets/{}/download", asset["uuid"].as_str().unwrap());
    assert_eq!(setup.client.get(&path).await.body, b"hello");
    assert_eq!(setup.client.get("/resources").await.json(), json!([]));
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn ephemeral_assets_go_unless_a_run_refers_to_them() {
    let setup = start().await;
    let upload = async |text: &'static [u8]| {
        let ephemeral = Part::Text("ephemeral", "true");
        let parts = [Part::File("a.txt", "text/plain", text), ephemeral];
        setup.client.upload(&parts).await.json()
    };
    let (used, by_uri, unused) = (
        upload(b"1").await,
        upload(b"22").await,
        upload(b"333").await,
    );
    for name in [&used["hash"], &by_uri["uri"]] {
        let graph = crate::support::texts(name.as_str().unwrap());
        let run = setup.submit(&json!({ "graph": graph })).await;
        setup.finished(&run).await;
    }
    let collect = async |seconds: u64| {
        let wish = json!({ "olderThanSeconds": seconds });
        setup.post("/api/v1/assets/gc", &wish).await.json()
    };
    let nothing = json!({"dryRun": false, "deleted": 0, "bytes": 0, "referred": 0, "assets": []});
    assert_eq!(collect(3_600).await, nothing);
    let wish = json!({ "olderThanSeconds": 0, "dryRun": true });
    // Not used for no time: the clock has to move on.
    let told = loop {
        let told = setup.post("/api/v1/assets/gc", &wish).await.json();
        if told["deleted"] == 1 && told["referred"] == 2 {
            break told;
        }
    };
    assert_eq!(told["assets"][0]["hash"], unused["hash"]);
    let mut collected = collect(0).await;
    collected["dryRun"] = true.into();
    assert_eq!(collected, told, "it does what it told");
    assert_eq!(collected["bytes"], 3);
    assert_eq!(collect(u64::MAX).await, nothing);
    let path = |asset: &serde_json::Value| format!("/assets/{}", asset["uuid"].as_str().unwrap());
    assert_eq!(setup.client.get(&path(&unused)).await.status, 404);
    assert_eq!(setup.client.get(&path(&used)).await.status, 200);
    assert_eq!(setup.client.get(&path(&by_uri)).await.status, 200);
    let odd = setup
        .post("/api/v1/assets/gc", &json!({ "olderThan": 1 }))
        .await;
    assert_eq!(odd.error_code(), "bad_request");
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn what_came_while_a_run_is_running_is_not_collected() {
    let setup = start_with(register_javascript).await;
    let run = busy(&setup).await;
    let path = format!("/api/v1/runs/{run}");
    // A node stored it, and has not told anybody yet.
    let parts = [
        Part::File("a.txt", "text/plain", b"fresh"),
        Part::Text("ephemeral", "true"),
    ];
    let asset = setup.client.upload(&parts).await.json();
    let wish = json!({ "olderThanSeconds": 0 });
    tokio::time::sleep(Duration::from_millis(5)).await;
    let collected = setup.post("/api/v1/assets/gc", &wish).await.json();
    assert_eq!(collected["deleted"], 0, "{collected}");
    setup.post(&format!("{path}/abort"), &json!({})).await;
    setup.finished(&run).await;
    let gone = |answer: &serde_json::Value| answer["assets"][0]["hash"] == asset["hash"];
    while !gone(&setup.post("/api/v1/assets/gc", &wish).await.json()) {}
    setup.daemon.shutdown().await;
}
