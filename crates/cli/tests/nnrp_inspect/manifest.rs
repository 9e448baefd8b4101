//! `nodewire nnrp vectors`.

use serde_json::{Value, json};

use crate::support::{printed, run, said, stdout, vector_file, vectors};

#[test]
fn ours_is_the_golden_manifest() {
    let golden = std::fs::read(vector_file("nnrp-golden.json")).unwrap();
    let output = run(&["vectors"], b"");
    printed(&output);
    assert_eq!(output.stdout, golden);
    let output = run(&["vectors", "--check", "-"], &golden);
    assert_eq!(printed(&output).matches("same current.").count(), 12);
}

fn check(manifest: &Value) -> std::process::Output {
    run(
        &["vectors", "--check", "-"],
        manifest.to_string().as_bytes(),
    )
}

#[test]
fn what_differs_or_is_missing_is_told() {
    let golden = vectors("nnrp-golden.json");
    let mut other = golden.clone();
    other["vectors"][10]["description"] = "in other words".into();
    printed(&check(&other));

    let header = golden["vectors"][0]["hex"].as_str().unwrap();
    other["vectors"][0]["hex"] = header.replace("07000000", "08000000").into();
    other["vectors"][8]["name"] = "theirs\u{1b}".into();
    let output = check(&other);
    assert_eq!(said(&output, 1), "error: 2 vectors differ or are missing\n");
    let lines = stdout(&output);
    assert!(lines.contains("differs current.header.frame_submit_ack_required_keyframe\n"));
    assert!(lines.contains("unknown theirs\\u{1b}\n"));
    assert!(lines.contains("missing current.object_reference.tile_index_block\n"));
}

#[test]
fn what_is_no_manifest_or_not_what_it_says_is_refused() {
    let golden = vectors("nnrp-golden.json");
    let mut broken = golden.clone();
    broken["vectors"][0]["hex"] = "00".repeat(40).into();
    assert!(said(&check(&broken), 1).contains("bad_magic"));
    let mut doubled = golden.clone();
    doubled["vectors"][1] = doubled["vectors"][0].clone();
    assert!(said(&check(&doubled), 1).contains("is there twice"));
    assert!(said(&check(&json!([])), 1).contains("JSON object"));
    said(&run(&["vectors", "--check", "-"], b"\xff"), 1);
    said(&run(&["vectors", "--check", "/does/not/exist"], b""), 2);
}
