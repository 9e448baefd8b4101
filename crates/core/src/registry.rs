//! The nodes an executor can run. May change at any time; what runs is not disturbed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use foldhash::fast::RandomState;
use tokio::sync::watch;

use crate::definition::NodeDefinition;
use crate::node::DynNode;
use crate::queue::{Bounds, NodeEntry};
use crate::stats::NodeStats;

/// The registered nodes, in order of registration. Every change is atomic: there is never a moment with half of it.
#[derive(Debug)]
pub struct Registry {
    table: RwLock<Arc<Table>>,
    changes: watch::Sender<u64>,
    defaults: Bounds,
}

#[derive(Debug, Default)]
struct Table {
    order: Vec<Arc<NodeEntry>>,
    by_uid: HashMap<Arc<str>, Arc<NodeEntry>, RandomState>,
}

/// Why a registration was refused; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Two nodes with the same uid.
    #[error("there is a node `{0}` already; uids are unique within a server")]
    DuplicateUid(String),
}

impl Registry {
    pub(crate) fn new(defaults: Bounds) -> Self {
        Self {
            table: RwLock::default(),
            changes: watch::Sender::new(0),
            defaults,
        }
    }

    /// Adds a node.
    ///
    /// # Errors
    /// If its uid is taken.
    pub fn insert(&self, node: impl DynNode) -> Result<(), RegistryError> {
        self.insert_dyn(Arc::new(node))
    }

    /// As [`Self::insert`], for a node that is boxed already.
    ///
    /// # Errors
    /// If its uid is taken.
    pub fn insert_dyn(&self, node: Arc<dyn DynNode>) -> Result<(), RegistryError> {
        self.change(|nodes| {
            nodes.push(node);
            Ok(())
        })
    }

    /// Puts a node in the place of the one with the same uid, or adds it.
    pub fn replace(&self, node: impl DynNode) {
        let node: Arc<dyn DynNode> = Arc::new(node);
        let uid = Arc::clone(&node.definition().uid);
        // Cannot fail: there is at most one node with the uid, before and after.
        let _ = self.change(|nodes| {
            match nodes.iter_mut().find(|other| other.definition().uid == uid) {
                Some(place) => *place = node,
                None => nodes.push(node),
            }
            Ok(())
        });
    }

    /// Replaces all nodes at once.
    ///
    /// # Errors
    /// If two have the same uid; then nothing changes.
    pub fn replace_all(&self, nodes: Vec<Arc<dyn DynNode>>) -> Result<(), RegistryError> {
        self.change(|all| {
            *all = nodes;
            Ok(())
        })
    }

    /// Takes a node out; false if there was none. Executions that were accepted go on.
    pub fn remove(&self, uid: &str) -> bool {
        let mut removed = false;
        let _ = self.change(|nodes| {
            nodes.retain(|node| {
                let keep = &*node.definition().uid != uid;
                removed |= !keep;
                keep
            });
            Ok(())
        });
        removed
    }

    /// The node with this uid.
    #[must_use]
    pub fn get(&self, uid: &str) -> Option<Arc<dyn DynNode>> {
        self.find(uid).map(|entry| entry.node())
    }

    /// The definitions, in order of registration.
    #[must_use]
    pub fn definitions(&self) -> Vec<NodeDefinition> {
        self.table()
            .order
            .iter()
            .map(|entry| entry.node().definition().clone())
            .collect()
    }

    /// Statistics of every registered node, in order of registration.
    #[must_use]
    pub fn stats(&self) -> Vec<NodeStats> {
        self.table()
            .order
            .iter()
            .map(|entry| entry.stats())
            .collect()
    }

    /// A number that grows with every change, to wait on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn find(&self, uid: &str) -> Option<Arc<NodeEntry>> {
        self.table
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .by_uid
            .get(uid)
            .cloned()
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(
        &self,
        edit: impl FnOnce(&mut Vec<Arc<dyn DynNode>>) -> Result<(), RegistryError>,
    ) -> Result<(), RegistryError> {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let mut nodes = table.order.iter().map(|entry| entry.node()).collect();
        edit(&mut nodes)?;
        *table = Arc::new(self.rebuild(&table, nodes)?);
        drop(table);
        self.changes.send_modify(|version| *version += 1);
        Ok(())
    }

    /// A table of these nodes. Entries go on under the same uid, with their statistics and queues.
    fn rebuild(&self, old: &Table, nodes: Vec<Arc<dyn DynNode>>) -> Result<Table, RegistryError> {
        let mut uids = HashSet::new();
        if let Some(twice) = nodes
            .iter()
            .map(|node| &node.definition().uid)
            .find(|uid| !uids.insert(Arc::clone(uid)))
        {
            return Err(RegistryError::DuplicateUid(twice.to_string()));
        }
        let order: Vec<_> = nodes
            .into_iter()
            .map(|node| self.entry(old, node))
            .collect();
        let by_uid = order
            .iter()
            .map(|entry| (Arc::clone(&entry.uid), Arc::clone(entry)))
            .collect();
        Ok(Table { order, by_uid })
    }

    fn entry(&self, old: &Table, node: Arc<dyn DynNode>) -> Arc<NodeEntry> {
        let limits = node.definition().limits;
        let bounds = Bounds {
            concurrency: limits.concurrency.unwrap_or(self.defaults.concurrency),
            queue: limits.queue.unwrap_or(self.defaults.queue),
        };
        match old.by_uid.get(&node.definition().uid) {
            Some(entry) => {
                if !Arc::ptr_eq(&entry.node(), &node) {
                    entry.replace(node, bounds);
                }
                Arc::clone(entry)
            }
            None => Arc::new(NodeEntry::new(node, bounds)),
        }
    }
}
