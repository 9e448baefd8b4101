//! A manager over nodes in process, and what a watcher sees of it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt, once};
use nanocore::db::{Database, DatabaseOptions};
use nanocore::events::{EventHub, Item, Subscribe, Subscription};
use nanocore::runs::{RunManager, RunManagerOptions, RunManagerParts, RunRequest, Submitted};
use nanocore::workflow::{
    Call, Catalog, GraphNode, InProcess, NodeInvoker, Report, Resolved, Server,
};
use nanograph::message::{NodeDefinition, Port};
use nodewire_json::Json;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

/// Far beyond what anything here takes, even on a machine that is busy otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the nodes do, and what was done: shared by all managers of a test, as node servers outlive a daemon.
#[derive(Clone, Default)]
pub(crate) struct World {
    calls: Arc<Mutex<Vec<String>>>,
    gates: Arc<Mutex<HashMap<String, watch::Sender<bool>>>>,
    failing: Arc<Mutex<HashMap<String, String>>>,
    away: Arc<watch::Sender<bool>>,
    breaks: Arc<AtomicBool>,
    has_other_code: Arc<AtomicBool>,
}

impl World {
    /// Whether servers have other code than when they were looked up.
    pub(crate) fn set_other_code(&self, has_other_code: bool) {
        self.has_other_code.store(has_other_code, Ordering::SeqCst);
    }

    /// The values that nodes were called with, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    pub(crate) fn calls_of(&self, text: &str) -> usize {
        self.calls().iter().filter(|call| *call == text).count()
    }

    fn gate(&self, text: &str) -> watch::Sender<bool> {
        let mut gates = self.gates.lock().unwrap();
        gates
            .entry(text.to_owned())
            .or_insert_with(|| watch::Sender::new(false))
            .clone()
    }

    /// Lets those `hold` nodes end that were, or will be, called with this value.
    pub(crate) fn open(&self, text: &str) {
        self.gate(text).send_replace(true);
    }

    /// Nodes that are called with this value fail from now on, or, without a message, do no longer.
    pub(crate) fn fail(&self, text: &str, message: Option<&str>) {
        let mut failing = self.failing.lock().unwrap();
        match message {
            Some(message) => failing.insert(text.to_owned(), message.to_owned()),
            None => failing.remove(text),
        };
    }

    /// Takes the server away, or brings it back.
    pub(crate) fn set_away(&self, is_away: bool) {
        self.away.send_replace(is_away);
    }

    /// From now on whoever looks a node up panics, or does no longer.
    pub(crate) fn break_lookups(&self, breaks: bool) {
        self.breaks.store(breaks, Ordering::SeqCst);
    }

    /// Waits until a node was called with this value.
    pub(crate) async fn called(&self, text: &str) {
        let called = async {
            while self.calls_of(text) == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, called)
            .await
            .expect("a node is called");
    }

    /// `step`: appends `.`; `hold`: the same once its gate is open; `large`: 100,000 bytes.
    fn nodes(&self) -> InProcess {
        let world = self.clone();
        let handler = move |call: Call| world.handle(&call);
        let port = |name: &str, kind: &str| Port {
            name: name.to_owned(),
            kind: kind.to_owned(),
            ..Port::default()
        };
        let definition = |uid: &str| NodeDefinition {
            inputs: vec![port("text", "string")],
            outputs: vec![port("text", "string")],
            ..NodeDefinition::new(uid)
        };
        let server = Server {
            uid: "test".to_owned(),
            package_id: Some("test-package".to_owned()),
            code_epoch: Some("1".to_owned()),
            ..Server::default()
        };
        let nodes = ["step", "hold", "large"].map(|uid| (definition(uid), handler.clone()));
        InProcess::new().server(server, nodes)
    }

    fn handle(&self, call: &Call) -> BoxStream<'static, Report> {
        let values: Vec<String> = call.request.inputs.get("text").unwrap().decode().unwrap();
        let text = values.join("+");
        self.calls.lock().unwrap().push(text.clone());
        if let Some(message) = self.failing.lock().unwrap().get(&text) {
            return once(std::future::ready(Report::error(message))).boxed();
        }
        let made = match &*call.request.node_uid {
            "large" => "x".repeat(100_000),
            _ => format!("{text}."),
        };
        let outputs = Json::from(json!({ "text": [made] }));
        let complete = Report::complete(&outputs);
        if &*call.request.node_uid != "hold" {
            return once(std::future::ready(complete)).boxed();
        }
        let mut opened = self.gate(&text).subscribe();
        once(async move {
            let _ = opened.wait_for(|is_open| *is_open).await;
            complete
        })
        .boxed()
    }
}

/// The nodes of a world, whose server comes and goes.
struct Nodes {
    world: World,
    nodes: InProcess,
}

impl Catalog for Nodes {
    fn resolve(&self, node: &GraphNode) -> Option<Resolved> {
        assert!(
            !self.world.breaks.load(Ordering::SeqCst),
            "a fault of the program"
        );
        let is_away = *self.world.away.borrow();
        self.nodes.resolve(node).filter(|_| !is_away)
    }

    fn changed(&self) -> BoxFuture<'static, ()> {
        let mut away = self.world.away.subscribe();
        async move {
            let _ = away.changed().await;
        }
        .boxed()
    }
}

impl NodeInvoker for Nodes {
    fn invoke(&self, call: Call) -> BoxStream<'static, Report> {
        self.nodes.invoke(call)
    }

    fn has_same_code(&self, _server: &Server) -> bool {
        !self.world.has_other_code.load(Ordering::SeqCst)
    }

    fn stop(&self, server: &Arc<Server>, instance_id: &str) {
        self.nodes.stop(server, instance_id);
    }
}

/// The data folder of a daemon, which outlives it.
pub(crate) struct Home {
    folder: TempDir,
    pub(crate) world: World,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            world: World::default(),
        }
    }

    pub(crate) fn db_path(&self) -> PathBuf {
        self.folder.path().join("nanocore.db")
    }

    pub(crate) async fn start(&self) -> Daemon {
        self.start_with(RunManagerOptions::default(), DatabaseOptions::default())
            .await
    }

    pub(crate) async fn start_with(
        &self,
        options: RunManagerOptions,
        db: DatabaseOptions,
    ) -> Daemon {
        let db = Database::open(&self.db_path(), db).unwrap();
        let events = EventHub::default();
        let watched = events.subscribe(Subscribe::default());
        let parts = RunManagerParts {
            nodes: Arc::new(Nodes {
                world: self.world.clone(),
                nodes: self.world.nodes(),
            }),
            db: db.clone(),
            events: events.clone(),
            assets: None,
            tracer: None,
            options,
        };
        let runs = RunManager::start(parts).await.unwrap();
        Daemon {
            runs,
            events,
            watched,
            db,
            seen: Vec::new(),
        }
    }
}

/// A manager, and a watcher of all that it tells.
pub(crate) struct Daemon {
    pub(crate) runs: RunManager,
    pub(crate) events: EventHub,
    pub(crate) db: Database,
    watched: Subscription,
    /// All events so far.
    pub(crate) seen: Vec<Value>,
}

impl Daemon {
    pub(crate) async fn submit(&self, request: RunRequest) -> Submitted {
        self.runs.submit(request, None).await.unwrap()
    }

    async fn next(&mut self) -> Value {
        let next = tokio::time::timeout(PATIENCE, self.watched.next()).await;
        let Item::Event(event) = next.expect("an event comes") else {
            panic!("the watcher is fast enough");
        };
        let event: Value = serde_json::from_str(event.text()).unwrap();
        self.seen.push(event.clone());
        event
    }

    /// Waits for the end of a run; its last event.
    pub(crate) async fn finished(&mut self, run_id: &str) -> Value {
        self.told("run_finished", run_id).await
    }

    /// Waits until something of this kind was told of a run; the event.
    pub(crate) async fn told(&mut self, type_name: &str, run_id: &str) -> Value {
        let is_end = |event: &Value| event["type"] == type_name && event["runId"] == run_id;
        if let Some(event) = self.seen.iter().find(|event| is_end(event)) {
            return event.clone();
        }
        loop {
            let event = self.next().await;
            if is_end(&event) {
                return event;
            }
        }
    }

    /// Reads the events that are there already.
    pub(crate) async fn drain(&mut self) {
        let last = self.events.seq();
        while self.watched.seq() < last {
            self.next().await;
        }
    }

    /// The words of a run's events so far.
    pub(crate) fn words(&self, run_id: &str) -> Vec<String> {
        let of_run = self.seen.iter().filter(|event| event["runId"] == run_id);
        of_run
            .map(|event| event["type"].as_str().unwrap().to_owned())
            .collect()
    }

    pub(crate) async fn record(&self, run_id: &str) -> Value {
        serde_json::to_value(self.runs.get(run_id).await.unwrap()).unwrap()
    }

    /// Ends it as a kill does: nothing is stopped in order, what runs is left behind.
    pub(crate) async fn kill(self) {
        // What was sent to the thread is written in the order of sending, so that a kill comes at the end of some write.
        // Later ones of the runs that are left behind are refused.
        self.db.close().await;
    }
}

/// `text-input` -> nodes of these kinds in a chain -> `viewer`. The nodes have the ids 2, 3, ...
pub(crate) fn chain(text: &str, kinds: &[&str]) -> RunRequest {
    let last = kinds.len() + 2;
    let input = json!({"id": 1, "uid": "text-input", "serverUid": "builtin",
                       "params": [{"name": "text", "value": text}]});
    let viewer = json!({"id": last, "uid": "viewer", "serverUid": "builtin"});
    let mut nodes = vec![input];
    for (id, kind) in (2..).zip(kinds) {
        nodes.push(json!({"id": id, "uid": kind, "serverUid": "test"}));
    }
    nodes.push(viewer);
    let link = |id: usize| {
        let input = if id + 1 == last { "value" } else { "text" };
        json!({"id": id, "link": [id, "text", id + 1, input]})
    };
    let links: Vec<Value> = (1..last).map(link).collect();
    let graph = json!({"meta": {"name": text}, "nodes": nodes, "links": links});
    RunRequest::new(Json::from(graph))
}

pub(crate) fn durable(request: RunRequest) -> RunRequest {
    RunRequest {
        durable: true,
        ..request
    }
}
