//! The twelve vectors, made by our own encoders of what they say.

use bytes::Bytes;

use super::{GoldenVector, VectorKind};
use crate::body::{
    BodyPrelude, ObjectReference, PayloadKind, TypedPayload, TypedPayloadDescriptor, TypedPayloads,
};
use crate::encode::Sink;
use crate::error::WireError;
use crate::field::{Fixed, Reserved, Zero};
use crate::header::Header;
use crate::message::{Envelope, Message};
use crate::metadata::{
    ClientHelloMetadata, FlowUpdateMetadata, FrameSubmitMetadata, Ignored, ResultHintMetadata,
    ResultPushMetadata, SessionPatchAckMetadata,
};
use crate::numbers::{
    BackpressureLevel, BudgetPolicy, CongestionState, FlowFlags, FlowReason, FlowScope, FrameClass,
    FrameLossTolerance, HeaderFlags, HintPolicy, HintReason, InputProfile, MessageType, ObjectKind,
    PatchAckStatus, PatchMask, PatchRejectReason, PayloadKinds, ResultClass, ResultFlags,
    SubmitMode, TileIndexMode,
};

/// The twelve vectors that the reference exports, in its order, with descriptions of our own.
#[must_use]
pub fn golden_vectors() -> Vec<GoldenVector> {
    use VectorKind as Kind;
    let (descriptors, payloads) = typed_regions();
    let vectors = [
        (
            Kind::Header,
            "header.frame_submit_ack_required_keyframe",
            header(),
            "common header alone",
        ),
        (
            Kind::Metadata,
            "metadata.client_hello",
            fixed(&client_hello()),
            "metadata block alone",
        ),
        (
            Kind::Metadata,
            "metadata.session_patch_ack",
            fixed(&session_patch_ack()),
            "metadata block alone",
        ),
        (
            Kind::Packet,
            "packet.flow_update",
            flow_update(),
            "header plus metadata, no body",
        ),
        (
            Kind::Packet,
            "packet.result_hint",
            result_hint(),
            "header plus metadata, no body",
        ),
        (
            Kind::Metadata,
            "metadata.frame_submit",
            fixed(&frame_submit()),
            "metadata block alone",
        ),
        (
            Kind::Metadata,
            "metadata.result_push",
            fixed(&result_push()),
            "metadata block alone",
        ),
        (
            Kind::BodyRegion,
            "body_region.prelude",
            fixed(&prelude()),
            "prelude of a composed body",
        ),
        (
            Kind::ObjectReference,
            "object_reference.tile_index_block",
            reference(),
            "one cache reference block",
        ),
        (
            Kind::TypedPayloadDescriptor,
            "typed_payload.descriptor",
            fixed(&descriptor()),
            "one typed payload descriptor",
        ),
        (
            Kind::TypedPayloadDescriptorRegion,
            "typed_payload.frame_descriptor_region",
            descriptors,
            "four descriptors: token, audio, video, event",
        ),
        (
            Kind::TypedPayloadFrameRegion,
            "typed_payload.frame_region",
            payloads,
            "the payload bytes those four descriptors address",
        ),
    ];
    let vector = |(kind, name, bytes, description): (_, _, Vec<u8>, &str)| GoldenVector {
        name: format!("current.{name}"),
        kind,
        bytes: Bytes::from(bytes),
        description: Some(description.to_owned()),
    };
    vectors.map(vector).into()
}

fn fixed<T: Fixed>(structure: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(T::BYTES);
    bytes.fixed(structure);
    bytes
}

/// Of constants, which break no rule: the tests compare what comes out.
fn encoded(encode: impl FnOnce(&mut Vec<u8>) -> Result<(), WireError>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = encode(&mut bytes);
    debug_assert_eq!(written, Ok(()));
    bytes
}

fn header() -> Vec<u8> {
    let header = Header {
        flags: HeaderFlags::ACK_REQUIRED | HeaderFlags::KEYFRAME,
        meta_len: 48,
        body_len: 4096,
        session_id: 7,
        frame_id: 11,
        view_id: 2,
        trace_id: 123_456_789,
        ..Header::new(MessageType::FrameSubmit)
    };
    header.encode().to_vec()
}

const fn client_hello() -> ClientHelloMetadata {
    ClientHelloMetadata {
        min_version_major: 1,
        max_version_major: 1,
        supported_wire_format_bitmap: 1,
        supported_profile_bitmap: 1,
        supported_payload_kind_bitmap: 1,
        supported_codec_bitmap: 7,
        supported_compression_bitmap: 3,
        supported_dtype_bitmap: 31,
        supported_layout_bitmap: 3,
        cache_digest_bitmap: 1,
        cache_object_bitmap: 7,
        cache_namespace_count: 4,
        max_lane_count: 2,
        max_cache_entries: 256,
        max_cache_bytes: 8 << 20,
        target_cadence_x100: 6000,
        latency_budget_ms: 100,
        quality_tier: 2,
        degrade_policy: 2,
        requested_session_id: 0,
        auth_bytes: 96,
        control_extension_bytes: 0,
    }
}

const fn session_patch_ack() -> SessionPatchAckMetadata {
    SessionPatchAckMetadata {
        ack_status: PatchAckStatus::PartiallyApplied,
        reject_reason: PatchRejectReason::UnsupportedStrategy,
        applied_patch_mask: PatchMask::TARGET_CADENCE
            .union(PatchMask::QUALITY_TIER)
            .union(PatchMask::ACTIVE_LANE_MASK),
        rejected_patch_mask: PatchMask::PREFERRED_CODEC,
        retry_after_ms: 0,
        effective_profile_id: 1,
        reserved0: Reserved(0),
        effective_target_cadence_x100: 9000,
        effective_quality_tier: 2,
        effective_degrade_policy: 2,
        effective_lane_mask: 3,
        effective_codec_bitmap: 1,
        effective_compression_bitmap: 3,
        profile_patch_ack_bytes: 0,
    }
}

fn flow_update() -> Vec<u8> {
    let message = Message::FlowUpdate(FlowUpdateMetadata {
        scope_kind: FlowScope::Session,
        update_reason: FlowReason::Congestion,
        backpressure_level: BackpressureLevel::Hard,
        reserved0: Ignored(0),
        connection_credit: 0,
        session_credit: 1,
        operation_credit: 0,
        reserved1: Ignored(0),
        operation_id: 0,
        retry_after_ms: 40,
        credit_epoch: 5,
        flags: FlowFlags::CREDIT_VALID | FlowFlags::RETRY_AFTER_VALID,
    });
    let envelope = Envelope {
        route_id: 6,
        trace_id: 13,
        ..Envelope::session(21)
    };
    encoded(|bytes| message.encode(&envelope, bytes))
}

fn result_hint() -> Vec<u8> {
    let message = Message::ResultHint(ResultHintMetadata {
        applied_budget_policy: HintPolicy::StaleReuse,
        congestion_state: CongestionState::Saturated,
        reason: HintReason::BudgetExceeded,
        retry_after_ms: 60,
    });
    let envelope = Envelope {
        route_id: 7,
        trace_id: 14,
        ..Envelope::frame(21, 303)
    };
    encoded(|bytes| message.encode(&envelope, bytes))
}

/// It has both a camera and a reference to one, so it is valid only as long as it stands alone.
fn frame_submit() -> FrameSubmitMetadata {
    FrameSubmitMetadata {
        src_width: 640,
        src_height: 360,
        tile_width: 32,
        tile_height: 32,
        tile_count: 84,
        section_count: 2,
        frame_class: FrameClass::Delta.into(),
        input_profile: InputProfile::DenseLumaFrame,
        tile_index_mode: TileIndexMode::DenseRange,
        reserved0: Reserved(0),
        latency_budget_ms: 100,
        target_fps_x100: 6000,
        retry_of_frame: 7,
        tile_base_id: 0,
        camera_bytes: 192,
        tile_index_bytes: 0,
        reserved1: Reserved(0),
        reserved2: Reserved(0),
        submit_mode: SubmitMode::Mixed,
        budget_policy: BudgetPolicy::ALLOW_PARTIAL | BudgetPolicy::ALLOW_DEGRADED,
        loss_tolerance_policy: FrameLossTolerance(None),
        reserved3: Reserved(0),
        object_ref_mask: 0b11,
        dependency_frame_id: 41,
        payload_kind_bitmap: PayloadKinds::TENSOR | PayloadKinds::STRUCTURED_EVENT,
        payload_frame_count: 2,
        reserved4: Reserved(0),
    }
}

/// Its tile index is too short for its tiles, so it is valid only as long as it stands alone.
fn result_push() -> ResultPushMetadata {
    ResultPushMetadata {
        status_code: 0,
        result_flags: ResultFlags::PARTIAL,
        section_count: 1,
        tile_count: 84,
        active_profile_id: 2,
        reserved0: Reserved(0),
        inference_ms: 843,
        queue_ms: 2,
        server_total_ms: 846,
        reserved1: Reserved(0),
        tile_base_id: 0,
        tile_index_bytes: 16,
        reserved2: Reserved(0),
        reserved3: Reserved(0),
        result_class: ResultClass::Partial,
        applied_budget_policy: BudgetPolicy::ALLOW_PARTIAL,
        reserved4: Reserved(0),
        reused_frame_id: 41,
        covered_tile_count: 53,
        dropped_tile_count: 31,
        payload_kind_bitmap: PayloadKinds::TENSOR | PayloadKinds::TOKEN_CHUNK,
        payload_frame_count: 3,
        reserved5: Reserved(0),
    }
}

fn prelude() -> BodyPrelude {
    BodyPrelude {
        inline_object_bytes: 24,
        object_reference_bytes: 16,
        typed_payload_descriptor_bytes: 16,
        typed_payload_frame_bytes: 14,
        extension_descriptor_bytes: 16,
        extension_payload_bytes: 5,
        body_flags: Zero::default(),
        reserved: Zero::default(),
    }
}

fn reference() -> Vec<u8> {
    let reference = ObjectReference {
        kind: ObjectKind::TileIndexBlock,
        namespace: 7,
        key: 0x1122_3344_5566_7788,
    };
    reference.encode().to_vec()
}

fn descriptor() -> TypedPayloadDescriptor {
    TypedPayloadDescriptor {
        payload_kind: PayloadKind::StructuredEvent,
        descriptor_flags: Zero::default(),
        profile_id: 3,
        payload_offset: 4,
        payload_length: 7,
        reserved: Zero::default(),
    }
}

/// Descriptors, and what they say the place of.
fn typed_regions() -> (Vec<u8>, Vec<u8>) {
    let payload = |(kind, profile_id, payload): (_, _, &'static str)| TypedPayload {
        kind,
        profile_id,
        payload: payload.into(),
    };
    let payloads = [
        (PayloadKind::TokenChunk, 1, "tok"),
        (PayloadKind::AudioChunk, 2, "au"),
        (PayloadKind::VideoChunk, 3, "video"),
        (PayloadKind::StructuredEvent, 4, "evt"),
    ];
    let payloads = TypedPayloads::new(payloads.map(payload)).unwrap_or_default();
    let descriptors = payloads.descriptors().iter().flat_map(fixed).collect();
    (descriptors, payloads.region().to_vec())
}
