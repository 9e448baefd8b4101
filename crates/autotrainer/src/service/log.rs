//! The event log's two threads: one keeps what is queued and hands it on to be published, the other answers replays.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::counters::Counters;
use super::queue::{Outgoing, Queue};
use crate::command::{CommandResponse, ResultCode};
use crate::event_log::{
    EventLogError, EventLogOptions, EventLogStatus, OnLogFailure, Reader, Record, Store,
};
use crate::json::UnixTime;
use crate::replay::ReplayRequest;

/// Publications of one transaction: what has come up while the one before was written.
const BATCH_MAX: usize = 1024;

/// Batches that are kept and wait to be published.
const KEPT_MAX: usize = 4;

/// Replays that are asked for at the same time: one that is read, and the next. The others wait for their turn elsewhere.
pub(super) const REPLAYS_ASKED_MAX: usize = 2;

/// How often it is tried again to keep what is held back.
const RETRY_EVERY: Duration = Duration::from_millis(50);

/// A log that was opened, and does nothing yet. Dropped, it is closed.
#[derive(Debug)]
pub(super) struct Log {
    store: Store,
    reader: Reader,
    options: EventLogOptions,
}

/// A log at work.
#[derive(Debug, Clone)]
pub(super) struct RunningLog {
    status: Arc<Mutex<EventLogStatus>>,
    closed: CancellationToken,
}

/// What a log at work gives to others.
#[derive(Debug)]
pub(super) struct LogEnds {
    pub(super) running: RunningLog,
    /// What was kept, in order; ends once the queue is closed and empty.
    pub(super) kept: mpsc::Receiver<Vec<Outgoing>>,
    pub(super) replays: Replays,
}

impl Log {
    /// Opens or makes the file. If the future is dropped, it is closed again.
    pub(super) async fn open(options: EventLogOptions) -> Result<Self, EventLogError> {
        let path = options.path.clone();
        let opening = tokio::task::spawn_blocking(move || {
            let store = Store::open(&options)?;
            let reader = store.reader()?;
            Ok(Self {
                store,
                reader,
                options,
            })
        });
        let interrupted = |source: tokio::task::JoinError| EventLogError::Open {
            path,
            source: source.into(),
        };
        opening.await.map_err(interrupted)?
    }

    /// The first number that was not given yet.
    pub(super) fn next_sequence(&self) -> u64 {
        self.store.status().last + 1
    }

    /// To be called inside a Tokio runtime.
    pub(super) fn start(
        self,
        queue: Arc<Queue>,
        counters: Arc<Counters>,
        page_bytes_max: usize,
    ) -> Result<LogEnds, EventLogError> {
        let path = self.options.path.clone();
        let no_thread = |source: std::io::Error| EventLogError::Open {
            path: path.clone(),
            source: source.into(),
        };
        let status = Arc::new(Mutex::new(self.store.status()));
        let closed = CancellationToken::new();
        let (sender, kept) = mpsc::channel(KEPT_MAX);
        let writer = Writer {
            store: self.store,
            queue: Arc::clone(&queue),
            kept: sender,
            counters: Arc::clone(&counters),
            on_failure: self.options.on_failure,
            status: Arc::clone(&status),
            runtime: Handle::current(),
            _closed: closed.clone().drop_guard(),
        };
        let (ask, asked) = mpsc::channel(REPLAYS_ASKED_MAX);
        let answering = Answering {
            reader: self.reader,
            queue,
            asked,
            counters,
            page_bytes_max,
        };
        let thread = |name: &str| thread::Builder::new().name(name.to_owned());
        thread("event-replays")
            .spawn(|| answering.run())
            .map_err(no_thread)?;
        thread("event-log")
            .spawn(|| writer.run())
            .map_err(no_thread)?;
        Ok(LogEnds {
            running: RunningLog { status, closed },
            kept,
            replays: Replays { ask },
        })
    }
}

impl RunningLog {
    pub(super) fn status(&self) -> EventLogStatus {
        let status = self.status.lock();
        status.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The file is closed, and may be opened by another.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }
}

struct Writer {
    store: Store,
    queue: Arc<Queue>,
    kept: mpsc::Sender<Vec<Outgoing>>,
    counters: Arc<Counters>,
    on_failure: OnLogFailure,
    status: Arc<Mutex<EventLogStatus>>,
    runtime: Handle,
    /// Told last, whatever ends the thread.
    _closed: DropGuard,
}

impl Writer {
    fn run(mut self) {
        loop {
            let mut batch = Vec::new();
            let taken = self.queue.take(&mut batch, BATCH_MAX);
            if !self.runtime.block_on(taken) {
                break;
            }
            self.keep(&mut batch);
            // An error says that the service was dropped.
            if self.kept.blocking_send(batch).is_err() {
                break;
            }
        }
        self.store.close();
    }

    /// Takes away what shall not be published.
    fn keep(&mut self, batch: &mut Vec<Outgoing>) {
        let records: Vec<Record> = batch.iter().filter_map(record).collect();
        if records.is_empty() {
            return;
        }
        let count = records.len() as u64;
        while !self.try_keep(&records) {
            if self.on_failure == OnLogFailure::Publish {
                self.counters.log_not_kept.add(count);
                return;
            }
            if self.queue.is_closed() {
                self.counters.log_unpublished.add(count);
                batch.retain(|each| each.sequence.is_none());
                return;
            }
            thread::sleep(RETRY_EVERY);
        }
        self.counters.log_kept.add(count);
    }

    fn try_keep(&mut self, records: &[Record]) -> bool {
        let kept = self.store.keep(records, UnixTime::now().0);
        let now = self.store.status();
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let had_failed = status.failure.is_some();
        *status = now;
        drop(status);
        match &kept {
            Err(error) if !had_failed => tracing::error!(%error, "events are not kept"),
            Ok(()) if had_failed => tracing::info!("events are kept again"),
            Ok(()) | Err(_) => {}
        }
        kept.is_ok()
    }
}

fn record(outgoing: &Outgoing) -> Option<Record> {
    Some(Record {
        sequence: outgoing.sequence?,
        // An emergency is one event, whatever it is published on first.
        topic: outgoing.then.unwrap_or(outgoing.topic),
        payload: outgoing.payload.clone(),
    })
}

/// Where replays are asked for.
#[derive(Debug, Clone)]
pub(super) struct Replays {
    ask: mpsc::Sender<Asked>,
}

#[derive(Debug)]
struct Asked {
    request: ReplayRequest,
    answer: oneshot::Sender<CommandResponse>,
}

impl Replays {
    /// `None` if too many wait.
    pub(super) fn ask(&self, request: ReplayRequest) -> Option<oneshot::Receiver<CommandResponse>> {
        let (answer, receiver) = oneshot::channel();
        let asked = self.ask.try_send(Asked { request, answer });
        asked.is_ok().then_some(receiver)
    }
}

struct Answering {
    reader: Reader,
    queue: Arc<Queue>,
    asked: mpsc::Receiver<Asked>,
    counters: Arc<Counters>,
    page_bytes_max: usize,
}

impl Answering {
    fn run(mut self) {
        while let Some(Asked { request, answer }) = self.asked.blocking_recv() {
            // An error says that the service has stopped.
            let _ = answer.send(self.page(&request));
        }
    }

    fn page(&self, request: &ReplayRequest) -> CommandResponse {
        match self.reader.page(request, self.page_bytes_max) {
            Ok(mut page) => {
                page.last = page.last.max(self.queue.last_sequence());
                self.counters.replays.count();
                self.counters.replayed_events.add(page.events.len() as u64);
                CommandResponse::success().with_verbatim_data(page.to_data())
            }
            Err(error) => {
                tracing::error!(%error, "a replay failed");
                let failed = CommandResponse::new(ResultCode::Failed);
                failed.with_error(READ_FAILED, "The event log cannot be read.")
            }
        }
    }
}

/// Error codes of answers to replays.
const READ_FAILED: i64 = 1;
pub(super) const NOT_UNDERSTOOD: i64 = 2;
