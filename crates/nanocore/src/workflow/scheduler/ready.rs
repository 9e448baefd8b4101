//! What becomes of a node when all its sources are terminal.

use std::borrow::Cow;
use std::time::Instant;

use nodewire_json::Json;

use super::Scheduler;
use crate::workflow::asset_links::rewritten;
use crate::workflow::capacity::Wanted;
use crate::workflow::plan::{PlanInput, PlanNode, Work};
use crate::workflow::request::{SourceValue, assemble_inputs};
use crate::workflow::state::{NodeError, NodeErrorCode, NodeState};

impl Scheduler {
    /// All sources of a node are terminal.
    pub(super) fn make_ready(&mut self, node: usize, now: Instant) {
        let plan = self.plan.clone();
        let planned = &plan.nodes[node];
        if let Some(cause) = planned.blocked_by.or_else(|| self.blocking_source(planned)) {
            return self.skip(node, cause, now);
        }
        match &planned.work {
            Work::Remote(remote) => {
                self.nodes[node].state = NodeState::Ready;
                match &remote.key {
                    Some(base) => self.find_result(node, base, now),
                    None => self.queue(node),
                }
            }
            Work::Pinned(outputs) => {
                self.nodes[node].cached = true;
                self.take_outputs(node, outputs);
                self.complete(node, outputs.clone(), now);
            }
            // Done before anything started.
            Work::Reused(_) | Work::Lost => {}
            Work::Constant(outputs) => self.complete_here(node, outputs.clone(), None, now),
            Work::Show => match self.inputs_of(planned) {
                Ok(inputs) => self.complete_here(node, Vec::new(), Some(inputs), now),
                Err(error) => self.fail(node, error, now),
            },
            Work::Bypass(outputs) => match self.bypassed(planned, outputs) {
                Ok(outputs) => self.complete_here(node, outputs, None, now),
                Err(error) => self.fail(node, error, now),
            },
        }
    }

    /// A node waits for a place; before that, for its server.
    pub(super) fn queue(&mut self, node: usize) {
        if self.is_away(node) {
            self.nodes[node].held = true;
            return;
        }
        let planned = &self.plan.nodes[node];
        if let Some(remote) = planned.remote() {
            let wanted = Wanted {
                server: remote.server_uid.clone(),
                max_in_flight: self.plan.servers[remote.server].max_in_flight,
                group: remote.group.clone(),
                remaining: planned.remaining,
                node_id: planned.id,
            };
            self.nodes[node].queued = true;
            self.places.request(node, wanted);
        }
    }

    /// The node because of which a required input gets nothing. spec: nanograph 16.3
    fn blocking_source(&self, planned: &PlanNode) -> Option<u64> {
        // A muted node takes nothing itself: whoever is behind it is to know that the value is missing.
        let is_bypass = matches!(planned.work, Work::Bypass(_));
        let required = planned
            .inputs
            .iter()
            .filter(|input| !input.optional || is_bypass);
        let mut sources = required
            .flat_map(|input| &input.sources)
            .map(|(source, _)| *source);
        let failed = sources.find(|source| !self.nodes[*source].state.has_outputs())?;
        // A chain of skipped nodes names the one it began with.
        Some(
            self.nodes[failed]
                .cause
                .unwrap_or(self.plan.nodes[failed].id),
        )
    }

    pub(super) fn inputs_of<'s>(&'s self, planned: &'s PlanNode) -> Result<Json, NodeError> {
        let style = planned
            .remote()
            .and_then(|remote| self.plan.servers[remote.server].asset_style);
        let assets = self.settings.assets.as_deref().zip(style);
        let convert = |input: &PlanInput, value| match assets.filter(|_| input.carries_assets) {
            Some((assets, style)) => rewritten(value, style, assets),
            None => Cow::Borrowed(value),
        };
        let output = |source, name: &str| self.source_value(source, name);
        assemble_inputs(&planned.inputs, output, convert).map_err(|error| {
            NodeError::new(
                NodeErrorCode::InvalidInputs,
                format!("the inputs cannot be sent: {error}"),
            )
        })
    }

    fn source_value(&self, source: usize, name: &str) -> SourceValue<'_> {
        let source = &self.nodes[source];
        if !source.state.has_outputs() {
            return SourceValue::Unusable;
        }
        let found = source.outputs.iter().rfind(|(output, _)| output == name);
        found.map_or(SourceValue::Nothing, |(_, value)| SourceValue::Value(value))
    }

    // spec: nanograph 17.5
    fn bypassed(
        &self,
        planned: &PlanNode,
        outputs: &[(String, Option<usize>)],
    ) -> Result<Vec<(String, Json)>, NodeError> {
        let inputs = self.inputs_of(planned)?;
        let passed = outputs.iter().filter_map(|(output, input)| {
            let list = inputs.get(&planned.inputs.get((*input)?)?.name)?;
            Some((output.clone(), list))
        });
        Ok(passed.collect())
    }
}
