//! The entries in memory, in the order of their age.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Bound::{Excluded, Unbounded};
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::entry::Entry;
use super::id::{AssetId, BadId, ContentHash};

/// Which entries [`super::AssetStore::list`] gives.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Exactly this type.
    pub kind: Option<String>,
    /// This content.
    pub hash: Option<ContentHash>,
    /// Names that contain this text, in any case.
    pub name: Option<String>,
    /// Only what comes after this place in the chosen order.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: Option<usize>,
    /// The order.
    pub order: Order,
}

/// Order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Latest first.
    #[default]
    Newest,
    /// Earliest first.
    Oldest,
}

/// A place in a list: that of an entry, which may be deleted since. As text `<nanoseconds since 1970>.<uuid>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(Timestamp, Uuid);

impl Cursor {
    /// The place of this entry.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        Self(entry.created_at, entry.uuid)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0.as_nanosecond(), self.1)
    }
}

impl FromStr for Cursor {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let (time, uuid) = text.split_once('.').ok_or(BadId)?;
        let time = Timestamp::from_nanosecond(time.parse().map_err(|_| BadId)?);
        Ok(Self(
            time.map_err(|_| BadId)?,
            Uuid::try_parse(uuid).map_err(|_| BadId)?,
        ))
    }
}

#[derive(Debug, Default)]
pub(crate) struct Index {
    by_age: BTreeMap<Cursor, Row>,
    by_hash: HashMap<ContentHash, Cursor>,
    by_uuid: HashMap<Uuid, Cursor>,
}

#[derive(Debug)]
struct Row {
    entry: Arc<Entry>,
    used_at: Timestamp,
}

impl Index {
    pub(crate) fn get(&self, id: AssetId) -> Option<Arc<Entry>> {
        Some(Arc::clone(&self.by_age.get(&self.place(id)?)?.entry))
    }

    /// Adds an entry, or puts it in the place of its earlier state.
    pub(crate) fn insert(&mut self, entry: Arc<Entry>, used_at: Timestamp) {
        let place = Cursor::of(&entry);
        self.by_hash.insert(entry.hash, place);
        self.by_uuid.insert(entry.uuid, place);
        self.by_age.insert(place, Row { entry, used_at });
    }

    pub(crate) fn remove(&mut self, entry: &Entry) {
        self.by_uuid.remove(&entry.uuid);
        self.by_hash.remove(&entry.hash);
        self.by_age.remove(&Cursor::of(entry));
    }

    pub(crate) fn touch(&mut self, id: AssetId) -> Option<Arc<Entry>> {
        let place = self.place(id)?;
        let row = self.by_age.get_mut(&place)?;
        row.used_at = Timestamp::now();
        Some(Arc::clone(&row.entry))
    }

    /// The entry, if it is ephemeral and not in use since `before`.
    pub(crate) fn unused(&self, hash: ContentHash, before: Timestamp) -> Option<Arc<Entry>> {
        let row = self.by_age.get(self.by_hash.get(&hash)?)?;
        row.is_unused(before).then(|| Arc::clone(&row.entry))
    }

    pub(crate) fn all_unused(&self, before: Timestamp) -> Vec<Arc<Entry>> {
        let unused = self.by_age.values().filter(|row| row.is_unused(before));
        unused.map(|row| Arc::clone(&row.entry)).collect()
    }

    pub(crate) fn list(&self, filter: &Filter) -> Vec<Arc<Entry>> {
        let name = filter.name.as_ref().map(|name| name.to_lowercase());
        let wanted = |entry: &Arc<Entry>| {
            filter.kind.as_ref().is_none_or(|kind| *kind == entry.kind)
                && filter.hash.is_none_or(|hash| hash == entry.hash)
                && name
                    .as_ref()
                    .is_none_or(|name| entry.name.to_lowercase().contains(name.as_str()))
        };
        let after = filter.after.map_or(Unbounded, Excluded);
        let limit = filter.limit.unwrap_or(usize::MAX);
        let entries = |row: &Row| Arc::clone(&row.entry);
        match filter.order {
            Order::Newest => {
                let rows = self.by_age.range((Unbounded, after)).rev();
                let found = rows.map(|(_, row)| entries(row)).filter(wanted);
                found.take(limit).collect()
            }
            Order::Oldest => {
                let rows = self.by_age.range((after, Unbounded));
                let found = rows.map(|(_, row)| entries(row)).filter(wanted);
                found.take(limit).collect()
            }
        }
    }

    fn place(&self, id: AssetId) -> Option<Cursor> {
        match id {
            AssetId::Uuid(uuid) => self.by_uuid.get(&uuid).copied(),
            AssetId::Hash(hash) => self.by_hash.get(&hash).copied(),
        }
    }
}

impl Row {
    fn is_unused(&self, before: Timestamp) -> bool {
        self.entry.ephemeral && self.used_at < before
    }
}
