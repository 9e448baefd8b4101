//! Kinds of events and topics, as people name them.

use std::collections::BTreeSet;

use autotrainer_api::{Event, EventKind, ProtocolLevel, Topic, resolve};

use crate::failure::Failure;

/// A topic by its name in any case, or by its number.
pub(super) fn topic(text: &str) -> Result<Topic, String> {
    let named = Topic::NAMED
        .iter()
        .find(|(_, name)| name.eq_ignore_ascii_case(text));
    if let Some((topic, _)) = named {
        return Ok(*topic);
    }
    text.parse().map(Topic).map_err(|_| {
        let names: Vec<_> = Topic::NAMED.iter().map(|(_, name)| *name).collect();
        format!(
            "{text:?} is no topic; it is a number, or one of {}",
            names.join(", ")
        )
    })
}

/// An event's number at this level: any number, a name in any case, or the start of one name. spec: autotrainer 15.4
pub(super) fn kind_number(word: &str, level: ProtocolLevel) -> Result<i64, Failure> {
    if let Ok(number) = word.parse() {
        return Ok(number);
    }
    let mut members = EventKind::members(level);
    if let Some(member) = members.find(|member| member.name.eq_ignore_ascii_case(word)) {
        return Ok(member.value);
    }
    let kind = resolve(word, EventKind::members(level));
    let kind = kind.map_err(|error| Failure::usage(format!("unknown event: {error}")))?;
    kind.number(level)
        .ok_or_else(|| Failure::usage(format!("services of level {level} have no event {kind}")))
}

/// These words and the names of all kinds, for completion.
pub(super) fn kind_words(level: ProtocolLevel, words: &[&str]) -> Vec<String> {
    let names = EventKind::members(level).map(|member| member.name);
    let words = words.iter().copied().chain(names);
    words.map(ToOwned::to_owned).collect()
}

/// Which events are wanted; all, if none is named.
#[derive(Debug, Default)]
pub(super) struct KindFilter {
    numbers: Vec<i64>,
    names: BTreeSet<&'static str>,
}

impl KindFilter {
    /// Of numbers, names, and starts of names, whichever level has them.
    pub(super) fn new(words: &[String]) -> Result<Self, Failure> {
        let mut filter = Self::default();
        for word in words {
            if let Ok(number) = word.parse() {
                filter.numbers.push(number);
                continue;
            }
            let found = starting(word);
            if found.is_empty() {
                return Err(Failure::usage(format!("no event is called {word:?}")));
            }
            filter.names.extend(found);
        }
        Ok(filter)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.names.is_empty()
    }

    pub(super) fn admits(&self, event: &Event, level: ProtocolLevel) -> bool {
        self.is_empty()
            || self.numbers.contains(&event.kind_number)
            || event
                .kind(level)
                .is_some_and(|kind| self.names.contains(kind.name()))
    }
}

/// The name itself, or all canonical names that start so.
fn starting(word: &str) -> Vec<&'static str> {
    let word = word.to_ascii_lowercase();
    let levels = [ProtocolLevel::V0_9_11, ProtocolLevel::NEWEST];
    let names = levels.into_iter().flat_map(EventKind::members);
    // An alias stands for its kind.
    let names: Vec<_> = names
        .map(|member| (member.name.to_ascii_lowercase(), member.member.name()))
        .collect();
    let exact = names.iter().find(|(name, _)| *name == word);
    if let Some((_, name)) = exact {
        return vec![*name];
    }
    let starting = names
        .into_iter()
        .filter(|(name, _)| !word.is_empty() && name.starts_with(&word));
    starting.map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use autotrainer_api::UnixTime;

    use super::*;

    const OLD: ProtocolLevel = ProtocolLevel::V0_9_11;
    const NEWEST: ProtocolLevel = ProtocolLevel::NEWEST;

    #[test]
    fn kinds_by_number_name_and_start() {
        assert_eq!(kind_number("sessionstarted", OLD).unwrap(), 1302);
        assert_eq!(kind_number("sessionStarted", NEWEST).unwrap(), 1331);
        assert_eq!(kind_number("tunnelEn", NEWEST).unwrap(), 1101);
        assert_eq!(kind_number("77", NEWEST).unwrap(), 77);
        assert!(kind_number("tunnelE", NEWEST).is_err());
        assert!(kind_number("sessionStarting", NEWEST).is_err());
    }

    #[test]
    fn a_filter_knows_the_kinds_of_every_level() {
        let words = |words: &[&str]| {
            words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        let filter = KindFilter::new(&words(&["trial", "77"])).unwrap();
        let event = |number| Event::numbered(number, UnixTime(0.0), 1);
        assert!(filter.admits(&event(1301), NEWEST) && !filter.admits(&event(1301), OLD));
        assert!(filter.admits(&event(77), OLD) && !filter.admits(&event(201), OLD));
        assert!(KindFilter::new(&words(&["flies"])).is_err());
        assert!(KindFilter::default().admits(&event(1), OLD));
    }

    #[test]
    fn topics() {
        assert_eq!(topic("heartbeat"), Ok(Topic::HEARTBEAT));
        assert_eq!(topic("77"), Ok(Topic(77)));
        assert!(topic("4294967296").is_err() && topic("news").is_err());
    }
}
