//! The fields of a message, found in one pass.

use nodewire_json::{Json, ValueRef, members};

use super::number::{float, integer};

/// The members of one object that its reader asked for; the last of each name.
pub(crate) struct Fields<'j, const N: usize> {
    json: &'j Json,
    found: [Option<ValueRef<'j>>; N],
}

impl<'j, const N: usize> Fields<'j, N> {
    /// Looks for these names; `None` if the value is no object. `other` gets what has another name.
    pub(crate) fn find(
        json: &'j Json,
        names: &[&str; N],
        mut other: impl FnMut(&str, ValueRef<'j>),
    ) -> Option<Self> {
        if json.kind() != nodewire_json::Kind::Object {
            return None;
        }
        let mut found = [None; N];
        // The text was checked when the value was made, so no item is an error.
        for member in members(json.as_str()).map_while(Result::ok) {
            let key = member.key();
            match names.iter().position(|name| *name == key) {
                Some(place) => found[place] = Some(member.value),
                None => other(&key, member.value),
            }
        }
        Some(Self { json, found })
    }

    pub(crate) fn has(&self, place: usize) -> bool {
        self.found[place].is_some()
    }

    /// What to look into.
    pub(crate) fn at(&self, place: usize) -> Option<ValueRef<'j>> {
        self.found[place]
    }

    pub(crate) fn value(&self, place: usize) -> Option<Json> {
        self.found[place].map(|value| self.json.part(value))
    }

    pub(crate) fn integer(&self, place: usize) -> Option<i64> {
        integer(self.found[place]?.as_str())
    }

    pub(crate) fn float(&self, place: usize) -> Option<f64> {
        float(self.found[place]?.as_str())
    }

    pub(crate) fn string(&self, place: usize) -> Option<String> {
        Some(self.found[place]?.string()?.into_owned())
    }
}
