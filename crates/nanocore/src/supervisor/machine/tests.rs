use std::time::Duration;

use proptest::prelude::*;

use super::ServerState as S;
use super::*;

const POLICY: RestartPolicy = RestartPolicy {
    backoff_min: Duration::from_millis(500),
    backoff_max: Duration::from_secs(30),
    failures_max: 10,
    failures_window: Duration::from_secs(300),
    steady_after: Duration::from_secs(60),
};

/// A machine and a clock.
struct Bench {
    machine: Machine,
    now: Instant,
}

impl Bench {
    fn new(limited: bool) -> Self {
        Self {
            machine: Machine::new(POLICY, limited),
            now: Instant::now(),
        }
    }

    /// One that went through these events, without any time passing.
    fn after(events: &[Event]) -> Self {
        let mut bench = Self::new(true);
        for event in events {
            bench.tell(*event);
        }
        bench
    }

    fn tell(&mut self, event: Event) -> Do {
        self.machine.handle(event, self.now, 0.5)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// From a crash to the next one, as soon as may be; the wait between.
    fn crash_again(&mut self) -> Duration {
        let wait = self.machine.next_start().unwrap() - self.now;
        self.pass(wait);
        assert_eq!(self.tell(Event::Due), Do::Install);
        self.tell(Event::Installed);
        self.tell(Event::Exited);
        wait
    }
}

/// The ways to each state.
fn in_state(state: S) -> Bench {
    let up: &[Event] = &[Event::Start, Event::Installed, Event::Ready];
    let bench = match state {
        S::Stopped => Bench::after(&[]),
        S::Installing => Bench::after(&up[..1]),
        S::Starting => Bench::after(&up[..2]),
        S::Ready => Bench::after(up),
        S::Disconnected => {
            let mut bench = Bench::after(up);
            bench.tell(Event::Lost);
            bench
        }
        S::Backoff => Bench::after(&[Event::Start, Event::InstallFailed]),
        S::Failed => Bench::after(&[Event::Start, Event::Unusable]),
        S::Stopping => {
            let mut bench = Bench::after(up);
            bench.tell(Event::Stop);
            bench
        }
    };
    assert_eq!(bench.machine.state(), state);
    bench
}

const STATES: [S; 8] = [
    S::Stopped,
    S::Installing,
    S::Starting,
    S::Ready,
    S::Disconnected,
    S::Backoff,
    S::Failed,
    S::Stopping,
];

#[test]
fn each_state_knows_what_to_do_with_each_wish() {
    let drain = Do::Stop { drain: true };
    let at_once = Do::Stop { drain: false };
    // For each state: what start, stop, restart and a change lead to.
    let table: [(S, [(S, Do); 4]); 8] = [
        (
            S::Stopped,
            [
                (S::Installing, Do::Install),
                (S::Stopped, Do::Nothing),
                (S::Installing, Do::Install),
                (S::Stopped, Do::Nothing),
            ],
        ),
        (
            S::Installing,
            [
                (S::Installing, Do::Nothing),
                (S::Stopped, Do::Abandon),
                (S::Installing, Do::Install),
                (S::Installing, Do::Install),
            ],
        ),
        (
            S::Starting,
            [
                (S::Starting, Do::Nothing),
                (S::Stopping, at_once),
                (S::Stopping, at_once),
                (S::Stopping, at_once),
            ],
        ),
        (
            S::Ready,
            [
                (S::Ready, Do::Nothing),
                (S::Stopping, drain),
                (S::Stopping, drain),
                (S::Ready, Do::InstallBeside),
            ],
        ),
        (
            S::Disconnected,
            [
                (S::Disconnected, Do::Nothing),
                (S::Stopping, drain),
                (S::Stopping, drain),
                (S::Disconnected, Do::InstallBeside),
            ],
        ),
        (
            S::Backoff,
            [
                (S::Installing, Do::Install),
                (S::Stopped, Do::Abandon),
                (S::Installing, Do::Install),
                (S::Installing, Do::Install),
            ],
        ),
        (
            S::Failed,
            [
                (S::Installing, Do::Install),
                (S::Stopped, Do::Abandon),
                (S::Installing, Do::Install),
                (S::Installing, Do::Install),
            ],
        ),
        (
            S::Stopping,
            [
                (S::Stopping, Do::Nothing),
                (S::Stopping, Do::Nothing),
                (S::Stopping, Do::Nothing),
                (S::Stopping, Do::Nothing),
            ],
        ),
    ];
    let events = [Event::Start, Event::Stop, Event::Restart, Event::Changed];
    for (state, expected) in table {
        for (event, (after, what)) in events.into_iter().zip(expected) {
            let mut bench = in_state(state);
            let done = bench.tell(event);
            assert_eq!(
                (bench.machine.state(), done),
                (after, what),
                "{event:?} in {state:?}"
            );
        }
    }
}

#[test]
fn what_was_wished_last_while_stopping_comes_after_it() {
    let next = |wishes: &[Event]| {
        let mut bench = in_state(S::Stopping);
        for wish in wishes {
            bench.tell(*wish);
        }
        let what = bench.tell(Event::Stopped);
        (bench.machine.state(), what)
    };
    assert_eq!(next(&[]), (S::Stopped, Do::Nothing));
    assert_eq!(next(&[Event::Start]), (S::Installing, Do::Install));
    assert_eq!(next(&[Event::Restart]), (S::Installing, Do::Install));
    assert_eq!(
        next(&[Event::Restart, Event::Stop]),
        (S::Stopped, Do::Nothing)
    );
    // A change starts nothing that is to rest.
    assert_eq!(next(&[Event::Changed]), (S::Stopped, Do::Nothing));
    assert_eq!(
        next(&[Event::Start, Event::Changed]),
        (S::Installing, Do::Install)
    );
    assert_eq!(
        in_state(S::Stopping).tell(Event::Shutdown),
        Do::Stop { drain: false }
    );
    assert_eq!(
        in_state(S::Ready).tell(Event::Shutdown),
        Do::Stop { drain: false }
    );
}

#[test]
fn what_has_changed_is_installed_before_the_server_is_stopped() {
    let mut bench = in_state(S::Ready);
    assert_eq!(bench.tell(Event::Changed), Do::InstallBeside);
    bench.tell(Event::Lost);
    bench.tell(Event::Back);
    assert!(bench.machine.is_updating());
    assert_eq!(bench.tell(Event::Installed), Do::Stop { drain: true });
    assert_eq!(bench.tell(Event::Stopped), Do::Install);
    let mut bench = in_state(S::Ready);
    bench.tell(Event::Changed);
    assert_eq!(bench.tell(Event::InstallFailed), Do::Nothing);
    assert_eq!(
        (bench.machine.state(), bench.machine.is_updating()),
        (S::Ready, false)
    );
    // What comes from an installation that was given up means nothing.
    assert_eq!(bench.tell(Event::Installed), Do::Nothing);
    assert_eq!(bench.machine.failures_in_row(), 0);
}

#[test]
fn a_port_that_somebody_took_is_no_failure() {
    let mut bench = in_state(S::Starting);
    assert_eq!(bench.tell(Event::PortTaken), Do::Stop { drain: false });
    assert_eq!(bench.tell(Event::Stopped), Do::Install);
    bench.tell(Event::Installed);
    assert_eq!(bench.tell(Event::EndedForPort), Do::Install);
    assert_eq!(bench.machine.failures_in_row(), 0);
}

#[test]
fn a_foreign_program_fails_the_server_without_a_loop() {
    let mut bench = in_state(S::Starting);
    assert_eq!(bench.tell(Event::Unusable), Do::Stop { drain: false });
    assert_eq!(bench.tell(Event::Stopped), Do::Nothing);
    assert_eq!(
        (bench.machine.state(), bench.machine.deadline()),
        (S::Failed, None)
    );
    assert_eq!(bench.tell(Event::Changed), Do::Install);
}

#[test]
fn a_server_that_is_not_ready_in_time_is_stopped_and_counts_as_crashed() {
    let mut bench = in_state(S::Starting);
    assert_eq!(bench.tell(Event::StartFailed), Do::Stop { drain: false });
    bench.tell(Event::Stopped);
    assert_eq!(
        (bench.machine.state(), bench.machine.failures_in_row()),
        (S::Backoff, 1)
    );
}

#[test]
fn waits_double_up_to_the_longest() {
    let mut bench = Bench::new(false);
    bench.tell(Event::Start);
    bench.tell(Event::Installed);
    bench.tell(Event::Exited);
    let waits: Vec<_> = (0..9).map(|_| bench.crash_again().as_millis()).collect();
    assert_eq!(
        waits,
        [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]
    );
    let wait = |jitter| {
        let mut machine = Machine::new(POLICY, true);
        let now = Instant::now();
        machine.handle(Event::Start, now, jitter);
        machine.handle(Event::InstallFailed, now, jitter);
        machine.next_start().unwrap() - now
    };
    assert_eq!((wait(0.0).as_millis(), wait(1.0).as_millis()), (400, 600));
}

#[test]
fn the_tenth_failure_within_five_minutes_is_the_last() {
    let mut bench = in_state(S::Starting);
    bench.tell(Event::Exited);
    for _ in 0..8 {
        bench.crash_again();
        assert_eq!(bench.machine.state(), S::Backoff);
    }
    bench.crash_again();
    assert_eq!(
        (bench.machine.state(), bench.machine.deadline()),
        (S::Failed, None)
    );
    // Asked for, it gets all its attempts again.
    assert_eq!(bench.tell(Event::Restart), Do::Install);
    assert_eq!(bench.machine.failures_in_row(), 0);
}

#[test]
fn failures_that_are_far_apart_are_not_counted_together() {
    let mut bench = in_state(S::Starting);
    bench.tell(Event::Exited);
    for _ in 0..30 {
        bench.pass(Duration::from_secs(40));
        bench.tell(Event::Due);
        bench.tell(Event::Installed);
        bench.tell(Event::Exited);
        assert_eq!(bench.machine.state(), S::Backoff);
    }
}

#[test]
fn who_was_steady_begins_with_the_shortest_wait_again() {
    for (time_s, row) in [(59, 3), (60, 1)] {
        let mut bench = in_state(S::Starting);
        bench.tell(Event::Exited);
        bench.crash_again();
        let wait = bench.machine.next_start().unwrap() - bench.now;
        bench.pass(wait);
        for event in [Event::Due, Event::Installed, Event::Ready] {
            bench.tell(event);
        }
        bench.pass(Duration::from_secs(time_s));
        bench.tell(Event::Exited);
        assert_eq!(bench.machine.failures_in_row(), row, "after {time_s} s");
    }
    // It is told as soon as it is steady, and not before.
    let mut bench = in_state(S::Starting);
    bench.tell(Event::Exited);
    bench.pass(Duration::from_secs(1));
    for event in [
        Event::Due,
        Event::Installed,
        Event::Ready,
        Event::Lost,
        Event::Back,
    ] {
        bench.tell(event);
    }
    assert_eq!(
        bench.machine.deadline(),
        Some(bench.now + POLICY.steady_after)
    );
    bench.tell(Event::Due);
    assert_eq!(bench.machine.failures_in_row(), 1);
    bench.pass(POLICY.steady_after);
    bench.tell(Event::Due);
    assert_eq!(
        (bench.machine.failures_in_row(), bench.machine.deadline()),
        (0, None)
    );
}

fn any_event() -> impl Strategy<Value = Event> {
    prop::sample::select(vec![
        Event::Start,
        Event::Stop,
        Event::Shutdown,
        Event::Restart,
        Event::Changed,
        Event::Installed,
        Event::InstallFailed,
        Event::Ready,
        Event::StartFailed,
        Event::Unusable,
        Event::PortTaken,
        Event::EndedForPort,
        Event::Exited,
        Event::Lost,
        Event::Back,
        Event::Stopped,
        Event::Due,
    ])
}

/// What the world around a machine looks like: what is being done, and whether there is a process.
#[derive(Debug, Default)]
struct World {
    installing: bool,
    /// Beside a process.
    updating: bool,
    stopping: bool,
    process: bool,
    connected: bool,
}

impl World {
    /// Whether this can happen.
    fn allows(&self, event: Event) -> bool {
        match event {
            Event::Installed | Event::InstallFailed => self.installing || self.updating,
            Event::Stopped => self.stopping,
            Event::Ready
            | Event::StartFailed
            | Event::Exited
            | Event::PortTaken
            | Event::Lost
            | Event::Back => self.process && !self.stopping,
            // Told of servers that are not ready yet.
            Event::EndedForPort => self.process && !self.stopping && !self.connected,
            Event::Unusable => self.installing || (self.process && !self.stopping),
            Event::Start
            | Event::Stop
            | Event::Shutdown
            | Event::Restart
            | Event::Changed
            | Event::Due => true,
        }
    }

    fn happened(&mut self, event: Event) {
        if matches!(event, Event::Installed | Event::InstallFailed)
            || event == Event::Unusable && self.installing
        {
            (self.installing, self.updating) = (false, false);
        } else if matches!(event, Event::Exited | Event::EndedForPort) {
            // What is installed beside a process is given up with it.
            (self.process, self.connected, self.updating) = (false, false, false);
        } else if event == Event::Ready {
            self.connected = true;
        } else if event == Event::Stopped {
            (self.stopping, self.process, self.connected) = (false, false, false);
        }
    }

    fn perform(&mut self, what: Do) {
        match what {
            Do::Nothing => {}
            Do::Abandon => {
                assert!(!self.process, "a process was forgotten");
                self.installing = false;
            }
            Do::Install => {
                assert!(!self.process, "a process runs while its code is installed");
                self.installing = true;
            }
            Do::InstallBeside => {
                assert!(self.process && !self.stopping, "nothing to install beside");
                self.updating = true;
            }
            Do::Spawn => {
                assert!(!self.process, "two processes");
                self.process = true;
            }
            Do::Stop { .. } => {
                assert!(self.process, "nothing to stop");
                (self.stopping, self.updating) = (true, false);
            }
        }
    }
}

proptest! {
    /// Whatever happens: never two processes, none forgotten, and the state tells what is the case.
    #[test]
    fn whatever_happens_the_machine_and_the_world_agree(
        steps in prop::collection::vec((any_event(), 0_u64..40_000, 0.0..=1.0_f64), 0..200),
        limited: bool,
    ) {
        let mut machine = Machine::new(POLICY, limited);
        let mut world = World::default();
        let mut now = Instant::now();
        for (event, time_ms, jitter) in steps {
            now += Duration::from_millis(time_ms);
            if !world.allows(event) {
                continue;
            }
            let before = machine.state();
            world.happened(event);
            let what = machine.handle(event, now, jitter);
            world.perform(what);
            let state = machine.state();
            prop_assert_eq!(world.installing, state == S::Installing);
            prop_assert_eq!(world.updating, machine.is_updating());
            prop_assert_eq!(world.stopping, state == S::Stopping);
            prop_assert_eq!(world.process, matches!(state, S::Starting | S::Ready | S::Disconnected | S::Stopping));
            prop_assert!(machine.failures.len() <= POLICY.failures_max as usize);
            prop_assert!(limited || state != S::Failed || event == Event::Unusable || before == S::Failed || before == S::Stopping);
            if state == S::Backoff {
                let wait = machine.next_start().unwrap().saturating_duration_since(now);
                prop_assert!(wait <= Duration::from_secs(36));
            }
        }
        // Told to stop, it comes to rest once what is under way has ended.
        world.perform(machine.handle(Event::Stop, now, 0.5));
        if world.stopping {
            world.happened(Event::Stopped);
            world.perform(machine.handle(Event::Stopped, now, 0.5));
        }
        prop_assert_eq!(machine.state(), S::Stopped);
        for state in STATES {
            prop_assert_eq!(in_state(state).machine.state(), state);
        }
    }
}
