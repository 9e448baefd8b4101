//! `POST /api/v1/assets/gc`: deletes ephemeral assets that nothing refers to. spec: nanograph 19.1

mod references;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::routing::post;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::body::JsonBody;
use super::document::{Operation, Routes};
use crate::assets::{ContentHash, Entry};
use crate::refusal::ApiError;
use references::Named;

/// Assets of which the answer tells more than that they are counted.
const LISTED_MAX: usize = 1_000;

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
    /// Only assets that were not used for so long; a day by default. What was used since the oldest running run
    /// began is kept in any case.
    older_than_seconds: u64,
    /// Delete nothing, only tell what would be deleted.
    dry_run: bool,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            older_than_seconds: 24 * 3_600,
            dry_run: false,
        }
    }
}

#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Collected {
    /// Whether nothing was deleted, as asked.
    dry_run: bool,
    /// Assets deleted, or that would be.
    deleted: u64,
    /// Their bytes.
    bytes: u64,
    /// Old ephemeral assets that something refers to.
    referred: u64,
    /// The first 1,000 of those deleted, or that would be.
    assets: Vec<Gone>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Gone {
    #[schemars(with = "String")]
    hash: ContentHash,
    #[schemars(with = "String")]
    uuid: uuid::Uuid,
    name: String,
    size: u64,
}

async fn collect(
    State(api): State<Api>,
    JsonBody(wish): JsonBody<Wish>,
) -> Result<Json<Collected>, ApiError> {
    let mut collected = Collected {
        dry_run: wish.dry_run,
        ..Collected::default()
    };
    let Some(unused_since) = unused_since(&api, wish.older_than_seconds) else {
        return Ok(Json(collected));
    };
    let store = api.assets.store();
    let candidates = store.unused(unused_since);
    if candidates.is_empty() {
        return Ok(Json(collected));
    }
    let named = Named::among(&api, &candidates).await?;
    let (referred, mut unwanted): (Vec<_>, Vec<_>) = candidates
        .into_iter()
        .partition(|entry| named.contains(entry));
    collected.referred = referred.len() as u64;
    if !wish.dry_run {
        for entry in std::mem::take(&mut unwanted) {
            if store.delete_unused(entry.hash, unused_since).await? {
                unwanted.push(entry);
            }
        }
    }
    collected.tell(&unwanted);
    Ok(Json(collected))
}

/// Nothing that was used after this is deleted. A running run may have nodes that use an asset and have told nobody yet.
/// `None` if that is before the beginning of time.
fn unused_since(api: &Api, older_than_seconds: u64) -> Option<Timestamp> {
    let wanted = Timestamp::now()
        .checked_sub(Duration::from_secs(older_than_seconds))
        .ok()?;
    let begun = api.runs.queue().running.into_iter();
    let begun = begun.filter_map(|run| Timestamp::from_millisecond(run.started_at.0).ok());
    Some(begun.fold(wanted, Timestamp::min))
}

impl Collected {
    fn tell(&mut self, gone: &[Arc<Entry>]) {
        self.deleted = gone.len() as u64;
        self.bytes = gone.iter().map(|entry| entry.size).sum();
        let listed = gone.iter().take(LISTED_MAX).map(|entry| Gone {
            hash: entry.hash,
            uuid: entry.uuid,
            name: entry.name.clone(),
            size: entry.size,
        });
        self.assets = listed.collect();
    }
}
