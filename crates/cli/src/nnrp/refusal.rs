//! Why a packet is not shown.

use nnrp_wire::body::{FlatBody, Section};
use nnrp_wire::inspect::message_to_json;
use nnrp_wire::{Composed, DecodeOptions, Message, Packet, ResultBody, SubmitBody, WireError};
use serde_json::Value;

/// What the answer to a packet says that is not shown.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) category: &'static str,
    /// In the packet.
    pub(super) offset: Option<usize>,
    pub(super) message: String,
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        Self {
            category: error.category.name(),
            offset: error.offset,
            message: error.to_string(),
        }
    }
}

impl Refusal {
    pub(super) fn limit(what: &str, found: u64, limit: u64, offset: Option<usize>) -> Self {
        let category = "limit_exceeded";
        let message = format!("{category}: {what} is {found}, the limit is {limit}");
        Self {
            category,
            offset,
            message,
        }
    }
}

/// What a packet may consist of, at most: each may be few bytes on the wire, or none, and takes a kilobyte as JSON.
const PARTS_MAX: u64 = 1 << 16;
/// Seven kilobytes each.
const SECTIONS_MAX: u64 = 1 << 12;
/// Of the tile index and of all sections together, a hundred bytes each.
const TILES_MAX: u64 = 1 << 19;

/// What a packet says, also as JSON.
pub(super) fn read(
    packet: &Packet,
    options: &DecodeOptions<'_>,
) -> Result<(Message, Value), Refusal> {
    let message = Message::decode(packet, options)?;
    let (sections, tiles) = sections_and_tiles(&message);
    for (what, found, limit) in [
        ("number of parts", parts(&message), PARTS_MAX),
        ("number of sections", sections, SECTIONS_MAX),
        ("number of tiles", tiles, TILES_MAX),
    ] {
        if found > limit {
            return Err(Refusal::limit(what, found, limit, None));
        }
    }
    let decoded = message_to_json(packet, &message, options);
    Ok((message, decoded))
}

/// Extensions, objects, references and payloads.
fn parts(message: &Message) -> u64 {
    let parts = if let Message::ClientHello(hello) = message {
        hello.extensions.len()
    } else if let Message::ServerHelloAck(ack) = message {
        ack.extensions.len()
    } else if let Some(composed) = composed(message) {
        let body = composed.body();
        let payloads = body.typed.len() + body.extensions.descriptors().len();
        body.inline_objects.len() + body.references.len() + payloads
    } else {
        0
    };
    parts as u64
}

fn sections_and_tiles(message: &Message) -> (u64, u64) {
    let (index, sections) = if let Some(composed) = composed(message) {
        (composed.tile_index(), composed.sections())
    } else if let Some(flat) = flat(message) {
        (Some(&flat.tile_index), Some(flat.sections.as_slice()))
    } else {
        (None, None)
    };
    let sections = sections.unwrap_or_default();
    let indexed = index.map_or(0, |index| u64::from(index.count()));
    let stored: u64 = sections.iter().map(Section::tile_count).sum();
    (sections.len() as u64, indexed + stored)
}

const fn composed(message: &Message) -> Option<&Composed> {
    if let Message::FrameSubmit(submit) = message
        && let SubmitBody::Composed(composed) = &submit.body
    {
        return Some(composed);
    }
    if let Message::ResultPush(result) = message
        && let ResultBody::Composed(composed) = &result.body
    {
        return Some(composed);
    }
    None
}

const fn flat(message: &Message) -> Option<&FlatBody> {
    if let Message::FrameSubmit(submit) = message
        && let SubmitBody::Flat(flat) = &submit.body
    {
        return Some(flat);
    }
    if let Message::ResultPush(result) = message
        && let ResultBody::Flat(flat) = &result.body
    {
        return Some(flat);
    }
    None
}
