//! What node servers may do with their own tokens, and what is collected.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use nanocore::assets::{
    AssetService, AssetServiceConfig, AssetStore, Cursor, Entry, Filter, NewAsset, StoreOptions,
    Token, Tokens,
};
use serde_json::json;

use super::http::{Client, Part};

/// A service without the server around it, where `gone` is no longer registered; clients of the master, `a` and `gone`.
async fn service(folder: &std::path::Path) -> [Client; 3] {
    let store = AssetStore::open(folder, StoreOptions::default()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tokens = Tokens::new(Token::random()).only_for(|uid| uid != "gone");
    let config = AssetServiceConfig::new(tokens.clone(), "d", &format!("http://{address}"));
    let router = AssetService::new(store, config).router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let tokens = [
        tokens.master().clone(),
        tokens.for_server("a"),
        tokens.for_server("gone"),
    ];
    tokens.map(|token| Client {
        address,
        token: token.reveal().to_owned(),
    })
}

#[tokio::test]
async fn a_server_may_change_what_it_uploaded_and_speak_of_its_own_resources() {
    let folder = tempfile::tempdir().unwrap();
    let [master, server, gone] = service(folder.path()).await;
    assert_eq!(gone.get("/assets").await.status, 401);
    let own = server
        .upload(&[Part::File("own", "text/plain", b"own")])
        .await
        .json();
    let other = master
        .upload(&[Part::File("x", "text/plain", b"x")])
        .await
        .json();
    assert_eq!(
        (&own["uploadedBy"], other.get("uploadedBy")),
        (&json!("a"), None)
    );
    let path = |asset: &serde_json::Value| format!("/assets/{}", asset["uuid"].as_str().unwrap());
    assert_eq!(server.get(&path(&other)).await.status, 200);
    for (method, body) in [("PATCH", &b"{}"[..]), ("DELETE", b"")] {
        let refused = server.send(method, &path(&other), &[], body).await;
        assert_eq!(
            (refused.status, refused.error_code().as_str()),
            (403, "forbidden")
        );
        let done = server.send(method, &path(&own), &[], body).await;
        assert!(done.status < 300, "{method}");
    }
    let allocate = |uid: &str| {
        format!(r#"{{"serverUid":"{uid}","action":"ALLOCATE","data":{{"resourceId":"r"}}}}"#)
    };
    let tell = async |client: &Client, uid: &str| {
        let body = allocate(uid);
        client
            .send("POST", "/resources", &[], body.as_bytes())
            .await
            .status
    };
    assert_eq!(tell(&server, "a").await, 200);
    assert_eq!(tell(&server, "b").await, 403);
    assert_eq!(tell(&master, "b").await, 200);
}

fn ephemeral(ephemeral: bool) -> NewAsset {
    NewAsset {
        ephemeral,
        ..NewAsset::default()
    }
}

#[tokio::test]
async fn only_ephemeral_assets_that_nobody_used_since_are_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let store = AssetStore::open(folder.path(), StoreOptions::default()).unwrap();
    let put = async |content: &'static [u8], kept: bool| {
        let stored = store
            .put(Bytes::from_static(content), ephemeral(!kept))
            .await;
        stored.unwrap().entry
    };
    let kept = put(b"kept", true).await;
    let old = put(b"old", false).await;
    let referred = put(b"referred", false).await;
    let wanted = put(b"wanted", false).await;
    assert!(
        !put(b"wanted", true).await.ephemeral,
        "somebody wants it kept"
    );
    let hour_ago = Timestamp::now() - SignedDuration::from_hours(1);
    assert!(store.unused(hour_ago).is_empty());
    assert!(!store.delete_unused(old.hash, hour_ago).await.unwrap());
    let now = later_than(&store, &[&old, &referred]).await;
    store.touch(referred.uuid.to_string().parse().unwrap());
    let unused: Vec<_> = store.unused(now).iter().map(|entry| entry.hash).collect();
    assert_eq!(unused, [old.hash]);
    for entry in [&kept, &old, &referred, &wanted] {
        let is_old = entry.hash == old.hash;
        assert_eq!(store.delete_unused(entry.hash, now).await.unwrap(), is_old);
    }
    assert!(store.find(old.hash.into()).is_none());
    assert!(!store.path(&old).unwrap().exists());
    for entry in [kept, referred, wanted] {
        assert!(store.find(entry.hash.into()).is_some());
    }
}

/// A time after the last use of these, and no later than now.
async fn later_than(store: &AssetStore, entries: &[&Entry]) -> Timestamp {
    loop {
        let now = Timestamp::now();
        let unused = store.unused(now);
        let is_in = |entry: &&Entry| unused.iter().any(|one| one.hash == entry.hash);
        if entries.iter().all(is_in) {
            return now;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_page_begins_where_the_last_one_ended_even_if_that_entry_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let store = AssetStore::open(folder.path(), StoreOptions::default()).unwrap();
    for content in [&b"1"[..], b"2", b"3"] {
        let stored = store
            .put(Bytes::from_static(content), ephemeral(false))
            .await;
        stored.unwrap();
    }
    let all = store.list(&Filter::default());
    let after = Cursor::of(&all[0]).to_string().parse().unwrap();
    store.delete(all[0].hash.into()).await.unwrap();
    let rest = store.list(&Filter {
        after: Some(after),
        ..Filter::default()
    });
    let uuids = |entries: &[std::sync::Arc<Entry>]| -> Vec<_> {
        entries.iter().map(|entry| entry.uuid).collect()
    };
    assert_eq!(uuids(&rest), uuids(&all[1..]));
}
