//! Contents in an object store: one in memory, one that has no room, and a real S3 server.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use nanocore::assets::{BadS3, Contents, NewAsset, ObjectsFailure, S3, StoreError, StoreOptions};
use nodewire_testkit::peers_dir;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing::Level;

use super::http::Part;
use super::log::Log;
use super::{opened_with, start};

/// More than anything here takes; only a failure waits for it.
const LIMIT: Duration = Duration::from_secs(60);

/// Longer than three parts of an upload, and no two parts alike.
fn long_content() -> Bytes {
    let numbers = 0..(25 << 20) / 4_u32;
    numbers
        .flat_map(u32::to_le_bytes)
        .collect::<Vec<_>>()
        .into()
}

fn options(contents: &Contents) -> StoreOptions {
    StoreOptions {
        contents: contents.clone(),
        ..StoreOptions::default()
    }
}

/// Everything that a place for contents must do, over HTTP and after reopening.
async fn keeps_contents(contents: Contents) {
    let setup = start(options(&contents)).await;
    let long = long_content();
    let asset = setup
        .client
        .upload(&[Part::File("long.bin", "", &long)])
        .await;
    assert_eq!(asset.status, 201);
    let path = format!("/assets/{}", asset.json()["uuid"].as_str().unwrap());
    let download = format!("{path}/download");
    assert!(setup.client.get(&download).await.body == long);
    let (from, to) = (9_000_000, 20_000_000);
    let range = format!("bytes={from}-{}", to - 1);
    let part = setup
        .client
        .send("GET", &download, &[("Range", &range)], b"")
        .await;
    assert!(part.status == 206 && part.body == long[from..to]);
    let empty = setup.client.send("POST", "/assets", &[], b"").await.json();
    let empty = format!("/assets/{}/download", empty["uuid"].as_str().unwrap());
    assert_eq!(setup.client.get(&empty).await.body, b"");
    assert!(!is_here(
        setup.folder.path(),
        asset.json()["hash"].as_str().unwrap()
    ));

    let folder = setup.folder;
    setup.server.shutdown().await;
    let store = opened_with(folder.path(), options(&contents)).await;
    let again = store.put(long.clone(), NewAsset::default()).await.unwrap();
    assert!(again.already_exists && store.path(&again.entry).is_none());
    let read = store.read(&again.entry, 0..u64::MAX).await.unwrap();
    let read: Vec<Bytes> = read.try_collect().await.unwrap();
    assert!(read.concat() == long);
    store.delete(again.entry.hash.into()).await.unwrap();
    let gone = store.read(&again.entry, 0..1).await;
    assert!(matches!(gone.err(), Some(StoreError::NotFound)));
}

/// Whether the content is in the store's folder.
fn is_here(folder: &Path, hash: &str) -> bool {
    let hex = hash.strip_prefix("sha256:").unwrap();
    folder.join(&hex[..2]).join(hex).exists()
}

#[tokio::test]
async fn memory() {
    let objects = Arc::new(InMemory::new());
    keeps_contents(Contents::Objects(
        Arc::clone(&objects) as Arc<dyn ObjectStore>
    ))
    .await;
    let left: Vec<_> = objects.list(None).collect().await;
    assert_eq!(left.len(), 1, "the empty asset");
}

#[tokio::test]
async fn a_content_that_vanished_comes_back_with_its_next_upload() {
    let objects = Arc::new(InMemory::new());
    let contents = Contents::Objects(Arc::clone(&objects) as Arc<dyn ObjectStore>);
    let folder = tempfile::tempdir().unwrap();
    let store = opened_with(folder.path(), options(&contents)).await;
    let put = || store.put(Bytes::from_static(b"hello"), NewAsset::default());
    let first = put().await.unwrap().entry;
    let keys: Vec<_> = objects.list(None).try_collect().await.unwrap();
    let keys = futures_util::stream::iter(keys.into_iter().map(|object| Ok(object.location)));
    let deleted: Vec<_> = objects.delete_stream(keys.boxed()).collect().await;
    assert_eq!(deleted.len(), 1);
    assert!(matches!(
        store.read(&first, 0..5).await.err(),
        Some(StoreError::NotFound)
    ));
    assert_eq!(put().await.unwrap().entry.uuid, first.uuid);
    assert!(store.read(&first, 0..5).await.is_ok());
}

#[tokio::test]
async fn an_object_store_that_is_not_there_refuses_uploads_and_keeps_nothing() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = unused.local_addr().unwrap();
    // Whoever connects is hung up on.
    tokio::spawn(async move { while unused.accept().await.is_ok() {} });
    let setup = start(options(&s3(&format!("http://{address}")))).await;
    let refused = setup.client.upload(&[Part::File("a", "", b"a")]).await;
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (503, "storage_unavailable")
    );
    let problem = setup.server.store().problem().unwrap();
    assert_eq!(problem.failure, ObjectsFailure::Unreachable);
    assert!(setup.server.store().list(&Default::default()).is_empty());
    let incoming = std::fs::read_dir(setup.folder.path().join("incoming"));
    assert_eq!(incoming.unwrap().count(), 0);
}

fn s3(endpoint: &str) -> Contents {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = bucket(endpoint);
    assert!(!format!("{settings:?}").contains("secret"));
    settings.contents().unwrap()
}

fn bucket(endpoint: &str) -> S3 {
    S3 {
        bucket: "assets".to_owned(),
        prefix: "nanocore/test".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        access_key_id: "key".to_owned(),
        secret_access_key: "secret".to_owned(),
        ..S3::default()
    }
}

/// An S3 server of which each answer is this; its address.
async fn answering(status: &'static str, code: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap_or_default());
            }
            let body = format!("<Error><Code>{code}</Code><Message>s3cr3t</Message></Error>");
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            // Whoever has gone wants no answer.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}")
}

/// What is said by a check, and to whoever uploads.
async fn unusable(contents: Contents, status: u16, failure: ObjectsFailure) {
    let setup = start(options(&contents)).await;
    let store = setup.server.store().clone();
    assert!(store.is_remote() && store.problem().is_none());
    let error = store.check().await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Objects { failure: told, .. } if *told == failure),
        "{error:?}"
    );
    let problem = store.problem().unwrap();
    assert_eq!(problem.failure, failure);
    let refused = setup.client.upload(&[Part::File("a", "", b"a")]).await;
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (status, "storage_unavailable")
    );
    let told = refused.json()["error"]["message"].clone();
    assert_eq!(told, failure.message());
    for secret in ["s3cr3t", "127.0.0.1", "secret"] {
        assert!(!problem.message.contains(secret), "{problem}");
    }
    let counted = store.failures().into_iter().find(|(of, _)| *of == failure);
    assert_eq!(counted, Some((failure, 2)), "the check and the upload");
    setup.server.shutdown().await;
}

#[tokio::test]
async fn keys_that_are_missing_are_told_without_asking() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for missing in ["id", "secret"] {
        let mut settings = bucket("http://127.0.0.1:1");
        match missing {
            "id" => settings.access_key_id.clear(),
            _ => settings.secret_access_key.clear(),
        }
        let contents = settings.contents().unwrap();
        unusable(contents, 502, ObjectsFailure::NoKeys).await;
    }
}

#[tokio::test]
async fn keys_that_are_refused_are_told() {
    let url = answering("403 Forbidden", "InvalidAccessKeyId").await;
    unusable(s3(&url), 502, ObjectsFailure::Refused).await;
    let url = answering("400 Bad Request", "ExpiredToken").await;
    unusable(s3(&url), 502, ObjectsFailure::Refused).await;
}

#[tokio::test]
async fn what_an_object_store_answers_is_in_the_log_once() {
    let url = answering("403 Forbidden", "InvalidAccessKeyId").await;
    let setup = start(options(&s3(&url))).await;
    let log = Log::begin();
    let refused = setup.client.upload(&[Part::File("a", "", b"a")]).await;
    assert_eq!(refused.status, 502);
    let lines = log.with("object store failed");
    assert!(
        matches!(&*lines, [(Level::ERROR, line)] if line.contains("(InvalidAccessKeyId)")
            && line.matches("<Error>").count() == 1),
        "{lines:?}"
    );
    assert_eq!(
        log.with("InvalidAccessKeyId").len(),
        1,
        "nobody else logs it"
    );
    setup.server.shutdown().await;
}

#[tokio::test]
async fn a_server_that_never_answers_is_waited_for_so_long_only() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let contents = s3(&format!("http://{address}"));
    let error = contents.check(Duration::from_millis(50)).await.unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!(problem.failure, ObjectsFailure::Unreachable);
}

#[tokio::test]
async fn an_answer_clears_what_was_wrong() {
    let contents = Contents::Objects(Arc::new(InMemory::new()));
    let folder = tempfile::tempdir().unwrap();
    let store = opened_with(folder.path(), options(&contents)).await;
    store.check().await.unwrap();
    assert_eq!(store.problem(), None);
    let in_folder = opened_with(&folder.path().join("other"), StoreOptions::default()).await;
    in_folder.check().await.unwrap();
    assert!(!in_folder.is_remote());
}

#[tokio::test]
async fn a_real_s3_server() {
    let server = Moto::start().await;
    let address = server.address;
    let bucket = super::http::Client {
        address,
        token: String::new(),
    };
    let contents = s3(&format!("http://{address}"));
    unusable(contents.clone(), 502, ObjectsFailure::NoBucket).await;
    let made = bucket.send_bare("PUT", "/assets", &[], b"").await;
    assert_eq!(made.status, 200);
    contents.check(LIMIT).await.unwrap();
    keeps_contents(contents).await;
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    assert!(matches!(S3::default().contents(), Err(BadS3::NoBucket)));
    let nowhere = S3 {
        bucket: "assets".to_owned(),
        prefix: "a//b".to_owned(),
        ..S3::default()
    };
    assert!(matches!(nowhere.contents(), Err(BadS3::Settings(_))));
}

/// The S3 server of moto, which keeps everything in memory.
struct Moto {
    address: std::net::SocketAddr,
    _process: tokio::process::Child,
}

impl Moto {
    async fn start() -> Self {
        let python = peers_dir().join("moto-5.2.5/bin/python");
        assert!(
            python.exists(),
            "moto is not installed: run `cargo xtask peers`"
        );
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/assets/s3_server.py");
        let mut process = tokio::process::Command::new(python)
            .arg(script)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = tokio::io::BufReader::new(process.stdout.take().unwrap());
        let mut lines = tokio::io::AsyncBufReadExt::lines(output);
        let port: u16 = lines.next_line().await.unwrap().unwrap().parse().unwrap();
        Self {
            address: ([127, 0, 0, 1], port).into(),
            _process: process,
        }
    }
}
