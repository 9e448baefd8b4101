//! Where the contents of assets lie, and what the document says of assets and resources, which
//! [`AssetService`](crate::assets::AssetService) answers. spec: nanograph 19.1, 19.2

use axum::Json;
use axum::extract::State;
use axum::routing::post;
use schemars::{JsonSchema, Schema, json_schema};
use serde::Serialize;

use super::Api;
use super::document::{Operation, Routes};
use crate::assets::{AssetStore, ObjectsProblem};

const ASSET: &str = "/assets/{id}";

/// Where the contents of assets lie.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AssetStoreStatus {
    /// `folder`: the data folder; `objects`: an object store, such as an S3 bucket.
    place: &'static str,
    /// Why the object store could not be used the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ObjectsProblem>,
}

impl AssetStoreStatus {
    pub(super) fn of(store: &AssetStore) -> Self {
        Self {
            place: if store.is_remote() {
                "objects"
            } else {
                "folder"
            },
            problem: store.problem(),
        }
    }
}

pub(super) fn add(routes: &mut Routes) {
    let status = routes.schema::<AssetStoreStatus>();
    routes.add(
        Operation::post(
            "/api/v1/assets/check",
            "checkAssets",
            "Asks the object store, if contents of assets are in one, whether it can be used",
        )
        .answer(200, "What it came to.", status),
        post(check),
    );
}

async fn check(State(api): State<Api>) -> Json<AssetStoreStatus> {
    let store = api.assets.store();
    // What it came to is in the status.
    let _ = store.check().await;
    Json(AssetStoreStatus::of(store))
}

pub(super) fn describe(routes: &mut Routes) {
    describe_collection(routes);
    routes.describe(
        Operation::get(ASSET, "asset", "An asset, by its uuid or by `sha256:<hex>`").answer(
            200,
            "The asset.",
            asset(),
        ),
    );
    routes.describe(
        Operation::new("patch", ASSET, "changeAsset", "Changes name, type or meta")
            .body(json_schema!({
                "type": "object",
                "properties": {
                    "name": { "type": "string" }, "type": { "type": "string" },
                    "meta": { "type": "object" }, "ephemeral": { "type": "boolean" },
                },
            }))
            .answer(200, "The asset.", asset()),
    );
    routes.describe(
        Operation::delete(ASSET, "deleteAsset", "Deletes an asset").empty(204, "It is gone."),
    );
    let exists =
        json_schema!({ "type": "object", "properties": { "exists": { "type": "boolean" } } });
    routes.describe(
        Operation::get(
            "/assets/{id}/exists",
            "assetExists",
            "Whether there is an asset",
        )
        .answer(200, "Also for what there is not.", exists),
    );
    let presigned = json_schema!({
        "type": "object",
        "properties": { "url": { "type": "string" }, "expiresIn": { "type": "integer" } },
    });
    routes.describe(
        Operation::get(
            "/assets/{id}/presigned",
            "presignAsset",
            "An address that downloads the asset without a token for a while",
        )
        .query(vec![number(
            "expires",
            "Seconds, at least 1 and at most a week; an hour by default.",
        )])
        .answer(200, "The address.", presigned),
    );
    routes.describe(
        Operation::get(
            "/assets/{id}/download",
            "downloadAsset",
            "The content; ranges and `If-None-Match` work",
        )
        .query(vec![
            parameter("exp", "Of a presigned address."),
            parameter("sig", "Of a presigned address."),
        ])
        .answer_of(
            200,
            "The bytes.",
            "application/octet-stream",
            &json_schema!({}),
        ),
    );
    describe_resources(routes);
}

fn describe_collection(routes: &mut Routes) {
    let filters = vec![
        parameter("type", "Exactly this type."),
        parameter("hash", "This content, as `sha256:<hex>` or `<hex>`."),
        parameter("name", "This text in the name."),
        number("limit", "How many at most; all by default."),
        parameter("cursor", "The `X-Next-Cursor` of the page before."),
        parameter("order", "`newest` (default) or `oldest`."),
    ];
    let assets = json_schema!({ "type": "array", "items": asset() });
    routes.describe(
        Operation::get("/assets", "assets", "Assets, newest first")
            .query(filters)
            .answer(200, "A page.", assets),
    );
    let form = json_schema!({
        "type": "object",
        "required": ["file"],
        "properties": {
            "file": { "type": "string", "format": "binary" }, "name": { "type": "string" },
            "type": { "type": "string" }, "meta": { "type": "string" }, "ephemeral": { "type": "string" },
        },
    });
    routes.describe(
        Operation::post(
            "/assets",
            "uploadAsset",
            "Keeps a content; also a plain body with Content-Type and X-Filename",
        )
        .body_of("multipart/form-data", &form)
        .answer(200, "The content was there already.", asset())
        .answer(201, "It is new.", asset()),
    );
}

fn describe_resources(routes: &mut Routes) {
    routes.describe(
        Operation::get(
            "/resources",
            "resources",
            "What node servers hold in memory",
        )
        .answer(
            200,
            "Resources.",
            json_schema!({ "type": "array", "items": { "type": "object" } }),
        ),
    );
    routes.describe(
        Operation::post(
            "/resources",
            "changeResource",
            "For node servers: ALLOCATE and FREE",
        )
        .body(json_schema!({
            "type": "object",
            "required": ["serverUid", "action", "data"],
            "properties": {
                "serverUid": { "type": "string" }, "action": { "enum": ["ALLOCATE", "FREE"] },
                "data": { "type": "object" },
            },
        }))
        .answer(200, "It is known.", json_schema!({ "type": "object" })),
    );
}

fn number(name: &str, description: &str) -> serde_json::Value {
    let mut parameter = parameter(name, description);
    parameter["schema"] = serde_json::json!({ "type": "integer", "minimum": 0 });
    parameter
}

fn parameter(name: &str, description: &str) -> serde_json::Value {
    serde_json::json!({
        "name": name, "in": "query", "required": false, "description": description,
        "schema": { "type": "string" },
    })
}

/// The fields of both SDK generations. spec: nanograph 10.4
fn asset() -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "uuid": { "type": "string" }, "hash": { "type": "string" }, "name": { "type": "string" },
            "type": { "type": "string" }, "mime": { "type": "string" }, "size": { "type": "integer" },
            "created_at": { "type": "string", "format": "date-time" }, "meta": { "type": "object" },
            "uri": { "type": "string" }, "ephemeral": { "type": "boolean" },
            "alreadyExists": { "type": "boolean" }, "uploadedBy": { "type": "string" },
        },
    })
}
