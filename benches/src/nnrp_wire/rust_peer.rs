//! Packets by `nnrp-core` 1.0.0-preview.4.26, a later revision of the protocol.
//!
//! It has codecs for fixed structures, and for the table of typed payloads; what is between them is put together here,
//! in the way that costs least: straight into one reused buffer. Nothing checks a tensor's table of tile lengths.

use std::hint::black_box;

use nnrp_core::{
    BODY_REGION_PRELUDE_LEN, BackpressureLevel, BodyRegionPrelude, BudgetPolicy, COMMON_HEADER_LEN,
    CommonHeader, FLOW_UPDATE_FLAG_CREDIT_VALID, FRAME_SUBMIT_METADATA_LEN, FlowScopeKind,
    FlowUpdateMetadata, FlowUpdateReason, FrameSubmitMetadata, InputProfile, LossTolerancePolicy,
    MessageType, NnrpError, PayloadKind, PayloadKindBitmap, ResultClass, ResultHintBudgetPolicy,
    ResultHintCongestionState, ResultHintMetadata, ResultHintReason, ResultPushMetadata,
    SubmitMode, TENSOR_SECTION_DESCRIPTOR_LEN, TYPED_PAYLOAD_DESCRIPTOR_LEN,
    TensorSectionDescriptor, TileIndexMode, TransportProbeAckMetadata, TypedPayloadDescriptor,
    TypedPayloadRegion,
};

use super::inputs::{Content, FRAME_ID, SESSION_ID};
use super::{CORE, CORE_BORROWED, Operation, case};

/// What is to be measured.
///
/// # Errors
/// A packet cannot be written or read.
pub fn operations(contents: &[Content]) -> anyhow::Result<Vec<Operation>> {
    let mut operations = Vec::new();
    header(&mut operations)?;
    structures(&mut operations, &contents[0])?;
    ping(&mut operations)?;
    control(&mut operations)?;
    for content in contents {
        tensor(&mut operations, content)?;
        typed(&mut operations, content)?;
    }
    Ok(operations)
}

fn add<T>(
    operations: &mut Vec<Operation>,
    kind: &str,
    names: &[&str],
    subject: &'static str,
    once: impl FnMut() -> T + Clone + 'static,
) {
    for name in names {
        operations.push(Operation::new(case(kind, name), subject, once.clone()));
    }
}

fn packet_header(message_type: MessageType, meta_len: usize, body_len: usize) -> CommonHeader {
    CommonHeader {
        session_id: SESSION_ID,
        ..CommonHeader::new(message_type, length(meta_len), length(body_len))
    }
}

fn header(operations: &mut Vec<Operation>) -> anyhow::Result<()> {
    let header = packet_header(MessageType::Ping, 0, 0);
    let bytes = header.to_bytes()?;
    add(operations, "header", &["encode"], CORE, move || {
        black_box(&header).to_bytes()
    });
    add(operations, "header", &["decode"], CORE, move || {
        CommonHeader::parse(black_box(&bytes))
    });
    Ok(())
}

fn ping(operations: &mut Vec<Operation>) -> anyhow::Result<()> {
    let mut out = Vec::new();
    let mut encode = move || -> Result<Vec<u8>, NnrpError> {
        out.clear();
        out.resize(COMMON_HEADER_LEN, 0);
        packet_header(MessageType::Ping, 0, 0).write(&mut out)?;
        Ok(std::mem::take(&mut out))
    };
    let packet = encode()?;
    let mut out = packet.clone();
    add(operations, "PING", &["encode"], CORE, move || {
        out.clear();
        out.resize(COMMON_HEADER_LEN, 0);
        let encoded = packet_header(MessageType::Ping, 0, 0).write(&mut out);
        black_box(&out);
        encoded.is_ok()
    });
    add(operations, "PING", &["decode"], CORE, move || {
        CommonHeader::parse_packet(black_box(&packet)).map(|(header, _, _)| header)
    });
    Ok(())
}

/// Encodes and decodes a control message by its structure's functions.
macro_rules! control_message {
    ($operations:expr, $kind:literal, $message_type:expr, $type:ty, $metadata:expr) => {{
        let metadata: $type = $metadata;
        let bytes = metadata.to_bytes()?;
        let header = packet_header($message_type, bytes.len(), 0);
        let packet = [&header.to_bytes()?[..], &bytes].concat();
        let mut out = Vec::new();
        add($operations, $kind, &["encode"], CORE, move || {
            out.clear();
            out.resize(COMMON_HEADER_LEN + bytes.len(), 0);
            let (head, tail) = out.split_at_mut(COMMON_HEADER_LEN);
            let encoded =
                black_box(&header).write(head).is_ok() && black_box(&metadata).write(tail).is_ok();
            black_box(&out);
            encoded
        });
        add($operations, $kind, &["decode"], CORE, move || {
            let (header, metadata, _) = CommonHeader::parse_packet(black_box(&packet))?;
            <$type>::parse(metadata).map(|metadata| (header, metadata))
        });
    }};
}

const FLOW: FlowUpdateMetadata = FlowUpdateMetadata {
    scope_kind: FlowScopeKind::Session,
    update_reason: FlowUpdateReason::Grant,
    backpressure_level: BackpressureLevel::None,
    connection_credit: 0,
    session_credit: 8,
    operation_credit: 0,
    operation_id: 0,
    retry_after_ms: 0,
    credit_epoch: 3,
    flow_flags: FLOW_UPDATE_FLAG_CREDIT_VALID,
};

const HINT: ResultHintMetadata = ResultHintMetadata {
    applied_budget_policy: ResultHintBudgetPolicy::None,
    congestion_state: ResultHintCongestionState::None,
    reason: ResultHintReason::None,
    retry_after_ms: 0,
};

/// Encodes and decodes a structure by itself.
macro_rules! structure {
    ($operations:expr, $kind:literal, $type:ty, $value:expr) => {{
        let value: $type = $value;
        let bytes = value.to_bytes()?;
        add($operations, $kind, &["encode"], CORE, move || {
            black_box(&value).to_bytes()
        });
        add($operations, $kind, &["decode"], CORE, move || {
            <$type>::parse(black_box(&bytes))
        });
    }};
}

fn structures(operations: &mut Vec<Operation>, content: &Content) -> anyhow::Result<()> {
    structure!(operations, "FlowUpdateMetadata", FlowUpdateMetadata, FLOW);
    structure!(operations, "ResultHintMetadata", ResultHintMetadata, HINT);
    structure!(
        operations,
        "FrameSubmitMetadata",
        FrameSubmitMetadata,
        submit_metadata(content)
    );
    structure!(
        operations,
        "ResultPushMetadata",
        ResultPushMetadata,
        result_metadata(content)
    );
    structure!(
        operations,
        "SectionDescriptor",
        TensorSectionDescriptor,
        section(content)
    );
    structure!(
        operations,
        "BodyPrelude",
        BodyRegionPrelude,
        prelude(content)
    );
    structure!(
        operations,
        "TypedPayloadDescriptor",
        TypedPayloadDescriptor,
        descriptor(content)
    );
    Ok(())
}

fn result_metadata(content: &Content) -> ResultPushMetadata {
    let tiles = u16::try_from(content.tiles.len()).unwrap_or(u16::MAX);
    ResultPushMetadata {
        status_code: 0,
        result_flags: 0,
        section_count: 1,
        tile_count: tiles,
        active_profile_id: 0,
        inference_ms: 0,
        queue_ms: 0,
        server_total_ms: 0,
        tile_base_id: 0,
        tile_index_bytes: u32::from(tiles) * 2,
        result_class: ResultClass::Complete,
        applied_budget_policy: 0,
        reused_frame_id: 0,
        covered_tile_count: tiles,
        dropped_tile_count: 0,
        payload_kind_bitmap: PayloadKindBitmap(PayloadKindBitmap::TENSOR),
        payload_frame_count: 0,
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn section(content: &Content) -> TensorSectionDescriptor {
    TensorSectionDescriptor {
        role_id: 1,
        codec_id: 0,
        dtype_id: 3,
        layout_id: 0,
        scale_policy: 0,
        section_flags: 0,
        element_count_per_tile: 0,
        codec_table_bytes: 0,
        length_table_bytes: length(content.tiles.len() * 4),
        payload_bytes: length(content.payload.len()),
        payload_stride_bytes: 0,
    }
}

fn prelude(content: &Content) -> BodyRegionPrelude {
    BodyRegionPrelude {
        inline_object_bytes: 0,
        object_reference_bytes: 0,
        typed_payload_descriptor_bytes: length(TYPED_PAYLOAD_DESCRIPTOR_LEN),
        typed_payload_frame_bytes: length(content.payload.len()),
        extension_descriptor_bytes: 0,
        extension_payload_bytes: 0,
    }
}

fn descriptor(content: &Content) -> TypedPayloadDescriptor {
    TypedPayloadDescriptor {
        profile_id: 0,
        payload_kind: PayloadKind::OpaqueBytes,
        descriptor_flags: 0,
        schema_id: 0,
        schema_version: 0,
        stream_semantics: 0,
        offset: 0,
        length: length(content.payload.len()),
    }
}

fn control(operations: &mut Vec<Operation>) -> anyhow::Result<()> {
    let probe_ack = TransportProbeAckMetadata {
        probe_id: 5,
        server_recv_ts_us: 1_000_000,
    };
    control_message!(
        operations,
        "FLOW_UPDATE",
        MessageType::FlowUpdate,
        FlowUpdateMetadata,
        FLOW
    );
    control_message!(
        operations,
        "RESULT_HINT",
        MessageType::ResultHint,
        ResultHintMetadata,
        HINT
    );
    control_message!(
        operations,
        "TRANSPORT_PROBE_ACK",
        MessageType::TransportProbeAck,
        TransportProbeAckMetadata,
        probe_ack
    );
    Ok(())
}

/// Of a tensor, unless changed.
fn submit_metadata(content: &Content) -> FrameSubmitMetadata {
    let tiles = u16::try_from(content.tiles.len()).unwrap_or(u16::MAX);
    FrameSubmitMetadata {
        src_width: 64,
        src_height: 64,
        tile_width: 8,
        tile_height: 8,
        tile_count: tiles,
        section_count: 1,
        frame_class: 0,
        input_profile: InputProfile::Unspecified,
        tile_index_mode: TileIndexMode::RawU16,
        latency_budget_ms: 0,
        target_fps_x100: 0,
        retry_of_frame: 0,
        tile_base_id: 0,
        camera_bytes: 0,
        tile_index_bytes: u32::from(tiles) * 2,
        operation_id: u64::from(FRAME_ID),
        submit_mode: SubmitMode::Inline,
        budget_policy: BudgetPolicy(0),
        loss_tolerance_policy: LossTolerancePolicy::InheritSession,
        object_ref_mask: 0,
        dependency_frame_id: 0,
        payload_kind_bitmap: PayloadKindBitmap(PayloadKindBitmap::TENSOR),
        payload_frame_count: 0,
    }
}

const METADATA_END: usize = COMMON_HEADER_LEN + FRAME_SUBMIT_METADATA_LEN;

fn tensor(operations: &mut Vec<Operation>, content: &Content) -> anyhow::Result<()> {
    let kind = content.kind("tensor");
    let mut packet = Vec::new();
    encode_tensor(content, &mut packet)?;
    let (content, mut out) = (content.clone(), Vec::new());
    let names = ["build and encode", "encode"];
    add(operations, &kind, &names, CORE, move || {
        let encoded = encode_tensor(black_box(&content), &mut out);
        black_box(&out);
        encoded.is_ok()
    });
    let borrowed = packet.clone();
    add(operations, &kind, &["decode"], CORE, move || {
        let (header, metadata, section, [index, lengths, payload]) =
            decode_tensor(black_box(&packet))?;
        Ok::<_, NnrpError>((
            header,
            metadata,
            section,
            index.to_vec(),
            lengths.to_vec(),
            payload.to_vec(),
        ))
    });
    add(operations, &kind, &["decode"], CORE_BORROWED, move || {
        decode_tensor(black_box(&borrowed)).is_ok()
    });
    Ok(())
}

fn encode_tensor(content: &Content, out: &mut Vec<u8>) -> Result<(), NnrpError> {
    let metadata = submit_metadata(content);
    let index_bytes = metadata.tile_index_bytes as usize;
    let section_at = METADATA_END + index_bytes.next_multiple_of(8);
    let lengths_at = section_at + TENSOR_SECTION_DESCRIPTOR_LEN;
    let payload_at = lengths_at + content.tiles.len() * 4;
    let body_len = payload_at + content.payload.len() - METADATA_END;
    out.clear();
    out.reserve(METADATA_END + body_len);
    out.resize(payload_at, 0);
    let header = packet_header(
        MessageType::FrameSubmit,
        FRAME_SUBMIT_METADATA_LEN,
        body_len,
    );
    header.write(out)?;
    metadata.write(&mut out[COMMON_HEADER_LEN..])?;
    for (id, place) in content
        .ids
        .iter()
        .zip(out[METADATA_END..].chunks_exact_mut(2))
    {
        place.copy_from_slice(&id.to_le_bytes());
    }
    section(content).write(&mut out[section_at..])?;
    let lengths = out[lengths_at..].chunks_exact_mut(4);
    for (tile, place) in content.tiles.iter().zip(lengths) {
        place.copy_from_slice(&length(tile.len()).to_le_bytes());
    }
    content
        .tiles
        .iter()
        .for_each(|tile| out.extend_from_slice(tile));
    Ok(())
}

type Tensor<'p> = (
    CommonHeader,
    FrameSubmitMetadata,
    TensorSectionDescriptor,
    [&'p [u8]; 3],
);

fn decode_tensor(packet: &[u8]) -> Result<Tensor<'_>, NnrpError> {
    let (header, metadata, body) = CommonHeader::parse_packet(packet)?;
    let metadata = FrameSubmitMetadata::parse(metadata)?;
    let too_short = NnrpError::SourceTooShort {
        expected: 0,
        actual: body.len(),
    };
    let index_bytes = metadata.tile_index_bytes as usize;
    let part = |start: usize, bytes: usize| body.get(start..start + bytes);
    let section_at = index_bytes.next_multiple_of(8);
    let section = TensorSectionDescriptor::parse(body.get(section_at..).unwrap_or_default())?;
    let lengths_at = section_at + TENSOR_SECTION_DESCRIPTOR_LEN;
    let length_bytes = section.length_table_bytes as usize;
    let (Some(index), Some(lengths), Some(payload)) = (
        part(0, index_bytes),
        part(lengths_at, length_bytes),
        part(lengths_at + length_bytes, section.payload_bytes as usize),
    ) else {
        return Err(too_short);
    };
    Ok((header, metadata, section, [index, lengths, payload]))
}

fn typed(operations: &mut Vec<Operation>, content: &Content) -> anyhow::Result<()> {
    let kind = content.kind("typed");
    let mut packet = Vec::new();
    encode_typed(content, &mut packet)?;
    let (content, mut out) = (content.clone(), Vec::new());
    let names = ["build and encode", "encode"];
    add(operations, &kind, &names, CORE, move || {
        let encoded = encode_typed(black_box(&content), &mut out);
        black_box(&out);
        encoded.is_ok()
    });
    let borrowed = packet.clone();
    add(operations, &kind, &["decode"], CORE, move || {
        let (header, metadata, region) = decode_typed(black_box(&packet))?;
        let payload = region.payload_region().to_vec();
        Ok::<_, NnrpError>((header, metadata, region.descriptors().len(), payload))
    });
    add(operations, &kind, &["decode"], CORE_BORROWED, move || {
        decode_typed(black_box(&borrowed)).is_ok()
    });
    Ok(())
}

fn encode_typed(content: &Content, out: &mut Vec<u8>) -> Result<(), NnrpError> {
    let payload_at = METADATA_END + BODY_REGION_PRELUDE_LEN + TYPED_PAYLOAD_DESCRIPTOR_LEN;
    let metadata = FrameSubmitMetadata {
        src_width: 0,
        src_height: 0,
        tile_width: 0,
        tile_height: 0,
        tile_count: 0,
        section_count: 0,
        tile_index_bytes: 0,
        payload_kind_bitmap: PayloadKindBitmap(PayloadKind::OpaqueBytes.bit()),
        payload_frame_count: 1,
        ..submit_metadata(content)
    };
    let body_len = payload_at + content.payload.len() - METADATA_END;
    out.clear();
    out.reserve(METADATA_END + body_len);
    out.resize(payload_at, 0);
    packet_header(
        MessageType::FrameSubmit,
        FRAME_SUBMIT_METADATA_LEN,
        body_len,
    )
    .write(out)?;
    metadata.write(&mut out[COMMON_HEADER_LEN..])?;
    prelude(content).write(&mut out[METADATA_END..])?;
    descriptor(content).write(&mut out[METADATA_END + BODY_REGION_PRELUDE_LEN..])?;
    out.extend_from_slice(&content.payload);
    Ok(())
}

fn decode_typed(
    packet: &[u8],
) -> Result<(CommonHeader, FrameSubmitMetadata, TypedPayloadRegion<'_>), NnrpError> {
    let (header, metadata, body) = CommonHeader::parse_packet(packet)?;
    let metadata = FrameSubmitMetadata::parse(metadata)?;
    let prelude = BodyRegionPrelude::parse(body)?;
    let regions = &body[BODY_REGION_PRELUDE_LEN..];
    let table = prelude.typed_payload_descriptor_bytes as usize;
    let (table, payloads) = regions.split_at(table.min(regions.len()));
    let region = TypedPayloadRegion::parse(
        metadata.payload_kind_bitmap,
        metadata.payload_frame_count,
        table,
        payloads,
    )?;
    Ok((header, metadata, region))
}
