//! Objects in a composed body. spec: nnrp-wire 4.3

use std::borrow::Cow;

use bytes::Bytes;

use super::flat::{tensor_bytes, write_tensor};
use super::reference::check_kind;
use super::section::field_u32;
use super::{Section, TileIndex, View};
use crate::encode::Sink;
use crate::error::{Category, WireError};
use crate::field::{Fixed, Zero, align8, chunk, fixed};
use crate::numbers::ObjectKind;

fixed! {
    /// What an inline object is.
    InlineObjectHeader[16] {
        /// What it is.
        0 object_kind: ObjectKind,
        /// Zero.
        2 object_flags: Zero<u16>,
        /// For applications.
        4 profile_id: u16,
        /// Zero.
        6 reserved0: Zero<u16>,
        /// Bytes of its payload.
        8 object_bytes: u32,
        /// Zero.
        12 reserved1: Zero<u32>,
    }
}

/// An object in a composed body.
#[derive(Debug, Clone)]
pub struct InlineObject {
    /// What it is.
    pub kind: ObjectKind,
    /// For applications; 0 in what this crate builds.
    pub profile_id: u16,
    pub(super) content: Content,
}

/// What an object holds.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// Its bytes.
    Bytes(Bytes),
    /// Sections that are put one behind the other when they are written, so that their payloads need not be copied.
    Sections(Vec<Section>),
}

impl PartialEq for InlineObject {
    fn eq(&self, other: &Self) -> bool {
        let head = |object: &Self| (object.kind, object.profile_id);
        head(self) == head(other) && self.content() == other.content()
    }
}

impl Eq for InlineObject {}

const HEAD: u64 = InlineObjectHeader::BYTES as u64;
const PADDING: &str = "inline object padding";

impl InlineObject {
    /// An object of this kind with profile 0.
    #[must_use]
    pub const fn new(kind: ObjectKind, payload: Bytes) -> Self {
        Self {
            kind,
            profile_id: 0,
            content: Content::Bytes(payload),
        }
    }

    /// A camera block.
    #[must_use]
    pub const fn camera(payload: Bytes) -> Self {
        Self::new(ObjectKind::CameraBlock, payload)
    }

    /// A tile index; for a dense range it is empty, and must be there all the same (Q32).
    #[must_use]
    pub fn tile_index(index: &TileIndex) -> Self {
        Self::new(ObjectKind::TileIndexBlock, index.as_bytes().clone())
    }

    /// A table of these sections.
    #[must_use]
    pub const fn section_table(sections: Vec<Section>) -> Self {
        Self {
            kind: ObjectKind::TensorSectionTable,
            profile_id: 0,
            content: Content::Sections(sections),
        }
    }

    /// The same, with something for applications.
    #[must_use]
    pub fn with_profile(self, profile_id: u16) -> Self {
        Self { profile_id, ..self }
    }

    /// The same, if it is of this kind.
    ///
    /// # Errors
    /// [`Category::WrongKind`].
    pub fn expect_kind(self, kind: ObjectKind) -> Result<Self, WireError> {
        check_kind(self.kind, kind).map(|()| self)
    }

    /// Its content; copied together if it was built of sections.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        self.content().into_owned()
    }

    pub(super) fn content(&self) -> Cow<'_, Bytes> {
        match &self.content {
            Content::Bytes(bytes) => Cow::Borrowed(bytes),
            Content::Sections(sections) => {
                let mut bytes = Vec::new();
                write_tensor(&Bytes::new(), sections, &mut bytes);
                Cow::Owned(bytes.into())
            }
        }
    }

    /// Bytes of its content.
    pub(super) fn object_bytes(&self) -> u64 {
        match &self.content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Sections(sections) => tensor_bytes(&Bytes::new(), sections),
        }
    }

    /// The bytes on the wire, padding included.
    ///
    /// # Errors
    /// [`Category::ValueOutOfRange`] if it is longer than an object can be.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        field_u32(self.object_bytes(), "object_bytes")?;
        let mut out = Vec::new();
        self.write(&mut out);
        Ok(out)
    }

    /// Reads a region of objects. spec: nnrp-wire 7.4
    ///
    /// # Errors
    /// The rules of an object, then [`Category::NonzeroPadding`].
    pub fn decode_all(region: &Bytes) -> Result<Vec<Self>, WireError> {
        Self::decode_region(&View::new(region, 0))
    }

    /// Paddings are looked at once all objects are found.
    pub(crate) fn decode_region(region: &View<'_>) -> Result<Vec<Self>, WireError> {
        // All of them at once: what grows has twice the room that it needs, and is there twice while it grows.
        let mut objects: Vec<Self> = Vec::with_capacity(Self::count(region));
        let mut at = 0;
        while at < region.bytes_u64() {
            let (object, _, bytes) = Self::decode_first(&region.rest(at))?;
            objects.push(object);
            at += bytes;
        }
        let mut at = 0;
        for object in &objects {
            let end = at + object.wire_bytes();
            let padding = region.part(at + HEAD + object.object_bytes()..end);
            padding.map_or(Ok(()), |padding| padding.check_zero(PADDING))?;
            at = end;
        }
        Ok(objects)
    }

    /// How many objects the lengths in a region tell of, whole or not.
    fn count(region: &View<'_>) -> usize {
        let mut rest = *region;
        let mut count = 0;
        while !rest.is_empty() {
            let object_bytes = u32::from_le_bytes(chunk(&rest, 8));
            rest = rest.rest(align8(HEAD + u64::from(object_bytes)));
            count += 1;
        }
        count
    }

    /// Reads exactly one object, its padding included. spec: nnrp-wire 7.4
    ///
    /// # Errors
    /// [`Category::InlineObjectTruncated`] if it is short, or anything follows; and the rules of an object.
    pub fn decode(bytes: &Bytes) -> Result<Self, WireError> {
        let view = View::new(bytes, 0);
        let (object, padding, end) = Self::decode_first(&view)?;
        if end != view.bytes_u64() {
            let error = view.error(Category::InlineObjectTruncated, "inline object");
            return Err(error.found(view.bytes_u64()).limit(end));
        }
        padding.check_zero(PADDING)?;
        Ok(object)
    }

    /// An object, its padding, and the bytes of both.
    fn decode_first<'b>(rest: &View<'b>) -> Result<(Self, View<'b>, u64), WireError> {
        let truncated = |limit| {
            let error = rest.error(Category::InlineObjectTruncated, "inline object");
            error.found(rest.bytes_u64()).limit(limit)
        };
        if rest.bytes_u64() < HEAD {
            return Err(truncated(HEAD));
        }
        let header = InlineObjectHeader::read(rest, 0).map_err(|error| error.moved(rest.at()))?;
        let end = HEAD + u64::from(header.object_bytes);
        let padded_end = align8(end);
        let parts = rest.part(HEAD..end).zip(rest.part(end..padded_end));
        let (payload, padding) = parts.ok_or_else(|| truncated(padded_end))?;
        let object = Self {
            kind: header.object_kind,
            profile_id: header.profile_id,
            content: Content::Bytes(payload.to_bytes()),
        };
        Ok((object, padding, padded_end))
    }

    pub(crate) fn wire_bytes(&self) -> u64 {
        align8(HEAD + self.object_bytes())
    }

    pub(crate) fn write(&self, sink: &mut impl Sink) {
        let header = InlineObjectHeader {
            object_kind: self.kind,
            object_flags: Zero::default(),
            profile_id: self.profile_id,
            reserved0: Zero::default(),
            // The whole region fits 32 bits, which is checked first.
            object_bytes: u32::try_from(self.object_bytes()).unwrap_or(u32::MAX),
            reserved1: Zero::default(),
        };
        sink.fixed(&header);
        match &self.content {
            Content::Bytes(bytes) => sink.payload(bytes),
            Content::Sections(sections) => write_tensor(&Bytes::new(), sections, sink),
        }
        sink.pad8(HEAD + self.object_bytes());
    }
}
