//! Which tiles a frame has. spec: nnrp-wire 5.2

use bytes::Bytes;

use super::View;
use crate::error::{Category, WireError};
use crate::numbers::TileIndexMode;
use crate::rules::Rules;

/// Tile ids, as they are written.
///
/// ```
/// use nnrp_wire::TileIndexMode;
/// use nnrp_wire::body::TileIndex;
///
/// let index = TileIndex::encode(&[1, 4, 9], TileIndexMode::Bitset, 0)?;
/// assert_eq!(index.as_bytes().as_ref(), [0x12, 0x02]);
/// assert_eq!(index.ids().collect::<Vec<_>>(), [1, 4, 9]);
/// # Ok::<(), nnrp_wire::WireError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileIndex {
    mode: TileIndexMode,
    base_id: u32,
    count: u16,
    bytes: Bytes,
}

/// The largest id that can be written.
const ID_MAX: u64 = u16::MAX as u64;

impl TileIndex {
    /// Writes ids. `base_id` is the first of a dense range; other modes carry it in the metadata and do not use it.
    ///
    /// # Errors
    /// [`Category::ValueOutOfRange`] for more than 65535 ids; [`Category::TileIdsNotContiguous`] if a dense range is none,
    /// or goes beyond 65535; [`Category::TileIdsNotIncreasing`] in the modes that need it.
    pub fn encode(ids: &[u16], mode: TileIndexMode, base_id: u32) -> Result<Self, WireError> {
        let count = u16::try_from(ids.len()).map_err(|_| {
            WireError::new(Category::ValueOutOfRange, "tile_count")
                .found(ids.len() as u64)
                .limit(ID_MAX)
        })?;
        let bytes = match mode {
            TileIndexMode::DenseRange => {
                check_dense(ids, base_id)?;
                Vec::new()
            }
            TileIndexMode::RawU16 => {
                let mut bytes = Vec::with_capacity(ids.len() * 2);
                ids.iter()
                    .for_each(|id| bytes.extend_from_slice(&id.to_le_bytes()));
                bytes
            }
            TileIndexMode::DeltaU16 => {
                check_increasing(ids)?;
                let before = std::iter::once(0).chain(ids.iter().copied());
                let deltas = ids.iter().zip(before).map(|(id, before)| id - before);
                deltas.flat_map(u16::to_le_bytes).collect()
            }
            TileIndexMode::Bitset => {
                check_increasing(ids)?;
                bitset(ids)
            }
        };
        Ok(Self {
            mode,
            base_id,
            count,
            bytes: bytes.into(),
        })
    }

    /// Reads a tile index that is all of `bytes`. spec: nnrp-wire 7.4
    ///
    /// # Errors
    /// [`Category::TileIndexLengthMismatch`], [`Category::TileIndexCountMismatch`]; [`Category::ValueOutOfRange`] unless the
    /// rules let ids be large.
    pub fn decode(
        bytes: &Bytes,
        mode: TileIndexMode,
        count: u16,
        base_id: u32,
        rules: &Rules,
    ) -> Result<Self, WireError> {
        let view = View::new(bytes, 0);
        Self::read(&view, mode, count, base_id, rules)
    }

    /// Reads a tile index that is all of `view`.
    pub(crate) fn read(
        view: &View<'_>,
        mode: TileIndexMode,
        count: u16,
        base_id: u32,
        rules: &Rules,
    ) -> Result<Self, WireError> {
        let wrong_length = |limit: u64| {
            let error = view.error(Category::TileIndexLengthMismatch, "tile index");
            error.found(view.bytes_u64()).limit(limit)
        };
        match mode {
            TileIndexMode::DenseRange if !view.is_empty() => return Err(wrong_length(0)),
            TileIndexMode::RawU16 | TileIndexMode::DeltaU16
                if view.bytes_u64() != 2 * u64::from(count) =>
            {
                return Err(wrong_length(2 * u64::from(count)));
            }
            TileIndexMode::Bitset => {
                let set: u64 = view.iter().map(|byte| u64::from(byte.count_ones())).sum();
                if set != u64::from(count) {
                    let error = view.error(Category::TileIndexCountMismatch, "tile index");
                    return Err(error.found(set).limit(u64::from(count)));
                }
            }
            TileIndexMode::DenseRange | TileIndexMode::RawU16 | TileIndexMode::DeltaU16 => {}
        }
        let index = Self {
            mode,
            base_id,
            count,
            bytes: view.to_bytes(),
        };
        if !rules.large_tile_ids {
            index.check_ids(view.at())?;
        }
        Ok(index)
    }

    /// Ids ascend in all modes but `RAW_U16`, whose ids have 16 bits.
    fn check_ids(&self, at: usize) -> Result<(), WireError> {
        let last = match self.mode {
            TileIndexMode::RawU16 => None,
            TileIndexMode::DenseRange => {
                let after = u64::from(self.base_id) + u64::from(self.count);
                (self.count > 0).then(|| after - 1)
            }
            TileIndexMode::DeltaU16 | TileIndexMode::Bitset => self.ids().last(),
        };
        match last.filter(|last| *last > ID_MAX) {
            None => Ok(()),
            Some(last) => Err(WireError::new(Category::ValueOutOfRange, "tile id")
                .at(at)
                .found(last)
                .limit(ID_MAX)),
        }
    }

    /// How they are written.
    #[must_use]
    pub const fn mode(&self) -> TileIndexMode {
        self.mode
    }

    /// The first of a dense range; carried in other modes.
    #[must_use]
    pub const fn base_id(&self) -> u32 {
        self.base_id
    }

    /// How many.
    #[must_use]
    pub const fn count(&self) -> u16 {
        self.count
    }

    /// The bytes on the wire; none for a dense range.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The ids; above 65535 only where [`Rules::large_tile_ids`] lets them be.
    #[must_use]
    pub fn ids(&self) -> TileIds<'_> {
        TileIds {
            index: self,
            next: 0,
            end: u64::from(self.count),
            sum: 0,
            bit: 0,
        }
    }
}

fn check_dense(ids: &[u16], base_id: u32) -> Result<(), WireError> {
    let expected = (0_u64..).map(|place| u64::from(base_id) + place);
    match ids
        .iter()
        .zip(expected)
        .find(|(id, expected)| u64::from(**id) != *expected)
    {
        None => Ok(()),
        Some((id, expected)) => Err(WireError::new(Category::TileIdsNotContiguous, "tile id")
            .found(u64::from(*id))
            .limit(expected)),
    }
}

fn check_increasing(ids: &[u16]) -> Result<(), WireError> {
    match ids.windows(2).find(|pair| pair[0] >= pair[1]) {
        None => Ok(()),
        Some(pair) => Err(WireError::new(Category::TileIdsNotIncreasing, "tile id")
            .found(u64::from(pair[1]))
            .limit(u64::from(pair[0]))),
    }
}

fn bitset(ids: &[u16]) -> Vec<u8> {
    let bytes = ids.last().map_or(0, |last| usize::from(*last) / 8 + 1);
    let mut set = vec![0; bytes];
    for id in ids {
        set[usize::from(*id) / 8] |= 1 << (id % 8);
    }
    set
}

/// The ids of a [`TileIndex`], in the order in which they are written.
#[derive(Debug, Clone)]
pub struct TileIds<'i> {
    index: &'i TileIndex,
    next: u64,
    end: u64,
    /// Of the differences so far.
    sum: u64,
    /// The next bit to look at.
    bit: u64,
}

impl TileIds<'_> {
    fn u16_at(&self, place: u64) -> u64 {
        let at = usize::try_from(place * 2).unwrap_or(usize::MAX);
        let bytes = self
            .index
            .bytes
            .get(at..)
            .and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u64::from(u16::from_le_bytes(*bytes)))
    }

    fn next_bit(&mut self) -> Option<u64> {
        loop {
            let byte = *self.index.bytes.get(usize::try_from(self.bit / 8).ok()?)?;
            let rest = u32::from(byte) >> (self.bit % 8);
            if rest != 0 {
                let id = self.bit + u64::from(rest.trailing_zeros());
                self.bit = id + 1;
                return Some(id);
            }
            self.bit = (self.bit / 8 + 1) * 8;
        }
    }
}

impl Iterator for TileIds<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.next == self.end {
            return None;
        }
        let place = self.next;
        self.next += 1;
        match self.index.mode {
            TileIndexMode::DenseRange => Some(u64::from(self.index.base_id) + place),
            TileIndexMode::RawU16 => Some(self.u16_at(place)),
            TileIndexMode::DeltaU16 => {
                self.sum += self.u16_at(place);
                Some(self.sum)
            }
            TileIndexMode::Bitset => self.next_bit(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.end - self.next).unwrap_or(usize::MAX);
        (left, Some(left))
    }
}

impl ExactSizeIterator for TileIds<'_> {}
