//! The graph as indices: which node is linked to which, what will run, and in which order.

use std::collections::HashMap;

use super::graph::{Graph, Link};

/// A link between two nodes that are there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edge<'g> {
    pub(crate) link: &'g Link,
    pub(crate) source: usize,
    pub(crate) target: usize,
}

/// A graph's shape. Nodes are called by their position in the file.
#[derive(Debug)]
pub(crate) struct Topology<'g> {
    index: HashMap<u64, usize>,
    /// In ascending order of link ids.
    pub(crate) edges: Vec<Edge<'g>>,
    /// Per node, positions in `edges` of the links that end there, in ascending order of link ids.
    pub(crate) incoming: Vec<Vec<usize>>,
    /// Per node, positions in `edges` of the links that start there.
    pub(crate) outgoing: Vec<Vec<usize>>,
    /// Per node: it is wanted, and active.
    pub(crate) runs: Vec<bool>,
}

impl<'g> Topology<'g> {
    /// The shape of `graph` when everything that `targets` need is wanted; without targets, everything.
    pub(crate) fn new(graph: &'g Graph, targets: &[u64]) -> Self {
        let mut index = HashMap::with_capacity(graph.nodes.len());
        for (position, node) in graph.nodes.iter().enumerate() {
            index.entry(node.id).or_insert(position);
        }
        let mut links: Vec<&Link> = graph.links.iter().collect();
        links.sort_by_key(|link| link.id);
        let edge = |link: &'g Link| {
            let (source, target) = (*index.get(&link.source)?, *index.get(&link.target)?);
            Some(Edge {
                link,
                source,
                target,
            })
        };
        let edges: Vec<Edge<'g>> = links.into_iter().filter_map(edge).collect();
        let mut incoming = vec![Vec::new(); graph.nodes.len()];
        let mut outgoing = vec![Vec::new(); graph.nodes.len()];
        for (position, edge) in edges.iter().enumerate() {
            incoming[edge.target].push(position);
            outgoing[edge.source].push(position);
        }
        let mut topology = Self {
            index,
            edges,
            incoming,
            outgoing,
            runs: Vec::new(),
        };
        topology.runs = topology.wanted(graph, targets);
        topology
    }

    /// The position of a node.
    pub(crate) fn position(&self, id: u64) -> Option<usize> {
        self.index.get(&id).copied()
    }

    pub(crate) fn sources(&self, node: usize) -> impl Iterator<Item = usize> {
        self.incoming[node]
            .iter()
            .map(|edge| self.edges[*edge].source)
    }

    pub(crate) fn targets(&self, node: usize) -> impl Iterator<Item = usize> {
        self.outgoing[node]
            .iter()
            .map(|edge| self.edges[*edge].target)
    }

    fn wanted(&self, graph: &Graph, targets: &[u64]) -> Vec<bool> {
        let active = |position: usize| graph.nodes[position].active;
        if targets.is_empty() {
            return (0..graph.nodes.len()).map(active).collect();
        }
        let mut runs = vec![false; graph.nodes.len()];
        let mut open: Vec<usize> = targets.iter().filter_map(|id| self.position(*id)).collect();
        while let Some(node) = open.pop() {
            if active(node) && !runs[node] {
                runs[node] = true;
                // What a pinned node would be made of is of no use.
                if graph.nodes[node].pin.is_none() || graph.nodes[node].muted {
                    open.extend(self.sources(node));
                }
            }
        }
        runs
    }

    /// The running nodes, each after its sources; those on a cycle or behind one are missing.
    pub(crate) fn order(&self) -> Vec<usize> {
        let mut waiting: Vec<usize> = self.incoming.iter().map(Vec::len).collect();
        for (node, count) in waiting.iter_mut().enumerate() {
            *count -= self
                .sources(node)
                .filter(|source| !self.runs[*source])
                .count();
        }
        let is_first = |node: &usize| self.runs[*node] && waiting[*node] == 0;
        let mut order: Vec<usize> = (0..waiting.len()).filter(is_first).collect();
        let mut next = 0;
        while let Some(&node) = order.get(next) {
            next += 1;
            for target in self.targets(node).filter(|target| self.runs[*target]) {
                waiting[target] -= 1;
                if waiting[target] == 0 {
                    order.push(target);
                }
            }
        }
        order
    }

    /// Cycles among the running nodes, each from its first node in the file on, in the direction of the links.
    /// Every node that can never run is on one of them or behind one.
    pub(crate) fn cycles(&self, order: &[usize]) -> Vec<Vec<usize>> {
        let mut stuck = self.runs.clone();
        for node in order {
            stuck[*node] = false;
        }
        let mut cycles = Vec::new();
        let mut seen_in_walk = vec![0; stuck.len()];
        for start in (0..stuck.len()).filter(|node| stuck[*node]) {
            let walk = self.walk_back(start, &stuck, &mut seen_in_walk);
            cycles.extend(walk.map(first_node_first));
        }
        cycles
    }

    /// Follows stuck sources until a node repeats; the repeated part reversed, unless an earlier walk was met.
    fn walk_back(
        &self,
        start: usize,
        stuck: &[bool],
        seen_in_walk: &mut [usize],
    ) -> Option<Vec<usize>> {
        let this_walk = start + 1;
        let mut path = Vec::new();
        let mut node = start;
        while seen_in_walk[node] == 0 {
            seen_in_walk[node] = this_walk;
            path.push(node);
            node = self.sources(node).find(|source| stuck[*source])?;
        }
        if seen_in_walk[node] != this_walk {
            return None;
        }
        let from = path.iter().position(|visited| *visited == node)?;
        let mut cycle = path.split_off(from);
        cycle.reverse();
        Some(cycle)
    }
}

fn first_node_first(mut cycle: Vec<usize>) -> Vec<usize> {
    let first = cycle
        .iter()
        .enumerate()
        .min_by_key(|(_, node)| **node)
        .map_or(0, |(position, _)| position);
    cycle.rotate_left(first);
    cycle
}
