//! What drives a session: its machine behind a lock, and for each link a task that reads and one that writes.
//!
//! Whoever wants something of the session takes the lock, tells the machine, and lets go; the writers are woken if that
//! left something to send. Readers do the same with packets. So there is no task between a caller and the machine, nothing
//! waits with the lock held, and a reader never waits for a writer, but for room.

mod direct;
mod early;
mod machine;
mod path;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nnrp_wire::MessageType;
use nnrp_wire::session::{PathEnd, PathId, Transmit};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::direct::DirectWrite;
pub(crate) use self::machine::{App, Machine, Step};
pub(crate) use self::path::PathTasks;
use crate::link::{Link, Writer};

/// Messages that wait for another path than the one that has room.
const WAITING_MAX: usize = 256;

/// A session that is driven. All clones are the same session.
pub(crate) struct Driver<A: App> {
    shared: Arc<Shared<A>>,
}

impl<A: App> Clone for Driver<A> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<A: App> std::fmt::Debug for Driver<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

struct Shared<A: App> {
    state: Mutex<State<A>>,
    /// There may be room again: for packets, for what is to be sent.
    room: Notify,
    timer: Notify,
    tasks: TaskTracker,
    /// The machine is over, and so are all links.
    over: CancellationToken,
    clock: Clock,
}

/// What is further away is never reached, and cannot always be told as a time.
const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// So much later, whatever a caller has asked for.
pub(crate) fn later(from: Instant, by: Duration) -> Instant {
    from + by.min(LONGEST)
}

/// The machine's time: since the session was begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Duration {
        self.0.elapsed()
    }

    pub(crate) fn at(self, time: Duration) -> Instant {
        later(self.0, time)
    }

    /// When that will be, in the machine's time.
    pub(crate) fn time_of(self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.0)
    }
}

/// What has gone over all of a session's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Traffic {
    /// Bytes of packets that were taken in.
    pub received_bytes: u64,
    /// Packets that were sent, or are about to be.
    pub sent_packets: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Those of them that their connection did not take any more, as it broke or was not read from at its end. What the
    /// system has taken may be lost, too, and is not known.
    pub cut_bytes: u64,
    /// Messages that could not be sent: their connection was gone and there was no other.
    pub unsendable: u64,
    /// Packets that came before their session was on their connection, and were dropped: too many waited for that, or it
    /// never was.
    pub lost_early: u64,
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.received_bytes += other.received_bytes;
        self.sent_packets += other.sent_packets;
        self.sent_bytes += other.sent_bytes;
        self.cut_bytes += other.cut_bytes;
        self.unsendable += other.unsendable;
        self.lost_early += other.lost_early;
    }
}

struct State<A: App> {
    machine: A::Machine,
    app: A,
    paths: Vec<PathState>,
    /// The time that the timer waits for.
    scheduled: Option<Duration>,
    /// Whether somebody waits for the machine to have room.
    is_room_wanted: bool,
    /// Whether a reader waits for the application to take what has come.
    is_app_awaited: bool,
    /// Whether the machine was told something that may have made room without an event.
    has_moved: bool,
    traffic: Traffic,
}

struct PathState {
    id: PathId,
    wake: Arc<Notify>,
    closing: CancellationToken,
    waiting: VecDeque<Transmit>,
    /// The link's other half, while there is nothing to write.
    idle: Option<Writer>,
    /// Whether it has something left to write nevertheless, or has failed.
    is_dirty: bool,
    /// Nothing can be written any more.
    has_failed: bool,
    /// Its reader waits for the application.
    is_stopped: bool,
    /// Bytes of packets that were taken in.
    received_bytes: u64,
}

impl<A: App> Driver<A> {
    /// Begins to drive. The timer runs until the machine is over.
    pub(crate) fn start(machine: A::Machine, app: A, clock: Clock) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                machine,
                app,
                paths: Vec::new(),
                scheduled: None,
                is_room_wanted: false,
                is_app_awaited: false,
                has_moved: false,
                traffic: Traffic::default(),
            }),
            room: Notify::new(),
            timer: Notify::new(),
            tasks: TaskTracker::new(),
            over: CancellationToken::new(),
            clock,
        });
        shared.tasks.spawn(run_timer(Arc::clone(&shared)));
        Self { shared }
    }

    /// Sends and receives over a link from now on.
    pub(crate) fn add_link(&self, id: PathId, link: Link, tasks: PathTasks) {
        let added = self.add_link_with(id, link, tasks, |_, _, _| Ok::<_, Infallible>(()));
        added.unwrap_or_else(|(never, _)| match never {});
    }

    /// As [`Self::add_link`], if the machine takes it: nothing comes between telling the machine of it and the link. If not,
    /// the link comes back.
    pub(crate) fn add_link_with<E>(
        &self,
        id: PathId,
        link: Link,
        tasks: PathTasks,
        act: impl FnOnce(&mut A::Machine, &mut A, Duration) -> Result<(), E>,
    ) -> Result<(), (E, Link)> {
        let wake = Arc::new(Notify::new());
        let closing = CancellationToken::new();
        let path = PathState {
            id,
            wake: Arc::clone(&wake),
            closing: closing.clone(),
            waiting: VecDeque::new(),
            idle: None,
            is_dirty: false,
            has_failed: false,
            is_stopped: false,
            received_bytes: 0,
        };
        let added = self.shared.with_state(|state, now| {
            act(&mut state.machine, &mut state.app, now)?;
            if state.machine.is_over() {
                closing.cancel();
            }
            state.paths.push(path);
            Ok(())
        });
        if let Err(error) = added {
            return Err((error, link));
        }
        tasks.spawn(&self.shared, id, link, wake, closing);
        Ok(())
    }

    /// Tells the machine something, or asks it. What comes of that is seen to before this returns.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut A::Machine, &mut A, Duration) -> R) -> R {
        self.shared.with(act)
    }

    /// Tells the machine something until it has room for it; `act` says `None` while it has not. Nothing was told if this is
    /// dropped before it is ready.
    pub(crate) async fn with_room<R>(
        &self,
        mut act: impl FnMut(&mut A::Machine, &mut A, Duration) -> Option<R>,
    ) -> R {
        loop {
            let room = self.shared.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            let done = self.shared.with_state(|state, now| {
                let done = act(&mut state.machine, &mut state.app, now);
                state.is_room_wanted |= done.is_none();
                done
            });
            if let Some(done) = done {
                return done;
            }
            room.await;
        }
    }

    /// Whoever waits for room tries again: it may not be worth waiting any more.
    pub(crate) fn with_moved<R>(
        &self,
        act: impl FnOnce(&mut A::Machine, &mut A, Duration) -> R,
    ) -> R {
        self.shared.with_state(|state, now| {
            state.has_moved = true;
            act(&mut state.machine, &mut state.app, now)
        })
    }

    /// Whether both are the same session.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// What has gone over the links until now.
    pub(crate) fn traffic(&self) -> Traffic {
        self.shared.lock().traffic
    }

    pub(crate) fn clock(&self) -> Clock {
        self.shared.clock
    }

    /// Waits until the session has ended and all of its links are closed.
    pub(crate) async fn ended(&self) {
        self.shared.over.cancelled().await;
        self.shared.tasks.wait().await;
    }
}

impl<A: App> Shared<A> {
    fn lock(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<R>(&self, act: impl FnOnce(&mut A::Machine, &mut A, Duration) -> R) -> R {
        self.with_state(|state, now| act(&mut state.machine, &mut state.app, now))
    }

    fn with_state<R>(&self, act: impl FnOnce(&mut State<A>, Duration) -> R) -> R {
        let now = self.clock.now();
        let mut state = self.lock();
        let result = act(&mut state, now);
        let direct = self.settle(&mut state, now);
        drop(state);
        if let Some(direct) = direct {
            direct.write(self);
        }
        result
    }

    /// Whoever waits for room tries again.
    fn tell_room(&self, state: &mut State<A>) {
        let has_app_room = state.is_app_awaited && !state.app.is_full();
        if state.is_room_wanted || has_app_room {
            state.is_room_wanted = false;
            state.is_app_awaited &= !has_app_room;
            self.room.notify_waiters();
        }
    }

    /// What has happened is told, and whoever has something to do is woken. What is to be written at once comes back.
    fn settle(&self, state: &mut State<A>, now: Duration) -> Option<DirectWrite> {
        let mut has_room = std::mem::take(&mut state.has_moved);
        while let Some(event) = state.machine.poll_event() {
            has_room = true;
            match state.app.handle(event, &mut state.machine, now) {
                Step::Go => {}
                Step::ClosePath(id) => state.close_path(id),
                Step::End => state.end(),
            }
        }
        let direct = DirectWrite::begin(self, state, now);
        if state.machine.has_transmit() {
            for path in &state.paths {
                path.wake.notify_one();
            }
        }
        has_room |= state.is_app_awaited && !state.app.is_full();
        if has_room {
            self.tell_room(state);
        }
        let next = state.machine.next_timeout();
        let is_sooner = match (next, state.scheduled) {
            (Some(next), Some(scheduled)) => next < scheduled,
            (Some(_), None) => true,
            (None, _) => state.machine.is_over(),
        };
        if is_sooner {
            state.scheduled = next;
            self.timer.notify_one();
        }
        direct
    }
}

impl<A: App> State<A> {
    /// What was to be sent there goes out first.
    fn close_path(&mut self, id: PathId) {
        for path in self.paths.iter().filter(|path| path.id == id) {
            path.closing.cancel();
            path.wake.notify_one();
        }
    }

    fn end(&mut self) {
        for path in &self.paths {
            path.closing.cancel();
            path.wake.notify_one();
        }
    }

    /// Queues what a path is to send, as far as there is room. Says whether that was anything.
    fn fill(&mut self, id: PathId, writer: &mut Writer, now: Duration) -> bool {
        let mut is_some = false;
        while writer.has_room() {
            let Some(transmit) = self.next_transmit(id, now) else {
                break;
            };
            let queued = writer.queued_bytes();
            match writer.queue(&transmit) {
                Ok(()) => {
                    is_some = true;
                    let bytes = writer.queued_bytes().saturating_sub(queued);
                    self.traffic.sent_packets += 1;
                    self.traffic.sent_bytes += bytes as u64;
                }
                Err(error) => {
                    self.traffic.unsendable += 1;
                    tracing::error!(%error, "a message cannot be written");
                }
            }
        }
        if is_some && self.machine.has_transmit() {
            // Others may have waited for this one to make room.
            let others = self.paths.iter().filter(|path| path.id != id);
            others.for_each(|path| path.wake.notify_one());
        }
        is_some
    }

    /// What a path is to send next.
    fn next_transmit(&mut self, id: PathId, now: Duration) -> Option<Transmit> {
        let own = self.path_mut(id)?.waiting.pop_front();
        if own.is_some() {
            return own;
        }
        while self.waiting_count() < WAITING_MAX {
            let transmit = self.machine.poll_transmit(now)?;
            if transmit.path == id {
                return Some(transmit);
            }
            match self.path_mut(transmit.path) {
                Some(path) => {
                    path.wake.notify_one();
                    path.waiting.push_back(transmit);
                }
                None => self.traffic.unsendable += 1,
            }
        }
        None
    }

    /// Whether nothing is heard as the application does not take what has come. Where nothing can be sent, the other side
    /// is gone, or will be.
    fn is_silence_own(&self) -> bool {
        let primary = self.machine.primary_path();
        let mut paths = self.paths.iter();
        self.is_app_awaited && paths.any(|path| Some(path.id) == primary && !path.has_failed)
    }

    fn path_mut(&mut self, id: PathId) -> Option<&mut PathState> {
        self.paths.iter_mut().find(|path| path.id == id)
    }

    fn waiting_count(&self) -> usize {
        self.paths.iter().map(|path| path.waiting.len()).sum()
    }

    /// The link is gone; what still waits for it goes where the session is now.
    fn remove_path(&mut self, id: PathId) {
        let place = self.paths.iter().position(|path| path.id == id);
        let Some(gone) = place.map(|place| self.paths.swap_remove(place)) else {
            return;
        };
        let primary = self.machine.primary_path();
        if let Some(path) = primary.and_then(|primary| self.path_mut(primary)) {
            let waiting = gone.waiting.into_iter().filter(may_go_elsewhere);
            path.waiting.extend(waiting.map(|transmit| Transmit {
                path: path.id,
                ..transmit
            }));
            path.wake.notify_one();
        } else {
            self.traffic.unsendable += gone.waiting.len() as u64;
        }
    }

    fn path_ended(&mut self, id: PathId, end: PathEnd, now: Duration) {
        // It may be over, or not know the path any more: either way there is nothing to tell.
        let _ = self.machine.handle_path_end(id, end, now);
    }
}

/// A migration is of its own connection only.
fn may_go_elsewhere(transmit: &Transmit) -> bool {
    !matches!(
        transmit.message.message_type(),
        MessageType::SessionMigrate | MessageType::SessionMigrateAck
    )
}

async fn run_timer<A: App>(shared: Arc<Shared<A>>) {
    loop {
        let next = {
            let mut state = shared.lock();
            if state.machine.is_over() {
                break;
            }
            state.scheduled = state.machine.next_timeout();
            state.scheduled
        };
        match next {
            Some(next) => {
                tokio::select! {
                    () = tokio::time::sleep_until(shared.clock.at(next)) => {
                        shared.with_state(|state, now| {
                            state.has_moved = true;
                            if state.is_silence_own() {
                                state.machine.excuse_silence(now);
                            }
                            state.machine.handle_timeout(now);
                        });
                    }
                    () = shared.timer.notified() => {}
                }
            }
            None => shared.timer.notified().await,
        }
    }
    shared.tasks.close();
    shared.over.cancel();
}

#[cfg(test)]
mod tests;
