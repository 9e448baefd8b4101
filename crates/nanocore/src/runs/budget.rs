//! How much of a run's values one answer has.

use nodewire_json::Json;

use super::record::{NodeRecord, short, shortened};

/// Values that one record has inside, in bytes; of further ones only the size is told.
const RECORD_BYTES_MAX: usize = 32 << 20;

/// How much of a record's values is left to be told.
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(RECORD_BYTES_MAX)
    }
}

impl Budget {
    pub(super) fn short(&mut self, run_id: &str, node_id: u64, size: usize) -> Option<Json> {
        let short = short(size, self.0, run_id, node_id);
        if short.is_none() {
            self.0 -= size;
        }
        short
    }

    pub(super) fn shortened(&mut self, node: NodeRecord, run_id: &str) -> NodeRecord {
        let id = node.node_id;
        let mut fit = |value: Json| {
            self.short(run_id, id, value.as_str().len())
                .unwrap_or(value)
        };
        NodeRecord {
            inputs: node.inputs.map(&mut fit),
            outputs: node.outputs.map(&mut fit),
            last_status: node
                .last_status
                .map(|value| shortened(&value, run_id, id).unwrap_or(value)),
            ..node
        }
    }
}
