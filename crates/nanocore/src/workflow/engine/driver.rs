//! The loop around the scheduler: it holds the calls, the clock and the watchers, and decides nothing.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::{BoxStream, FuturesUnordered};
use tokio::time::sleep_until;

use super::AbortHandle;
use super::events::EventQueue;
use crate::workflow::invoker::{NodeInvoker, Report};
use crate::workflow::plan::Plan;
use crate::workflow::result::RunResult;
use crate::workflow::scheduler::{Output, Scheduler, Settings, Ticket};

/// Drives one run to its end.
pub(super) struct Driver<I> {
    scheduler: Scheduler,
    invoker: Arc<I>,
    events: EventQueue,
    abort: AbortHandle,
    /// At most one per attempt of a node; those that have ended for the scheduler end with the run.
    calls: FuturesUnordered<NextReport>,
}

impl<I: NodeInvoker> Driver<I> {
    pub(super) fn new(
        plan: Arc<Plan>,
        settings: Settings,
        invoker: Arc<I>,
        events: EventQueue,
        abort: AbortHandle,
    ) -> Self {
        let scheduler = Scheduler::new(plan, settings, now());
        Self {
            scheduler,
            invoker,
            events,
            abort,
            calls: FuturesUnordered::new(),
        }
    }

    pub(super) async fn run(mut self) -> RunResult {
        self.scheduler.start(now());
        let mut aborted = false;
        loop {
            self.work_off();
            if self.scheduler.is_finished() {
                break;
            }
            self.wait(&mut aborted).await;
        }
        self.scheduler.into_result()
    }

    /// Waits until something happens, and tells the scheduler.
    async fn wait(&mut self, aborted: &mut bool) {
        let deadline = self.scheduler.poll_timeout();
        let timeout = async {
            match deadline {
                Some(at) => sleep_until(at.into()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.abort.token.cancelled(), if !*aborted => {
                *aborted = true;
                self.scheduler.handle_abort(now());
            }
            () = timeout => self.scheduler.handle_timeout(now()),
            Some((report, call)) = self.calls.next() => self.report(report, call),
        }
    }

    fn report(&mut self, report: Option<Report>, call: NextReport) {
        match report {
            Some(report) => {
                if self.scheduler.handle_report(call.ticket, report, now()) {
                    self.calls.push(call);
                }
            }
            None => self.scheduler.handle_end_of_reports(call.ticket, now()),
        }
    }

    /// Does what the scheduler wants done.
    fn work_off(&mut self) {
        while let Some(output) = self.scheduler.poll_output() {
            match output {
                Output::Event(event) => self.events.push(event),
                Output::Dispatch(ticket, call) => {
                    let stream = Some(self.invoker.invoke(*call));
                    self.calls.push(NextReport { ticket, stream });
                }
                Output::Stop {
                    server,
                    instance_id,
                } => {
                    if let Some(server) = self.scheduler.plan().servers.get(server) {
                        self.invoker.stop(server, &instance_id);
                    }
                }
            }
        }
    }
}

/// The clock of tokio, so that tests may stop it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Gives the next report of a call, and itself back.
struct NextReport {
    ticket: Ticket,
    /// `None` once given back.
    stream: Option<BoxStream<'static, Report>>,
}

impl Future for NextReport {
    type Output = (Option<Report>, Self);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ticket = self.ticket;
        let Some(stream) = &mut self.stream else {
            return Poll::Pending;
        };
        let report = std::task::ready!(stream.poll_next_unpin(context));
        let stream = self.stream.take();
        Poll::Ready((report, Self { ticket, stream }))
    }
}
