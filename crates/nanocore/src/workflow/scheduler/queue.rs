//! Ready nodes, and the places that are free. spec: nanograph 16.1

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Limits;
use crate::workflow::plan::{Plan, PlanNode, Remote, Work};

/// Longest remaining way first, then lowest node id.
type Rank = (u32, Reverse<u64>, usize);

/// Ready nodes per server, with the limits of what is in flight.
#[derive(Debug)]
pub(super) struct ReadyQueues {
    servers: Vec<ServerQueue>,
    groups: Vec<Group>,
    free: usize,
}

#[derive(Debug, Default)]
struct ServerQueue {
    ready: BinaryHeap<(Rank, Option<usize>)>,
    free: usize,
}

/// Nodes of which one at a time may be in flight.
#[derive(Debug, Default)]
struct Group {
    busy: bool,
    /// Server and place of nodes that came up while it was busy.
    parked: Vec<(usize, Rank)>,
}

impl ReadyQueues {
    pub(super) fn new(plan: &Plan, limits: Limits) -> Self {
        // A limit of 0 would be a run that never ends.
        let queue = |limit: Option<usize>| ServerQueue {
            free: limit.unwrap_or(limits.in_flight_per_server).max(1),
            ..ServerQueue::default()
        };
        let servers = plan
            .servers
            .iter()
            .map(|server| queue(server.max_in_flight))
            .collect();
        let groups = (0..plan.groups).map(|_| Group::default()).collect();
        Self {
            servers,
            groups,
            free: limits.in_flight.max(1),
        }
    }

    pub(super) fn push(&mut self, node: usize, planned: &PlanNode, remote: &Remote) {
        let rank = (planned.remaining, Reverse(planned.id), node);
        self.servers[remote.server].ready.push((rank, remote.group));
    }

    /// The best ready node for which there is a place; it takes the place.
    pub(super) fn pop(&mut self) -> Option<usize> {
        if self.free == 0 {
            return None;
        }
        let server = self.best_server()?;
        let queue = &mut self.servers[server];
        let ((_, _, node), group) = queue.ready.pop()?;
        queue.free -= 1;
        self.free -= 1;
        if let Some(group) = group {
            self.groups[group].busy = true;
        }
        Some(node)
    }

    fn best_server(&mut self) -> Option<usize> {
        let mut best: Option<(Rank, usize)> = None;
        for server in 0..self.servers.len() {
            let head = self.head(server).map(|rank| (rank, server));
            best = best.max(head);
        }
        best.map(|(_, server)| server)
    }

    /// The first node in a server's queue that could go now. Nodes of busy groups are parked on the way.
    fn head(&mut self, server: usize) -> Option<Rank> {
        let queue = &mut self.servers[server];
        if queue.free == 0 {
            return None;
        }
        loop {
            let (rank, group) = *queue.ready.peek()?;
            match group
                .map(|group| &mut self.groups[group])
                .filter(|group| group.busy)
            {
                Some(group) => group.parked.push((server, rank)),
                None => return Some(rank),
            }
            queue.ready.pop();
        }
    }

    /// Frees the place of a node that is no longer in flight.
    pub(super) fn release(&mut self, node: usize, plan: &Plan) {
        let Work::Remote(remote) = &plan.nodes[node].work else {
            return;
        };
        self.free += 1;
        self.servers[remote.server].free += 1;
        if let Some(group) = remote.group {
            self.groups[group].busy = false;
            for (server, rank) in std::mem::take(&mut self.groups[group].parked) {
                self.servers[server].ready.push((rank, Some(group)));
            }
        }
    }
}
