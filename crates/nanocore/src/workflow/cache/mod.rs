//! Results that are used again. spec: nanograph 18

mod canonical;
mod flights;
mod key;

use futures_util::future::BoxFuture;
use nodewire_json::Json;

pub(crate) use flights::{Flight, Flights, Joined};
pub use key::{BadCacheKey, CacheKey};
pub(crate) use key::{KeyBase, is_cacheable};

/// Outputs of nodes by what they were made of. Shared by all runs.
///
/// Implementations decide what they keep, and how much of it: to forget is always right.
pub trait ResultCache: Send + Sync {
    /// The outputs under a key: an object, as they were put in.
    ///
    /// The engine drops the future when the node was stopped.
    fn get(&self, key: &CacheKey) -> BoxFuture<'static, Option<Json>>;

    /// Keeps outputs under a key, in place of earlier ones. Must return at once.
    fn put(&self, key: CacheKey, outputs: &Json);
}

/// What a run does with the result cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunCacheMode {
    /// Results are used again and kept, as each node says.
    #[default]
    Auto,
    /// Nodes are executed, their results kept in place of earlier ones.
    Refresh,
    /// Nothing is used again and nothing kept, whatever nodes say.
    Off,
}
