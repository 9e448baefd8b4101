//! The order in which a server ends.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nodewire_core::{BoxFuture, Executor};

use super::wires::RunningWire;

/// Why a shutdown handler failed.
pub type ShutdownError = Box<dyn std::error::Error + Send + Sync>;

/// Something to do when the server stops.
pub(super) struct ShutdownHandler {
    pub(super) name: String,
    pub(super) work: BoxFuture<'static, Result<(), ShutdownError>>,
}

impl std::fmt::Debug for ShutdownHandler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShutdownHandler")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a stop is to do, and how long it may take.
#[derive(Debug)]
pub(super) struct Shutdown {
    pub(super) drain: Duration,
    pub(super) handlers: Vec<ShutdownHandler>,
    pub(super) handler_time: Duration,
}

impl Shutdown {
    /// Leaves the wires that can be left without losing a request, lets the executions end, so that their last events go
    /// out, closes the wires, and runs the handlers.
    pub(super) async fn run(self, mut wires: Vec<Box<dyn RunningWire>>, executor: Executor) {
        let began = Instant::now();
        let leaving = join_all(wires.iter_mut().map(|wire| wire.leave()));
        // A wire may wait for what runs; after half the time the executor refuses what still comes, and ends what runs.
        let _ = tokio::time::timeout(self.drain / 2, leaving).await;
        executor
            .shutdown(self.drain.saturating_sub(began.elapsed()))
            .await;
        close_all(wires, self.drain).await;
        for handler in self.handlers {
            handler.run(self.handler_time).await;
        }
    }
}

/// Closes wires side by side; each bounds the time it takes for what is still to be said by `time`.
pub(super) async fn close_all(wires: Vec<Box<dyn RunningWire>>, time: Duration) {
    join_all(wires.into_iter().map(|wire| wire.close(time))).await;
}

impl ShutdownHandler {
    async fn run(self, time: Duration) {
        // In a task of its own, as it may panic.
        let mut task = tokio::spawn(self.work);
        let problem = match tokio::time::timeout(time, &mut task).await {
            Ok(Ok(Ok(()))) => return,
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => {
                task.abort();
                format!("it took longer than {time:?}")
            }
        };
        tracing::error!(handler = %self.name, %problem, "a shutdown handler failed");
    }
}
