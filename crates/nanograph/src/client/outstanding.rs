//! The executions that have not ended: requests, statuses, stops, losses and time go in; what to tell whom comes out.
//!
//! Pure: no sockets, no clock, no tasks. `T` is whatever stands for the one who waits.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use bytestring::ByteString;
use nodewire_json::{Json, Kind};

use super::{ClientCounters, Completion, ExecuteError, ExecutionError};
use crate::message::{NodeId, Status, StatusKind};

/// How long a `complete` without outputs waits for one with outputs. spec: nanograph 15.1
pub(super) const OUTPUTS_GRACE: Duration = Duration::from_secs(1);
/// How many ended executions are remembered, to tell late statuses from foreign ones.
const REMEMBERED: usize = 1024;

/// Names an execution on one connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) instance_id: ByteString,
    pub(super) node_id: NodeId,
}

/// Tells executions under the same key, one after the other, apart.
pub(super) type Ticket = u64;

/// How an execution ended.
pub(super) type End = Result<Completion, ExecutionError>;

/// What a status means.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict<T> {
    /// Tell, and go on.
    Forward(T, Status),
    /// Tell; it is over.
    End(T, End),
    /// Nothing to tell yet.
    Hold,
    /// Nobody waits for it.
    Dropped,
}

#[derive(Debug)]
struct Entry<T> {
    ticket: Ticket,
    waiter: T,
    timeout: Option<Duration>,
    /// When something happens without a status; also the entry's place in `deadlines`.
    deadline: Option<Instant>,
    sent: bool,
    stopping: bool,
    /// A `complete` that had no outputs.
    held: Option<Status>,
}

#[derive(Debug)]
pub(super) struct Outstanding<T> {
    entries: HashMap<Key, Entry<T>>,
    deadlines: BTreeMap<(Instant, Ticket), Key>,
    ended: VecDeque<u64>,
    hasher: RandomState,
    next_ticket: Ticket,
    limit: usize,
    counters: ClientCounters,
}

impl<T: Clone> Outstanding<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: HashMap::new(),
            deadlines: BTreeMap::new(),
            ended: VecDeque::new(),
            hasher: RandomState::new(),
            next_ticket: 0,
            limit,
            counters: ClientCounters::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn counters(&self) -> ClientCounters {
        ClientCounters {
            outstanding: self.entries.len() as u64,
            ..self.counters
        }
    }

    /// A request that is about to be sent.
    pub(super) fn insert(
        &mut self,
        key: Key,
        waiter: T,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<Ticket, ExecuteError> {
        if self.entries.len() >= self.limit {
            return Err(ExecuteError::TooManyOutstanding { limit: self.limit });
        }
        if self.entries.contains_key(&key) {
            let (instance_id, node_id) = (key.instance_id.to_string(), key.node_id.to_string());
            return Err(ExecuteError::Duplicate {
                instance_id,
                node_id,
            });
        }
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        let deadline = timeout.and_then(|timeout| now.checked_add(timeout));
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, ticket), key.clone());
        }
        let entry = Entry {
            ticket,
            waiter,
            timeout,
            deadline,
            sent: false,
            stopping: false,
            held: None,
        };
        self.entries.insert(key, entry);
        self.counters.accepted += 1;
        Ok(ticket)
    }

    /// The request is about to be written: whether somebody still waits for it.
    pub(super) fn mark_sent(&mut self, key: &Key, ticket: Ticket) -> bool {
        match self.entries.get_mut(key) {
            Some(entry) if entry.ticket == ticket => {
                entry.sent = true;
                true
            }
            _ => false,
        }
    }

    /// The caller lost interest. The server is not told.
    pub(super) fn abandon(&mut self, key: &Key, ticket: Ticket) {
        if self
            .entries
            .get(key)
            .is_some_and(|entry| entry.ticket == ticket)
        {
            self.take(key);
            self.counters.abandoned += 1;
        }
    }

    /// A stop of this instance is being sent: errors from now on mean it worked.
    pub(super) fn stopping(&mut self, instance_id: &str) {
        for (_, entry) in self
            .entries
            .iter_mut()
            .filter(|(key, _)| key.instance_id == instance_id)
        {
            entry.stopping = true;
        }
    }

    /// The server said something. spec: nanograph 15.1
    pub(super) fn on_status(&mut self, key: &Key, status: Status, now: Instant) -> Verdict<T> {
        let Some(entry) = self.entries.get_mut(key) else {
            self.count_stray(key);
            return Verdict::Dropped;
        };
        match &status.kind {
            StatusKind::Error => {
                let error = node_error(&status, entry.stopping);
                self.end(key, Err(error))
            }
            StatusKind::Complete if status.outputs.is_some() => {
                let end = completion(status);
                self.end(key, end)
            }
            StatusKind::Complete => self.hold(key, status, now),
            StatusKind::Idle | StatusKind::Running | StatusKind::Missing | StatusKind::Other(_) => {
                Verdict::Forward(entry.waiter.clone(), status)
            }
        }
    }

    /// The server said that it is over, in words nobody can read.
    pub(super) fn on_unreadable(&mut self, key: &Key) -> Verdict<T> {
        let found = "values that cannot be read (nested too deeply, or not JSON)".to_owned();
        self.end(key, Err(ExecutionError::InvalidOutputs { found }))
    }

    /// When [`Self::on_time`] is due next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines
            .first_key_value()
            .map(|((deadline, _), _)| *deadline)
    }

    /// Ends what is due.
    pub(super) fn on_time(&mut self, now: Instant) -> Vec<(T, End)> {
        let mut due = Vec::new();
        while let Some(deadline) = self.next_deadline().filter(|deadline| *deadline <= now) {
            let Some(((_, ticket), key)) = self.deadlines.pop_first() else {
                break;
            };
            let Some(entry) = self
                .entries
                .get_mut(&key)
                .filter(|entry| entry.ticket == ticket)
            else {
                continue;
            };
            debug_assert_eq!(entry.deadline, Some(deadline));
            let end = match entry.held.take() {
                Some(status) => completion(status),
                None => Err(ExecutionError::TimedOut {
                    after: entry.timeout.unwrap_or_default(),
                }),
            };
            if let Verdict::End(waiter, end) = self.end(&key, end) {
                due.push((waiter, end));
            }
        }
        due
    }

    /// The connection is gone: ends everything.
    pub(super) fn on_loss(&mut self, reason: &str) -> Vec<(T, End)> {
        self.end_all(|entry| ExecutionError::ServerLost {
            reason: reason.to_owned(),
            sent: entry.sent,
        })
    }

    /// The client is being closed: ends everything.
    pub(super) fn on_close(&mut self) -> Vec<(T, End)> {
        self.end_all(|_| ExecutionError::Closed)
    }

    fn end_all(&mut self, error: impl Fn(&Entry<T>) -> ExecutionError) -> Vec<(T, End)> {
        let keys: Vec<_> = self
            .entries
            .iter()
            .map(|(key, entry)| (key.clone(), error(entry)))
            .collect();
        let ends = keys
            .into_iter()
            .map(|(key, error)| self.end(&key, Err(error)));
        ends.filter_map(|verdict| {
            if let Verdict::End(waiter, end) = verdict {
                Some((waiter, end))
            } else {
                None
            }
        })
        .collect()
    }

    fn end(&mut self, key: &Key, end: End) -> Verdict<T> {
        let Some(entry) = self.take(key) else {
            return Verdict::Dropped;
        };
        let counter = match &end {
            Ok(_) => &mut self.counters.completed,
            Err(ExecutionError::Failed { .. } | ExecutionError::InvalidOutputs { .. }) => {
                &mut self.counters.failed
            }
            Err(ExecutionError::Stopped { .. }) => &mut self.counters.stopped,
            Err(ExecutionError::TimedOut { .. }) => &mut self.counters.timed_out,
            Err(ExecutionError::ServerLost { .. }) => &mut self.counters.lost,
            Err(ExecutionError::Closed) => &mut self.counters.closed,
        };
        *counter += 1;
        Verdict::End(entry.waiter, end)
    }

    fn hold(&mut self, key: &Key, status: Status, now: Instant) -> Verdict<T> {
        let Some(entry) = self.entries.get_mut(key) else {
            return Verdict::Dropped;
        };
        if entry.held.is_some() {
            return Verdict::Hold;
        }
        entry.held = Some(status);
        let grace = now + OUTPUTS_GRACE;
        let deadline = entry.deadline.map_or(grace, |deadline| deadline.min(grace));
        if let Some(old) = entry.deadline.replace(deadline) {
            self.deadlines.remove(&(old, entry.ticket));
        }
        self.deadlines.insert((deadline, entry.ticket), key.clone());
        Verdict::Hold
    }

    fn take(&mut self, key: &Key) -> Option<Entry<T>> {
        let entry = self.entries.remove(key)?;
        if let Some(deadline) = entry.deadline {
            self.deadlines.remove(&(deadline, entry.ticket));
        }
        if self.ended.len() == REMEMBERED {
            self.ended.pop_front();
        }
        self.ended.push_back(self.hasher.hash_one(key));
        Some(entry)
    }

    fn count_stray(&mut self, key: &Key) {
        let late = self.ended.contains(&self.hasher.hash_one(key));
        let counter = if late {
            &mut self.counters.late_statuses
        } else {
            &mut self.counters.unknown_statuses
        };
        *counter += 1;
    }
}

fn node_error(status: &Status, stopping: bool) -> ExecutionError {
    let message = status.message.clone().filter(|message| !message.is_empty());
    let message = message.unwrap_or_else(|| "node failed without a message".to_owned());
    if stopping {
        ExecutionError::Stopped { message }
    } else {
        ExecutionError::Failed { message }
    }
}

/// `null` and nothing count as no outputs at all. spec: nanograph 15.1
fn completion(status: Status) -> End {
    let outputs = status.outputs.clone().filter(|outputs| !outputs.is_null());
    let outputs =
        outputs.unwrap_or_else(|| Json::from(serde_json::Value::Object(serde_json::Map::new())));
    let found = match outputs.kind() {
        Kind::Object => return Ok(Completion { outputs, status }),
        Kind::Null => "null",
        Kind::Bool => "true or false",
        Kind::Number => "a number",
        Kind::String => "a text",
        Kind::Array => "a list",
    };
    Err(ExecutionError::InvalidOutputs {
        found: found.to_owned(),
    })
}

#[cfg(test)]
mod tests;
