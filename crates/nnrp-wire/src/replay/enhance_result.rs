//! What a host has made of a frame, as RESULT_PUSH. spec: nnrp-session 7.2

use bytes::Bytes;

use super::coverage::check_once;
use super::frame_features::{count, inline_tensor};
use super::tiles::{columns, most_frequent, section, tile_id};
use super::{CacheKey, ReplayCodec, ReplayError, name_to_id, trace_id};
use crate::body::{
    ComposedBody, FlatBody, ObjectReference, PlacedBody, Section, TileIndex, check_result,
};
use crate::encode::Sink;
use crate::field::Reserved;
use crate::header::Header;
use crate::message::{Envelope, Message, ResultBody, ResultPush};
use crate::metadata::ResultPushMetadata;
use crate::numbers::{
    BudgetPolicy, DType, MessageType, ObjectKind, PayloadKinds, ResultClass, ResultFlags,
    TileIndexMode,
};
use crate::packet::Packet;
use crate::rules::Rules;

/// Output of a frame, as a host has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnhanceResult {
    /// The session's name; its number is the name's checksum unless an option says another.
    pub session: String,
    /// The frame.
    pub frame_id: u32,
    /// A name for whoever traces, of the request or the client; its checksum is the trace's number.
    pub trace: String,
    /// The tiles that were made, in any order, each once.
    pub tiles: Vec<EnhanceTile>,
    /// In pixels; without it, a row is as wide as the tiles need.
    pub src_width: Option<u16>,
    /// Width and height of a tile, in pixels; without it, `src_width` is in tiles.
    pub tile_size: Option<u16>,
    /// Whether it is out of date.
    pub stale: bool,
    /// Whether it was made in another, worse way.
    pub degraded: bool,
    /// Tiles with a result; see [`ResultOptions::missing_as_covered`].
    pub covered_tile_count: Option<u16>,
    /// Tiles without.
    pub dropped_tile_count: Option<u16>,
    /// The ids of all tiles that were asked for, in any order; needed if some were dropped.
    pub requested_tile_ids: Option<Vec<u16>>,
    /// The frame whose result it is, for a result that is reused; 0 is none.
    pub reused_frame_id: u32,
    /// How long the computation took, in ms.
    pub inference_ms: u16,
    /// How long the frame waited, in ms.
    pub queue_ms: u16,
    /// How long all of it took, in ms.
    pub round_trip_ms: u16,
    /// Instead of the flags that follow from the rest.
    pub result_flags: Option<ResultFlags>,
    /// Instead of the class that follows from the rest.
    pub result_class: Option<ResultClass>,
    /// Instead of the policy that follows from the rest.
    pub applied_budget_policy: Option<BudgetPolicy>,
    /// The tile ids are in the cache.
    pub tile_index_reference: Option<CacheKey>,
    /// The tiles' payloads are in the cache.
    pub section_table_reference: Option<CacheKey>,
}

/// A tile of a result. What is empty in all tiles has no section.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnhanceTile {
    /// Its column.
    pub x: u32,
    /// Its row.
    pub y: u32,
    /// What super-resolution adds; role 100.
    pub sr_residual: Bytes,
    /// How that is compressed.
    pub sr_codec: ReplayCodec,
    /// What detail adds; role 101.
    pub detail_residual: Bytes,
    /// How that is compressed.
    pub detail_codec: ReplayCodec,
}

/// What the caller of [`EnhanceResult::to_packet`] decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResultOptions {
    /// The session's number.
    pub session_id: Option<u32>,
    /// A view of the frame.
    pub view_id: u16,
    /// The trace's number.
    pub trace_id: Option<u64>,
    /// The profile that it was made with.
    pub active_profile_id: u16,
    /// Whether requested tiles that were not delivered count as covered if the result has no counts, as the reference has
    /// it (Q-19 of nnrp-session). Otherwise they are dropped, and the result is a partial one.
    pub missing_as_covered: bool,
    /// Whether a result may have references, which makes a packet that only readers with
    /// [`DecodeOptions::composed_tensor_results`](crate::DecodeOptions) understand (Q15 of nnrp-wire).
    pub composed_tensor_results: bool,
}

impl ResultOptions {
    /// Writes the same bytes as the reference.
    pub const COMPATIBLE: Self = Self {
        session_id: None,
        view_id: 0,
        trace_id: None,
        active_profile_id: 0,
        missing_as_covered: true,
        composed_tensor_results: true,
    };
}

impl EnhanceResult {
    /// The packet.
    ///
    /// # Errors
    /// If tiles are there twice, were not requested, or do not add up with the counts;
    /// [`ReplayError::ReferencesInResult`] unless that is allowed; [`ReplayError::NoTileSize`],
    /// [`ReplayError::TileIdTooLarge`]; and [`ReplayError::Wire`] for anything else that a packet cannot be.
    pub fn to_packet(&self, options: &ResultOptions) -> Result<Packet, ReplayError> {
        let delivered = self.delivered()?;
        let ids = self.tile_ids(&delivered)?;
        self.check_dropped_known(ids.len())?;
        check_once(&delivered)?;
        let counts = self.counts(ids.len(), delivered.len(), options)?;
        // Without an index, a result has a range: here one of no tiles.
        let mode = match ids.len() {
            0 => TileIndexMode::DenseRange,
            _ => TileIndexMode::RawU16,
        };
        let tile_index = TileIndex::encode(&ids, mode, 0)?;
        let sections = sections(&ids, &delivered)?;
        let metadata = self.metadata(options, counts, &tile_index, &sections)?;
        let references = self.references();
        if references.is_empty() {
            let body = ResultBody::Flat(FlatBody {
                camera: Bytes::new(),
                tile_index,
                sections,
            });
            let message = Message::ResultPush(ResultPush { metadata, body });
            let mut bytes = Vec::new();
            message.encode(&self.envelope(options), &mut bytes)?;
            return Ok(Packet::decode(bytes.into())?);
        }
        if !options.composed_tensor_results {
            return Err(ReplayError::ReferencesInResult);
        }
        let inline_objects = inline_tensor(
            (tile_index, self.tile_index_reference),
            (sections, self.section_table_reference),
        );
        let body = ComposedBody {
            inline_objects,
            references,
            ..ComposedBody::default()
        };
        self.composed(options, &metadata, &body)
    }

    /// By their ids.
    fn delivered(&self) -> Result<Vec<(u16, &EnhanceTile)>, ReplayError> {
        if self.tiles.is_empty() {
            return Ok(Vec::new());
        }
        let columns = match self.src_width {
            Some(width) => columns(u32::from(width), self.tile_size.map_or(1, u32::from))?,
            None => {
                let last = self.tiles.iter().map(|tile| tile.x).max().unwrap_or(0);
                last.saturating_add(1)
            }
        };
        let mut delivered = Vec::with_capacity(self.tiles.len());
        for tile in &self.tiles {
            delivered.push((tile_id(tile.x, tile.y, columns)?, tile));
        }
        delivered.sort_by_key(|(id, _)| *id);
        Ok(delivered)
    }

    fn metadata(
        &self,
        options: &ResultOptions,
        (covered, dropped): (u16, u16),
        tile_index: &TileIndex,
        sections: &[Section],
    ) -> Result<ResultPushMetadata, ReplayError> {
        let tile_index_bytes = match self.tile_index_reference {
            Some(_) => 0,
            None => crate::body::field_u32(tile_index.as_bytes().len() as u64, "tile_index_bytes")?,
        };
        let (flags, class, policy) = self.worth(dropped > 0);
        Ok(ResultPushMetadata {
            status_code: 0,
            result_flags: self.result_flags.unwrap_or(flags),
            section_count: count(sections.len())?,
            tile_count: tile_index.count(),
            active_profile_id: options.active_profile_id,
            reserved0: Reserved(0),
            inference_ms: self.inference_ms,
            queue_ms: self.queue_ms,
            server_total_ms: self.round_trip_ms,
            reserved1: Reserved(0),
            tile_base_id: 0,
            tile_index_bytes,
            reserved2: Reserved(0),
            reserved3: Reserved(0),
            result_class: self.result_class.unwrap_or(class),
            applied_budget_policy: self.applied_budget_policy.unwrap_or(policy),
            reserved4: Reserved(0),
            reused_frame_id: self.reused_frame_id,
            covered_tile_count: covered,
            dropped_tile_count: dropped,
            payload_kind_bitmap: PayloadKinds::TENSOR,
            payload_frame_count: 0,
            reserved5: Reserved(0),
        })
    }

    /// Flags, class and policy that follow from the rest.
    fn worth(&self, partial: bool) -> (ResultFlags, ResultClass, BudgetPolicy) {
        let mut flags = ResultFlags::empty();
        flags.set(ResultFlags::STALE, self.stale);
        flags.set(ResultFlags::FALLBACK, self.degraded);
        flags.set(ResultFlags::PARTIAL, partial);
        let mut policy = BudgetPolicy::empty();
        policy.set(BudgetPolicy::ALLOW_STALE_REUSE, self.stale);
        policy.set(BudgetPolicy::ALLOW_DEGRADED, self.degraded);
        policy.set(BudgetPolicy::ALLOW_PARTIAL, partial);
        let class = match (self.stale, self.degraded, partial) {
            (true, _, _) => ResultClass::StaleReuse,
            (_, true, _) => ResultClass::Degraded,
            (_, _, true) => ResultClass::Partial,
            _ => ResultClass::Complete,
        };
        (flags, class, policy)
    }

    fn references(&self) -> Vec<ObjectReference> {
        let references = [
            (self.tile_index_reference, ObjectKind::TileIndexBlock),
            (self.section_table_reference, ObjectKind::TensorSectionTable),
        ];
        let references = references.into_iter();
        references
            .filter_map(|(key, kind)| Some(key?.reference(kind)))
            .collect()
    }

    fn envelope(&self, options: &ResultOptions) -> Envelope {
        let session_id = options.session_id;
        Envelope {
            view_id: options.view_id,
            trace_id: trace_id(options.trace_id, &self.trace),
            ..Envelope::frame(
                session_id.unwrap_or_else(|| name_to_id(&self.session)),
                self.frame_id,
            )
        }
    }

    /// [`Message::encode`] refuses this shape, since no reader expects it.
    fn composed(
        &self,
        options: &ResultOptions,
        metadata: &ResultPushMetadata,
        body: &ComposedBody,
    ) -> Result<Packet, ReplayError> {
        check_result(metadata, &PlacedBody::built(body, None), &Rules::COMPATIBLE)?;
        let (mut head, mut tail) = (Vec::new(), Vec::new());
        head.fixed(metadata);
        body.write(&body.prelude()?, &mut tail);
        let envelope = self.envelope(options);
        let header = Header {
            session_id: envelope.session_id,
            frame_id: envelope.frame_id,
            view_id: envelope.view_id,
            trace_id: envelope.trace_id,
            ..Header::new(MessageType::ResultPush)
        };
        Ok(Packet::new(header, head.into(), tail.into())?)
    }
}

type Field = fn(&EnhanceTile) -> (&Bytes, ReplayCodec);

/// Role and place of the payloads of tiles.
const FIELDS: &[(u16, Field)] = &[
    (100, |tile| (&tile.sr_residual, tile.sr_codec)),
    (101, |tile| (&tile.detail_residual, tile.detail_codec)),
];

/// What was not delivered is empty, and not compressed.
fn sections(ids: &[u16], delivered: &[(u16, &EnhanceTile)]) -> Result<Vec<Section>, ReplayError> {
    let mut sections = Vec::new();
    for (role_id, field) in FIELDS {
        let payload = |id: &u16| {
            let place = delivered.binary_search_by_key(id, |(id, _)| *id).ok()?;
            let (payload, codec) = field(delivered.get(place)?.1);
            Some((payload.clone(), codec))
        };
        let payloads: Vec<_> = ids
            .iter()
            .map(|id| payload(id).unwrap_or_default())
            .collect();
        let default = most_frequent(payloads.iter().map(|(_, codec)| *codec));
        sections.extend(section(*role_id, DType::UInt8, default, &payloads)?);
    }
    Ok(sections)
}
