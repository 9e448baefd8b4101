//! Packets between this crate and the real nnrp-py, in both directions, and what both make of broken ones.

#![cfg(feature = "inspect")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod make;
mod mutate;
mod peer;
mod random;
mod replaying;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use nnrp_wire::inspect::{from_hex, packet_to_json};
use nnrp_wire::{DecodeOptions, Envelope, Message, MessageType, Packet, WireError};
use serde_json::Value;

use make::Maker;
use random::Random;

/// Of each type, in each direction.
const PACKETS: usize = 250;
/// Of each packet.
const MUTANTS: usize = 3;

/// Random packets are the same in every run, so that what fails fails again.
const SEED: u64 = 5;

fn decode(bytes: &Bytes) -> Result<Value, WireError> {
    let packet = Packet::decode(bytes.clone())?;
    packet_to_json(&packet, &DecodeOptions::COMPATIBLE)
}

fn encode_again(bytes: &Bytes) -> Vec<u8> {
    let options = DecodeOptions::COMPATIBLE;
    let (header, message) = Message::decode_bytes(bytes.clone(), &options).unwrap();
    let mut again = Vec::new();
    message
        .encode(&Envelope::from(&header), &mut again)
        .unwrap();
    again
}

fn types<'p>(packets: impl Iterator<Item = &'p Bytes>) -> BTreeMap<&'static str, usize> {
    let mut types = BTreeMap::new();
    for packet in packets {
        let header = nnrp_wire::Header::decode(packet).unwrap();
        *types.entry(header.message_type.name()).or_default() += 1;
    }
    types
}

/// Packets made by nnrp-py's builders, with what it says of them.
fn theirs() -> Vec<(Bytes, Value)> {
    let count = PACKETS * MessageType::ALL.len();
    let made = peer::make(count, SEED);
    assert_eq!(made.len(), count);
    let made = made.into_iter().map(|packet| {
        let bytes = from_hex(packet["hex"].as_str().unwrap()).unwrap();
        (Bytes::from(bytes), packet)
    });
    made.collect()
}

/// Packets made by this crate.
fn ours() -> Vec<Bytes> {
    let mut maker = Maker(Random::new(SEED));
    let types = MessageType::ALL.iter().cycle();
    let types = types.take(PACKETS * MessageType::ALL.len());
    types.map(|of| maker.packet(*of)).collect()
}

#[test]
fn packets_of_nnrp_py_say_the_same_here() {
    let theirs = theirs();
    let counted = types(theirs.iter().map(|(bytes, _)| bytes));
    assert!(
        counted.values().all(|count| *count == PACKETS),
        "{counted:?}"
    );
    for (bytes, said) in &theirs {
        assert_eq!(
            said["ok"], true,
            "nnrp-py cannot read its own packet: {said}"
        );
        let here = decode(bytes).unwrap_or_else(|error| panic!("{error}: {said}"));
        assert_eq!(here, said["decoded"]);
        assert_eq!(&encode_again(bytes), bytes, "{said}");
    }
}

#[test]
fn packets_of_this_crate_say_the_same_there() {
    let ours = ours();
    let counted = types(ours.iter());
    assert!(
        counted.values().all(|count| *count == PACKETS),
        "{counted:?}"
    );
    for (bytes, said) in ours.iter().zip(peer::decode(&ours)) {
        assert_eq!(decode(bytes).unwrap(), said["decoded"], "{said}");
    }
}

#[test]
fn broken_packets_get_the_same_verdict_here_and_there() {
    let mut random = Random::new(SEED);
    let whole = theirs().into_iter().map(|(bytes, _)| bytes).chain(ours());
    let mutants: Vec<Bytes> = whole
        .flat_map(|bytes| {
            let mutants = (0..MUTANTS).map(|_| mutate::mutant(&bytes, &mut random));
            mutants.collect::<Vec<_>>()
        })
        .collect();
    let categories = recorded_categories();
    let (mut refused, mut compared) = (0, 0);
    for (bytes, there) in mutants.iter().zip(peer::decode(&mutants)) {
        let hex = nnrp_wire::inspect::to_hex(bytes);
        let here = match decode(bytes) {
            Ok(here) => {
                assert_eq!(here, there["decoded"], "{hex}: {there}");
                continue;
            }
            Err(error) => error,
        };
        assert_eq!(there["ok"], false, "{here}: {hex}");
        refused += 1;
        let message = shape(there["message"].as_str().unwrap());
        let possible = match there["category"].as_str() {
            Some(category) => Some(BTreeSet::from([category.to_owned()])),
            None => categories.get(&message).cloned(),
        };
        if let Some(possible) = possible {
            compared += 1;
            assert!(
                possible.contains(here.category.name()),
                "{here}: {there} {hex}"
            );
        }
    }
    // Neither all nor none of them are broken, and the reasons of most are known.
    assert!(refused > mutants.len() / 4 && refused < mutants.len());
    assert!(compared > refused * 9 / 10, "{compared} of {refused}");
}

/// The categories for which nnrp-py has each text, by the recorded packets that it refused.
fn recorded_categories() -> BTreeMap<String, BTreeSet<String>> {
    let text = include_str!("../vectors/nnrp-packets.json");
    let file: Value = serde_json::from_str(text).unwrap();
    let mut categories = BTreeMap::<_, BTreeSet<_>>::new();
    for vector in file["vectors"].as_array().unwrap() {
        let error = &vector["error"];
        if let (Some(message), Some(category)) =
            (error["message"].as_str(), error["category"].as_str())
        {
            let known = categories.entry(shape(message)).or_default();
            known.insert(category.to_owned());
        }
    }
    categories
}

/// A text without numbers and bytes.
fn shape(message: &str) -> String {
    let words = message.split_whitespace().map(|word| {
        let is_value = word.contains(|c: char| c.is_ascii_digit() || c == '\'');
        if is_value { "#" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}
