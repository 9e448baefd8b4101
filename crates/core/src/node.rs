//! Nodes: a definition and a handler.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::context::Context;
use crate::definition::NodeDefinition;
use crate::error::NodeError;
use crate::value::Outputs;

/// A boxed future, as [`DynNode`] returns it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Something that can be executed, from any wire.
pub trait Node: Send + Sync + 'static {
    /// What the node is. Must not change while the node is registered; replace the node instead.
    fn definition(&self) -> &NodeDefinition;

    /// Runs once.
    ///
    /// # Cancel safety
    /// The future is dropped when the execution is abandoned: after a cancellation or deadline plus grace time.
    /// A panic fails this execution only.
    fn execute(&self, context: Context) -> impl Future<Output = Result<Outputs, NodeError>> + Send;
}

/// The object-safe twin of [`Node`], implemented for every `Node`.
pub trait DynNode: Send + Sync + 'static {
    /// See [`Node::definition`].
    fn definition(&self) -> &NodeDefinition;

    /// See [`Node::execute`].
    fn execute_boxed(
        self: Arc<Self>,
        context: Context,
    ) -> BoxFuture<'static, Result<Outputs, NodeError>>;
}

impl<N: Node> DynNode for N {
    fn definition(&self) -> &NodeDefinition {
        Node::definition(self)
    }

    fn execute_boxed(
        self: Arc<Self>,
        context: Context,
    ) -> BoxFuture<'static, Result<Outputs, NodeError>> {
        Box::pin(async move { self.execute(context).await })
    }
}

impl fmt::Debug for dyn DynNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("uid", &self.definition().uid)
            .finish_non_exhaustive()
    }
}

/// A node from a definition and an async closure.
///
/// ```
/// use nodewire_core::{Context, NodeDefinition, Outputs, Port, node_fn};
///
/// let definition = NodeDefinition::builder("echo").input(Port::new("text", "string")).build()?;
/// let echo = node_fn(definition, async |context: Context| {
///     Ok(Outputs::new().with("text", context.inputs().get("text").cloned().ok_or("no text")?))
/// });
/// # Ok::<(), nodewire_core::DefinitionError>(())
/// ```
pub fn node_fn<F, Fut>(definition: NodeDefinition, handler: F) -> impl Node
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Outputs, NodeError>> + Send + 'static,
{
    FnNode {
        definition,
        handler,
    }
}

struct FnNode<F> {
    definition: NodeDefinition,
    handler: F,
}

impl<F, Fut> Node for FnNode<F>
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Outputs, NodeError>> + Send + 'static,
{
    fn definition(&self) -> &NodeDefinition {
        &self.definition
    }

    fn execute(&self, context: Context) -> impl Future<Output = Result<Outputs, NodeError>> + Send {
        (self.handler)(context)
    }
}

/// A node whose handler blocks its thread: computing for long, or calling blocking APIs.
///
/// It runs on the blocking pool. Its place in the node's concurrency limit is held until the handler returns, also
/// when the execution was abandoned meanwhile; it should look at [`Context::is_cancelled`] now and then.
pub fn blocking_node_fn<F>(definition: NodeDefinition, handler: F) -> impl Node
where
    F: Fn(Context) -> Result<Outputs, NodeError> + Send + Sync + 'static,
{
    let handler = Arc::new(handler);
    node_fn(definition, move |context| {
        run_blocking(context, Arc::clone(&handler))
    })
}

/// Runs a blocking handler on the blocking pool, as [`blocking_node_fn`] does.
///
/// # Errors
/// Those of the handler. A panic in the handler goes on in the caller.
pub async fn run_blocking<F>(context: Context, handler: Arc<F>) -> Result<Outputs, NodeError>
where
    F: Fn(Context) -> Result<Outputs, NodeError> + Send + Sync + 'static,
{
    let slot = context.hold_slot();
    let task = tokio::task::spawn_blocking(move || {
        let _slot = slot;
        handler(context)
    });
    match task.await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(NodeError::internal(
            "the runtime shut down before the node ran",
        )),
    }
}
