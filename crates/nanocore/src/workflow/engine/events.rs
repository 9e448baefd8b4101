//! Events on their way to whoever watches.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::workflow::event::{Event, EventKind};

/// While more events than this wait, running statuses of a node are joined,
const MAX_UNJOINED: usize = 1_024;
/// and while the statuses that wait have more bytes than this.
const MAX_UNJOINED_BYTES: usize = 8 << 20;

/// A queue that never blocks its writer. See [`Run::next_event`](super::Run::next_event) for its bound.
#[derive(Debug, Clone)]
pub(super) struct EventQueue {
    run_id: Arc<str>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    // A std mutex: it is held for a few instructions, never over an await.
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Event>,
    /// How many events were taken out so far.
    taken: u64,
    /// Per node, the number (counting from the first ever) of its last waiting event, if that is a status.
    statuses: HashMap<u64, u64>,
    /// Of the statuses that wait.
    status_bytes: usize,
    next_seq: u64,
    closed: bool,
}

impl EventQueue {
    pub(super) fn new(run_id: Arc<str>) -> Self {
        Self {
            run_id,
            shared: Arc::default(),
        }
    }

    pub(super) fn push(&self, kind: EventKind) {
        let ts = Timestamp::now();
        let mut state = self.lock();
        let seq = state.next_seq;
        state.next_seq += 1;
        state.add(Event {
            seq,
            ts,
            run_id: self.run_id.clone(),
            kind,
        });
        drop(state);
        self.shared.changed.notify_one();
    }

    /// No event will follow.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.shared.changed.notify_one();
    }

    pub(super) async fn next(&self) -> Option<Event> {
        loop {
            // `notify_one` keeps a permit, so that a change between the look and the wait is seen.
            let changed = self.shared.changed.notified();
            {
                let mut state = self.lock();
                if let Some(event) = state.take() {
                    return Some(event);
                }
                if state.closed {
                    return None;
                }
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the events with the task of the run, also if that breaks off.
pub(super) struct CloseOnDrop(pub(super) EventQueue);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl State {
    fn add(&mut self, event: Event) {
        let number = self.taken + u64::try_from(self.waiting.len()).unwrap_or(u64::MAX);
        self.status_bytes += status_bytes(&event);
        let join = self.waiting.len() > MAX_UNJOINED || self.status_bytes > MAX_UNJOINED_BYTES;
        if let (EventKind::NodeStatus { node_id, .. }, true) = (&event.kind, join)
            && let Some(older) = self
                .statuses
                .get(node_id)
                .and_then(|number| number.checked_sub(self.taken))
            && let Some(place) = usize::try_from(older)
                .ok()
                .and_then(|at| self.waiting.get_mut(at))
        {
            self.status_bytes -= status_bytes(place);
            *place = event;
            return;
        }
        if let EventKind::NodeStatus { node_id, .. } = &event.kind {
            self.statuses.insert(*node_id, number);
        } else if let Some(node_id) = event.kind.node_id() {
            self.statuses.remove(&node_id);
        }
        self.waiting.push_back(event);
    }

    fn take(&mut self) -> Option<Event> {
        let event = self.waiting.pop_front()?;
        self.taken += 1;
        self.status_bytes -= status_bytes(&event);
        Some(event)
    }
}

fn status_bytes(event: &Event) -> usize {
    match &event.kind {
        EventKind::NodeStatus { status, .. } => status.raw.as_str().len(),
        EventKind::RunStarted { .. }
        | EventKind::NodeState { .. }
        | EventKind::NodeComplete { .. }
        | EventKind::NodeError { .. }
        | EventKind::RunFinished { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use nanograph::message::Status;
    use nodewire_json::Json;

    use super::*;
    use crate::workflow::state::NodeState;

    fn status(node_id: u64, step: u64) -> EventKind {
        let text = format!(r#"{{"type": "running", "progress": {{"step": {step}, "total": 9}}}}"#);
        EventKind::NodeStatus {
            node_id,
            status: Status::from_json(Json::parse(text).unwrap()),
        }
    }

    fn dispatched(node_id: u64) -> EventKind {
        EventKind::NodeState {
            node_id,
            state: NodeState::Dispatched,
            attempt: 1,
            server_uid: None,
            cause: None,
        }
    }

    async fn drain(queue: &EventQueue) -> Vec<EventKind> {
        queue.close();
        let mut kinds = Vec::new();
        while let Some(event) = queue.next().await {
            kinds.push(event.kind);
        }
        kinds
    }

    #[tokio::test]
    async fn nothing_is_joined_while_the_reader_keeps_up() {
        let queue = EventQueue::new("run".into());
        for step in 0..5 {
            queue.push(status(1, step));
        }
        assert_eq!(drain(&queue).await.len(), 5);
    }

    #[tokio::test]
    async fn a_slow_reader_misses_old_statuses_only() {
        let queue = EventQueue::new("run".into());
        for node in 0..=1_024 {
            queue.push(dispatched(node));
        }
        for step in 0..100 {
            queue.push(status(7, step));
            queue.push(status(8, step));
        }
        queue.push(dispatched(7));
        queue.push(status(7, 3));
        let kinds = drain(&queue).await;
        assert_eq!(kinds.len(), 1_025 + 4);
        assert_eq!(
            kinds[1_025..],
            [status(7, 99), status(8, 99), dispatched(7), status(7, 3)]
        );
    }

    #[tokio::test]
    async fn large_statuses_are_joined_although_they_are_few() {
        let preview = |node_id, size| EventKind::NodeStatus {
            node_id,
            status: Status::from_json(Json::from("x".repeat(size).as_str())),
        };
        let queue = EventQueue::new("run".into());
        for _ in 0..100 {
            queue.push(preview(1, 1 << 20));
            queue.push(preview(2, 1 << 20));
        }
        let kept = drain(&queue).await.len();
        assert!((7..=9).contains(&kept), "{kept}");
    }

    #[tokio::test]
    async fn a_status_is_not_joined_with_one_that_was_read() {
        let queue = EventQueue::new("run".into());
        queue.push(status(7, 1));
        assert!(queue.next().await.is_some());
        for node in 0..=1_024 {
            queue.push(dispatched(100 + node));
        }
        queue.push(status(7, 2));
        assert_eq!(drain(&queue).await.last(), Some(&status(7, 2)));
    }
}
