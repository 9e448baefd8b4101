//! Executions of tools, from submission to their one end.

use std::pin::pin;

use nodewire_core::{Execution, ExecutionEvent, NodeError, RefusalKind};
use rmcp::model::CallToolResult;
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use tokio_util::sync::CancellationToken;

use super::catalogue::Described;
use super::progress::Reports;
use super::tools::Shared;
use super::{arguments, error, result};
use crate::capability::{Told, Wire};

/// Cancelled when the connection of a session's request has ended, or its answer has gone out.
#[derive(Debug, Clone)]
pub(super) struct Gone(pub(super) CancellationToken);

/// Executes a tool, and waits for its end.
///
/// # Errors
/// It is refused, or a member of `_meta` cannot be read.
///
/// If this is dropped, the execution is cancelled.
pub(super) async fn call(
    shared: &Shared,
    described: &Described,
    given: rmcp::model::JsonObject,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResult, ErrorData> {
    let mut request = match arguments::execution(described, given) {
        Ok(request) => request,
        Err(error) => {
            let uid = &described.definition.uid;
            shared.executor.refused(uid, RefusalKind::InvalidInput);
            return Ok(error::failed(&error));
        }
    };
    arguments::add_meta(&mut request, &context.meta, shared.options.timeout_max)?;
    if request.caller_id.is_empty()
        && let Some(name) = client_name(&context)
    {
        request.caller_id = name.into();
    }
    let execution = shared.executor.submit(request);
    let execution = execution.map_err(|refusal| error::refused(&refusal))?;
    let token = context.meta.get_progress_token();
    let reports = token.map(|token| Reports::new(context.peer.clone(), token));
    let mut following = Following {
        execution,
        reports,
        told: Told::default(),
        is_stopping: false,
    };
    let ended = following.end(asked_to_stop(&context)).await;
    following.told.count(&shared.losses, Wire::Mcp);
    Ok(told(described, ended))
}

/// The client's name, as the call tells it, or its session.
fn client_name(context: &RequestContext<RoleServer>) -> Option<String> {
    // The SDK would read everything that is told of the client.
    let told = context.meta.get("io.modelcontextprotocol/clientInfo");
    let name = told.and_then(|info| info.get("name")?.as_str());
    name.map(str::to_owned)
        .or_else(|| context.client_info().map(|info| info.name))
}

/// Completes when the caller cancels, or its connection ends.
async fn asked_to_stop(context: &RequestContext<RoleServer>) {
    let parts = context.extensions.get::<axum::http::request::Parts>();
    let gone = parts.and_then(|parts| parts.extensions.get::<Gone>());
    match gone {
        Some(Gone(gone)) => tokio::select! {
            () = gone.cancelled() => {}
            () = context.ct.cancelled() => {}
        },
        None => context.ct.cancelled().await,
    }
}

/// The last event, which is never progress or partial outputs.
fn told(described: &Described, ended: Option<ExecutionEvent>) -> CallToolResult {
    match ended {
        Some(ExecutionEvent::Completed(outputs)) => {
            result::completed(&described.definition.uid, &outputs)
        }
        Some(ExecutionEvent::Failed(error)) => {
            tracing::debug!(?error, "execution failed");
            error::failed(&error)
        }
        Some(ExecutionEvent::Cancelled { .. }) => error::cancelled(),
        Some(ExecutionEvent::Dropped(reason)) => error::dropped(reason),
        Some(
            ExecutionEvent::Accepted
            | ExecutionEvent::Started
            | ExecutionEvent::Progress(_)
            | ExecutionEvent::Partial(_),
        )
        | None => error::failed(&NodeError::internal("the execution has no end")),
    }
}

/// An execution on its way. Dropping it cancels.
struct Following {
    execution: Execution,
    reports: Option<Reports>,
    told: Told,
    is_stopping: bool,
}

impl Following {
    /// Follows it to its last event, also after it was asked to stop: until then it counts as in flight.
    async fn end(&mut self, stop: impl Future<Output = ()>) -> Option<ExecutionEvent> {
        let mut stop = pin!(stop);
        loop {
            let event = tokio::select! {
                biased;
                () = &mut stop, if !self.is_stopping => {
                    self.stop();
                    continue;
                }
                event = self.execution.next() => event?,
            };
            match event {
                ExecutionEvent::Accepted | ExecutionEvent::Started => {}
                ExecutionEvent::Partial(_) => self.told.partial = true,
                ExecutionEvent::Progress(progress) => match &mut self.reports {
                    None => self.told.progress = true,
                    Some(_) if self.is_stopping => {}
                    // A connection that takes nothing must not hold up a cancellation.
                    Some(reports) => tokio::select! {
                        () = reports.send(progress) => {}
                        () = &mut stop => self.stop(),
                    },
                },
                ExecutionEvent::Completed(_)
                | ExecutionEvent::Failed(_)
                | ExecutionEvent::Cancelled { .. }
                | ExecutionEvent::Dropped(_) => return Some(event),
            }
        }
    }

    fn stop(&mut self) {
        self.is_stopping = true;
        self.execution.cancel();
    }
}
