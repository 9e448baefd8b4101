//! What builders refuse, and what follows by itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use bytes::Bytes;
use nnrp_wire::body::{
    ComposedBody, ExtensionFrame, InlineObject, ObjectReference, TensorSection, TypedPayload,
    TypedPayloads,
};
use nnrp_wire::build::{ResultWorth, TensorInput, TensorOutput, Tiles};
use nnrp_wire::metadata::FlowUpdateMetadata;
use nnrp_wire::{
    Category, ControlExtension, ControlExtensionFlags, DType, DecodeOptions, Envelope, ErrorReport,
    ErrorScope, FlowFlags, FlowReason, FrameSubmit, Message, ObjectKind, PatchMask,
    PatchRejectReason, PayloadKinds, ResultBody, ResultPush, Rules, SessionPatch, SessionPatchAck,
    SubmitBody, SubmitMode, WireError,
};

fn category<T: std::fmt::Debug>(built: Result<T, WireError>) -> Category {
    let error = built.unwrap_err();
    assert_eq!(error.offset, None, "{error}");
    error.category
}

fn reference(kind: ObjectKind) -> ObjectReference {
    ObjectReference::new(kind, 1, 2)
}

fn survives(message: impl Into<Message>) {
    let (message, mut out) = (message.into(), Vec::new());
    message.encode(&Envelope::frame(7, 1), &mut out).unwrap();
    let (_, decoded) = Message::decode_bytes(out.into(), &DecodeOptions::STRICT).unwrap();
    assert_eq!(decoded, message);
}

fn with_tensor<T>(test: impl FnOnce(TensorInput<'_>) -> T) -> T {
    let tiles = [Bytes::from("aa"), Bytes::from("b")];
    let sections = [TensorSection::new(1, DType::UInt8, &tiles)];
    test(TensorInput {
        camera: "camera".into(),
        tiles: Tiles::bitset(&[3, 9]),
        sections: &sections,
        ..TensorInput::default()
    })
}

#[test]
fn mode_and_mask_follow_from_the_references() {
    let slots = ObjectKind::SLOTS;
    for bits in 0..16_u32 {
        let referenced = slots.iter().filter(|kind| kind.slot().unwrap() & bits != 0);
        let submit = with_tensor(|input| {
            let builder = FrameSubmit::builder().tensor(input);
            let builder =
                referenced.fold(builder, |builder, kind| builder.reference(reference(*kind)));
            builder.build().unwrap()
        });
        let mode = match bits {
            0 => SubmitMode::Inline,
            // Of a tensor, nothing is left.
            0b0111 | 0b1111 => SubmitMode::Reference,
            _ => SubmitMode::Mixed,
        };
        assert_eq!(submit.metadata.submit_mode, mode, "{bits:b}");
        assert_eq!(submit.metadata.object_ref_mask, bits);
        assert_eq!(
            (submit.metadata.tile_count, submit.metadata.section_count),
            (2, 1)
        );
        survives(submit);
    }
}

/// The fourth slot suits typed payloads too, by reference and inline.
#[test]
fn templates_come_with_payloads() {
    let template = ObjectKind::PayloadLayoutTemplate;
    let builder = FrameSubmit::builder().payload(TypedPayload::audio_chunk("la"));
    let referenced = builder
        .clone()
        .reference(reference(template))
        .build()
        .unwrap();
    assert_eq!(referenced.metadata.submit_mode, SubmitMode::Reference);
    assert_eq!(referenced.metadata.object_ref_mask, 0b1000);
    let inline = builder.object(InlineObject::new(template, "{}".into()));
    let both = inline.clone().reference(reference(template)).build();
    assert_eq!(category(both), Category::ObjectInlineAndReferenced);
    survives(inline.build().unwrap());
    survives(referenced);
}

#[test]
fn references_that_cannot_be() {
    let builder = || FrameSubmit::builder().payload(TypedPayload::tool_delta("{}"));
    let without_slot = builder().reference(reference(ObjectKind::PromptSegment));
    assert_eq!(category(without_slot.build()), Category::WrongKind);
    let without_tensor = builder().reference(reference(ObjectKind::CameraBlock));
    let without_tensor = without_tensor.build();
    assert_eq!(
        category(without_tensor),
        Category::TensorContentWithoutTensor
    );
    let twice = [1, 2].map(|key| ObjectReference::new(ObjectKind::CameraBlock, 0, key));
    let twice = twice
        .into_iter()
        .fold(FrameSubmit::builder(), |builder, reference| {
            builder.reference(reference)
        });
    assert_eq!(category(twice.build()), Category::DuplicateObject);
    let result = ResultPush::builder(ResultWorth::COMPLETE).payload(TypedPayload::tool_delta("{}"));
    let twice = (0..2).fold(result, |builder, _| {
        builder.reference(reference(ObjectKind::ToolSchema))
    });
    assert_eq!(category(twice.build()), Category::DuplicateObject);
}

#[test]
fn objects_of_a_tensor_come_from_the_tensor() {
    let camera = InlineObject::camera("x".into());
    let submit = FrameSubmit::builder()
        .payload(TypedPayload::token_chunk("hi"))
        .object(camera);
    assert_eq!(category(submit.build()), Category::WrongKind);
}

/// No reader takes a submit of nothing (Q14).
#[test]
fn submits_of_nothing() {
    assert_eq!(category(FrameSubmit::builder().build()), Category::NoFrames);
    let declared = FrameSubmit::builder().declare(PayloadKinds::TOKEN_CHUNK);
    assert_eq!(category(declared.build()), Category::NoFrames);
    let objects =
        FrameSubmit::builder().object(InlineObject::new(ObjectKind::PromptSegment, "x".into()));
    assert_eq!(category(objects.build()), Category::NoFrames);
    let tensor_of_nothing = FrameSubmit::builder().tensor(TensorInput::default());
    survives(tensor_of_nothing.clone().build().unwrap());
    let beside_payloads = tensor_of_nothing.payload(TypedPayload::token_chunk("hi"));
    assert_eq!(category(beside_payloads.build()), Category::NoTensorContent);
}

/// Readers take a result that declares a tensor alone for a flat one (Q15); another kind makes it readable.
#[test]
fn results_of_a_tensor_and_objects() {
    let builder = ResultPush::builder(ResultWorth::COMPLETE).tensor(TensorOutput::default());
    let with_reference = builder
        .clone()
        .reference(reference(ObjectKind::ReusableResultObject));
    assert_eq!(category(with_reference.clone().build()), Category::NoFrames);
    let declared = with_reference
        .declare(PayloadKinds::TOKEN_CHUNK)
        .build()
        .unwrap();
    assert!(matches!(declared.body, ResultBody::Composed(_)));
    survives(declared);
    let frame = builder.extension(ExtensionFrame::new(1, "x"));
    assert_eq!(category(frame.build()), Category::NoFrames);
}

#[test]
fn results_of_nothing_are_results() {
    for worth in [
        ResultWorth::COMPLETE,
        ResultWorth::PARTIAL,
        ResultWorth::DEGRADED,
    ] {
        let result = ResultPush::builder(worth).build().unwrap();
        assert_eq!(result.body, ResultBody::Empty);
        survives(result);
    }
}

#[test]
fn reused_results_say_whose_they_are() {
    let result = ResultPush::builder(ResultWorth::stale_reuse(0)).build();
    assert_eq!(category(result), Category::RequiredValueMissing);
    survives(
        ResultPush::builder(ResultWorth::stale_reuse(3))
            .build()
            .unwrap(),
    );
}

#[test]
fn dropped_tiles_are_not_covered() {
    let tiles = [Bytes::from("aa"), Bytes::new()];
    let sections = [TensorSection::new(1, DType::UInt8, &tiles)];
    let output = TensorOutput {
        tiles: Tiles::raw(&[3, 9]),
        sections: &sections,
        dropped_tile_count: 1,
    };
    let partial = ResultPush::builder(ResultWorth::PARTIAL).tensor(output);
    let partial = partial.build().unwrap();
    assert_eq!(partial.metadata.covered_tile_count, 1);
    survives(partial);
}

#[test]
fn bodies_by_hand_follow_the_contract() {
    let submit = with_tensor(|input| {
        let builder = FrameSubmit::builder().tensor(input);
        builder
            .payload(TypedPayload::token_chunk("hi"))
            .build()
            .unwrap()
    });
    let SubmitBody::Composed(composed) = &submit.body else {
        panic!("a mixed submit is composed");
    };
    let (metadata, body) = (submit.metadata, composed.body().clone());
    let again = SubmitBody::composed(&metadata, body.clone(), &Rules::STRICT).unwrap();
    assert_eq!(again, submit.body);
    let without_objects = ComposedBody {
        inline_objects: Vec::new(),
        ..body
    };
    let refused = metadata.check_body(&without_objects, &Rules::STRICT);
    assert_eq!(category(refused), Category::RequiredObjectMissing);
}

/// What the metadata says is checked again when a message is written.
#[test]
fn metadata_that_was_changed_is_refused() {
    let submit = with_tensor(|input| FrameSubmit::builder().tensor(input).build().unwrap());
    let encode = |change: fn(&mut FrameSubmit)| {
        let mut submit = submit.clone();
        change(&mut submit);
        let mut out = Vec::new();
        let written = Message::from(submit).encode(&Envelope::frame(7, 1), &mut out);
        assert!(out.is_empty());
        category(written)
    };
    let mismatch = Category::DeclaredLengthMismatch;
    assert_eq!(encode(|submit| submit.metadata.tile_count = 3), mismatch);
    assert_eq!(encode(|submit| submit.metadata.camera_bytes = 3), mismatch);
    assert_eq!(
        encode(|submit| submit.metadata.payload_frame_count = 1),
        Category::WrongKind
    );
    let unknown: fn(&mut FrameSubmit) =
        |submit| submit.metadata.payload_kind_bitmap = PayloadKinds::from_bits_retain(0x81);
    assert_eq!(encode(unknown), Category::UnknownFlagBits);
}

#[test]
fn known_extensions_are_checked_when_a_hello_is_written() {
    let extension = ControlExtension {
        ext_type: 0x0103,
        flags: ControlExtensionFlags::empty(),
        payload: "short".into(),
    };
    let hello = nnrp_wire::ClientHello::new(nnrp_wire::metadata::ClientHelloMetadata::default());
    let written = Message::from(hello.with_extension(extension))
        .encode(&Envelope::default(), &mut Vec::new());
    assert_eq!(category(written), Category::FixedLengthMismatch);
}

#[test]
fn credit_stands_in_the_field_of_its_scope() {
    let update = FlowUpdateMetadata::session(FlowReason::Grant)
        .with_credit(5, 2)
        .with_retry_after_ms(10);
    assert_eq!(
        (
            update.session_credit,
            update.connection_credit,
            update.credit_epoch
        ),
        (5, 0, 2)
    );
    assert_eq!(
        update.flags,
        FlowFlags::CREDIT_VALID | FlowFlags::RETRY_AFTER_VALID
    );
    survives(update);
    let connection = Message::from(FlowUpdateMetadata::connection(FlowReason::Pause));
    let of_session = connection.encode(&Envelope::session(7), &mut Vec::new());
    assert_eq!(category(of_session), Category::SessionIdScopeConflict);
}

#[test]
fn answers_to_patches_have_what_holds() {
    let patch = SessionPatch::new(3)
        .with_quality_tier(2)
        .with_active_lane_mask(5);
    let ack = SessionPatchAck::accepted(&patch).metadata;
    assert_eq!(
        (ack.effective_quality_tier, ack.effective_lane_mask),
        (2, 5)
    );
    let reason = PatchRejectReason::InvalidLaneMask;
    let ack = SessionPatchAck::partly(&patch, PatchMask::ACTIVE_LANE_MASK, reason).metadata;
    assert_eq!(
        (ack.effective_quality_tier, ack.effective_lane_mask),
        (2, 0)
    );
    assert_eq!(
        (ack.applied_patch_mask, ack.rejected_patch_mask),
        (PatchMask::QUALITY_TIER, PatchMask::ACTIVE_LANE_MASK)
    );
    let ack = SessionPatchAck::rejected(&patch, reason).metadata;
    assert_eq!(
        (ack.applied_patch_mask, ack.effective_quality_tier),
        (PatchMask::empty(), 0)
    );
}

#[test]
fn refusals_become_error_messages_where_the_peer_is_at_fault() {
    let refused = Message::decode_bytes("x".into(), &DecodeOptions::STRICT).unwrap_err();
    let report = ErrorReport::about(&refused, ErrorScope::Connection)
        .unwrap()
        .fatal();
    assert_eq!(
        report.metadata.known_code(),
        Some(nnrp_wire::ErrorCode::MalformedHeader)
    );
    survives(report);
    let local = FrameSubmit::builder().build().unwrap_err();
    assert_eq!(ErrorReport::about(&local, ErrorScope::Frame), None);
}

/// One payload is a region by itself, several are a list: an empty one in front moves none of them.
#[test]
fn payloads_come_back_as_they_were_packed() {
    for texts in [
        vec![""],
        vec!["a"],
        vec!["", "a"],
        vec!["", "", "a", "", "bc"],
    ] {
        let payloads: Vec<_> = texts
            .iter()
            .copied()
            .map(TypedPayload::token_chunk)
            .collect();
        let packed = TypedPayloads::new(payloads.clone()).unwrap();
        assert_eq!(packed.iter().collect::<Vec<_>>(), payloads);
        assert_eq!(packed.region(), texts.concat());
    }
}
