//! Requests that wait for their turn: each client's in order, clients in turn.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use tokio::time::Instant;

use crate::command::{CommandRequest, RequestError};
use crate::zmq::Envelope;

/// One request, readable or not.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) envelope: Envelope,
    pub(super) request: Result<CommandRequest, RequestError>,
    pub(super) bytes: usize,
    pub(super) arrived_at: Instant,
}

/// Bounds of what waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct WaitingLimits {
    pub(super) per_client_max: usize,
    pub(super) in_all_max: usize,
    pub(super) bytes_max: usize,
}

/// Why a request cannot wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    PerClient,
    InAll,
}

#[derive(Debug)]
pub(super) struct Waiting {
    limits: WaitingLimits,
    by_client: HashMap<Bytes, Client>,
    /// Every client of `by_client`, once.
    turns: VecDeque<Bytes>,
    count: usize,
    bytes: usize,
}

/// What waits of one client.
#[derive(Debug, Default)]
struct Client {
    requests: VecDeque<Arrival>,
    /// Since its last turn it was found not to read its answers.
    is_deaf: bool,
}

impl Waiting {
    pub(super) fn new(limits: WaitingLimits) -> Self {
        Self {
            limits,
            by_client: HashMap::new(),
            turns: VecDeque::new(),
            count: 0,
            bytes: 0,
        }
    }

    /// Gives it back, with the reason, if there is no room.
    pub(super) fn push(&mut self, arrival: Arrival) -> Result<(), (NoRoom, Box<Arrival>)> {
        let bytes = self.bytes.saturating_add(arrival.bytes);
        let is_full = self.count >= self.limits.in_all_max || bytes > self.limits.bytes_max;
        if is_full && self.count > 0 {
            return Err((NoRoom::InAll, Box::new(arrival)));
        }
        let client = arrival.envelope.peer().clone();
        let queue = &mut self.by_client.entry(client.clone()).or_default().requests;
        if queue.len() >= self.limits.per_client_max {
            return Err((NoRoom::PerClient, Box::new(arrival)));
        }
        if queue.is_empty() {
            self.turns.push_back(client);
        }
        queue.push_back(arrival);
        self.count += 1;
        self.bytes = bytes;
        Ok(())
    }

    /// Whether this client would be refused, and would not read that: not worth the time that others wait.
    pub(super) fn would_refuse_unheard(&self, client: &Bytes) -> bool {
        let waiting = self.by_client.get(client);
        waiting.is_some_and(|it| it.is_deaf && it.requests.len() >= self.limits.per_client_max)
    }

    /// It does not read what it is refused with, until its next turn.
    pub(super) fn mark_deaf(&mut self, client: &Bytes) {
        if let Some(waiting) = self.by_client.get_mut(client) {
            waiting.is_deaf = true;
        }
    }

    /// The next one; its client's other requests wait until all other clients had their turn.
    pub(super) fn pop(&mut self) -> Option<Arrival> {
        let client = self.turns.pop_front()?;
        let waiting = self.by_client.get_mut(&client)?;
        let arrival = waiting.requests.pop_front()?;
        waiting.is_deaf = false;
        if waiting.requests.is_empty() {
            self.by_client.remove(&client);
        } else {
            self.turns.push_back(client);
        }
        self.count -= 1;
        self.bytes -= arrival.bytes;
        Some(arrival)
    }
}
