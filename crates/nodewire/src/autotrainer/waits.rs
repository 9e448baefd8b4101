//! Answers that wait for their results, each at most for a time of its own.
//!
//! There is one timer for all, which is only set anew where it has to ring earlier: setting one for each request would wake
//! the runtime's driver with each request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

/// A wait without an end that an [`Instant`] can tell; about 30 years.
const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// What waits, as many as there are futures of [`Waits::at_most`].
#[derive(Debug)]
pub(super) struct Waits {
    queue: Arc<Queue>,
    _timer: AbortOnDropHandle<()>,
}

#[derive(Debug, Default)]
struct Queue {
    // A std mutex: held for a look-up, never across an await.
    state: Mutex<State>,
    /// Notified when the timer has to ring earlier.
    earlier: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<Key, oneshot::Sender<()>>,
    next_id: u64,
    /// When the timer rings: at the end of the first wait or, if that one is gone already, before.
    rings_at: Option<Instant>,
}

/// When a wait is over, and which one it is.
type Key = (Instant, u64);

impl Waits {
    /// To be called within a tokio runtime.
    pub(super) fn start() -> Self {
        let queue = Arc::<Queue>::default();
        let timer = tokio::spawn(ring(Arc::clone(&queue)));
        Self {
            queue,
            _timer: AbortOnDropHandle::new(timer),
        }
    }

    /// What comes of the future; `None` if it takes longer. The future is dropped then, unless it was lent.
    pub(super) async fn at_most<F: Future>(&self, time: Duration, future: F) -> Option<F::Output> {
        let (place, over) = self.queue.begin(time);
        let output = tokio::select! {
            biased;
            output = future => Some(output),
            _ = over => None,
        };
        drop(place);
        output
    }
}

impl Queue {
    fn begin(&self, time: Duration) -> (Place<'_>, oneshot::Receiver<()>) {
        let now = Instant::now();
        let end = now.checked_add(time).unwrap_or(now + FOR_EVER);
        let (over, is_over) = oneshot::channel();
        let mut state = self.lock();
        let key = (end, state.next_id);
        state.next_id += 1;
        state.waiting.insert(key, over);
        if state.rings_at.is_none_or(|rings_at| end < rings_at) {
            state.rings_at = Some(end);
            self.earlier.notify_one();
        }
        (Place { queue: self, key }, is_over)
    }

    /// Tells those whose time is over; when to look again.
    fn tell(&self, now: Instant) -> Option<Instant> {
        let mut state = self.lock();
        while let Some(first) = state.waiting.first_entry()
            && first.key().0 <= now
        {
            // The one that waited may be gone this moment.
            let _ = first.remove().send(());
        }
        let next = state.waiting.first_key_value();
        state.rings_at = next.map(|(&(end, _), _)| end);
        state.rings_at
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ring(queue: Arc<Queue>) {
    loop {
        match queue.tell(Instant::now()) {
            Some(next) => tokio::select! {
                () = sleep_until(next) => {}
                () = queue.earlier.notified() => {}
            },
            None => queue.earlier.notified().await,
        }
    }
}

/// A wait's place in the queue, given back when it is dropped.
#[derive(Debug)]
struct Place<'a> {
    queue: &'a Queue,
    key: Key,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.queue.lock().waiting.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn each_waits_for_its_own_time() {
        let (waits, begin) = (Waits::start(), Instant::now());
        let over = async |time: Duration| {
            assert_eq!(waits.at_most(time, pending::<()>()).await, None);
            begin.elapsed()
        };
        // The second one has to set the timer anew.
        let (long, short) = tokio::join!(over(2 * SECOND), over(SECOND));
        // A timer rings at the millisecond after.
        let late = Duration::from_millis(2);
        assert!(short >= SECOND && short <= SECOND + late, "{short:?}");
        assert!(long >= 2 * SECOND && long <= 2 * SECOND + late, "{long:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_behind_one_that_was_not_used_up_lasts_as_long_as_it_should() {
        let waits = Waits::start();
        assert_eq!(waits.at_most(SECOND, ready(1)).await, Some(1));
        assert_eq!(waits.queue.lock().waiting.len(), 0);
        tokio::time::sleep(SECOND / 2).await;
        let begin = Instant::now();
        assert_eq!(waits.at_most(SECOND, pending::<()>()).await, None);
        assert!(begin.elapsed() >= SECOND);
        tokio::task::yield_now().await;
        assert_eq!(waits.queue.lock().rings_at, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_in_time_is_the_outcome_however_long_the_time() {
        let waits = Waits::start();
        let slow = async {
            tokio::time::sleep(100 * SECOND).await;
            7
        };
        assert_eq!(waits.at_most(Duration::MAX, slow).await, Some(7));
        assert_eq!(waits.at_most(Duration::ZERO, ready(7)).await, Some(7));
        assert_eq!(
            waits.at_most(Duration::ZERO, pending::<()>()).await,
            None,
            "no time is over at once"
        );
    }
}
