//! A server that is connected, whichever wire it is reached by.

use std::sync::Arc;

use nanograph::client::{Client, ConnectionState};
use nanograph::message::Handshake;
use tokio::sync::watch;

use crate::nats::NatsServer;

#[derive(Debug, Clone)]
pub(super) enum Remote {
    Nanograph(Client),
    Nats(NatsServer),
}

impl Remote {
    pub(super) fn state(&self) -> ConnectionState {
        match self {
            Self::Nanograph(client) => client.state(),
            Self::Nats(server) => server.state(),
        }
    }

    pub(super) fn watch_state(&self) -> watch::Receiver<ConnectionState> {
        match self {
            Self::Nanograph(client) => client.watch_state(),
            Self::Nats(server) => server.watch_state(),
        }
    }

    pub(super) fn watch_handshake(&self) -> watch::Receiver<Arc<Handshake>> {
        match self {
            Self::Nanograph(client) => client.watch_handshake(),
            Self::Nats(server) => server.watch_handshake(),
        }
    }

    /// Executions that have not ended.
    pub(super) fn outstanding(&self) -> u64 {
        match self {
            Self::Nanograph(client) => client.counters().outstanding,
            Self::Nats(server) => u64::try_from(server.outstanding()).unwrap_or(u64::MAX),
        }
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Nanograph(client) => client.close().await,
            Self::Nats(server) => server.close().await,
        }
    }

    pub(super) fn nats(&self) -> Option<&NatsServer> {
        match self {
            Self::Nanograph(_) => None,
            Self::Nats(server) => Some(server),
        }
    }
}
