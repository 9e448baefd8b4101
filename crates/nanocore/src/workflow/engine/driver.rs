//! The loop around the scheduler: it holds the calls, the clock and the watchers, and decides nothing.

use std::collections::HashMap;
use std::future::{pending, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{BoxStream, FuturesUnordered, StreamExt};
use nodewire_json::Json;
use tokio::time::sleep_until;

use super::AbortHandle;
use super::events::EventQueue;
use super::hooks::Hooks;
use super::trace::{RunTrace, StepTrace};
use crate::workflow::cache::{CacheKey, Flight};
use crate::workflow::catalog::Server;
use crate::workflow::invoker::{Call, NodeInvoker, Report};
use crate::workflow::result::RunResult;
use crate::workflow::scheduler::{LookedUp, Output, Scheduler, Ticket};
use crate::workflow::state::{NodeError, NodeErrorCode};
use crate::workflow::step_log::StepLogError;

/// A call that may be sent now, or why not.
type Started = (Ticket, Call, Result<(), StepLogError>);

/// Drives one run to its end.
pub(super) struct Driver<I> {
    scheduler: Scheduler,
    invoker: Arc<I>,
    hooks: Hooks,
    events: EventQueue,
    abort: AbortHandle,
    trace: RunTrace,
    /// Over once servers may have gone or come back.
    servers_changed: BoxFuture<'static, ()>,
    /// At most one per attempt of a node; those that have ended for the scheduler end with the run.
    calls: FuturesUnordered<NextReport>,
    /// Nodes that must not be executed twice, on their way into the step log; at most one per node.
    starting: FuturesUnordered<BoxFuture<'static, Started>>,
    /// At most one per node.
    logging: FuturesUnordered<BoxFuture<'static, (Ticket, Result<(), StepLogError>)>>,
    /// At most one per node.
    looking_up: FuturesUnordered<BoxFuture<'static, (usize, LookedUp, Option<Flight>)>>,
    /// Nodes of this run that others may wait for.
    flights: HashMap<usize, Flight>,
}

impl<I: NodeInvoker> Driver<I> {
    pub(super) fn new(
        scheduler: Scheduler,
        invoker: Arc<I>,
        hooks: Hooks,
        (events, abort): (EventQueue, AbortHandle),
        trace: RunTrace,
    ) -> Self {
        Self {
            scheduler,
            invoker,
            hooks,
            events,
            abort,
            trace,
            servers_changed: pending().boxed(),
            calls: FuturesUnordered::new(),
            starting: FuturesUnordered::new(),
            logging: FuturesUnordered::new(),
            looking_up: FuturesUnordered::new(),
            flights: HashMap::new(),
        }
    }

    pub(super) async fn run(mut self) -> RunResult {
        let away = self.look_for_servers();
        self.scheduler.start(&away, now());
        let mut aborted = false;
        loop {
            self.work_off();
            if self.scheduler.is_finished() {
                break;
            }
            self.wait(&mut aborted).await;
        }
        let result = self.scheduler.into_result();
        // Steps end before their run.
        drop(self.calls);
        self.trace.end(&result);
        result
    }

    /// Waits until something happens, and tells the scheduler.
    async fn wait(&mut self, aborted: &mut bool) {
        let deadline = self.scheduler.poll_timeout();
        let places = self.scheduler.places_changed();
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
            () = &mut self.servers_changed => self.servers_changed(),
            () = timeout => self.scheduler.handle_timeout(now()),
            Some(started) = self.starting.next() => self.started(started),
            Some((ticket, logged)) = self.logging.next() => {
                self.scheduler.handle_logged(ticket, logged, now());
            }
            Some((report, call)) = self.calls.next() => self.report(report, call),
            Some((node, found, flight)) = self.looking_up.next() => self.looked_up(node, found, flight),
            () = places.notified() => self.scheduler.handle_places(now()),
        }
    }

    /// Notes which servers are away and will be back.
    fn look_for_servers(&mut self) -> Vec<bool> {
        let servers = &self.scheduler.plan().servers;
        if servers.is_empty() {
            return Vec::new();
        }
        // Before the look, so that nothing in between is missed.
        self.servers_changed = self.invoker.changed();
        let away = |server: &Arc<Server>| self.invoker.will_be_back(server);
        servers.iter().map(away).collect()
    }

    fn servers_changed(&mut self) {
        let away = self.look_for_servers();
        self.scheduler.handle_servers(&away, now());
    }

    fn report(&mut self, report: Option<Report>, mut call: NextReport) {
        match report {
            Some(report) => {
                call.trace.report(&report);
                if self.scheduler.handle_report(call.ticket, report, now()) {
                    self.calls.push(call);
                }
            }
            None => {
                call.trace.lost();
                self.scheduler.handle_end_of_reports(call.ticket, now());
            }
        }
    }

    fn dispatch(&mut self, ticket: Ticket, call: Call) {
        let planned = &self.scheduler.plan().nodes[ticket.node];
        let (node_id, is_once) = (planned.id, planned.exec.idempotent == Some(false));
        let starting = is_once
            .then(|| self.hooks.starting(node_id, ticket.attempt))
            .flatten();
        if let Some(starting) = starting {
            self.starting
                .push(async move { (ticket, call, starting.await) }.boxed());
            return;
        }
        self.hooks.started(node_id, ticket.attempt);
        self.send(ticket, call);
    }

    /// The step log knows that a node starts, or cannot keep it.
    fn started(&mut self, (ticket, call, started): Started) {
        let refusal = match started {
            Ok(()) if self.scheduler.may_send(ticket) => return self.send(ticket, call),
            Ok(()) => NodeError::new(NodeErrorCode::Refused, "the run is being stopped"),
            Err(error) => NodeError::new(NodeErrorCode::StepNotLogged, error.to_string()),
        };
        // One that was given up meanwhile has ended.
        if self.scheduler.is_current(ticket) {
            self.scheduler
                .handle_report(ticket, Report::Failed(refusal), now());
        }
    }

    fn send(&mut self, ticket: Ticket, mut call: Call) {
        let node_id = self.scheduler.plan().nodes[ticket.node].id;
        let trace = self.trace.step(&mut call, node_id, ticket.attempt);
        let stream = Some(self.invoker.invoke(call));
        self.calls.push(NextReport {
            ticket,
            trace,
            stream,
        });
    }

    fn look_up(&mut self, node: usize, key: CacheKey) {
        if !self.has_same_code(node) {
            self.looking_up
                .push(ready((node, LookedUp::Outdated, None)).boxed());
            return;
        }
        let found = self.hooks.look_up(key);
        let found = async move {
            let (found, flight) = found.await;
            (node, found, flight)
        };
        self.looking_up.push(found.boxed());
    }

    fn looked_up(&mut self, node: usize, found: LookedUp, flight: Option<Flight>) {
        // Without one that waits for it, the flight ends here.
        let is_wanted = self.scheduler.handle_looked_up(node, found, now());
        if let (true, Some(flight)) = (is_wanted, flight) {
            self.flights.insert(node, flight);
        }
    }

    fn end_in_cache(&mut self, node: usize, key: CacheKey, outputs: Option<Json>) {
        let flight = self.flights.remove(&node);
        if let Some(outputs) = outputs.filter(|_| self.has_same_code(node)) {
            self.hooks.keep(key, outputs, flight);
        }
    }

    /// Whether the code of a node's server is what it was when the run was planned.
    fn has_same_code(&self, node: usize) -> bool {
        let plan = self.scheduler.plan();
        let remote = plan.nodes[node].remote();
        remote.is_some_and(|remote| self.invoker.has_same_code(&plan.servers[remote.server]))
    }

    /// Does what the scheduler wants done.
    fn work_off(&mut self) {
        while let Some(output) = self.scheduler.poll_output() {
            match output {
                Output::Event(event) => self.events.push(event),
                Output::Dispatch(ticket, call) => self.dispatch(ticket, *call),
                Output::Log(ticket, step) => {
                    let logged = self.hooks.log(*step);
                    self.logging
                        .push(async move { (ticket, logged.await) }.boxed());
                }
                Output::LookUp { node, key } => self.look_up(node, key),
                Output::CacheEnd { node, key, outputs } => self.end_in_cache(node, key, outputs),
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
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Gives the next report of a call, and itself back.
struct NextReport {
    ticket: Ticket,
    trace: StepTrace,
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
        let trace = std::mem::take(&mut self.trace);
        let given_back = Self {
            ticket,
            trace,
            stream,
        };
        Poll::Ready((report, given_back))
    }
}
