//! How a frame names its node, and what its content becomes.

use bytes::Bytes;
use nnrp::DialPolicy;
use nnrp::client::{ConnectOptions, Submit};
use nnrp_wire::body::{ObjectReference, PayloadKind, TensorSection, TypedPayload};
use nnrp_wire::build::{TensorInput, Tiles};
use nnrp_wire::session::FrameKey;
use nnrp_wire::{CachePut, CacheStatus, DType, ErrorCode, FrameSubmit, ObjectKind};
use nodewire::nnrp::DISCOVERY_NODE;
use serde_json::Value;

use crate::support::{Served, asking, event, of, rest, seen, soon, text};

fn for_model(model: &str) -> ConnectOptions {
    ConnectOptions::default()
        .with_policy(DialPolicy::ForceTcp)
        .with_requested_model(model)
}

#[tokio::test]
async fn an_event_names_the_node_on_both_transports() {
    let served = Served::start().await;
    for policy in [DialPolicy::ForceTcp, DialPolicy::ForceQuic] {
        let session = served.connect(policy).await;
        let request =
            r#"{"node": "echo", "inputs": {"text": ["a", "b"]}, "parameters": {"prefix": "- "}}"#;
        let answer = seen(&session, asking(request)).await;
        assert_eq!(answer.result(), [text(1, "- a"), text(1, "- b")]);
        session.close("done").await;
    }
    assert_eq!(served.balanced().await.completed, 2);
}

#[tokio::test]
async fn the_session_s_model_names_the_node() {
    let served = Served::start().await;
    let session = served.connect_with(for_model("echo")).await;
    assert_eq!(session.established().unwrap().payload, "echo");
    let chunks = vec![
        TypedPayload::token_chunk("a"),
        TypedPayload::token_chunk("b"),
    ];
    let answer = seen(&session, of(chunks)).await;
    assert_eq!(answer.result(), [text(1, "> a"), text(1, "> b")]);
    // An event without a node is an input, one with a node goes before the model.
    let answer = seen(&session, of(vec![event(r#""c""#)])).await;
    assert_eq!(answer.result(), [text(1, "> c")]);
    let answer = seen(&session, asking(r#"{"node": "tell", "callerId": "me"}"#)).await;
    assert_eq!(answer.result(), [text(1, ""), text(1, "me")]);
}

#[tokio::test]
async fn a_frame_without_a_node_is_told_how_to_name_one() {
    let served = Served::start().await;
    // What is no node is not repeated: it may be a secret.
    let session = served.connect_with(for_model("secret")).await;
    assert_eq!(session.established().unwrap().payload, "");
    let answer = seen(&session, of(vec![TypedPayload::token_chunk("a")])).await;
    answer.failed(
        ErrorCode::MalformedBody,
        "invalid_input: the frame names no node",
    );
    let answer = seen(&session, asking(r#"{"node": "nobody"}"#)).await;
    answer.failed(
        ErrorCode::UnsupportedCapability,
        "unknown_node: Node definition not found: nobody",
    );
    let answer = seen(&session, asking(r#"{"node": "echo", "input": {}}"#)).await;
    answer.failed(ErrorCode::MalformedBody, "unknown member `input`");
    let answer = seen(
        &session,
        asking(r#"{"node": "echo", "inputs": {"txet": "a"}}"#),
    )
    .await;
    answer.failed(
        ErrorCode::MalformedBody,
        "invalid_input: node `echo` has no input `txet`; it has `text`",
    );
    assert_eq!(served.balanced().await.refused(), 2);
}

#[tokio::test]
async fn a_mebibyte_goes_through_both_ways() {
    let served = Served::start().await;
    let bytes = Bytes::from((0..1 << 20).map(|n| (n % 251) as u8).collect::<Vec<u8>>());
    for policy in [DialPolicy::ForceTcp, DialPolicy::ForceQuic] {
        let session = served.connect(policy).await;
        let payload = TypedPayload::opaque_bytes(bytes.clone());
        let answer = seen(&session, of(vec![event(r#"{"node": "pass"}"#), payload])).await;
        assert_eq!(
            answer.result(),
            [(PayloadKind::OpaqueBytes, 1, bytes.clone())]
        );
    }
}

#[tokio::test]
async fn tensor_tiles_are_bytes() {
    let served = Served::start().await;
    let session = served.connect_with(for_model("pass")).await;
    let tiles = [Bytes::from_static(b"one"), Bytes::from_static(b"two")];
    let sections = [TensorSection::new(1, DType::UInt8, &tiles)];
    let tensor = TensorInput {
        tiles: Tiles::raw(&[1, 2]),
        sections: &sections,
        ..TensorInput::default()
    };
    let answer = seen(
        &session,
        FrameSubmit::builder().tensor(tensor).build().unwrap(),
    )
    .await;
    let told = tiles.map(|tile| (PayloadKind::OpaqueBytes, 1, tile));
    assert_eq!(answer.result(), told);
}

#[tokio::test]
async fn a_cached_object_is_an_input() {
    let served = Served::start().await;
    let mut options = for_model("pass");
    // The hello of the reference has only the parts of a tensor.
    options.session.hello.metadata.cache_object_bitmap |= 0x20;
    let session = served.connect_with(options).await;
    let reference = ObjectReference::new(ObjectKind::PayloadLayoutTemplate, 1, 7);
    let put = CachePut::new(&reference, 0, "kept").unwrap();
    let ack = soon(session.put(put)).await.unwrap();
    assert_eq!(ack.status, CacheStatus::Accepted);
    let submit = FrameSubmit::builder()
        .payload(event(r#"{"node": "pass"}"#))
        .reference(reference)
        .build();
    let answer = seen(&session, submit.unwrap()).await;
    let kept = Bytes::from_static(b"kept");
    assert_eq!(answer.result(), [(PayloadKind::OpaqueBytes, 1, kept)]);
}

#[tokio::test]
async fn a_trace_id_reaches_the_node() {
    let served = Served::start().await;
    let session = served.session().await;
    let key = FrameKey::new(session.next_frame_id());
    let submit = Submit {
        trace_id: 0xab,
        ..Submit::new(key, asking(r#"{"node": "tell", "callerId": "me"}"#))
    };
    soon(session.submit(submit)).await.unwrap();
    let answer = rest(&session, key).await;
    let parent = "00-000000000000000000000000000000ab-00000000000000ab-01";
    assert_eq!(answer.result(), [text(1, parent), text(1, "me")]);
    let given = "00-11111111111111111111111111111111-2222222222222222-00";
    let request = format!(r#"{{"node": "tell", "callerId": "me", "traceparent": "{given}"}}"#);
    let answer = seen(&session, asking(&request)).await;
    assert_eq!(answer.result(), [text(1, given), text(1, "me")]);
}

#[tokio::test]
async fn what_is_served_is_told() {
    let named = |builder: nodewire::NodeServerBuilder| builder.name("greeter").version("1.2.3");
    let served = Served::start_built(|_| {}, named).await;
    let session = served.session().await;
    let request = format!(r#"{{"node": "{DISCOVERY_NODE}"}}"#);
    let answer = seen(&session, asking(&request)).await;
    let [(PayloadKind::StructuredEvent, 0, told)] = answer.result() else {
        panic!("{answer:?}");
    };
    let told: Value = serde_json::from_slice(told).unwrap();
    assert_eq!(told["wire"], "nnrp");
    assert_eq!(
        (&told["name"], &told["version"]),
        (&"greeter".into(), &"1.2.3".into())
    );
    assert_eq!(told["capabilities"]["cancel"]["support"], "full");
    let nodes = told["nodes"].as_array().unwrap();
    let echo = nodes.iter().find(|node| node["uid"] == "echo").unwrap();
    assert_eq!(echo["inputs"][0]["name"], "text");
    assert_eq!(echo["running"], 0);
    assert_eq!(echo["schema"]["properties"]["node"]["const"], "echo");
}
