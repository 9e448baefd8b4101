//! [`Entries`]: what the registry says.

use std::path::{Path, PathBuf};

use nodewire_json::{Json, Kind};

use super::entry::Entry;
use super::error::NameError;

/// The most entries a registry may have.
pub(super) const ENTRIES_MAX: usize = 1000;

/// The registered servers, in the order of the file. No uid is there twice.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entries(Vec<Entry>);

impl Entries {
    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.0.iter()
    }

    /// The one with this uid.
    #[must_use]
    pub fn get(&self, server_uid: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.server_uid == server_uid)
    }

    /// The one of this folder. `path` is compared as the folder it leads to.
    #[must_use]
    pub fn at(&self, path: &Path) -> Option<&Entry> {
        let wanted = real(path);
        let is_there = |entry: &&Entry| {
            entry
                .path
                .as_ref()
                .is_some_and(|path| *path == wanted || real(path) == wanted)
        };
        self.0.iter().find(is_there)
    }

    /// The one that is called so: a uid, else a package id, else a display name, else a path.
    ///
    /// # Errors
    /// None is called so, or several are.
    pub fn find(&self, name: &str) -> Result<&Entry, NameError> {
        if let Some(entry) = self.get(name) {
            return Ok(entry);
        }
        let kinds: [fn(&Entry, &str) -> bool; 2] = [
            |entry, name| entry.server_package_id == name,
            |entry, name| entry.server_display_name == name,
        ];
        for is_called in kinds {
            let found: Vec<_> = self
                .0
                .iter()
                .filter(|entry| is_called(entry, name))
                .collect();
            match found.as_slice() {
                [] => {}
                [entry] => return Ok(entry),
                [_, _, ..] => {
                    return Err(NameError::Ambiguous {
                        name: name.to_owned(),
                        uids: found.iter().map(|entry| entry.server_uid.clone()).collect(),
                    });
                }
            }
        }
        self.at(Path::new(name)).ok_or_else(|| NameError::Unknown {
            name: name.to_owned(),
            known: self
                .0
                .iter()
                .map(|entry| entry.server_uid.clone())
                .collect(),
        })
    }

    /// Adds an entry, or puts it in place of the one with the same uid.
    pub fn put(&mut self, entry: Entry) {
        match self
            .0
            .iter_mut()
            .find(|known| known.server_uid == entry.server_uid)
        {
            Some(known) => *known = entry,
            None => self.0.push(entry),
        }
    }

    /// Removes the one with this uid.
    pub fn remove(&mut self, server_uid: &str) -> Option<Entry> {
        let index = self
            .0
            .iter()
            .position(|entry| entry.server_uid == server_uid)?;
        Some(self.0.remove(index))
    }

    /// The one with this uid, to be changed. Its uid must stay.
    pub fn get_mut(&mut self, server_uid: &str) -> Option<&mut Entry> {
        self.0
            .iter_mut()
            .find(|entry| entry.server_uid == server_uid)
    }

    /// Reads the text of the file.
    pub(super) fn read(text: String) -> Result<Self, Vec<String>> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let json = Json::parse(text.clone())
            .map_err(|error| vec![format!("{}: {}", place(&text, error.offset), error.kind)])?;
        let (Kind::Array, Some(elements)) = (json.kind(), json.elements()) else {
            return Err(vec!["the top level must be a list".to_owned()]);
        };
        if elements.len() > ENTRIES_MAX {
            return Err(vec![format!("there are more than {ENTRIES_MAX} entries")]);
        }
        let mut entries = Self::default();
        let mut problems = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            let place = format!("entry {}", index + 1);
            if let Some(entry) = Entry::read(element, &place, &mut problems) {
                match entries.get(&entry.server_uid) {
                    Some(_) => problems.push(format!(
                        "{place}: \"serverUid\" {:?} is that of an entry before it",
                        entry.server_uid
                    )),
                    None => entries.0.push(entry),
                }
            }
        }
        if problems.is_empty() {
            Ok(entries)
        } else {
            Err(problems)
        }
    }

    /// The text of the file.
    pub(super) fn write(&self) -> String {
        if self.0.is_empty() {
            return "[]\n".to_owned();
        }
        let entries: Vec<_> = self.0.iter().map(Entry::write).collect();
        format!("[\n{}\n]\n", entries.join(",\n"))
    }
}

impl<'a> IntoIterator for &'a Entries {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Line and column of an offset, for people.
fn place(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    format!(
        "line {line}, column {}",
        before[start..].chars().count() + 1
    )
}
