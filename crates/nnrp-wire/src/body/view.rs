//! Received bytes that know where they stood.

use std::ops::{Deref, Range};

use bytes::Bytes;

use crate::error::{Category, WireError};

/// A part of a packet and its offset in it.
#[derive(Debug, Clone)]
pub(crate) struct View {
    bytes: Bytes,
    at: usize,
}

impl View {
    pub(crate) const fn new(bytes: Bytes, at: usize) -> Self {
        Self { bytes, at }
    }

    /// Where it stood.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// A part of it; `None` if that is not all there.
    pub(crate) fn part(&self, range: Range<u64>) -> Option<Self> {
        let start = usize::try_from(range.start).ok()?;
        let end = usize::try_from(range.end).ok()?;
        (start <= end && end <= self.bytes.len()).then(|| Self {
            bytes: self.bytes.slice(start..end),
            at: self.at + start,
        })
    }

    /// All behind `start`; nothing if that is behind the end.
    pub(crate) fn rest(&self, start: u64) -> Self {
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let start = start.min(self.bytes.len());
        Self {
            bytes: self.bytes.slice(start..),
            at: self.at + start,
        }
    }

    pub(crate) fn bytes_u64(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// An error about all of it.
    pub(crate) fn error(&self, category: Category, what: &'static str) -> WireError {
        WireError::new(category, what).at(self.at)
    }

    /// That all of it is zero.
    pub(crate) fn check_zero(&self, what: &'static str) -> Result<(), WireError> {
        match self.bytes.iter().position(|byte| *byte != 0) {
            None => Ok(()),
            Some(place) => Err(WireError::new(Category::NonzeroPadding, what)
                .at(self.at + place)
                .found(u64::from(self.bytes[place]))
                .limit(0)),
        }
    }
}

impl Deref for View {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}
