//! The reference's packet builders, said with this crate's.

use std::num::NonZeroU64;

use bytes::Bytes;
use nnrp_wire::body::{ObjectReference, TensorSection, TypedPayload};
use nnrp_wire::build::{
    ResultOptions, ResultWorth, SubmitOptions, TensorInput, TensorOutput, Tiles,
};
use nnrp_wire::metadata::{FlowUpdateMetadata, ResultHintMetadata, TransportProbeAckMetadata};
use nnrp_wire::{
    BackpressureLevel, BudgetPolicy, CongestionState, DType, Envelope, FlowFlags, FlowReason,
    FrameClass, FrameSubmit, HeaderFlags, HintPolicy, HintReason, InputProfile, Layout,
    LossTolerance, Message, ObjectKind, PayloadKinds, Reserved, ResultClass, ResultFlags,
    ResultPush, ScalePolicy, SessionMigrate, SessionMigrateAck, SubmitMode, TileIndexMode,
    TransportId, TransportProbe, WireError,
};
use serde_json::Value;

use super::{bytes, list, number};

/// The message that a builder makes of these arguments; `None` for a function that builds no packet.
pub(crate) fn message(function: &str, args: &Value) -> Option<Result<Message, WireError>> {
    let metadata = &args["metadata"];
    Some(match function {
        "build_ping_packet" => Ok(Message::Ping),
        "build_pong_packet" => Ok(Message::Pong),
        "build_frame_cancel_packet" => Ok(Message::FrameCancel),
        "build_result_drop_packet" => Ok(Message::ResultDrop),
        "build_flow_update_packet" => Ok(flow_update(metadata).into()),
        "build_result_hint_packet" => Ok(result_hint(metadata).into()),
        "build_transport_probe_packet" => TransportProbe::new(
            number(&metadata["probe_id"]),
            number(&metadata["client_send_ts_us"]),
            bytes(&args["body"]),
        )
        .map(Message::from),
        "build_transport_probe_ack_packet" => Ok(probe_ack(metadata).into()),
        "build_session_migrate_packet" => session_migrate(args).map(Message::from),
        "build_session_migrate_ack_packet" => Ok(session_migrate_ack(args).into()),
        "build_frame_submit_packet"
        | "build_frame_submit_typed_payload_packet"
        | "build_frame_submit_mixed_packet" => frame_submit(function, args).map(Message::from),
        "build_result_push_packet"
        | "build_partial_result_push_packet"
        | "build_stale_reuse_result_push_packet"
        | "build_degraded_result_push_packet"
        | "build_result_push_typed_payload_packet"
        | "build_result_push_mixed_packet" => result_push(function, args).map(Message::from),
        _ => return None,
    })
}

pub(crate) fn envelope(args: &Value) -> Envelope {
    Envelope {
        flags: HeaderFlags::from_bits_retain(number(&args["flags"])),
        session_id: number(&args["session_id"]),
        frame_id: number(&args["frame_id"]),
        view_id: number(&args["view_id"]),
        route_id: number(&args["route_id"]),
        trace_id: number(&args["trace_id"]),
        ..Envelope::default()
    }
}

pub(crate) fn flow_update(metadata: &Value) -> FlowUpdateMetadata {
    let reason = FlowReason::from_number(number(&metadata["update_reason"])).unwrap();
    let operation_id = NonZeroU64::new(number(&metadata["operation_id"]));
    let update = match number::<u8>(&metadata["scope_kind"]) {
        0 => FlowUpdateMetadata::connection(reason),
        1 => FlowUpdateMetadata::session(reason),
        // What has no operation cannot be said with the constructor.
        2 => FlowUpdateMetadata {
            operation_id: operation_id.map_or(0, NonZeroU64::get),
            ..FlowUpdateMetadata::operation(NonZeroU64::MIN, reason)
        },
        scope => panic!("no scope {scope}"),
    };
    let level = BackpressureLevel::from_number(number(&metadata["backpressure_level"])).unwrap();
    FlowUpdateMetadata {
        connection_credit: number(&metadata["connection_credit"]),
        session_credit: number(&metadata["session_credit"]),
        operation_credit: number(&metadata["operation_credit"]),
        retry_after_ms: number(&metadata["retry_after_ms"]),
        credit_epoch: number(&metadata["credit_epoch"]),
        flags: FlowFlags::from_bits_retain(number(&metadata["flags"])),
        ..update.with_backpressure(level)
    }
}

fn result_hint(metadata: &Value) -> ResultHintMetadata {
    ResultHintMetadata {
        applied_budget_policy: HintPolicy::from_number(number(&metadata["applied_budget_policy"]))
            .unwrap(),
        congestion_state: CongestionState::from_number(number(&metadata["congestion_state"]))
            .unwrap(),
        reason: HintReason::from_number(number(&metadata["reason"])).unwrap(),
        retry_after_ms: number(&metadata["retry_after_ms"]),
    }
}

fn probe_ack(metadata: &Value) -> TransportProbeAckMetadata {
    let (id, at) = (&metadata["probe_id"], &metadata["server_recv_ts_us"]);
    TransportProbeAckMetadata {
        reserved: Reserved(number(&metadata["reserved"])),
        ..TransportProbeAckMetadata::new(number(id), number(at))
    }
}

fn session_migrate(args: &Value) -> Result<SessionMigrate, WireError> {
    let metadata = &args["metadata"];
    let transport = |key: &str| TransportId::from_number(number(&metadata[key])).unwrap();
    let migrate = SessionMigrate::new(
        transport("old_transport_id"),
        transport("new_transport_id"),
        number(&metadata["last_result_frame_id"]),
        number(&metadata["client_migrate_ts_us"]),
    )?;
    Ok(migrate.with_body(bytes(&args["body"])))
}

fn session_migrate_ack(args: &Value) -> SessionMigrateAck {
    let metadata = &args["metadata"];
    let mut ack = SessionMigrateAck::accepted(
        number(&metadata["resume_from_frame_id"]),
        number(&metadata["grace_window_ms"]),
        number(&metadata["server_migrate_ts_us"]),
    );
    ack.metadata.accept_code = number(&metadata["accept_code"]);
    ack.with_body(bytes(&args["body"]))
}

/// Tensors borrow their tiles.
pub(crate) struct TensorArgs<'v> {
    args: &'v Value,
    ids: Vec<u16>,
    tiles: Vec<Vec<Bytes>>,
}

impl<'v> TensorArgs<'v> {
    pub(crate) fn new(args: &'v Value) -> Self {
        let tiles = list(&args["sections"], |section| {
            list(&section["tile_payloads"], bytes)
        });
        Self {
            args,
            ids: list(&args["tile_ids"], number),
            tiles,
        }
    }

    pub(crate) fn sections(&self) -> Vec<TensorSection<'_>> {
        let sections = list(&self.args["sections"], |section| section);
        let sections = sections.into_iter().zip(&self.tiles);
        sections.map(|(args, tiles)| section(args, tiles)).collect()
    }

    pub(crate) fn tiles(&self) -> Tiles<'_> {
        let mode = &self.args["tile_index_mode"];
        let mode = mode.as_u64().unwrap_or(1);
        Tiles {
            mode: TileIndexMode::from_number(mode).unwrap(),
            base_id: number(&self.args["tile_base_id"]),
            ..Tiles::raw(&self.ids)
        }
    }
}

pub(crate) fn section<'t>(args: &Value, tiles: &'t [Bytes]) -> TensorSection<'t> {
    let codecs: Vec<u8> = list(&args["codec_ids"], number);
    let dtype = DType::from_number(number(&args["dtype_id"])).unwrap();
    TensorSection {
        layout: Layout::from_number(number(&args["layout_id"])).unwrap(),
        scale_policy: ScalePolicy::from_number(number(&args["scale_policy"])).unwrap(),
        codec_id: number(&args["default_codec_id"]),
        codecs: (!codecs.is_empty()).then_some(codecs),
        element_count_per_tile: number(&args["element_count_per_tile"]),
        stride_bytes: number(&args["payload_stride_bytes"]),
        ..TensorSection::new(number(&args["role_id"]), dtype, tiles)
    }
}

pub(crate) fn frame(args: &Value) -> Result<TypedPayload, WireError> {
    let kind = u8::try_from(args["payload_kind"].as_u64().unwrap())
        .unwrap()
        .try_into()?;
    let payload = TypedPayload::new(kind, bytes(&args["payload"]));
    Ok(payload.with_profile(number(&args["profile_id"])))
}

pub(crate) fn reference(args: &Value) -> ObjectReference {
    let kind = ObjectKind::from_number(number(&args["object_kind"])).unwrap();
    let (hi, lo): (u32, u32) = (number(&args["cache_key_hi"]), number(&args["cache_key_lo"]));
    let key = u64::from(hi) << 32 | u64::from(lo);
    ObjectReference::new(kind, number(&args["cache_namespace"]), key)
}

fn submit_options(args: &Value) -> SubmitOptions {
    let tolerance = match args["loss_tolerance_policy"].as_u64() {
        None | Some(255) => None,
        Some(tolerance) => Some(LossTolerance::from_number(tolerance).unwrap()),
    };
    SubmitOptions {
        frame_class: FrameClass::from_number(number(&args["frame_class"])).unwrap(),
        latency_budget_ms: number(&args["latency_budget_ms"]),
        target_fps_x100: number(&args["target_fps_x100"]),
        retry_of_frame: number(&args["retry_of_frame"]),
        budget_policy: BudgetPolicy::from_bits_retain(number(&args["budget_policy"])),
        dependency_frame_id: number(&args["dependency_frame_id"]),
        loss_tolerance: tolerance,
    }
}

fn frame_submit(function: &str, args: &Value) -> Result<FrameSubmit, WireError> {
    let tensor = TensorArgs::new(args);
    let sections = tensor.sections();
    let frames: Result<Vec<_>, _> = list(&args["frames"], frame).into_iter().collect();
    let frames = frames?;
    let needs_frames = function != "build_frame_submit_packet";
    let mut builder = FrameSubmit::builder().options(submit_options(args));
    if needs_frames {
        builder = builder.payloads(frames);
    }
    if function != "build_frame_submit_typed_payload_packet" {
        let camera = &args["camera_block"];
        builder = builder.tensor(TensorInput {
            src_width: number(&args["src_width"]),
            src_height: number(&args["src_height"]),
            tile_width: number(&args["tile_width"]),
            tile_height: number(&args["tile_height"]),
            input_profile: InputProfile::from_number(number(&args["input_profile"])).unwrap(),
            camera: if camera.is_null() {
                Bytes::new()
            } else {
                bytes(camera)
            },
            tiles: tensor.tiles(),
            sections: &sections,
        });
    }
    for (key, kind) in [
        // Not in the order of their slots.
        (
            "tensor_section_table_reference",
            ObjectKind::TensorSectionTable,
        ),
        ("camera_reference", ObjectKind::CameraBlock),
        ("tile_index_reference", ObjectKind::TileIndexBlock),
    ] {
        if !args[key].is_null() {
            builder = builder.reference(reference(&args[key]).expect_kind(kind)?);
        }
    }
    if !needs_frames {
        let mode = SubmitMode::from_number(number(&args["submit_mode"])).unwrap();
        builder = builder.expect_mode(mode);
    }
    builder.build()
}

fn worth(function: &str, args: &Value) -> ResultWorth {
    match function {
        "build_partial_result_push_packet" => ResultWorth::PARTIAL,
        "build_degraded_result_push_packet" => ResultWorth::DEGRADED,
        "build_stale_reuse_result_push_packet" => {
            ResultWorth::stale_reuse(number(&args["reused_frame_id"]))
        }
        _ => ResultWorth {
            class: ResultClass::from_number(number(&args["result_class"])).unwrap(),
            flags: ResultFlags::from_bits_retain(number(&args["result_flags"])),
            applied_policy: BudgetPolicy::from_bits_retain(number(&args["applied_budget_policy"])),
            reused_frame_id: number(&args["reused_frame_id"]),
        },
    }
}

fn result_push(function: &str, args: &Value) -> Result<ResultPush, WireError> {
    let tensor = TensorArgs::new(args);
    let sections = tensor.sections();
    let frames: Result<Vec<_>, _> = list(&args["frames"], frame).into_iter().collect();
    let mut worth = worth(function, args);
    // Strict readers want to know which frame is reused, and so does the builder (Q12); the reference does not.
    let is_open = worth.class == ResultClass::StaleReuse && worth.reused_frame_id == 0;
    if is_open {
        worth.reused_frame_id = 1;
    }
    let mut builder = ResultPush::builder(worth).options(ResultOptions {
        status_code: number(&args["status_code"]),
        active_profile_id: number(&args["active_profile_id"]),
        inference_ms: number(&args["inference_ms"]),
        queue_ms: number(&args["queue_ms"]),
        server_total_ms: number(&args["server_total_ms"]),
    });
    if !args["frames"].is_null() {
        builder = builder.payloads(frames?);
    }
    let declared = args["payload_kind_bitmap"].as_u64().unwrap_or(1);
    let declared = PayloadKinds::from_bits_retain(u32::try_from(declared).unwrap());
    builder = builder.declare(declared - PayloadKinds::TENSOR);
    let has_tensor = function != "build_result_push_typed_payload_packet";
    if has_tensor && declared.contains(PayloadKinds::TENSOR) {
        builder = builder.tensor(TensorOutput {
            tiles: tensor.tiles(),
            sections: &sections,
            dropped_tile_count: number(&args["dropped_tile_count"]),
        });
    }
    let mut result = builder.build()?;
    if is_open {
        result.metadata.reused_frame_id = 0;
    }
    Ok(result)
}
