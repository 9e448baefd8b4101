//! Stopping without losing a request. spec: nats-micro 8

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::lifecycle::StopReason;
use super::running::{Ended, Running};
use crate::endpoint::PumpEnd;

/// What may be taken beyond the deadline: for cutting off, for flushing, for giving up control subjects.
const GRACE: Duration = Duration::from_secs(2);

/// Begins the stop, once; later calls change nothing. The stop goes on in a task of its own, in the runtime that the
/// service was started in, whoever waits for it.
pub(super) fn begin(running: &Arc<Running>, reason: StopReason) {
    if !running.begin_stop() {
        return;
    }
    let unfinished = Unfinished(Arc::clone(running));
    running.runtime.spawn(async move {
        stop(&unfinished.0).await;
        unfinished.0.tell_stopped(reason);
    });
}

/// Says that the service has stopped, if nobody else does: its runtime is gone.
pub(super) struct Unfinished(pub(super) Arc<Running>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.tell_stopped(StopReason::Interrupted);
    }
}

async fn stop(running: &Running) {
    let deadline = Instant::now() + running.stop_timeout;
    running.stopping.cancel();
    let mut in_time = true;
    loop {
        let ends = running.tell_all(deadline);
        in_time &= wait_for_all(ends, deadline).await;
        // Endpoints that were added meanwhile leave at once.
        if !running.has_leaving() {
            break;
        }
    }
    flush(running, deadline).await;
    running.control_ends.cancel();
    // It ends by itself; only a connection that hangs, or statistics that take long, could hold it up.
    let _ = timeout_at(deadline + GRACE, running.control_ended.cancelled()).await;
    if !in_time {
        tracing::warn!(
            service = running.identity.name,
            "the stop took too long; requests that were still running were answered with 503"
        );
    }
}

/// Waits for the ends of endpoints; `false` if one was cut off, or is stuck in a handler that blocks its thread.
async fn wait_for_all(ends: Vec<Ended>, deadline: Instant) -> bool {
    let mut in_time = true;
    for mut ended in ends {
        let end = timeout_at(deadline + GRACE, ended.wait_for(Option::is_some)).await;
        // A task that is gone has ended.
        in_time &= match end {
            Ok(Ok(end)) => *end != Some(PumpEnd::CutOff),
            Ok(Err(_)) => true,
            Err(_) => false,
        };
    }
    in_time
}

/// Waits for an endpoint that was taken out of the service.
pub(super) async fn wait_for_removed(running: &Running, ended: Ended) {
    let deadline = Instant::now() + running.stop_timeout;
    wait_for_all(vec![ended], deadline).await;
    flush(running, deadline).await;
}

/// A connection that is closed or away has nothing to flush to.
async fn flush(running: &Running, deadline: Instant) {
    if running.transport.is_connected() {
        let _ = timeout_at(deadline + GRACE, running.transport.flush()).await;
    }
}
