//! How many spans of published messages there may be.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many in each second.
#[derive(Debug)]
pub(super) struct Rate {
    per_second_max: u32,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    start: Instant,
    taken: u32,
}

impl Rate {
    pub(super) fn new(per_second_max: u32) -> Self {
        let start = Instant::now();
        Self {
            per_second_max,
            window: Mutex::new(Window { start, taken: 0 }),
        }
    }

    pub(super) fn take(&self, now: Instant) -> bool {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(window.start) >= Duration::from_secs(1) {
            *window = Window {
                start: now,
                taken: 0,
            };
        }
        let is_taken = window.taken < self.per_second_max;
        window.taken += u32::from(is_taken);
        is_taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Rate;

    #[test]
    fn so_many_are_taken_in_each_second() {
        let rate = Rate::new(2);
        let start = Instant::now();
        let taken = |at_ms| rate.take(start + Duration::from_millis(at_ms));
        assert_eq!([0, 10, 20, 900].map(taken), [true, true, false, false]);
        assert_eq!([1500, 1600, 1700].map(taken), [true, true, false]);
    }

    #[test]
    fn none_are_taken_where_none_are_wanted() {
        assert!(!Rate::new(0).take(Instant::now() + Duration::from_secs(9)));
    }
}
