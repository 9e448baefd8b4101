//! References to assets.

use std::sync::Arc;

use bytes::Bytes;
use nnrp_wire::ErrorCode;
use nnrp_wire::body::{PayloadKind, TypedPayload};
use nnrp_wire::session::FrameOutcome;
use nodewire::capability::Feature;
use nodewire::nnrp::NnrpConfig;
use serde_json::Value;

use crate::memory::Memory;
use crate::support::{BURST, Served, asking, event, of, seen, streaming, text};

const SHORT: usize = 4 << 10;

fn short(config: &mut NnrpConfig) {
    config.result_bytes_max = SHORT;
}

#[tokio::test]
async fn references_at_inputs_of_bytes_are_fetched() {
    let store = Memory::of("abc");
    let served = Served::start_built(|_| {}, |builder| builder.assets(store)).await;
    let session = served.session().await;
    let known = r#"{"node": "pass", "inputs": {"data": [{"$asset": "memory:0"}]}}"#;
    let answer = seen(&session, asking(known)).await;
    let bytes = Bytes::from_static(b"abc");
    assert_eq!(answer.result(), [(PayloadKind::OpaqueBytes, 1, bytes)]);
    let unknown = r#"{"node": "pass", "inputs": {"data": [{"$asset": "memory:7"}]}}"#;
    let answer = seen(&session, asking(unknown)).await;
    answer.failed(ErrorCode::InvalidState, "not_found: no asset memory:7");

    let without = Served::start().await;
    let session = without.session().await;
    let answer = seen(&session, asking(known)).await;
    answer.failed(ErrorCode::ServerBusy, "no asset store");
}

#[tokio::test]
async fn bytes_that_a_result_has_no_room_for_become_assets() {
    let store = Memory::of("");
    let kept = Arc::<Memory>::clone(&store);
    let served = Served::start_built(short, |builder| builder.assets(kept)).await;
    let session = served.session().await;
    let data = [vec![1; 3 * SHORT], vec![2; 10], vec![3; 2 * SHORT]].map(Bytes::from);
    let pieces = data.iter().cloned().map(TypedPayload::opaque_bytes);
    let payloads = std::iter::once(event(r#"{"node": "pass"}"#)).chain(pieces);
    let answer = seen(&session, of(payloads.collect())).await;
    let reference = |number: usize| {
        let told = format!(r#"{{"$asset": "memory:{number}"}}"#);
        (PayloadKind::StructuredEvent, 1, Bytes::from(told))
    };
    let short = (PayloadKind::OpaqueBytes, 1, data[1].clone());
    assert_eq!(answer.result(), [reference(1), short, reference(2)]);
    assert_eq!(
        store.kept.lock().unwrap()[1..],
        [data[0].clone(), data[2].clone()]
    );
    assert_eq!(
        served.server.nnrp_counts().unwrap().results_kept_as_assets,
        1
    );
    // The reference is good for the next node.
    let next = r#"{"node": "pass", "inputs": {"data": [{"$asset": "memory:1"}]}}"#;
    assert_eq!(seen(&session, asking(next)).await.result(), [reference(3)]);
    assert_eq!(served.balanced().await.completed, 2);
}

#[tokio::test]
async fn json_that_a_result_has_no_room_for_becomes_one_asset() {
    let store = Memory::of("");
    let kept = Arc::<Memory>::clone(&store);
    let served = Served::start_built(short, |builder| builder.assets(kept)).await;
    let session = served.session().await;
    let texts = vec!["x"; SHORT / 8];
    let request = serde_json::json!({"node": "echo", "inputs": {"text": texts}}).to_string();
    let answer = seen(&session, asking(&request)).await;
    let told = Bytes::from_static(br#"{"outputs": {"$asset": "memory:1"}}"#);
    assert_eq!(answer.result(), [(PayloadKind::StructuredEvent, 0, told)]);
    let document: Value = serde_json::from_slice(&store.kept.lock().unwrap()[1]).unwrap();
    assert_eq!(document["text"].as_array().unwrap().len(), SHORT / 8);
    // What fits goes as it is.
    let fits = r#"{"node": "echo", "inputs": {"text": "a"}}"#;
    assert_eq!(
        seen(&session, asking(fits)).await.result(),
        [text(1, "> a")]
    );
    served.balanced().await;
}

#[tokio::test]
async fn without_a_store_long_outputs_are_an_error_and_long_previews_are_lost() {
    let served = Served::start_with(short).await;
    let session = served.session().await;
    let data = TypedPayload::opaque_bytes(vec![1; 2 * SHORT]);
    let answer = seen(&session, of(vec![event(r#"{"node": "pass"}"#), data])).await;
    answer.failed(
        ErrorCode::LimitExceeded,
        "internal: the outputs have 8192 bytes in 1 values, and a result has at most 4096",
    );
    assert_eq!(served.server.nnrp_counts().unwrap().results_too_long, 1);
    let answer = seen(&session, streaming(r#"{"node": "burst"}"#)).await;
    assert_eq!(answer.outcome, FrameOutcome::Complete);
    assert_eq!((answer.results.len(), BURST), (1, 20));
    assert_eq!(served.lost(Feature::PartialOutputs), 1);
    served.balanced().await;
}
