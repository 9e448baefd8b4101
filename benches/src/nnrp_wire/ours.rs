//! Packets by `nnrp-wire`.

use std::hint::black_box;

use bytes::Bytes;
use nnrp_wire::body::{
    BodyPrelude, SectionDescriptor, TensorSection, TypedPayload, TypedPayloadDescriptor,
};
use nnrp_wire::build::{ResultWorth, TensorInput, TensorOutput, Tiles};
use nnrp_wire::metadata::{
    FlowUpdateMetadata, FrameSubmitMetadata, ResultHintMetadata, ResultPushMetadata,
    TransportProbeAckMetadata,
};
use nnrp_wire::{
    CongestionState, DType, DecodeOptions, Envelope, FlowReason, FrameSubmit, Header, HintPolicy,
    HintReason, Message, MessageType, Pieces, ResultBody, ResultPush, SubmitBody, WireError,
};

use super::inputs::{Content, FRAME_ID, SESSION_ID};
use super::{MEMCPY, OURS, Operation, case};

/// Encodes and decodes a structure; `?` if its fields can be wrong together.
macro_rules! structure {
    ($all:expr, $type:ident, $value:expr $(, $question:tt)?) => {{
        let value: $type = $value;
        let bytes = value.encode()$($question)?;
        $all.add(stringify!($type), "encode", move || black_box(&value).encode());
        $all.add(stringify!($type), "decode", move || <$type>::decode(black_box(&bytes)));
    }};
}

/// The operations, and the packet of each kind.
#[derive(Debug, Default)]
pub struct Ours {
    /// What is to be measured.
    pub operations: Vec<Operation>,
    /// Kind and bytes.
    pub packets: Vec<(String, Vec<u8>)>,
}

impl Ours {
    /// All kinds of packets.
    ///
    /// # Errors
    /// A packet cannot be written or read.
    pub fn new(contents: &[Content]) -> Result<Self, WireError> {
        let mut all = Self::default();
        all.header();
        all.structures(&contents[0])?;
        for (kind, message) in control_messages() {
            all.message(kind, &message, Envelope::session(SESSION_ID))?;
        }
        for content in contents {
            let (submit, result, typed) = (content.clone(), content.clone(), content.clone());
            all.built("tensor", content, move || tensor_submit(&submit))?;
            all.built("tensor result", content, move || tensor_result(&result))?;
            all.built("typed", content, move || typed_submit(&typed))?;
        }
        Ok(all)
    }

    fn add<T>(&mut self, kind: &str, operation: &str, once: impl FnMut() -> T + 'static) {
        let case = case(kind, operation);
        self.operations.push(Operation::new(case, OURS, once));
    }

    fn header(&mut self) {
        let header = Header {
            session_id: SESSION_ID,
            ..Header::new(MessageType::Ping)
        };
        let bytes = header.encode();
        self.add("header", "encode", move || black_box(&header).encode());
        self.add("header", "decode", move || {
            Header::decode(black_box(&bytes))
        });
    }

    /// Of a tensor and a typed payload, each by itself.
    fn structures(&mut self, content: &Content) -> Result<(), WireError> {
        for message in control_messages().into_iter().map(|(_, message)| message) {
            if let Message::FlowUpdate(metadata) = message {
                structure!(self, FlowUpdateMetadata, metadata, ?);
            } else if let Message::ResultHint(metadata) = message {
                structure!(self, ResultHintMetadata, metadata);
            }
        }
        if let Message::FrameSubmit(submit) = tensor_submit(content)? {
            structure!(self, FrameSubmitMetadata, submit.metadata, ?);
        }
        if let Message::ResultPush(result) = tensor_result(content)? {
            structure!(self, ResultPushMetadata, result.metadata, ?);
            if let ResultBody::Flat(flat) = result.body {
                structure!(self, SectionDescriptor, *flat.sections[0].descriptor());
            }
        }
        if let Message::FrameSubmit(submit) = typed_submit(content)?
            && let SubmitBody::Composed(composed) = submit.body
        {
            let body = composed.body();
            structure!(self, BodyPrelude, body.prelude()?);
            structure!(self, TypedPayloadDescriptor, body.typed.descriptors()[0]);
        }
        Ok(())
    }

    fn built(
        &mut self,
        kind: &str,
        content: &Content,
        build: impl Fn() -> Result<Message, WireError> + 'static,
    ) -> Result<(), WireError> {
        let kind = content.kind(kind);
        let envelope = Envelope::frame(SESSION_ID, FRAME_ID);
        self.message(&kind, &build()?, envelope)?;
        let mut out = Vec::new();
        self.add(&kind, "build and encode", move || {
            out.clear();
            let encoded = build().and_then(|message| message.encode(&envelope, &mut out));
            black_box(&out);
            encoded.is_ok()
        });
        for operation in ["build and encode", "encode"] {
            let (payload, mut out) = (content.payload.clone(), Vec::new());
            let case = case(&kind, operation);
            self.operations.push(Operation::new(case, MEMCPY, move || {
                out.clear();
                out.extend_from_slice(black_box(&payload));
                black_box(&out).len()
            }));
        }
        Ok(())
    }

    fn message(
        &mut self,
        kind: &str,
        message: &Message,
        envelope: Envelope,
    ) -> Result<(), WireError> {
        let mut packet = Vec::new();
        message.encode(&envelope, &mut packet)?;
        let bytes = Bytes::copy_from_slice(&packet);
        Message::decode_bytes(bytes.clone(), &DecodeOptions::STRICT)?;
        self.packets.push((kind.to_owned(), packet));
        let (to_encode, mut out) = (message.clone(), Vec::new());
        self.add(kind, "encode", move || {
            out.clear();
            let encoded = black_box(&to_encode).encode(&envelope, &mut out);
            black_box(&out);
            encoded.is_ok()
        });
        let (to_encode, mut pieces) = (message.clone(), Pieces::default());
        self.add(kind, "encode pieces", move || {
            let encoded = black_box(&to_encode).encode_pieces(&envelope, &mut pieces);
            black_box(&pieces);
            encoded.is_ok()
        });
        self.add(kind, "decode", move || {
            Message::from_bytes(black_box(&bytes), &DecodeOptions::STRICT)
        });
        Ok(())
    }
}

fn control_messages() -> [(&'static str, Message); 4] {
    let flow = FlowUpdateMetadata::session(FlowReason::Grant).with_credit(8, 3);
    let hint = ResultHintMetadata {
        applied_budget_policy: HintPolicy::None,
        congestion_state: CongestionState::None,
        reason: HintReason::None,
        retry_after_ms: 0,
    };
    [
        ("PING", Message::Ping),
        ("FLOW_UPDATE", flow.into()),
        ("RESULT_HINT", hint.into()),
        (
            "TRANSPORT_PROBE_ACK",
            TransportProbeAckMetadata::new(5, 1_000_000).into(),
        ),
    ]
}

fn tensor_submit(content: &Content) -> Result<Message, WireError> {
    let sections = [TensorSection::new(1, DType::UInt8, &content.tiles)];
    let tensor = TensorInput {
        src_width: 64,
        src_height: 64,
        tile_width: 8,
        tile_height: 8,
        tiles: Tiles::raw(&content.ids),
        sections: &sections,
        ..TensorInput::default()
    };
    FrameSubmit::builder()
        .tensor(tensor)
        .build()
        .map(Message::from)
}

fn tensor_result(content: &Content) -> Result<Message, WireError> {
    let sections = [TensorSection::new(1, DType::UInt8, &content.tiles)];
    let tensor = TensorOutput {
        tiles: Tiles::raw(&content.ids),
        sections: &sections,
        dropped_tile_count: 0,
    };
    ResultPush::builder(ResultWorth::COMPLETE)
        .tensor(tensor)
        .build()
        .map(Message::from)
}

fn typed_submit(content: &Content) -> Result<Message, WireError> {
    FrameSubmit::builder()
        .payload(TypedPayload::opaque_bytes(content.payload.clone()))
        .build()
        .map(Message::from)
}
