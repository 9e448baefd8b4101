//! Who gets a message: subscriptions by subject.
//!
//! Subjects without wildcards lie in a map, the others in a trie of tokens; both end in [`Leaf`]s. A message collects
//! the leaves of all patterns that match; [`QueueGroups`] then counts the members of a queue group by its name across
//! all of them. spec: nats-micro 2.4, 15.4
//!
//! Invariants: every walk is a loop, so that long subjects cost no stack; a pattern that nobody subscribes to any more
//! leaves nothing behind.

mod leaf;
mod queue;
mod table;
mod trie;

pub(crate) use leaf::Leaf;
pub(crate) use queue::QueueGroups;
pub(crate) use table::{Matches, Table};
