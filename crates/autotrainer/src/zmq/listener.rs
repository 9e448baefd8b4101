//! A bound socket, with a watch on its connections.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use omq_tokio::endpoint::Host;
use omq_tokio::{Endpoint, Socket, SocketType};
use tokio_util::task::AbortOnDropHandle;

use super::connections::{ConnectionCounters, ConnectionCounts, ConnectionEvent, ConnectionEvents};
use super::error::{ZmqError, ZmqErrorKind};
use super::options::SocketOptions;

/// What both bound sockets have in common.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) socket: Socket,
    counters: Arc<ConnectionCounters>,
    _watch: AbortOnDropHandle<()>,
}

impl Listener {
    pub(super) fn new(kind: SocketType, options: &SocketOptions) -> Result<Self, ZmqError> {
        let library = if kind == SocketType::Router {
            options.for_library_without_handover()
        } else {
            options.for_library()
        };
        let socket = Socket::try_new(kind, library)?;
        let counters = Arc::new(ConnectionCounters::default());
        let watch = Watch {
            events: ConnectionEvents::of(&socket),
            socket: socket.clone(),
            counters: Arc::clone(&counters),
            open: HashSet::new(),
            connections_max: options.connections_max,
        };
        Ok(Self {
            socket,
            counters,
            _watch: AbortOnDropHandle::new(tokio::spawn(watch.run())),
        })
    }

    pub(super) async fn bind(&self, address: SocketAddr) -> Result<SocketAddr, ZmqError> {
        let bound = self
            .socket
            .bind(format!("tcp://{address}").as_str())
            .await?;
        let Endpoint::Tcp {
            host: Host::Ip(ip),
            port,
        } = bound
        else {
            return Err(ZmqError::of_kind(ZmqErrorKind::InvalidEndpoint));
        };
        Ok(SocketAddr::new(ip, port))
    }

    pub(super) fn events(&self) -> ConnectionEvents {
        ConnectionEvents::of(&self.socket)
    }

    pub(super) fn counts(&self) -> ConnectionCounts {
        self.counters.snapshot()
    }

    /// The ports are free when this returns; with no linger at all the library would not wait for that.
    pub(super) async fn close(&self, linger: Duration) {
        let linger = linger.max(Duration::from_millis(1));
        // An error says that it is closed already.
        let _ = self.socket.clone().close_with_linger(Some(linger)).await;
    }
}

/// Counts what happens to connections, and closes those that are too many.
struct Watch {
    events: ConnectionEvents,
    socket: Socket,
    counters: Arc<ConnectionCounters>,
    open: HashSet<u64>,
    connections_max: usize,
}

impl Watch {
    async fn run(mut self) {
        while let Some(event) = self.events.next().await {
            self.counters.count(&event);
            match event {
                ConnectionEvent::Opened { connection, .. } => self.admit(connection).await,
                ConnectionEvent::Closed { connection, .. } => {
                    self.open.remove(&connection);
                }
                ConnectionEvent::Missed(_) => self.count_anew().await,
                ConnectionEvent::HandshakeFailed { reason } => {
                    tracing::debug!(reason, "a connection came to nothing");
                }
                ConnectionEvent::Retrying { .. }
                | ConnectionEvent::Refused { .. }
                | ConnectionEvent::Subscribed { .. }
                | ConnectionEvent::Unsubscribed { .. }
                | ConnectionEvent::SubscriptionRefused { .. } => {}
            }
        }
    }

    async fn admit(&mut self, connection: u64) {
        if self.open.len() < self.connections_max {
            self.open.insert(connection);
            return;
        }
        self.counters.refused.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            max = self.connections_max,
            "a connection is closed, since there are too many"
        );
        // An error says that it is gone already.
        let _ = self.socket.disconnect_peer(connection).await;
    }

    async fn count_anew(&mut self) {
        let Ok(connections) = self.socket.connections().await else {
            return;
        };
        self.open.clear();
        for status in connections {
            self.admit(status.connection_id).await;
        }
    }
}
