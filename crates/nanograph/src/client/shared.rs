//! What the handles and the task share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::CancellationToken;

use super::ClientConfig;
use super::counters::Tally;
use super::mailbox::Mailbox;
use super::outstanding::{End, Key, Outstanding, Ticket};
use crate::message::{Handshake, StopAck};

/// Whether the server can be talked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionState {
    /// Yes.
    Connected,
    /// The connection stands but nothing came for longer than the keep-alive time. It is kept because executions are
    /// outstanding; a Python server is in this state while a node blocks its event loop.
    Unresponsive,
    /// The connection was lost and is being opened again.
    Reconnecting {
        /// Attempts that failed so far.
        attempts: u32,
        /// Why the connection was lost, or why the last attempt failed.
        reason: Arc<str>,
    },
    /// The client is closed, for good.
    Closed {
        /// Why.
        reason: Arc<str>,
    },
}

/// What the task is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Execute {
        key: Key,
        ticket: Ticket,
        text: Utf8Bytes,
    },
    Stop {
        text: Utf8Bytes,
        instance_id: bytestring::ByteString,
        answer: oneshot::Sender<Result<StopAck, super::StopError>>,
    },
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: ClientConfig,
    pub(super) url: String,
    pub(super) tally: Tally,
    pub(super) handshake: watch::Sender<Arc<Handshake>>,
    pub(super) state: watch::Sender<ConnectionState>,
    /// Cancelled when the client is to close.
    pub(super) closing: CancellationToken,
    table: Mutex<Table>,
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) executions: Outstanding<Arc<Mailbox>>,
    /// Under the lock of the table, so that nothing is added after a loss was told to everyone.
    pub(super) connected: bool,
}

impl Shared {
    pub(super) fn new(url: String, config: ClientConfig, handshake: Handshake) -> Self {
        let table = Table {
            executions: Outstanding::new(config.max_outstanding),
            connected: true,
        };
        Self {
            config,
            url,
            tally: Tally::default(),
            handshake: watch::Sender::new(Arc::new(handshake)),
            state: watch::Sender::new(ConnectionState::Connected),
            closing: CancellationToken::new(),
            table: Mutex::new(table),
        }
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing that holds the lock panics halfway.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the client is closed or about to be.
    pub(super) fn is_closed(&self) -> bool {
        self.closing.is_cancelled()
            || matches!(*self.state.borrow(), ConnectionState::Closed { .. })
    }

    /// From here on nothing is taken; whoever waits is told, after `state` shows it.
    pub(super) fn disconnect(
        &self,
        state: ConnectionState,
        end: impl FnOnce(&mut Outstanding<Arc<Mailbox>>) -> Vec<(Arc<Mailbox>, End)>,
    ) {
        self.state.send_replace(state);
        let mut table = self.table();
        table.connected = false;
        let ends = end(&mut table.executions);
        drop(table);
        finish(ends);
    }
}

pub(super) fn finish(ends: Vec<(Arc<Mailbox>, End)>) {
    for (mailbox, end) in ends {
        mailbox.finish(end);
    }
}
