//! Graphs over node servers whose assets are in different places: copies, failures, aborts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod places;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::stream::{BoxStream, StreamExt, iter};
use nanocore::assets::{
    AssetStore, AssetTransfer, ForeignAssets, NewAsset, TransferCounters, TransferOptions,
};
use nanocore::workflow::{
    AssetStyle, Call, CopyingInvoker, Engine, Graph, GraphNode, InProcess, Link, NodeErrorCode,
    Report, RunOptions, RunStatus, Server, StoreLinks,
};
use nanograph::message::{NodeDefinition, Port};
use nodewire_json::Json;

use places::{Ours, Place, eventually, scripted};

/// More than anything here takes; only a failure waits for it.
const LIMIT: Duration = Duration::from_secs(60);
const CONTENT: &[u8] = b"0123456789";
const HASH: &str = "sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882";

type Seen = Arc<Mutex<Vec<String>>>;
type Handler = Box<dyn Fn(Call) -> BoxStream<'static, Report> + Send + Sync>;

fn definition(uid: &str, is_source: bool) -> NodeDefinition {
    let port = |name: &str, kind: &str| Port {
        name: name.to_owned(),
        kind: kind.to_owned(),
        optional: true,
        ..Port::default()
    };
    let ports = vec![port("image", "asset:image"), port("note", "string")];
    let (inputs, outputs) = if is_source {
        (vec![], ports)
    } else {
        (ports, vec![])
    };
    NodeDefinition {
        inputs,
        outputs,
        ..NodeDefinition::new(uid)
    }
}

/// `make` on one server gives `name` as image, and a note that only looks like one; `take` on the other notes its inputs.
fn nodes(
    name: &str,
    makes: &ForeignAssets,
    takes: &ForeignAssets,
    style: Option<AssetStyle>,
) -> (InProcess, Seen) {
    let seen = Seen::default();
    let outputs = Json::parse(format!(r#"{{"image": ["{name}"], "note": ["{name}"]}}"#)).unwrap();
    let make: Handler = Box::new(move |_| iter([Report::complete(&outputs)]).boxed());
    let noted = Arc::clone(&seen);
    let take: Handler = Box::new(move |call| {
        let inputs = call.request.inputs.as_str().to_owned();
        noted.lock().unwrap().push(inputs);
        iter([Report::complete(&Json::parse("{}").unwrap())]).boxed()
    });
    let server = |uid: &str, assets: &ForeignAssets, asset_style| Server {
        uid: uid.to_owned(),
        domain: Some(format!("{uid}.domain")),
        asset_style,
        assets: Some(assets.clone()),
        ..Server::default()
    };
    let nodes = InProcess::new()
        .server(server("a", makes, None), [(definition("make", true), make)])
        .server(
            server("b", takes, style),
            [(definition("take", false), take)],
        );
    (nodes, seen)
}

fn graph() -> Graph {
    Graph {
        nodes: vec![GraphNode::new(1, "make"), GraphNode::new(2, "take")],
        links: vec![
            Link::new(1, (1, "image"), (2, "image")),
            Link::new(2, (1, "note"), (2, "note")),
        ],
        ..Graph::default()
    }
}

fn engine(nodes: InProcess, transfer: &AssetTransfer) -> Engine<CopyingInvoker<InProcess>> {
    Engine::new(Arc::new(CopyingInvoker::new(
        nodes,
        transfer.clone(),
        "ours",
    )))
}

fn options(store: &AssetStore) -> RunOptions {
    RunOptions {
        assets: Some(Arc::new(StoreLinks::new(store.clone(), "ours"))),
        ..RunOptions::default()
    }
}

async fn content(store: &AssetStore) -> Vec<u8> {
    let entry = store.find(HASH.parse().unwrap()).unwrap();
    let pieces = store.read(&entry, 0..u64::MAX).await.unwrap();
    let pieces: Vec<Bytes> = pieces.try_collect().await.unwrap();
    pieces.concat()
}

// spec: nanograph 17.6
#[tokio::test]
async fn an_asset_follows_a_graph_from_one_asset_server_to_another_and_is_copied_once() {
    for (by_uuid, style) in [
        (false, AssetStyle::Hash),
        (true, AssetStyle::Uuid),
        (false, AssetStyle::Uuid),
    ] {
        let (ours, a, b) = (
            Ours::open(),
            Place::start("a").await,
            Place::start("b").await,
        );
        let made = a
            .store()
            .put(Bytes::from_static(CONTENT), NewAsset::default());
        let made = made.await.unwrap().entry;
        let name = if by_uuid {
            format!("nanocore://a.domain/asset/{}", made.uuid)
        } else {
            HASH.to_owned()
        };
        let (nodes, seen) = nodes(&name, &a.foreign(), &b.foreign(), Some(style));
        let engine = engine(nodes, &ours.transfer);
        for _ in 0..2 {
            let run = engine.start(&graph(), options(&ours.store)).unwrap();
            let result = run.result().await.unwrap();
            assert_eq!(result.status, RunStatus::Complete, "{result:?}");
            let here = ours.store.find(HASH.parse().unwrap()).unwrap();
            assert_eq!(here.uploaded_by.as_deref(), Some("a"));
            let expected = if by_uuid {
                format!(r#"["nanocore://ours/asset/{}"]"#, here.uuid)
            } else {
                format!(r#"["{HASH}"]"#)
            };
            let output = result.node(1).unwrap().output("image").unwrap();
            assert_eq!(output.as_str(), expected);
        }
        assert_eq!(content(&ours.store).await, CONTENT);
        assert_eq!(content(b.store()).await, CONTENT);
        let there = b.store().find(HASH.parse().unwrap()).unwrap();
        let taken = match style {
            AssetStyle::Hash => HASH.to_owned(),
            AssetStyle::Uuid => format!("nanocore://b.domain/asset/{}", there.uuid),
        };
        let inputs = format!(r#"{{"image": ["{taken}"], "note": ["{name}"]}}"#);
        assert_eq!(*seen.lock().unwrap(), [inputs.clone(), inputs]);
        let counters = ours.transfer.counters();
        let expected = TransferCounters {
            imported: 1,
            exported: 1,
            // By hash, the store is asked before anything is to be copied.
            present: if by_uuid { 2 } else { 1 },
            bytes: 20,
            ..TransferCounters::default()
        };
        assert_eq!(counters, expected, "{by_uuid} {style:?}");
    }
}

#[tokio::test]
async fn a_server_that_refuses_or_cuts_a_download_fails_the_node_and_leaves_nothing() {
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n0123456789";
    let other = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
    let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!";
    for (answer, reason) in [
        (refusal, "403: no!"),
        (long, "cut off"),
        (other, "another hash"),
    ] {
        let ours = Ours::open();
        let a = scripted(answer.as_bytes().to_vec(), false).await;
        let (nodes, seen) = nodes(HASH, &a, &a, None);
        let run = engine(nodes, &ours.transfer).start(&graph(), options(&ours.store));
        let result = run.unwrap().result().await.unwrap();
        let error = result.node(1).unwrap().error.clone().unwrap();
        assert_eq!(error.code, NodeErrorCode::AssetTransfer, "{error}");
        for part in [HASH, &a.endpoint, "\"a\"", reason] {
            assert!(error.message.contains(part), "{error} without {part}");
        }
        assert!(seen.lock().unwrap().is_empty());
        assert!(ours.store.list(&Default::default()).is_empty());
        eventually(|| ours.incoming() == 0).await;
        assert_eq!(ours.transfer.counters().failed, 1);
    }
}

#[tokio::test]
async fn a_server_that_takes_no_uploads_is_not_sent_the_node() {
    let (ours, a) = (Ours::open(), Place::start("a").await);
    let made = a
        .store()
        .put(Bytes::from_static(CONTENT), NewAsset::default());
    made.await.unwrap();
    let refusal = "HTTP/1.1 500 No\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!";
    let b = scripted(refusal.as_bytes().to_vec(), false).await;
    let (nodes, seen) = nodes(HASH, &a.foreign(), &b, None);
    let run = engine(nodes, &ours.transfer).start(&graph(), options(&ours.store));
    let result = run.unwrap().result().await.unwrap();
    let error = result.node(2).unwrap().error.clone().unwrap();
    assert_eq!(error.code, NodeErrorCode::AssetTransfer, "{error}");
    assert!(error.message.contains(HASH) && error.message.contains(&b.endpoint));
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_aborted_run_breaks_copies_off_and_leaves_no_partial_asset() {
    let mut part = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".to_vec();
    part.resize(part.len() + 100_000, 7);
    let ours = Ours::open();
    let slow = scripted(part, true).await;
    let (nodes, seen) = nodes(HASH, &slow, &slow, None);
    let run = engine(nodes, &ours.transfer)
        .start(&graph(), options(&ours.store))
        .unwrap();
    eventually(|| ours.incoming() == 1).await;
    run.abort_handle().abort();
    let result = tokio::time::timeout(LIMIT, run.result()).await.unwrap();
    assert_eq!(result.unwrap().status, RunStatus::Aborted);
    eventually(|| ours.incoming() == 0 && ours.transfer.counters().cancelled == 1).await;
    assert!(ours.store.list(&Default::default()).is_empty());
    assert!(seen.lock().unwrap().is_empty());
    assert_eq!(ours.transfer.counters().failed, 0);
}

#[tokio::test]
async fn a_copy_has_a_time_limit() {
    let options = TransferOptions {
        copy_timeout: Duration::from_millis(50),
        ..TransferOptions::default()
    };
    let ours = Ours::open_with(options);
    let silent = scripted(Vec::new(), true).await;
    let name = HASH.parse().unwrap();
    let copied = ours.transfer.import(&silent, &name, "a").await;
    let error = copied.unwrap_err().to_string();
    assert!(error.contains("not done"), "{error}");
}
