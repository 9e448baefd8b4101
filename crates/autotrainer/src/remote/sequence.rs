//! What can be told from the events themselves: gaps, and second copies of emergencies. spec: autotrainer 5.1, 5.3

use std::collections::VecDeque;

use super::subscription::Gap;
use crate::event::Event;
use crate::topic::Topic;

/// Compares each message with the one before.
#[derive(Debug, Default)]
pub(super) struct IndexWatch {
    index: Option<u64>,
    sequence: Option<u64>,
}

impl IndexWatch {
    /// What is missing before a message of this number. To be asked only where everything that is numbered comes by.
    pub(super) fn sequence_gap(&mut self, sequence: u64) -> Option<Gap> {
        let last = self.sequence.replace(sequence)?;
        match sequence.checked_sub(last) {
            // The second copy of an emergency, and the next.
            Some(0 | 1) => None,
            Some(ahead) => Some(Gap::Sequence { missing: ahead - 1 }),
            None => Some(Gap::SequenceWentBack { last, sequence }),
        }
    }

    /// What is missing before a heartbeat that says that this number was the last.
    pub(super) fn heartbeat_gap(&mut self, sequence: u64) -> Option<Gap> {
        let last = self.sequence.replace(sequence)?;
        match sequence.checked_sub(last) {
            Some(0) => None,
            Some(missing) => Some(Gap::Sequence { missing }),
            None => Some(Gap::SequenceWentBack { last, sequence }),
        }
    }

    /// What an event's index tells.
    pub(super) fn index_gap(&mut self, event: &Event) -> Option<Gap> {
        let index = event.index?;
        let last = self.index.replace(index)?;
        (index < last).then_some(Gap::IndexWentBack { last, index })
    }
}

/// The copies are published one after the other; heartbeats and other events can fall in between.
const REMEMBERED_MAX: usize = 64;

/// Remembers emergencies until their second copy comes.
#[derive(Debug, Default)]
pub(super) struct Merge {
    waiting: VecDeque<(Topic, i64, u64)>,
}

impl Merge {
    /// Whether the same was delivered from the other topic.
    pub(super) fn is_copy(&mut self, topic: Topic, event: &Event) -> bool {
        let Some(index) = event.index else {
            return false;
        };
        if Topic::of_event(event.kind_number).len() < 2 {
            return false;
        }
        let place = self.waiting.iter().position(|(other, kind, its_index)| {
            *other != topic && *kind == event.kind_number && *its_index == index
        });
        if let Some(place) = place {
            self.waiting.remove(place);
            return true;
        }
        if self.waiting.len() == REMEMBERED_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back((topic, event.kind_number, index));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::UnixTime;

    fn event(kind: i64, index: u64) -> Event {
        Event::numbered(kind, UnixTime(0.0), index)
    }

    #[test]
    fn an_index_tells_a_restart_and_nothing_else() {
        let mut watch = IndexWatch::default();
        let gaps: Vec<_> = [5, 5, 900, 7, 8]
            .into_iter()
            .map(|index| watch.index_gap(&event(201, index)))
            .collect();
        let back = Gap::IndexWentBack {
            last: 900,
            index: 7,
        };
        assert_eq!(gaps, [None, None, None, Some(back), None]);
    }

    #[test]
    fn a_sequence_tells_how_many_are_missing() {
        let mut watch = IndexWatch::default();
        let gaps: Vec<_> = [1, 2, 2, 5, 1, 2]
            .into_iter()
            .map(|sequence| watch.sequence_gap(sequence))
            .collect();
        let missing = Some(Gap::Sequence { missing: 2 });
        let back = Some(Gap::SequenceWentBack {
            last: 5,
            sequence: 1,
        });
        assert_eq!(gaps, [None, None, None, missing, back, None]);
    }

    #[test]
    fn a_heartbeat_tells_what_is_missing_before_a_silence() {
        let mut watch = IndexWatch::default();
        assert_eq!(watch.heartbeat_gap(5), None);
        assert_eq!(watch.sequence_gap(6), None);
        assert_eq!(watch.heartbeat_gap(6), None);
        assert_eq!(watch.heartbeat_gap(8), Some(Gap::Sequence { missing: 2 }));
        assert_eq!(watch.sequence_gap(9), None);
        let back = Gap::SequenceWentBack {
            last: 9,
            sequence: 0,
        };
        assert_eq!(watch.heartbeat_gap(0), Some(back));
    }

    #[test]
    fn each_emergency_once_and_repeats_stay() {
        let mut merge = Merge::default();
        let stop = event(101, 7);
        assert!(!merge.is_copy(Topic::EMERGENCY, &stop));
        assert!(merge.is_copy(Topic::EVENT, &stop));
        assert!(!merge.is_copy(Topic::EVENT, &stop));
        assert!(!merge.is_copy(Topic::EVENT, &stop));
        assert!(!merge.is_copy(Topic::EMERGENCY, &event(102, 7)));
        assert!(!merge.is_copy(Topic::EVENT, &event(201, 1)));
        assert!(!merge.is_copy(Topic::PROPERTY_CHANGE, &event(201, 1)));
    }
}
