//! Node servers over the wire: the invoker that real runs use. spec: nanograph 14.1, 15.3, 16.5

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{BoxStream, FuturesUnordered, StreamExt, once, unfold};
use nanograph::client::{
    Client, ConnectionState, ExecuteError, Execution, ExecutionError, ExecutionEvent, StopError,
};
use nanograph::message::{ExecutionRequest, Handshake, StopAck};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::asset_links::AssetStyle;
use super::catalog::{Catalog, InputStyle, Resolved, Server, ServerSet};
use super::graph::GraphNode;
use super::invoker::{Call, NodeInvoker, Report};
use super::state::{NodeError, NodeErrorCode};

/// How long an execution waits for a server that is being reconnected.
const RECONNECT_WAIT: Duration = Duration::from_secs(30);

/// What the registry knows of a server and its handshake does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerSettings {
    /// How its nodes want single values.
    pub input_style: InputStyle,
    /// The most executions at a time; `None` for the run's limit.
    pub max_in_flight: Option<usize>,
    /// Changes with the code of its nodes. Counts until the server announces other definitions or comes back; from
    /// then on, and without, the pool makes one up that never was before, until
    /// [`ServerPool::set_code_epoch`] gives the new one.
    pub code_epoch: Option<String>,
    /// How its nodes name assets; `None` if unknown: then references reach them as they are.
    pub asset_style: Option<AssetStyle>,
}

/// Connected node servers, by uid. Cloning shares the pool.
///
/// What a server offers is what it announced last; while it is away it offers nothing. An execution that is dispatched
/// meanwhile waits 30 s for its return. What was outstanding when a connection was lost is stopped on return, before
/// anything else is sent. What a stop finds not sent yet is never sent.
#[derive(Debug, Clone, Default)]
pub struct ServerPool {
    // A std mutex: it is held for look-ups, never over an await.
    state: Arc<Mutex<State>>,
    /// Told when servers come and go.
    members: Arc<watch::Sender<()>>,
}

#[derive(Debug, Default)]
struct State {
    members: BTreeMap<String, Member>,
    offers: ServerSet,
    epochs: Epochs,
}

/// Makes code epochs up. spec: nanograph 18
#[derive(Debug)]
struct Epochs {
    /// Tells them from those of other pools, in earlier processes too: whether code changed since, nobody knows.
    pool: Uuid,
    next: u64,
}

impl Default for Epochs {
    fn default() -> Self {
        let pool = Uuid::new_v4();
        Self { pool, next: 0 }
    }
}

impl Epochs {
    fn next(&mut self) -> String {
        self.next += 1;
        format!("{}.{}", self.pool, self.next)
    }
}

#[derive(Debug, Clone)]
struct Member {
    link: Arc<Link>,
    settings: ServerSettings,
    /// What `offers` shows of it; `None` if nothing.
    shown: Option<Arc<Handshake>>,
    /// It was shown before, so that what comes now may be other code.
    was_shown: bool,
}

/// A client, and the instances that were outstanding on connections it lost.
#[derive(Debug)]
struct Link {
    client: Client,
    orphans: Mutex<BTreeSet<String>>,
    /// Held while orphans are being stopped, so that no execution overtakes the stops.
    stopping: tokio::sync::Mutex<()>,
    /// What was dispatched and not sent yet: at most what runs have in flight.
    unsent: Mutex<Vec<Unsent>>,
    /// What was sent and has not ended: at most what runs have in flight.
    sent: Mutex<Vec<Sent>>,
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

impl ServerPool {
    /// An empty pool.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a connected server, in place of one with the same uid.
    pub fn add(&self, client: Client, settings: ServerSettings) {
        let server_uid = client.handshake().server_uid.clone();
        let link = Arc::new(Link {
            client,
            orphans: Mutex::default(),
            stopping: tokio::sync::Mutex::default(),
            unsent: Mutex::default(),
            sent: Mutex::default(),
        });
        let mut state = self.lock();
        state.offers.remove(&server_uid);
        state.members.insert(
            server_uid,
            Member {
                link,
                settings,
                shown: None,
                was_shown: false,
            },
        );
        drop(state);
        self.members.send_replace(());
    }

    /// Says what the code of a server is now; results of other code are not used again. False if it is not there.
    pub fn set_code_epoch(&self, server_uid: &str, epoch: impl Into<String>) -> bool {
        let mut state = self.lock();
        state.refresh();
        let State {
            members, offers, ..
        } = &mut *state;
        let Some(member) = members.get_mut(server_uid) else {
            return false;
        };
        member.settings.code_epoch = Some(epoch.into());
        if let Some(handshake) = &member.shown {
            let server = server(server_uid, handshake, &member.settings);
            offers.insert(server, handshake.node_definitions.iter().cloned());
        }
        true
    }

    /// Removes a server; its client, if it was there. Executions on it go on.
    pub fn remove(&self, server_uid: &str) -> Option<Client> {
        let mut state = self.lock();
        state.offers.remove(server_uid);
        let removed = state.members.remove(server_uid)?;
        drop(state);
        self.members.send_replace(());
        Some(removed.link.client.clone())
    }

    /// Ends an execution whose status its server cannot send, as whoever reads the server's log has seen: nothing more
    /// will come from there. False if there is no such execution. spec: nanograph 15.3
    pub fn status_undeliverable(
        &self,
        server_uid: &str,
        instance_id: &str,
        node_id: &str,
        reason: &str,
    ) -> bool {
        self.link(server_uid)
            .is_some_and(|link| link.undeliverable(instance_id, node_id, reason))
    }

    /// The clients of all servers, by uid.
    #[must_use]
    pub fn clients(&self) -> Vec<Client> {
        self.lock()
            .members
            .values()
            .map(|member| member.link.client.clone())
            .collect()
    }

    fn link(&self, server_uid: &str) -> Option<Arc<Link>> {
        self.lock()
            .members
            .get(server_uid)
            .map(|member| member.link.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes over what servers announced since the last look.
    fn refresh(&mut self) {
        for (server_uid, member) in &mut self.members {
            let now = member
                .link
                .is_connected()
                .then(|| member.link.client.handshake());
            let is_same = match (&member.shown, &now) {
                (Some(shown), Some(now)) => Arc::ptr_eq(shown, now),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            if is_same {
                continue;
            }
            match &now {
                Some(handshake) => {
                    let is_other_code = std::mem::replace(&mut member.was_shown, true);
                    if is_other_code || member.settings.code_epoch.is_none() {
                        member.settings.code_epoch = Some(self.epochs.next());
                    }
                    let server = server(server_uid, handshake, &member.settings);
                    self.offers
                        .insert(server, handshake.node_definitions.iter().cloned());
                }
                None => drop(self.offers.remove(server_uid)),
            }
            member.shown = now;
        }
    }

    fn load(&self, server: &Server) -> u64 {
        self.members
            .get(&server.uid)
            .map_or(0, |member| member.link.client.counters().outstanding)
    }
}

fn server(server_uid: &str, handshake: &Handshake, settings: &ServerSettings) -> Server {
    Server {
        uid: server_uid.to_owned(),
        package_id: handshake.server_package_id.clone(),
        domain: handshake.domain.clone(),
        input_style: settings.input_style,
        max_in_flight: settings.max_in_flight,
        code_epoch: settings.code_epoch.clone(),
        asset_style: settings.asset_style,
    }
}

impl Catalog for ServerPool {
    fn resolve(&self, node: &GraphNode) -> Option<Resolved> {
        let mut state = self.lock();
        state.refresh();
        state
            .offers
            .resolve_by_load(node, |server| state.load(server))
    }

    fn changed(&self) -> BoxFuture<'static, ()> {
        // All are subscribed to now, so that nothing between this and the first poll is missed.
        let mut members = self.members.subscribe();
        let links = self.clients().into_iter().map(|client| {
            let (mut state, mut handshake) = (client.watch_state(), client.watch_handshake());
            async move {
                tokio::select! {
                    Ok(()) = state.changed() => {}
                    Ok(()) = handshake.changed() => {}
                    // The client is gone, and out of the pool.
                    else => pending().await,
                }
            }
        });
        let mut links: FuturesUnordered<_> = links.collect();
        async move {
            tokio::select! {
                Ok(()) = members.changed() => {}
                Some(()) = links.next() => {}
                else => pending().await,
            }
        }
        .boxed()
    }
}

impl NodeInvoker for ServerPool {
    fn has_same_code(&self, server: &Server) -> bool {
        let mut state = self.lock();
        state.refresh();
        let now = state.members.get(&server.uid);
        now.is_some_and(|member| member.settings.code_epoch == server.code_epoch)
    }

    fn invoke(&self, call: Call) -> BoxStream<'static, Report> {
        let Some(link) = self.link(&call.server.uid) else {
            let message = format!("server \"{}\" was removed", call.server);
            return once(std::future::ready(failed(
                NodeErrorCode::ServerLost,
                message,
            )))
            .boxed();
        };
        let stopped = link.hold(&call.request.instance_id);
        once(link.execute(call.request, stopped)).flatten().boxed()
    }

    fn stop(&self, server: &Arc<Server>, instance_id: &str) {
        if let Some(link) = self.link(&server.uid) {
            link.stop_unsent(instance_id);
            let instance_id = instance_id.to_owned();
            tokio::spawn(async move { link.stop(&instance_id).await });
        }
    }
}

impl Link {
    fn is_connected(&self) -> bool {
        match self.client.state() {
            ConnectionState::Connected | ConnectionState::Unresponsive => true,
            ConnectionState::Reconnecting { .. } | ConnectionState::Closed { .. } => false,
        }
    }

    /// Notes an execution that is to be sent. It is forgotten when what this gives is gone.
    fn hold(&self, instance_id: &str) -> Arc<CancellationToken> {
        let stopped = Arc::new(CancellationToken::new());
        let mut unsent = self.unsent();
        unsent.retain(|one| one.stopped.strong_count() > 0);
        unsent.push(Unsent {
            instance_id: instance_id.into(),
            stopped: Arc::downgrade(&stopped),
        });
        stopped
    }

    fn stop_unsent(&self, instance_id: &str) {
        let unsent = self.unsent();
        let wanted = unsent.iter().filter(|one| &*one.instance_id == instance_id);
        for stopped in wanted.filter_map(|one| one.stopped.upgrade()) {
            stopped.cancel();
        }
    }

    async fn execute(
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

    fn undeliverable(&self, instance_id: &str, node_id: &str, reason: &str) -> bool {
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
                event = execution.next() => link.report(&instance_id, event?),
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

    fn report(self: &Arc<Self>, instance_id: &str, event: ExecutionEvent) -> Report {
        match event {
            ExecutionEvent::Status(status) => Report::Status(status),
            // Without outputs in the status itself, the client has waited for them already.
            ExecutionEvent::End(Ok(done)) if done.status.outputs.is_none() => {
                Report::complete(&done.outputs)
            }
            ExecutionEvent::End(Ok(done)) => Report::Status(done.status),
            ExecutionEvent::End(Err(error)) => {
                if matches!(error, ExecutionError::ServerLost { sent: true, .. }) {
                    self.orphaned(instance_id);
                }
                ended(error)
            }
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

    async fn stop(&self, instance_id: &str) -> Result<StopAck, StopError> {
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

fn failed(code: NodeErrorCode, message: impl Into<String>) -> Report {
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
