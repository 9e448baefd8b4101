//! Runs of workflows: their queue, their history, and what of them outlives the process. spec: nanograph 16, 19.3
//!
//! A [`RunManager`] takes [`RunRequest`]s, runs a few of them at a time by priority, tells the
//! [`EventHub`](crate::events::EventHub) what happens, and keeps what came of them in the
//! [`Database`](crate::db::Database). A run with `durable: true` keeps each finished step before its successors start,
//! and goes on from there after the process was killed. [`SqliteCache`] is the result cache in the same file.
//!
//! Inside: `request` (what is asked for), `queue` (who is next; pure), `manager` (the calls; what they take and answer is in
//! `calls`), `planning` (which nodes a run executes), `drive` (one run from its
//! start to its end), `offers` (runs that wait for
//! node servers), `live` (what is known of a run while it runs), `store` (the rows), `steps` (the step log), `cache`,
//! `room` (a database at its limit), `unkept` (ends that cannot be written).
//!
//! Invariants: a run that was accepted is on disk; each ends once, and its end is told after it is on disk, or, where
//! that is not possible soon, with `notKept`: the run keeps its place and its end in memory then, until it is on disk.
//! Whoever watches or asks never slows a run; queue, history and cache have limits; the oldest finished runs are
//! forgotten for the history's limits, and for a database at its own, only if that makes the room that is needed. A full
//! disk makes nobody forget anything.

mod budget;
mod cache;
mod calls;
mod drive;
mod ending;
mod error;
mod live;
mod manager;
mod offers;
mod options;
mod planning;
mod queue;
mod record;
mod request;
mod room;
mod shared;
mod startup;
mod steps;
mod store;
mod submission;
mod unkept;

pub use cache::{CacheCounters, CacheOptions, SqliteCache};
pub use calls::{Aborted, QueueChange, QueueChanged, Rerun, Submitted, Validation};
pub use error::{RunError, StartError, SubmitError};
pub use manager::{RunManager, RunManagerParts};
pub use offers::{MissingNode, ServerWait, WaitingForServers};
pub use options::{RunManagerCounters, RunManagerOptions};
pub use queue::{QueueView, RunningRun, WaitingRun};
pub use record::{NodeRecord, Page, RunFilter, RunRecord, RunState, RunSummary, Time};
pub use request::{Overrides, RequestCache, RequestOnError, RequestTypes, RunRequest};
pub use unkept::UnkeptRuns;
