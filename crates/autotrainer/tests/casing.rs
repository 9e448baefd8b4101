//! Key casing, held against what the peer's library made of the same names (humps-casing.json). spec: autotrainer 6

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use autotrainer_api::casing::{camelize, camelize_keys, decamelize, decamelize_keys};
use autotrainer_api::json::Json;
use serde_json::Value;

/// Names outside ASCII where we differ. None is known.
const EXCEPTIONS: [&str; 0] = [];

fn vectors(section: &str) -> Vec<Value> {
    let path = nodewire_testkit::vector_path("humps-casing.json");
    let text = std::fs::read_to_string(path).unwrap();
    let vectors: Value = serde_json::from_str(&text).unwrap();
    let entries = vectors[section].as_array().unwrap().clone();
    assert!(!entries.is_empty());
    entries
}

#[test]
fn names() {
    let mut differing = Vec::new();
    for entry in vectors("keys") {
        let text = |field: &str| entry[field].as_str().unwrap();
        let name = text("in");
        let (camel, snake) = (camelize(name), decamelize(name));
        let same = camel == text("camelize")
            && snake == text("decamelize")
            && decamelize(&camel) == text("decamelize_of_camelize")
            && camelize(&snake) == text("camelize_of_decamelize");
        if !same {
            assert!(!name.is_ascii(), "{name:?} became {camel:?} and {snake:?}");
            differing.push(name.to_owned());
        }
    }
    assert_eq!(differing, EXCEPTIONS);
}

/// Read as text: the order of colliding keys decides.
#[test]
fn structures() {
    let path = nodewire_testkit::vector_path("humps-casing.json");
    let vectors = Json::parse(std::fs::read_to_string(path).unwrap()).unwrap();
    let entries = vectors.get("structures").unwrap().elements().unwrap();
    assert!(!entries.is_empty());
    for entry in entries {
        let value = entry.get("in").unwrap();
        for (converted, field) in [
            (camelize_keys(&value), "camelize"),
            (decamelize_keys(&value), "decamelize"),
        ] {
            let expected: Value = entry.get(field).unwrap().decode().unwrap();
            assert_eq!(converted.decode::<Value>().unwrap(), expected, "{value}");
        }
    }
}

#[test]
fn which_of_two_colliding_members_wins_depends_on_their_order() {
    let convert = |text: &'static str| decamelize_keys(&Json::parse(text).unwrap());
    assert_eq!(convert(r#"{"a_b": 1, "aB": 2}"#).as_str(), r#"{"a_b": 2}"#);
    assert_eq!(convert(r#"{"aB": 2, "a_b": 1}"#).as_str(), r#"{"a_b": 1}"#);
}

#[test]
fn keys_that_python_writes_for_what_is_no_string_stay() {
    for entry in vectors("non_string_keys") {
        for (convert, field) in [
            (camelize_keys as fn(&Json) -> Json, "camelize_json"),
            (decamelize_keys, "decamelize_json"),
        ] {
            let text = entry[field].as_str().unwrap();
            let value = Json::parse(text.to_owned()).unwrap();
            assert_eq!(convert(&value), value);
        }
    }
}

/// What a Python service does to whole texts is the same function.
#[test]
fn texts_as_a_peer_rewrites_them() {
    for entry in vectors("json_text") {
        let text = entry["in"].as_str().unwrap();
        assert_eq!(camelize(text), entry["camelize"].as_str().unwrap());
        assert_eq!(decamelize(text), entry["decamelize"].as_str().unwrap());
    }
}
