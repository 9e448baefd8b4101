//! What a running service consists of.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::builder::{Clock, ServiceBuilder, StatsHandler};
use super::control_documents::{self as documents, Description};
use super::lifecycle::StopReason;
use crate::document::{Info, Ping, Stats};
use crate::endpoint::{EndpointCore, EndpointSnapshot, Group, PumpEnd, ServiceIdentity};
use crate::transport::Transport;

/// Shared by the handle and the service's tasks.
pub(super) struct Running {
    pub(super) identity: Arc<ServiceIdentity>,
    pub(super) description: Description,
    pub(super) control_prefix: String,
    pub(super) transport: Transport,
    /// What endpoints that are added later inherit.
    pub(super) defaults: Group,
    pub(super) clock: Clock,
    pub(super) stats_handler: Option<StatsHandler>,
    pub(super) stop_timeout: Duration,
    pub(super) quiet: Arc<tokio::sync::Mutex<()>>,
    pub(super) stopping: CancellationToken,
    /// Cancelled when the control subjects are to be given up.
    pub(super) control_ends: CancellationToken,
    /// Cancelled when they have been.
    pub(super) control_ended: CancellationToken,
    pub(super) stopped: watch::Sender<Option<Arc<StopReason>>>,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) started: Timestamp,
    pub(super) phase: Phase,
    next_key: u64,
    pub(super) endpoints: Vec<EndpointEntry>,
    /// The INFO document, made when it is first asked for after a change.
    info: Option<Bytes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    Stopping,
}

pub(super) struct EndpointEntry {
    pub(super) key: u64,
    pub(super) core: Arc<EndpointCore>,
    pub(super) stop: watch::Sender<Option<Instant>>,
    /// How its task ended, once it has.
    pub(super) ended: watch::Receiver<Option<PumpEnd>>,
}

impl Running {
    pub(super) fn new(builder: ServiceBuilder, id: String, transport: Transport) -> Self {
        Self {
            defaults: builder.defaults(),
            state: Mutex::new(State {
                started: (builder.clock)(),
                phase: Phase::Serving,
                next_key: 0,
                endpoints: Vec::new(),
                info: None,
            }),
            identity: Arc::new(ServiceIdentity {
                name: builder.name,
                id,
                version: builder.version,
            }),
            description: Description {
                description: builder.description,
                metadata: builder.metadata,
            },
            control_prefix: builder.control_prefix,
            transport,
            clock: builder.clock,
            stats_handler: builder.stats_handler,
            stop_timeout: builder.stop_timeout,
            quiet: Arc::default(),
            stopping: CancellationToken::new(),
            control_ends: CancellationToken::new(),
            control_ended: CancellationToken::new(),
            stopped: watch::channel(None).0,
        }
    }

    pub(super) fn ping(&self) -> Ping {
        documents::ping(&self.identity, &self.description)
    }

    pub(super) fn info(&self) -> Info {
        let endpoints = self.cores().iter().map(|core| core.info.clone()).collect();
        documents::info(&self.identity, &self.description, endpoints)
    }

    /// The user's statistics handler runs here, without a lock.
    pub(super) fn stats(&self) -> Stats {
        let started = self.state().started;
        let endpoints = self
            .snapshots()
            .into_iter()
            .map(|snapshot| documents::endpoint_stats(snapshot, self.stats_handler.as_ref()))
            .collect();
        documents::stats(&self.identity, &self.description, started, endpoints)
    }

    pub(super) fn snapshots(&self) -> Vec<EndpointSnapshot> {
        self.cores().iter().map(|core| core.snapshot()).collect()
    }

    /// INFO as it is sent.
    pub(super) fn info_bytes(&self) -> Bytes {
        if let Some(info) = &self.state().info {
            return info.clone();
        }
        let made = to_bytes(&self.info());
        self.state().info = Some(made.clone());
        made
    }

    pub(super) fn reset(&self) {
        let now = (self.clock)();
        let mut state = self.state();
        state.started = now;
        for entry in &state.endpoints {
            entry.core.counters.reset();
        }
    }

    /// Adds an endpoint, unless the service stops already.
    pub(super) fn add(&self, entry: impl FnOnce(u64) -> EndpointEntry) -> Option<u64> {
        let mut state = self.state();
        if state.phase == Phase::Stopping {
            return None;
        }
        let key = state.next_key;
        state.next_key += 1;
        state.endpoints.push(entry(key));
        state.info = None;
        Some(key)
    }

    /// Takes an endpoint out of the documents; its task is the caller's to stop.
    pub(super) fn remove(&self, key: u64) -> Option<EndpointEntry> {
        let mut state = self.state();
        if state.phase == Phase::Stopping {
            return None;
        }
        let index = state.endpoints.iter().position(|entry| entry.key == key)?;
        state.info = None;
        Some(state.endpoints.remove(index))
    }

    /// From now on nothing is added or removed; `false` if it was so already.
    pub(super) fn begin_stop(&self) -> bool {
        let mut state = self.state();
        let first = state.phase == Phase::Serving;
        state.phase = Phase::Stopping;
        first
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cores(&self) -> Vec<Arc<EndpointCore>> {
        let state = self.state();
        let cores = state.endpoints.iter().map(|entry| Arc::clone(&entry.core));
        cores.collect()
    }
}

/// A document as it is sent. Maps of texts, numbers and `Value`s always can be.
pub(super) fn to_bytes(document: &impl Serialize) -> Bytes {
    serde_json::to_vec(document).map_or_else(
        |error| {
            tracing::error!(%error, "a control document cannot be written");
            Bytes::new()
        },
        Bytes::from,
    )
}
