//! Every recorded packet: what it says, which bytes it becomes again, and why others are refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::expect_fun_call,
    reason = "a test fails by panicking"
)]

use bytes::Bytes;
use nnrp_wire::inspect::packet_to_json;
use nnrp_wire::{DecodeOptions, Envelope, Message, Packet, WireError};
use serde_json::Value;

fn vectors() -> Value {
    let text = include_str!("vectors/nnrp-packets.json");
    serde_json::from_str(text).unwrap()
}

fn bytes(vector: &Value) -> Bytes {
    let hex = vector["hex"].as_str().unwrap();
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len())
        .step_by(2)
        .map(digit)
        .collect::<Vec<_>>()
        .into()
}

fn name(vector: &Value) -> &str {
    vector["name"].as_str().unwrap()
}

fn known(vector: &Value, key: &str) -> Option<Vec<u16>> {
    let known = vector["context"][key].as_array()?;
    let number = |number: &Value| u16::try_from(number.as_u64().unwrap()).unwrap();
    Some(known.iter().map(number).collect())
}

/// Decodes with the sets that the vector names.
fn decode(vector: &Value, options: DecodeOptions<'_>) -> Result<(Packet, Value), WireError> {
    let (control, frames) = (
        known(vector, "known_control_extension_types"),
        known(vector, "known_extension_kinds"),
    );
    let options = DecodeOptions {
        known_control_extensions: control.as_deref(),
        known_extension_frames: frames.as_deref(),
        ..options
    };
    let packet = Packet::decode(bytes(vector))?;
    let json = packet_to_json(&packet, &options)?;
    Ok((packet, json))
}

fn of_kind<'v>(vectors: &'v Value, kind: &str) -> Vec<&'v Value> {
    let all = vectors["vectors"].as_array().unwrap().iter();
    all.filter(|vector| vector["kind"] == kind).collect()
}

#[test]
fn valid_packets_say_what_was_recorded_under_both_rules() {
    let vectors = vectors();
    let valid = of_kind(&vectors, "valid");
    assert_eq!(valid.len(), 214);
    for vector in valid {
        let (_, json) = decode(vector, DecodeOptions::COMPATIBLE).expect(name(vector));
        assert_eq!(json, vector["decoded"], "{}", name(vector));
    }
}

#[test]
fn valid_packets_become_the_same_bytes_again() {
    let vectors = vectors();
    for vector in of_kind(&vectors, "valid") {
        let packet = Packet::decode(bytes(vector)).unwrap();
        assert_eq!(packet.encode(), bytes(vector));
        let message = Message::decode(&packet, &DecodeOptions::COMPATIBLE).unwrap();
        let mut out = Vec::new();
        let envelope = Envelope::from(packet.header());
        message.encode(&envelope, &mut out).expect(name(vector));
        assert_eq!(out, bytes(vector), "{}", name(vector));
    }
}

#[test]
fn invalid_packets_are_refused_for_the_recorded_reason() {
    let vectors = vectors();
    let invalid = of_kind(&vectors, "invalid");
    assert_eq!(invalid.len(), 206);
    let wrong: Vec<_> = invalid
        .iter()
        .filter_map(|vector| {
            let expected = vector["error"]["category"].as_str().unwrap();
            let found = decode(vector, DecodeOptions::COMPATIBLE).err();
            let category = found.map(|error| error.category.name());
            (category != Some(expected)).then(|| (name(vector), expected, category))
        })
        .collect();
    assert_eq!(wrong, []);
}

#[test]
fn irregular_packets_are_tolerated_or_refused_as_the_rules_say() {
    let vectors = vectors();
    let irregular = vectors["accepted_but_irregular"].as_array().unwrap();
    assert_eq!(irregular.len(), 38);
    for vector in irregular {
        let (_, json) = decode(vector, DecodeOptions::COMPATIBLE).expect(name(vector));
        assert_eq!(json, vector["decoded"], "{}", name(vector));
        let strict = decode(vector, DecodeOptions::STRICT);
        let category = strict.map_or_else(|error| error.category.name(), |_| "none");
        assert_eq!(category, vector["strict_category"], "{}", name(vector));
    }
}

/// The reference says so too of both.
#[test]
fn of_two_faults_the_one_that_is_checked_first_is_told() {
    let category = |hex: &str| {
        let packet = bytes(&serde_json::json!({ "hex": hex }));
        let error = Message::decode_bytes(packet, &DecodeOptions::COMPATIBLE).unwrap_err();
        (error.category.name(), error.what, error.offset)
    };
    // A migration from transport 0 to transport 9. spec: nnrp-wire 2.11
    let header = |message_type: &str, metadata: &str, body: &str| {
        format!(
            "4e4e52500100{message_type}2800000000{metadata}{body}07000000{:032}",
            0
        )
    };
    let migrate = header("1b", "18000000", "00000000");
    let migrate = format!("{migrate}0000000009000000{:032}", 0);
    let old = ("required_value_missing", "old_transport_id", Some(40));
    assert_eq!(category(&migrate), old);
    // A loss tolerance of 9 before an extension that is cut. spec: nnrp-wire 2.3
    let hello = header("01", "40000000", "18000000");
    let block = "03010000080000000900000000000000_9999000064000000".replace('_', "");
    let hello = format!("{hello}{:0120}18000000{block}", 0);
    let cut = (
        "control_extension_truncated",
        "control extension",
        Some(120),
    );
    assert_eq!(category(&hello), cut);
}
