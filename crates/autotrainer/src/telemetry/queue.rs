//! Spans that wait to be exported.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

use super::otlp::{Resource, Span};
use super::{Counters, Settings};

/// A queue of many senders, which never wait, and one exporter.
#[derive(Debug)]
pub(super) struct SpanQueue {
    state: Mutex<State>,
    filled: Notify,
    spans_max: usize,
    batch_max: usize,
    pub(super) counters: Arc<Counters>,
}

#[derive(Debug)]
struct State {
    spans: VecDeque<Finished>,
    is_closed: bool,
    ids: fastrand::Rng,
}

/// A span that has ended, and of whom.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) resource: Arc<Resource>,
    pub(super) span: Span,
}

impl SpanQueue {
    pub(super) fn new(settings: &Settings, counters: Arc<Counters>) -> Self {
        let (_, seed) = Uuid::new_v4().as_u64_pair();
        Self {
            state: Mutex::new(State {
                spans: VecDeque::new(),
                is_closed: false,
                ids: fastrand::Rng::with_seed(seed),
            }),
            filled: Notify::new(),
            spans_max: settings.span_queue_max.max(1),
            batch_max: settings.span_batch_max.max(1),
            counters,
        }
    }

    /// Drops it if there is no room.
    pub(super) fn put(&self, finished: Finished) {
        let mut state = self.lock();
        if state.is_closed || state.spans.len() >= self.spans_max {
            drop(state);
            self.counters.spans_dropped.add(1);
            return;
        }
        state.spans.push_back(finished);
        let is_batch = state.spans.len() == self.batch_max;
        drop(state);
        if is_batch {
            self.filled.notify_one();
        }
    }

    /// The oldest, at most a batch of them; none if there are none.
    pub(super) fn take(&self) -> Vec<Finished> {
        let mut state = self.lock();
        let taken = state.spans.len().min(self.batch_max);
        state.spans.drain(..taken).collect()
    }

    /// Waits until there is a whole batch. Nothing is lost when the future is dropped.
    pub(super) async fn filled(&self) {
        while self.lock().spans.len() < self.batch_max {
            self.filled.notified().await;
        }
    }

    /// No more is accepted, and what is there is given up.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let left = std::mem::take(&mut state.spans).len();
        drop(state);
        self.counters.spans_failed.add(left as u64);
    }

    /// Never all zero, which would mean that there is none.
    pub(super) fn new_trace_id(&self) -> [u8; 16] {
        self.lock().ids.u128(1..).to_be_bytes()
    }

    pub(super) fn new_span_id(&self) -> [u8; 8] {
        self.lock().ids.u64(1..).to_be_bytes()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Finished, SpanQueue};
    use crate::telemetry::otlp::{Resource, Span};
    use crate::telemetry::{Counters, Settings};

    fn finished() -> Finished {
        Finished {
            resource: Arc::new(Resource::default()),
            span: Span::default(),
        }
    }

    #[test]
    fn spans_are_exported_or_counted() {
        let settings = Settings {
            span_queue_max: 3,
            span_batch_max: 2,
            ..Settings::default()
        };
        let counters = Arc::new(Counters::default());
        let queue = SpanQueue::new(&settings, Arc::clone(&counters));
        (0..5).for_each(|_| queue.put(finished()));
        assert_eq!(queue.take().len(), 2);
        queue.close();
        queue.put(finished());
        assert!(queue.take().is_empty());
        let counts = counters.snapshot();
        assert_eq!((counts.spans_dropped, counts.spans_failed), (3, 1));
    }

    #[test]
    fn ids_differ() {
        let queue = SpanQueue::new(&Settings::default(), Arc::default());
        assert_ne!(queue.new_trace_id(), queue.new_trace_id());
        assert_ne!(queue.new_span_id(), queue.new_span_id());
    }
}
