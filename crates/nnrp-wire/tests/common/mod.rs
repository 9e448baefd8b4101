//! Recorded packets and calls, and what they become in this crate's words.

#![allow(dead_code, reason = "each test uses some of it")]

pub(crate) mod arbitrary;
pub(crate) mod builders;

use bytes::Bytes;
use serde_json::Value;

pub(crate) fn vectors() -> Value {
    let text = include_str!("../vectors/nnrp-packets.json");
    serde_json::from_str(text).unwrap()
}

/// All packets, valid, invalid and irregular.
pub(crate) fn packets(vectors: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["vectors", "accepted_but_irregular"];
    lists
        .into_iter()
        .flat_map(|list| vectors[list].as_array().unwrap())
}

pub(crate) fn name(vector: &Value) -> &str {
    vector["name"].as_str().unwrap()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn bytes(hex: &Value) -> Bytes {
    let hex = hex.as_str().unwrap();
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let bytes: Vec<_> = (0..hex.len()).step_by(2).map(digits).collect();
    bytes.into()
}

/// A number that fits its type; absent is 0.
pub(crate) fn number<T: TryFrom<u64>>(value: &Value) -> T {
    let number = if value.is_null() {
        0
    } else {
        value
            .as_u64()
            .unwrap_or_else(|| panic!("{value} is no number"))
    };
    T::try_from(number).unwrap_or_else(|_| panic!("{number} does not fit"))
}

pub(crate) fn list<'v, T>(value: &'v Value, item: impl Fn(&'v Value) -> T) -> Vec<T> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(item).collect()
}
