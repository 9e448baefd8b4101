//! The asset server as its callers see it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod callers;
mod crash;
mod faults;
mod full;
mod http;
#[path = "../common/log.rs"]
mod log;
mod objects;
mod python;
mod served;
mod storage;

use std::path::Path;
use std::time::Duration;

use http::{Client, Part};
use nanocore::assets::{
    AssetServer, AssetServerConfig, AssetStore, StoreError, StoreOptions, Token,
};
use serde_json::json;
use tempfile::TempDir;

pub(crate) struct Setup {
    pub(crate) server: AssetServer,
    pub(crate) client: Client,
    pub(crate) folder: TempDir,
}

pub(crate) async fn start(options: StoreOptions) -> Setup {
    start_with(options, AssetServerConfig::default().upload_idle_timeout).await
}

pub(crate) async fn start_with(options: StoreOptions, upload_idle_timeout: Duration) -> Setup {
    let folder = tempfile::tempdir().unwrap();
    let store = AssetStore::open(folder.path(), options).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = AssetServerConfig {
        domain: "test.domain".to_owned(),
        upload_idle_timeout,
        ..AssetServerConfig::default()
    };
    let server = AssetServer::start(store, listener, config).unwrap();
    let client = Client {
        address: server.address(),
        token: server.token().reveal().to_owned(),
    };
    Setup {
        server,
        client,
        folder,
    }
}

/// The store of a folder whose lock is given back. A process that another test is just starting has a copy of every open
/// file, locks included, until it runs its own program.
pub(crate) async fn opened_again(folder: &Path) -> AssetStore {
    opened_with(folder, StoreOptions::default()).await
}

pub(crate) async fn opened_with(folder: &Path, options: StoreOptions) -> AssetStore {
    loop {
        match AssetStore::open(folder, options.clone()) {
            Err(StoreError::Locked { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            opened => return opened.unwrap(),
        }
    }
}

async fn start_default() -> Setup {
    start(StoreOptions::default()).await
}

const PICTURE: Part<'_> = Part::File("a%20%C3%A9.png", "image/png", b"0123456789");

#[tokio::test]
async fn an_upload_has_the_fields_of_both_generations_and_is_kept_once() {
    let setup = start_default().await;
    let first = setup
        .client
        .upload(&[
            Part::Text("meta", "{'k': 'v', 'b': True}"),
            PICTURE,
            Part::Text("type", "photo"),
        ])
        .await;
    let asset = first.json();
    assert_eq!(first.status, 201);
    assert_eq!(
        (&asset["name"], &asset["type"], &asset["mime"]),
        (&json!("a é.png"), &json!("photo"), &json!("image/png"))
    );
    assert_eq!(
        (&asset["size"], &asset["meta"]),
        (&json!(10), &json!({"k": "v", "b": true}))
    );
    assert_eq!(
        asset["hash"],
        "sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882"
    );
    assert_eq!(
        asset["uri"],
        format!(
            "nanocore://test.domain/asset/{}",
            asset["uuid"].as_str().unwrap()
        )
    );
    assert_eq!(asset["alreadyExists"], false);

    let again = setup
        .client
        .upload(&[Part::File("other.txt", "text/plain", b"0123456789")])
        .await;
    assert_eq!(again.status, 200);
    assert_eq!(
        (&again.json()["uuid"], &again.json()["name"]),
        (&asset["uuid"], &asset["name"])
    );
    assert_eq!(again.json()["alreadyExists"], true);
    assert_eq!(
        setup
            .client
            .get("/assets")
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_raw_body_is_an_upload_too() {
    let setup = start_default().await;
    let headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("X-Filename", "n%C3%B6te.txt"),
    ];
    let asset = setup
        .client
        .send("POST", "/assets", &headers, b"hello")
        .await
        .json();
    assert_eq!(
        (&asset["name"], &asset["type"], &asset["mime"]),
        (&json!("nöte.txt"), &json!("text"), &json!("text/plain"))
    );
    let empty = setup.client.send("POST", "/assets", &[], b"").await;
    assert_eq!(
        (empty.status, &empty.json()["size"], &empty.json()["name"]),
        (201, &json!(0), &json!("file"))
    );
}

#[tokio::test]
async fn both_ids_lead_to_the_same_content() {
    let setup = start_default().await;
    let asset = setup.client.upload(&[PICTURE]).await.json();
    let (uuid, hash) = (
        asset["uuid"].as_str().unwrap(),
        asset["hash"].as_str().unwrap(),
    );
    let ids = [
        uuid.to_owned(),
        uuid.to_uppercase(),
        hash.to_owned(),
        hash.replace(':', "%3A"),
        hash.to_uppercase().replace("SHA256", "sha256"),
    ];
    for id in ids {
        assert_eq!(
            setup
                .client
                .get(&format!("/assets/{id}/download"))
                .await
                .body,
            b"0123456789",
            "{id}"
        );
        assert_eq!(
            setup.client.get(&format!("/assets/{id}")).await.json()["uuid"],
            uuid
        );
        assert_eq!(
            setup
                .client
                .get(&format!("/assets/{id}/exists"))
                .await
                .json(),
            json!({"exists": true})
        );
    }
    for id in [
        "nonsense",
        "..%2f..%2fetc%2fpasswd",
        "00000000-0000-0000-0000-000000000000",
    ] {
        assert_eq!(
            setup
                .client
                .get(&format!("/assets/{id}/download"))
                .await
                .status,
            404,
            "{id}"
        );
        assert_eq!(
            setup
                .client
                .get(&format!("/assets/{id}/exists"))
                .await
                .json(),
            json!({"exists": false})
        );
    }
}

#[tokio::test]
async fn a_download_can_be_partial_or_conditional() {
    let setup = start_default().await;
    let asset = setup.client.upload(&[PICTURE]).await.json();
    let path = format!("/assets/{}/download", asset["uuid"].as_str().unwrap());
    let tag = format!("\"{}\"", asset["hash"].as_str().unwrap());

    let whole = setup.client.get(&path).await;
    assert_eq!(
        (
            whole.headers["content-type"].as_str(),
            whole.headers["content-length"].as_str()
        ),
        ("image/png", "10")
    );
    assert_eq!(
        whole.headers["content-disposition"],
        "inline; filename=\"a _.png\"; filename*=UTF-8''a%20%C3%A9.png"
    );
    assert_eq!(
        (
            &whole.headers["etag"],
            whole.headers["accept-ranges"].as_str()
        ),
        (&tag, "bytes")
    );

    let head = setup.client.send("HEAD", &path, &[], b"").await;
    assert_eq!(
        (
            head.status,
            head.headers["content-length"].as_str(),
            head.body.len()
        ),
        (200, "10", 0)
    );

    let part = setup
        .client
        .send("GET", &path, &[("Range", "bytes=2-4")], b"")
        .await;
    assert_eq!(
        (
            part.status,
            part.body.as_slice(),
            part.headers["content-range"].as_str()
        ),
        (206, &b"234"[..], "bytes 2-4/10")
    );
    let beyond = setup
        .client
        .send("GET", &path, &[("Range", "bytes=10-")], b"")
        .await;
    assert_eq!(
        (beyond.status, beyond.headers["content-range"].as_str()),
        (416, "bytes */10")
    );
    let stale = setup
        .client
        .send(
            "GET",
            &path,
            &[("Range", "bytes=2-4"), ("If-Range", "\"other\"")],
            b"",
        )
        .await;
    assert_eq!((stale.status, stale.body.len()), (200, 10));

    let known = setup
        .client
        .send("GET", &path, &[("If-None-Match", &tag)], b"")
        .await;
    assert_eq!(
        (known.status, known.body.len(), &known.headers["etag"]),
        (304, 0, &tag)
    );
}

#[tokio::test]
async fn only_the_token_opens() {
    let setup = start_default().await;
    let asset = setup.client.upload(&[PICTURE]).await.json();
    let path = format!("/assets/{}/download", asset["uuid"].as_str().unwrap());
    let refused = setup.client.send_bare("GET", "/assets", &[], b"").await;
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (401, "unauthorized")
    );
    assert_eq!(refused.headers["www-authenticate"], "Bearer");
    for value in ["Bearer wrong", "Basic abc", "Bearer", "Bearer "] {
        assert_eq!(
            setup
                .client
                .send_bare("GET", &path, &[("Authorization", value)], b"")
                .await
                .status,
            401,
            "{value}"
        );
    }
    let lured = setup
        .client
        .send("GET", "/assets", &[("Host", "evil.example")], b"")
        .await;
    assert_eq!(lured.status, 403);
    assert_eq!(setup.client.get("/nothing").await.error_code(), "not_found");
    assert_eq!(
        setup
            .client
            .send("PUT", "/assets", &[], b"")
            .await
            .error_code(),
        "method_not_allowed"
    );
}

#[tokio::test]
async fn a_presigned_address_works_without_the_token_until_it_is_altered() {
    let setup = start_default().await;
    let asset = setup.client.upload(&[PICTURE]).await.json();
    let hash = asset["hash"].as_str().unwrap();
    let presigned = setup
        .client
        .get(&format!("/assets/{hash}/presigned"))
        .await
        .json();
    assert_eq!(presigned["expiresIn"], 3600);
    let url = presigned["url"].as_str().unwrap();
    let path = url.strip_prefix(setup.server.endpoint()).unwrap();
    let get = async |path: &str| setup.client.send_bare("GET", path, &[], b"").await;
    assert_eq!(get(path).await.body, b"0123456789");
    let other = setup
        .client
        .upload(&[Part::File("b", "text/plain", b"secret")])
        .await
        .json();
    let elsewhere = path.replace(
        asset["uuid"].as_str().unwrap(),
        other["uuid"].as_str().unwrap(),
    );
    let later = path.replace("exp=1", "exp=2");
    for altered in [
        elsewhere,
        later,
        format!("{path}00"),
        path.split("&sig").next().unwrap().to_owned(),
    ] {
        assert_eq!(get(&altered).await.error_code(), "forbidden", "{altered}");
    }
}

#[tokio::test]
async fn an_expired_address_is_refused() {
    let setup = start_default().await;
    let asset = setup.client.upload(&[PICTURE]).await.json();
    let presigned = setup
        .client
        .get(&format!(
            "/assets/{}/presigned?expires=1",
            asset["uuid"].as_str().unwrap()
        ))
        .await
        .json();
    let path = presigned["url"]
        .as_str()
        .unwrap()
        .strip_prefix(setup.server.endpoint())
        .unwrap()
        .to_owned();
    // Valid through the second that is named; the clock is what is waited for.
    let refused = loop {
        let answer = setup.client.send_bare("GET", &path, &[], b"").await;
        if answer.status != 200 {
            break answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (403, "forbidden")
    );
}

#[tokio::test]
async fn an_address_that_would_be_good_for_no_time_is_refused() {
    let setup = start_default().await;
    let asset = setup.client.upload(&[PICTURE]).await.json();
    let path = format!("/assets/{}/presigned", asset["uuid"].as_str().unwrap());
    let refused = setup.client.get(&format!("{path}?expires=0")).await;
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (400, "bad_request")
    );
    let longest = setup.client.get(&format!("{path}?expires=999999999")).await;
    assert_eq!(longest.json()["expiresIn"], 7 * 24 * 3600);
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let setup = start_default().await;
    for (name, mime) in [
        ("one.png", "image/png"),
        ("two.txt", "text/plain"),
        ("three.png", "image/png"),
    ] {
        setup
            .client
            .upload(&[Part::File(name, mime, name.as_bytes())])
            .await;
    }
    let names = |answer: &http::Answer| -> Vec<String> {
        answer
            .json()
            .as_array()
            .unwrap()
            .iter()
            .map(|asset| asset["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        names(&setup.client.get("/assets").await),
        ["three.png", "two.txt", "one.png"]
    );
    assert_eq!(
        names(&setup.client.get("/assets?type=image&order=oldest").await),
        ["one.png", "three.png"]
    );
    assert_eq!(
        names(&setup.client.get("/assets?name=T").await),
        ["three.png", "two.txt"]
    );
    let two = setup.client.get("/assets?type=text").await.json()[0]["hash"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        names(&setup.client.get(&format!("/assets?hash={two}")).await),
        ["two.txt"]
    );
    let page = setup.client.get("/assets?limit=2").await;
    assert_eq!(names(&page), ["three.png", "two.txt"]);
    let next = setup
        .client
        .get(&format!(
            "/assets?limit=2&cursor={}",
            page.headers["x-next-cursor"]
        ))
        .await;
    assert_eq!(names(&next), ["one.png"]);
    assert!(!next.headers.contains_key("x-next-cursor"));
    for bad in ["order=up", "hash=x", "cursor=x", "limit=-1"] {
        assert_eq!(
            setup.client.get(&format!("/assets?{bad}")).await.status,
            400,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn an_asset_can_be_changed_and_deleted() {
    let setup = start_default().await;
    let path = format!(
        "/assets/{}",
        setup.client.upload(&[PICTURE]).await.json()["uuid"]
            .as_str()
            .unwrap()
    );
    let changed = setup
        .client
        .send(
            "PATCH",
            &path,
            &[],
            br#"{"name": "../b.png", "meta": {"a": 1}}"#,
        )
        .await
        .json();
    assert_eq!(
        (&changed["name"], &changed["meta"], &changed["type"]),
        (&json!("b.png"), &json!({"a": 1}), &json!("image"))
    );
    assert_eq!(
        setup
            .client
            .send("PATCH", &path, &[], br#"{"hash": "x"}"#)
            .await
            .status,
        400
    );
    assert_eq!(
        setup.client.send("DELETE", &path, &[], b"").await.status,
        204
    );
    assert_eq!(
        setup.client.send("DELETE", &path, &[], b"").await.status,
        404
    );
    assert_eq!(setup.client.get("/assets").await.json(), json!([]));
    assert_eq!(setup.client.upload(&[PICTURE]).await.status, 201);
}

#[tokio::test]
async fn resources_are_held_until_freed() {
    let setup = start_default().await;
    let send = async |body: &str| {
        setup
            .client
            .send(
                "POST",
                "/resources",
                &[("Content-Type", "application/json")],
                body.as_bytes(),
            )
            .await
    };
    let allocate = r#"{"serverUid":"s","action":"ALLOCATE","data":{"resourceId":"r","type":"model","vramUsage":NaN}}"#;
    assert_eq!(send(allocate).await.json(), json!({"success": true}));
    assert_eq!(send(allocate).await.status, 200);
    let list = setup.client.get("/resources").await.json();
    assert_eq!(
        (
            list.as_array().unwrap().len(),
            &list[0]["serverUid"],
            &list[0]["data"]["type"]
        ),
        (1, &json!("s"), &json!("model"))
    );
    assert_eq!(
        send(r#"{"serverUid":"s","action":"FREE","data":{"resourceId":"r"}}"#)
            .await
            .status,
        200
    );
    assert_eq!(setup.client.get("/resources").await.json(), json!([]));
    for bad in [
        r#"{"serverUid":"s","action":"MOVE","data":{"resourceId":"r"}}"#,
        r#"{"serverUid":"s","action":"FREE","data":{}}"#,
        "x",
        "{}",
    ] {
        assert_eq!(send(bad).await.error_code(), "bad_request", "{bad}");
    }
    send(allocate).await;
    setup.server.resources().drop_server("s");
    assert!(setup.server.resources().list().is_empty());
}

#[tokio::test]
async fn a_weak_token_stays_on_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let store = AssetStore::open(folder.path(), StoreOptions::default()).unwrap();
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let config = AssetServerConfig {
        token: Token::new("changeme"),
        ..AssetServerConfig::default()
    };
    assert!(
        AssetServer::start(store, listener, config)
            .unwrap_err()
            .to_string()
            .contains("changeme")
    );
}
