//! What the handles and the tasks of a remote share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, broadcast, watch};
use tokio::time::Instant;

use super::changes::{CHANGES_MAX, Channel, RemoteChange};
use super::counters::Counters;
use super::hub::Hub;
use super::observed::Observed;
use super::options::RemoteOptions;
use super::presence::{ServiceSeen, Tracker};
use super::results::Results;
use crate::heartbeat::Heartbeat;
use crate::incoming::AnomalyCounters;
use crate::level::ProtocolLevel;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: RemoteOptions,
    pub(super) counters: Arc<Counters>,
    pub(super) observed: Observed,
    pub(super) anomalies: AnomalyCounters,
    pub(super) hub: Arc<Hub>,
    pub(super) results: Arc<Results>,
    pub(super) changes: broadcast::Sender<RemoteChange>,
    /// The last heartbeat that tells the level.
    pub(super) heartbeat: watch::Sender<Option<Heartbeat>>,
    /// The event channel was connected.
    pub(super) events_opened: Notify,
    services: Mutex<Tracker>,
    events_connected: AtomicBool,
    commands_connected: AtomicBool,
}

impl Shared {
    pub(super) fn new(options: RemoteOptions) -> Self {
        Self {
            counters: Arc::default(),
            observed: Observed::default(),
            anomalies: AnomalyCounters::default(),
            hub: Arc::new(Hub::new(options.event_endpoints.len() == 1)),
            results: Arc::new(Results::new(options.results_max)),
            changes: broadcast::Sender::new(CHANGES_MAX),
            heartbeat: watch::Sender::new(None),
            events_opened: Notify::new(),
            services: Mutex::new(Tracker::new(
                options.heartbeat_interval,
                options.services_max,
            )),
            events_connected: AtomicBool::new(false),
            commands_connected: AtomicBool::new(false),
            options,
        }
    }

    /// As the last heartbeat told it; the newest before the first.
    pub(super) fn level(&self) -> ProtocolLevel {
        let heartbeat = self.heartbeat.borrow();
        heartbeat.as_ref().map(Heartbeat::level).unwrap_or_default()
    }

    pub(super) fn tell(&self, change: RemoteChange) {
        // An error says that nobody listens.
        let _ = self.changes.send(change);
    }

    pub(super) fn heartbeat(&self, heartbeat: Heartbeat) {
        let told = self.services().beat(heartbeat.clone(), Instant::now());
        match told {
            Ok(None) => {}
            Ok(Some(presence)) => self.tell(RemoteChange::Presence {
                identifier: heartbeat.identifier.clone(),
                presence,
            }),
            Err(_) => self.counters.unwatched_heartbeats.count(),
        }
        let chosen = self.options.identifier.as_ref();
        if chosen.is_none_or(|identifier| *identifier == heartbeat.identifier) {
            let level = heartbeat.level();
            let before = self.heartbeat.send_replace(Some(heartbeat));
            if before.map(|before| before.level()) != Some(level) {
                self.tell(RemoteChange::Level(level));
            }
        }
    }

    pub(super) fn next_presence_check(&self) -> Option<Instant> {
        self.services().next_check()
    }

    pub(super) fn check_presence(&self) {
        let changed = self.services().check(Instant::now());
        for (identifier, presence) in changed {
            self.tell(RemoteChange::Presence {
                identifier,
                presence,
            });
        }
    }

    pub(super) fn seen(&self) -> Vec<ServiceSeen> {
        self.services().seen()
    }

    pub(super) fn set_connected(&self, channel: Channel, is_connected: bool) {
        let flag = self.connected(channel);
        flag.store(is_connected, Ordering::Relaxed);
    }

    pub(super) fn is_connected(&self, channel: Channel) -> bool {
        self.connected(channel).load(Ordering::Relaxed)
    }

    const fn connected(&self, channel: Channel) -> &AtomicBool {
        match channel {
            Channel::Events => &self.events_connected,
            Channel::Commands => &self.commands_connected,
        }
    }

    fn services(&self) -> MutexGuard<'_, Tracker> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
