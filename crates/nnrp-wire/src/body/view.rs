//! Received bytes that know where they stood.

use std::ops::{Deref, Range};

use bytes::Bytes;

use crate::error::{Category, WireError};

/// A part of received bytes and its offset in the packet. Only what a message keeps becomes a [`Bytes`] of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'b> {
    all: &'b Bytes,
    /// Within `all`, whatever else.
    start: usize,
    end: usize,
    /// Where `all` stood.
    all_at: usize,
}

impl<'b> View<'b> {
    #[inline]
    pub(crate) const fn new(all: &'b Bytes, at: usize) -> Self {
        Self {
            all,
            start: 0,
            end: all.len(),
            all_at: at,
        }
    }

    /// Where it stood.
    #[inline]
    pub(crate) const fn at(&self) -> usize {
        self.all_at + self.start
    }

    /// A part of it; `None` if that is not all there.
    #[inline]
    pub(crate) fn part(&self, range: Range<u64>) -> Option<Self> {
        if range.start > range.end || range.end > self.bytes_u64() {
            return None;
        }
        // Both are within the length, which is a usize.
        let start = self.start + usize::try_from(range.start).ok()?;
        let end = self.start + usize::try_from(range.end).ok()?;
        Some(Self {
            start,
            end,
            ..*self
        })
    }

    /// All behind `start`; nothing if that is behind the end.
    #[inline]
    pub(crate) fn rest(&self, start: u64) -> Self {
        let start = usize::try_from(start.min(self.bytes_u64())).unwrap_or(usize::MAX);
        Self {
            start: (self.start.saturating_add(start)).min(self.end),
            ..*self
        }
    }

    /// What is before `place` and what is behind; all of it and nothing if that is behind the end.
    #[inline]
    pub(crate) fn split(&self, place: usize) -> (Self, Self) {
        let behind = self.rest(place as u64);
        let before = Self {
            end: behind.start,
            ..*self
        };
        (before, behind)
    }

    #[inline]
    pub(crate) const fn bytes_u64(&self) -> u64 {
        (self.end - self.start) as u64
    }

    #[inline]
    pub(crate) fn to_bytes(self) -> Bytes {
        self.all.slice(self.start..self.end)
    }

    /// An error about all of it.
    pub(crate) const fn error(&self, category: Category, what: &'static str) -> WireError {
        WireError::new(category, what).at(self.at())
    }

    /// That all of it is zero.
    pub(crate) fn check_zero(&self, what: &'static str) -> Result<(), WireError> {
        match self.iter().position(|byte| *byte != 0) {
            None => Ok(()),
            Some(place) => Err(WireError::new(Category::NonzeroPadding, what)
                .at(self.at() + place)
                .found(u64::from(self[place]))
                .limit(0)),
        }
    }
}

impl Deref for View<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.all.get(self.start..self.end).unwrap_or_default()
    }
}
