//! What could not be written at once: a task writes it as the other side makes room, so that nothing else waits for it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use quinn::{Connection, SendStream, WriteError};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::outgoing::Outgoing;

/// Packets that may wait, and their bytes: one more is taken while there are fewer.
const PACKETS_MAX: usize = 64;
const BYTES_MAX: usize = 4 << 20;

/// What waits, in order of its arrival.
#[derive(Debug)]
pub(super) struct Backlog {
    connection: Connection,
    /// The one that the connection is driven in: whoever sends may be in another, which may end sooner.
    runtime: Handle,
    shared: Arc<Shared>,
    task: Option<AbortOnDropHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something was written.
    room: Notify,
    /// Something else is to be written.
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    arrived: Vec<Waiting>,
    packets: usize,
    bytes: usize,
    /// Packets that the other side has not let us open a stream for.
    unopened: usize,
    is_control_here: bool,
    is_running: bool,
    failed: Option<WriteError>,
    /// Streams that are written to their end.
    finished: Vec<SendStream>,
    /// The control stream, when all of its packets are written.
    control: Option<SendStream>,
}

/// Something that waits, and for what.
#[derive(Debug)]
pub(super) enum Waiting {
    /// For the other side to read from the control stream.
    Control(SendStream, Outgoing),
    /// For what waits for the control stream already.
    BehindControl(Outgoing),
    /// For the other side to read from its stream.
    Written(SendStream, Outgoing),
    /// For a stream.
    Opened(Outgoing),
}

impl Waiting {
    const fn bytes(&self) -> usize {
        match self {
            Self::Control(_, outgoing)
            | Self::BehindControl(outgoing)
            | Self::Written(_, outgoing)
            | Self::Opened(outgoing) => outgoing.bytes(),
        }
    }
}

impl Backlog {
    /// Of the runtime that this is called in.
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            runtime: Handle::current(),
            shared: Arc::default(),
            task: None,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        let state = self.shared.lock();
        let has_room = state.packets < PACKETS_MAX && state.bytes < BYTES_MAX;
        has_room || state.failed.is_some()
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.shared.lock().bytes
    }

    /// Whether others wait for streams, which are to have theirs first.
    pub(super) fn waits_for_streams(&self) -> bool {
        self.shared.lock().unopened > 0
    }

    /// The control stream, if it was here and all is written.
    pub(super) fn take_control(&self) -> Option<SendStream> {
        self.shared.lock().control.take()
    }

    /// Streams that were written to their end here.
    pub(super) fn take_finished(&self) -> Vec<SendStream> {
        std::mem::take(&mut self.shared.lock().finished)
    }

    /// Whether something could not be written, ever.
    pub(super) fn check(&self) -> io::Result<()> {
        match &self.shared.lock().failed {
            Some(error) => Err(error.clone().into()),
            None => Ok(()),
        }
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        let is_running = self.shared.lock().push(waiting);
        self.run(is_running);
    }

    /// Takes a packet for the control stream if that is here. If not, it comes back: the stream is with the writer, or may
    /// be taken. Nothing comes between looking and pushing, or the packet would wait for a stream that has just gone.
    pub(super) fn push_behind_control(&mut self, outgoing: Outgoing) -> Result<(), Outgoing> {
        let mut state = self.shared.lock();
        if !state.is_control_here {
            return Err(outgoing);
        }
        let is_running = state.push(Waiting::BehindControl(outgoing));
        drop(state);
        self.run(is_running);
        Ok(())
    }

    fn run(&mut self, is_running: bool) {
        if is_running {
            self.shared.arrived.notify_one();
        } else {
            let pump = Pump {
                connection: self.connection.clone(),
                shared: Arc::clone(&self.shared),
                writes: FuturesUnordered::new(),
                control: VecDeque::new(),
                idle_control: None,
                unopened: VecDeque::new(),
            };
            self.task = Some(AbortOnDropHandle::new(self.runtime.spawn(pump.run())));
        }
    }

    /// Waits until there is room. Nothing happens if it is dropped.
    pub(super) async fn room(&self) {
        while !self.has_room() {
            self.shared.room.notified().await;
        }
    }

    fn has_packets(&self) -> bool {
        let state = self.shared.lock();
        state.packets > 0 && state.failed.is_none()
    }

    /// Waits until nothing waits any more. Nothing happens if it is dropped.
    pub(super) async fn emptied(&self) {
        while self.has_packets() {
            self.shared.room.notified().await;
        }
    }
}

impl State {
    /// Says whether the task is there already.
    fn push(&mut self, waiting: Waiting) -> bool {
        self.packets += 1;
        self.bytes += waiting.bytes();
        match &waiting {
            Waiting::Control(..) => self.is_control_here = true,
            Waiting::Opened(_) => self.unopened += 1,
            Waiting::BehindControl(_) | Waiting::Written(..) => {}
        }
        self.arrived.push(waiting);
        std::mem::replace(&mut self.is_running, true)
    }
}

impl Shared {
    fn fail(&self, error: WriteError) {
        self.lock().failed = Some(error);
        self.room.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that writes what waits, and is there only while something does.
struct Pump {
    connection: Connection,
    shared: Arc<Shared>,
    writes: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Packets behind the one that is written to the control stream.
    control: VecDeque<Outgoing>,
    /// The control stream, just written.
    idle_control: Option<SendStream>,
    unopened: VecDeque<Outgoing>,
}

struct Done {
    stream: SendStream,
    outgoing: Outgoing,
    is_control: bool,
    result: Result<(), WriteError>,
}

impl Pump {
    async fn run(mut self) {
        while self.take_arrived() {
            tokio::select! {
                Some(done) = self.writes.next() => self.written(done),
                opened = self.connection.open_uni(), if !self.unopened.is_empty() => match opened {
                    Ok(stream) => self.opened(stream),
                    Err(error) => return self.shared.fail(error.into()),
                },
                () = self.shared.arrived.notified() => {}
            }
        }
    }

    /// Says whether there is anything to do.
    fn take_arrived(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        for waiting in std::mem::take(&mut state.arrived) {
            match waiting {
                Waiting::Control(stream, outgoing) => self.write(stream, outgoing, true),
                Waiting::BehindControl(outgoing) => self.control.push_back(outgoing),
                Waiting::Written(stream, outgoing) => self.write(stream, outgoing, false),
                Waiting::Opened(outgoing) => self.unopened.push_back(outgoing),
            }
        }
        if let Some(stream) = self.idle_control.take() {
            match self.control.pop_front() {
                Some(next) => self.write(stream, next, true),
                None => {
                    state.control = Some(stream);
                    state.is_control_here = false;
                }
            }
        }
        state.is_running = !self.writes.is_empty() || !self.unopened.is_empty();
        state.is_running && state.failed.is_none()
    }

    fn write(&self, mut stream: SendStream, mut outgoing: Outgoing, is_control: bool) {
        let write = async move {
            let result = poll_fn(|context| outgoing.poll_write(&mut stream, context)).await;
            Done {
                stream,
                outgoing,
                is_control,
                result,
            }
        };
        self.writes.push(write.boxed());
    }

    fn opened(&mut self, stream: SendStream) {
        if let Some(outgoing) = self.unopened.pop_front() {
            self.shared.lock().unopened -= 1;
            self.write(stream, outgoing, false);
        }
    }

    fn written(&mut self, done: Done) {
        let Done {
            mut stream,
            outgoing,
            is_control,
            result,
        } = done;
        match result {
            Ok(()) => {}
            // The other side does not want this packet.
            Err(WriteError::Stopped(_)) if !is_control => {}
            Err(error) => return self.shared.fail(error),
        }
        let mut state = self.shared.lock();
        state.packets -= 1;
        state.bytes -= outgoing.bytes();
        if is_control {
            self.idle_control = Some(stream);
        } else {
            // It fails if the other side has stopped it, and then there is no more to do.
            let _ = stream.finish();
            state.finished.push(stream);
        }
        drop(state);
        self.shared.room.notify_one();
    }
}
