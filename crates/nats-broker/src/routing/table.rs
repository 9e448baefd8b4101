//! All subscriptions.

use std::collections::HashMap;

use super::Leaf;
use super::trie::{Trie, Walk};
use crate::protocol::subject::has_wildcard;

/// Subscriptions by subject.
#[derive(Debug)]
pub(crate) struct Table<S> {
    exact: HashMap<Box<[u8]>, Leaf<S>, foldhash::fast::RandomState>,
    patterns: Trie<S>,
}

/// The leaves that one subject matches. Kept from message to message, so that matching allocates nothing.
#[derive(Debug)]
pub(crate) struct Matches<'table, S> {
    leaves: Vec<&'table Leaf<S>>,
    stack: Vec<(usize, usize)>,
}

impl<S: PartialEq> Table<S> {
    pub(crate) fn new() -> Self {
        Self {
            exact: HashMap::default(),
            patterns: Trie::new(),
        }
    }

    pub(crate) fn insert(&mut self, subject: &[u8], queue: Option<&[u8]>, subscription: S) {
        if has_wildcard(subject) {
            self.patterns.insert(subject, queue, subscription);
        } else if let Some(leaf) = self.exact.get_mut(subject) {
            leaf.insert(queue, subscription);
        } else {
            let mut leaf = Leaf::default();
            leaf.insert(queue, subscription);
            self.exact.insert(subject.into(), leaf);
        }
    }

    /// Whether it was there.
    pub(crate) fn remove(
        &mut self,
        subject: &[u8],
        queue: Option<&[u8]>,
        subscription: &S,
    ) -> bool {
        if has_wildcard(subject) {
            return self.patterns.remove(subject, queue, subscription);
        }
        let Some(leaf) = self.exact.get_mut(subject) else {
            return false;
        };
        let removed = leaf.remove(queue, subscription);
        if leaf.is_empty() {
            self.exact.remove(subject);
        }
        removed
    }
}

impl<'table, S: PartialEq> Matches<'table, S> {
    pub(crate) fn new() -> Self {
        Self {
            leaves: Vec::new(),
            stack: Vec::new(),
        }
    }

    /// The leaves of a subject, and how many places were searched. Wildcards in the subject are literals.
    pub(crate) fn find(
        &mut self,
        table: &'table Table<S>,
        subject: &[u8],
    ) -> (&[&'table Leaf<S>], usize) {
        let Self { leaves, stack } = self;
        leaves.clear();
        let mut walk = Walk::default();
        if !table.patterns.is_empty() {
            let patterns = &table.patterns;
            walk = patterns.matches(subject, stack, |leaf| leaves.push(leaf));
        }
        if let Some(leaf) = table.exact.get(subject) {
            let place = leaves.len() - usize::from(walk.ends_with_any);
            leaves.insert(place, leaf);
        }
        (leaves, walk.steps)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::subject::tokens;
    use crate::routing::QueueGroups;

    type Subscription = (String, Option<&'static str>, u32);

    /// The definition of matching, token by token.
    fn matches(pattern: &str, subject: &str) -> bool {
        let pattern: Vec<_> = tokens(pattern.as_bytes()).collect();
        let subject: Vec<_> = tokens(subject.as_bytes()).collect();
        if let [head @ .., b">"] = pattern.as_slice() {
            return subject.len() > head.len() && same(head, &subject);
        }
        subject.len() == pattern.len() && same(&pattern, &subject)
    }

    fn same(pattern: &[&[u8]], subject: &[&[u8]]) -> bool {
        let mut pairs = pattern.iter().zip(subject);
        pairs.all(|(pattern, token)| *pattern == b"*" || pattern == token)
    }

    fn pattern() -> impl Strategy<Value = String> {
        let token = prop_oneof![Just("a"), Just("b"), Just("*"), Just("*a")];
        (prop::collection::vec(token, 0..4), any::<bool>()).prop_map(|(mut tokens, rest)| {
            if rest || tokens.is_empty() {
                tokens.push(">");
            }
            tokens.join(".")
        })
    }

    fn subject() -> impl Strategy<Value = String> {
        let token = prop_oneof![Just("a"), Just("b"), Just("*a")];
        prop::collection::vec(token, 1..5).prop_map(|tokens| tokens.join("."))
    }

    fn steps() -> impl Strategy<Value = Vec<(bool, String, Option<&'static str>)>> {
        let queue = prop_oneof![3 => Just(None), 1 => Just(Some("q")), 1 => Just(Some("r"))];
        prop::collection::vec((prop::bool::weighted(0.7), pattern(), queue), 1..40)
    }

    /// Subscribes and unsubscribes as the steps say; what is left.
    fn apply(steps: Vec<(bool, String, Option<&'static str>)>) -> (Table<u32>, Vec<Subscription>) {
        let mut table = Table::new();
        let mut model: Vec<Subscription> = Vec::new();
        for ((subscribe, pattern, queue), id) in steps.into_iter().zip(0..) {
            if subscribe || model.is_empty() {
                table.insert(pattern.as_bytes(), queue.map(str::as_bytes), id);
                model.push((pattern, queue, id));
            } else {
                let (pattern, queue, id) = model.swap_remove(pattern.len() % model.len());
                let queue = queue.map(str::as_bytes);
                assert!(table.remove(pattern.as_bytes(), queue, &id));
                assert!(!table.remove(pattern.as_bytes(), queue, &id));
            }
        }
        (table, model)
    }

    proptest! {
        #[test]
        fn finds_what_the_definition_says(steps in steps(), subject in subject()) {
            let (table, model) = apply(steps);
            let mut found = Matches::new();
            let (leaves, _) = found.find(&table, subject.as_bytes());

            let mut plain: Vec<_> = leaves.iter().flat_map(|leaf| &leaf.plain).copied().collect();
            plain.sort_unstable();
            let expected = |queue| {
                let matching = model.iter().filter(|(pattern, of, _)| *of == queue && matches(pattern, &subject));
                let mut ids: Vec<_> = matching.map(|(_, _, id)| *id).collect();
                ids.sort_unstable();
                ids
            };
            prop_assert_eq!(plain, expected(None));

            let mut groups = QueueGroups::new();
            groups.collect(leaves);
            let mut names = Vec::new();
            for group in groups.iter() {
                names.push(group.name().to_vec());
                let mut members: Vec<_> = (0..group.len()).filter_map(|at| group.member(at).copied()).collect();
                members.sort_unstable();
                let name = if group.name() == b"q" { "q" } else { "r" };
                prop_assert_eq!(members, expected(Some(name)));
            }
            names.sort_unstable();
            let occurring = ["q", "r"].into_iter().filter(|name| !expected(Some(name)).is_empty());
            let occurring: Vec<_> = occurring.map(|name| name.as_bytes().to_vec()).collect();
            prop_assert_eq!(names, occurring);
        }

        #[test]
        fn leaves_nothing_behind(steps in steps()) {
            let (mut table, model) = apply(steps);
            for (pattern, queue, id) in model {
                prop_assert!(table.remove(pattern.as_bytes(), queue.map(str::as_bytes), &id));
            }
            prop_assert!(table.exact.is_empty() && table.patterns.is_empty());
            prop_assert_eq!(table.patterns.nodes_in_use(), 1);
        }
    }

    #[test]
    fn leaves_come_in_the_order_of_nats_server() {
        let mut table = Table::new();
        for (pattern, id) in [
            ("a.*.c", 1),
            ("a.>", 2),
            (">", 3),
            ("a.b.c", 4),
            ("*.b.c", 5),
            ("a.b.*", 6),
            ("*.b.*", 7),
        ] {
            table.insert(pattern.as_bytes(), None, id);
        }
        let mut found = Matches::new();
        let leaves = found.find(&table, b"a.b.c").0.iter();
        let order: Vec<_> = leaves.flat_map(|leaf| &leaf.plain).copied().collect();
        assert_eq!(order, [3, 5, 7, 2, 1, 4, 6]);
    }

    #[test]
    fn a_search_in_vain_is_counted() {
        let mut table = Table::new();
        for choices in 0..1 << 10 {
            let tokens = (0..10).map(|at| if choices >> at & 1 == 0 { "a" } else { "*" });
            let pattern: Vec<_> = tokens.chain(["b"]).collect();
            table.insert(pattern.join(".").as_bytes(), None, choices);
        }
        let mut found = Matches::new();
        let subject = "a.".repeat(10) + "c";
        let (leaves, steps) = found.find(&table, subject.as_bytes());
        // All nodes before the last tokens, but for the last one of the pattern that has no wildcard.
        assert_eq!((leaves.len(), steps), (0, (2 << 10) - 2));
    }

    #[test]
    fn long_subjects_cost_no_stack() {
        let mut table = Table::new();
        let pattern = "*.".repeat(500_000) + ">";
        let subject = "a.".repeat(500_000) + "a";
        table.insert(pattern.as_bytes(), None, 1);
        let mut found = Matches::new();
        assert_eq!(found.find(&table, subject.as_bytes()).0.len(), 1);
        assert!(table.remove(pattern.as_bytes(), None, &1));
    }
}
