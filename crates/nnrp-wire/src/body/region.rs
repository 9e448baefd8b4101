//! Regions of payloads, and the tables that say where each is. spec: nnrp-wire 4.2

use bytes::Bytes;

use super::{TypedPayloadDescriptor, View};
use crate::encode::Sink;
use crate::error::{Category, WireError};

/// What payloads are slices of.
#[derive(Debug, Clone)]
pub(super) enum Region {
    /// As it was received.
    Whole(Bytes),
    /// Back to back, one for each descriptor.
    Parts(Vec<Bytes>),
}

impl PartialEq for Region {
    fn eq(&self, other: &Self) -> bool {
        self.to_bytes() == other.to_bytes()
    }
}

impl Eq for Region {}

impl Default for Region {
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl Region {
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Parts(parts) => parts.iter().map(|part| part.len() as u64).sum(),
        }
    }

    /// The payload of the descriptor at this place.
    pub(super) fn payload(&self, place: usize, offset: u32, length: u32) -> Bytes {
        match self {
            Self::Parts(parts) => parts.get(place).cloned().unwrap_or_default(),
            Self::Whole(bytes) => {
                // Checked when it was read.
                let end = (offset as usize + length as usize).min(bytes.len());
                bytes.slice((offset as usize).min(end)..end)
            }
        }
    }

    /// Adds a payload behind so many others; one alone needs no list.
    fn push(&mut self, payload: Bytes, place: usize) {
        match self {
            Self::Whole(first) if place == 0 => *first = payload,
            Self::Whole(first) => *self = Self::Parts(vec![std::mem::take(first), payload]),
            Self::Parts(parts) => parts.push(payload),
        }
    }

    pub(super) fn write(&self, sink: &mut impl Sink) {
        match self {
            Self::Whole(bytes) => sink.payload(bytes),
            Self::Parts(parts) => parts.iter().for_each(|part| sink.payload(part)),
        }
    }

    /// All of it in one piece.
    pub(super) fn to_bytes(&self) -> Bytes {
        match self {
            Self::Whole(bytes) => bytes.clone(),
            Self::Parts(parts) => parts.concat().into(),
        }
    }
}

/// Lays payloads out back to back.
#[derive(Debug, Default)]
pub(super) struct Packer {
    pub(super) region: Region,
    count: usize,
    end: u64,
}

impl Packer {
    /// Offset and length.
    pub(super) fn push(&mut self, payload: Bytes) -> Result<(u32, u32), WireError> {
        let offset = self.end;
        self.end += payload.len() as u64;
        let end = super::section::field_u32(self.end, "payload region")?;
        self.region.push(payload, self.count);
        self.count += 1;
        // Both are smaller than the end.
        let offset = u32::try_from(offset).unwrap_or(end);
        Ok((offset, end - offset))
    }
}

/// Payloads lie behind one another in their region; `field_at` is where a descriptor has its offset. spec: nnrp-wire 4.2
pub(super) fn check_extents(
    extents: impl Iterator<Item = (u32, u32)>,
    table: &View<'_>,
    region_bytes: u64,
    field_at: usize,
) -> Result<(), WireError> {
    let mut end = 0;
    for (place, (offset, length)) in extents.enumerate() {
        let (offset, length) = (u64::from(offset), u64::from(length));
        let error = |category| {
            let at = table.at() + place * TypedPayloadDescriptor::BYTES + field_at;
            WireError::new(category, "payload_offset").at(at)
        };
        if offset < end {
            return Err(error(Category::DescriptorOverlap).found(offset).limit(end));
        }
        end = offset + length;
        if end > region_bytes {
            return Err(error(Category::DescriptorOutOfRange)
                .found(end)
                .limit(region_bytes));
        }
    }
    Ok(())
}
