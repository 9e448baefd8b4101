//! A server that is killed, that has no room, and how much memory it needs.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use nanocore::assets::{ContentHash, StoreOptions};

use super::http::{Client, Part};
use super::opened_again;
use super::served::Served;

const KILLS: usize = 12;
const UPLOADS: usize = 6;
const MIB: usize = 1 << 20;

/// Sends an upload of which `stops_at` bytes go out; the hash that the server says it stored.
async fn upload(client: &Client, content: &[u8], stops_at: usize) -> Option<ContentHash> {
    let mut stream = TcpStream::connect(client.address).await.ok()?;
    let head = format!(
        "POST /assets HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        client.token,
        content.len()
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    let sent = &content[..stops_at.min(content.len())];
    stream.write_all(sent).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let text = String::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 201"), "{head}");
    let asset: serde_json::Value = serde_json::from_str(body).ok()?;
    asset["hash"].as_str()?.parse().ok()
}

fn random(below: usize) -> usize {
    usize::try_from(RandomState::new().hash_one(0) % below as u64).unwrap()
}

#[tokio::test]
async fn after_a_kill_in_the_middle_of_uploads_each_asset_is_whole_or_absent() {
    let folder = tempfile::tempdir().unwrap();
    let mut stored: HashMap<ContentHash, Vec<u8>> = HashMap::new();
    for round in 0..KILLS {
        let mut served = Served::start(folder.path(), "").await;
        let contents: Vec<Vec<u8>> = (0..UPLOADS)
            .map(|number| {
                format!("{round} {number} ")
                    .repeat(random(200_000) + 1)
                    .into_bytes()
            })
            .collect();
        // One upload comes to this point and no further; the others end or not, as it happens.
        let (last, others) = contents.split_last().unwrap();
        let stops_at = random(last.len());
        let client = &served.client.clone();
        let ends = futures_util::future::join_all(
            others
                .iter()
                .map(|content| upload(client, content, usize::MAX)),
        );
        let wanted = random(UPLOADS);
        let some_done = async {
            let path = folder.path().join("store");
            super::faults::eventually(|| rows(&path) >= stored.len() + wanted).await;
        };
        let answers = {
            let cut = upload(client, last, stops_at);
            tokio::pin!(cut, some_done, ends);
            let mut answers = None;
            loop {
                tokio::select! {
                    done = &mut ends, if answers.is_none() => answers = Some(done),
                    _ = &mut cut => panic!("half an upload was answered"),
                    () = &mut some_done => break,
                }
            }
            served.kill();
            match answers {
                Some(answers) => answers,
                None => ends.await,
            }
        };
        drop(served);

        let store = opened_again(&folder.path().join("store")).await;
        for (hash, content) in answers.into_iter().zip(others) {
            if let Some(hash) = hash {
                stored.insert(hash, content.clone());
            }
        }
        for (hash, content) in &stored {
            let entry = store
                .find((*hash).into())
                .expect("what was answered is kept");
            assert!(std::fs::read(store.path(&entry).unwrap()).unwrap() == *content);
        }
        for entry in store.list(&Default::default()) {
            let content = std::fs::read(store.path(&entry).unwrap()).unwrap();
            let again = store.put(content.clone().into(), Default::default()).await;
            assert_eq!(again.unwrap().entry.uuid, entry.uuid, "it has its hash");
            stored.insert(entry.hash, content);
        }
    }
}

fn rows(store: &std::path::Path) -> usize {
    let shards = std::fs::read_dir(store).into_iter().flatten().flatten();
    shards
        .filter_map(|shard| std::fs::read_dir(shard.path()).ok())
        .flat_map(|files| files.flatten())
        .filter(|file| file.path().extension().is_some_and(|kind| kind == "json"))
        .count()
}

#[tokio::test]
async fn without_room_an_upload_is_refused_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    // No file may be longer than 1 MiB (in blocks of 512 bytes); the signal that says so is not wanted.
    let served = Served::start(folder.path(), "trap '' XFSZ; ulimit -f 2048;").await;
    let client = &served.client;
    let small = vec![1; MIB / 2];
    let kept = client.upload(&[Part::File("small", "", &small)]).await;
    assert_eq!(kept.status, 201);
    let large = vec![2; 2 * MIB];
    let refused = client.upload(&[Part::File("large", "", &large)]).await;
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (507, "storage_full")
    );
    let raw = client.send("POST", "/assets", &[], &large).await;
    assert_eq!(raw.status, 507);
    let path = format!("/assets/{}/download", kept.json()["hash"].as_str().unwrap());
    assert!(client.get(&path).await.body == small);
    let other = client.upload(&[Part::File("other", "", b"3")]).await;
    assert_eq!(other.status, 201);
    let store = folder.path().join("store");
    assert_eq!(rows(&store), 2);
    assert_eq!(
        std::fs::read_dir(store.join("incoming")).unwrap().count(),
        0
    );
}

/// A file system of 4 MiB of its own, where this user may mount one; the container of a CI job may not.
const SMALL_DISK: &str = "mount -t tmpfs -o size=4m none";

#[tokio::test]
async fn on_a_disk_that_is_full_an_upload_is_refused_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    std::fs::create_dir(&store).unwrap();
    let mount = format!("{SMALL_DISK} '{}'", store.display());
    let may_mount = std::process::Command::new("unshare")
        .args(["-m", "sh", "-c", &mount])
        .stderr(std::process::Stdio::null())
        .status();
    if !may_mount.is_ok_and(|status| status.success()) {
        // The same is tested without privileges, by the limit on the length of files and by an object store.
        return;
    }
    let script = format!("exec unshare -m sh -c '{SMALL_DISK} \"$S\" && exec \"$@\"'");
    let served = Served::start(
        folder.path(),
        &format!("S=\"{}\"; export S; {script}", store.display()),
    )
    .await;
    let client = &served.client;
    let kept = client.upload(&[Part::File("kept", "", &piece(1))]).await;
    assert_eq!(kept.status, 201);
    let large = vec![2; 6 * MIB];
    for _ in 0..2 {
        let refused = client.upload(&[Part::File("large", "", &large)]).await;
        assert_eq!(
            (refused.status, refused.error_code().as_str()),
            (507, "storage_full")
        );
        // What was written of it is gone: there is room again.
        let next = client.upload(&[Part::File("next", "", &piece(2))]).await;
        assert!([200, 201].contains(&next.status));
    }
    let path = format!("/assets/{}/download", kept.json()["hash"].as_str().unwrap());
    assert!(client.get(&path).await.body == piece(1));
    assert_eq!(
        client.get("/assets").await.json().as_array().unwrap().len(),
        2
    );
}

/// A megabyte that differs from all others.
fn piece(number: usize) -> Vec<u8> {
    let mut piece = vec![7; MIB];
    piece[..8].copy_from_slice(&number.to_le_bytes());
    piece
}

#[tokio::test]
async fn memory_does_not_grow_with_the_length_of_assets() {
    const PIECES: usize = 192;
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), "").await;
    let client = &served.client;
    let warm = client.upload(&[Part::File("warm", "", &piece(0))]).await;
    assert_eq!(warm.status, 201);
    let before = served.resident_bytes_max();

    let mut stream = TcpStream::connect(client.address).await.unwrap();
    let head = format!(
        "POST /assets HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        client.token,
        PIECES * MIB
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for number in 0..PIECES {
        stream.write_all(&piece(number)).await.unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (_, asset) = answer.split_once("\r\n\r\n").unwrap();
    let asset: serde_json::Value = serde_json::from_str(asset).unwrap();
    assert_eq!(asset["size"], PIECES * MIB);

    let mut stream = TcpStream::connect(client.address).await.unwrap();
    let head = format!(
        "GET /assets/{}/download HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        asset["hash"].as_str().unwrap(),
        client.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut reader = tokio::io::BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        tokio::io::AsyncBufReadExt::read_line(&mut reader, &mut line)
            .await
            .unwrap();
    }
    let mut read = vec![0; MIB];
    for number in 0..PIECES {
        reader.read_exact(&mut read).await.unwrap();
        assert!(read == piece(number), "piece {number}");
    }
    let grown = served.resident_bytes_max() - before;
    assert!(grown < 32 * MIB as u64, "{grown} bytes more");
}

#[tokio::test]
async fn a_silent_upload_is_given_up() {
    let idle = std::time::Duration::from_millis(200);
    let setup = super::start_with(StoreOptions::default(), idle).await;
    let mut stream = TcpStream::connect(setup.client.address).await.unwrap();
    let head = format!(
        "POST /assets HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Length: 1000\r\n\r\nabc",
        setup.client.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");
    assert!(setup.server.store().list(&Default::default()).is_empty());
}
