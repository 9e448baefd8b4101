//! Messages of every type that strict readers take.

use bytes::Bytes;
use nnrp_wire::body::{
    ExtensionFrame, InlineObject, ObjectReference, PayloadKind, TensorSection, TypedPayload,
};
use nnrp_wire::build::{
    ResultOptions, ResultWorth, SubmitOptions, TensorInput, TensorOutput, Tiles,
};
use nnrp_wire::metadata::{
    CacheAckMetadata, CacheInvalidateMetadata, CachePutMetadata, ClientHelloMetadata,
    ErrorMetadata, FlowUpdateMetadata, ProfilePatch, ResultHintMetadata, ServerHelloAckMetadata,
    SessionMigrateAckMetadata, SessionMigrateMetadata, SessionPatchAckMetadata,
    SessionPatchMetadata, TransportProbeAckMetadata,
};
use nnrp_wire::{
    BudgetPolicy, CachePut, ClientHello, ControlExtension, ControlExtensionFlags, DType, Envelope,
    ErrorReport, ExtensionFrameFlags, FlowScope, FrameClass, FrameSubmit, HeaderFlags,
    InputProfile, Layout, LossTolerance, Message, ObjectKind, PayloadKinds, ResultFlags,
    ResultPush, ScalePolicy, ServerHelloAck, SessionMigrate, SessionMigrateAck, SessionPatch,
    SessionPatchAck, TileIndexMode, TransportId, TransportPolicy, TransportProbe,
};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// A message and an envelope that suits it.
pub(crate) fn message() -> impl Strategy<Value = (Envelope, Message)> {
    let message = prop_oneof![
        4 => frame_submit().prop_map(Message::from),
        4 => result_push().prop_map(Message::from),
        4 => control(),
    ];
    (envelope(), message).prop_map(|(mut envelope, message)| {
        if let Message::FlowUpdate(update) = &message {
            let is_of_connection = update.scope_kind == FlowScope::Connection;
            envelope.session_id = if is_of_connection {
                0
            } else {
                envelope.session_id.max(1)
            };
        }
        (envelope, message)
    })
}

fn envelope() -> impl Strategy<Value = Envelope> {
    let ids = (
        any::<u32>(),
        any::<u32>(),
        any::<u16>(),
        any::<u16>(),
        any::<u64>(),
    );
    (any::<u32>(), ids).prop_map(
        |(flags, (session_id, frame_id, view_id, route_id, trace_id))| Envelope {
            flags: HeaderFlags::from_bits_retain(flags),
            session_id,
            frame_id,
            view_id,
            route_id,
            trace_id,
            ..Envelope::default()
        },
    )
}

fn payload() -> impl Strategy<Value = Bytes> {
    // Some are long enough to be left where they are by a vectored write.
    let bytes = prop_oneof![4 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 250..600)];
    bytes.prop_map(Bytes::from)
}

/// The bytes of a fixed structure; fields at these places, of these widths, are below these limits.
fn structure(
    bytes: usize,
    fields: &'static [(usize, usize, u64)],
) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), bytes).prop_map(move |mut bytes| {
        for (at, width, limit) in fields {
            let field = &mut bytes[*at..at + width];
            let mut value = [0; 8];
            value[..*width].copy_from_slice(field);
            let value = u64::from_le_bytes(value) % limit;
            field.copy_from_slice(&value.to_le_bytes()[..*width]);
        }
        bytes
    })
}

fn control() -> impl Strategy<Value = Message> {
    prop_oneof![
        hellos(),
        patches(),
        select(vec![
            Message::Ping,
            Message::Pong,
            Message::FrameCancel,
            Message::ResultDrop
        ]),
        payload().prop_map(Message::Close),
        error_report(),
        flow_update(),
        structure(16, &[(0, 4, 5), (4, 4, 4), (8, 4, 5)])
            .prop_map(|bytes| ResultHintMetadata::decode(&bytes).unwrap().into()),
        caches(),
        transports(),
    ]
}

fn error_report() -> impl Strategy<Value = Message> {
    (structure(32, &[(4, 4, 3)]), payload()).prop_map(|(bytes, diagnostic)| {
        let metadata = ErrorMetadata {
            diagnostic_bytes: u32::try_from(diagnostic.len()).unwrap(),
            ..ErrorMetadata::decode(&bytes).unwrap()
        };
        ErrorReport {
            metadata,
            diagnostic,
        }
        .into()
    })
}

fn hellos() -> impl Strategy<Value = Message> {
    let client =
        (structure(64, &[]), extensions(), payload()).prop_map(|(bytes, extensions, auth)| {
            let block = ControlExtension::encode_block(&extensions).unwrap();
            let metadata = ClientHelloMetadata {
                auth_bytes: u32::try_from(auth.len()).unwrap(),
                control_extension_bytes: u32::try_from(block.len()).unwrap(),
                ..ClientHelloMetadata::decode(&bytes).unwrap()
            };
            ClientHello {
                metadata,
                extensions,
                auth,
            }
            .into()
        });
    let server = (structure(80, &[(3, 1, 1)]), extensions(), payload()).prop_map(
        |(bytes, extensions, payload)| {
            let block = ControlExtension::encode_block(&extensions).unwrap();
            let metadata = ServerHelloAckMetadata {
                control_extension_bytes: u32::try_from(block.len()).unwrap(),
                ..ServerHelloAckMetadata::decode(&bytes).unwrap()
            };
            ServerHelloAck {
                metadata,
                extensions,
                payload,
            }
            .into()
        },
    );
    prop_oneof![client, server]
}

/// Known ones and one that is not, each once.
fn extensions() -> impl Strategy<Value = Vec<ControlExtension>> {
    let policy = || select(TransportPolicy::ALL);
    let transport = || select(TransportId::ALL);
    let tolerance = || select(LossTolerance::ALL);
    let kinds = || (0_u32..128).prop_map(PayloadKinds::from_bits_retain);
    let other = (0x0200_u16.., any::<u16>(), payload()).prop_map(|(ext_type, flags, payload)| {
        ControlExtension {
            ext_type,
            flags: ControlExtensionFlags::from_bits_retain(flags),
            payload,
        }
    });
    let all = (
        (policy(), transport())
            .prop_map(|(policy, id)| ControlExtension::client_transport_policy(policy, id)),
        (policy(), policy(), transport())
            .prop_map(|(asked, is, id)| ControlExtension::server_transport_policy(asked, is, id)),
        tolerance().prop_map(ControlExtension::client_loss_tolerance),
        tolerance().prop_map(ControlExtension::server_loss_tolerance),
        kinds().prop_map(|kinds| ControlExtension::client_payload_capabilities(kinds).unwrap()),
        kinds().prop_map(|kinds| ControlExtension::server_payload_capabilities(kinds).unwrap()),
        other,
    );
    all.prop_flat_map(|(a, b, c, d, e, f, g)| subsequence(vec![a, b, c, d, e, f, g], 0..=7))
}

fn patches() -> impl Strategy<Value = Message> {
    let profile = || {
        proptest::option::of(
            structure(16, &[]).prop_map(|bytes| ProfilePatch::decode(&bytes).unwrap()),
        )
    };
    let profile_bytes = |profile: &Option<ProfilePatch>| if profile.is_some() { 16 } else { 0 };
    let patch = (structure(36, &[(2, 2, 1)]), profile()).prop_map(move |(bytes, profile)| {
        let metadata = SessionPatchMetadata {
            profile_patch_bytes: profile_bytes(&profile),
            ..SessionPatchMetadata::decode(&bytes).unwrap()
        };
        SessionPatch { metadata, profile }.into()
    });
    let ack = structure(48, &[(0, 2, 3), (2, 2, 6), (18, 2, 1)]);
    let ack = (ack, profile()).prop_map(move |(bytes, profile)| {
        let metadata = SessionPatchAckMetadata {
            profile_patch_ack_bytes: profile_bytes(&profile),
            ..SessionPatchAckMetadata::decode(&bytes).unwrap()
        };
        SessionPatchAck { metadata, profile }.into()
    });
    prop_oneof![patch, ack]
}

fn flow_update() -> impl Strategy<Value = Message> {
    // Scope, reason, pressure; reserved; flags; what the scope does not have is 0.
    let any_scope: &[_] = &[(1, 1, 5), (2, 1, 3), (3, 1, 1), (10, 2, 1), (28, 4, 16)];
    (structure(32, any_scope), 0_u8..3).prop_map(|(mut bytes, scope)| {
        bytes[0] = scope;
        for (of, field) in [(0, 4..6), (1, 6..8), (2, 8..10), (2, 12..20)] {
            if of != scope {
                bytes[field].fill(0);
            }
        }
        // A time to wait has its flag, an operation its id.
        bytes[28] |= 2;
        if scope == 2 {
            bytes[12] |= 1;
        }
        FlowUpdateMetadata::decode(&bytes).unwrap().into()
    })
}

fn caches() -> impl Strategy<Value = Message> {
    let put = (structure(32, &[(12, 4, 9)]), payload()).prop_map(|(mut bytes, object)| {
        bytes[12] += 1;
        let metadata = CachePutMetadata {
            object_bytes: u32::try_from(object.len()).unwrap(),
            ..CachePutMetadata::decode(&bytes).unwrap()
        };
        CachePut { metadata, object }.into()
    });
    let ack = structure(28, &[(12, 4, 3)])
        .prop_map(|bytes| CacheAckMetadata::decode(&bytes).unwrap().into());
    let invalidate = structure(20, &[(0, 4, 4)])
        .prop_map(|bytes| CacheInvalidateMetadata::decode(&bytes).unwrap().into());
    prop_oneof![put, ack, invalidate]
}

fn transports() -> impl Strategy<Value = Message> {
    let probe = (any::<u32>(), any::<u64>(), payload())
        .prop_map(|(id, at, payload)| TransportProbe::new(id, at, payload).unwrap().into());
    let probe_ack = (any::<u32>(), any::<u64>())
        .prop_map(|(id, at)| TransportProbeAckMetadata::new(id, at).into());
    let migrate =
        (structure(24, &[(0, 4, 2), (4, 4, 2)]), payload()).prop_map(|(mut bytes, body)| {
            bytes[0] += 1;
            bytes[4] += 1;
            let metadata = SessionMigrateMetadata::decode(&bytes).unwrap();
            SessionMigrate { metadata, body }.into()
        });
    let migrate_ack = (structure(24, &[]), payload()).prop_map(|(bytes, body)| {
        let metadata = SessionMigrateAckMetadata::decode(&bytes).unwrap();
        SessionMigrateAck { metadata, body }.into()
    });
    prop_oneof![probe, probe_ack, migrate, migrate_ack]
}

/// A section before its tiles are known.
#[derive(Debug, Clone)]
struct Head {
    dtype: DType,
    layout: Layout,
    scale: ScalePolicy,
    codec: u8,
    elements: u32,
    stride: Option<u32>,
    codecs: Option<Vec<u8>>,
    tiles: Vec<Bytes>,
}

#[derive(Debug, Clone)]
struct Tensor {
    mode: TileIndexMode,
    base: u32,
    ids: Vec<u16>,
    sections: Vec<(u16, Head)>,
}

impl Tensor {
    fn tiles(&self) -> Tiles<'_> {
        Tiles {
            ids: &self.ids,
            mode: self.mode,
            base_id: self.base,
        }
    }

    fn sections(&self) -> Vec<TensorSection<'_>> {
        let sections = self.sections.iter();
        sections.map(|(role, head)| head.section(*role)).collect()
    }
}

impl Head {
    fn section(&self, role: u16) -> TensorSection<'_> {
        let longest = self.tiles.iter().map(Bytes::len).max().unwrap_or(0);
        let longest = u32::try_from(longest).unwrap();
        TensorSection {
            layout: self.layout,
            scale_policy: self.scale,
            codec_id: self.codec,
            codecs: self.codecs.clone(),
            element_count_per_tile: self.elements,
            stride_bytes: self.stride.map_or(0, |more| longest + more),
            ..TensorSection::new(role, self.dtype, &self.tiles)
        }
    }
}

fn tensor(modes: &'static [TileIndexMode]) -> impl Strategy<Value = Tensor> {
    let ids = (select(modes), 0_u16..1000, vec(any::<u16>(), 0..6));
    ids.prop_flat_map(|(mode, base, mut ids)| {
        let mut base = u32::from(base);
        match mode {
            TileIndexMode::RawU16 => {}
            TileIndexMode::DenseRange => {
                ids = (0..)
                    .take(ids.len())
                    .map(|place: u16| u16::try_from(base).unwrap() + place)
                    .collect();
            }
            TileIndexMode::DeltaU16 | TileIndexMode::Bitset => {
                ids.sort_unstable();
                ids.dedup();
                base *= 1_000_000;
            }
        }
        let roles = btree_set(any::<u16>(), 0..4);
        let tiles = ids.len();
        let sections = roles.prop_flat_map(move |roles| {
            let heads = vec(head(tiles), roles.len());
            heads.prop_map(move |heads| roles.iter().copied().zip(heads).collect())
        });
        sections.prop_map(move |sections| Tensor {
            mode,
            base,
            ids: ids.clone(),
            sections,
        })
    })
}

fn head(tiles: usize) -> impl Strategy<Value = Head> {
    let numbers = (
        select(DType::ALL),
        select(Layout::ALL),
        select(ScalePolicy::ALL),
        any::<u8>(),
        any::<u32>(),
    );
    let codecs = proptest::option::of(vec(any::<u8>(), tiles));
    let stride = proptest::option::of(1_u32..20);
    (numbers, stride, codecs, vec(payload(), tiles)).prop_map(
        |((dtype, layout, scale, codec, elements), stride, codecs, tiles)| Head {
            dtype,
            layout,
            scale,
            codec,
            elements,
            stride,
            codecs,
            tiles,
        },
    )
}

fn typed() -> impl Strategy<Value = TypedPayload> {
    (select(&PayloadKind::ALL[1..]), any::<u16>(), payload())
        .prop_map(|(kind, profile, payload)| TypedPayload::new(kind, payload).with_profile(profile))
}

/// Payloads, references, other objects, extension frames, kinds that do not occur.
type Rest = (
    Vec<TypedPayload>,
    Vec<ObjectReference>,
    Vec<InlineObject>,
    Vec<ExtensionFrame>,
    PayloadKinds,
);

fn rest(referenced: &'static [ObjectKind]) -> impl Strategy<Value = Rest> {
    let references = subsequence(referenced, 0..=referenced.len()).prop_flat_map(|kinds| {
        let keys = vec((any::<u32>(), any::<u64>()), kinds.len());
        keys.prop_map(move |keys| {
            let references = kinds.iter().zip(keys);
            references
                .map(|(kind, (namespace, key))| ObjectReference::new(*kind, namespace, key))
                .collect()
        })
    });
    let kinds: &[_] = &[
        ObjectKind::PromptSegment,
        ObjectKind::CodecTable,
        ObjectKind::ToolSchema,
    ];
    let objects = subsequence(kinds, 0..=2).prop_flat_map(|kinds| {
        let contents = vec((any::<u16>(), payload()), kinds.len());
        contents.prop_map(move |contents| {
            let objects = kinds.iter().zip(contents);
            objects
                .map(|(kind, (profile, payload))| {
                    InlineObject::new(*kind, payload).with_profile(profile)
                })
                .collect()
        })
    });
    let frame = (any::<u16>(), any::<u16>(), any::<bool>(), payload()).prop_map(
        |(kind, profile_id, critical, payload)| {
            let mut flags = ExtensionFrameFlags::empty();
            flags.set(ExtensionFrameFlags::CRITICAL, critical);
            ExtensionFrame {
                kind,
                flags,
                profile_id,
                payload,
            }
        },
    );
    let declared =
        prop_oneof![3 => Just(0), 1 => 0_u32..128].prop_map(PayloadKinds::from_bits_retain);
    let seldom = |strategy: BoxedStrategy<Vec<InlineObject>>| prop_oneof![2 => Just(Vec::new()), 1 => strategy];
    let frames = prop_oneof![2 => Just(Vec::new()), 1 => vec(frame, 0..3)];
    (
        vec(typed(), 0..4),
        references,
        seldom(objects.boxed()),
        frames,
        declared,
    )
}

fn frame_submit() -> impl Strategy<Value = FrameSubmit> {
    let tensor = proptest::option::weighted(
        0.8,
        (
            tensor(TileIndexMode::ALL),
            payload(),
            any::<[u16; 4]>(),
            select(InputProfile::ALL),
        ),
    );
    let options = (
        select(FrameClass::ALL),
        any::<[u16; 2]>(),
        any::<[u32; 2]>(),
        0_u8..16,
        proptest::option::of(select(LossTolerance::ALL)),
    );
    (tensor, rest(&ObjectKind::SLOTS), options).prop_filter_map(
        "nothing to send",
        |(tensor, rest, options)| {
            let sections = tensor
                .as_ref()
                .map(|(tensor, ..)| tensor.sections())
                .unwrap_or_default();
            let (
                frame_class,
                [latency_budget_ms, target_fps_x100],
                [retry_of_frame, dependency_frame_id],
                budget,
                loss_tolerance,
            ) = options;
            let mut builder = FrameSubmit::builder().options(SubmitOptions {
                frame_class,
                latency_budget_ms,
                target_fps_x100,
                retry_of_frame,
                budget_policy: BudgetPolicy::from_bits_retain(budget),
                dependency_frame_id,
                loss_tolerance,
            });
            if let Some((
                tensor,
                camera,
                [src_width, src_height, tile_width, tile_height],
                input_profile,
            )) = &tensor
            {
                builder = builder.tensor(TensorInput {
                    src_width: *src_width,
                    src_height: *src_height,
                    tile_width: *tile_width,
                    tile_height: *tile_height,
                    input_profile: *input_profile,
                    camera: camera.clone(),
                    tiles: tensor.tiles(),
                    sections: &sections,
                });
            }
            let (payloads, references, objects, frames, declared) = rest;
            for payload in payloads {
                builder = builder.payload(payload);
            }
            builder = references
                .into_iter()
                .rev()
                .fold(builder, |builder, reference| builder.reference(reference));
            builder = objects
                .into_iter()
                .fold(builder, |builder, object| builder.object(object));
            builder = frames
                .into_iter()
                .fold(builder, |builder, frame| builder.extension(frame));
            builder.declare(declared).build().ok()
        },
    )
}

fn worth(class: u8, frame: u32) -> ResultWorth {
    match class {
        0 => ResultWorth::COMPLETE,
        1 => ResultWorth::PARTIAL,
        2 => ResultWorth::stale_reuse(frame.max(1)),
        3 => ResultWorth::DEGRADED,
        _ => ResultWorth {
            flags: ResultFlags::STALE | ResultFlags::FALLBACK,
            applied_policy: BudgetPolicy::ALLOW_DROP,
            ..ResultWorth::stale_reuse(frame.max(1))
        },
    }
}

fn result_push() -> impl Strategy<Value = ResultPush> {
    let modes = &[TileIndexMode::DenseRange, TileIndexMode::RawU16];
    let tensor = proptest::option::weighted(0.8, (tensor(modes), any::<prop::sample::Index>()));
    let worth = (0_u8..5, any::<u32>()).prop_map(|(class, frame)| worth(class, frame));
    (tensor, rest(ObjectKind::ALL), worth, any::<[u16; 5]>()).prop_filter_map(
        "nothing but objects, or nothing dropped",
        |(tensor, rest, worth, options)| {
            let sections = tensor
                .as_ref()
                .map(|(tensor, _)| tensor.sections())
                .unwrap_or_default();
            let [
                status_code,
                active_profile_id,
                inference_ms,
                queue_ms,
                server_total_ms,
            ] = options;
            let mut builder = ResultPush::builder(worth).options(ResultOptions {
                status_code,
                active_profile_id,
                inference_ms,
                queue_ms,
                server_total_ms,
            });
            if let Some((tensor, dropped)) = &tensor {
                let dropped = dropped.index(tensor.ids.len() + 1);
                builder = builder.tensor(TensorOutput {
                    tiles: tensor.tiles(),
                    sections: &sections,
                    dropped_tile_count: u16::try_from(dropped).unwrap(),
                });
            }
            let (payloads, references, objects, frames, declared) = rest;
            for payload in payloads {
                builder = builder.payload(payload);
            }
            builder = references
                .into_iter()
                .rev()
                .fold(builder, |builder, reference| builder.reference(reference));
            builder = objects
                .into_iter()
                .fold(builder, |builder, object| builder.object(object));
            builder = frames
                .into_iter()
                .fold(builder, |builder, frame| builder.extension(frame));
            builder.declare(declared).build().ok()
        },
    )
}
