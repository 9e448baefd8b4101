//! The command numbers of nodes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nodewire_core::Registry;

use super::{AutotrainerConfig, AutotrainerError};

/// Nodes that get numbers while the server runs, those that are gone included. Further ones run by name only.
const NUMBERS_MAX: usize = 65_536;

/// Which number is which node's, and the other way round. A node keeps its number while the server runs.
#[derive(Debug)]
pub(super) struct Numbers {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    by_uid: HashMap<Box<str>, i64>,
    by_number: BTreeMap<i64, Use>,
    next: i64,
    /// The registry's change that was seen last.
    seen: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Use {
    Nodes,
    Cancel,
    Node(Box<str>),
}

impl Use {
    fn name(&self) -> String {
        match self {
            Self::Nodes => "the command that tells the nodes".to_owned(),
            Self::Cancel => "the cancel command".to_owned(),
            Self::Node(uid) => format!("node `{uid}`"),
        }
    }
}

/// What a number means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    Nodes,
    Cancel,
    Node(String),
    Nothing,
}

impl Numbers {
    /// # Errors
    /// If a number is given twice, or is no number from 1 on.
    pub(super) fn new(config: &AutotrainerConfig) -> Result<Self, AutotrainerError> {
        let mut state = State {
            by_uid: HashMap::new(),
            by_number: BTreeMap::new(),
            next: config.first_command.max(1),
            seen: None,
        };
        state.reserve(config.nodes_command, Use::Nodes)?;
        state.reserve(config.cancel_command, Use::Cancel)?;
        for (uid, number) in &config.commands {
            state.reserve(*number, Use::Node(uid.as_str().into()))?;
        }
        Ok(Self {
            state: Mutex::new(state),
        })
    }

    pub(super) fn meaning(&self, number: i64, registry: &Registry) -> Meaning {
        match self.current(registry).by_number.get(&number) {
            Some(Use::Nodes) => Meaning::Nodes,
            Some(Use::Cancel) => Meaning::Cancel,
            Some(Use::Node(uid)) => Meaning::Node(uid.to_string()),
            None => Meaning::Nothing,
        }
    }

    /// `None` if there is no such node, or there were too many.
    pub(super) fn of_node(&self, uid: &str, registry: &Registry) -> Option<i64> {
        self.current(registry).by_uid.get(uid).copied()
    }

    fn current(&self, registry: &Registry) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let change = *registry.changes().borrow();
        if state.seen != Some(change) {
            state.seen = Some(change);
            for definition in registry.definitions() {
                state.add(&definition.uid);
            }
        }
        state
    }
}

impl State {
    fn reserve(&mut self, number: i64, what: Use) -> Result<(), AutotrainerError> {
        if number < 1 {
            return Err(AutotrainerError::BadCommand {
                number,
                what: what.name(),
            });
        }
        if let Some(other) = self.by_number.get(&number) {
            return Err(AutotrainerError::CommandTaken {
                number,
                first: other.name(),
                second: what.name(),
            });
        }
        if let Use::Node(uid) = &what {
            self.by_uid.insert(uid.clone(), number);
        }
        self.by_number.insert(number, what);
        Ok(())
    }

    fn add(&mut self, uid: &str) {
        if self.by_uid.contains_key(uid) {
            return;
        }
        if self.by_uid.len() >= NUMBERS_MAX {
            tracing::warn!(
                node = uid,
                "no command number is left; the node runs by name only"
            );
            return;
        }
        while self.by_number.contains_key(&self.next) {
            self.next = self.next.saturating_add(1);
        }
        self.by_uid.insert(uid.into(), self.next);
        self.by_number.insert(self.next, Use::Node(uid.into()));
    }
}

#[cfg(test)]
mod tests {
    use nodewire_core::{Context, Executor, NodeDefinition, Outputs, node_fn};

    use super::*;

    fn registry_of(uids: &[&str]) -> Executor {
        let executor = Executor::default();
        for uid in uids {
            add(&executor, uid);
        }
        executor
    }

    fn add(executor: &Executor, uid: &str) {
        let definition = NodeDefinition::builder(uid).build().unwrap();
        let node = node_fn(definition, async |_: Context| Ok(Outputs::new()));
        executor.registry().insert(node).unwrap();
    }

    #[test]
    fn nodes_get_numbers_in_order_and_keep_them() {
        let config = AutotrainerConfig::new("x")
            .command("b", 1001)
            .command("later", 50);
        let numbers = Numbers::new(&config).unwrap();
        let executor = registry_of(&["a", "b", "c"]);
        let of = |uid| numbers.of_node(uid, executor.registry());
        assert_eq!(
            [of("a"), of("b"), of("c"), of("later"), of("d")],
            [Some(1000), Some(1001), Some(1002), Some(50), None]
        );
        executor.registry().remove("a");
        add(&executor, "d");
        assert_eq!([of("a"), of("d")], [Some(1000), Some(1003)]);
        let meaning = |number| numbers.meaning(number, executor.registry());
        assert_eq!(meaning(1003), Meaning::Node("d".to_owned()));
        assert_eq!(
            [meaning(1), meaning(2), meaning(3)],
            [Meaning::Nodes, Meaning::Cancel, Meaning::Nothing]
        );
    }

    #[test]
    fn numbers_have_one_meaning() {
        let taken = Numbers::new(&AutotrainerConfig::new("x").command("n", 2)).unwrap_err();
        assert!(taken.to_string().contains("node `n`"), "{taken}");
        let bad = Numbers::new(&AutotrainerConfig::new("x").command("n", -1)).unwrap_err();
        assert!(matches!(bad, AutotrainerError::BadCommand { .. }));
    }
}
