//! Nodes on the NNRP wire: an executor behind an `nnrp` server, over QUIC and TLS on one port.
//!
//! # Asking
//! A frame names its node in one of two ways:
//! - Its first typed payload is a structured event with a [`plain`](crate::plain) request: `{"node": "uid", "inputs": …,
//!   "parameters": …, "timeoutMs": …, "priority": …, "callerId": …, "traceparent": …}`.
//! - The model that the session's hello asked for is a node's uid. A first structured event with a `node` goes before it.
//!
//! Everything else that a frame carries becomes inputs, in this order, without being copied: an inline camera block, each
//! tensor section (a list with one value for each tile), the typed payloads, and the cached objects that it references. The
//! profile of a typed payload is the place of its port in the node's definition, counted from 1; several of one profile are
//! a list. What has profile 0, or none, goes to the ports that have no input yet, one each; the last such port takes all the
//! rest. What a payload becomes:
//!
//! | Payload | Value |
//! |---|---|
//! | token chunk | a string, as JSON; bytes at ports of type `bytes` |
//! | structured event, tool delta | JSON; bytes at ports of type `bytes` |
//! | opaque bytes, audio, video, tensor tiles, objects | bytes |
//!
//! The frame of the node [`DISCOVERY_NODE`] is answered with what is served: definitions, JSON Schemas, load, and what the
//! wire can express.
//!
//! # Answering
//! | Execution | Wire |
//! |---|---|
//! | completed | RESULT_PUSH, complete, the last |
//! | partial outputs | RESULT_PUSH, partial, where the submit allows partial results; lost otherwise |
//! | progress | the same, with a structured event of profile 0, `{"event": "progress", …}`; else one RESULT_HINT per frame |
//! | failed, refused | ERROR of the frame, `kind: message`, by the table below |
//! | dropped; refused for want of room | RESULT_DROP, behind a RESULT_HINT with the reason where there is one |
//! | cancelled by FRAME_CANCEL | RESULT_DROP |
//! | cancelled by somebody else | ERROR, FRAME_CANCELLED |
//!
//! Each value of an output is a typed payload, whose profile is the place of its port among the outputs, counted from 1: a
//! token chunk for a string, opaque bytes for bytes (not copied), `{"$asset": "…"}` for a reference, and a structured event
//! for other JSON. Outputs that the definition does not have come together, as `{"outputs": …}`, in one of profile 0.
//!
//! A result has at most [`NnrpConfig::result_bytes_max`]. Of longer outputs the longest bytes are kept as assets, if the
//! server has a store, each with `{"$asset": "…"}` in its place; or, where that is not enough, all of them as one JSON
//! document: `{"outputs": {"$asset": "…"}}` in an event of profile 0. Partial outputs that are longer are lost, and counted.
//! Of those that wait for a client that takes none, an execution holds one; the next waits in its handler.
//!
//! | Error or refusal | Code |
//! |---|---|
//! | invalid_input, also an input or a parameter that the node does not have | MALFORMED_BODY |
//! | not_found | INVALID_STATE |
//! | cancelled | FRAME_CANCELLED |
//! | deadline | FRAME_EXPIRED; where it was the frame's budget, RESULT_DROP, BUDGET_EXCEEDED |
//! | overloaded, unavailable | SERVER_BUSY |
//! | unsupported | UNSUPPORTED_CAPABILITY |
//! | internal | INTERNAL_ERROR; LIMIT_EXCEEDED for outputs that are longer than a result, without an asset store |
//! | unknown_node | UNSUPPORTED_CAPABILITY |
//! | shutting_down | SERVER_BUSY |
//! | queue_full | RESULT_DROP, QUEUE_FULL |
//! | too_many_in_flight | RESULT_DROP, SERVER_BUSY |
//! | deadline_passed | RESULT_DROP, BUDGET_EXCEEDED |
//!
//! A frame's latency budget is its deadline; when it is over, RESULT_DROP comes behind a RESULT_HINT that says so. FRAME_CANCEL, and the end of a session, reach the handler. Credit, cached
//! objects and migration are what the `nnrp` crate does. The header's trace id is copied to the answers; where the event has
//! no `traceparent`, it becomes one.
//!
//! What this wire cannot express: tile ids, element types and layouts of tensors do not reach nodes.

mod codes;
mod config;
mod counts;
mod discovery;
mod frame;
mod inputs;
mod outputs;
mod sink;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::nnrp::server::{Acceptance, Hello, HelloHook, ServeOptions, Server, Submitted};
use ::nnrp::{Listener, ListenerError};
use nodewire_core::{BoxFuture, Executor};
use tokio::task::JoinHandle;

pub use self::config::NnrpConfig;
pub(crate) use self::counts::Counted;
pub use self::counts::NnrpCounts;
pub use self::discovery::DISCOVERY_NODE;
use self::frame::FrameHandler;
use self::sink::Outlet;
use crate::capability::Losses;
use crate::nanograph::Transfers;
use crate::server::{Identity, RunningWire};

/// Listens, with the executor's nodes as what can be asked for.
pub(crate) async fn start(
    config: NnrpConfig,
    executor: Executor,
    losses: Losses,
    identity: &Identity,
) -> Result<Running, ListenerError> {
    let listener = Arc::new(Listener::bind(config.listener).await?);
    let mut options = config.server;
    options.on_hello = match config.on_hello {
        Some(hook) => hook,
        None => model_hook(executor.clone()),
    };
    let serve = ServeOptions {
        // The executor refuses what is too much, and says so; what waits here would wait without a word.
        session_frames_max: options.session.frames_max,
        frames_max: usize::MAX,
        // An execution is cancelled by its handle: it may go on for its grace time.
        drops_cancelled: false,
    };
    let outlet = Outlet {
        assets: executor.assets().clone(),
        transfers: Transfers::new(config.transfers_max),
        losses,
        counted: Counted::default(),
        result_bytes_max: config.result_bytes_max,
    };
    let (transfers, counted) = (outlet.transfers.clone(), outlet.counted.clone());
    let handler = Arc::new(FrameHandler::new(executor, identity.clone(), outlet));
    let server = Server::new(options);
    let serving = server.clone();
    let listening = Arc::clone(&listener);
    let task = tokio::spawn(async move {
        let handle = move |frame: Submitted| {
            let handler = Arc::clone(&handler);
            async move { handler.handle(frame).await }
        };
        serving.serve(&listening, handle, serve).await;
    });
    Ok(Running {
        server,
        listener,
        transfers,
        counted,
        task: Serving(task),
    })
}

/// Everybody gets a session, of the node that the hello names as its model.
fn model_hook(executor: Executor) -> HelloHook {
    HelloHook::new(move |hello| std::future::ready(Ok(accept(&executor, &hello))))
}

fn accept(executor: &Executor, hello: &Hello) -> Acceptance {
    let mut acceptance = hello.accept();
    // What is no node may be anything, a secret for instance, and is not repeated.
    let model = std::str::from_utf8(hello.auth()).unwrap_or_default();
    if executor.registry().get(model).is_some() {
        model.clone_into(&mut acceptance.model);
    }
    acceptance
}

/// A wire that serves.
pub(crate) struct Running {
    server: Server,
    listener: Arc<Listener>,
    transfers: Transfers,
    counted: Counted,
    task: Serving,
}

impl Running {
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr()
    }

    pub(crate) fn counted(&self) -> Counted {
        self.counted.clone()
    }
}

impl RunningWire for Running {
    fn close(mut self: Box<Self>, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.listener.close();
            self.transfers.finish(time).await;
            let stopped = self.server.stop("the server stops", time).await;
            tracing::debug!(?stopped, "the NNRP wire's sessions have ended");
            if let Err(error) = (&mut self.task.0).await {
                tracing::error!(%error, "the NNRP wire's task failed");
            }
            // What a QUIC client does not acknowledge is given up.
            let _ = tokio::time::timeout(time, self.listener.idle()).await;
        })
    }
}

/// Ends with its owner: sessions are closed then.
struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}
