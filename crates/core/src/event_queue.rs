//! Events on their way to whoever follows an execution: bounded in number and in bytes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::event::{ExecutionEvent, ExecutionId};
use crate::executor::ExecutorConfig;
use crate::node::BoxFuture;
use crate::sink::EventSink;
use crate::value::{Outputs, Value};

/// Room for events of all executions of an executor.
#[derive(Debug)]
pub(crate) struct EventRoom {
    events_max: usize,
    bytes_max: usize,
    held_bytes_max: usize,
    held_bytes: AtomicUsize,
}

impl EventRoom {
    pub(crate) fn new(config: &ExecutorConfig) -> Self {
        Self {
            events_max: config.events_max.max(1),
            bytes_max: config.events_bytes_max.max(1),
            held_bytes_max: config.events_bytes_held_max,
            held_bytes: AtomicUsize::new(0),
        }
    }

    /// Whether a queue with so much may have one more. One that holds no bytes always may, so that none waits for another.
    fn is_there(&self, events: usize, bytes: usize) -> bool {
        let is_shared = || self.held_bytes.load(Ordering::Relaxed) < self.held_bytes_max;
        events < self.events_max && bytes < self.bytes_max && (bytes == 0 || is_shared())
    }

    fn take(&self, bytes: usize) {
        self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give_back(&self, bytes: usize) {
        self.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The sink behind an [`Execution`](crate::Execution).
#[derive(Debug)]
pub(crate) struct EventQueue {
    // A std mutex: held for a push or a pop, never across an await.
    state: Mutex<QueueState>,
    room: Arc<EventRoom>,
    pushed: Notify,
    popped: Notify,
}

#[derive(Debug, Default)]
struct QueueState {
    /// With the bytes of each.
    events: VecDeque<(ExecutionEvent, usize)>,
    bytes: usize,
    terminal_taken: bool,
    /// Nobody takes events any more, so that there is always room for them: nowhere.
    closed: bool,
}

impl EventQueue {
    pub(crate) fn new(room: Arc<EventRoom>) -> Self {
        Self {
            state: Mutex::default(),
            room,
            pushed: Notify::new(),
            popped: Notify::new(),
        }
    }

    pub(crate) async fn next(&self) -> Option<ExecutionEvent> {
        loop {
            let pushed = self.pushed.notified();
            {
                let mut state = self.lock();
                if let Some((event, bytes)) = state.events.pop_front() {
                    state.terminal_taken = event.is_terminal();
                    state.bytes -= bytes;
                    drop(state);
                    self.room.give_back(bytes);
                    self.popped.notify_waiters();
                    return Some(event);
                }
                if state.terminal_taken {
                    return None;
                }
            }
            pushed.await;
        }
    }

    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let untaken = std::mem::take(&mut state.events);
        let bytes = std::mem::take(&mut state.bytes);
        drop(state);
        drop(untaken);
        self.room.give_back(bytes);
        self.popped.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventSink for EventQueue {
    fn deliver(&self, _id: ExecutionId, event: ExecutionEvent) {
        let bytes = waiting_bytes(&event);
        let mut state = self.lock();
        if !state.closed {
            state.events.push_back((event, bytes));
            state.bytes += bytes;
            self.room.take(bytes);
            drop(state);
            self.pushed.notify_one();
        }
    }

    fn has_room(&self) -> bool {
        let state = self.lock();
        state.closed || self.room.is_there(state.events.len(), state.bytes)
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            loop {
                let popped = self.popped.notified();
                if self.has_room() {
                    return;
                }
                popped.await;
            }
        })
    }
}

/// What an event holds of the memory for which there must be room; the last one is always taken.
fn waiting_bytes(event: &ExecutionEvent) -> usize {
    match event {
        ExecutionEvent::Progress(progress) => progress.message.len(),
        ExecutionEvent::Partial(outputs) => outputs_bytes(outputs),
        ExecutionEvent::Accepted
        | ExecutionEvent::Started
        | ExecutionEvent::Completed(_)
        | ExecutionEvent::Failed(_)
        | ExecutionEvent::Cancelled { .. }
        | ExecutionEvent::Dropped(_) => 0,
    }
}

fn outputs_bytes(outputs: &Outputs) -> usize {
    let values = outputs.iter().flat_map(|(_, values)| values.values());
    values
        .map(|value| {
            size_of::<Value>()
                + match value {
                    Value::Json(json) => json.as_str().len(),
                    Value::Bytes(bytes) => bytes.len(),
                    Value::Asset(asset) => asset.as_str().len(),
                }
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const ID: ExecutionId = ExecutionId(1);

    fn room(bytes_max: usize, held_bytes_max: usize) -> Arc<EventRoom> {
        let config = ExecutorConfig {
            events_bytes_max: bytes_max,
            events_bytes_held_max: held_bytes_max,
            ..ExecutorConfig::default()
        };
        Arc::new(EventRoom::new(&config))
    }

    fn preview(bytes: usize) -> ExecutionEvent {
        ExecutionEvent::Partial(Outputs::new().with("data", Bytes::from(vec![0; bytes])))
    }

    #[tokio::test]
    async fn bytes_that_wait_take_room_until_they_are_taken() {
        let queue = EventQueue::new(room(1_000, 1 << 20));
        queue.deliver(ID, ExecutionEvent::Accepted);
        queue.deliver(ID, preview(900));
        assert!(queue.has_room());
        queue.deliver(ID, preview(900));
        assert!(!queue.has_room());
        assert!(matches!(queue.next().await, Some(ExecutionEvent::Accepted)));
        assert!(!queue.has_room());
        assert!(matches!(
            queue.next().await,
            Some(ExecutionEvent::Partial(_))
        ));
        queue.room().await;
        queue.close();
        assert_eq!(queue.room.held_bytes.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn all_executions_share_a_bound_and_none_waits_for_another() {
        let room = room(1 << 20, 1_000);
        let (first, second) = (
            EventQueue::new(Arc::clone(&room)),
            EventQueue::new(Arc::clone(&room)),
        );
        first.deliver(ID, preview(2_000));
        assert!(!first.has_room() && second.has_room());
        second.deliver(ID, preview(10));
        assert!(!second.has_room());
        assert!(second.next().await.is_some());
        assert!(second.has_room());
        first.close();
        assert_eq!(room.held_bytes.load(Ordering::Relaxed), 0);
    }
}
