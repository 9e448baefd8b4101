//! `nodewire nnrp compare`.

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::support::{CLOSE, bytes, objects, packet, printed, run, said, vectors};

fn file_of(length: usize) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![0; length]).unwrap();
    file
}

fn compare(input: &[u8], reference: &NamedTempFile, more: &[&str]) -> std::process::Output {
    let path = reference.path().to_str().unwrap();
    run(&[&["compare", "-", path], more].concat(), input)
}

#[test]
fn comparisons_are_as_recorded_from_packets_and_from_json() {
    let file = vectors("nnrp-replay-vectors.json");
    let compared = file["vectors"].as_array().unwrap().iter();
    let compared: Vec<_> = compared
        .filter(|it| it["comparison_text"].is_string())
        .collect();
    assert!(compared.len() > 8);
    for vector in compared {
        let name = &vector["name"];
        let reference = file_of(
            vector["reference_bytes"]
                .as_u64()
                .unwrap()
                .try_into()
                .unwrap(),
        );
        let label = ["--label", vector["reference_label"].as_str().unwrap()];
        let expected = format!("{}\n", vector["comparison_text"].as_str().unwrap());
        let hex = vector["wire_hex"].as_str().unwrap();
        for input in [hex.as_bytes(), &bytes(hex)] {
            assert_eq!(
                printed(&compare(input, &reference, &label)),
                expected,
                "{name}"
            );
        }
        let json = vector.to_string();
        let output = compare(
            json.as_bytes(),
            &reference,
            &[&label[..], &["--compatible"]].concat(),
        );
        assert_eq!(printed(&output), expected, "{name}");
    }
}

#[test]
fn refusals_are_as_recorded() {
    let file = vectors("nnrp-replay-vectors.json");
    let refused = file["vectors"].as_array().unwrap().iter();
    let refused: Vec<_> = refused.filter(|it| it["error"].is_string()).collect();
    assert_eq!(refused.len(), 7);
    let reference = file_of(1);
    for vector in refused {
        let output = compare(vector.to_string().as_bytes(), &reference, &["--compatible"]);
        // The name of the recording host's own type.
        let text = said(&output, 1).replace("FrameFeatures", "SimpleNamespace");
        let expected = format!("error: {}\n", vector["error"].as_str().unwrap());
        assert_eq!(text, expected, "{}", vector["name"]);
    }
}

fn input() -> Value {
    json!({"session_id": "s", "frame_id": 1, "requested_tile_ids": [0, 1], "tiles": [
        {"tile_x": 0, "tile_y": 0, "sr_residual": {"hex": "6162"}},
    ]})
}

#[test]
fn bare_fields_need_to_be_called_something() {
    let (json, reference) = (input().to_string(), file_of(64));
    let output = compare(json.as_bytes(), &reference, &[]);
    assert!(said(&output, 2).contains("--as enhance-result"));
    let output = compare(json.as_bytes(), &reference, &["--as", "enhance-result"]);
    assert!(printed(&output).ends_with("result_flags=PARTIAL\n"));
    let output = compare(
        json.as_bytes(),
        &reference,
        &["--as", "enhance-result", "--compatible"],
    );
    assert!(printed(&output).ends_with("result_flags=NONE\n"));
}

#[test]
fn objects_have_the_numbers_and_the_text() {
    let json = input().to_string();
    let arguments = ["--as", "enhance-result", "--json", "--label", "a\u{1b}b"];
    let output = compare(json.as_bytes(), &file_of(200), &arguments);
    let object = &objects(printed(&output))[0];
    assert_eq!(object["reference_bytes"], 200);
    let wire = object["current_bytes"].as_i64().unwrap();
    assert_eq!(object["delta_bytes"], wire - 200);
    assert_eq!(object["role_ids"], json!([100]));
    assert_eq!(object["reference_label"], "a\u{1b}b");
    assert!(object["text"].as_str().unwrap().contains(" delta=-"));
    assert!(!output.stdout.contains(&0x1b));
    let output = compare(json.as_bytes(), &file_of(0), &arguments);
    assert_eq!(objects(printed(&output))[0]["current_ratio"], Value::Null);
    let arguments = ["--as", "enhance-result", "--label", "a\u{1b}b"];
    let output = compare(json.as_bytes(), &file_of(0), &arguments);
    assert!(printed(&output).starts_with("reference_label=a\u{fffd}b "));
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let reference = file_of(1);
    let close = packet(CLOSE, b"");
    assert!(said(&compare(&close, &reference, &[]), 1).contains("not CLOSE"));
    said(&compare(b"", &reference, &[]), 1);
    said(&compare(b"{", &reference, &[]), 1);
    said(&compare(b"4e4", &reference, &[]), 1);
    said(&compare(&close[..39], &reference, &[]), 1);
    said(&run(&["compare", "-", "/does/not/exist"], &close), 2);
    said(&run(&["compare", "-", "/"], &close), 2);
}
