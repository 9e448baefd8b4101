//! The one thread that writes, and how it commits many writes together.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::Connection;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::marker::Marker;
use super::trouble::Troubles;
use super::{Counts, DatabaseError, DatabaseOptions, disk};

/// How long a write that nobody waits for may be kept until one comes that somebody does: an `fsync` of its own would
/// delay that one.
const LATER_WAIT: Duration = Duration::from_millis(100);

/// How long the thread looks for the next write, after one that somebody waited for, before it sleeps: who was answered
/// mostly has the next one at once, and waking a thread takes longer than that.
const LOOK_WAIT: Duration = Duration::from_micros(100);

/// A write: done on the thread, then told what became of it.
trait Job: Send {
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()>;
    fn end(self: Box<Self>, committed: Result<(), DatabaseError>);
    /// Whether somebody waits for it.
    fn is_awaited(&self) -> bool;
}

type Jobs = Vec<Box<dyn Job>>;

enum Message {
    Write(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Writer {
    sender: mpsc::Sender<Message>,
    counts: Arc<Counts>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        path: &Path,
        options: &DatabaseOptions,
        (counts, troubles): (Arc<Counts>, Arc<Troubles>),
    ) -> Result<Self, DatabaseError> {
        let (sender, receiver) = mpsc::channel(options.waiting_max.max(1));
        let failed = |source: std::io::Error| DatabaseError::Thread {
            source: source.into(),
        };
        let timer = Builder::new_current_thread().enable_time().build();
        let thread = Thread {
            connection,
            path: path.to_owned(),
            receiver,
            timer: timer.map_err(failed)?,
            group_max: options.group_max.max(1),
            counts: counts.clone(),
            troubles,
        };
        std::thread::Builder::new()
            .name("nanocore-db".to_owned())
            .spawn(move || thread.run())
            .map_err(failed)?;
        Ok(Self { sender, counts })
    }

    pub(super) async fn write<T, W>(&self, write: W) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Awaited {
            write: Some(write),
            value: None,
            answer,
        };
        let sent = self.sender.send(Message::Write(Box::new(job))).await;
        sent.map_err(|_| DatabaseError::Closed)?;
        answered.await.unwrap_or(Err(DatabaseError::Closed))
    }

    pub(super) fn write_later<W>(&self, write: W) -> Result<(), DatabaseError>
    where
        W: FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
    {
        let job = Message::Write(Box::new(Later(Some(write))));
        self.sender.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                self.counts.refused.fetch_add(1, Ordering::Relaxed);
                DatabaseError::Busy
            }
            mpsc::error::TrySendError::Closed(_) => DatabaseError::Closed,
        })
    }

    pub(super) async fn close(&self) {
        let (answer, answered) = oneshot::channel();
        if self.sender.send(Message::Close(answer)).await.is_ok() {
            // Without an answer the thread has ended, too.
            let _ = answered.await;
        }
    }
}

struct Awaited<T, W> {
    write: Option<W>,
    value: Option<T>,
    answer: oneshot::Sender<Result<T, DatabaseError>>,
}

impl<T, W> Job for Awaited<T, W>
where
    T: Send,
    W: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if let Some(write) = self.write.take() {
            self.value = Some(write(connection)?);
        }
        Ok(())
    }

    fn end(self: Box<Self>, committed: Result<(), DatabaseError>) {
        let Self { value, answer, .. } = *self;
        // Who does not wait any more does not want to know.
        let _ = answer.send(committed.and_then(|()| value.ok_or(DatabaseError::Panicked)));
    }

    fn is_awaited(&self) -> bool {
        true
    }
}

struct Later<W>(Option<W>);

impl<W> Job for Later<W>
where
    W: FnOnce(&Connection) -> rusqlite::Result<()> + Send,
{
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.0.take().map_or(Ok(()), |write| write(connection))
    }

    fn end(self: Box<Self>, committed: Result<(), DatabaseError>) {
        if let Err(error) = committed {
            tracing::warn!(error = &error as &dyn std::error::Error, "a write was lost");
        }
    }

    fn is_awaited(&self) -> bool {
        false
    }
}

struct Thread {
    connection: Connection,
    path: PathBuf,
    receiver: mpsc::Receiver<Message>,
    /// Of this thread alone.
    timer: Runtime,
    group_max: usize,
    counts: Arc<Counts>,
    troubles: Arc<Troubles>,
}

impl Thread {
    fn run(mut self) {
        let (mut jobs, mut closers) = (Vec::new(), Vec::new());
        let mut is_open = true;
        while is_open {
            if jobs.is_empty() {
                // Also when it is to be closed: then this takes what was sent before, and tells the end.
                is_open = self.receive(&mut jobs, &mut closers);
            }
            if is_open && closers.is_empty() && !jobs.iter().any(|job| job.is_awaited()) {
                is_open = self.receive_in_time(&mut jobs, &mut closers);
            }
            let is_awaited = jobs.iter().any(|job| job.is_awaited());
            self.write(std::mem::take(&mut jobs));
            if is_open && is_awaited && closers.is_empty() {
                self.look(&mut jobs, &mut closers);
            }
        }
        match self.connection.close() {
            Ok(()) => Marker::beside(&self.path).remove(),
            // Nothing is lost: the next that opens the file finds the rest beside it.
            Err((_, error)) => tracing::warn!(%error, "the database was not closed cleanly"),
        }
        for closer in closers {
            // Who does not wait any more does not want to know.
            let _ = closer.send(());
        }
    }

    /// Waits for messages and sorts them; false if there will be none any more.
    fn receive(&mut self, jobs: &mut Jobs, closers: &mut Vec<oneshot::Sender<()>>) -> bool {
        let mut messages = Vec::new();
        let count = self
            .receiver
            .blocking_recv_many(&mut messages, self.group_max);
        self.sort(messages, jobs, closers);
        count > 0
    }

    /// Takes what is there, and what comes at once, without sleeping.
    fn look(&mut self, jobs: &mut Jobs, closers: &mut Vec<oneshot::Sender<()>>) {
        let until = Instant::now() + LOOK_WAIT;
        while jobs.len() < self.group_max {
            match self.receiver.try_recv() {
                Ok(message) => self.sort(vec![message], jobs, closers),
                Err(_) if !closers.is_empty() || jobs.iter().any(|job| job.is_awaited()) => return,
                Err(_) if Instant::now() >= until => return,
                // Whoever else wants the core has it.
                Err(_) => std::thread::yield_now(),
            }
        }
    }

    /// Adds what comes, until it is something that somebody waits for, there is enough, or the time is over.
    fn receive_in_time(&mut self, jobs: &mut Jobs, closers: &mut Vec<oneshot::Sender<()>>) -> bool {
        let until = Instant::now() + LATER_WAIT;
        while closers.is_empty()
            && jobs.len() < self.group_max
            && !jobs.iter().any(|job| job.is_awaited())
        {
            let (mut messages, group_max) = (Vec::new(), self.group_max);
            let receiver = &mut self.receiver;
            let received = self.timer.block_on(async {
                timeout_at(until, receiver.recv_many(&mut messages, group_max)).await
            });
            self.sort(messages, jobs, closers);
            match received {
                Ok(0) => return false,
                Ok(_) => {}
                Err(_) => return true,
            }
        }
        true
    }

    fn sort(
        &mut self,
        messages: Vec<Message>,
        jobs: &mut Jobs,
        closers: &mut Vec<oneshot::Sender<()>>,
    ) {
        for message in messages {
            match message {
                Message::Write(job) => jobs.push(job),
                Message::Close(closer) => {
                    // What was sent before is still taken.
                    self.receiver.close();
                    closers.push(closer);
                }
            }
        }
    }

    /// Each ends once, committed or not.
    fn write(&self, jobs: Jobs) {
        let mut waiting = jobs.into_iter();
        while waiting.len() > 0 {
            self.group(&mut waiting);
        }
    }

    /// One transaction of as many as possible: all, unless SQLite gives the transaction up over one of them.
    fn group(&self, waiting: &mut impl Iterator<Item = Box<dyn Job>>) {
        let mut group = Vec::new();
        let changes = self.connection.total_changes();
        let begun = self.execute("BEGIN IMMEDIATE");
        if let Err(error) = begun {
            let error = DatabaseError::of(&self.path, error).of_disk(&self.path);
            waiting.for_each(|job| self.end(job, Err(error.clone())));
            return;
        }
        for mut job in waiting {
            match self.one(&mut *job) {
                Ok(()) => group.push(job),
                Err(error) => {
                    let is_given_up = self.connection.is_autocommit();
                    self.end(job, Err(error.clone()));
                    if is_given_up {
                        group
                            .into_iter()
                            .for_each(|job| self.end(job, Err(error.clone())));
                        return;
                    }
                }
            }
        }
        let committed = self.commit();
        if committed.is_ok() && !group.is_empty() {
            self.counts.transactions.fetch_add(1, Ordering::Relaxed);
            // What changes nothing is written nowhere.
            if self.connection.total_changes() > changes {
                self.troubles.succeeded(&self.path);
            }
        }
        group
            .into_iter()
            .for_each(|job| self.end(job, committed.clone()));
    }

    fn commit(&self) -> Result<(), DatabaseError> {
        let committed = self.execute("COMMIT");
        committed.map_err(|error| {
            if !self.connection.is_autocommit()
                && let Err(error) = self.connection.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "a transaction could not be taken back");
            }
            // All pages were there before: it is not the limit that is reached.
            DatabaseError::of(&self.path, error).of_disk(&self.path)
        })
    }

    /// Its failure, also a panic, takes back what it wrote, and nothing else.
    fn one(&self, job: &mut dyn Job) -> Result<(), DatabaseError> {
        let failed = |error| DatabaseError::of(&self.path, error);
        self.execute("SAVEPOINT job").map_err(failed)?;
        let ran = catch_unwind(AssertUnwindSafe(|| job.run(&self.connection)));
        let ran = match ran {
            Ok(ran) => ran.map_err(failed),
            Err(_) => Err(DatabaseError::Panicked),
        };
        if self.connection.is_autocommit() {
            // Nothing is left to be taken back; one that says it went well has ended the transaction itself.
            return ran
                .map_err(|error| self.told_apart(error))
                .and(Err(DatabaseError::Panicked));
        }
        if ran.is_err() {
            self.execute("ROLLBACK TO job").map_err(failed)?;
        }
        let ended = self.execute("RELEASE job").map_err(failed);
        ran.and(ended).map_err(|error| self.told_apart(error))
    }

    /// Whether it is the limit that is reached or the disk that is full. What failed is taken back already.
    fn told_apart(&self, error: DatabaseError) -> DatabaseError {
        let is_full = matches!(error, DatabaseError::Full { .. });
        if is_full && disk::ends_first(&self.connection, &self.path) {
            return error.of_disk(&self.path);
        }
        error.of_system(&self.path)
    }

    /// Without parsing it again.
    fn execute(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(statement)?
            .execute([])
            .map(drop)
    }

    fn end(&self, job: Box<dyn Job>, committed: Result<(), DatabaseError>) {
        if let Err(error) = &committed {
            self.troubles.failed(error);
        }
        let count = if committed.is_ok() {
            &self.counts.committed
        } else {
            &self.counts.failed
        };
        count.fetch_add(1, Ordering::Relaxed);
        job.end(committed);
    }
}
