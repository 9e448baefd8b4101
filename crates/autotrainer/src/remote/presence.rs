//! Whether services are there, as their heartbeats tell. spec: autotrainer 4
//!
//! A heartbeat does not prove that commands work (Q8): [`Remote::probe`](super::Remote::probe) does.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::heartbeat::Heartbeat;
use crate::level::ProtocolLevel;

/// Whether a service is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Presence {
    /// Its last heartbeat is at most one and a half intervals old.
    Present,
    /// Its last heartbeat is older.
    Late,
    /// Its last heartbeat is more than three intervals old.
    Gone,
}

/// A service whose heartbeats were seen.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSeen {
    /// Its last heartbeat.
    pub heartbeat: Heartbeat,
    /// What it speaks.
    pub level: ProtocolLevel,
    /// Whether it is there.
    pub presence: Presence,
    /// When its last heartbeat came, by this side's clock.
    pub seen_at: std::time::Instant,
    /// The time between its heartbeats, as it is set or observed.
    pub interval: Duration,
    /// Heartbeats that came.
    pub heartbeats: u64,
}

/// What is assumed until two heartbeats have come.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(5);

/// A median of so many is not moved by one burst or pause.
const GAPS_MAX: usize = 5;

/// Follows services by their heartbeats; reads no clock.
#[derive(Debug)]
pub(super) struct Tracker {
    services: BTreeMap<String, Tracked>,
    interval: Option<Duration>,
    services_max: usize,
}

#[derive(Debug)]
struct Tracked {
    seen: ServiceSeen,
    at: Instant,
    gaps: VecDeque<Duration>,
}

/// There are as many services as are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

impl Tracker {
    pub(super) const fn new(interval: Option<Duration>, services_max: usize) -> Self {
        Self {
            services: BTreeMap::new(),
            interval,
            services_max,
        }
    }

    /// Takes a heartbeat; tells what its service has become, if that is new.
    pub(super) fn beat(
        &mut self,
        heartbeat: Heartbeat,
        now: Instant,
    ) -> Result<Option<Presence>, TooMany> {
        let fixed = self.interval;
        let is_full = self.services.len() >= self.services_max;
        if let Some(tracked) = self.services.get_mut(&heartbeat.identifier) {
            return Ok(tracked.beat(heartbeat, now, fixed));
        }
        if is_full && !self.forget_one_gone() {
            return Err(TooMany);
        }
        let tracked = Tracked::new(&heartbeat, now, fixed.unwrap_or(INTERVAL_DEFAULT));
        self.services.insert(heartbeat.identifier, tracked);
        Ok(Some(Presence::Present))
    }

    fn forget_one_gone(&mut self) -> bool {
        let gone = self
            .services
            .iter()
            .filter(|(_, tracked)| tracked.seen.presence == Presence::Gone)
            .min_by_key(|(_, tracked)| tracked.at)
            .map(|(identifier, _)| identifier.clone());
        gone.is_some_and(|identifier| self.services.remove(&identifier).is_some())
    }

    /// When something changes without a heartbeat.
    pub(super) fn next_check(&self) -> Option<Instant> {
        self.services.values().filter_map(Tracked::next_check).min()
    }

    /// Who has become late or gone by now.
    pub(super) fn check(&mut self, now: Instant) -> Vec<(String, Presence)> {
        let due = self
            .services
            .iter_mut()
            .filter_map(|(identifier, tracked)| {
                let presence = tracked.check(now)?;
                Some((identifier.clone(), presence))
            });
        due.collect()
    }

    pub(super) fn seen(&self) -> Vec<ServiceSeen> {
        let all = self.services.values();
        all.map(|tracked| tracked.seen.clone()).collect()
    }
}

impl Tracked {
    fn new(heartbeat: &Heartbeat, now: Instant, interval: Duration) -> Self {
        Self {
            seen: ServiceSeen {
                heartbeat: heartbeat.clone(),
                level: heartbeat.level(),
                presence: Presence::Present,
                seen_at: now.into_std(),
                interval,
                heartbeats: 1,
            },
            at: now,
            gaps: VecDeque::new(),
        }
    }

    fn beat(
        &mut self,
        heartbeat: Heartbeat,
        now: Instant,
        fixed: Option<Duration>,
    ) -> Option<Presence> {
        // The time of an absence is no interval.
        if fixed.is_none() && self.seen.presence != Presence::Gone {
            self.learn(now.saturating_duration_since(self.at));
        }
        self.at = now;
        self.seen.seen_at = now.into_std();
        self.seen.level = heartbeat.level();
        self.seen.heartbeat = heartbeat;
        self.seen.heartbeats += 1;
        self.become_(Presence::Present)
    }

    fn learn(&mut self, gap: Duration) {
        if self.gaps.len() == GAPS_MAX {
            self.gaps.pop_front();
        }
        self.gaps.push_back(gap);
        let mut sorted: Vec<Duration> = self.gaps.iter().copied().collect();
        sorted.sort_unstable();
        // At least what one burst of heartbeats cannot make of it.
        self.seen.interval = sorted[sorted.len() / 2].max(Duration::from_millis(1));
    }

    fn become_(&mut self, presence: Presence) -> Option<Presence> {
        let before = std::mem::replace(&mut self.seen.presence, presence);
        (before != presence).then_some(presence)
    }

    fn next_check(&self) -> Option<Instant> {
        let interval = self.seen.interval;
        match self.seen.presence {
            Presence::Present => Some(self.at + interval + interval / 2),
            Presence::Late => Some(self.at + interval * 3),
            Presence::Gone => None,
        }
    }

    fn check(&mut self, now: Instant) -> Option<Presence> {
        let (age, interval) = (now.saturating_duration_since(self.at), self.seen.interval);
        if age >= interval * 3 {
            self.become_(Presence::Gone)
        } else if age >= interval + interval / 2 {
            self.become_(Presence::Late)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::UnixTime;

    fn heartbeat(identifier: &str) -> Heartbeat {
        Heartbeat {
            identifier: identifier.to_owned(),
            version: "0.12.0".to_owned(),
            timestamp: UnixTime(0.0),
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_silent_service_becomes_late_then_gone_then_present() {
        let mut tracker = Tracker::new(Some(SECOND), 2);
        let start = Instant::now();
        let came = tracker.beat(heartbeat("a"), start);
        assert_eq!(came, Ok(Some(Presence::Present)));
        assert_eq!(tracker.beat(heartbeat("a"), start), Ok(None));
        assert_eq!(tracker.check(start + SECOND), []);
        let late = tracker.next_check().unwrap();
        assert_eq!(late, start + SECOND * 3 / 2);
        assert_eq!(tracker.check(late), [("a".to_owned(), Presence::Late)]);
        let gone = tracker.next_check().unwrap();
        assert_eq!(gone, start + SECOND * 3);
        assert_eq!(tracker.check(gone), [("a".to_owned(), Presence::Gone)]);
        assert_eq!(tracker.next_check(), None);
        let back = tracker.beat(heartbeat("a"), gone);
        assert_eq!(back, Ok(Some(Presence::Present)));
    }

    #[test]
    fn the_interval_is_learnt_and_survives_bursts_and_absences() {
        let mut tracker = Tracker::new(None, 2);
        let start = Instant::now();
        let interval = |tracker: &Tracker| tracker.seen()[0].interval;
        tracker.beat(heartbeat("a"), start).unwrap();
        assert_eq!(interval(&tracker), INTERVAL_DEFAULT);
        for beat in 1..=3 {
            tracker.beat(heartbeat("a"), start + SECOND * beat).unwrap();
        }
        assert_eq!(interval(&tracker), SECOND);
        // Two at once, as after a delegate that blocked.
        tracker.beat(heartbeat("a"), start + SECOND * 3).unwrap();
        assert_eq!(interval(&tracker), SECOND);
        let later = start + SECOND * 100;
        assert_eq!(tracker.check(later).len(), 1);
        tracker.beat(heartbeat("a"), later).unwrap();
        assert_eq!(interval(&tracker), SECOND);
    }

    #[test]
    fn services_are_bounded_and_gone_ones_make_room() {
        let mut tracker = Tracker::new(Some(SECOND), 2);
        let start = Instant::now();
        tracker.beat(heartbeat("a"), start).unwrap();
        tracker.beat(heartbeat("b"), start + SECOND).unwrap();
        assert_eq!(tracker.beat(heartbeat("c"), start), Err(TooMany));
        tracker.check(start + SECOND * 3);
        let came = tracker.beat(heartbeat("c"), start + SECOND * 3);
        assert_eq!(came, Ok(Some(Presence::Present)));
        let seen: Vec<_> = tracker.seen().into_iter().collect();
        assert_eq!(seen[0].heartbeat.identifier, "b");
        assert_eq!(seen[1].heartbeat.identifier, "c");
    }
}
