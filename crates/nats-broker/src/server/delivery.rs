//! One message to all who get it.

use std::sync::Arc;

use super::client::{Client, Subscription};
use super::outbox::Pushed;
use super::shared::Shared;
use super::turns::Turn;
use crate::protocol::Publish;
use crate::routing::{Matches, QueueGroups, Table};

/// How many subscriptions are offered a message, and how many places are searched for them, before others have their
/// turn: about a millisecond.
pub(super) const TURN_STEPS_MAX: usize = 16 << 10;

/// How many bytes are queued before they are written and others have their turn.
const TURN_BYTES_MAX: usize = 1 << 20;

/// Who was written to since the last flush, and what became of it.
#[derive(Debug)]
pub(super) struct Delivery {
    /// Clients that this reader has to flush.
    pub(super) touched: Vec<Arc<Client>>,
    /// Subscriptions that reached their maximum.
    pub(super) ended: Vec<Arc<Subscription>>,
    pub(super) messages_out: u64,
    turn_steps: usize,
    turn_bytes: usize,
    turn_bytes_max: usize,
}

/// What matching needs from message to message, while the table is held.
pub(super) struct Route<'table> {
    shared: &'table Shared,
    table: &'table Table<Arc<Subscription>>,
    matches: Matches<'table, Arc<Subscription>>,
    groups: QueueGroups<'table, Arc<Subscription>>,
}

impl<'table> Route<'table> {
    pub(super) fn new(shared: &'table Shared, table: &'table Table<Arc<Subscription>>) -> Self {
        Self {
            shared,
            table,
            matches: Matches::new(),
            groups: QueueGroups::new(),
        }
    }
}

impl Delivery {
    pub(super) fn new(pending_bytes_max: usize) -> Self {
        Self {
            touched: Vec::new(),
            ended: Vec::new(),
            messages_out: 0,
            turn_steps: 0,
            turn_bytes: 0,
            // No client that is not behind overflows in one turn.
            turn_bytes_max: TURN_BYTES_MAX.min(pending_bytes_max / 4),
        }
    }

    /// Whether others should go on.
    pub(super) fn turn_is_over(&self) -> bool {
        self.turn_steps >= TURN_STEPS_MAX || self.turn_bytes >= self.turn_bytes_max
    }

    /// A client's own plain subscription for a subject.
    pub(super) fn own<'table>(
        &mut self,
        route: &mut Route<'table>,
        subject: &[u8],
        client: &Client,
    ) -> Option<&'table Subscription> {
        let (leaves, steps) = route.matches.find(route.table, subject);
        self.turn_steps += steps;
        let plain = leaves.iter().flat_map(|leaf| &leaf.plain);
        let turn_steps = &mut self.turn_steps;
        plain
            .inspect(|_| *turn_steps += 1)
            .find(|subscription| subscription.client.id == client.id)
            .map(|subscription| &**subscription)
    }

    /// To every plain subscription, and to one random member of each queue group. `except` gets nothing: the publisher
    /// without echo. Whether anybody got it. spec: nats-micro 15.4
    pub(super) fn deliver(
        &mut self,
        route: &mut Route<'_>,
        publish: &Publish,
        except: Option<u64>,
    ) -> bool {
        let mut delivered = false;
        let (leaves, steps) = route.matches.find(route.table, publish.subject());
        for subscription in leaves.iter().flat_map(|leaf| &leaf.plain) {
            delivered |= self.send(route.shared, subscription, publish, except);
        }
        self.turn_steps += steps;
        if leaves.iter().all(|leaf| leaf.queues.is_empty()) {
            return delivered;
        }
        route.groups.collect(leaves);
        for group in route.groups.iter() {
            let count = group.len();
            let first = fastrand::usize(..count);
            // Members that cannot take it pass it on.
            delivered |= (0..count).any(|step| {
                let member = group.member((first + step) % count);
                member.is_some_and(|member| self.send(route.shared, member, publish, except))
            });
        }
        delivered
    }

    fn send(
        &mut self,
        shared: &Shared,
        subscription: &Arc<Subscription>,
        publish: &Publish,
        except: Option<u64>,
    ) -> bool {
        self.turn_steps += 1;
        let client = &subscription.client;
        if except == Some(client.id) {
            return false;
        }
        match subscription.turns.take() {
            Turn::Yes => {}
            Turn::Last => self.ended.push(Arc::clone(subscription)),
            Turn::No => return false,
        }
        let taken = self.note(client, client.push_message(publish, &subscription.sid));
        self.messages_out += u64::from(taken);
        self.turn_bytes += publish.frame_bytes() + subscription.sid.len();
        if shared.pending_total.is_over() {
            // What can be written now does not wait.
            self.write_touched();
            shared.make_room();
        }
        taken
    }

    /// Remembers whom to flush. Whether it was taken.
    pub(super) fn note(&mut self, client: &Arc<Client>, pushed: Pushed) -> bool {
        match pushed {
            Pushed::First => {
                self.touched.push(Arc::clone(client));
                true
            }
            Pushed::Queued => true,
            Pushed::Overflow | Pushed::Closed => false,
        }
    }

    /// Ends the turn. Who is furthest behind, if anybody is.
    pub(super) fn flush(&mut self) -> Option<Arc<Client>> {
        self.turn_steps = 0;
        self.turn_bytes = 0;
        self.write_touched()
    }

    /// Writes to all whom something was queued for; who is furthest behind.
    fn write_touched(&mut self) -> Option<Arc<Client>> {
        let mut slowest = None;
        let mut most_bytes = 0;
        for client in self.touched.drain(..) {
            let pending_bytes = client.flush();
            if pending_bytes > most_bytes && client.is_behind(pending_bytes) {
                most_bytes = pending_bytes;
                slowest = Some(client);
            }
        }
        slowest
    }
}
