//! Patterns with wildcards, token by token.

use std::collections::HashMap;

use super::Leaf;
use crate::protocol::subject::tokens;

/// Nodes lie in one vector and name each other by index: no recursion, also when it is dropped.
#[derive(Debug)]
pub(super) struct Trie<S> {
    nodes: Vec<Node<S>>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Node<S> {
    /// Patterns that end here.
    here: Leaf<S>,
    /// Patterns that end with `>` after this.
    rest: Leaf<S>,
    /// The child for `*`.
    any: Option<usize>,
    literal: HashMap<Box<[u8]>, usize, foldhash::fast::RandomState>,
}

/// How a search went.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// How many nodes were visited.
    pub(super) steps: usize,
    /// Whether the last leaf was that of the subject with `*` in place of its last token. The leaf of the subject itself
    /// comes before that one.
    pub(super) ends_with_any: bool,
}

const ROOT: usize = 0;

impl<S: PartialEq> Trie<S> {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Node::new()],
            free: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes[ROOT].is_empty()
    }

    #[cfg(test)]
    pub(super) fn nodes_in_use(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    pub(super) fn insert(&mut self, pattern: &[u8], queue: Option<&[u8]>, subscription: S) {
        let mut node = ROOT;
        for token in tokens(pattern) {
            if token == b">" {
                self.nodes[node].rest.insert(queue, subscription);
                return;
            }
            node = self.child_or_new(node, token);
        }
        self.nodes[node].here.insert(queue, subscription);
    }

    fn child_or_new(&mut self, parent: usize, token: &[u8]) -> usize {
        if let Some(child) = self.nodes[parent].child(token) {
            return child;
        }
        let child = self.free.pop().unwrap_or(self.nodes.len());
        if child == self.nodes.len() {
            self.nodes.push(Node::new());
        }
        if token == b"*" {
            self.nodes[parent].any = Some(child);
        } else {
            self.nodes[parent].literal.insert(token.into(), child);
        }
        child
    }

    pub(super) fn remove(
        &mut self,
        pattern: &[u8],
        queue: Option<&[u8]>,
        subscription: &S,
    ) -> bool {
        let mut path = vec![ROOT];
        let mut node = ROOT;
        let mut leaf = None;
        for token in tokens(pattern) {
            if token == b">" {
                leaf = Some(&mut self.nodes[node].rest);
                break;
            }
            let Some(child) = self.nodes[node].child(token) else {
                return false;
            };
            node = child;
            path.push(node);
        }
        // The borrow of `rest` ends the loop; otherwise the pattern ended at a node.
        let removed = match leaf {
            Some(rest) => rest.remove(queue, subscription),
            None => self.nodes[node].here.remove(queue, subscription),
        };
        self.prune(pattern, &path);
        removed
    }

    /// Takes away what became empty, from the end of the path on.
    fn prune(&mut self, pattern: &[u8], path: &[usize]) {
        let steps: Vec<_> = tokens(pattern).zip(path.windows(2)).collect();
        for (token, step) in steps.into_iter().rev() {
            let &[parent, child] = step else { return };
            if !self.nodes[child].is_empty() {
                return;
            }
            if token == b"*" {
                self.nodes[parent].any = None;
            } else {
                self.nodes[parent].literal.remove(token);
            }
            self.nodes[child] = Node::new();
            self.free.push(child);
        }
    }

    /// Calls with each leaf whose pattern matches, in the order of nats-server: at each token first `>`, then `*`, then
    /// the literal, but at the last token the literal before `*`. [obs 2.9.10]
    pub(super) fn matches<'trie>(
        &'trie self,
        subject: &[u8],
        stack: &mut Vec<(usize, usize)>,
        mut found: impl FnMut(&'trie Leaf<S>),
    ) -> Walk {
        // Where the subject itself would lie, which is where the walk ends.
        let mut literal_path = Some(ROOT);
        let mut walk = Walk::default();
        stack.clear();
        stack.push((ROOT, 0));
        while let Some((index, at)) = stack.pop() {
            walk.steps += 1;
            let node = &self.nodes[index];
            // `at` is where the node's next token begins; one past the end of the subject when there is none.
            let Some(rest) = subject.get(at..) else {
                if !node.here.is_empty() {
                    found(&node.here);
                }
                continue;
            };
            if !node.rest.is_empty() {
                found(&node.rest);
            }
            let length = memchr::memchr(b'.', rest).unwrap_or(rest.len());
            let next = at + length + 1;
            let literal = node.literal.get(&rest[..length]).copied();
            let on_literal_path = literal_path == Some(index);
            let in_turn = if next > subject.len() {
                walk.ends_with_any = on_literal_path && self.ends_here(node.any);
                [literal, node.any]
            } else {
                if on_literal_path {
                    literal_path = literal;
                }
                [node.any, literal]
            };
            stack.extend(
                in_turn
                    .into_iter()
                    .rev()
                    .flatten()
                    .map(|child| (child, next)),
            );
        }
        walk
    }

    fn ends_here(&self, child: Option<usize>) -> bool {
        child.is_some_and(|child| !self.nodes[child].here.is_empty())
    }
}

impl<S: PartialEq> Node<S> {
    fn new() -> Self {
        Self {
            here: Leaf::default(),
            rest: Leaf::default(),
            any: None,
            literal: HashMap::default(),
        }
    }

    fn child(&self, token: &[u8]) -> Option<usize> {
        if token == b"*" {
            return self.any;
        }
        self.literal.get(token).copied()
    }

    fn is_empty(&self) -> bool {
        self.here.is_empty()
            && self.rest.is_empty()
            && self.any.is_none()
            && self.literal.is_empty()
    }
}
