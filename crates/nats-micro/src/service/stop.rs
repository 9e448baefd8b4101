//! Stopping without losing a request. spec: nats-micro 8

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::lifecycle::StopReason;
use super::running::{EndpointEntry, Running};
use crate::endpoint::PumpEnd;

/// What flushing and giving up control subjects may take beyond the deadline.
const FLUSH_GRACE: Duration = Duration::from_secs(1);

/// Begins the stop, once; later calls change nothing. The stop goes on in a task of its own, whoever waits for it.
pub(super) fn begin(running: &Arc<Running>, reason: StopReason) {
    if !running.begin_stop() {
        return;
    }
    let running = Arc::clone(running);
    tokio::spawn(async move { stop(&running, reason).await });
}

async fn stop(running: &Running, reason: StopReason) {
    let deadline = Instant::now() + running.stop_timeout;
    running.stopping.cancel();
    let tasks: Vec<_> = {
        let state = running.state();
        for entry in &state.endpoints {
            entry.stop.send_replace(Some(deadline));
        }
        // The entries stay, so that STATS shows the drain.
        state
            .endpoints
            .iter()
            .map(|entry| entry.ended.clone())
            .collect()
    };
    let mut cut_off = false;
    for mut ended in tasks {
        // An endpoint's task that is gone has ended.
        let end = ended.wait_for(Option::is_some).await.map(|end| *end);
        cut_off |= matches!(end, Ok(Some(PumpEnd::CutOff)));
    }
    flush(running, deadline).await;
    running.control_ends.cancel();
    // It ends by itself; only a connection that hangs could hold it up.
    let _ = timeout_at(deadline + FLUSH_GRACE, running.control_ended.cancelled()).await;
    if cut_off {
        tracing::warn!(
            service = running.identity.name,
            "the stop took too long; running requests were answered with 503"
        );
    }
    running.stopped.send_replace(Some(Arc::new(reason)));
}

/// Waits for one endpoint that was taken out of the service.
pub(super) async fn stop_endpoint(running: &Running, entry: EndpointEntry) {
    let deadline = Instant::now() + running.stop_timeout;
    entry.stop.send_replace(Some(deadline));
    let mut ended = entry.ended;
    let _ = ended.wait_for(Option::is_some).await;
    flush(running, deadline).await;
}

/// A connection that is closed or away has nothing to flush to.
async fn flush(running: &Running, deadline: Instant) {
    if running.transport.is_connected() {
        let _ = timeout_at(deadline + FLUSH_GRACE, running.transport.flush()).await;
    }
}
