//! What all connections of a broker share.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::auth::Auth;
use super::client::Subscription;
use super::clients::Clients;
use super::pending_total::PendingTotal;
use crate::limits::Limits;
use crate::protocol::server_op::Info;
use crate::routing::Table;
use crate::stats::{CloseReason, Counters};

/// What is announced. Clients compare the first three numbers to decide what they may use: this broker does what
/// nats-server 2.9.10 does without JetStream, and nothing that came with 2.10.
const VERSION: &str = "2.9.10-nodewire";

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) server_id: String,
    pub(crate) server_name: String,
    pub(crate) address: SocketAddr,
    pub(crate) auth: Auth,
    pub(crate) limits: Limits,
    pub(crate) counters: Counters,
    pub(crate) clients: Clients,
    pub(super) pending_total: Arc<PendingTotal>,
    pub(crate) stopped: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(super) last_client_id: AtomicU64,
    table: RwLock<Table<Arc<Subscription>>>,
}

impl Shared {
    pub(crate) fn new(
        server_name: Option<String>,
        address: SocketAddr,
        auth: Auth,
        limits: Limits,
    ) -> Self {
        let server_id = nuid::next().to_string();
        Self {
            server_name: server_name.unwrap_or_else(|| server_id.clone()),
            server_id,
            address,
            auth,
            pending_total: Arc::new(PendingTotal::new(limits.pending_bytes_total_max)),
            limits,
            counters: Counters::default(),
            clients: Clients::default(),
            stopped: CancellationToken::new(),
            tasks: TaskTracker::new(),
            last_client_id: AtomicU64::new(0),
            table: RwLock::new(Table::new()),
        }
    }

    pub(super) fn info(&self, client_id: u64, client: IpAddr, lame_duck: bool) -> Info {
        Info {
            server_id: self.server_id.clone(),
            server_name: self.server_name.clone(),
            version: VERSION.to_owned(),
            proto: 1,
            host: self.address.ip().to_string(),
            port: self.address.port(),
            headers: true,
            max_payload: self.limits.payload_bytes_max,
            client_id,
            client_ip: client.to_string(),
            auth_required: self.auth.is_required(),
            lame_duck,
        }
    }

    /// Held while messages are matched, never across a wait.
    pub(super) fn table(&self) -> RwLockReadGuard<'_, Table<Arc<Subscription>>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscribe(&self, subscription: &Arc<Subscription>) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let queue = subscription.queue.as_deref();
        table.insert(&subscription.subject, queue, Arc::clone(subscription));
        self.counters.subscriptions_open.add(1);
    }

    /// Ends subscriptions that are still there.
    pub(super) fn unsubscribe(&self, subscriptions: &[Arc<Subscription>]) {
        if subscriptions.is_empty() {
            return;
        }
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        for subscription in subscriptions {
            let queue = subscription.queue.as_deref();
            if table.remove(&subscription.subject, queue, subscription) {
                self.counters.subscriptions_open.subtract(1);
            }
        }
    }

    /// Tells clients that understand it that the broker is about to end.
    pub(crate) fn lame_duck(&self) {
        for client in self.clients.all() {
            if client.takes_info.load(Relaxed) {
                client.push(&self.info(client.id, client.address, true).line());
                client.flush();
            }
        }
    }

    /// Closes who has most waiting, until the total has room.
    pub(super) fn make_room(&self) {
        while self.pending_total.is_over() {
            let Some(client) = self.clients.furthest_behind() else {
                return;
            };
            client.give_up();
        }
    }

    /// Ends all connections at once.
    pub(crate) fn close_all(&self, reason: CloseReason) {
        for client in self.clients.all() {
            client.close(reason, None);
        }
    }
}
