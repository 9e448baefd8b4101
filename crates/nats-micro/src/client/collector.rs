//! Takes replies from a subscription until a limit is reached.
//!
//! It knows no connection, so that its times are tested with a clock that tests turn.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::{Message, StatusCode};
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, Sleep, sleep_until};

use super::limits::{End, Limits};
use crate::service_error::ServiceError;

/// Times beyond this do not fit the clock.
const LONGEST: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// A stream of replies. What it does not give any more is dropped with the subscription, at once when it ends.
#[derive(Debug)]
pub(super) struct Collector<S> {
    /// `None` once it has ended.
    messages: Option<S>,
    limits: Limits,
    end_on_empty: bool,
    deadline: Instant,
    /// Runs until the deadline, or until the interval since the last reply is over if that is earlier.
    timer: Pin<Box<Sleep>>,
    count: usize,
    bytes: usize,
    end: Option<End>,
}

impl<S> Collector<S> {
    /// The total time began at `started`.
    pub(super) fn new(messages: S, limits: Limits, end_on_empty: bool, started: Instant) -> Self {
        let deadline = started + limits.max_wait.min(LONGEST);
        let mut collector = Self {
            messages: Some(messages),
            limits,
            end_on_empty,
            deadline,
            timer: Box::pin(sleep_until(deadline)),
            count: 0,
            bytes: 0,
            end: None,
        };
        if limits.max_count == 0 {
            collector.finish(End::MaxCount);
        }
        collector
    }

    /// Why it ended; `None` while it goes on.
    pub(super) fn end(&self) -> Option<End> {
        self.end
    }

    /// The last reply was of use: it counts.
    pub(super) fn count_one(&mut self) {
        self.count += 1;
        if self.count >= self.limits.max_count {
            self.finish(End::MaxCount);
        }
    }

    fn finish(&mut self, end: End) {
        self.messages = None;
        self.end.get_or_insert(end);
    }

    /// Whether a message is a reply; if not, it is the end.
    fn check(&mut self, message: &Message) -> Result<(), End> {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(End::NoResponders);
        }
        let is_empty = message.payload.is_empty();
        if self.end_on_empty && is_empty && ServiceError::from_reply(message).is_none() {
            return Err(End::Sentinel);
        }
        self.bytes = self.bytes.saturating_add(message.length.max(1));
        if self.bytes > self.limits.max_bytes {
            return Err(End::MaxBytes);
        }
        Ok(())
    }

    fn restart_interval(&mut self) {
        if let Some(interval) = self.limits.max_interval {
            let due = Instant::now() + interval.min(LONGEST);
            self.timer.as_mut().reset(due.min(self.deadline));
        }
    }

    fn end_by_time(&self) -> End {
        if self.timer.deadline() < self.deadline {
            End::MaxInterval
        } else {
            End::MaxWait
        }
    }
}

impl<S: Stream<Item = Message> + Unpin> Stream for Collector<S> {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let this = &mut *self;
        let Some(messages) = &mut this.messages else {
            return Poll::Ready(None);
        };
        // Replies first: one that came in time is not lost because it is looked at late.
        let end = match messages.poll_next_unpin(cx) {
            Poll::Ready(Some(message)) => match this.check(&message) {
                Ok(()) => {
                    this.restart_interval();
                    return Poll::Ready(Some(message));
                }
                Err(end) => end,
            },
            Poll::Ready(None) => End::Closed,
            Poll::Pending => {
                std::task::ready!(this.timer.as_mut().poll(cx));
                this.end_by_time()
            }
        };
        this.finish(end);
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests;
