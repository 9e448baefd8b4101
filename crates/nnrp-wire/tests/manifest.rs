//! The manifest that implementations in all languages agree on. spec: nnrp-wire 7.7, nnrp-session 7.4

#![cfg(feature = "inspect")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use nnrp_wire::Category;
use nnrp_wire::manifest::{
    GoldenVector, ManifestError, Reason, SCHEMA, VectorKind, golden_vectors, parse, render, verify,
};
use serde_json::{Value, json};

const GOLDEN: &str = include_str!("vectors/nnrp-golden.json");

#[test]
fn what_our_encoders_make_is_the_manifest_byte_for_byte() {
    let rendered = render(&golden_vectors());
    // The file ends its last line, as text files do; the rendering does not.
    assert_eq!(format!("{rendered}\n"), GOLDEN);
}

#[test]
fn the_manifest_is_read_and_verified() {
    let vectors = parse(GOLDEN).unwrap();
    assert_eq!(vectors, golden_vectors());
    assert_eq!(verify(&vectors), Ok(()));
}

#[test]
fn what_is_given_is_what_is_rendered() {
    assert_eq!(parse(&render(&[])).unwrap(), []);
    let vector = GoldenVector {
        name: "a \"b\"\n\u{1b}é".into(),
        kind: VectorKind::TypedPayloadFrameRegion,
        bytes: "".into(),
        description: None,
    };
    let rendered = render(std::slice::from_ref(&vector));
    assert!(!rendered.contains("description"), "{rendered}");
    assert_eq!(parse(&rendered).unwrap(), [vector]);
}

/// A manifest of one vector with other fields.
fn with(fields: Value) -> String {
    let mut vector = json!({"name": "a", "kind": "header", "hex": "00"});
    for (name, value) in fields.as_object().unwrap() {
        vector[name] = value.clone();
    }
    json!({"schema": SCHEMA, "vectors": [vector]}).to_string()
}

fn without(field: &str) -> String {
    let mut vector = json!({"name": "a", "kind": "header", "hex": "00"});
    vector.as_object_mut().unwrap().remove(field);
    json!({"schema": SCHEMA, "vectors": [vector]}).to_string()
}

#[test]
fn what_the_specification_refuses_is_refused() {
    use ManifestError as E;
    type Is = fn(&E) -> bool;
    let one = json!({"name": "a", "kind": "header", "hex": "00"});
    let cases: &[(String, Is)] = &[
        ("{".into(), |e| matches!(e, E::Json(_))),
        (with(json!({})) + " x", |e| matches!(e, E::Json(_))),
        ("[]".into(), |e| matches!(e, E::NotAnObject)),
        (json!({"vectors": []}).to_string(), |e| {
            matches!(e, E::Schema(_))
        }),
        (json!({"schema": "x", "vectors": []}).to_string(), |e| {
            matches!(e, E::Schema(_))
        }),
        (json!({"schema": SCHEMA}).to_string(), |e| {
            matches!(e, E::NoVectors)
        }),
        (json!({"schema": SCHEMA, "vectors": {}}).to_string(), |e| {
            matches!(e, E::NoVectors)
        }),
        (json!({"schema": SCHEMA, "vectors": [1]}).to_string(), |e| {
            matches!(e, E::NotAVector(0))
        }),
        (without("name"), |e| {
            matches!(e, E::Field { field: "name", .. })
        }),
        (without("kind"), |e| {
            matches!(e, E::Field { field: "kind", .. })
        }),
        (without("hex"), |e| {
            matches!(e, E::Field { field: "hex", .. })
        }),
        (with(json!({"name": 1})), |e| {
            matches!(e, E::Field { field: "name", .. })
        }),
        (with(json!({"kind": 1})), |e| {
            matches!(e, E::Field { field: "kind", .. })
        }),
        (with(json!({"hex": 1})), |e| {
            matches!(e, E::Field { field: "hex", .. })
        }),
        (with(json!({"description": 1})), |e| {
            matches!(
                e,
                E::Field {
                    field: "description",
                    ..
                }
            )
        }),
        (with(json!({"description": null})), |e| {
            matches!(
                e,
                E::Field {
                    field: "description",
                    ..
                }
            )
        }),
        (with(json!({"name": ""})), |e| matches!(e, E::EmptyName(0))),
        (with(json!({"kind": "x"})), |e| {
            matches!(e, E::UnknownKind { .. })
        }),
        (with(json!({"hex": "0"})), |e| matches!(e, E::OddHex(_))),
        (with(json!({"hex": "zz"})), |e| {
            matches!(e, E::InvalidHex(_))
        }),
        (with(json!({"hex": "é0"})), |e| {
            matches!(e, E::InvalidHex(_))
        }),
        (with(json!({"bytes": 2})), |e| {
            matches!(e, E::ByteCount { found: 1, .. })
        }),
        (with(json!({"bytes": "1"})), |e| {
            matches!(e, E::ByteCount { .. })
        }),
        (with(json!({"bytes": -1})), |e| {
            matches!(e, E::ByteCount { .. })
        }),
        (
            json!({"schema": SCHEMA, "vectors": [one, one]}).to_string(),
            |e| matches!(e, E::DuplicateName(_)),
        ),
    ];
    for (text, is_expected) in cases {
        let error = parse(text).expect_err(text);
        assert!(is_expected(&error), "{text}: {error:?}");
    }
    for accepted in [
        with(json!({"hex": "aB", "other": 7})),
        with(json!({"bytes": null})),
        with(json!({"hex": ""})),
    ] {
        assert_eq!(parse(&accepted).unwrap().len(), 1, "{accepted}");
    }
    let folded = &parse(&with(json!({"hex": "aB"}))).unwrap();
    assert!(render(folded).contains("\"ab\""));
}

fn golden(name: &str) -> GoldenVector {
    let mut vectors = golden_vectors().into_iter();
    vectors.find(|vector| vector.name.ends_with(name)).unwrap()
}

fn reason(vectors: &[GoldenVector]) -> Reason {
    verify(vectors).unwrap_err().reason
}

#[test]
fn no_vector_of_the_manifest_can_lose_a_byte() {
    for place in 0..golden_vectors().len() {
        let mut vectors = golden_vectors();
        let vector = &mut vectors[place];
        vector.bytes.truncate(vector.bytes.len() - 1);
        let name = vector.name.clone();
        let error = verify(&vectors).unwrap_err();
        // The descriptors are still fine without the last of their payloads, which then fits no descriptors.
        assert!(
            error.name == name || name.contains("descriptor_region"),
            "{name}: {error:?}"
        );
    }
}

#[test]
fn vectors_that_are_something_else_are_told() {
    let mut hint = golden("packet.result_hint");
    hint.kind = VectorKind::Header;
    assert!(matches!(reason(&[hint]), Reason::Read(_)));

    // Read as what a later revision may mean, but written as zero.
    let mut update = golden("packet.flow_update");
    let mut bytes = update.bytes.to_vec();
    bytes[43] = 1;
    update.bytes = bytes.into();
    assert!(matches!(reason(&[update]), Reason::Differs(_)));

    let mut unknown = golden("metadata.client_hello");
    unknown.name = "current.metadata.ping".into();
    assert_eq!(reason(&[unknown]), Reason::UnknownMessage);

    let alone = golden("frame_region");
    assert_eq!(reason(&[alone]), Reason::NoDescriptors);

    let mut reference = golden("tile_index_block");
    reference.bytes = vec![0; 16].into();
    let category = Category::UnknownEnumValue;
    assert!(matches!(reason(&[reference]), Reason::Read(error) if error.category == category));
}
