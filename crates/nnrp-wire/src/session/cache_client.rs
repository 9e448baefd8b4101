//! What a client knows of the objects that its server keeps. spec: nnrp-session 4.4

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;

use super::cache_store::key_of;
use crate::body::ObjectReference;
use crate::message::CachePut;
use crate::metadata::{CacheAckMetadata, CacheInvalidateMetadata, ServerHelloAckMetadata};
use crate::numbers::{CacheStatus, InvalidateScope, ObjectKind, ObjectKinds};

/// Why an object is not put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PutRefusal {
    /// The server keeps nothing of this kind; it said so in its hello's answer.
    #[error("the server keeps no {}: send it inline", kind.name())]
    Unsupported {
        /// The kind.
        kind: ObjectKind,
    },
    /// It is more than the server keeps of all objects.
    #[error("the object has {bytes} bytes and the server keeps {bytes_max}: send it inline")]
    TooLarge {
        /// Bytes of the object.
        bytes: u64,
        /// Bytes that the server keeps, of one object or of all.
        bytes_max: u32,
    },
    /// A put of this key has not been answered.
    #[error("the last put of this key has not been answered: wait for that")]
    Unanswered,
    /// As many objects are known as may be.
    #[error("{entries_max} objects are known, which is the limit: invalidate some")]
    Full {
        /// How many may be.
        entries_max: usize,
    },
    /// There is no session, or it ends.
    #[error("the session is not active")]
    NotActive,
    /// Too much waits to be sent.
    #[error("packets wait to be sent: send them first")]
    Congested,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    kind: ObjectKind,
    unanswered: Option<Unanswered>,
    is_kept: bool,
    expires: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
struct Unanswered {
    kind: ObjectKind,
    deadline: Duration,
    /// The key was invalidated since: whatever the answer says, the object is gone.
    is_void: bool,
}

/// Which objects the server keeps, as far as it has said so. It may have forgotten some since; then it answers CACHE_MISS.
#[derive(Debug)]
pub struct CacheClient {
    kinds: ObjectKinds,
    bytes_max: u32,
    object_bytes_max: Option<u32>,
    entries_max: usize,
    checks_kinds: bool,
    known: BTreeMap<(u32, u64), Known>,
}

impl CacheClient {
    /// By a hello's answer; at most `entries_max` objects are known of. Without `checks_kinds`, objects are put although
    /// the server says that it has no cache.
    #[must_use]
    pub const fn new(ack: &ServerHelloAckMetadata, entries_max: usize, checks_kinds: bool) -> Self {
        Self {
            kinds: ObjectKinds::from_bits_retain(ack.cache_object_bitmap),
            bytes_max: ack.max_cache_bytes,
            object_bytes_max: None,
            entries_max,
            checks_kinds,
            known: BTreeMap::new(),
        }
    }

    /// An object is about to be put. Its answer is waited for until `deadline`.
    ///
    /// # Errors
    /// If it must not be.
    pub fn put(
        &mut self,
        put: &CachePut,
        now: Duration,
        deadline: Duration,
    ) -> Result<(), PutRefusal> {
        let metadata = &put.metadata;
        let kind = metadata.object_kind.0;
        let key = key_of(
            metadata.cache_namespace,
            metadata.cache_key_hi,
            metadata.cache_key_lo,
        );
        self.check_size(kind, put.object.len() as u64)?;
        if self.known.len() >= self.entries_max {
            self.known
                .retain(|_, known| known.unanswered.is_some() || !known.is_over(now));
        }
        let unanswered = Some(Unanswered {
            kind,
            deadline,
            is_void: false,
        });
        let is_full = self.known.len() >= self.entries_max;
        match self.known.get_mut(&key) {
            Some(known) if known.unanswered.is_some() => return Err(PutRefusal::Unanswered),
            Some(known) => known.unanswered = unanswered,
            None if is_full => {
                return Err(PutRefusal::Full {
                    entries_max: self.entries_max,
                });
            }
            None => {
                let known = Known {
                    kind,
                    unanswered,
                    is_kept: false,
                    expires: None,
                };
                self.known.insert(key, known);
            }
        }
        Ok(())
    }

    /// The server has answered. Says whether anything had been asked.
    pub fn answer(&mut self, ack: &CacheAckMetadata, now: Duration) -> bool {
        let key = key_of(ack.cache_namespace, ack.cache_key_hi, ack.cache_key_lo);
        let Some(known) = self.known.get_mut(&key) else {
            return false;
        };
        let Some(unanswered) = known.unanswered.take() else {
            return false;
        };
        if ack.max_object_bytes != 0 {
            self.object_bytes_max = Some(ack.max_object_bytes);
        }
        match ack.status {
            CacheStatus::Accepted | CacheStatus::Replaced if !unanswered.is_void => {
                let ttl = Duration::from_millis(u64::from(ack.accepted_ttl_ms));
                known.kind = unanswered.kind;
                known.is_kept = true;
                known.expires = (!ttl.is_zero()).then(|| now.saturating_add(ttl));
            }
            CacheStatus::Rejected if known.is_kept => {}
            CacheStatus::Accepted | CacheStatus::Replaced | CacheStatus::Rejected => {
                self.known.remove(&key);
            }
        }
        true
    }

    /// Whether the server keeps the object, by all that is known.
    #[must_use]
    pub fn has(&self, reference: &ObjectReference, now: Duration) -> bool {
        let known = self.known.get(&(reference.namespace, reference.key));
        known.is_some_and(|known| {
            known.is_kept && known.kind == reference.kind && !known.is_over(now)
        })
    }

    /// The server has forgotten an object.
    pub fn missed(&mut self, reference: &ObjectReference) {
        self.forget(|key| *key == (reference.namespace, reference.key));
    }

    /// Either side has invalidated objects.
    pub fn invalidate(&mut self, invalidate: &CacheInvalidateMetadata) {
        let namespace = invalidate.cache_namespace;
        let whole_key = key_of(namespace, invalidate.cache_key_hi, invalidate.cache_key_lo);
        self.forget(|key| match invalidate.invalidate_scope {
            InvalidateScope::WholeSession => true,
            InvalidateScope::Namespace | InvalidateScope::ObjectKind => key.0 == namespace,
            InvalidateScope::ObjectKey => *key == whole_key,
        });
    }

    /// Gives up on an answer that has not come in time, and says which.
    pub fn expire_answer(&mut self, now: Duration) -> Option<(u32, u64)> {
        let late = |known: &Known| {
            known
                .unanswered
                .is_some_and(|answer| answer.deadline <= now)
        };
        let (key, known) = self.known.iter_mut().find(|(_, known)| late(known))?;
        let key = *key;
        known.unanswered = None;
        if !known.is_kept {
            self.known.remove(&key);
        }
        Some(key)
    }

    /// When the next answer is late.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let unanswered = self.known.values().filter_map(|known| known.unanswered);
        unanswered.map(|answer| answer.deadline).min()
    }

    /// Objects that are known of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn check_size(&self, kind: ObjectKind, bytes: u64) -> Result<(), PutRefusal> {
        if self.checks_kinds && !self.kinds.contains(kind.bit()) {
            return Err(PutRefusal::Unsupported { kind });
        }
        let advertised = self.checks_kinds.then_some(self.bytes_max);
        let bytes_max = advertised.into_iter().chain(self.object_bytes_max).min();
        match bytes_max {
            Some(bytes_max) if bytes > u64::from(bytes_max) => {
                Err(PutRefusal::TooLarge { bytes, bytes_max })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn forget(&mut self, is_gone: impl Fn(&(u32, u64)) -> bool) {
        self.known.retain(|key, known| {
            if is_gone(key) {
                known.is_kept = false;
                if let Some(unanswered) = &mut known.unanswered {
                    unanswered.is_void = true;
                }
            }
            known.is_kept || known.unanswered.is_some()
        });
    }
}

impl Known {
    fn is_over(&self, now: Duration) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}
