//! Spans that wait to be exported.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::export::Exporter;
use crate::otlp::{Resource, ResourceSpans, Scope, ScopeSpans, Span, TracesRequest};

/// Shorter times would keep the exporting task busy with nothing.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// A queue of many senders, which never wait, and one exporter.
#[derive(Debug)]
pub struct SpanQueue {
    // A std mutex: held for a push or for taking a batch, never across an await.
    state: Mutex<State>,
    filled: Notify,
    spans_max: usize,
    batch_max: usize,
    counters: Counters,
}

/// What became of spans.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpanCounts {
    /// The collector took them.
    pub exported: u64,
    /// They found the queue full.
    pub dropped: u64,
    /// They were given up because they could not be exported.
    pub failed: u64,
    /// The collector says that it did not take them.
    pub rejected: u64,
}

impl SpanCounts {
    /// By the word for it in metrics.
    #[must_use]
    pub const fn by_outcome(&self) -> [(&'static str, u64); 4] {
        [
            ("exported", self.exported),
            ("dropped", self.dropped),
            ("failed", self.failed),
            ("rejected", self.rejected),
        ]
    }
}

#[derive(Debug, Default)]
struct Counters {
    exported: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    rejected: AtomicU64,
}

#[derive(Debug)]
struct State {
    spans: VecDeque<Finished>,
    is_closed: bool,
}

/// A span that has ended, and of whom.
#[derive(Debug)]
struct Finished {
    resource: Arc<Resource>,
    span: Span,
}

impl SpanQueue {
    /// A queue with room for `spans_max`, of which `batch_max` are exported at a time; both are at least 1.
    #[must_use]
    pub fn new(spans_max: usize, batch_max: usize) -> Self {
        Self {
            state: Mutex::new(State {
                spans: VecDeque::new(),
                is_closed: false,
            }),
            filled: Notify::new(),
            spans_max: spans_max.max(1),
            batch_max: batch_max.max(1),
            counters: Counters::default(),
        }
    }

    /// Queues a span that has ended; drops it, counted, if there is no room. Never waits.
    pub fn put(&self, resource: &Arc<Resource>, span: Span) {
        let mut state = self.lock();
        if state.is_closed || state.spans.len() >= self.spans_max {
            drop(state);
            add(&self.counters.dropped, 1);
            return;
        }
        state.spans.push_back(Finished {
            resource: Arc::clone(resource),
            span,
        });
        let is_batch = state.spans.len() == self.batch_max;
        drop(state);
        if is_batch {
            self.filled.notify_one();
        }
    }

    /// What became of spans so far.
    #[must_use]
    pub fn counts(&self) -> SpanCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        SpanCounts {
            exported: read(&self.counters.exported),
            dropped: read(&self.counters.dropped),
            failed: read(&self.counters.failed),
            rejected: read(&self.counters.rejected),
        }
    }

    /// Exports, whenever there is a whole batch and after each `interval`, until `stop` is cancelled and nothing is left.
    /// If this is dropped, what is left is counted as failed, and the queue takes no more.
    pub async fn export(
        &self,
        exporter: &Exporter,
        scope: &Scope,
        interval: Duration,
        stop: &CancellationToken,
    ) {
        let _closed = CloseQueue(self);
        let interval = interval.max(INTERVAL_MIN);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.filled() => {}
                () = sleep(interval) => {}
            }
            self.export_batch(exporter, scope).await;
        }
        while self.export_batch(exporter, scope).await {}
    }

    /// `false` if there was nothing.
    async fn export_batch(&self, exporter: &Exporter, scope: &Scope) -> bool {
        let batch = self.take();
        if batch.is_empty() {
            return false;
        }
        let spans = batch.len() as u64;
        let mut in_flight = InFlight {
            counters: &self.counters,
            spans,
        };
        if let Some(rejected) = exporter.traces(&traces_request(batch, scope)).await {
            in_flight.spans = 0;
            let rejected = rejected.min(spans);
            add(&self.counters.rejected, rejected);
            add(&self.counters.exported, spans - rejected);
        }
        true
    }

    /// The oldest, at most a batch of them; none if there are none.
    fn take(&self) -> Vec<Finished> {
        let mut state = self.lock();
        let taken = state.spans.len().min(self.batch_max);
        state.spans.drain(..taken).collect()
    }

    /// Waits until there is a whole batch. Nothing is lost when the future is dropped.
    async fn filled(&self) {
        while self.lock().spans.len() < self.batch_max {
            self.filled.notified().await;
        }
    }

    /// No more is accepted, and what is there is given up.
    fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let left = std::mem::take(&mut state.spans).len();
        drop(state);
        add(&self.counters.failed, left as u64);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whatever is left when it ends is counted.
struct CloseQueue<'queue>(&'queue SpanQueue);

impl Drop for CloseQueue<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Spans that have failed unless somebody says otherwise.
struct InFlight<'counters> {
    counters: &'counters Counters,
    spans: u64,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        add(&self.counters.failed, self.spans);
    }
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

fn traces_request(batch: Vec<Finished>, scope: &Scope) -> TracesRequest {
    let mut by_resource: Vec<(Arc<Resource>, Vec<_>)> = Vec::new();
    for Finished { resource, span } in batch {
        let known = by_resource
            .iter_mut()
            .find(|(known, _)| Arc::ptr_eq(known, &resource));
        match known {
            Some((_, spans)) => spans.push(span),
            None => by_resource.push((resource, vec![span])),
        }
    }
    let spans_of = |(resource, spans): (Arc<Resource>, _)| ResourceSpans {
        resource: Some(Resource::clone(&resource)),
        scope_spans: vec![ScopeSpans {
            scope: Some(scope.clone()),
            spans,
        }],
    };
    TracesRequest {
        resource_spans: by_resource.into_iter().map(spans_of).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_exported_or_counted() {
        let queue = SpanQueue::new(3, 2);
        let resource = Arc::new(Resource::default());
        (0..5).for_each(|_| queue.put(&resource, Span::default()));
        assert_eq!(queue.take().len(), 2);
        queue.close();
        queue.put(&resource, Span::default());
        assert!(queue.take().is_empty());
        let counts = queue.counts();
        assert_eq!((counts.dropped, counts.failed), (3, 1));
    }
}
