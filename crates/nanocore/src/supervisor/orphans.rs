//! No process outlives its supervisor for good: each is recorded on disk before it is started, and what a supervisor
//! that was killed left behind is ended by the next one. spec: nanograph 12.6
//!
//! A process counts as ours if its id and its time of start are the recorded ones, in the same boot of the machine, or
//! if it has the random mark in its environment that was recorded before it was started. What it started itself has
//! that mark, too. Nothing else is ever signalled.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::process::StopTimes;
use crate::registry::replace_file;

/// The variable with the mark.
pub(super) const MARK: &str = "NANOCORE_PROCESS_MARK";
/// Between looks at whether a process has ended.
const PERIOD: Duration = Duration::from_millis(50);
/// After SIGKILL; a process may hang in the kernel.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// A process that was, or was about to be, started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    pub(super) server_uid: String,
    pub(super) mark: String,
    /// The machine's boot, which times of start count from.
    pub(super) boot: String,
    /// `None` while it is being started.
    pub(super) pid: Option<u32>,
    /// In the kernel's ticks since the boot.
    pub(super) start_time: Option<u64>,
    pub(super) port: u16,
}

/// The records, in a file.
#[derive(Debug)]
pub(super) struct Records {
    path: PathBuf,
    // A std mutex: writers take turns; its methods block and are called where that is fine.
    records: Mutex<Vec<Record>>,
}

impl Records {
    /// What an earlier supervisor recorded, which this one goes on with.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let records = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "the record of processes cannot be read; node servers of an earlier run may be left");
                Vec::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        Ok(Self {
            path,
            records: Mutex::new(records),
        })
    }

    /// Records that a process is about to be started; the mark for its environment. On disk when this returns.
    pub(super) fn begin(&self, server_uid: &str, port: u16) -> io::Result<String> {
        let mark = Uuid::new_v4().to_string();
        let record = Record {
            server_uid: server_uid.to_owned(),
            mark: mark.clone(),
            boot: boot_id(),
            pid: None,
            start_time: None,
            port,
        };
        self.change(|records| records.push(record))?;
        Ok(mark)
    }

    /// Records which process it became.
    pub(super) fn started(&self, mark: &str, pid: u32) -> io::Result<()> {
        let start_time = Stat::of(pid).map(|stat| stat.start_time);
        self.change(|records| {
            if let Some(record) = records.iter_mut().find(|record| record.mark == mark) {
                (record.pid, record.start_time) = (Some(pid), start_time);
            }
        })
    }

    /// Records that it has ended, with all that it started.
    pub(super) fn ended(&self, mark: &str) -> io::Result<()> {
        self.change(|records| records.retain(|record| record.mark != mark))
    }

    /// Whether nothing is recorded.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Record>)) -> io::Result<()> {
        let mut records = self.lock();
        change(&mut records);
        replace_file(&self.path, &serde_json::to_vec_pretty(&*records)?)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what is left of all recorded processes, at the same time, and forgets them; how many there were. Blocks,
    /// for the times given at most.
    ///
    /// If the file cannot be written, all has ended the same; what it says then means nobody who lives.
    pub(super) fn end_all(&self, times: StopTimes) -> io::Result<usize> {
        let left: Vec<_> = self
            .lock()
            .iter()
            .filter(|record| record.boot == boot_id())
            .cloned()
            .collect();
        let first = processes_of(&left);
        if !first.is_empty() {
            tracing::warn!(
                count = first.len(),
                servers = ?left.iter().map(|record| &record.server_uid).collect::<Vec<_>>(),
                "ending node servers that an earlier daemon left behind"
            );
        }
        for (signal, time) in [
            (Signal::SIGINT, times.interrupt),
            (Signal::SIGTERM, times.terminate),
            (Signal::SIGKILL, KILL_WAIT),
        ] {
            if end_with(&left, signal, time) {
                break;
            }
        }
        self.change(Vec::clear)?;
        Ok(first.len())
    }
}

/// Sends the signal to what is left, and waits; whether nothing is left.
fn end_with(records: &[Record], signal: Signal, time: Duration) -> bool {
    for stat in processes_of(records) {
        // Fails if it has ended just now.
        let _ = i32::try_from(stat.pid).map(|pid| kill(Pid::from_raw(pid), signal));
    }
    let end = Instant::now() + time;
    loop {
        if processes_of(records).is_empty() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(PERIOD);
    }
}

/// The living processes that are the recorded ones, or have their mark.
fn processes_of(records: &[Record]) -> Vec<Stat> {
    if records.is_empty() {
        return Vec::new();
    }
    let own = std::process::id();
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != own)
        .filter_map(|pid| {
            let stat = Stat::of(pid).filter(|stat| !stat.is_gone)?;
            let is_recorded = |record: &Record| {
                record.pid == Some(pid) && record.start_time == Some(stat.start_time)
            };
            let is_ours = records.iter().any(is_recorded) || has_mark(pid, records);
            is_ours.then_some(stat)
        })
        .collect()
}

fn has_mark(pid: u32, records: &[Record]) -> bool {
    // Only what belongs to the same user can be read.
    let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else {
        return false;
    };
    let prefix = format!("{MARK}=");
    environment
        .split(|byte| *byte == 0)
        .filter_map(|variable| variable.strip_prefix(prefix.as_bytes()))
        .any(|mark| records.iter().any(|record| record.mark.as_bytes() == mark))
}

/// What the kernel says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    pid: u32,
    start_time: u64,
    /// It has ended, and nobody has asked how.
    is_gone: bool,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(pid, &text)
    }

    /// The name of the program, in parentheses, may hold anything; the numbers come after the last one.
    fn parse(pid: u32, text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(") ")?;
        let mut fields = rest.split_whitespace();
        let state = fields.next()?;
        // The 22nd field of all; the state is the 3rd.
        let start_time = fields.nth(18)?.parse().ok()?;
        Some(Self {
            pid,
            start_time,
            is_gone: matches!(state, "Z" | "X" | "x"),
        })
    }
}

fn boot_id() -> String {
    let text = fs::read_to_string(Path::new("/proc/sys/kernel/random/boot_id"));
    text.unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests;
