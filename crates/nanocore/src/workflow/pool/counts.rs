//! What was sent to node servers and what came of it, by wire and node: in the words that node servers use for the same.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::stream::{BoxStream, Stream, StreamExt};
use nanograph::message::StatusKind;

use crate::workflow::invoker::Report;
use crate::workflow::state::NodeErrorCode;

/// Nodes told apart; what goes to further ones is counted as [`OTHERS`].
const NODES_MAX: usize = 1_000;
const OTHERS: &str = "(others)";

/// How a cancelled execution ends on either wire.
const CANCELLED: &str = "Execution cancelled";

/// Clones share the counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct StepCounts(Arc<Mutex<Steps>>);

type Steps = BTreeMap<(&'static str, String), StepCount>;

/// Of one wire and node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StepCount {
    pub(crate) accepted: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) dropped: u64,
}

impl StepCount {
    pub(crate) const fn in_flight(&self) -> u64 {
        self.accepted - self.completed - self.failed - self.cancelled - self.dropped
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Completed,
    Failed,
    Cancelled,
    /// Lost with its server, or given up before it had ended.
    Dropped,
}

impl StepCounts {
    /// All at one moment.
    pub(crate) fn snapshot(&self) -> Vec<(&'static str, String, StepCount)> {
        let steps = self.lock();
        let all = steps.iter();
        all.map(|((wire, node), count)| (*wire, node.clone(), *count))
            .collect()
    }

    /// Counts an execution that is sent now, and its end when the reports tell it, or nobody wants to know it any more.
    pub(super) fn follow(
        &self,
        wire: &'static str,
        node: &str,
        reports: BoxStream<'static, Report>,
    ) -> BoxStream<'static, Report> {
        let step = Some(self.begin(wire, node));
        Counted { reports, step }.boxed()
    }

    fn begin(&self, wire: &'static str, node: &str) -> Step {
        let mut steps = self.lock();
        let mut key = (wire, node.to_owned());
        if steps.len() >= NODES_MAX && !steps.contains_key(&key) {
            key.1 = OTHERS.to_owned();
        }
        steps.entry(key.clone()).or_default().accepted += 1;
        drop(steps);
        Step {
            counts: self.clone(),
            key,
            outcome: Outcome::Dropped,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Steps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that is under way until this is dropped.
#[derive(Debug)]
struct Step {
    counts: StepCounts,
    key: (&'static str, String),
    outcome: Outcome,
}

impl Drop for Step {
    fn drop(&mut self) {
        let mut steps = self.counts.lock();
        let Some(count) = steps.get_mut(&self.key) else {
            return;
        };
        *match self.outcome {
            Outcome::Completed => &mut count.completed,
            Outcome::Failed => &mut count.failed,
            Outcome::Cancelled => &mut count.cancelled,
            Outcome::Dropped => &mut count.dropped,
        } += 1;
    }
}

struct Counted {
    reports: BoxStream<'static, Report>,
    /// Taken at the end.
    step: Option<Step>,
}

impl Stream for Counted {
    type Item = Report;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Report>> {
        let polled = self.reports.poll_next_unpin(context);
        let outcome = match &polled {
            Poll::Ready(Some(report)) => outcome(report),
            Poll::Ready(None) => Some(Outcome::Dropped),
            Poll::Pending => None,
        };
        if let Some(outcome) = outcome
            && let Some(mut step) = self.step.take()
        {
            step.outcome = outcome;
        }
        polled
    }
}

/// `None` if it goes on.
fn outcome(report: &Report) -> Option<Outcome> {
    match report {
        Report::Failed(error) if error.code == NodeErrorCode::ServerLost => Some(Outcome::Dropped),
        Report::Failed(_) => Some(Outcome::Failed),
        Report::Status(status) => match status.kind {
            StatusKind::Complete => Some(Outcome::Completed),
            StatusKind::Error if status.message.as_deref() == Some(CANCELLED) => {
                Some(Outcome::Cancelled)
            }
            StatusKind::Error => Some(Outcome::Failed),
            StatusKind::Idle | StatusKind::Running | StatusKind::Missing | StatusKind::Other(_) => {
                None
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::iter;

    use super::*;
    use crate::workflow::state::NodeError;

    async fn after(reports: Vec<Report>) -> StepCount {
        let counts = StepCounts::default();
        let told = counts.follow("nats", "a", iter(reports).boxed());
        assert_eq!(counts.snapshot()[0].2.in_flight(), 1);
        let told: Vec<_> = told.collect().await;
        drop(told);
        let (wire, node, count) = counts.snapshot().remove(0);
        assert_eq!((wire, node.as_str()), ("nats", "a"));
        assert_eq!((count.accepted, count.in_flight()), (1, 0));
        count
    }

    #[tokio::test]
    async fn each_ends_once_by_what_was_told_first() {
        let lost = || Report::Failed(NodeError::new(NodeErrorCode::ServerLost, "gone"));
        let refused = Report::Failed(NodeError::new(NodeErrorCode::Refused, "full"));
        let outputs = nodewire_json::Json::default();
        let completed = after(vec![
            Report::running("…"),
            Report::complete(&outputs),
            lost(),
        ])
        .await;
        assert_eq!(completed.completed, 1);
        assert_eq!(after(vec![Report::error("no")]).await.failed, 1);
        assert_eq!(after(vec![refused]).await.failed, 1);
        assert_eq!(after(vec![Report::error(CANCELLED)]).await.cancelled, 1);
        assert_eq!(after(vec![lost()]).await.dropped, 1);
        assert_eq!(after(Vec::new()).await.dropped, 1);
    }

    #[tokio::test]
    async fn one_that_nobody_waits_for_is_dropped() {
        let counts = StepCounts::default();
        drop(counts.follow("nats", "a", futures_util::stream::pending().boxed()));
        assert_eq!(counts.snapshot()[0].2.dropped, 1);
    }

    #[tokio::test]
    async fn series_are_bounded() {
        let counts = StepCounts::default();
        for node in 0..NODES_MAX + 9 {
            drop(counts.follow("nats", &node.to_string(), iter([]).boxed()));
        }
        let all = counts.snapshot();
        assert_eq!(all.len(), NODES_MAX + 1);
        let others = all.iter().find(|(_, node, _)| node == OTHERS).unwrap();
        assert_eq!(others.2.dropped, 9);
    }
}
