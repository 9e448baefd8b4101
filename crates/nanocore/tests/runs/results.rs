//! The result cache in the database.

use nanocore::db::{Database, DatabaseOptions};
use nanocore::runs::{CacheOptions, RequestCache, RunRequest, SqliteCache};
use nanocore::workflow::{AssetLinks, AssetNames, CacheKey, ResultCache};
use nodewire_json::Json;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Home, chain};

#[tokio::test]
async fn an_unchanged_node_does_not_run_again_also_after_a_restart() {
    let home = Home::new();
    let mut daemon = home.start().await;
    let run = daemon.submit(chain("a", &["step", "step"])).await.run_id;
    daemon.finished(&run).await;
    daemon
        .runs
        .shutdown(std::time::Duration::from_secs(60))
        .await;
    daemon.kill().await;
    let mut daemon = home.start().await;
    let run = daemon.submit(chain("a", &["step", "step"])).await.run_id;
    let end = daemon.finished(&run).await;
    assert_eq!(end["counts"], json!({"complete": 2, "cached": 2}));
    assert_eq!(home.world.calls(), ["a", "a."]);
    let record = daemon.record(&run).await;
    assert_eq!(
        (&record["nodes"][1]["cached"], &record["nodes"][1]["state"]),
        (&json!(true), &json!("cached"))
    );
    let refresh = RunRequest {
        cache: RequestCache::Refresh,
        ..chain("a", &["step", "step"])
    };
    let run = daemon.submit(refresh).await.run_id;
    daemon.finished(&run).await;
    assert_eq!(home.world.calls(), ["a", "a.", "a", "a."]);
}

// spec: nanograph 18
#[tokio::test]
async fn results_of_code_that_has_changed_are_neither_used_nor_kept() {
    let home = Home::new();
    let mut daemon = home.start().await;
    for has_other_code in [true, false, true, false] {
        home.world.set_other_code(has_other_code);
        let run = daemon.submit(chain("a", &["step"])).await.run_id;
        daemon.finished(&run).await;
    }
    // The first was not kept, the third not found; only the last is what the second was.
    assert_eq!(home.world.calls(), ["a", "a", "a"]);
}

fn key(number: u8) -> CacheKey {
    CacheKey::from_bytes([number; 32])
}

fn outputs(text: &str) -> Json {
    Json::from(json!({ "text": [text] }))
}

async fn flushed(db: &Database) {
    // Writes are done in order.
    db.write(|_| Ok(())).await.unwrap();
}

#[tokio::test]
async fn what_was_not_used_for_longest_goes_first() {
    let home = Home::new();
    let db = Database::open(&home.db_path(), DatabaseOptions::default()).unwrap();
    let options = CacheOptions {
        entries_max: 2,
        front_bytes_max: 0,
        ..CacheOptions::default()
    };
    let cache = SqliteCache::open(db.clone(), None, options).await.unwrap();
    for number in 1..=4 {
        cache.put(key(number), &outputs("x"));
    }
    flushed(&db).await;
    let mut found = Vec::new();
    for number in 1..=4 {
        found.push(cache.get(&key(number)).await.is_some());
    }
    assert_eq!(found, [false, false, true, true]);
    let options = CacheOptions {
        bytes_max: 40,
        ..options
    };
    let cache = SqliteCache::open(db.clone(), None, options).await.unwrap();
    cache.put(key(5), &outputs("a result of more than forty bytes alone"));
    flushed(&db).await;
    let left: i64 = db
        .read(|connection| {
            connection.query_row("SELECT count(*) FROM cache, blobs", [], |row| row.get(0))
        })
        .await
        .unwrap();
    assert_eq!(left, 0);
    assert_eq!((cache.counters().misses, cache.counters().hits), (0, 0));
    cache.put(key(6), &outputs("y"));
    flushed(&db).await;
    assert_eq!(cache.get(&key(6)).await, Some(outputs("y")));
    cache.clear().await.unwrap();
    assert_eq!(cache.get(&key(6)).await, None);
}

/// Assets that are there until they are not.
struct Assets(AtomicBool);

impl AssetLinks for Assets {
    fn find(&self, _: nanocore::assets::AssetId) -> Option<AssetNames> {
        let names = || AssetNames {
            uuid: String::new(),
            hash: String::new(),
        };
        self.0.load(Ordering::SeqCst).then(names)
    }
}

#[tokio::test]
async fn a_result_whose_asset_is_gone_is_discarded() {
    let home = Home::new();
    let db = Database::open(&home.db_path(), DatabaseOptions::default()).unwrap();
    let assets = Arc::new(Assets(AtomicBool::new(true)));
    let options = CacheOptions::default();
    let cache = SqliteCache::open(db.clone(), Some(assets.clone()), options)
        .await
        .unwrap();
    let reference = outputs(&format!("sha256:{}", "ab".repeat(32)));
    cache.put(key(1), &reference);
    assert_eq!(cache.get(&key(1)).await, Some(reference));
    assets.0.store(false, Ordering::SeqCst);
    assert_eq!(cache.get(&key(1)).await, None);
    assets.0.store(true, Ordering::SeqCst);
    assert_eq!(cache.get(&key(1)).await, None);
    assert_eq!(cache.counters().discarded, 1);
}
