//! One message to all who get it.

use std::sync::Arc;

use super::client::{Client, Subscription};
use super::outbox::Pushed;
use super::turns::Turn;
use crate::protocol::Publish;
use crate::routing::{Matches, QueueGroups, Table};

/// Who was written to since the last flush, and what became of it.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// Clients that this reader has to flush.
    pub(super) touched: Vec<Arc<Client>>,
    /// Subscriptions that reached their maximum.
    pub(super) ended: Vec<Arc<Subscription>>,
    pub(super) messages_out: u64,
}

/// What matching needs from message to message, while the table is held.
pub(super) struct Route<'table> {
    table: &'table Table<Arc<Subscription>>,
    matches: Matches<'table, Arc<Subscription>>,
    groups: QueueGroups<'table, Arc<Subscription>>,
}

impl<'table> Route<'table> {
    pub(super) fn new(table: &'table Table<Arc<Subscription>>) -> Self {
        Self {
            table,
            matches: Matches::new(),
            groups: QueueGroups::new(),
        }
    }

    /// A client's own plain subscription for a subject.
    pub(super) fn own(&mut self, subject: &[u8], client: &Client) -> Option<&'table Subscription> {
        let leaves = self.matches.find(self.table, subject);
        let mut plain = leaves.iter().flat_map(|leaf| &leaf.plain);
        plain
            .find(|subscription| subscription.client.id == client.id)
            .map(|subscription| &**subscription)
    }
}

impl Delivery {
    /// To every plain subscription, and to one random member of each queue group. `except` gets nothing: the publisher
    /// without echo. Whether anybody got it. spec: nats-micro 15.4
    pub(super) fn deliver(
        &mut self,
        route: &mut Route<'_>,
        publish: &Publish,
        except: Option<u64>,
    ) -> bool {
        let mut delivered = false;
        let leaves = route.matches.find(route.table, publish.subject());
        for subscription in leaves.iter().flat_map(|leaf| &leaf.plain) {
            delivered |= self.send(subscription, publish, except);
        }
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
                member.is_some_and(|member| self.send(member, publish, except))
            });
        }
        delivered
    }

    fn send(
        &mut self,
        subscription: &Arc<Subscription>,
        publish: &Publish,
        except: Option<u64>,
    ) -> bool {
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

    /// Writes to all whom something was queued for; who is furthest behind, if anybody is.
    pub(super) fn flush(&mut self) -> Option<Arc<Client>> {
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
