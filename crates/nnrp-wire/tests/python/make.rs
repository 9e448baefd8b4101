//! Random messages, made with this crate's builders and encoders.

use std::num::NonZeroU64;
use std::ops::Range;

use bytes::Bytes;
use nnrp_wire::body::{
    ExtensionFrame, InlineObject, ObjectReference, PayloadKind, TensorSection, TypedPayload,
};
use nnrp_wire::build::{
    ResultOptions, ResultWorth, SubmitOptions, TensorInput, TensorOutput, Tiles,
};
use nnrp_wire::metadata::FlowUpdateMetadata;
use nnrp_wire::{
    ControlExtension, ControlExtensionFlags, DType, DecodeOptions, Envelope, FlowReason,
    FrameClass, FrameSubmit, Header, HeaderFlags, InputProfile, Layout, LossTolerance, Message,
    MessageType, ObjectKind, Packet, ResultPush, ScalePolicy, TileIndexMode,
};

use crate::random::Random;

/// Lengths of bodies and reserved fields: 0, or no body would fit.
const ZEROS: &[(MessageType, Range<usize>)] = &[
    (MessageType::ClientHello, 56..64),
    (MessageType::ServerHelloAck, 3..4),
    (MessageType::ServerHelloAck, 72..76),
    (MessageType::SessionPatch, 2..4),
    (MessageType::SessionPatch, 32..36),
    (MessageType::SessionPatchAck, 18..20),
    (MessageType::SessionPatchAck, 44..48),
    (MessageType::Error, 28..32),
    (MessageType::CachePut, 20..24),
    (MessageType::TransportProbe, 4..8),
    (MessageType::TransportProbeAck, 4..8),
];

pub(crate) struct Maker(pub(crate) Random);

impl Maker {
    /// The bytes of a random packet of this type.
    pub(crate) fn packet(&mut self, of: MessageType) -> Bytes {
        let message = if of == MessageType::FrameSubmit {
            self.submit()
        } else if of == MessageType::ResultPush {
            self.result()
        } else if of == MessageType::FlowUpdate {
            self.flow_update().into()
        } else {
            self.any(of)
        };
        let mut envelope = self.envelope();
        if let Message::FlowUpdate(update) = &message {
            let is_connection = update.operation_id == 0 && update.session_credit == 0;
            envelope.session_id = if is_connection {
                0
            } else {
                envelope.session_id.max(1)
            };
        }
        let mut bytes = Vec::new();
        message.encode(&envelope, &mut bytes).unwrap();
        bytes.into()
    }

    fn envelope(&mut self) -> Envelope {
        Envelope {
            flags: HeaderFlags::from_bits_retain(self.0.u32()),
            session_id: self.0.u32(),
            frame_id: self.0.u32(),
            view_id: self.0.u16(),
            route_id: self.0.u16(),
            trace_id: self.0.u64(),
            ..Envelope::default()
        }
    }

    /// A message of metadata that is random as far as the type lets it be.
    fn any(&mut self, of: MessageType) -> Message {
        let options = DecodeOptions {
            known_control_extensions: None,
            ..DecodeOptions::STRICT
        };
        for _ in 0..1_000_000 {
            let words = (0..of.metadata_bytes().div_ceil(4)).map(|_| self.word());
            let mut metadata: Vec<u8> = words.flatten().collect();
            metadata.truncate(of.metadata_bytes());
            for (_, zeros) in ZEROS.iter().filter(|(known, _)| *known == of) {
                metadata[zeros.clone()].fill(0);
            }
            let packet = Packet::new(Header::new(of), metadata.into(), Bytes::new()).unwrap();
            if let Ok(message) = Message::decode(&packet, &options) {
                return self.filled(message);
            }
        }
        panic!("no metadata for {}", of.name());
    }

    /// Anything, or one or two small numbers, which enumerations need.
    fn word(&mut self) -> [u8; 4] {
        let (low, high) = (self.0.pick(&[0, 1, 2, 3, 4, 5]), self.0.pick(&[0, 1, 2, 3]));
        match self.0.below(4) {
            0 => [low, 0, 0, 0],
            1 => [low, 0, high, 0],
            2 => self.0.u32().to_le_bytes(),
            _ => [self.0.u8(), self.0.u8(), self.0.u8(), self.0.u8()],
        }
    }

    /// With bodies, where there may be some.
    fn filled(&mut self, mut message: Message) -> Message {
        let bytes = Bytes::from(self.0.bytes(60));
        if let Message::ClientHello(hello) = &mut message {
            hello.extensions = self.extensions(ControlExtension::client_loss_tolerance);
            hello.auth = bytes;
        } else if let Message::ServerHelloAck(ack) = &mut message {
            ack.extensions = self.extensions(ControlExtension::server_loss_tolerance);
            ack.payload = bytes;
        } else if let Message::SessionPatch(patch) = &mut message {
            patch.profile = self.profile();
        } else if let Message::SessionPatchAck(ack) = &mut message {
            ack.profile = self.profile();
        } else if let Message::Close(reason) = &mut message {
            *reason = bytes;
        } else if let Message::Error(report) = &mut message {
            report.diagnostic = bytes;
        } else if let Message::CachePut(put) = &mut message {
            put.object = bytes;
        } else if let Message::TransportProbe(probe) = &mut message {
            probe.payload = bytes;
        } else if let Message::SessionMigrate(migrate) = &mut message {
            migrate.body = bytes;
        } else if let Message::SessionMigrateAck(ack) = &mut message {
            ack.body = bytes;
        }
        message
    }

    fn profile(&mut self) -> Option<nnrp_wire::metadata::ProfilePatch> {
        self.0.coin().then(|| nnrp_wire::metadata::ProfilePatch {
            min_width: self.0.u32(),
            min_height: self.0.u32(),
            max_width: self.0.u32(),
            max_height: self.0.u32(),
        })
    }

    fn extensions(
        &mut self,
        known: fn(LossTolerance) -> ControlExtension,
    ) -> Vec<ControlExtension> {
        let mut extensions = Vec::new();
        for _ in 0..self.0.below(3) {
            extensions.push(ControlExtension {
                ext_type: self.0.u16() | 0x200,
                flags: ControlExtensionFlags::from_bits_retain(self.0.u16()),
                payload: self.0.bytes(20).into(),
            });
        }
        if self.0.coin() {
            extensions.push(known(self.0.pick(LossTolerance::ALL)));
        }
        extensions
    }

    fn flow_update(&mut self) -> FlowUpdateMetadata {
        let reason = self.0.pick(FlowReason::ALL);
        let (credit, epoch) = (self.0.u16().max(1), self.0.u32());
        let update = match self.0.below(3) {
            0 => FlowUpdateMetadata::connection(reason),
            1 => FlowUpdateMetadata::session(reason),
            _ => FlowUpdateMetadata::operation(
                NonZeroU64::MIN.saturating_add(self.0.u64() >> 1),
                reason,
            ),
        };
        let update = update.with_credit(credit, epoch);
        if self.0.coin() {
            update.with_retry_after_ms(self.0.u32())
        } else {
            update
        }
    }

    fn payloads(&mut self) -> Vec<TypedPayload> {
        let payload = |random: &mut Random| TypedPayload {
            kind: random.pick(&PayloadKind::ALL[1..]),
            profile_id: random.u16(),
            payload: random.bytes(30).into(),
        };
        (0..=self.0.below(3))
            .map(|_| payload(&mut self.0))
            .collect()
    }

    fn extension_frame(&mut self) -> ExtensionFrame {
        ExtensionFrame::new(self.0.u16(), self.0.bytes(20))
    }

    fn reference(&mut self, kind: ObjectKind) -> ObjectReference {
        ObjectReference {
            kind,
            namespace: self.0.u32(),
            key: self.0.u64(),
        }
    }

    /// Increasing, and in dense modes without gaps.
    fn tile_ids(&mut self, is_range: bool) -> Vec<u16> {
        let mut id = u16::try_from(self.0.below(50_000)).unwrap();
        let count = self.0.below(6);
        let ids = (0..count).map(|_| {
            id += if is_range {
                1
            } else {
                u16::try_from(1 + self.0.below(300)).unwrap()
            };
            id
        });
        ids.collect()
    }

    fn submit(&mut self) -> Message {
        let mut builder = FrameSubmit::builder().options(SubmitOptions {
            frame_class: self.0.pick(FrameClass::ALL),
            latency_budget_ms: self.0.u16(),
            target_fps_x100: self.0.u16(),
            retry_of_frame: self.0.u32(),
            dependency_frame_id: self.0.u32(),
            loss_tolerance: self.0.coin().then(|| self.0.pick(LossTolerance::ALL)),
            ..SubmitOptions::default()
        });
        let shape = self.0.below(4);
        if shape == 0 {
            builder = builder.payloads(self.payloads());
            return builder.build().unwrap().into();
        }
        let mode = self.0.pick(TileIndexMode::ALL);
        let ids = self.tile_ids(mode == TileIndexMode::DenseRange);
        let tiles = match mode {
            TileIndexMode::DenseRange => Tiles::range(&ids),
            TileIndexMode::RawU16 => Tiles::raw(&ids),
            TileIndexMode::DeltaU16 => Tiles::delta(&ids),
            TileIndexMode::Bitset => Tiles::bitset(&ids),
        };
        let payloads = self.sections(ids.len());
        let sections: Vec<_> = payloads.iter().map(Owned::section).collect();
        // Something must be there beside payloads.
        let camera = [self.0.bytes(40), b"camera".to_vec()].concat();
        builder = builder.tensor(TensorInput {
            src_width: self.0.u16(),
            src_height: self.0.u16(),
            tile_width: self.0.u16(),
            tile_height: self.0.u16(),
            input_profile: self.0.pick(InputProfile::ALL),
            camera: camera.into(),
            tiles,
            sections: &sections,
        });
        if shape == 1 {
            builder = builder.payloads(self.payloads());
            if self.0.coin() {
                builder = builder.extension(self.extension_frame());
            }
        }
        if shape == 2 {
            builder = builder.reference(self.reference(ObjectKind::CameraBlock));
            if self.0.coin() {
                builder = builder.reference(self.reference(ObjectKind::TileIndexBlock));
            }
            if self.0.coin() {
                builder = builder.reference(self.reference(ObjectKind::TensorSectionTable));
            }
            if self.0.coin() {
                let template = ObjectKind::PayloadLayoutTemplate;
                builder = builder.object(InlineObject::new(template, self.0.bytes(20).into()));
            }
        }
        builder.build().unwrap().into()
    }

    fn result(&mut self) -> Message {
        let shape = self.0.below(5);
        let worths = [
            ResultWorth::COMPLETE,
            ResultWorth::DEGRADED,
            ResultWorth::stale_reuse(self.0.u32().max(1)),
        ];
        let is_range = self.0.coin();
        let ids = self.tile_ids(is_range);
        let dropped = self.0.below(ids.len() + 1);
        let dropped = if matches!(shape, 2..4) { dropped } else { 0 };
        let worth = if dropped > 0 {
            ResultWorth::PARTIAL
        } else {
            self.0.pick(&worths)
        };
        let mut builder = ResultPush::builder(worth).options(ResultOptions {
            status_code: self.0.u16(),
            active_profile_id: self.0.u16(),
            inference_ms: self.0.u16(),
            queue_ms: self.0.u16(),
            server_total_ms: self.0.u16(),
        });
        if shape == 0 {
            return builder.build().unwrap().into();
        }
        if shape == 1 {
            return builder.payloads(self.payloads()).build().unwrap().into();
        }
        // Without an index, tiles are a range.
        let tiles = if is_range || ids.is_empty() {
            Tiles::range(&ids)
        } else {
            Tiles::raw(&ids)
        };
        let payloads = self.sections(ids.len());
        let sections: Vec<_> = payloads.iter().map(Owned::section).collect();
        builder = builder.tensor(TensorOutput {
            tiles,
            sections: &sections,
            dropped_tile_count: u16::try_from(dropped).unwrap(),
        });
        if shape == 4 && !ids.is_empty() {
            builder = builder.payloads(self.payloads());
            if self.0.coin() {
                builder = builder.reference(self.reference(ObjectKind::TileIndexBlock));
            }
        }
        builder.build().unwrap().into()
    }

    fn sections(&mut self, tiles: usize) -> Vec<Owned> {
        let mut role_id = 0;
        let mut sections = Vec::new();
        for _ in 0..self.0.below(3) {
            role_id += u16::try_from(1 + self.0.below(300)).unwrap();
            let codecs = (0..tiles).map(|_| self.0.pick(&[0, 1, 2])).collect();
            sections.push(Owned {
                role_id,
                dtype: self.0.pick(DType::ALL),
                layout: self.0.pick(Layout::ALL),
                scale_policy: self.0.pick(ScalePolicy::ALL),
                codecs: self.0.coin().then_some(codecs),
                element_count_per_tile: self.0.u32(),
                stride_bytes: self.0.pick(&[0, 16]),
                tiles: (0..tiles).map(|_| self.0.bytes(12).into()).collect(),
            });
        }
        sections
    }
}

/// A section with its payloads.
struct Owned {
    role_id: u16,
    dtype: DType,
    layout: Layout,
    scale_policy: ScalePolicy,
    codecs: Option<Vec<u8>>,
    element_count_per_tile: u32,
    stride_bytes: u32,
    tiles: Vec<Bytes>,
}

impl Owned {
    fn section(&self) -> TensorSection<'_> {
        TensorSection {
            layout: self.layout,
            scale_policy: self.scale_policy,
            codecs: self.codecs.clone(),
            element_count_per_tile: self.element_count_per_tile,
            stride_bytes: self.stride_bytes,
            ..TensorSection::new(self.role_id, self.dtype, &self.tiles)
        }
    }
}
