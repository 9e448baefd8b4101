//! `POST /api/v1/assets/gc`: deletes ephemeral assets that nothing refers to. spec: nanograph 19.1

use std::collections::HashSet;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::routing::post;
use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::body::JsonBody;
use super::document::{Operation, Routes};
use crate::assets::AssetId;
use crate::refusal::ApiError;

/// What the two names of an asset have before the part that says which. spec: nanograph 10.1
const HASH_PREFIX: &str = "sha256:";
const HASH_CHARS: usize = HASH_PREFIX.len() + 64;
const URI_PART: &str = "asset";
const UUID_CHARS: usize = 36;

pub(super) fn add(routes: &mut Routes) {
    let (wish, collected) = (routes.schema::<Wish>(), routes.schema::<Collected>());
    routes.add(
        Operation::post(
            "/api/v1/assets/gc",
            "collectAssets",
            "Deletes ephemeral assets that no kept run and no cached result refers to",
        )
        .body(wish)
        .answer(200, "What was deleted.", collected),
        post(collect),
    );
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Wish {
    /// Only assets that were not used for so long; a day by default.
    older_than_seconds: u64,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            older_than_seconds: 24 * 3_600,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct Collected {
    /// Assets deleted.
    deleted: u64,
    /// Their bytes.
    bytes: u64,
    /// Old ephemeral assets that something refers to.
    referred: u64,
}

async fn collect(
    State(api): State<Api>,
    JsonBody(wish): JsonBody<Wish>,
) -> Result<Json<Collected>, ApiError> {
    let referred = api.database.read(references).await;
    let referred = referred.map_err(|error| ApiError::internal(&error))?;
    let unused_for = Duration::from_secs(wish.older_than_seconds);
    let is_referred = |entry: &crate::assets::Entry| {
        referred.contains(&AssetId::Uuid(entry.uuid))
            || referred.contains(&AssetId::Hash(entry.hash))
    };
    let collected = api.assets.store().gc(unused_for, is_referred).await;
    let collected = collected.map_err(|error| ApiError::internal(&error))?;
    Ok(Json(Collected {
        deleted: collected.assets,
        bytes: collected.bytes,
        referred: collected.referred,
    }))
}

/// Every asset that a kept graph, request, input, output or cached result names.
fn references(connection: &Connection) -> rusqlite::Result<HashSet<AssetId>> {
    let mut found = HashSet::new();
    for query in [
        "SELECT bytes FROM blobs",
        "SELECT CAST(request AS BLOB) FROM run_requests",
    ] {
        let mut statement = connection.prepare(query)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let bytes = row.get_ref(0)?.as_blob()?;
            found.extend(named_in(&String::from_utf8_lossy(bytes)));
        }
    }
    Ok(found)
}

fn named_in(text: &str) -> impl Iterator<Item = AssetId> + '_ {
    let hashes = text
        .match_indices(HASH_PREFIX)
        .filter_map(|(at, _)| text.get(at..at + HASH_CHARS)?.parse().ok());
    let uuids = text.match_indices(URI_PART).filter_map(|(at, _)| {
        let rest = text.get(at + URI_PART.len()..)?;
        // JSON may have a slash with a backslash before it.
        let uuid = rest.trim_start_matches(['\\', '/']);
        uuid.get(..UUID_CHARS)?.parse().ok()
    });
    hashes.chain(uuids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_are_found_wherever_they_stand() {
        let hash = format!("sha256:{}", "0a".repeat(32));
        let uuid = "00000000-0000-4000-8000-000000000001";
        let text = format!(
            r#"{{"a": ["é{hash}"], "b": "nanocore:\/\/x\/asset\/{uuid}", "c": "asset/none", "d": "sha256:0"}}"#
        );
        let found: HashSet<_> = named_in(&text).collect();
        let expected = [hash.parse().unwrap(), uuid.parse().unwrap()];
        assert_eq!(found, HashSet::from(expected));
    }
}
