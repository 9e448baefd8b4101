//! References to assets, and results that are longer than a message.

use std::sync::Arc;

use autotrainer_api::ResultCode;
use nodewire::autotrainer::error_code;
use serde_json::json;

use crate::limits::short_messages;
use crate::memory::Memory;
use crate::nodes::Waiting;
use crate::support::{Served, builder, config, data, outcome, start};

/// Messages of 64 KiB, and a store.
async fn served(store: &Arc<Memory>) -> Served {
    let waiting = Waiting::default();
    let store = Arc::<Memory>::clone(store);
    let builder = builder(short_messages(), &waiting).assets(store);
    Served::of(start(builder).await, waiting).await
}

#[tokio::test]
async fn references_at_inputs_of_bytes_are_fetched() {
    let served = served(&Memory::of("abc")).await;
    let with = |asset: &str| json!({"node": "reverse", "inputs": {"bytes": {"$asset": asset}}});
    let result = served.run(with("memory:0")).await;
    assert_eq!(
        data(&result.verbatim_data),
        json!({"outputs": {"bytes": [{"$bytes": "Y2Jh"}]}})
    );
    let unknown = served.run(with("memory:7")).await;
    let not_found = (
        ResultCode::Failed,
        error_code::NOT_FOUND,
        "no asset memory:7",
    );
    assert_eq!(outcome(&unknown), not_found);
    served.finish().await;

    let without = Served::new(config()).await;
    let result = without.run(with("memory:0")).await;
    let (code, error, message) = outcome(&result);
    let unavailable = (ResultCode::Unavailable, error_code::UNAVAILABLE);
    assert_eq!((code, error), unavailable);
    assert!(message.contains("no asset store"), "{message}");
    without.finish().await;
}

#[tokio::test]
async fn a_result_longer_than_a_message_is_kept_as_an_asset() {
    let store = Memory::of("");
    let served = served(&store).await;
    let result = served.run(json!({"node": "long"})).await;
    assert_eq!(
        data(&result.verbatim_data),
        json!({"outputs": {"$asset": "memory:1"}})
    );
    let outputs: serde_json::Value =
        serde_json::from_slice(&store.kept.lock().unwrap()[1]).unwrap();
    assert_eq!(outputs, json!({"text": ["x".repeat(200_000)]}));
    assert_eq!(served.counts().results_kept_as_assets, 1);
    served.finish().await;
}

#[tokio::test]
async fn of_bytes_only_the_longest_are_kept() {
    let store = Memory::of("");
    let served = served(&store).await;
    let grow = json!({"node": "grow", "inputs": {"lengths": [2, 100_000, 30_000]}});
    let result = served.run(grow).await;
    let told = data(&result.verbatim_data);
    let values = told["outputs"]["bytes"].as_array().unwrap();
    assert_eq!(values[0], json!({"$bytes": "AAA="}));
    assert_eq!(values[1], json!({"$asset": "memory:1"}));
    assert_eq!(values[2]["$bytes"].as_str().unwrap().len(), 40_000);
    assert_eq!(store.kept.lock().unwrap()[1].len(), 100_000);
    assert_eq!(served.counts().results_kept_as_assets, 1);
    served.finish().await;
}
