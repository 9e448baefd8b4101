//! The subscriptions of one pattern.

/// Plain subscriptions, and queue groups by name.
#[derive(Debug)]
pub(crate) struct Leaf<S> {
    pub(crate) plain: Vec<S>,
    pub(crate) queues: Vec<Queue<S>>,
}

/// The members of one queue group that subscribed to the same pattern; never empty.
#[derive(Debug)]
pub(crate) struct Queue<S> {
    pub(crate) name: Box<[u8]>,
    pub(crate) members: Vec<S>,
}

impl<S> Default for Leaf<S> {
    fn default() -> Self {
        Self {
            plain: Vec::new(),
            queues: Vec::new(),
        }
    }
}

impl<S: PartialEq> Leaf<S> {
    pub(crate) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.queues.is_empty()
    }

    pub(super) fn insert(&mut self, queue: Option<&[u8]>, subscription: S) {
        let Some(name) = queue else {
            self.plain.push(subscription);
            return;
        };
        if let Some(queue) = self.queues.iter_mut().find(|queue| *queue.name == *name) {
            queue.members.push(subscription);
        } else {
            self.queues.push(Queue {
                name: name.into(),
                members: vec![subscription],
            });
        }
    }

    pub(super) fn remove(&mut self, queue: Option<&[u8]>, subscription: &S) -> bool {
        let Some(name) = queue else {
            return remove_from(&mut self.plain, subscription);
        };
        let Some(at) = self.queues.iter().position(|queue| *queue.name == *name) else {
            return false;
        };
        let removed = remove_from(&mut self.queues[at].members, subscription);
        if self.queues[at].members.is_empty() {
            self.queues.swap_remove(at);
        }
        removed
    }
}

fn remove_from<S: PartialEq>(subscriptions: &mut Vec<S>, subscription: &S) -> bool {
    // From the end: connections that close remove what they added last, mostly.
    let found = subscriptions.iter().rposition(|one| one == subscription);
    if let Some(at) = found {
        subscriptions.swap_remove(at);
    }
    found.is_some()
}
