//! Node servers over the wire: the invoker that real runs use. spec: nanograph 14.1, 15.3, 16.5

mod counts;
mod link;
mod peer;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{BoxStream, FuturesUnordered, StreamExt};
use nanograph::client::Client;
use nanograph::message::Handshake;
use tokio::sync::watch;
use uuid::Uuid;

use super::asset_links::AssetStyle;
use super::catalog::{Catalog, InputStyle, Resolved, Server, ServerSet};
use super::graph::GraphNode;
use super::invoker::{Call, NodeInvoker, Report};
use super::state::NodeErrorCode;
use crate::assets::ForeignAssets;
use crate::nats::NatsServer;
pub(crate) use counts::{StepCount, StepCounts};
use link::{Link, failed};
use peer::{Peer, only};

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
    /// Where its assets are, if not in the orchestrator's store.
    pub assets: Option<ForeignAssets>,
    /// Whether somebody watches its process and tells [`ServerPool::ended`] how that ended.
    pub is_watched: bool,
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
    counts: StepCounts,
    /// Who knows of servers that are not here.
    absence: Arc<OnceLock<Absence>>,
}

/// Tells why no server offers a node.
struct Absence(Box<TellAbsence>);

type TellAbsence = dyn Fn(&GraphNode) -> Option<String> + Send + Sync;

impl fmt::Debug for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Absence")
    }
}

#[derive(Debug, Default)]
struct State {
    members: BTreeMap<String, Member>,
    offers: ServerSet,
    /// Those that somebody looks after.
    kept_up: BTreeSet<String>,
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
    peer: Peer,
    settings: ServerSettings,
    /// What `offers` shows of it; `None` if nothing.
    shown: Option<Arc<Handshake>>,
    /// It was shown before, so that what comes now may be other code.
    was_shown: bool,
}

impl ServerPool {
    /// An empty pool.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a connected server, in place of one with the same uid.
    pub fn add(&self, client: Client, settings: ServerSettings) {
        let link = Link::new(client, settings.is_watched);
        self.put(Peer::Nanograph(Arc::new(link)), settings);
    }

    /// Adds a server that is reached over NATS, in place of one with the same uid.
    pub fn add_nats(&self, server: NatsServer, settings: ServerSettings) {
        self.put(Peer::Nats(server), settings);
    }

    fn put(&self, peer: Peer, settings: ServerSettings) {
        let server_uid = peer.handshake().server_uid.clone();
        let mut state = self.lock();
        state.offers.remove(&server_uid);
        state.members.insert(
            server_uid,
            Member {
                peer,
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

    /// Removes a server; its client, if it was there and has one. Executions on it go on.
    pub fn remove(&self, server_uid: &str) -> Option<Client> {
        let mut state = self.lock();
        state.offers.remove(server_uid);
        let removed = state.members.remove(server_uid)?;
        drop(state);
        self.members.send_replace(());
        removed.peer.client()
    }

    /// Says whether somebody looks after a server: while it is not there, or not connected, it will be back, and nodes
    /// that were not sent yet wait for it. What was in flight is lost all the same.
    pub fn set_kept_up(&self, server_uid: &str, is_kept_up: bool) {
        let mut state = self.lock();
        let is_new = if is_kept_up {
            state.kept_up.insert(server_uid.to_owned())
        } else {
            state.kept_up.remove(server_uid)
        };
        drop(state);
        if is_new {
            self.members.send_replace(());
        }
    }

    /// Has `tell`, which must not block, asked why no server offers a node. The first one stays.
    pub(crate) fn set_absence(
        &self,
        tell: impl Fn(&GraphNode) -> Option<String> + Send + Sync + 'static,
    ) {
        // A second one finds the place taken.
        let _ = self.absence.set(Absence(Box::new(tell)));
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
        let peer = self.peer(server_uid);
        let link = peer.as_ref().and_then(Peer::link);
        link.is_some_and(|link| link.undeliverable(instance_id, node_id, reason))
    }

    /// Says how a server's process ended, for whoever loses an execution by that. False if the server is not there.
    pub fn ended(&self, server_uid: &str, how: &str) -> bool {
        let peer = self.peer(server_uid);
        let link = peer.as_ref().and_then(Peer::link);
        link.map(|link| link.ended(how)).is_some()
    }

    /// The clients of all servers that have one, by uid.
    #[must_use]
    pub fn clients(&self) -> Vec<Client> {
        self.lock()
            .members
            .values()
            .filter_map(|member| member.peer.client())
            .collect()
    }

    /// What was sent, and what came of it.
    pub(crate) fn counts(&self) -> StepCounts {
        self.counts.clone()
    }

    fn peer(&self, server_uid: &str) -> Option<Peer> {
        let state = self.lock();
        let member = state.members.get(server_uid)?;
        Some(member.peer.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes over what servers announced since the last look.
    fn refresh(&mut self) {
        for (server_uid, member) in &mut self.members {
            let peer = &member.peer;
            let now = peer.is_connected().then(|| peer.handshake());
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
            .map_or(0, |member| member.peer.load())
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
        assets: settings.assets.clone(),
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

    fn absence(&self, node: &GraphNode) -> Option<String> {
        let Absence(tell) = self.absence.get()?;
        tell(node)
    }

    fn changed(&self) -> BoxFuture<'static, ()> {
        // All are subscribed to now, so that nothing between this and the first poll is missed.
        let mut members = self.members.subscribe();
        let peers: Vec<_> = self
            .lock()
            .members
            .values()
            .map(|member| member.peer.watch())
            .collect();
        let links = peers.into_iter().map(|(mut state, mut handshake)| {
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

    fn will_be_back(&self, server: &Server) -> bool {
        let state = self.lock();
        let is_there = |member: &Member| member.peer.is_connected();
        state.kept_up.contains(&server.uid) && !state.members.get(&server.uid).is_some_and(is_there)
    }

    fn invoke(&self, call: Call) -> BoxStream<'static, Report> {
        match self.peer(&call.server.uid) {
            Some(peer) => {
                let (wire, node) = (peer.wire(), call.request.node_uid.clone());
                self.counts.follow(wire, &node, peer.invoke(call))
            }
            None => {
                let message = format!("server \"{}\" was stopped or removed", call.server);
                only(failed(NodeErrorCode::ServerLost, message))
            }
        }
    }

    fn stop(&self, server: &Arc<Server>, instance_id: &str) {
        if let Some(peer) = self.peer(&server.uid) {
            peer.stop(instance_id);
        }
    }
}
