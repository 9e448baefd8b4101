//! References to assets.

use serde_json::json;

use crate::memory::Memory;
use crate::support::Fixture;

#[tokio::test]
async fn references_at_inputs_of_bytes_are_fetched() {
    let store = Memory::of("abc");
    let fixture = Fixture::start_with(|_| {}, |builder| builder.assets(store)).await;
    let known = r#"{"inputs": {"data": [{"$asset": "memory:0"}]}}"#;
    let outputs = json!({"outputs": {"data": [{"$bytes": "Y2Jh"}]}});
    assert_eq!(fixture.call("reverse", known).await, (200, outputs));
    let unknown = r#"{"inputs": {"data": [{"$asset": "memory:7"}]}}"#;
    let (status, answer) = fixture.call("reverse", unknown).await;
    assert_eq!(
        (status, &answer["error"]["kind"]),
        (404, &json!("not_found"))
    );
    fixture.stop().await;
    let without = Fixture::start().await;
    let (status, answer) = without.call("reverse", known).await;
    assert_eq!(
        (status, &answer["error"]["kind"]),
        (503, &json!("unavailable"))
    );
    without.stop().await;
}
