//! References to assets.

use bytes::Bytes;
use nnrp_wire::ErrorCode;
use nnrp_wire::body::PayloadKind;

use crate::memory::Memory;
use crate::support::{Served, asking, seen};

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
