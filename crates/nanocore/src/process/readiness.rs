//! Waiting until a server can be used. spec: nanograph 12.5

use std::time::Duration;

use nanograph::client::{ProbeError, probe};
use tokio::sync::watch;

/// Between looks at the status page; the ready line is noticed at once.
const PROBE_PERIOD: Duration = Duration::from_millis(250);
/// For one look.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The uid of who answers on the port, once somebody does: after the ready line, or as soon as the status page is there.
pub(super) async fn answering(url: &str, ready_line: &mut watch::Receiver<bool>) -> String {
    loop {
        match probe(url, PROBE_TIMEOUT).await {
            Ok(page) => return page.server_uid,
            Err(ProbeError::NotANodeServer { reason, .. }) => {
                return format!("a program that is no node server ({reason})");
            }
            Err(error) => tracing::trace!(%error, "not ready"),
        }
        let noticed = tokio::time::timeout(PROBE_PERIOD, ready_line.changed()).await;
        if matches!(noticed, Ok(Err(_))) {
            // The output has ended, so there is no line to wait for any more.
            tokio::time::sleep(PROBE_PERIOD).await;
        }
    }
}
