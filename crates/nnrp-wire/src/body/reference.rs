//! References to objects in the cache. spec: nnrp-wire 4.4, 6

use bytes::Bytes;

use super::View;
use crate::encode::Sink;
use crate::error::{Category, WireError};
use crate::field::{Fixed, Zero, fixed};
use crate::numbers::ObjectKind;

fixed! {
    /// A reference to a cached object.
    ObjectReferenceBlock[16] {
        /// What the object is.
        0 object_kind: ObjectKind,
        /// Zero.
        2 ref_flags: Zero<u16>,
        /// Of the key.
        4 cache_namespace: u32,
        /// The upper half of the key.
        8 cache_key_hi: u32,
        /// The lower half of the key.
        12 cache_key_lo: u32,
    }
}

/// A reference to a cached object. References compare in the order that results need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectReference {
    /// What the object is.
    pub kind: ObjectKind,
    /// Of the key.
    pub namespace: u32,
    /// The key.
    pub key: u64,
}

impl ObjectReference {
    /// Bytes on the wire.
    pub const BYTES: usize = ObjectReferenceBlock::BYTES;

    /// Reads one.
    ///
    /// # Errors
    /// [`Category::FixedLengthMismatch`], then the rules of a reference.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let name = "object reference";
        ObjectReferenceBlock::read_whole(bytes, Category::FixedLengthMismatch, name).map(Into::into)
    }

    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        self.block().write(&mut out, 0);
        out
    }

    /// A reference to an object of this kind.
    #[must_use]
    pub const fn new(kind: ObjectKind, namespace: u32, key: u64) -> Self {
        Self {
            kind,
            namespace,
            key,
        }
    }

    /// The same, if it is to an object of this kind.
    ///
    /// # Errors
    /// [`Category::WrongKind`].
    pub fn expect_kind(self, kind: ObjectKind) -> Result<Self, WireError> {
        check_kind(self.kind, kind).map(|()| self)
    }

    /// A region of references, in this order.
    #[must_use]
    pub fn encode_all(references: &[Self]) -> Vec<u8> {
        references.iter().flat_map(Self::encode).collect()
    }

    /// Reads a region of references.
    ///
    /// # Errors
    /// [`Category::RegionSizeNotMultiple`], then the rules of a reference.
    pub fn decode_all(region: &Bytes) -> Result<Vec<Self>, WireError> {
        Self::decode_region(&View::new(region, 0))
    }

    pub(crate) fn block(&self) -> ObjectReferenceBlock {
        let [a, b, c, d, e, f, g, h] = self.key.to_be_bytes();
        ObjectReferenceBlock {
            object_kind: self.kind,
            ref_flags: Zero::default(),
            cache_namespace: self.namespace,
            cache_key_hi: u32::from_be_bytes([a, b, c, d]),
            cache_key_lo: u32::from_be_bytes([e, f, g, h]),
        }
    }

    pub(crate) fn decode_region(region: &View<'_>) -> Result<Vec<Self>, WireError> {
        decode_table(
            region,
            "object references",
            |block: ObjectReferenceBlock| block.into(),
        )
    }
}

impl From<ObjectReferenceBlock> for ObjectReference {
    fn from(block: ObjectReferenceBlock) -> Self {
        Self {
            kind: block.object_kind,
            namespace: block.cache_namespace,
            key: u64::from(block.cache_key_hi) << 32 | u64::from(block.cache_key_lo),
        }
    }
}

/// That an object is of the expected kind.
pub(super) fn check_kind(kind: ObjectKind, expected: ObjectKind) -> Result<(), WireError> {
    if kind == expected {
        return Ok(());
    }
    let error = WireError::new(Category::WrongKind, "object_kind");
    Err(error
        .found(kind.number().into())
        .limit(expected.number().into()))
}

/// Fixed structures back to back.
pub(super) fn encode_table<T: Fixed>(entries: &[T]) -> Vec<u8> {
    let mut table = Vec::with_capacity(entries.len() * T::BYTES);
    entries.iter().for_each(|entry| table.fixed(entry));
    table
}

/// A table of fixed structures that is all of `region`.
pub(super) fn decode_table<T: Fixed, E>(
    region: &View<'_>,
    name: &'static str,
    entry: impl Fn(T) -> E,
) -> Result<Vec<E>, WireError> {
    check_multiple(region.bytes_u64(), T::BYTES as u64, name, region.at())?;
    let entries = region.chunks_exact(T::BYTES);
    let mut decoded = Vec::with_capacity(entries.len());
    for (place, bytes) in entries.enumerate() {
        let at = region.at() + place * T::BYTES;
        let read = T::read(bytes, 0).map_err(|error| error.moved(at))?;
        decoded.push(entry(read));
    }
    Ok(decoded)
}

/// That a region is a whole number of entries.
pub(super) fn check_multiple(
    bytes: u64,
    entry_bytes: u64,
    name: &'static str,
    at: usize,
) -> Result<(), WireError> {
    if bytes.is_multiple_of(entry_bytes) {
        return Ok(());
    }
    let error = WireError::new(Category::RegionSizeNotMultiple, name).at(at);
    Err(error.found(bytes).limit(entry_bytes))
}
