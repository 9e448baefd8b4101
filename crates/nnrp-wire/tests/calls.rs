//! Every recorded call of the reference: the same result here, the same refusal, or a type that leaves no room for it.
//! And every recorded packet of a builder, built here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::expect_fun_call,
    reason = "a test fails by panicking"
)]

mod common;

use bytes::Bytes;
use common::builders::{TensorArgs, envelope, frame, message, reference, section};
use common::{bytes, hex, list, name, number, packets, vectors};
use nnrp_wire::body::{
    ComposedBody, ExtensionFrame, ExtensionFrameDescriptor, ExtensionFrames, InlineObject,
    ObjectReference, ObjectReferenceBlock, PayloadKind, Section, SectionDescriptor, TileIndex,
    TypedPayload, TypedPayloadDescriptor, TypedPayloads,
};
use nnrp_wire::metadata::ProfilePatch;
use nnrp_wire::{
    ControlExtension, ControlExtensionFlags, ControlExtensionType, DType, DecodeOptions,
    ExtensionFrameFlags, Layout, Message, ObjectKind, ObjectKinds, PayloadKinds, Pieces, Reserved,
    Rules, ScalePolicy, SectionFlags, TileIndexMode, WireError,
};
use serde_json::{Value, json};

/// Calls that cannot even be written down, and why. All of them are refused by the reference.
const IMPOSSIBLE: &[(&str, &[&str])] = &[
    (
        "the type of the argument has no such value",
        &[
            "reject-000-build_cache_object_bitmap",
            "reject-001-build_cache_object_bitmap",
            "reject-004-build_ping_packet",
            "reject-005-build_ping_packet",
            "reject-009-build_flow_update_packet",
            "reject-013-build_result_hint_packet",
            "reject-018-pack_tile_index_block",
            "reject-019-pack_tile_index_block",
            "reject-026-pack_tensor_section_data",
            "reject-028-pack_tensor_section_data",
            "reject-062-pack_typed_payload_frames",
            "reject-064-pack_extension_frames",
            "reject-095-build_frame_submit_packet",
            "reject-096-build_frame_submit_packet",
            "reject-097-build_frame_submit_packet",
            "reject-105-build_result_push_packet",
            "reject-106-build_result_push_packet",
        ],
    ),
    (
        "a message of this type has its content, or is header-only here (RESULT_DROP)",
        &[
            "reject-002-build_header_only_packet",
            "reject-003-build_header_only_packet",
        ],
    ),
    (
        "the length follows from the bytes",
        &[
            "reject-014-build_transport_probe_packet",
            "reject-038-pack_inline_object_block",
        ],
    ),
    (
        "the field is reserved, and no argument",
        &[
            "reject-055-build_typed_payload_frame",
            "reject-072-build_server_hello_ack_payload_capabilities_extension",
        ],
    ),
    (
        "tables are lists of descriptors",
        &["reject-076-pack_body", "reject-077-pack_body"],
    ),
    (
        "the mask follows from the references",
        &[
            "reject-078-build_frame_submit_packet",
            "reject-082-build_frame_submit_packet",
            "reject-083-build_frame_submit_packet",
        ],
    ),
    (
        "whether TENSOR is declared follows from the tensor, and the number of payloads from the payloads",
        &[
            "reject-088-build_frame_submit_packet",
            "reject-089-build_frame_submit_packet",
            "reject-090-build_frame_submit_packet",
            "reject-091-build_frame_submit_packet",
            "reject-111-build_result_push_packet",
            "reject-112-build_result_push_packet",
            "reject-115-build_result_push_packet",
        ],
    ),
    (
        "what is not dropped is covered, and only tensors have tiles to drop",
        &[
            "reject-103-build_result_push_packet",
            "reject-104-build_result_push_packet",
            "reject-113-build_result_push_packet",
            "reject-114-build_result_push_packet",
            "reject-120-build_result_push_mixed_packet",
        ],
    ),
];

fn is_impossible(name: &str) -> bool {
    IMPOSSIBLE.iter().any(|(_, names)| names.contains(&name))
}

#[test]
fn every_call_ends_as_it_was_recorded() {
    let vectors = vectors();
    let calls = vectors["calls"].as_array().unwrap();
    assert_eq!(calls.len(), 157);
    let mut impossible = 0;
    for call in calls {
        let name = name(call);
        if is_impossible(name) {
            assert_ne!(call["error"], Value::Null, "{name} is possible");
            impossible += 1;
            continue;
        }
        match outcome(call) {
            Ok(result) => {
                assert_eq!(call["error"], Value::Null, "{name} gave {result}");
                assert_eq!(result, call["result"], "{name}");
            }
            Err(error) => {
                assert_eq!(error.category.name(), call["error"]["category"], "{name}");
                assert_ne!(call["error"], Value::Null, "{name}: {error}");
            }
        }
    }
    let listed: usize = IMPOSSIBLE.iter().map(|(_, names)| names.len()).sum();
    assert_eq!((impossible, listed), (40, 40));
}

/// Types that have no room for what was refused.
#[test]
fn what_is_impossible_has_no_value() {
    assert_eq!(ObjectKind::from_number(0), None);
    assert_eq!(ObjectKind::from_number(10), None);
    assert_eq!(nnrp_wire::SubmitMode::from_number(3), None);
    assert_eq!(nnrp_wire::LossTolerance::from_number(4), None);
}

#[test]
fn builders_make_the_recorded_bytes() {
    let vectors = vectors();
    let mut built = 0;
    for vector in packets(&vectors).filter(|vector| vector["builder"].is_object()) {
        let (function, args) = (&vector["builder"]["function"], &vector["builder"]["args"]);
        let message = message(function.as_str().unwrap(), args).expect(name(vector));
        let message = message.expect(name(vector));
        let (envelope, mut out) = (envelope(args), Vec::new());
        message.encode(&envelope, &mut out).expect(name(vector));
        assert_eq!(hex(&out), vector["hex"], "{}", name(vector));

        let mut pieces = Pieces::default();
        message.encode_pieces(&envelope, &mut pieces).unwrap();
        assert_eq!(pieces.slices().collect::<Vec<_>>().concat(), out);
        let (_, decoded) =
            Message::decode_bytes(out.into(), &DecodeOptions::COMPATIBLE).expect(name(vector));
        assert_eq!(decoded, message, "{}", name(vector));
        built += 1;
    }
    assert_eq!(built, 134);
}

/// What the call gives here.
fn outcome(call: &Value) -> Result<Value, WireError> {
    let function = call["function"].as_str().unwrap();
    let (args, named) = (&call["args"], &call["named"]);
    if let Some(message) = message(function, named) {
        let mut out = Vec::new();
        message?.encode(&envelope(named), &mut out)?;
        return Ok(hex(&out).into());
    }
    match function.split_once('_').unwrap().0 {
        "build" => build(function, args, named),
        "parse" => parse(function, &args[0]),
        "pack" => pack(function, args, named),
        "unpack" => unpack(function, &args[0], named),
        _ => panic!("no such function: {function}"),
    }
}

fn build(function: &str, args: &Value, named: &Value) -> Result<Value, WireError> {
    let profile = number(&named["profile_id"]);
    let referenced = |kind| {
        let (hi, lo): (u32, u32) = (
            number(&named["cache_key_hi"]),
            number(&named["cache_key_lo"]),
        );
        let key = u64::from(hi) << 32 | u64::from(lo);
        let reference = ObjectReference::new(kind, number(&named["cache_namespace"]), key);
        let block = ObjectReferenceBlock::decode(&reference.encode())?;
        Ok(json!({
            "object_kind": block.object_kind.number(),
            "ref_flags": 0,
            "cache_namespace": block.cache_namespace,
            "cache_key_hi": block.cache_key_hi,
            "cache_key_lo": block.cache_key_lo,
        }))
    };
    let inline = |object: InlineObject| Ok(hex(&object.with_profile(profile).encode()?).into());
    match function {
        "build_cache_object_bitmap" => {
            let kinds = list(args, |kind| ObjectKind::from_number(number(kind)).unwrap());
            Ok(ObjectKinds::from_iter(kinds).bits().into())
        }
        "build_camera_reference_block" => referenced(ObjectKind::CameraBlock),
        "build_tile_index_reference_block" => referenced(ObjectKind::TileIndexBlock),
        "build_tensor_section_table_reference_block" => referenced(ObjectKind::TensorSectionTable),
        "build_camera_inline_object_block" => inline(InlineObject::camera(bytes(&args[0]))),
        "build_tile_index_inline_object_block" => {
            inline(InlineObject::tile_index(&tile_index(args, named)?))
        }
        "build_tensor_section_table_inline_object_block" => inline(InlineObject::new(
            ObjectKind::TensorSectionTable,
            bytes(&args[0]),
        )),
        "build_typed_payload_frame" => {
            let kind = PayloadKind::try_from(number::<u8>(&args[0]))?;
            let payloads = TypedPayloads::new([TypedPayload::new(kind, bytes(&args[1]))])?;
            Ok(payloads.len().into())
        }
        "build_extension_frame" => {
            let flags = ExtensionFrameFlags::from_bits_retain(number(&named["extension_flags"]));
            let frame = ExtensionFrame {
                flags,
                ..ExtensionFrame::new(number(&args[0]), bytes(&args[1]))
            };
            Ok(ExtensionFrames::new([frame])?.descriptors().len().into())
        }
        "build_client_hello_payload_capabilities_extension" => {
            let kinds = PayloadKinds::from_bits_retain(number(&args[0]["payload_kind_bitmap"]));
            let extension = ControlExtension::client_payload_capabilities(kinds)?;
            Ok(hex(&extension.payload).into())
        }
        _ => panic!("no such function: {function}"),
    }
}

fn parse(function: &str, arg: &Value) -> Result<Value, WireError> {
    use ControlExtensionType as Extension;
    let referenced = |kind| {
        let reference = if arg.is_string() {
            ObjectReference::decode(&bytes(arg))?
        } else {
            reference(arg)
        };
        reference.expect_kind(kind).map(|_| Value::Null)
    };
    let inline = |kind| {
        let object = InlineObject::decode(&bytes(arg))?;
        object.expect_kind(kind).map(|_| Value::Null)
    };
    let typed = |kind| frame(arg)?.expect_kind(kind).map(|_| Value::Null);
    let extension = |ext_type| extension(arg).parse(ext_type).map(|_| Value::Null);
    match function {
        "parse_camera_reference_block" => referenced(ObjectKind::CameraBlock),
        "parse_tile_index_reference_block" => referenced(ObjectKind::TileIndexBlock),
        "parse_tensor_section_table_reference_block" => referenced(ObjectKind::TensorSectionTable),
        "parse_camera_inline_object_block" => inline(ObjectKind::CameraBlock),
        "parse_tile_index_inline_object_block" => inline(ObjectKind::TileIndexBlock),
        "parse_tensor_section_table_inline_object_block" => inline(ObjectKind::TensorSectionTable),
        "parse_audio_chunk_frame" => typed(PayloadKind::AudioChunk),
        "parse_token_chunk_frame" => typed(PayloadKind::TokenChunk),
        "parse_video_chunk_frame" => typed(PayloadKind::VideoChunk),
        "parse_structured_event_frame" => typed(PayloadKind::StructuredEvent),
        "parse_tool_delta_frame" => typed(PayloadKind::ToolDelta),
        "parse_opaque_bytes_frame" => typed(PayloadKind::OpaqueBytes),
        "parse_client_hello_transport_policy_extension" => {
            extension(Extension::ClientTransportPolicy)
        }
        "parse_server_hello_ack_transport_policy_extension" => {
            extension(Extension::ServerTransportPolicy)
        }
        "parse_client_hello_loss_tolerance_extension" => extension(Extension::ClientLossTolerance),
        "parse_server_hello_ack_loss_tolerance_extension" => {
            extension(Extension::ServerLossTolerance)
        }
        "parse_client_hello_payload_capabilities_extension" => {
            extension(Extension::ClientPayloadCapabilities)
        }
        "parse_server_hello_ack_payload_capabilities_extension" => {
            extension(Extension::ServerPayloadCapabilities)
        }
        _ => panic!("no such function: {function}"),
    }
}

fn extension(arg: &Value) -> ControlExtension {
    ControlExtension {
        ext_type: number(&arg["ext_type"]),
        flags: ControlExtensionFlags::from_bits_retain(number(&arg["ext_flags"])),
        payload: bytes(&arg["payload"]),
    }
}

fn tile_index(args: &Value, named: &Value) -> Result<TileIndex, WireError> {
    let ids: Vec<u16> = list(&args[0], number);
    let mode = TileIndexMode::from_number(number(&named["mode"])).unwrap();
    TileIndex::encode(&ids, mode, number(&named["tile_base_id"]))
}

fn pack(function: &str, args: &Value, named: &Value) -> Result<Value, WireError> {
    let profile = |key: &str| {
        let block = &named[key];
        let patch = block.is_object().then(|| ProfilePatch {
            min_width: number(&block["min_width"]),
            min_height: number(&block["min_height"]),
            max_width: number(&block["max_width"]),
            max_height: number(&block["max_height"]),
        });
        Ok(patch
            .map_or(String::new(), |patch| hex(&patch.encode()))
            .into())
    };
    match function {
        "pack_tile_index_block" => Ok(hex(tile_index(args, named)?.as_bytes()).into()),
        "pack_tensor_section_data" => {
            let tiles = list(&args[0]["tile_payloads"], bytes);
            encoded(&section(&args[0], &tiles).encode()?)
        }
        "pack_tensor_section" => encoded(&Section::from_parts(
            descriptor(&args[0]),
            optional(&named["codec_table"]),
            bytes(&named["length_table"]),
            bytes(&named["payload"]),
        )?),
        "pack_object_reference_blocks" => {
            let references = list(&args[0], reference);
            Ok(hex(&ObjectReference::encode_all(&references)).into())
        }
        "pack_typed_payload_frames" => {
            let frames: Result<Vec<_>, _> = list(&args[0], frame).into_iter().collect();
            let payloads = TypedPayloads::new(frames?)?;
            Ok(json!([
                hex(&payloads.encode_table()),
                hex(&payloads.region())
            ]))
        }
        "pack_extension_frames" => {
            let frames = ExtensionFrames::new(list(&args[0], |frame| ExtensionFrame {
                kind: number(&frame["extension_kind"]),
                flags: ExtensionFrameFlags::from_bits_retain(number(&frame["extension_flags"])),
                profile_id: number(&frame["profile_id"]),
                payload: bytes(&frame["payload"]),
            }))?;
            Ok(json!([hex(&frames.encode_table()), hex(&frames.region())]))
        }
        "pack_control_extension_block" => {
            let block = ControlExtension::encode_block(&list(&args[0], extension))?;
            let read =
                ControlExtension::read_block(&block.clone().into(), &DecodeOptions::COMPATIBLE)?;
            assert_eq!(read, list(&args[0], extension));
            Ok(hex(&block).into())
        }
        "pack_body" => {
            let body = ComposedBody::default().encode()?;
            let read = ComposedBody::from_bytes(&body.clone().into(), &DecodeOptions::STRICT)?;
            assert_eq!(read, ComposedBody::default());
            Ok(hex(&body).into())
        }
        "pack_session_patch_body" => profile("profile_patch_block"),
        "pack_session_patch_ack_body" => profile("profile_patch_ack_block"),
        _ => panic!("no such function: {function}"),
    }
}

fn encoded(section: &Section) -> Result<Value, WireError> {
    let mut out = Vec::new();
    section.encode(&mut out);
    Ok(hex(&out).into())
}

fn optional(hex: &Value) -> Bytes {
    if hex.is_null() {
        return Bytes::new();
    }
    bytes(hex)
}

fn descriptor(arg: &Value) -> SectionDescriptor {
    SectionDescriptor {
        role_id: number(&arg["role_id"]),
        codec_id: number(&arg["codec_id"]),
        dtype_id: DType::from_number(number(&arg["dtype_id"])).unwrap(),
        layout_id: Layout::from_number(number(&arg["layout_id"])).unwrap(),
        scale_policy: ScalePolicy::from_number(number(&arg["scale_policy"])).unwrap(),
        flags: SectionFlags::from_bits_retain(number(&arg["flags"])),
        element_count_per_tile: number(&arg["element_count_per_tile"]),
        codec_table_bytes: number(&arg["codec_table_bytes"]),
        length_table_bytes: number(&arg["length_table_bytes"]),
        payload_bytes: number(&arg["payload_bytes"]),
        payload_stride_bytes: number(&arg["payload_stride_bytes"]),
        reserved: Reserved(number(&arg["reserved"])),
    }
}

fn unpack(function: &str, arg: &Value, named: &Value) -> Result<Value, WireError> {
    let bytes = bytes(arg);
    match function {
        "unpack_tile_index_block" => {
            let index = TileIndex::decode(
                &bytes,
                TileIndexMode::from_number(number(&named["mode"])).unwrap(),
                number(&named["tile_count"]),
                number(&named["tile_base_id"]),
                &Rules::COMPATIBLE,
            )?;
            Ok(index.ids().collect())
        }
        "unpack_inline_object_block" => InlineObject::decode(&bytes).map(|_| Value::Null),
        "unpack_object_reference_blocks" => {
            ObjectReference::decode_all(&bytes).map(|_| Value::Null)
        }
        "unpack_typed_payload_descriptors" => {
            TypedPayloadDescriptor::decode_all(&bytes).map(|_| Value::Null)
        }
        "unpack_extension_frame_descriptors" => {
            ExtensionFrameDescriptor::decode_all(&bytes).map(|_| Value::Null)
        }
        "unpack_session_patch_body" => {
            let declared = number(&named["profile_patch_bytes"]);
            ProfilePatch::decode_body(&bytes, declared).map(|_| Value::Null)
        }
        "unpack_session_patch_ack_body" => {
            let declared = number(&named["profile_patch_ack_bytes"]);
            ProfilePatch::decode_body(&bytes, declared).map(|_| Value::Null)
        }
        _ => panic!("no such function: {function}"),
    }
}

/// The reference's tensor arguments are this crate's.
#[test]
fn tensor_bodies_come_apart_as_they_were_put_together() {
    let vectors = vectors();
    let of_tensors = packets(&vectors).filter(|vector| {
        let args = &vector["builder"]["args"];
        args["sections"]
            .as_array()
            .is_some_and(|sections| !sections.is_empty())
    });
    for vector in of_tensors {
        let args = TensorArgs::new(&vector["builder"]["args"]);
        let sections: Vec<Section> = args
            .sections()
            .iter()
            .map(|s| s.encode().unwrap())
            .collect();
        let count = u16::try_from(sections.len()).unwrap();
        let body = nnrp_wire::body::TensorBody {
            tile_index: Bytes::from_static(b"12"),
            sections,
        };
        let mut out = Vec::new();
        body.encode(&mut out);
        let read = nnrp_wire::body::TensorBody::decode(&out.into(), 2, count, None, &Rules::STRICT);
        assert_eq!(read.unwrap(), body, "{}", name(vector));
    }
}

/// Whoever looks for a function of the reference finds it.
#[test]
fn every_function_is_in_the_table_of_names() {
    let table = include_str!("../docs/names.md");
    let vectors = vectors();
    let calls = vectors["calls"].as_array().unwrap().iter();
    let built = packets(&vectors).map(|vector| &vector["builder"]);
    for function in calls
        .chain(built)
        .filter_map(|call| call["function"].as_str())
    {
        let name = format!("`{function}`");
        assert!(table.contains(&name), "{function} is not in docs/names.md");
    }
}
