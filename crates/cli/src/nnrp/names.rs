//! Names of numbers, and the order of fields, for the tree.

use nnrp_wire::{
    BackpressureLevel, BudgetPolicy, CacheFlags, CacheStatus, CongestionState, DType, ErrorCode,
    ErrorScope, ExtensionFrameFlags, FlowFlags, FlowReason, FlowScope, FrameClass, HeaderFlags,
    HintPolicy, HintReason, InputProfile, InvalidateScope, Layout, LossTolerance, ObjectKind,
    PatchAckStatus, PatchMask, PatchRejectReason, PayloadKinds, ResultClass, ResultFlags,
    ScalePolicy, SectionFlags, SubmitMode, TileIndexMode, TransportId, TransportPolicy,
};
use serde_json::{Map, Value};

/// A field's number, with its name if it has one.
pub(super) fn with_name(structure: &str, field: &str, number: u64) -> String {
    match name(structure, field, number) {
        Some(name) => format!("{number} ({name})"),
        None => number.to_string(),
    }
}

macro_rules! by_number {
    ($number:ident, $type:ty) => {
        <$type>::from_number($number).map(|known| known.name().to_owned())
    };
}

macro_rules! bits {
    ($number:ident, $type:ty) => {{
        let bits = $number.try_into().ok().map(<$type>::from_bits_retain);
        let names = |set: $type| set.iter_names().map(|(name, _)| name).collect::<Vec<_>>();
        bits.map(names)
            .filter(|names| !names.is_empty())
            .map(|names| names.join("|"))
    }};
}

fn name(structure: &str, field: &str, number: u64) -> Option<String> {
    match (structure, field) {
        ("header", "flags") => bits!(number, HeaderFlags),
        ("FlowUpdate", "flags") => bits!(number, FlowFlags),
        ("CachePut", "flags") => bits!(number, CacheFlags),
        ("desc", "flags") => bits!(number, SectionFlags),
        ("ResultHint", "applied_budget_policy") => by_number!(number, HintPolicy),
        ("ResultHint", "reason") => by_number!(number, HintReason),
        (_, "applied_budget_policy" | "budget_policy") => bits!(number, BudgetPolicy),
        (_, "error_code") => by_number!(number, ErrorCode),
        (_, "error_scope") => by_number!(number, ErrorScope),
        (_, "scope_kind") => by_number!(number, FlowScope),
        (_, "update_reason") => by_number!(number, FlowReason),
        (_, "backpressure_level") => by_number!(number, BackpressureLevel),
        (_, "congestion_state") => by_number!(number, CongestionState),
        ("CacheAck", "status") => by_number!(number, CacheStatus),
        (_, "invalidate_scope") => by_number!(number, InvalidateScope),
        (_, "object_kind") => by_number!(number, ObjectKind),
        (_, "ack_status") => by_number!(number, PatchAckStatus),
        (_, "reject_reason") => by_number!(number, PatchRejectReason),
        (_, "patch_mask" | "applied_patch_mask" | "rejected_patch_mask") => {
            bits!(number, PatchMask)
        }
        (_, "frame_class") => by_number!(number, FrameClass),
        (_, "input_profile") => by_number!(number, InputProfile),
        (_, "tile_index_mode") => by_number!(number, TileIndexMode),
        (_, "submit_mode") => by_number!(number, SubmitMode),
        (_, "loss_tolerance_policy" | "session_loss_tolerance" | "accepted_loss_tolerance") => {
            by_number!(number, LossTolerance)
        }
        (_, "result_flags") => bits!(number, ResultFlags),
        (_, "result_class") => by_number!(number, ResultClass),
        (_, "dtype_id") => by_number!(number, DType),
        (_, "layout_id") => by_number!(number, Layout),
        (_, "scale_policy") => by_number!(number, ScalePolicy),
        (_, "extension_flags") => bits!(number, ExtensionFrameFlags),
        (
            _,
            "payload_kind"
            | "payload_kind_bitmap"
            | "accepted_payload_kind_bitmap"
            | "supported_payload_kind_bitmap",
        ) => {
            bits!(number, PayloadKinds)
        }
        (_, "transport_policy" | "accepted_transport_policy") => {
            by_number!(number, TransportPolicy)
        }
        (
            _,
            "preferred_transport_id"
            | "active_transport_id"
            | "old_transport_id"
            | "new_transport_id",
        ) => by_number!(number, TransportId),
        _ => None,
    }
}

/// What a person reads first comes first; parts that are shown in another way are left out.
pub(super) fn in_order(object: &Map<String, Value>) -> Vec<&str> {
    let is_shown = |key: &&str| {
        let is_shape = *key == "shape";
        let is_region = matches!(
            *key,
            "extension_block" | "typed_payload_frame_region" | "extension_payload_region"
        );
        let is_tiles = *key == "payload" && object.contains_key("tile_payloads");
        !is_shape && !is_region && !is_tiles
    };
    let mut keys: Vec<&str> = object.keys().map(String::as_str).filter(is_shown).collect();
    let place = |key: &&str| {
        ORDER
            .iter()
            .position(|known| known == key)
            .unwrap_or(ORDER.len())
    };
    keys.sort_by_key(place);
    keys
}

/// Of fields in bodies; as on the wire.
const ORDER: &[&str] = &[
    "prelude",
    "inline_objects",
    "object_references",
    "typed_payload_descriptors",
    "typed_payloads",
    "extension_descriptors",
    "extensions",
    "camera",
    "tile_index",
    "tile_ids",
    "sections",
    "desc",
    "codec_table",
    "tile_lengths",
    "tile_payloads",
    "inline_object_bytes",
    "object_reference_bytes",
    "typed_payload_descriptor_bytes",
    "typed_payload_frame_bytes",
    "extension_descriptor_bytes",
    "extension_payload_bytes",
    "body_flags",
    "object_kind",
    "object_flags",
    "ref_flags",
    "payload_kind",
    "descriptor_flags",
    "extension_kind",
    "extension_flags",
    "profile_id",
    "reserved0",
    "object_bytes",
    "reserved1",
    "cache_namespace",
    "cache_key_hi",
    "cache_key_lo",
    "payload_offset",
    "payload_length",
    "role_id",
    "codec_id",
    "dtype_id",
    "layout_id",
    "scale_policy",
    "flags",
    "element_count_per_tile",
    "codec_table_bytes",
    "length_table_bytes",
    "payload_bytes",
    "payload_stride_bytes",
    "reserved",
    "ext_type",
    "ext_flags",
    "min_width",
    "min_height",
    "max_width",
    "max_height",
    "value",
    "payload",
    "auth",
];
