//! The tools there are: the executor's nodes, described again only after they have changed.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use nodewire_core::{Executor, NodeDefinition};
use rmcp::model::Tool;
use tokio::sync::watch;

use super::tool::{self, Argument};

/// The tools there are, at any time.
#[derive(Debug)]
pub(super) struct Catalogue {
    executor: Executor,
    changes: watch::Receiver<u64>,
    // A std mutex: held while the tools are described, never across an await.
    known: Mutex<Option<(u64, Arc<Tools>)>>,
}

/// The tools at one time, by name.
#[derive(Debug)]
pub(super) struct Tools(BTreeMap<String, Described>);

/// A tool, and the node it is.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) tool: Tool,
    pub(super) definition: NodeDefinition,
    arguments: Vec<(String, Argument)>,
}

impl Catalogue {
    pub(super) fn new(executor: Executor) -> Self {
        Self {
            changes: executor.registry().changes(),
            executor,
            known: Mutex::default(),
        }
    }

    /// The tools there are now.
    pub(super) fn tools(&self) -> Arc<Tools> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // What changes after this is described again the next time.
        let now = *self.changes.borrow();
        if let Some((at, tools)) = &*known
            && *at == now
        {
            return Arc::clone(tools);
        }
        let tools = Arc::new(Tools::describe(self.executor.registry().definitions()));
        *known = Some((now, Arc::clone(&tools)));
        tools
    }
}

impl Tools {
    pub(super) fn get(&self, name: &str) -> Option<&Described> {
        self.0.get(name)
    }

    /// At most so many tools after the one of this name, in order, and the name after which there are more.
    pub(super) fn page(&self, after: Option<&str>, count: usize) -> (Vec<Tool>, Option<String>) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.0.range::<str, _>((from, Bound::Unbounded));
        let page: Vec<_> = rest
            .by_ref()
            .take(count.max(1))
            .map(|(_, described)| described.tool.clone())
            .collect();
        let more = rest.next().and_then(|_| page.last());
        let next = more.map(|tool| tool.name.to_string());
        (page, next)
    }

    /// Of nodes whose uids would become the same name, the first in order has it; the others have a number.
    fn describe(mut definitions: Vec<NodeDefinition>) -> Self {
        definitions.sort_by(|a, b| a.uid.cmp(&b.uid));
        let mut tools = BTreeMap::new();
        // Those whose uid is their name have it in any case.
        let (own, other): (Vec<_>, Vec<_>) = definitions
            .into_iter()
            .partition(|definition| tool::name(&definition.uid) == *definition.uid);
        for definition in own.into_iter().chain(other) {
            let name = tool::name(&definition.uid);
            let mut unique = name.clone();
            let mut number = 2_u64;
            while tools.contains_key(&unique) {
                unique = format!("{name}_{number}");
                number += 1;
            }
            tools.insert(unique.clone(), Described::new(unique, definition));
        }
        Self(tools)
    }
}

impl Described {
    fn new(name: String, definition: NodeDefinition) -> Self {
        let arguments = tool::arguments(&definition);
        Self {
            tool: tool::tool(name, &definition, &arguments),
            definition,
            arguments,
        }
    }

    /// The names of all arguments.
    pub(super) fn arguments(&self) -> impl Iterator<Item = &str> {
        self.arguments.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn argument(&self, name: &str) -> Option<Argument> {
        let mut arguments = self.arguments.iter();
        let found = arguments.find(|(own, _)| own == name);
        found.map(|(_, argument)| *argument)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools(uids: &[&str]) -> Tools {
        let definitions = uids.iter();
        let definitions = definitions.map(|uid| NodeDefinition::builder(*uid).build().unwrap());
        Tools::describe(definitions.collect())
    }

    fn names(page: &[Tool]) -> Vec<&str> {
        page.iter().map(|tool| &*tool.name).collect()
    }

    #[test]
    fn pages_follow_each_other() {
        let tools = tools(&["c", "a", "e", "b", "d"]);
        let (first, next) = tools.page(None, 2);
        assert_eq!(
            (names(&first), next.as_deref()),
            (vec!["a", "b"], Some("b"))
        );
        let (second, next) = tools.page(next.as_deref(), 2);
        assert_eq!(
            (names(&second), next.as_deref()),
            (vec!["c", "d"], Some("d"))
        );
        let (last, next) = tools.page(next.as_deref(), 2);
        assert_eq!((names(&last), next), (vec!["e"], None));
        assert_eq!(tools.page(None, 5).1, None);
        // A cursor need not be a tool that is still there.
        assert_eq!(names(&tools.page(Some("bb"), 1).0), ["c"]);
    }

    #[test]
    fn names_are_unique_and_the_own_one_comes_first() {
        let tools = tools(&["a b", "a/b", "a_b"]);
        let uid = |name: &str| &*tools.get(name).unwrap().definition.uid;
        assert_eq!(uid("a_b"), "a_b");
        assert_eq!(uid("a_b_2"), "a b");
        assert_eq!(uid("a_b_3"), "a/b");
    }
}
