//! Assets of a server that somebody else starts, and that keeps them elsewhere.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use nanocore::assets::{
    AssetServer, AssetServerConfig, AssetStore, ForeignAssets, NewAsset, StoreOptions,
};
use nanocore::events::{Item, Subscribe};
use nanocore::registry::{Entry, Registry};
use nanograph::message::ClientMessage;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use crate::http::Part;
use crate::support::start_with;

const HASH: &str = "sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882";

/// A node server with one node, `make`, which gives the asset.
async fn serve(listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let definition = json!({"uid": "make", "name": "Make", "category": "test", "version": "1.0.0",
            "inputs": [], "parameters": [], "outputs": [{"name": "image", "type": "asset:image"}]});
        let handshake = json!({"type": "handshake", "serverUid": "far", "serverPackageId": "far",
            "payload": {"serverUid": "far", "serverPackageId": "far", "nodeDefinitions": [definition]}});
        socket
            .send(Message::text(handshake.to_string()))
            .await
            .unwrap();
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else {
                continue;
            };
            let message = ClientMessage::parse(text.as_str().to_owned()).unwrap();
            if let ClientMessage::RequestExecution(request) = message {
                let status = format!(
                    r#"{{"type": "node_status", "serverUid": "far", "instanceId": "{}", "payload": {{"nodeId": {},
                        "status": {{"type": "complete", "outputs": {{"image": ["{HASH}"]}}}}}}}}"#,
                    request.instance_id, request.node_id
                );
                socket.send(Message::text(status)).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn assets_of_a_server_elsewhere_are_copied_and_new_ones_are_told() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let store = AssetStore::open(folder.path(), StoreOptions::default()).unwrap();
    let made = store.put(Bytes::from_static(b"0123456789"), NewAsset::default());
    made.await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let elsewhere = AssetServer::start(store, listener, AssetServerConfig::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut entry = Entry::new("far");
    entry.url = Some(format!("ws://{}/", listener.local_addr().unwrap()));
    entry.asset_server = Some(ForeignAssets {
        endpoint: elsewhere.endpoint().to_owned(),
        token: elsewhere.token().clone(),
    });
    tokio::spawn(serve(listener));
    let setup = start_with(|options| {
        std::fs::create_dir_all(&options.data_folder).unwrap();
        let registry = Registry::new(nanocore::home::registry(&options.data_folder));
        registry.put(entry).unwrap();
    })
    .await;
    for status in [201, 200] {
        let file = [Part::File("a.txt", "text/plain", b"a")];
        assert_eq!(setup.client.upload(&file).await.status, status);
    }
    setup
        .until("/api/v1/nodes", |nodes| {
            nodes.to_string().contains("\"make\"")
        })
        .await;
    let graph = json!({
        "nodes": [{ "id": 1, "uid": "make", "serverUid": "far" },
                  { "id": 2, "uid": "viewer", "serverUid": "builtin" }],
        "links": [{ "id": 1, "link": [1, "image", 2, "value"] }],
    });
    let run_id = setup.submit(&json!({ "graph": graph })).await;
    let run = setup.finished(&run_id).await;
    assert_eq!(run["status"], "complete", "{run}");
    let path = format!("/assets/{HASH}/download");
    assert_eq!(setup.client.get(&path).await.body, b"0123456789");

    let mut events = setup.daemon.events().subscribe(Subscribe {
        since: Some(0),
        ..Subscribe::default()
    });
    let mut added: Vec<Value> = Vec::new();
    while let Some(item) = events.try_next() {
        if let Item::Event(event) = item
            && event.type_name == "asset_added"
        {
            let mut event: Value = serde_json::from_str(event.text()).unwrap();
            added.push(event["asset"].take());
        }
    }
    assert_eq!(added.len(), 2, "{added:?}");
    assert_eq!(added[0]["name"], "a.txt");
    assert_eq!(
        (&added[1]["hash"], &added[1]["uploadedBy"]),
        (&json!(HASH), &json!("far"))
    );
    let metrics = setup.client.get("/metrics").await.body;
    let metrics = String::from_utf8(metrics).unwrap();
    assert!(
        metrics.contains("nanocore_assets_imported_total 1"),
        "{metrics}"
    );
}

#[test]
fn the_registry_has_address_and_token_of_an_asset_server_together() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::new(folder.path().join("nodeservers.json"));
    let read = |members: &str| {
        let text = format!(r#"[{{"serverUid": "far", {members}}}]"#);
        std::fs::write(registry.path(), text).unwrap();
        registry
            .load()
            .map_err(|error| format!("{error} {error:?}"))
    };
    let url = r#""url": "ws://h:1", "#;
    let both = r#""assetEndpoint": "http://h:3001", "assetToken": "hush""#;
    let entries = read(&format!("{url}{both}")).unwrap();
    let entry = entries.get("far").unwrap().clone();
    assert!(!format!("{:?}", entry.asset_server).contains("hush"));
    registry.put(entry.clone()).unwrap();
    let again = registry.load().unwrap();
    assert_eq!(again.get("far").unwrap().asset_server, entry.asset_server);
    for (members, problem) in [
        (format!(r#"{url}"assetEndpoint": "http://h""#), "assetToken"),
        (format!(r#"{url}"assetToken": "hush""#), "assetEndpoint"),
        (
            format!(r#"{url}"assetEndpoint": "h", "assetToken": "hush""#),
            "http://",
        ),
        (format!(r#""path": "/srv", {both}"#), "beside a path"),
    ] {
        let error = read(&members).unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
}
