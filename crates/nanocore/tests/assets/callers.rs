//! What node servers may do with their own tokens, and what is collected.

use std::time::Duration;

use bytes::Bytes;
use nanocore::assets::{
    AssetService, AssetServiceConfig, AssetStore, Collected, Cursor, Filter, NewAsset,
    StoreOptions, Token, Tokens,
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
async fn only_ephemeral_assets_that_are_unused_and_not_referred_to_are_collected() {
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
    let nothing = store
        .gc(Duration::from_secs(3600), |_| false)
        .await
        .unwrap();
    assert_eq!(nothing, Collected::default());

    let refers = |entry: &nanocore::assets::Entry| entry.hash == referred.hash;
    let collected = store.gc(Duration::ZERO, refers).await.unwrap();
    assert_eq!(
        collected,
        Collected {
            assets: 1,
            bytes: 3,
            referred: 1
        }
    );
    assert!(store.find(old.hash.into()).is_none());
    assert!(!store.path(&old).unwrap().exists());
    for entry in [kept, referred, wanted] {
        assert!(store.find(entry.hash.into()).is_some());
    }
    let forever = store.gc(Duration::MAX, |_| false).await.unwrap();
    assert_eq!(forever, Collected::default());
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
    let uuids = |entries: &[std::sync::Arc<nanocore::assets::Entry>]| -> Vec<_> {
        entries.iter().map(|entry| entry.uuid).collect()
    };
    assert_eq!(uuids(&rest), uuids(&all[1..]));
}
