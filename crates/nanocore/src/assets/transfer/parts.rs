//! Whom assets are copied from and to, the limits, the counts, the errors.

use std::time::Duration;

use nanograph::assets::AssetError;

use crate::assets::auth::Token;
use crate::assets::error::StoreError;

/// An asset server that is not this orchestrator's own, and the token it wants.
#[derive(Debug, Clone)]
pub struct ForeignAssets {
    /// The base address, `http://` or `https://`.
    pub endpoint: String,
    /// What it lets callers in with.
    pub token: Token,
}

impl PartialEq for ForeignAssets {
    fn eq(&self, other: &Self) -> bool {
        self.endpoint == other.endpoint && self.token.matches(other.token.reveal())
    }
}

impl Eq for ForeignAssets {}

/// The limits of copies. How long an asset may be is the store's own limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferOptions {
    /// Copies at a time, over all servers; further ones wait. Default 4.
    pub copies_max: usize,
    /// How long one copy may take once it has begun. One that stands still is given up after 60 s in any case.
    /// Default 1 h.
    pub copy_timeout: Duration,
}

impl Default for TransferOptions {
    fn default() -> Self {
        Self {
            copies_max: 4,
            copy_timeout: Duration::from_secs(3_600),
        }
    }
}

/// What became of copies so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransferCounters {
    /// Assets copied into the store.
    pub imported: u64,
    /// Assets copied to other servers.
    pub exported: u64,
    /// Assets that were there already.
    pub present: u64,
    /// Bytes of the assets copied, in both directions.
    pub bytes: u64,
    /// Copies that failed.
    pub failed: u64,
    /// Copies nobody waited for any more.
    pub cancelled: u64,
}

/// Why an asset was not copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The other server refused, broke off, or cannot be reached.
    #[error(transparent)]
    Foreign(#[from] AssetError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What arrived does not have the hash it should have.
    #[error("the content that arrived has another hash")]
    OtherContent,
    /// The other server stored the asset, but its answer does not say how to name it.
    #[error("the asset server does not say how it names the asset")]
    NoName,
    /// It took longer than [`TransferOptions::copy_timeout`].
    #[error("the copy was not done after {limit_s} s")]
    TimedOut {
        /// The limit, in seconds.
        limit_s: u64,
    },
}
