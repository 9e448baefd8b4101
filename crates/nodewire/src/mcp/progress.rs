//! Progress, as notifications.

use nodewire_core::Progress;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::{Peer, RoleServer};

/// How much more a report is told as that is not more than the last.
const LEAST: f64 = 1.0 / 1024.0;

/// Tells the progress of one call to whoever asked for it.
#[derive(Debug)]
pub(super) struct Reports {
    peer: Peer<RoleServer>,
    token: ProgressToken,
    last: Option<f64>,
}

impl Reports {
    pub(super) fn new(peer: Peer<RoleServer>, token: ProgressToken) -> Self {
        Self {
            peer,
            token,
            last: None,
        }
    }

    /// Completes when the connection has taken it. Fails, which is not told, where there is no connection any more.
    pub(super) async fn send(&mut self, progress: Progress) {
        let step = further(self.last, progress.step);
        self.last = Some(step);
        let mut told = ProgressNotificationParam::new(self.token.clone(), step);
        told.total = progress.total.map(float);
        told.message = Some(progress.message).filter(|message| !message.is_empty());
        if let Err(error) = self.peer.notify_progress(told).await {
            tracing::debug!(%error, "progress cannot be told");
        }
    }
}

/// The step, or a little more than the last one if it is not.
fn further(last: Option<f64>, step: Option<u64>) -> f64 {
    match (last, step.map(float)) {
        (None, step) => step.unwrap_or(0.0),
        (Some(last), Some(step)) if step > last => step,
        (Some(last), _) => last + LEAST,
    }
}

#[expect(clippy::cast_precision_loss, reason = "MCP has floating-point numbers")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_more_than_the_last() {
        let mut last = None;
        let mut next = |step| {
            let next = further(last, step);
            last = Some(next);
            next
        };
        let told = [None, Some(1), None, Some(1), Some(2)].map(&mut next);
        assert_eq!(told, [0.0, 1.0, 1.0 + LEAST, 1.0 + 2.0 * LEAST, 2.0]);
    }
}
