//! The objects that a server keeps for a session. spec: nnrp-session 4.4

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use crate::body::ObjectReference;
use crate::message::CachePut;
use crate::metadata::{CacheAckMetadata, CacheInvalidateMetadata};
use crate::numbers::{
    CacheFlags, CacheStatus, ErrorCode, InvalidateScope, ObjectKind, ObjectKinds,
};

/// How much is kept. What a server advertises in its hello's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLimits {
    /// Kinds of objects that are kept; none is no cache.
    pub kinds: ObjectKinds,
    /// Objects at most.
    pub entries_max: u32,
    /// Bytes of all objects at most; objects are copied, so that this is what they hold of the memory.
    pub bytes_max: u32,
    /// Bytes of one object at most.
    pub object_bytes_max: u32,
    /// Namespaces at most.
    pub namespaces_max: u16,
    /// How long an object is kept at most; `None` is as long as the session.
    pub ttl_max: Option<Duration>,
}

impl CacheLimits {
    /// Nothing is kept.
    pub const NONE: Self = Self {
        kinds: ObjectKinds::empty(),
        entries_max: 0,
        bytes_max: 0,
        object_bytes_max: 0,
        namespaces_max: 0,
        ttl_max: None,
    };
}

impl Default for CacheLimits {
    /// 256 objects of all kinds, 8 MiB in all, 1 MiB each, in 16 namespaces, as long as the session.
    fn default() -> Self {
        Self {
            kinds: ObjectKinds::all(),
            entries_max: 256,
            bytes_max: 8 << 20,
            object_bytes_max: 1 << 20,
            namespaces_max: 16,
            ttl_max: None,
        }
    }
}

/// A key is unique in its namespace, whatever the object's kind.
type Key = (u32, u64);

#[derive(Debug)]
struct Entry {
    kind: ObjectKind,
    object: Bytes,
    expires: Option<Duration>,
    is_pinned: bool,
    /// When it was put or used last, counted in such events.
    used: u64,
}

/// A bounded store. What was not used for longest gives way, unless it is pinned.
#[derive(Debug)]
pub struct CacheStore {
    limits: CacheLimits,
    entries: BTreeMap<Key, Entry>,
    /// Those that may give way, by their last use.
    unpinned: BTreeSet<(u64, Key)>,
    expiring: BTreeSet<(Duration, Key)>,
    bytes: u64,
    uses: u64,
    evicted: u64,
}

impl CacheStore {
    /// Empty.
    #[must_use]
    pub const fn new(limits: CacheLimits) -> Self {
        Self {
            limits,
            entries: BTreeMap::new(),
            unpinned: BTreeSet::new(),
            expiring: BTreeSet::new(),
            bytes: 0,
            uses: 0,
            evicted: 0,
        }
    }

    /// Keeps an object, or says why not; then what the key had before stays.
    pub fn put(&mut self, put: &CachePut, now: Duration) -> CacheAckMetadata {
        self.expire(now);
        let metadata = &put.metadata;
        let key = key_of(
            metadata.cache_namespace,
            metadata.cache_key_hi,
            metadata.cache_key_lo,
        );
        let (status, ttl_ms, detail) = match self.check(put, key) {
            Err(code) => (CacheStatus::Rejected, 0, code.number()),
            Ok(()) => {
                let ttl_ms = self.accepted_ttl_ms(metadata.ttl_ms);
                let was_there = self.insert(put, key, ttl_ms, now);
                let status = if was_there {
                    CacheStatus::Replaced
                } else {
                    CacheStatus::Accepted
                };
                (status, ttl_ms, 0)
            }
        };
        CacheAckMetadata {
            cache_namespace: metadata.cache_namespace,
            cache_key_hi: metadata.cache_key_hi,
            cache_key_lo: metadata.cache_key_lo,
            status,
            accepted_ttl_ms: ttl_ms,
            max_object_bytes: self.limits.object_bytes_max,
            detail_code: detail,
        }
    }

    /// The object behind a reference, which counts as a use. `None` if it is not there, or of another kind.
    pub fn resolve(&mut self, reference: &ObjectReference, now: Duration) -> Option<Bytes> {
        self.expire(now);
        let key = (reference.namespace, reference.key);
        self.uses += 1;
        let uses = self.uses;
        let entry = self.entries.get_mut(&key)?;
        if entry.kind != reference.kind {
            return None;
        }
        if self.unpinned.remove(&(entry.used, key)) {
            self.unpinned.insert((uses, key));
        }
        entry.used = uses;
        Some(entry.object.clone())
    }

    /// Forgets objects, and says how many. Those of a kind are those of the whole namespace: no field says which kind, and
    /// that is always safe (Q11).
    pub fn invalidate(&mut self, invalidate: &CacheInvalidateMetadata) -> usize {
        let namespace = invalidate.cache_namespace;
        let key = key_of(namespace, invalidate.cache_key_hi, invalidate.cache_key_lo);
        let range = match invalidate.invalidate_scope {
            InvalidateScope::WholeSession => (0, 0)..=(u32::MAX, u64::MAX),
            InvalidateScope::Namespace | InvalidateScope::ObjectKind => {
                (namespace, 0)..=(namespace, u64::MAX)
            }
            InvalidateScope::ObjectKey => key..=key,
        };
        let keys: Vec<Key> = self.entries.range(range).map(|(key, _)| *key).collect();
        keys.iter().for_each(|key| self.remove(*key));
        keys.len()
    }

    /// Forgets objects whose time is over.
    pub fn expire(&mut self, now: Duration) {
        while let Some((expires, key)) = self.expiring.first().copied() {
            if expires > now {
                break;
            }
            self.remove(key);
        }
    }

    /// When the next object's time is over.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        self.expiring.first().map(|(expires, _)| *expires)
    }

    /// Objects.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all objects.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Objects that gave way to others.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Whether it can be kept, by the limits and by what is pinned.
    fn check(&self, put: &CachePut, key: Key) -> Result<(), ErrorCode> {
        let kind = put.metadata.object_kind.0;
        if !self.limits.kinds.contains(kind.bit()) {
            return Err(ErrorCode::UnsupportedCapability);
        }
        let object_bytes = put.object.len() as u64;
        if object_bytes > u64::from(self.limits.object_bytes_max) {
            return Err(ErrorCode::LimitExceeded);
        }
        let is_new_namespace = !self.has_namespace(key.0);
        if is_new_namespace && self.namespaces() >= usize::from(self.limits.namespaces_max) {
            return Err(ErrorCode::LimitExceeded);
        }
        let stays = |(other, entry): &(&Key, &Entry)| entry.is_pinned && **other != key;
        let pinned = self.entries.iter().filter(stays);
        let (count, bytes) = pinned.fold((0_u64, 0_u64), |(count, bytes), (_, entry)| {
            (count + 1, bytes + entry.object.len() as u64)
        });
        let fits = count < u64::from(self.limits.entries_max)
            && bytes + object_bytes <= u64::from(self.limits.bytes_max);
        if fits {
            Ok(())
        } else {
            Err(ErrorCode::LimitExceeded)
        }
    }

    fn has_namespace(&self, namespace: u32) -> bool {
        let mut range = self.entries.range((namespace, 0)..=(namespace, u64::MAX));
        range.next().is_some()
    }

    fn namespaces(&self) -> usize {
        let mut namespaces: Vec<u32> = self.entries.keys().map(|key| key.0).collect();
        namespaces.dedup();
        namespaces.len()
    }

    fn accepted_ttl_ms(&self, asked_ms: u32) -> u32 {
        let Some(ttl_max) = self.limits.ttl_max else {
            return asked_ms;
        };
        let ttl_max_ms = u32::try_from(ttl_max.as_millis()).unwrap_or(u32::MAX);
        if asked_ms == 0 {
            return ttl_max_ms;
        }
        asked_ms.min(ttl_max_ms)
    }

    fn insert(&mut self, put: &CachePut, key: Key, ttl_ms: u32, now: Duration) -> bool {
        let was_there = self.entries.contains_key(&key);
        self.remove(key);
        self.make_room(put.object.len() as u64);
        let ttl = Duration::from_millis(u64::from(ttl_ms));
        let entry = Entry {
            kind: put.metadata.object_kind.0,
            // What was received may be a small part of a large buffer, which would live as long.
            object: Bytes::copy_from_slice(&put.object),
            expires: (ttl_ms > 0).then(|| now.saturating_add(ttl)),
            is_pinned: put.metadata.flags.contains(CacheFlags::PINNED),
            used: self.uses,
        };
        self.uses += 1;
        self.bytes += entry.object.len() as u64;
        if let Some(expires) = entry.expires {
            self.expiring.insert((expires, key));
        }
        if !entry.is_pinned {
            self.unpinned.insert((entry.used, key));
        }
        self.entries.insert(key, entry);
        was_there
    }

    /// What is pinned leaves room enough; that was checked.
    fn make_room(&mut self, object_bytes: u64) {
        while self.entries.len() as u64 >= u64::from(self.limits.entries_max)
            || self.bytes + object_bytes > u64::from(self.limits.bytes_max)
        {
            let Some((_, key)) = self.unpinned.first().copied() else {
                break;
            };
            self.remove(key);
            self.evicted += 1;
        }
    }

    fn remove(&mut self, key: Key) {
        let Some(entry) = self.entries.remove(&key) else {
            return;
        };
        self.bytes -= entry.object.len() as u64;
        self.unpinned.remove(&(entry.used, key));
        if let Some(expires) = entry.expires {
            self.expiring.remove(&(expires, key));
        }
    }
}

pub(super) fn key_of(namespace: u32, key_hi: u32, key_lo: u32) -> Key {
    (namespace, u64::from(key_hi) << 32 | u64::from(key_lo))
}
