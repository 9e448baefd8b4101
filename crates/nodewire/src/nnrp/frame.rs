//! From a frame to an execution.

use std::sync::Arc;
use std::time::Duration;

use ::nnrp::server::Submitted;
use bytestring::ByteString;
use nnrp_wire::SubmitBody;
use nnrp_wire::body::{PayloadKind, TypedPayload};
use nodewire_core::{CancelHandle, DynNode, ExecutionRequest, Executor, NodeError};
use nodewire_json::members;

use super::inputs::{self, Piece};
use super::sink::{FrameSink, Outlet};
use super::{DISCOVERY_NODE, codes, discovery};
use crate::plain::PlainRequest;
use crate::server::Identity;

/// Timers of the session and of the executor differ by less.
const TIMER_SLACK: Duration = Duration::from_millis(5);

/// Executes frames.
pub(super) struct FrameHandler {
    executor: Executor,
    identity: Identity,
    outlet: Outlet,
}

/// What a frame asks for.
enum Asked {
    Discovery,
    Execution(Box<ExecutionRequest>, Option<Arc<dyn DynNode>>),
}

impl FrameHandler {
    pub(super) const fn new(executor: Executor, identity: Identity, outlet: Outlet) -> Self {
        Self {
            executor,
            identity,
            outlet,
        }
    }

    /// Until the frame is answered, or its execution is asked to stop.
    pub(super) async fn handle(&self, frame: Submitted) {
        let asked = self.read(&frame);
        let answer = frame.answer;
        let (request, node) = match asked {
            Err(error) => return codes::fail(answer, &error),
            Ok(Asked::Discovery) => {
                let (identity, counted) = (&self.identity, &self.outlet.counted);
                return discovery::answer(answer, &self.executor, identity, counted);
            }
            Ok(Asked::Execution(request, node)) => (request, node),
        };
        let over = answer.over();
        let budget_end = answer.deadline();
        let sink = FrameSink::new(answer, node, self.outlet.clone());
        let Some(cancel) = sink.submit(&self.executor, *request) else {
            return;
        };
        tokio::select! {
            biased;
            () = sink.ended() => {}
            () = over => stop(&cancel, budget_end),
        }
    }

    fn read(&self, frame: &Submitted) -> Result<Asked, NodeError> {
        let model = frame.answer.model();
        let (plain, pieces) = split(frame, !model.is_empty())?;
        let node = match &plain.node {
            Some(node) => node.clone(),
            None if !model.is_empty() => ByteString::from(model),
            None => return Err(NodeError::invalid_input(UNNAMED)),
        };
        if node == DISCOVERY_NODE {
            return Ok(Asked::Discovery);
        }
        let found = self.executor.registry().get(&node);
        let definition = found.as_deref().map(DynNode::definition);
        let mut request = plain.into_execution(node, definition)?;
        // Without a definition there are no ports, and the executor refuses it.
        if let Some(definition) = definition {
            inputs::fill(&mut request.inputs, definition, pieces)?;
        }
        complete(&mut request, frame);
        Ok(Asked::Execution(Box::new(request), found))
    }
}

const UNNAMED: &str = "the frame names no node: begin with a structured event that is an object with `node`, or ask for \
                       the node as the session's model";

/// The frame's budget is over at the execution's own deadline, which ends it for that reason. All other ends are
/// cancellations.
fn stop(cancel: &CancelHandle, budget_end: Option<tokio::time::Instant>) {
    if !is_budget_over(budget_end) {
        cancel.cancel();
    }
}

/// Whether a frame's budget is over, for timers that may be a little early.
pub(super) fn is_budget_over(end: Option<tokio::time::Instant>) -> bool {
    end.is_some_and(|end| tokio::time::Instant::now() + TIMER_SLACK >= end)
}

/// What the header and the metadata say.
fn complete(request: &mut ExecutionRequest, frame: &Submitted) {
    let budget_end = frame.answer.deadline().map(tokio::time::Instant::into_std);
    request.deadline = match (request.deadline, budget_end) {
        (Some(asked), Some(end)) => Some(asked.min(end)),
        (asked, end) => asked.or(end),
    };
    if request.caller_id.is_empty() {
        let (session_id, frame_id) = (frame.answer.session_id(), frame.key.frame_id);
        request.caller_id = format!("nnrp {session_id}/{frame_id}").into();
    }
    let trace_id = frame.envelope.trace_id;
    if request.trace_parent.is_none() && trace_id != 0 {
        request.trace_parent = Some(trace_parent(trace_id));
    }
}

/// A shorter trace id is filled up with zeros, as W3C Trace Context has it, and the frame's sender is its parent.
fn trace_parent(trace_id: u64) -> String {
    format!("00-{trace_id:032x}-{trace_id:016x}-01")
}

/// The request, and what is to become inputs beside it.
fn split(frame: &Submitted, has_model: bool) -> Result<(PlainRequest, Vec<Piece>), NodeError> {
    let mut pieces = Vec::new();
    let mut plain = PlainRequest::default();
    match &frame.message.body {
        SubmitBody::Flat(tensor) => {
            pieces.extend(Piece::camera(&tensor.camera));
            pieces.extend(tensor.sections.iter().map(Piece::section));
        }
        SubmitBody::Composed(composed) => {
            pieces.extend(
                composed
                    .body()
                    .inline_objects
                    .iter()
                    .filter_map(Piece::object),
            );
            let sections = composed.sections().unwrap_or_default();
            pieces.extend(sections.iter().map(Piece::section));
            for (place, payload) in composed.body().typed.iter().enumerate() {
                if place == 0 && is_request(&payload, has_model) {
                    plain = PlainRequest::parse_bytes(payload.payload)?;
                } else {
                    pieces.push(Piece::payload(payload));
                }
            }
        }
    }
    let objects = frame.objects.iter();
    pieces.extend(objects.map(|(_, object)| Piece::bytes(object.clone())));
    Ok((plain, pieces))
}

/// In a session with a model, a first structured event may also be an input.
fn is_request(payload: &TypedPayload, has_model: bool) -> bool {
    payload.kind == PayloadKind::StructuredEvent
        && payload.profile_id == 0
        && (!has_model || names_node(&payload.payload))
}

fn names_node(event: &[u8]) -> bool {
    let text = std::str::from_utf8(event).unwrap_or_default();
    let is_object = text.trim_start().starts_with('{');
    is_object && members(text).flatten().any(|member| member.key() == "node")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_becomes_a_parent() {
        assert_eq!(
            trace_parent(0xab),
            "00-000000000000000000000000000000ab-00000000000000ab-01"
        );
    }

    #[test]
    fn only_an_object_with_a_node_is_a_request_in_a_session_with_a_model() {
        let event = |text: &'static str| TypedPayload::structured_event(text);
        assert!(is_request(&event(r#" {"inputs": {}, "node": "n"}"#), true));
        assert!(!is_request(&event(r#"{"inputs": {"node": 1}}"#), true));
        assert!(!is_request(&event(r#"["node"]"#), true));
        assert!(is_request(&event("anything"), false));
        assert!(!is_request(
            &event(r#"{"node": "n"}"#).with_profile(1),
            true
        ));
        assert!(!is_request(
            &TypedPayload::token_chunk(r#"{"node": "n"}"#),
            false
        ));
    }
}
