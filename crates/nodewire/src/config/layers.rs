//! Settings from several places, of which the last one wins.

use std::collections::BTreeMap;

use super::problem::{ConfigPlace, Problems};
use super::setting::{self, SETTINGS, Setting, Table};
use super::value::{FromValue, Value};

/// A setting that somebody gave.
#[derive(Debug, Clone)]
pub(super) struct Given {
    /// `None` if it is wrong, which was told already.
    pub(super) value: Option<Value>,
    pub(super) place: ConfigPlace,
}

/// What was given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layers {
    given: BTreeMap<(Table, &'static str), Given>,
    /// Tables of the file, with their places.
    pub(super) in_file: BTreeMap<Table, ConfigPlace>,
    /// Tables that a flag has something to say about.
    pub(super) by_flag: BTreeMap<Table, ConfigPlace>,
}

impl Layers {
    /// What has a variable that is not empty.
    pub(super) fn from_variables(
        lookup: &dyn Fn(&str) -> Option<String>,
        problems: &mut Problems,
    ) -> Self {
        let mut layers = Self::default();
        for setting in SETTINGS {
            let name = setting.variable();
            let text = lookup(&name).filter(|text| !text.is_empty());
            if let Some(text) = text {
                layers.give_text(setting, &text, ConfigPlace::Variable(name), problems);
            }
        }
        layers
    }

    pub(super) fn give(
        &mut self,
        setting: &'static Setting,
        value: Option<Value>,
        place: ConfigPlace,
    ) {
        let given = Given { value, place };
        self.given.insert((setting.table, setting.key), given);
    }

    /// As [`Self::give`], for the text of a variable or a flag.
    pub(super) fn give_text(
        &mut self,
        setting: &'static Setting,
        text: &str,
        place: ConfigPlace,
        problems: &mut Problems,
    ) {
        let value = setting.kind.parse(text);
        if value.is_none() {
            problems.add(&place, must_be(setting));
        }
        self.give(setting, value, place);
    }

    /// What `later` gives wins.
    pub(super) fn join(&mut self, later: Self) {
        self.given.extend(later.given);
        self.in_file.extend(later.in_file);
        self.by_flag.extend(later.by_flag);
    }

    pub(super) const fn table(&self, table: Table) -> View<'_> {
        View {
            layers: self,
            table,
        }
    }

    /// Whether a wire is to be served. What the environment says about it counts only if it says `enabled`: it is
    /// inherited by everything that is started.
    pub(super) fn is_served(&self, wire: Table, is_in_code: bool) -> bool {
        let is_named = is_in_code || self.in_file.contains_key(&wire);
        let by_flag = self.by_flag.contains_key(&wire);
        match self.table(wire).given("enabled") {
            Some(given) if !matches!(given.place, ConfigPlace::Flag(_)) && by_flag => true,
            Some(_) => self.table(wire).get("enabled").unwrap_or(false),
            None => is_named || by_flag,
        }
    }
}

/// One table.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    layers: &'a Layers,
    table: Table,
}

impl<'a> View<'a> {
    pub(super) fn given(&self, key: &'static str) -> Option<&'a Given> {
        debug_assert!(
            setting::find(self.table, key).is_some(),
            "{key} is a setting"
        );
        self.layers.given.get(&(self.table, key))
    }

    /// Whether somebody said anything, right or wrong, about one of these.
    pub(super) fn has(&self, keys: &[&'static str]) -> bool {
        keys.iter().any(|key| self.given(key).is_some())
    }

    pub(super) fn get<T: FromValue>(&self, key: &'static str) -> Option<T> {
        T::from_value(self.given(key)?.value.as_ref()?)
    }

    /// Replaces `place`, if the setting was given.
    pub(super) fn set<T: FromValue>(&self, key: &'static str, place: &mut T) {
        if let Some(value) = self.get(key) {
            *place = value;
        }
    }

    /// Where a setting was given; else where the table was.
    pub(super) fn place(&self, key: &'static str) -> ConfigPlace {
        let tables = [&self.layers.by_flag, &self.layers.in_file];
        let table = || tables.into_iter().find_map(|named| named.get(&self.table));
        let given = self.given(key).map(|given| &given.place);
        given
            .or_else(table)
            .cloned()
            .unwrap_or(ConfigPlace::Program)
    }

    /// Which of these settings counts, where only one can: that of the last place. Two in one place are a problem.
    pub(super) fn choose(
        &self,
        keys: &[&'static str],
        problems: &mut Problems,
    ) -> Option<&'static str> {
        let rank = |key: &&'static str| self.given(key).map(|given| given.place.rank());
        let highest = keys.iter().filter_map(&rank).max()?;
        let chosen: Vec<_> = keys
            .iter()
            .copied()
            .filter(|key| rank(key) == Some(highest))
            .collect();
        if chosen.len() > 1 {
            let table = self.table.name();
            let names = chosen.join(", ");
            problems.add(
                &self.place(chosen[1]),
                format!("[{table}] only one of {names} can be given here"),
            );
        }
        chosen.first().copied()
    }
}

/// Says what a value must be; not what it is, as it may be a secret in the wrong place.
pub(super) fn must_be(setting: &Setting) -> String {
    format!("{} must be {}", setting.name(), setting.kind.rule())
}
