//! Which tiles a result has, and which it should have. spec: nnrp-session 7.2

use super::frame_features::count;
use super::{EnhanceResult, EnhanceTile, ReplayError, ResultOptions};

impl EnhanceResult {
    /// Those that were requested, or else delivered.
    pub(super) fn tile_ids(
        &self,
        delivered: &[(u16, &EnhanceTile)],
    ) -> Result<Vec<u16>, ReplayError> {
        let delivered = delivered.iter().map(|(id, _)| *id);
        let Some(requested) = &self.requested_tile_ids else {
            return Ok(delivered.collect());
        };
        let mut requested = requested.clone();
        requested.sort_unstable();
        if requested.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(ReplayError::DuplicateRequest);
        }
        let missing: Vec<u16> = delivered
            .filter(|id| requested.binary_search(id).is_err())
            .collect();
        if missing.is_empty() {
            Ok(requested)
        } else {
            Err(ReplayError::NotRequested(missing))
        }
    }

    /// Which tiles were dropped can only be told from those that were requested.
    pub(super) fn check_dropped_known(&self, tiles: usize) -> Result<(), ReplayError> {
        if let Some(covered) = self.covered_tile_count {
            let expected = u32::from(covered) + u32::from(self.dropped_tile_count.unwrap_or(0));
            if expected as usize > tiles {
                return Err(ReplayError::DroppedUnknown {
                    expected,
                    found: tiles,
                });
            }
        }
        Ok(())
    }

    /// Covered and dropped tiles.
    pub(super) fn counts(
        &self,
        tiles: usize,
        delivered: usize,
        options: &ResultOptions,
    ) -> Result<(u16, u16), ReplayError> {
        let default_covered = if options.missing_as_covered {
            tiles
        } else {
            delivered
        };
        let default_dropped = match self.covered_tile_count {
            Some(_) => 0,
            None => tiles - default_covered,
        };
        let covered = match self.covered_tile_count {
            Some(covered) => usize::from(covered),
            None => default_covered,
        };
        let dropped = match self.dropped_tile_count {
            Some(dropped) => usize::from(dropped),
            None => default_dropped,
        };
        if dropped > tiles {
            return Err(ReplayError::TooManyDropped {
                dropped: dropped as u64,
                tiles: tiles as u64,
            });
        }
        if covered + dropped != tiles {
            return Err(ReplayError::Coverage {
                covered: covered as u64,
                dropped: dropped as u64,
                tiles: tiles as u64,
            });
        }
        Ok((count(covered)?, count(dropped)?))
    }
}

/// A result has each tile once.
pub(super) fn check_once(delivered: &[(u16, &EnhanceTile)]) -> Result<(), ReplayError> {
    match delivered.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(ReplayError::DuplicateTile(pair[0].0)),
        None => Ok(()),
    }
}
