//! What a host knows of a frame, as FRAME_SUBMIT. spec: nnrp-session 7.1

use bytes::Bytes;

use super::tiles::{columns, most_frequent, section, tile_id};
use super::{CameraBlock, ReplayCodec, ReplayError, name_to_id, trace_id};
use crate::body::{
    ComposedBody, FlatBody, InlineObject, InlineTensor, ObjectReference, Section, TileIndex,
};
use crate::error::{Category, WireError};
use crate::field::Reserved;
use crate::message::{Composed, Envelope, FrameSubmit, Message, SubmitBody};
use crate::metadata::FrameSubmitMetadata;
use crate::numbers::{
    BudgetPolicy, DType, FrameClassField, FrameLossTolerance, InputProfile, ObjectKind,
    PayloadKinds, SubmitMode, TileIndexMode,
};
use crate::packet::Packet;

/// Input of a frame, as a host has it.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameFeatures {
    /// The session's name; its number is the name's checksum unless an option says another.
    pub session: String,
    /// The frame.
    pub frame_id: u32,
    /// In pixels.
    pub src_width: u16,
    /// In pixels.
    pub src_height: u16,
    /// Width and height of a tile, in pixels; not 0 if there are tiles.
    pub tile_size: u16,
    /// The tiles, in any order.
    pub tiles: Vec<FeatureTile>,
    /// The camera; all zero unless the host knows it.
    pub camera: CameraBlock,
    /// How long the frame may take, in ms; 0 is any time.
    pub latency_budget_ms: u16,
    /// What the input is.
    pub input_profile: InputProfile,
    /// A name for whoever traces; its checksum is the trace's number.
    pub client_trace: String,
    /// Whether an older result will do.
    pub allow_stale_reuse: bool,
    /// The camera is in the cache.
    pub camera_reference: Option<CacheKey>,
    /// The tile ids are in the cache.
    pub tile_index_reference: Option<CacheKey>,
    /// The tiles' payloads are in the cache.
    pub section_table_reference: Option<CacheKey>,
}

/// A tile of a frame. What is empty in all tiles has no section.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FeatureTile {
    /// Its column.
    pub x: u32,
    /// Its row.
    pub y: u32,
    /// Depths; role 1.
    pub depth_fp16: Bytes,
    /// Normals; role 2.
    pub normal_oct: Bytes,
    /// Motion; role 3.
    pub motion_i16: Bytes,
    /// Roughness and metalness; role 4.
    pub rough_metal: Bytes,
    /// Brightness; role 5.
    pub luma_hint: Bytes,
    /// How all of them are compressed.
    pub codec: ReplayCodec,
}

/// The key of an object in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CacheKey {
    /// Of the key.
    pub namespace: u32,
    /// The key.
    pub key: u64,
}

/// What the caller of [`FrameFeatures::to_packet`] decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubmitOptions {
    /// The session's number.
    pub session_id: Option<u32>,
    /// A [`FrameClass`](crate::FrameClass), or a number that is none.
    pub frame_class: u8,
    /// A view of the frame.
    pub view_id: u16,
    /// The trace's number.
    pub trace_id: Option<u64>,
}

impl Default for FrameFeatures {
    /// No tiles, and zeros.
    fn default() -> Self {
        Self {
            session: String::new(),
            frame_id: 0,
            src_width: 0,
            src_height: 0,
            tile_size: 0,
            tiles: Vec::new(),
            camera: CameraBlock::default(),
            latency_budget_ms: 0,
            input_profile: InputProfile::Unspecified,
            client_trace: String::new(),
            allow_stale_reuse: false,
            camera_reference: None,
            tile_index_reference: None,
            section_table_reference: None,
        }
    }
}

impl CacheKey {
    pub(super) const fn reference(self, kind: ObjectKind) -> ObjectReference {
        ObjectReference {
            kind,
            namespace: self.namespace,
            key: self.key,
        }
    }
}

impl FrameFeatures {
    /// The packet; inline without references, else mixed, or by reference if nothing is left inline.
    ///
    /// # Errors
    /// [`ReplayError::NoTileSize`], [`ReplayError::TileIdTooLarge`], [`ReplayError::Camera`]; and
    /// [`ReplayError::Wire`] if there are more tiles or bytes than a packet can have.
    pub fn to_packet(&self, options: &SubmitOptions) -> Result<Packet, ReplayError> {
        let parts = self.parts()?;
        let references = self.references();
        let mut metadata = self.metadata(options, &parts)?;
        let body = if references.is_empty() {
            SubmitBody::Flat(FlatBody {
                camera: parts.camera,
                tile_index: parts.tile_index,
                sections: parts.sections,
            })
        } else {
            let tensor = self.inline_tensor(&parts);
            let body = self.composed(parts, references);
            metadata.submit_mode = match body.inline_objects.len() {
                0 => SubmitMode::Reference,
                _ => SubmitMode::Mixed,
            };
            SubmitBody::Composed(Composed { body, tensor })
        };
        let message = Message::FrameSubmit(FrameSubmit { metadata, body });
        let session_id = options.session_id;
        let envelope = Envelope {
            view_id: options.view_id,
            trace_id: trace_id(options.trace_id, &self.client_trace),
            ..Envelope::frame(
                session_id.unwrap_or_else(|| name_to_id(&self.session)),
                self.frame_id,
            )
        };
        let mut bytes = Vec::new();
        message.encode(&envelope, &mut bytes)?;
        Ok(Packet::decode(bytes.into())?)
    }

    fn parts(&self) -> Result<Parts, ReplayError> {
        let mut tiles = Vec::with_capacity(self.tiles.len());
        for tile in &self.tiles {
            let columns = columns(u32::from(self.src_width), u32::from(self.tile_size))?;
            tiles.push((tile_id(tile.x, tile.y, columns)?, tile));
        }
        // Stable: tiles with the same id stay in their order.
        tiles.sort_by_key(|(id, _)| *id);
        let ids: Vec<u16> = tiles.iter().map(|(id, _)| *id).collect();
        let default = most_frequent(tiles.iter().map(|(_, tile)| tile.codec));
        let mut sections = Vec::new();
        for (role_id, dtype, field) in FIELDS {
            let payloads: Vec<_> = tiles
                .iter()
                .map(|(_, tile)| (field(tile).clone(), tile.codec))
                .collect();
            sections.extend(section(*role_id, *dtype, default, &payloads)?);
        }
        Ok(Parts {
            camera: self.camera.encode()?,
            tile_index: TileIndex::encode(&ids, TileIndexMode::RawU16, 0)?,
            sections,
        })
    }

    /// In the order of their kinds.
    fn references(&self) -> Vec<ObjectReference> {
        let references = [
            (self.camera_reference, ObjectKind::CameraBlock),
            (self.tile_index_reference, ObjectKind::TileIndexBlock),
            (self.section_table_reference, ObjectKind::TensorSectionTable),
        ];
        let references = references.into_iter();
        references
            .filter_map(|(key, kind)| Some(key?.reference(kind)))
            .collect()
    }

    fn metadata(
        &self,
        options: &SubmitOptions,
        parts: &Parts,
    ) -> Result<FrameSubmitMetadata, ReplayError> {
        // An object that comes by reference has no inline length.
        let inline = |key: Option<CacheKey>, bytes: &Bytes, what| match key {
            Some(_) => Ok(0),
            None => crate::body::field_u32(bytes.len() as u64, what),
        };
        let index = &parts.tile_index;
        let budget_policy = if self.allow_stale_reuse {
            BudgetPolicy::ALLOW_STALE_REUSE
        } else {
            BudgetPolicy::empty()
        };
        let references = self.references();
        let mask = references.iter().filter_map(|it| it.kind.slot());
        Ok(FrameSubmitMetadata {
            src_width: self.src_width,
            src_height: self.src_height,
            tile_width: self.tile_size,
            tile_height: self.tile_size,
            tile_count: index.count(),
            section_count: count(parts.sections.len())?,
            frame_class: FrameClassField(options.frame_class),
            input_profile: self.input_profile,
            tile_index_mode: TileIndexMode::RawU16,
            reserved0: Reserved(0),
            latency_budget_ms: self.latency_budget_ms,
            target_fps_x100: 0,
            retry_of_frame: 0,
            tile_base_id: 0,
            camera_bytes: inline(self.camera_reference, &parts.camera, "camera_bytes")?,
            tile_index_bytes: inline(
                self.tile_index_reference,
                index.as_bytes(),
                "tile_index_bytes",
            )?,
            reserved1: Reserved(0),
            reserved2: Reserved(0),
            submit_mode: SubmitMode::Inline,
            budget_policy,
            loss_tolerance_policy: FrameLossTolerance(None),
            reserved3: Reserved(0),
            object_ref_mask: mask.fold(0, |mask, slot| mask | slot),
            dependency_frame_id: 0,
            payload_kind_bitmap: PayloadKinds::TENSOR,
            payload_frame_count: 0,
            reserved4: Reserved(0),
        })
    }

    /// What [`Self::composed`] puts into its objects.
    fn inline_tensor(&self, parts: &Parts) -> InlineTensor {
        let index = (&parts.tile_index, self.tile_index_reference);
        let sections = (&parts.sections, self.section_table_reference);
        InlineTensor {
            tile_index: is_inline_index(index).then(|| parts.tile_index.clone()),
            sections: is_inline_table(sections).then(|| parts.sections.clone()),
        }
    }

    /// What is not referenced comes along, unless it is empty.
    fn composed(&self, parts: Parts, references: Vec<ObjectReference>) -> ComposedBody {
        let camera = self.camera_reference.is_none();
        let camera = camera.then(|| InlineObject::new(ObjectKind::CameraBlock, parts.camera));
        let mut inline_objects = Vec::from_iter(camera);
        inline_objects.extend(inline_tensor(
            (parts.tile_index, self.tile_index_reference),
            (parts.sections, self.section_table_reference),
        ));
        ComposedBody {
            inline_objects,
            references,
            ..ComposedBody::default()
        }
    }
}

struct Parts {
    camera: Bytes,
    tile_index: TileIndex,
    sections: Vec<Section>,
}

type Field = fn(&FeatureTile) -> &Bytes;

/// Role, element type and place of the payloads of tiles.
const FIELDS: &[(u16, DType, Field)] = &[
    (1, DType::Fp16, |tile| &tile.depth_fp16),
    (2, DType::UInt8, |tile| &tile.normal_oct),
    (3, DType::Int16, |tile| &tile.motion_i16),
    (4, DType::UInt8, |tile| &tile.rough_metal),
    (5, DType::UInt8, |tile| &tile.luma_hint),
];

/// The tile index and the section table as far as they are neither referenced nor empty.
pub(super) fn inline_tensor(
    (tile_index, index_key): (TileIndex, Option<CacheKey>),
    (sections, sections_key): (Vec<Section>, Option<CacheKey>),
) -> Vec<InlineObject> {
    let mut objects = Vec::new();
    if is_inline_index((&tile_index, index_key)) {
        let payload = tile_index.as_bytes().clone();
        objects.push(InlineObject::new(ObjectKind::TileIndexBlock, payload));
    }
    if is_inline_table((&sections, sections_key)) {
        objects.push(InlineObject::section_table(sections));
    }
    objects
}

const fn is_inline_index((index, key): (&TileIndex, Option<CacheKey>)) -> bool {
    key.is_none() && index.count() > 0
}

const fn is_inline_table((sections, key): (&Vec<Section>, Option<CacheKey>)) -> bool {
    key.is_none() && !sections.is_empty()
}

/// A count that must fit its field.
pub(super) fn count(count: usize) -> Result<u16, WireError> {
    u16::try_from(count).map_err(|_| {
        let error = WireError::new(Category::ValueOutOfRange, "section_count");
        error.found(count as u64).limit(u64::from(u16::MAX))
    })
}
