//! Keeping what is published, in an SQLite file, for clients that were away.
//!
//! Feature `event-log`. What a service numbers ([`ServiceBuilder::sequence`](crate::ServiceBuilder::sequence)) is kept
//! before it is published: what a subscriber has seen is in the log, also if the process is killed at any moment. One
//! thread owns the file and writes what has come up meanwhile in one transaction; another reads for replays. The numbers
//! go on after a restart.
//!
//! Raw publications, heartbeats and topics of the application's own are not kept.

#[cfg(not(feature = "event-log"))]
mod absent;
#[cfg(feature = "event-log")]
mod file;
#[cfg(feature = "event-log")]
mod reader;
#[cfg(feature = "event-log")]
mod retention;
#[cfg(feature = "event-log")]
mod store;

#[cfg(not(feature = "event-log"))]
pub(crate) use absent::{Reader, Store};
#[cfg(feature = "event-log")]
pub(crate) use {reader::Reader, store::Store};

use std::path::PathBuf;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::sequence::NUMBERED;
use crate::topic::Topic;

/// Where events are kept, and how many.
///
/// ```
/// use autotrainer_api::EventLogOptions;
///
/// let options = EventLogOptions { age_max_s: 7 * 24 * 60 * 60, ..EventLogOptions::at("/var/lib/box-7/events.db") };
/// # let _ = options;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventLogOptions {
    /// The file; `events.db`. SQLite puts `-wal` and `-shm` beside it, this crate a `.lock`. Not on a network's file
    /// system, not memory, not a URI, and without hard links. A symbolic link is followed.
    pub path: PathBuf,
    /// What is kept, of the topics that can be numbered: `EVENT`, `EMERGENCY`, `PROPERTY_CHANGE` and `COMMAND_RESULT`, all
    /// unless said. What is not kept is not numbered either.
    pub topics: Vec<Topic>,
    /// Events that are kept; beyond them the oldest go. 1 000 000.
    pub events_max: u64,
    /// Bytes of payloads that are kept; beyond them the oldest go. 1 GiB, which makes a file of about one and a half.
    pub payload_bytes_max: u64,
    /// Seconds that an event is kept; older ones go with the next that is written. 30 days.
    pub age_max_s: u64,
    /// Bytes of the file; what would make it longer fails, as on a full disk. 4 GiB.
    pub file_bytes_max: u64,
    /// What the log survives; [`Durability::ProcessKilled`] unless said.
    pub durability: Durability,
    /// What is done when an event cannot be kept; [`OnLogFailure::Publish`] unless said.
    pub on_failure: OnLogFailure,
    /// Milliseconds to wait for another program that holds the file; 1000. Publications wait as long, the first time.
    pub lock_wait_ms: u64,
}

/// What the log survives without a loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The end of the process, by whatever. When the machine loses power, the last seconds may be lost, and their numbers
    /// are given again: choose the other if that must not be.
    #[default]
    ProcessKilled,
    /// The end of the machine too: every transaction waits for the disk.
    PowerLost,
}

/// What is done with a publication that cannot be kept: the disk is full, the file damaged or held by another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLogFailure {
    /// It is published all the same, and counted (`log_not_kept`).
    #[default]
    Publish,
    /// It waits, and so does what comes after it, until it can be kept: nothing is published that is not kept. What
    /// becomes of the publications behind it says [`WhenFull`](crate::WhenFull). Heartbeats and commands go on.
    HoldBack,
}

impl EventLogOptions {
    /// In this file.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            topics: NUMBERED.to_vec(),
            events_max: 1_000_000,
            payload_bytes_max: 1 << 30,
            age_max_s: 30 * 24 * 60 * 60,
            file_bytes_max: 4 << 30,
            durability: Durability::default(),
            on_failure: OnLogFailure::default(),
            lock_wait_ms: 1000,
        }
    }
}

impl Default for EventLogOptions {
    fn default() -> Self {
        Self::at("events.db")
    }
}

/// Why a log cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EventLogError {
    /// This program was built without it.
    #[error("this program was built without an event log; build it with the feature `event-log`")]
    NotBuilt,
    /// Another service keeps its events there.
    #[error("{path} is the event log of a service that is running; choose another file")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// SQLite would take the path for something else than a file.
    #[error("{path:?} is no path of a file; an event log needs a file, not a URI and not memory")]
    NotAFile {
        /// What was given.
        path: PathBuf,
    },
    /// The file has several names, under which it could be written at the same time.
    #[error(
        "{path} has {links} names (hard links), by which SQLite would damage it; copy it instead, and remove the others"
    )]
    Linked {
        /// One of them.
        path: PathBuf,
        /// How many.
        links: u64,
    },
    /// The file is something else.
    #[error("{path} is a database, but no event log; choose another file")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A later release wrote it.
    #[error(
        "{path} has version {version}, and this program knows up to {version_max}; use the release that wrote it, or \
         choose another file"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: i64,
        /// The newest that is known.
        version_max: i64,
    },
    /// The file is damaged.
    #[error(
        "{path} is damaged or no database; move it away together with its -wal and -shm, and a new log begins \
         (`sqlite3 FILE .recover` may rescue what is in it)"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file cannot be opened or written.
    #[error("{path} cannot be opened or written; does its folder exist, and is it this user's?")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// How a log is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventLogStatus {
    /// Its identity: a random UUID, made with the file.
    pub log_id: String,
    /// The newest number that was kept.
    pub last: u64,
    /// Events that are kept.
    pub events: u64,
    /// Bytes of their payloads.
    pub payload_bytes: u64,
    /// Why the last publications were not kept; `None` while all is well.
    pub failure: Option<String>,
}

/// A publication that shall be kept.
#[derive(Debug, Clone)]
#[cfg_attr(
    not(feature = "event-log"),
    expect(dead_code, reason = "without the feature, nobody keeps it")
)]
pub(crate) struct Record {
    pub(crate) sequence: u64,
    pub(crate) topic: Topic,
    pub(crate) payload: Bytes,
}

/// Why a publication was not kept.
#[derive(Debug, Error)]
#[error("the event log cannot be written: {0}")]
pub(crate) struct WriteError(pub(crate) String);

/// Why there is no page.
#[derive(Debug, Error)]
#[error("the event log cannot be read: {0}")]
pub(crate) struct ReadError(pub(crate) String);
