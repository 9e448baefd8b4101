//! [`Client`]: the handle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytestring::ByteString;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::driver::Driver;
use super::mailbox::Mailbox;
use super::outstanding::Key;
use super::shared::{Command, ConnectionState, Shared};
use super::{ClientConfig, ClientCounters, ConnectError, ExecuteError, Execution, StopError, dial};
use crate::message::{ClientMessage, ExecutionRequest, Handshake, StopAck};

/// How many stops may wait for their answer.
pub(super) const MAX_PENDING_STOPS: usize = 4096;

/// A connection to a node server, kept up by a task. Cloning shares it; the connection is closed when the last clone and
/// the last [`Execution`] are gone, or by [`Self::close`].
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

/// What can be said about one execution.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExecuteOptions {
    /// End it with [`ExecutionError::TimedOut`](super::ExecutionError::TimedOut) after this time. The server is not
    /// told; no limit by default.
    pub timeout: Option<Duration>,
}

impl Client {
    /// Connects and waits for the handshake. `url` is `ws://host:port/`, or `wss://`. If this first attempt fails there
    /// is no client; later losses are repaired as [`ClientConfig::reconnect`] says.
    ///
    /// Cancel safety: dropping the future closes the connection.
    ///
    /// # Errors
    /// The server cannot be reached, is no node server, or is not the expected one.
    pub async fn connect(url: &str, config: ClientConfig) -> Result<Self, ConnectError> {
        let (socket, handshake) = dial::dial(url, &config).await?;
        let (commands, queue) = mpsc::channel(config.max_queued_requests.max(1));
        let shared = Arc::new(Shared::new(url.to_owned(), config, handshake));
        tokio::spawn(Driver::new(Arc::clone(&shared), queue).run(socket));
        Ok(Self {
            inner: Arc::new(Inner { shared, commands }),
        })
    }

    /// Sends a request. Waits only while the queue of unsent requests is full.
    ///
    /// Cancel safe: dropped before it is ready, nothing was sent.
    ///
    /// # Errors
    /// The request cannot be sent; nothing of it was.
    pub async fn execute(&self, request: ExecutionRequest) -> Result<Execution, ExecuteError> {
        self.execute_with(request, ExecuteOptions::default()).await
    }

    /// As [`Self::execute`], with options.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub async fn execute_with(
        &self,
        request: ExecutionRequest,
        options: ExecuteOptions,
    ) -> Result<Execution, ExecuteError> {
        let Inner { shared, commands } = &*self.inner;
        let text = request.to_text(&shared.handshake.borrow().server_uid);
        let (size, limit) = (text.len(), shared.config.max_request_bytes);
        if size > limit {
            return Err(ExecuteError::InputTooLarge { size, limit });
        }
        let permit = commands.reserve().await.map_err(|_| ExecuteError::Closed)?;
        let ClientConfig {
            max_queued_statuses,
            max_queued_status_bytes,
            ..
        } = shared.config;
        let mailbox = Arc::new(Mailbox::new(max_queued_statuses, max_queued_status_bytes));
        let key = Key {
            instance_id: request.instance_id,
            node_id: request.node_id,
        };
        let ticket = {
            let mut table = shared.table();
            if !table.connected {
                return Err(if shared.is_closed() {
                    ExecuteError::Closed
                } else {
                    ExecuteError::NotConnected
                });
            }
            table.executions.insert(
                key.clone(),
                Arc::clone(&mailbox),
                options.timeout,
                Instant::now(),
            )?
        };
        permit.send(Command::Execute {
            key: key.clone(),
            ticket,
            text: text.into(),
        });
        Ok(Execution {
            inner: Arc::clone(&self.inner),
            mailbox,
            key,
            ticket,
        })
    }

    /// Asks the server to stop all executions of an instance, whoever started them; see [`Execution::stop`].
    ///
    /// Cancel safety: once the future was polled the stop may be sent, whether it is dropped or not.
    ///
    /// # Errors
    /// The stop could not be sent or was not acknowledged.
    pub async fn stop_instance(
        &self,
        instance_id: impl Into<ByteString>,
    ) -> Result<StopAck, StopError> {
        self.inner.stop(instance_id.into()).await
    }

    /// Who the server is, with the nodes it offers now (or offered last, while it is away).
    #[must_use]
    pub fn handshake(&self) -> Arc<Handshake> {
        self.inner.shared.handshake.borrow().clone()
    }

    /// The same, followed: changes with every `definitions_update` and every new connection.
    #[must_use]
    pub fn watch_handshake(&self) -> watch::Receiver<Arc<Handshake>> {
        self.inner.shared.handshake.subscribe()
    }

    /// Whether the server can be talked to.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        self.inner.shared.state.borrow().clone()
    }

    /// The same, followed.
    #[must_use]
    pub fn watch_state(&self) -> watch::Receiver<ConnectionState> {
        self.inner.shared.state.subscribe()
    }

    /// Waits until the server is connected; false if the client is closed. Cancel safe.
    pub async fn connected(&self) -> bool {
        let mut state = self.watch_state();
        let settled =
            |state: &ConnectionState| !matches!(state, ConnectionState::Reconnecting { .. });
        state
            .wait_for(settled)
            .await
            .is_ok_and(|state| !matches!(*state, ConnectionState::Closed { .. }))
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> ClientCounters {
        let shared = &self.inner.shared;
        let counters = shared.table().executions.counters();
        shared.tally.add_to(counters)
    }

    /// Closes the connection with code 1000. Outstanding executions end as closed here; the server goes on with them.
    ///
    /// Cancel safe: once polled, the client closes, whether this is waited for or not.
    pub async fn close(&self) {
        self.inner.shared.closing.cancel();
        let mut state = self.watch_state();
        // An error means that the task is gone, which is what this waits for.
        let _ = state
            .wait_for(|state| matches!(state, ConnectionState::Closed { .. }))
            .await;
    }
}

impl Inner {
    pub(super) async fn stop(&self, instance_id: ByteString) -> Result<StopAck, StopError> {
        let after = self.shared.config.stop_timeout;
        let stop = self.stop_unlimited(instance_id);
        tokio::time::timeout(after, stop)
            .await
            .unwrap_or(Err(StopError::TimedOut { after }))
    }

    async fn stop_unlimited(&self, instance_id: ByteString) -> Result<StopAck, StopError> {
        let server_uid = self.shared.handshake.borrow().server_uid.clone();
        let message = ClientMessage::StopWorkflowInstance {
            instance_id: instance_id.clone(),
        };
        let text = Utf8Bytes::from(message.to_text(&server_uid));
        let (answer, answered) = oneshot::channel();
        let permit = self
            .commands
            .reserve()
            .await
            .map_err(|_| StopError::NotConnected)?;
        if !self.shared.table().connected {
            return Err(StopError::NotConnected);
        }
        permit.send(Command::Stop {
            text,
            instance_id,
            answer,
        });
        answered.await.unwrap_or(Err(StopError::ServerLost))
    }
}
