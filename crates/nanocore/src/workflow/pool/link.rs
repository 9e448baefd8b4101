//! One server of the pool: what is sent to it, what is stopped, what comes back. spec: nanograph 15.3, 16.5

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt, once, unfold};
use nanograph::client::{
    Client, ConnectionState, ExecuteError, Execution, ExecutionError, ExecutionEvent, StopError,
};
use nanograph::message::{ExecutionRequest, StopAck};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::workflow::invoker::Report;
use crate::workflow::state::{NodeError, NodeErrorCode};

/// How long an execution waits for a server that is being reconnected.
const RECONNECT_WAIT: Duration = Duration::from_secs(30);

/// How long a lost connection waits to be told how the process behind it ended: its outputs are read first.
const EXIT_WAIT: Duration = Duration::from_secs(1);

/// A client, and the instances that were outstanding on connections it lost.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) client: Client,
    orphans: Mutex<BTreeSet<String>>,
    /// Held while orphans are being stopped, so that no execution overtakes the stops.
    stopping: tokio::sync::Mutex<()>,
    /// What was dispatched and not sent yet: at most what runs have in flight.
    unsent: Mutex<Vec<Unsent>>,
    /// What was sent and has not ended: at most what runs have in flight.
    sent: Mutex<Vec<Sent>>,
    /// How the process ended, once that is known; `None` if nobody watches it.
    exit: Option<watch::Sender<Option<String>>>,
}

/// An execution whose end may have to be told from elsewhere.
#[derive(Debug)]
struct Sent {
    instance_id: String,
    node_id: String,
    undeliverable: oneshot::Sender<String>,
}

/// An execution that a stop of its instance must keep from being sent.
#[derive(Debug, Clone)]
struct Unsent {
    instance_id: Arc<str>,
    /// Gone once it was sent.
    stopped: Weak<CancellationToken>,
}

impl Link {
    pub(super) fn new(client: Client, is_watched: bool) -> Self {
        Self {
            exit: is_watched.then(|| watch::Sender::new(None)),
            client,
            orphans: Mutex::default(),
            stopping: tokio::sync::Mutex::default(),
            unsent: Mutex::default(),
            sent: Mutex::default(),
        }
    }

    /// The process has ended.
    pub(super) fn ended(&self, how: &str) {
        if let Some(exit) = &self.exit {
            exit.send_replace(Some(how.to_owned()));
        }
    }

    /// Why the server was lost, with how its process ended, if it did.
    async fn lost(&self, reason: String) -> Report {
        let Some(exit) = &self.exit else {
            return failed(NodeErrorCode::ServerLost, reason);
        };
        let mut told = exit.subscribe();
        let told = tokio::time::timeout(EXIT_WAIT, told.wait_for(Option::is_some)).await;
        let how = told.ok().and_then(Result::ok).and_then(|how| how.clone());
        let message = match how {
            Some(how) => format!("{reason}; the server's process ended ({how})"),
            None => reason,
        };
        failed(NodeErrorCode::ServerLost, message)
    }

    pub(super) fn is_connected(&self) -> bool {
        match self.client.state() {
            ConnectionState::Connected | ConnectionState::Unresponsive => true,
            ConnectionState::Reconnecting { .. } | ConnectionState::Closed { .. } => false,
        }
    }

    /// Notes an execution that is to be sent. It is forgotten when what this gives is gone.
    pub(super) fn hold(&self, instance_id: &str) -> Arc<CancellationToken> {
        let stopped = Arc::new(CancellationToken::new());
        let mut unsent = self.unsent();
        unsent.retain(|one| one.stopped.strong_count() > 0);
        unsent.push(Unsent {
            instance_id: instance_id.into(),
            stopped: Arc::downgrade(&stopped),
        });
        stopped
    }

    pub(super) fn stop_unsent(&self, instance_id: &str) {
        let unsent = self.unsent();
        let wanted = unsent.iter().filter(|one| &*one.instance_id == instance_id);
        for stopped in wanted.filter_map(|one| one.stopped.upgrade()) {
            stopped.cancel();
        }
    }

    pub(super) async fn execute(
        self: Arc<Self>,
        request: ExecutionRequest,
        stopped: Arc<CancellationToken>,
    ) -> BoxStream<'static, Report> {
        let node_id = request.node_id.to_string();
        let sent = tokio::select! {
            biased;
            () = stopped.cancelled() => {
                let message = "it was stopped before it was sent";
                return once(std::future::ready(failed(NodeErrorCode::Refused, message))).boxed();
            }
            sent = self.send(request) => sent,
        };
        drop(stopped);
        match sent {
            Ok(execution) => {
                let undeliverable = self.watch(execution.instance_id(), &node_id);
                self.reports(execution, undeliverable)
            }
            Err(error) => once(std::future::ready(refused(&error))).boxed(),
        }
    }

    /// Notes an execution that was sent. It is forgotten when what this gives is gone.
    fn watch(&self, instance_id: &str, node_id: &str) -> oneshot::Receiver<String> {
        let (undeliverable, told) = oneshot::channel();
        let mut sent = self.sent();
        sent.retain(|one| !one.undeliverable.is_closed());
        sent.push(Sent {
            instance_id: instance_id.to_owned(),
            node_id: node_id.to_owned(),
            undeliverable,
        });
        told
    }

    pub(super) fn undeliverable(&self, instance_id: &str, node_id: &str, reason: &str) -> bool {
        let mut sent = self.sent();
        let is_meant = |one: &Sent| one.instance_id == instance_id && one.node_id == node_id;
        let Some(index) = sent.iter().position(is_meant) else {
            return false;
        };
        sent.swap_remove(index)
            .undeliverable
            .send(reason.to_owned())
            .is_ok()
    }

    /// What the server says, until it is known that it cannot say the rest.
    fn reports(
        self: Arc<Self>,
        execution: Execution,
        undeliverable: oneshot::Receiver<String>,
    ) -> BoxStream<'static, Report> {
        let instance_id = execution.instance_id().to_owned();
        let state = (self, execution, undeliverable, instance_id);
        unfold(state, async |(link, mut execution, mut undeliverable, instance_id)| {
            let report = tokio::select! {
                biased;
                event = execution.next() => link.report(&instance_id, event?).await,
                Ok(reason) = &mut undeliverable, if !undeliverable.is_terminated() => {
                    let message = format!("the server could not send the node's status: {reason}");
                    failed(NodeErrorCode::StatusUndeliverable, message)
                }
            };
            Some((report, (link, execution, undeliverable, instance_id)))
        })
        .boxed()
    }

    async fn send(self: &Arc<Self>, request: ExecutionRequest) -> Result<Execution, ExecuteError> {
        // Over when it is connected, closed, or too long away; which of those, `execute` says.
        let _ = tokio::time::timeout(RECONNECT_WAIT, self.client.connected()).await;
        self.stop_orphans().await;
        self.client.execute(request).await
    }

    async fn report(self: &Arc<Self>, instance_id: &str, event: ExecutionEvent) -> Report {
        match event {
            ExecutionEvent::Status(status) => Report::Status(status),
            // Without outputs in the status itself, the client has waited for them already.
            ExecutionEvent::End(Ok(done)) if done.status.outputs.is_none() => {
                Report::complete(&done.outputs)
            }
            ExecutionEvent::End(Ok(done)) => Report::Status(done.status),
            ExecutionEvent::End(Err(ExecutionError::ServerLost { sent, reason })) => {
                if sent {
                    self.orphaned(instance_id);
                }
                self.lost(reason).await
            }
            ExecutionEvent::End(Err(error)) => ended(error),
        }
    }

    /// Stops the instance when the server is back.
    fn orphaned(self: &Arc<Self>, instance_id: &str) {
        let is_new = self.orphans().insert(instance_id.to_owned());
        if is_new {
            let link = self.clone();
            tokio::spawn(async move {
                // Ends when the client is closed, at the latest.
                while link.client.connected().await && !link.stop_orphans().await {}
            });
        }
    }

    /// Whether none is left. Those of which the server was lost again are; dropping the future loses none.
    async fn stop_orphans(&self) -> bool {
        let _guard = self.stopping.lock().await;
        loop {
            let Some(instance_id) = self.orphans().first().cloned() else {
                return true;
            };
            if matches!(
                self.stop(&instance_id).await,
                Err(StopError::NotConnected | StopError::ServerLost)
            ) {
                return false;
            }
            self.orphans().remove(&instance_id);
        }
    }

    pub(super) async fn stop(&self, instance_id: &str) -> Result<StopAck, StopError> {
        let answer = self.client.stop_instance(instance_id).await;
        answer.inspect_err(|error| {
            tracing::debug!(instance_id, %error, "a stop was not acknowledged");
        })
    }

    fn unsent(&self) -> MutexGuard<'_, Vec<Unsent>> {
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sent(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn orphans(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.orphans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn failed(code: NodeErrorCode, message: impl Into<String>) -> Report {
    Report::Failed(NodeError::new(code, message))
}

fn ended(error: ExecutionError) -> Report {
    match error {
        ExecutionError::Failed { message } | ExecutionError::Stopped { message } => {
            Report::error(&message)
        }
        ExecutionError::InvalidOutputs { found } => failed(
            NodeErrorCode::InvalidOutputs,
            format!("the node returned {found} instead of an object"),
        ),
        ExecutionError::ServerLost { reason, .. } => failed(NodeErrorCode::ServerLost, reason),
        ExecutionError::TimedOut { .. } | ExecutionError::Closed => {
            failed(NodeErrorCode::ServerLost, error.to_string())
        }
    }
}

fn refused(error: &ExecuteError) -> Report {
    let code = match error {
        ExecuteError::InputTooLarge { .. } => NodeErrorCode::InputTooLarge,
        ExecuteError::NotConnected | ExecuteError::Closed => NodeErrorCode::ServerLost,
        ExecuteError::Duplicate { .. } | ExecuteError::TooManyOutstanding { .. } => {
            NodeErrorCode::Refused
        }
    };
    failed(code, error.to_string())
}
