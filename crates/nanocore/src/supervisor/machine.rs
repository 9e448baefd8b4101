//! What is done when something happens to a server: a machine without clock, process or socket. spec: nanograph 12.6

mod policy;
mod words;

use std::collections::VecDeque;
use std::time::Instant;

use super::status::ServerState;
pub use policy::RestartPolicy;
use policy::backoff;
pub(super) use words::{Do, Event};

/// What comes after stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Rest,
    Again,
    Crash,
    Fail,
}

/// One server's state.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    policy: RestartPolicy,
    /// Whether it is ever given up.
    limited: bool,
    state: ServerState,
    then: Then,
    /// Whether something is installed while the process runs.
    updating: bool,
    /// When it failed, as far as that is in the window: at most as many as are allowed.
    failures: VecDeque<Instant>,
    in_row: u32,
    ready_since: Option<Instant>,
    next_start: Option<Instant>,
}

impl Machine {
    /// A stopped server. One that is not `limited` is never given up: somebody else starts it.
    pub(super) fn new(policy: RestartPolicy, limited: bool) -> Self {
        Self {
            policy,
            limited,
            state: ServerState::Stopped,
            then: Then::Rest,
            updating: false,
            failures: VecDeque::new(),
            in_row: 0,
            ready_since: None,
            next_start: None,
        }
    }

    pub(super) fn state(&self) -> ServerState {
        self.state
    }

    /// Whether something is installed while the process runs.
    pub(super) fn is_updating(&self) -> bool {
        self.updating
    }

    /// Failures since it was last steady, or told to start.
    pub(super) fn failures_in_row(&self) -> u32 {
        self.in_row
    }

    /// When it will be started again.
    pub(super) fn next_start(&self) -> Option<Instant> {
        self.next_start
    }

    /// When [`Event::Due`] is to be told.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let steady = || Some(self.ready_since? + self.policy.steady_after);
        match self.state {
            ServerState::Backoff => self.next_start,
            ServerState::Ready | ServerState::Disconnected if self.in_row > 0 => steady(),
            ServerState::Ready
            | ServerState::Disconnected
            | ServerState::Stopped
            | ServerState::Installing
            | ServerState::Starting
            | ServerState::Failed
            | ServerState::Stopping => None,
        }
    }

    /// Takes an event. `jitter` is a random number from 0 to 1.
    pub(super) fn handle(&mut self, event: Event, now: Instant, jitter: f64) -> Do {
        match event {
            Event::Start => self.start(),
            Event::Restart => self.restart(),
            Event::Changed => self.changed(),
            Event::Stop => self.stop(true),
            Event::Shutdown => self.stop(false),
            Event::Due => self.due(now),
            Event::Installed
            | Event::InstallFailed
            | Event::Ready
            | Event::StartFailed
            | Event::Unusable
            | Event::PortTaken
            | Event::EndedForPort
            | Event::Exited
            | Event::Lost
            | Event::Back
            | Event::Stopped => self.progress(event, now, jitter),
        }
    }

    fn is_to_run(&self) -> bool {
        match self.state {
            ServerState::Stopped => false,
            ServerState::Stopping => self.then != Then::Rest,
            ServerState::Installing
            | ServerState::Starting
            | ServerState::Ready
            | ServerState::Disconnected
            | ServerState::Backoff
            | ServerState::Failed => true,
        }
    }

    /// Whether it serves, or will without anybody's doing.
    pub(super) fn is_kept_up(&self) -> bool {
        let is_given_up = self.state == ServerState::Failed
            || (self.state == ServerState::Stopping && self.then == Then::Fail);
        self.is_to_run() && !is_given_up
    }

    fn start(&mut self) -> Do {
        match self.state {
            ServerState::Stopped | ServerState::Failed | ServerState::Backoff => self.restart(),
            ServerState::Stopping => {
                self.forget_failures();
                self.then = Then::Again;
                Do::Nothing
            }
            ServerState::Installing
            | ServerState::Starting
            | ServerState::Ready
            | ServerState::Disconnected => Do::Nothing,
        }
    }

    fn changed(&mut self) -> Do {
        if matches!(self.state, ServerState::Ready | ServerState::Disconnected) {
            self.updating = true;
            return Do::InstallBeside;
        }
        if self.is_to_run() {
            return self.restart();
        }
        Do::Nothing
    }

    fn restart(&mut self) -> Do {
        self.forget_failures();
        match self.state {
            ServerState::Stopped
            | ServerState::Failed
            | ServerState::Backoff
            | ServerState::Installing => self.install(),
            ServerState::Starting => self.stop_then(Then::Again, false),
            ServerState::Ready | ServerState::Disconnected => self.stop_then(Then::Again, true),
            ServerState::Stopping => {
                self.then = Then::Again;
                Do::Nothing
            }
        }
    }

    fn stop(&mut self, drain: bool) -> Do {
        match self.state {
            ServerState::Stopped => Do::Nothing,
            ServerState::Installing | ServerState::Failed | ServerState::Backoff => {
                self.enter(ServerState::Stopped);
                Do::Abandon
            }
            ServerState::Starting => self.stop_then(Then::Rest, false),
            ServerState::Ready | ServerState::Disconnected => self.stop_then(Then::Rest, drain),
            ServerState::Stopping => {
                self.then = Then::Rest;
                // Who is in a hurry does not wait for a drain that has begun.
                if drain {
                    Do::Nothing
                } else {
                    Do::Stop { drain: false }
                }
            }
        }
    }

    fn due(&mut self, now: Instant) -> Do {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Do::Nothing;
        }
        if self.state == ServerState::Backoff {
            return self.install();
        }
        self.forget_failures();
        Do::Nothing
    }

    /// What the doing itself reports. What does not belong to the state comes from something given up, and is passed over.
    fn progress(&mut self, event: Event, now: Instant, jitter: f64) -> Do {
        use ServerState as S;
        match (self.state, event) {
            (S::Ready | S::Disconnected, Event::Installed) if self.updating => self.restart(),
            // What runs goes on as it was started.
            (S::Ready | S::Disconnected, Event::InstallFailed) => {
                self.updating = false;
                Do::Nothing
            }
            (S::Starting, Event::PortTaken) => self.stop_then(Then::Again, false),
            (S::Starting, Event::EndedForPort) => self.install(),
            (S::Installing, Event::Installed) => {
                self.enter(S::Starting);
                Do::Spawn
            }
            (S::Installing, Event::InstallFailed) => self.failed(now, jitter),
            (S::Installing, Event::Unusable) => {
                self.enter(S::Failed);
                Do::Nothing
            }
            (S::Starting, Event::Ready) => {
                self.enter(S::Ready);
                self.ready_since = Some(now);
                Do::Nothing
            }
            (S::Starting | S::Ready | S::Disconnected, Event::StartFailed) => {
                self.stop_then(Then::Crash, false)
            }
            (S::Starting | S::Ready | S::Disconnected, Event::Unusable) => {
                self.stop_then(Then::Fail, false)
            }
            (S::Starting | S::Ready | S::Disconnected, Event::Exited) => self.failed(now, jitter),
            (S::Ready, Event::Lost) => self.enter(S::Disconnected),
            (S::Disconnected, Event::Back) => self.enter(S::Ready),
            (S::Stopping, Event::Stopped) => match self.then {
                Then::Rest => self.enter(S::Stopped),
                Then::Fail => self.enter(S::Failed),
                Then::Again => self.install(),
                Then::Crash => self.failed(now, jitter),
            },
            _ => Do::Nothing,
        }
    }

    fn install(&mut self) -> Do {
        self.enter(ServerState::Installing);
        Do::Install
    }

    fn stop_then(&mut self, then: Then, drain: bool) -> Do {
        self.enter(ServerState::Stopping);
        self.then = then;
        Do::Stop { drain }
    }

    fn failed(&mut self, now: Instant, jitter: f64) -> Do {
        let steady = self
            .ready_since
            .take()
            .is_some_and(|since| now.saturating_duration_since(since) >= self.policy.steady_after);
        if steady {
            self.forget_failures();
        }
        let window = self.policy.failures_window;
        self.failures
            .retain(|at| now.saturating_duration_since(*at) < window);
        self.failures.push_back(now);
        self.in_row = self.in_row.saturating_add(1);
        if self.limited && self.failures.len() >= self.policy.failures_max as usize {
            return self.enter(ServerState::Failed);
        }
        if !self.limited {
            self.failures.clear();
        }
        self.enter(ServerState::Backoff);
        self.next_start = Some(now + backoff(&self.policy, self.in_row, jitter));
        Do::Nothing
    }

    fn forget_failures(&mut self) {
        self.failures.clear();
        self.in_row = 0;
    }

    fn enter(&mut self, state: ServerState) -> Do {
        self.state = state;
        self.next_start = None;
        // A connection that is lost or back changes nothing about what is being installed.
        self.updating &= matches!(state, ServerState::Ready | ServerState::Disconnected);
        if !matches!(
            state,
            ServerState::Ready | ServerState::Disconnected | ServerState::Backoff
        ) {
            self.ready_since = None;
        }
        Do::Nothing
    }
}

#[cfg(test)]
mod tests;
