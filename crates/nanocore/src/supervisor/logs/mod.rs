//! What servers write: the latest lines in memory, all of them in rotating files, and whoever follows.

mod files;
mod line;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::broadcast;

use super::status::LogCounters;
use files::LogFiles;
pub use line::{LogLevel, LogLine, LogSource};

/// The limits of a server's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// Lines kept in memory, for each server; 10,000.
    pub lines_max: usize,
    /// Bytes of these; 8 MiB.
    pub bytes_max: usize,
    /// The largest file, in bytes; 10 MiB. Then another is begun.
    pub file_bytes_max: u64,
    /// Files kept of each server; 5.
    pub files_max: usize,
    /// Lines that wait for a follower; 4096. Beyond, it misses the oldest, which is counted.
    pub follower_lines_max: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            lines_max: 10_000,
            bytes_max: 8 << 20,
            file_bytes_max: 10 << 20,
            files_max: 5,
            follower_lines_max: 4096,
        }
    }
}

/// One server's log. Cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct ServerLog {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    options: LogOptions,
    // A std mutex: it is held for a few instructions, never over an await.
    ring: Mutex<Ring>,
    followers: broadcast::Sender<Arc<LogLine>>,
    missed: Arc<AtomicU64>,
    files: LogFiles,
}

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<Arc<LogLine>>,
    bytes: usize,
    taken: u64,
}

/// What a follower is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// A line.
    Line(Arc<LogLine>),
    /// So many lines were missed, since they were not taken in time.
    Missed(u64),
}

/// Follows a server's log from the moment it was asked for.
#[derive(Debug)]
pub struct LogFollower {
    missed: Arc<AtomicU64>,
    lines: broadcast::Receiver<Arc<LogLine>>,
}

impl LogFollower {
    /// The next line, or how many were missed before it; `None` once the server is no longer supervised. Cancel safe.
    pub async fn next(&mut self) -> Option<Followed> {
        match self.lines.recv().await {
            Ok(line) => Some(Followed::Line(line)),
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                self.missed.fetch_add(missed, Ordering::Relaxed);
                Some(Followed::Missed(missed))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl ServerLog {
    /// A log that writes to files in this folder.
    pub(super) fn new(folder: PathBuf, options: LogOptions) -> Self {
        Self {
            inner: Arc::new(Inner {
                folder: folder.clone(),
                options,
                ring: Mutex::default(),
                followers: broadcast::Sender::new(options.follower_lines_max.max(1)),
                missed: Arc::default(),
                files: LogFiles::start(folder, options),
            }),
        }
    }

    /// Puts what the files have from before into the ring. To be called before the first line is taken. Blocks.
    pub(super) fn recall(&self) {
        let inner = &*self.inner;
        let earlier = files::read_tail(&inner.folder, &inner.options);
        let mut ring = lock(&inner.ring);
        for line in earlier {
            ring.push(Arc::new(line), &inner.options);
        }
    }

    /// Takes a line. Does not block.
    pub(super) fn push(&self, source: LogSource, text: &str) {
        let inner = &*self.inner;
        let level = source.level_of(text);
        let mut ring = lock(&inner.ring);
        ring.taken += 1;
        let line = Arc::new(LogLine {
            seq: ring.taken,
            ts: Timestamp::now(),
            source,
            level,
            text: text.to_owned(),
        });
        ring.push(Arc::clone(&line), &inner.options);
        // Within the lock, so that followers and files have the ring's order. Nobody need follow.
        let _ = inner.followers.send(Arc::clone(&line));
        inner.files.push(line);
    }

    /// The last lines, the latest last.
    pub(super) fn tail(&self, count: usize) -> Vec<Arc<LogLine>> {
        let ring = lock(&self.inner.ring);
        let skipped = ring.lines.len().saturating_sub(count);
        ring.lines.iter().skip(skipped).cloned().collect()
    }

    /// The number of the latest line.
    pub(super) fn seq(&self) -> u64 {
        lock(&self.inner.ring).taken
    }

    /// The last lines of standard error after the line `seq`.
    pub(super) fn stderr_after(&self, seq: u64, count: usize) -> Vec<String> {
        let ring = lock(&self.inner.ring);
        let mut lines: Vec<_> = ring
            .lines
            .iter()
            .rev()
            .take_while(|line| line.seq > seq)
            .filter(|line| line.source == LogSource::Stderr)
            .take(count)
            .map(|line| line.text.clone())
            .collect();
        lines.reverse();
        lines
    }

    /// The last lines, and a follower of what comes after them: none is missing between, none is there twice.
    pub(super) fn tail_and_follow(&self, count: usize) -> (Vec<Arc<LogLine>>, LogFollower) {
        let ring = lock(&self.inner.ring);
        let skipped = ring.lines.len().saturating_sub(count);
        let tail = ring.lines.iter().skip(skipped).cloned().collect();
        let follower = LogFollower {
            missed: Arc::clone(&self.inner.missed),
            lines: self.inner.followers.subscribe(),
        };
        (tail, follower)
    }

    pub(super) fn counters(&self) -> LogCounters {
        LogCounters {
            lines: self.seq(),
            not_written: self.inner.files.not_written(),
            missed: self.inner.missed.load(Ordering::Relaxed),
        }
    }

    /// Waits until the files have what was taken so far. Blocks.
    pub(super) fn flush(&self) {
        self.inner.files.flush();
    }
}

impl Ring {
    fn push(&mut self, line: Arc<LogLine>, options: &LogOptions) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.lines.len() > options.lines_max || self.bytes > options.bytes_max {
            let Some(oldest) = self.lines.pop_front() else {
                break;
            };
            self.bytes -= oldest.text.len();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
