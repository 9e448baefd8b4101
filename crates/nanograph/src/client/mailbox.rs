//! What waits for the reader of one execution.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::ExecutionEvent;
use super::outstanding::End;
use crate::message::Status;

/// A bounded queue of statuses, and the end. A slow reader misses the oldest statuses, never the end.
#[derive(Debug)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    max_statuses: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    statuses: VecDeque<Status>,
    bytes: usize,
    end: Option<Box<End>>,
    over: bool,
    conflated: u64,
    reader: Option<Waker>,
}

impl Mailbox {
    pub(super) fn new(max_statuses: usize, max_bytes: usize) -> Self {
        Self {
            state: Mutex::default(),
            max_statuses: max_statuses.max(1),
            max_bytes,
        }
    }

    /// Queues a status; how many older ones had to go.
    pub(super) fn push(&self, status: Status) -> u64 {
        let mut state = self.lock();
        if state.end.is_some() || state.over {
            return 0;
        }
        state.bytes += status.raw.as_str().len();
        state.statuses.push_back(status);
        let mut dropped = 0;
        while state.statuses.len() > self.max_statuses
            || (state.bytes > self.max_bytes && state.statuses.len() > 1)
        {
            state.pop();
            dropped += 1;
        }
        state.conflated += dropped;
        wake(state);
        dropped
    }

    /// Sets the end; the first one stays.
    pub(super) fn finish(&self, end: End) {
        let mut state = self.lock();
        if state.end.is_none() && !state.over {
            state.end = Some(Box::new(end));
            wake(state);
        }
    }

    /// The next event, the end last.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<Option<ExecutionEvent>> {
        let mut state = self.lock();
        if let Some(status) = state.pop() {
            return Poll::Ready(Some(ExecutionEvent::Status(status)));
        }
        if let Some(end) = state.end.take() {
            state.over = true;
            return Poll::Ready(Some(ExecutionEvent::End(*end)));
        }
        if state.over {
            return Poll::Ready(None);
        }
        match &mut state.reader {
            Some(reader) => reader.clone_from(cx.waker()),
            reader => *reader = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    pub(super) fn conflated(&self) -> u64 {
        self.lock().conflated
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pop(&mut self) -> Option<Status> {
        let status = self.statuses.pop_front()?;
        self.bytes -= status.raw.as_str().len();
        Some(status)
    }
}

fn wake(mut state: MutexGuard<'_, State>) {
    let reader = state.reader.take();
    drop(state);
    if let Some(reader) = reader {
        reader.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use nodewire_json::Json;

    use super::*;
    use crate::client::ExecutionError;

    fn status(text: &str) -> Status {
        Status::from_json(Json::from(
            serde_json::json!({"type": "running", "message": text}),
        ))
    }

    fn next(mailbox: &Mailbox) -> Option<String> {
        match mailbox.poll(&Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(ExecutionEvent::Status(status))) => status.message,
            Poll::Ready(Some(ExecutionEvent::End(end))) => Some(format!("{end:?}")),
            Poll::Ready(None) => None,
            Poll::Pending => Some("pending".to_owned()),
        }
    }

    #[test]
    fn the_oldest_statuses_go_and_the_end_stays() {
        let mailbox = Mailbox::new(2, 1000);
        let dropped: u64 = ["a", "b", "c", "d"]
            .map(|text| mailbox.push(status(text)))
            .iter()
            .sum();
        mailbox.finish(Err(ExecutionError::Closed));
        mailbox.finish(Err(ExecutionError::Failed {
            message: String::new(),
        }));
        assert_eq!(mailbox.push(status("late")), 0);
        assert_eq!((dropped, mailbox.conflated()), (2, 2));
        let events: Vec<_> = std::iter::from_fn(|| next(&mailbox)).collect();
        assert_eq!(events, ["c", "d", "Err(Closed)"]);
    }

    #[test]
    fn bytes_are_bounded_but_the_newest_is_kept() {
        let mailbox = Mailbox::new(10, 100);
        for letter in ["a", "b", "c"] {
            mailbox.push(status(&letter.repeat(60)));
        }
        assert_eq!(next(&mailbox), Some("c".repeat(60)));
        assert_eq!(next(&mailbox).as_deref(), Some("pending"));
        mailbox.push(status(&"d".repeat(500)));
        assert_eq!(next(&mailbox), Some("d".repeat(500)));
    }
}
