//! [`CopyingInvoker`]: nodes whose servers keep their assets elsewhere. spec: nanograph 17.6

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::{BoxFuture, Either, ready};
use futures_util::stream::{BoxStream, Stream, StreamExt, TryStreamExt, iter, once, unfold};
use nanograph::message::{Status, StatusKind};
use nodewire_json::Json;
use tokio_util::sync::CancellationToken;

use super::asset_links::{AssetStyle, references, replaced};
use super::catalog::{Catalog, Resolved, Server};
use super::graph::GraphNode;
use super::invoker::{Call, NodeInvoker, Report};
use super::object::ObjectWriter;
use super::state::{NodeError, NodeErrorCode};
use super::types::carries_assets;
use crate::assets::{AssetId, AssetTransfer, ForeignAssets, TransferError};

/// How often a node that waits for copies says so, well within the time in which a server must say something.
const TELL_PERIOD: Duration = Duration::from_secs(10);
/// Different assets that the values of one node may name, if they have to be copied.
const ASSETS_MAX: usize = 1_000;
/// Copies that one node waits for at the same time.
const COPIES_MAX: usize = 4;
/// The domain in names of servers that have none. spec: nanograph 1
const DEFAULT_DOMAIN: &str = "nanocore.local";

/// Copies assets where a server's are [elsewhere](Server::assets): what inputs name goes there before the node is sent,
/// what outputs name comes into the store before the node counts as complete. Only on ports that may carry assets; of
/// outputs only the final ones. Names that neither side knows are text like any other.
///
/// What cannot be copied fails the node with [`NodeErrorCode::AssetTransfer`]. A stop, or dropping the stream of
/// reports, breaks copies off.
#[derive(Debug)]
pub struct CopyingInvoker<I> {
    inner: Arc<I>,
    transfer: AssetTransfer,
    /// The domain in names of the store's assets.
    domain: Arc<str>,
    /// At most what runs have in flight.
    copying: Mutex<Vec<Copying>>,
}

/// An execution whose copies a stop of its instance breaks off.
#[derive(Debug)]
struct Copying {
    instance_id: String,
    /// Gone with the stream of reports.
    stopped: Weak<CancellationToken>,
}

/// One execution on a server whose assets are elsewhere.
#[derive(Clone)]
struct Work {
    transfer: AssetTransfer,
    domain: Arc<str>,
    server: Arc<Server>,
    assets: ForeignAssets,
    stopped: Arc<CancellationToken>,
}

impl<I> CopyingInvoker<I> {
    /// Executes with `inner`. `domain` goes into names of the store's assets.
    #[must_use]
    pub fn new(inner: I, transfer: AssetTransfer, domain: impl Into<Arc<str>>) -> Self {
        Self {
            inner: Arc::new(inner),
            transfer,
            domain: domain.into(),
            copying: Mutex::default(),
        }
    }

    fn hold(&self, instance_id: &str) -> Arc<CancellationToken> {
        let stopped = Arc::new(CancellationToken::new());
        let mut copying = self.copying();
        copying.retain(|one| one.stopped.strong_count() > 0);
        copying.push(Copying {
            instance_id: instance_id.to_owned(),
            stopped: Arc::downgrade(&stopped),
        });
        stopped
    }

    fn copying(&self) -> MutexGuard<'_, Vec<Copying>> {
        self.copying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I: Catalog> Catalog for CopyingInvoker<I> {
    fn resolve(&self, node: &GraphNode) -> Option<Resolved> {
        self.inner.resolve(node)
    }

    fn absence(&self, node: &GraphNode) -> Option<String> {
        self.inner.absence(node)
    }

    fn changed(&self) -> BoxFuture<'static, ()> {
        self.inner.changed()
    }
}

impl<I: NodeInvoker + 'static> NodeInvoker for CopyingInvoker<I> {
    fn invoke(&self, call: Call) -> BoxStream<'static, Report> {
        let Some(assets) = call.server.assets.clone() else {
            return self.inner.invoke(call);
        };
        let work = Work {
            transfer: self.transfer.clone(),
            domain: self.domain.clone(),
            server: call.server.clone(),
            assets,
            stopped: self.hold(&call.request.instance_id),
        };
        let is_output = carrying(&call.request.graph_node, "outputs");
        let (inner, sending) = (self.inner.clone(), work.clone());
        let sent = told(async move { sending.inputs(call).await }, "inputs");
        let reports = sent.flat_map(move |step| match step {
            Either::Left(report) => one(report),
            Either::Right(Ok(call)) => inner.invoke(call),
            Either::Right(Err(error)) => one(Report::Failed(error)),
        });
        let is_output = Arc::new(is_output);
        reports
            .flat_map(move |report| work.clone().report(report, is_output.clone()))
            .boxed()
    }

    fn has_same_code(&self, server: &Server) -> bool {
        self.inner.has_same_code(server)
    }

    fn will_be_back(&self, server: &Server) -> bool {
        self.inner.will_be_back(server)
    }

    fn stop(&self, server: &Arc<Server>, instance_id: &str) {
        let stopped: Vec<_> = self
            .copying()
            .iter()
            .filter(|one| one.instance_id == instance_id)
            .filter_map(|one| one.stopped.upgrade())
            .collect();
        stopped.iter().for_each(|stopped| stopped.cancel());
        self.inner.stop(server, instance_id);
    }
}

impl Work {
    /// The call with its inputs named as the server names them.
    async fn inputs(self, mut call: Call) -> Result<Call, NodeError> {
        let is_input = carrying(&call.request.graph_node, "inputs");
        let names = self.named(&call.request.inputs, &is_input)?;
        let copies = names
            .into_iter()
            .map(|(name, (id, style))| self.send(name, id, style));
        let names = self.all(copies.collect()).await?;
        if let Some(inputs) = renamed(&call.request.inputs, &is_input, &names) {
            call.request.inputs = inputs;
        }
        Ok(call)
    }

    fn report(self, report: Report, is_output: Arc<Ports>) -> BoxStream<'static, Report> {
        let outputs = match &report {
            Report::Status(status) if status.kind == StatusKind::Complete => status.outputs.clone(),
            Report::Status(_) | Report::Failed(_) => None,
        };
        let Some(outputs) = outputs else {
            return one(report);
        };
        let received = async move {
            match self.outputs(&outputs, &is_output).await {
                Ok(Some(outputs)) => Report::complete(&outputs),
                Ok(None) => report,
                Err(error) => Report::Failed(error),
            }
        };
        told(received, "outputs").map(Either::into_inner).boxed()
    }

    /// The outputs with assets named as here; `None` if that changes nothing.
    async fn outputs(&self, outputs: &Json, is_output: &Ports) -> Result<Option<Json>, NodeError> {
        let names = self.named(outputs, is_output)?;
        let copies = names
            .into_iter()
            .map(|(name, (id, style))| self.receive(name, id, style));
        let names = self.all(copies.collect()).await?;
        Ok(renamed(outputs, is_output, &names))
    }

    /// The names that these values hold.
    fn named(
        &self,
        values: &Json,
        carries: &Ports,
    ) -> Result<BTreeMap<String, (AssetId, AssetStyle)>, NodeError> {
        let mut names = BTreeMap::new();
        for (port, value) in values.entries().unwrap_or_default() {
            if carries.may(&port) {
                references(&value, &mut names);
            }
        }
        if names.len() > ASSETS_MAX {
            let message = format!(
                "the values name {} assets of another server, {ASSETS_MAX} can be copied",
                names.len()
            );
            return Err(NodeError::new(NodeErrorCode::AssetTransfer, message));
        }
        Ok(names)
    }

    async fn send(
        &self,
        name: String,
        id: AssetId,
        style: AssetStyle,
    ) -> Result<Option<(String, String)>, NodeError> {
        let Some(entry) = self.transfer.store().touch(id) else {
            return Ok(None);
        };
        let domain = self.server.domain.as_deref().unwrap_or(DEFAULT_DOMAIN);
        let by_uuid = style == AssetStyle::Uuid;
        let there = self.transfer.export(&entry, &self.assets, by_uuid, domain);
        match there.await {
            Ok(there) => Ok(Some((name, there))),
            Err(error) => Err(self.failed(&name, "to", &error)),
        }
    }

    async fn receive(
        &self,
        name: String,
        id: AssetId,
        style: AssetStyle,
    ) -> Result<Option<(String, String)>, NodeError> {
        // What the store knows by this name was given to the node as text.
        if self.transfer.store().touch(id).is_some() {
            return Ok(None);
        }
        let Ok(reference) = name.parse() else {
            return Ok(None);
        };
        let entry = self
            .transfer
            .import(&self.assets, &reference, &self.server.uid);
        let entry = entry
            .await
            .map_err(|error| self.failed(&name, "from", &error))?;
        let here = match style {
            AssetStyle::Uuid => format!("nanocore://{}/asset/{}", self.domain, entry.uuid),
            AssetStyle::Hash => entry.hash.to_string(),
        };
        Ok(Some((name, here)))
    }

    /// All copies, until the first fails or the node is stopped.
    async fn all(
        &self,
        copies: Vec<impl Future<Output = Result<Option<(String, String)>, NodeError>>>,
    ) -> Result<HashMap<String, String>, NodeError> {
        if copies.is_empty() {
            return Ok(HashMap::new());
        }
        let copied = iter(copies)
            .buffer_unordered(COPIES_MAX)
            .try_filter_map(|renamed| ready(Ok(renamed)))
            .try_collect();
        tokio::select! {
            biased;
            () = self.stopped.cancelled() => {
                let message = "it was stopped while its assets were copied";
                Err(NodeError::new(NodeErrorCode::Refused, message))
            }
            copied = copied => copied,
        }
    }

    fn failed(&self, name: &str, way: &str, error: &TransferError) -> NodeError {
        let (endpoint, server) = (&self.assets.endpoint, &self.server);
        let error = crate::supervisor::with_cause(error);
        let message = format!(
            "cannot copy {name} {way} the asset server {endpoint} of node server \"{server}\": {error}"
        );
        NodeError::new(NodeErrorCode::AssetTransfer, message)
    }
}

/// Which ports may carry assets.
struct Ports(HashMap<String, bool>);

impl Ports {
    fn may(&self, port: &str) -> bool {
        self.0.get(port).copied().unwrap_or(true)
    }
}

/// The ports of a node; those without a type may carry assets, too.
fn carrying(graph_node: &Json, side: &str) -> Ports {
    let ports = graph_node.get(side).and_then(|ports| ports.elements());
    let text = |port: &Json, key| Some(port.get(key)?.string()?.into_owned());
    let ports = ports.unwrap_or_default();
    let ports = ports.iter().filter_map(|port| {
        let kind = text(port, "type");
        let may = kind.is_none_or(|kind| carries_assets(&kind));
        Some((text(port, "name")?, may))
    });
    Ports(ports.collect())
}

/// The values with assets named anew; `None` if that changes nothing.
fn renamed(values: &Json, carries: &Ports, names: &HashMap<String, String>) -> Option<Json> {
    if names.iter().all(|(old, new)| old == new) {
        return None;
    }
    let mut object = ObjectWriter::with_capacity(values.as_str().len());
    for (port, value) in values.entries()? {
        if carries.may(&port) {
            object.member(&port, &replaced(&value, names));
        } else {
            object.member(&port, &value);
        }
    }
    object.finish().ok()
}

fn one(report: Report) -> BoxStream<'static, Report> {
    once(ready(report)).boxed()
}

/// What the work gives; until then, now and then, that it goes on.
fn told<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
    what: &'static str,
) -> impl Stream<Item = Either<Report, T>> + Send {
    unfold(Some(Box::pin(work)), move |work| async move {
        let mut work = work?;
        tokio::select! {
            biased;
            done = &mut work => Some((Either::Right(done), None)),
            () = tokio::time::sleep(TELL_PERIOD) => {
                Some((Either::Left(goes_on(what)), Some(work)))
            }
        }
    })
}

/// Not `running`: the server does not execute the node yet, or not any more.
fn goes_on(what: &str) -> Report {
    let mut status = ObjectWriter::new();
    let message = format!("assets of its {what} are being copied");
    status.string("type", "idle").string("message", &message);
    Report::Status(Status::from_json(status.finish().unwrap_or_default()))
}
