//! Waiting for a server, and connecting to it.

use std::sync::Arc;
use std::time::Duration;

use nanograph::client::{Client, ClientConfig, ConnectError, KeepAlive};

use super::super::Shared;
use super::{Running, StartFailure};
use crate::process::ProcessError;
use crate::registry::Entry;

/// Between attempts to connect to a server that has just become ready.
const CONNECT_PERIOD: Duration = Duration::from_millis(100);

/// Waits until the server can be used, and connects.
pub(in crate::supervisor) async fn connect(
    shared: Arc<Shared>,
    entry: Entry,
    running: Option<Running>,
    auto_watch: bool,
) -> Result<Client, StartFailure> {
    let options = &shared.parts.options;
    let mut url = entry.url.clone().unwrap_or_default();
    if let Some(Running { process, .. }) = &running {
        let timeout = entry.start_timeout.unwrap_or(options.start_timeout);
        process.wait_until_ready(timeout).await.map_err(|error| {
            let message = crate::supervisor::with_cause(&error);
            if matches!(error, ProcessError::Foreign { .. }) {
                StartFailure::Foreign(message)
            } else {
                StartFailure::Failed(message)
            }
        })?;
        url = process.url();
    }
    let mut config = ClientConfig {
        expected_server_uid: Some(entry.server_uid.clone()),
        handshake_timeout: options.handshake_timeout,
        ..ClientConfig::default()
    };
    if auto_watch {
        // An idle Python server notices changes of its files only when something arrives. spec: nanograph N13
        config.keep_alive = KeepAlive::watching();
    }
    // Several pings go out before silence means anything.
    let timeout = options.keep_alive_timeout;
    config.keep_alive = KeepAlive {
        interval: config.keep_alive.interval.min(timeout / 2),
        timeout,
    };
    let end = tokio::time::Instant::now() + options.handshake_timeout;
    loop {
        let error = match Client::connect(&url, config.clone()).await {
            Ok(client) => return Ok(client),
            Err(error @ ConnectError::WrongServer { .. }) => {
                return Err(StartFailure::Foreign(error.to_string()));
            }
            Err(error) => error,
        };
        // Somebody else's server is tried again after a while, as is one that does not come to listen.
        if running.is_none() || tokio::time::Instant::now() >= end {
            return Err(StartFailure::Failed(error.to_string()));
        }
        tokio::time::sleep(CONNECT_PERIOD).await;
    }
}
