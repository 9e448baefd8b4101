//! Each tolerated quirk is one switch: it alone makes its packets readable, and without it alone they are refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;

use common::{bytes, name, vectors};
use nnrp_wire::{Category, DecodeOptions, Message, Rules, WireError};
use serde_json::Value;

/// A switch, the quirk it tolerates, and recorded packets that need it.
struct Switch {
    field: &'static str,
    of: fn(&mut Rules) -> &mut bool,
    quirk: &'static str,
    /// Why they are refused without it.
    categories: &'static [Category],
    packets: &'static [&'static str],
}

macro_rules! switches {
    ($($field:ident: $quirk:ident, $($category:ident)|+, $packets:expr;)+) => {
        const SWITCHES: &[Switch] = &[$(Switch {
            field: stringify!($field),
            of: |rules| &mut rules.$field,
            quirk: stringify!($quirk),
            categories: &[$(Category::$category),+],
            packets: &$packets,
        }),+];

        // A switch that is not in the table does not compile.
        const _: fn(Rules) = |Rules { $($field: _),+ }| ();
    };
}

// spec: nnrp-wire 10
switches! {
    any_version: Q1, UnsupportedVersion, ["version_major_other"];
    content_where_none: Q2, UnexpectedContent, ["ping_with_metadata_and_body", "result_drop_with_body"];
    any_frame_class: Q4, UnknownEnumValue, ["submit_frame_class_unknown"];
    reserved_fields: Q5, ReservedNonzero, [
        "server_hello_reserved0",
        "submit_reserved_nonzero",
        "result_reserved_nonzero",
        "section_reserved_and_flags",
        "transport_extension_reserved",
        "flow_update_reserved",
    ];
    repeated_extensions: Q7, DuplicateObject, ["control_extension_duplicates"];
    declared_lengths: Q9, DeclaredLengthMismatch, [
        "error_diagnostic_bytes_mismatch",
        "cache_put_object_bytes_mismatch",
    ];
    flow_scope: Q10, SessionIdScopeConflict, ["flow_update_session_scope_zero_session"];
    stale_without_frame: Q12, RequiredValueMissing, ["result_stale_without_reused_id"];
    body_of_no_kind: Q13, UnexpectedContent, ["result_none_bitmap_with_body"];
    camera_padding: Q16, NonzeroPadding | PacketTruncated, [
        "submit_flat_camera_padding_nonzero",
        "submit_flat_camera_truncated",
    ];
    extension_bytes: Q17, PayloadBytesWithoutFrames, ["extension_bytes_without_descriptors"];
    repeated_objects: Q18, DuplicateObject, ["inline_nonstandard_duplicate"];
    modes_without_reference: Q21, ReferenceMaskMissing, [
        "mixed_mode_without_mask",
        "reference_mode_without_mask",
    ];
    large_tile_ids: Q22, ValueOutOfRange, ["tile_ids_delta_overflow", "tile_ids_dense_base_large"];
}

fn decode(vector: &Value, rules: Rules) -> Result<Message, WireError> {
    let options = DecodeOptions {
        rules,
        ..DecodeOptions::COMPATIBLE
    };
    Message::decode_bytes(bytes(&vector["hex"]), &options).map(|(_, message)| message)
}

fn irregular(vectors: &Value) -> &[Value] {
    vectors["accepted_but_irregular"].as_array().unwrap()
}

fn packet<'v>(vectors: &'v Value, wanted: &str) -> &'v Value {
    let mut packets = irregular(vectors).iter();
    let packet = packets.find(|packet| name(packet) == wanted);
    packet.unwrap_or_else(|| panic!("{wanted} is not recorded"))
}

#[test]
fn a_switch_alone_lets_its_packets_in() {
    let vectors = vectors();
    for switch in SWITCHES {
        let mut rules = Rules::STRICT;
        *(switch.of)(&mut rules) = true;
        for wanted in switch.packets {
            let (packet, field) = (packet(&vectors, wanted), switch.field);
            let read = decode(packet, rules);
            assert!(read.is_ok(), "{wanted} with {field}: {read:?}");
        }
    }
}

#[test]
fn without_the_switch_alone_its_packets_are_refused() {
    let vectors = vectors();
    for switch in SWITCHES {
        let mut rules = Rules::COMPATIBLE;
        *(switch.of)(&mut rules) = false;
        let mut seen = Vec::new();
        for wanted in switch.packets {
            let (packet, field) = (packet(&vectors, wanted), switch.field);
            let read = decode(packet, rules);
            let error = read.expect_err(&format!("{wanted} without {field}"));
            let strictly = packet["strict_category"].as_str().unwrap();
            assert_eq!(error.category.name(), strictly, "{wanted} without {field}");
            seen.push(error.category);
        }
        seen.dedup();
        assert_eq!(seen, switch.categories, "{}", switch.field);
    }
}

/// What the strict rules refuse and the compatible ones do not is in the table, once.
#[test]
fn every_tolerated_packet_has_its_switch() {
    let vectors = vectors();
    let refused = irregular(&vectors)
        .iter()
        .filter(|packet| packet["strict_category"] != "none");
    let refused: BTreeSet<_> = refused.map(name).collect();
    let listed: Vec<_> = SWITCHES
        .iter()
        .flat_map(|switch| switch.packets)
        .copied()
        .collect();
    assert_eq!(listed.len(), refused.len());
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), refused);
}

/// The switch's documentation names the quirk.
#[test]
fn every_switch_cites_its_quirk() {
    let source = include_str!("../src/rules.rs");
    for Switch { field, quirk, .. } in SWITCHES {
        let cited = format!("({quirk}).\n    pub {field}: bool,");
        assert!(source.contains(&cited), "{field} does not cite {quirk}");
    }
}
