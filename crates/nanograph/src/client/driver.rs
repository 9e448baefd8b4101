//! The task that keeps a connection: one session after the other, with waits between.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::backoff;
use super::counters::count;
use super::dial::{self, Socket};
use super::outstanding::Outstanding;
use super::session::{Session, SessionEnd};
use super::shared::{Command, ConnectionState, Shared};
use super::{Backoff, StopError};

pub(super) struct Driver {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Command>,
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>, queue: mpsc::Receiver<Command>) -> Self {
        Self { shared, queue }
    }

    pub(super) async fn run(mut self, first: Socket) {
        let mut socket = first;
        let reason = loop {
            count(&self.shared.tally.connections);
            let end = Session::new(&self.shared, &mut self.queue, socket)
                .run()
                .await;
            let lost = match end {
                SessionEnd::Lost(reason) => reason,
                SessionEnd::Closed => break "closed by the caller".to_owned(),
            };
            tracing::debug!(
                url = self.shared.url,
                reason = lost,
                "the connection is lost"
            );
            match self.shared.config.reconnect {
                Some(backoff) => match self.reconnect(lost, backoff).await {
                    Some(again) => socket = again,
                    None => break "closed by the caller".to_owned(),
                },
                None => break lost,
            }
        };
        self.shared.disconnect(
            ConnectionState::Closed {
                reason: reason.into(),
            },
            Outstanding::on_close,
        );
    }

    /// The next connection, or `None` if the client is to close.
    async fn reconnect(&mut self, lost: String, backoff: Backoff) -> Option<Socket> {
        let mut reason: Arc<str> = lost.into();
        for attempts in 0.. {
            self.shared
                .state
                .send_replace(ConnectionState::Reconnecting { attempts, reason });
            let shared = Arc::clone(&self.shared);
            let attempt = async {
                tokio::time::sleep(backoff.wait(attempts, backoff::random())).await;
                dial::dial(&shared.url, &shared.config).await
            };
            let dialled = tokio::select! {
                dialled = attempt => dialled,
                () = self.refuse_until_closed() => return None,
            };
            match dialled {
                Ok((socket, handshake)) => {
                    self.refuse_queued();
                    send_if_changed(&self.shared.handshake, Arc::new(handshake));
                    self.shared.table().connected = true;
                    self.shared.state.send_replace(ConnectionState::Connected);
                    return Some(socket);
                }
                Err(error) => reason = error.to_string().into(),
            }
        }
        None
    }

    /// Ends when the client is to close.
    async fn refuse_until_closed(&mut self) {
        loop {
            tokio::select! {
                () = self.shared.closing.cancelled() => return,
                command = self.queue.recv() => match command {
                    Some(command) => refuse(command),
                    None => return,
                },
            }
        }
    }

    /// What was queued for the lost connection must not reach the new one.
    fn refuse_queued(&mut self) {
        while let Ok(command) = self.queue.try_recv() {
            refuse(command);
        }
    }
}

/// Executions were told when the connection was lost; stops are told here.
fn refuse(command: Command) {
    match command {
        Command::Execute { .. } => {}
        Command::Stop { answer, .. } => {
            // The asker may be gone.
            let _ = answer.send(Err(StopError::NotConnected));
        }
    }
}

fn send_if_changed<T: PartialEq>(sender: &watch::Sender<T>, value: T) {
    sender.send_if_modified(|current| {
        let changed = *current != value;
        *current = value;
        changed
    });
}
