//! Queue groups by name, across all patterns that a subject matches.

use super::Leaf;
use super::leaf::Queue;

/// The groups of one message. Kept from message to message.
#[derive(Debug)]
pub(crate) struct QueueGroups<'table, S> {
    /// Parts of the same name lie side by side.
    parts: Vec<&'table Queue<S>>,
}

/// One group: the members of its name, whatever they subscribed to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueGroup<'groups, 'table, S> {
    parts: &'groups [&'table Queue<S>],
}

impl<'table, S> QueueGroups<'table, S> {
    pub(crate) fn new() -> Self {
        Self { parts: Vec::new() }
    }

    /// Takes the groups of these leaves in place of the ones before.
    pub(crate) fn collect(&mut self, leaves: &[&'table Leaf<S>]) {
        self.parts.clear();
        self.parts
            .extend(leaves.iter().flat_map(|leaf| &leaf.queues));
        // One pattern has a name only once: mostly there is nothing to bring together.
        if leaves.len() > 1 && self.parts.len() > 1 {
            self.parts.sort_by(|one, other| one.name.cmp(&other.name));
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = QueueGroup<'_, 'table, S>> {
        let groups = self.parts.chunk_by(|one, other| one.name == other.name);
        groups.map(|parts| QueueGroup { parts })
    }
}

impl<S> QueueGroup<'_, '_, S> {
    #[cfg(test)]
    pub(crate) fn name(&self) -> &[u8] {
        &self.parts[0].name
    }

    /// How many members; at least one.
    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.members.len()).sum()
    }

    /// The member at a place below [`Self::len`].
    pub(crate) fn member(&self, mut at: usize) -> Option<&S> {
        for part in self.parts {
            match part.members.get(at) {
                Some(member) => return Some(member),
                None => at -= part.members.len(),
            }
        }
        None
    }
}
