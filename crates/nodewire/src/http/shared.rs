//! What all requests share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nodewire_core::Executor;

use super::bodies::Bodies;
use super::config::HttpConfig;
use super::counts::Counts;
use super::listener::ConnectionCounts;
use crate::capability::Losses;
use crate::metrics::Metrics;
use crate::server::Identity;

/// What the wire shows besides answers.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) losses: Losses,
    pub(crate) metrics: Metrics,
    pub(crate) identity: Identity,
}

/// What all requests share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) executor: Executor,
    pub(super) losses: Losses,
    pub(super) metrics: Metrics,
    pub(super) identity: Identity,
    pub(super) bodies: Bodies,
    pub(super) config: HttpConfig,
    pub(super) counts: Counts,
    pub(super) connections: Arc<ConnectionCounts>,
    pub(super) is_leaving: AtomicBool,
}

impl Shared {
    pub(super) fn new(config: HttpConfig, executor: Executor, shown: Shown) -> Self {
        Self {
            executor,
            losses: shown.losses,
            metrics: shown.metrics,
            identity: shown.identity,
            bodies: Bodies::new(config.body_bytes_max, config.bodies_bytes_max),
            config,
            counts: Counts::default(),
            connections: Arc::default(),
            is_leaving: AtomicBool::new(false),
        }
    }
}
