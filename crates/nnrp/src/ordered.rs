//! Results in the order of their frames, for those who wait. spec: nnrp-session 6

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nnrp_wire::session::{FrameKey, OrderOptions, OrderRefusal, ResultOrder};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::driver::later;

/// An ordered buffer that can be waited on: [`ResultOrder`] with a clock and without lost wake-ups.
///
/// What came in any order goes out by frame. In strict order ([`OrderOptions::start`]) each frame waits for the one before
/// it, until that is finished, skipped, or missing for too long.
///
/// ```
/// use nnrp::OrderedResults;
/// use nnrp_wire::session::{FrameKey, OrderOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let ordered = OrderedResults::new(OrderOptions { start: Some(1), ..OrderOptions::default() });
/// ordered.add(FrameKey::new(2), "second").unwrap();
/// ordered.add(FrameKey::new(1), "first").unwrap();
/// ordered.finish(1);
/// assert_eq!(ordered.next().await, Some((FrameKey::new(1), "first")));
/// assert_eq!(ordered.next().await, Some((FrameKey::new(2), "second")));
/// # }
/// ```
#[derive(Debug)]
pub struct OrderedResults<T> {
    state: Mutex<State<T>>,
    changed: Notify,
    began: Instant,
}

#[derive(Debug)]
struct State<T> {
    order: ResultOrder<T>,
    is_closed: bool,
}

impl<T> OrderedResults<T> {
    /// Empty. Must be called in a tokio runtime if there is a gap timeout.
    #[must_use]
    pub fn new(options: OrderOptions) -> Self {
        Self {
            state: Mutex::new(State {
                order: ResultOrder::new(options),
                is_closed: false,
            }),
            changed: Notify::new(),
            began: Instant::now(),
        }
    }

    /// Adds what came of a frame, behind what came of it before.
    ///
    /// # Errors
    /// With the item, if there are too many, or strict order is past its frame.
    pub fn add(&self, key: FrameKey, item: T) -> Result<(), (OrderRefusal, T)> {
        self.change(|order, now| order.add(key, item, now))
    }

    /// Nothing more will come of a frame: strict order goes on behind it. Says whether it is remembered until its turn; as
    /// many frames as items are.
    pub fn finish(&self, frame_id: u32) -> bool {
        self.change(|order, now| order.finish(frame_id, now))
    }

    /// Strict order waits for no frame up to this one.
    pub fn skip(&self, frame_id: u32) {
        self.change(|order, now| order.skip(frame_id, now));
    }

    /// Nothing more will be added. What is there goes out, across gaps.
    pub fn close(&self) {
        self.change(|order, now| order.skip(u32::MAX, now));
        self.lock().is_closed = true;
        self.changed.notify_waiters();
    }

    /// Waits for the next item; `None` once it is closed and empty. Several may wait; each item goes to one of them.
    ///
    /// Nothing is lost if this is dropped.
    pub async fn next(&self) -> Option<(FrameKey, T)> {
        self.wait(|order, now| order.pop_next(None, now)).await
    }

    /// Waits for the first item of this frame, whatever its place; `None` if it is closed and has none.
    ///
    /// Nothing is lost if this is dropped.
    pub async fn wait_for_frame(&self, frame_id: u32) -> Option<(FrameKey, T)> {
        self.wait(|order, now| order.pop_frame(frame_id, now)).await
    }

    /// The next item, if it is its turn now; with `expected`, only if it is of that frame.
    pub fn pop_next(&self, expected: Option<u32>) -> Option<(FrameKey, T)> {
        self.change(|order, now| {
            order.handle_timeout(now);
            order.pop_next(expected, now)
        })
    }

    /// The frame that would go out next, if it is there.
    #[must_use]
    pub fn peek_next_frame_id(&self) -> Option<u32> {
        self.lock().order.peek_next_frame_id()
    }

    /// Items that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().order.len()
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frames that strict order went on without because they were missing for too long.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.lock().order.skipped()
    }

    async fn wait(
        &self,
        mut take: impl FnMut(&mut ResultOrder<T>, Duration) -> Option<(FrameKey, T)>,
    ) -> Option<(FrameKey, T)> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on, nothing that is added is missed.
            changed.as_mut().enable();
            let turn_at = match self.look(&mut take) {
                Looked::Found(found) => return found,
                Looked::Wait(turn_at) => turn_at,
            };
            match turn_at {
                Some(turn_at) => {
                    tokio::select! {
                        () = changed => {}
                        () = sleep_until(turn_at) => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    fn look(
        &self,
        take: &mut impl FnMut(&mut ResultOrder<T>, Duration) -> Option<(FrameKey, T)>,
    ) -> Looked<T> {
        let now = self.began.elapsed();
        let mut state = self.lock();
        state.order.handle_timeout(now);
        let taken = take(&mut state.order, now);
        if taken.is_none() && !state.is_closed {
            let turn_at = state.order.next_timeout();
            return Looked::Wait(turn_at.map(|at| later(self.began, at)));
        }
        drop(state);
        // What went out may have made it another's turn.
        self.changed.notify_waiters();
        Looked::Found(taken)
    }

    fn change<R>(&self, act: impl FnOnce(&mut ResultOrder<T>, Duration) -> R) -> R {
        let now = self.began.elapsed();
        let done = act(&mut self.lock().order, now);
        self.changed.notify_waiters();
        done
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a waiter has found.
enum Looked<T> {
    /// An item; or that none will come.
    Found(Option<(FrameKey, T)>),
    /// Nothing; something may be missing for too long at this time.
    Wait(Option<Instant>),
}
