//! The published Python SDKs, both generations, against our server.

use std::path::Path;

use nanocore::assets::StoreOptions;
use nodewire_testkit::SdkVersion;
use serde_json::{Value, json};

use super::{Setup, start};

/// Runs `sdk_calls.py` and gives what it printed.
async fn sdk_calls(setup: &Setup, version: SdkVersion, identifier: &str, file: &Path) -> Value {
    let output = tokio::process::Command::new(version.python().unwrap())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/assets/sdk_calls.py"))
        .args([identifier.as_ref(), file.as_os_str()])
        .env("NANOCORE_HTTP_ENDPOINT", setup.server.endpoint())
        .env("NANOCORE_TOKEN", setup.server.token().reveal())
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn works_with(version: SdkVersion, identifier: &str) -> (Setup, Value) {
    let setup = start(StoreOptions::default()).await;
    let file = setup.folder.path().join("large.bin");
    std::fs::write(
        &file,
        (0..1_500_000_u32)
            .flat_map(u32::to_le_bytes)
            .collect::<Vec<_>>(),
    )
    .unwrap();
    let result = sdk_calls(&setup, version, identifier, &file).await;

    let first = &result["first"];
    assert_eq!(
        (&first["name"], &first["type"], &first["size"]),
        (&json!("a é.png"), &json!("photo"), &json!(18))
    );
    assert_eq!(
        first["meta"],
        json!({"k": "v", "n": 1, "b": true, "x": null, "q": "it's \"é\""})
    );
    assert_eq!(
        (
            &result["fromStream"]["uuid"],
            &result["fromStream"]["alreadyExists"]
        ),
        (&first["uuid"], &json!(true))
    );
    assert_eq!(
        (
            &result["fromPath"]["name"],
            &result["largeSize"],
            &result["largeSame"]
        ),
        (&json!("large.bin"), &json!(6_000_000), &json!(true))
    );
    assert_eq!(
        (&result["content"], &result["expiresIn"]),
        (&json!("bytes of a picture"), &json!(3600))
    );
    assert_eq!(result["byPresigned"], json!([200, "bytes of a picture"]));
    assert_eq!(
        (
            &result["listed"].as_array().unwrap().len(),
            &result["listed"][0]["uuid"]
        ),
        (&1, &first["uuid"])
    );
    assert_eq!(result["count"], 2);
    assert!(
        result["missing"].as_str().unwrap().contains("404"),
        "{}",
        result["missing"]
    );
    let held = setup.server.resources().list();
    assert_eq!(
        held.iter()
            .map(|resource| resource.resource_id.as_str())
            .collect::<Vec<_>>(),
        ["r2"]
    );
    (setup, result)
}

#[tokio::test]
async fn sdk_0_1_22() {
    let (setup, result) = works_with(SdkVersion::V0_1_22, "uri").await;
    let uuid = result["first"]["uuid"].as_str().unwrap();
    assert_eq!(
        result["downloadUrl"],
        format!("{}/assets/{uuid}/download", setup.server.endpoint())
    );
}

#[tokio::test]
async fn sdk_0_2_3() {
    let (_setup, result) = works_with(SdkVersion::V0_2_3, "hash").await;
    assert_eq!(result["exists"], json!([true, false]));
}
