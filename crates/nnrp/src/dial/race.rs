//! Attempts that begin one after the other, and of which the first that succeeds is taken.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::sleep;

pub(super) type Attempt<'a, T, E> = BoxFuture<'a, Result<T, E>>;

/// The next one begins when there was no success for so long, or another has failed. If none succeeds, what each failed of,
/// in the order in which they failed. The others are dropped.
pub(super) async fn first_of<T, E>(
    attempts: Vec<Attempt<'_, T, E>>,
    head_start: Duration,
) -> Result<T, Vec<E>> {
    let mut waiting = attempts.into_iter();
    let mut running = FuturesUnordered::new();
    let mut errors = Vec::new();
    running.extend(waiting.next());
    while !running.is_empty() {
        tokio::select! {
            biased;
            Some(ended) = running.next() => match ended {
                Ok(success) => return Ok(success),
                Err(error) => errors.push(error),
            },
            () = sleep(head_start), if !waiting.as_slice().is_empty() => {}
        }
        running.extend(waiting.next());
    }
    Err(errors)
}
