//! The document is current, and says what there is.

use std::path::Path;

use nanocore::api::openapi;

use crate::support::start;

#[test]
fn the_checked_in_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi/nanocore.json");
    let now = serde_json::to_string_pretty(&openapi()).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == now,
        "{} is not current; run `UPDATE_GOLDEN=1 cargo test -p nanocore --test api openapi`",
        path.display()
    );
}

#[test]
fn every_reference_leads_somewhere() {
    let document = openapi();
    let text = document.to_string();
    let references = text.split("\"$ref\":\"#").skip(1);
    let mut count = 0;
    for reference in references {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
        count += 1;
    }
    assert!(count > 20, "{count}");
}

#[tokio::test]
async fn the_daemon_serves_it() {
    let setup = start().await;
    let served = setup.client.get("/api/v1/openapi.json").await;
    assert_eq!(served.json(), openapi());
    setup.daemon.shutdown().await;
}
