//! Uploads that break off.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nanocore::assets::{AssetServer, AssetServerConfig, AssetStore, StoreOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::http::{Part, form};
use super::{PICTURE, start};

/// Waits until the condition holds; the test's own time limit ends it otherwise.
pub(crate) async fn eventually(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn incoming(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder.join("incoming"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[tokio::test]
async fn a_cut_upload_leaves_nothing() {
    let setup = start(StoreOptions::default()).await;
    for content_type in [
        "multipart/form-data; boundary=XX",
        "application/octet-stream",
    ] {
        let mut stream = TcpStream::connect(setup.client.address).await.unwrap();
        let head = format!(
            "POST /assets HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: {content_type}\r\nContent-Length: 1000000\r\n\r\n",
            setup.client.token
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let body = form(&[Part::File("big", "text/plain", &[b'x'; 100_000])]);
        stream.write_all(&body[..90_000]).await.unwrap();
        eventually(|| !incoming(setup.folder.path()).is_empty()).await;
        drop(stream);
        eventually(|| incoming(setup.folder.path()).is_empty()).await;
    }
    assert!(setup.server.store().list(&Default::default()).is_empty());
    assert_eq!(setup.client.upload(&[PICTURE]).await.status, 201);
}

#[tokio::test]
async fn what_is_too_long_or_incomplete_is_refused_and_leaves_nothing() {
    let setup = start(StoreOptions {
        asset_bytes_max: 9,
        ..StoreOptions::default()
    })
    .await;
    assert_eq!(
        setup.client.upload(&[PICTURE]).await.error_code(),
        "too_large"
    );
    let raw = setup
        .client
        .send("POST", "/assets", &[], b"0123456789")
        .await;
    assert_eq!((raw.status, raw.error_code().as_str()), (413, "too_large"));
    assert_eq!(
        setup
            .client
            .upload(&[Part::Text("type", "image")])
            .await
            .status,
        400
    );
    let twice = setup
        .client
        .upload(&[
            Part::File("a", "text/plain", b"1"),
            Part::File("b", "text/plain", b"2"),
        ])
        .await;
    assert_eq!(twice.status, 400);
    let headers = [("Content-Type", "multipart/form-data; boundary=XX")];
    assert_eq!(
        setup
            .client
            .send("POST", "/assets", &headers, b"--XX\r\nrubbish")
            .await
            .status,
        400
    );
    assert_eq!(
        setup
            .client
            .send(
                "POST",
                "/assets",
                &[("Content-Type", "multipart/form-data")],
                b"x"
            )
            .await
            .status,
        400
    );
    eventually(|| incoming(setup.folder.path()).is_empty()).await;
    assert!(setup.server.store().list(&Default::default()).is_empty());
}

const KILLED_FOLDER: &str = "NODEWIRE_TEST_KILLED_STORE";

/// The process that [`a_killed_process_leaves_complete_assets_only`] kills; does nothing otherwise.
#[tokio::test]
async fn store_until_killed() {
    let Some(folder) = std::env::var_os(KILLED_FOLDER) else {
        return;
    };
    let store = super::opened_again(&PathBuf::from(folder)).await;
    for number in 0_u64.. {
        let content = vec![number.to_le_bytes(); 40_000].concat();
        store.put(content.into(), Default::default()).await.unwrap();
    }
}

#[tokio::test]
async fn a_killed_process_leaves_complete_assets_only() {
    let folder = tempfile::tempdir().unwrap();
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["faults::store_until_killed", "--exact"])
            .env(KILLED_FOLDER, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let shards = || {
            std::fs::read_dir(folder.path())
                .map(|entries| entries.count())
                .unwrap_or_default()
        };
        let before = shards();
        eventually(|| {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            shards() > before.max(2) + 3
        })
        .await;
        child.kill().unwrap();
        child.wait().unwrap();

        let store = super::opened_again(folder.path()).await;
        let entries = store.list(&Default::default());
        assert!(entries.len() >= round, "{}", entries.len());
        for entry in entries {
            let content = std::fs::read(store.path(&entry).unwrap()).unwrap();
            let again = store.put(content.into(), Default::default()).await.unwrap();
            assert_eq!(
                again.entry.uuid, entry.uuid,
                "the content has the hash it is named after"
            );
        }
    }
}

#[tokio::test]
async fn a_caller_that_says_nothing_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let store = AssetStore::open(folder.path(), StoreOptions::default()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = AssetServerConfig {
        head_timeout: Duration::from_millis(100),
        ..AssetServerConfig::default()
    };
    let server = AssetServer::start(store, listener, config).unwrap();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(server.connections_timed_out(), 1);
    server.shutdown().await;
}
