//! Ctrl-C, SIGTERM and a terminal that goes away: the first asks to stop, the second stops at once.

use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// A second signal within this time is the same wish: the `timeout` command sends its signal to the process, and then to the
/// process's group.
const SAME_WISH: Duration = Duration::from_millis(25);

/// What the person asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signals {
    /// Cancelled at the first signal.
    pub(crate) stop: CancellationToken,
    /// Cancelled at the second.
    pub(crate) kill: CancellationToken,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let failed =
            |error: std::io::Error| Failure::servers(format!("cannot catch signals: {error}"));
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
        let signals = Self::default();
        let (stop, kill) = (signals.stop.clone(), signals.kill.clone());
        tokio::spawn(async move {
            let mut next = async || {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
            };
            next().await;
            stop.cancel();
            let first = Instant::now();
            loop {
                next().await;
                if first.elapsed() >= SAME_WISH {
                    break;
                }
            }
            kill.cancel();
        });
        Ok(signals)
    }

    /// Does the work unless the first signal comes; whatever it has started by then is dropped.
    pub(crate) async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Failure::interrupted()),
            done = work => done,
        }
    }

    /// Does the work, which minds the first signal itself, unless the second comes.
    pub(crate) async fn unless_killed<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.kill.cancelled() => Err(Failure::interrupted()),
            done = work => done,
        }
    }
}
