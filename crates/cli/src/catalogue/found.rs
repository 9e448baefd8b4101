//! What was found where.

use std::time::Duration;

use futures_util::future::join_all;
use nodewire::client::{
    Remote, RemoteError, RemoteErrorKind, RemoteOptions, ServerDescription, Target,
};
use tokio::time::Instant;

use super::places::Places;
use crate::failure::chain;

/// What ends by its own timeout tells more.
const SLACK: Duration = Duration::from_millis(200);

/// For connections to end in good order; the others learn of it by themselves.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// A target, and what is there.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) target: Target,
    pub(super) remote: Option<Remote>,
    pub(super) servers: Result<Vec<ServerDescription>, Unreached>,
}

/// Why nothing is known of a target.
#[derive(Debug, Clone)]
pub(super) struct Unreached {
    pub(super) kind: RemoteErrorKind,
    pub(super) text: String,
}

impl From<RemoteError> for Unreached {
    fn from(error: RemoteError) -> Self {
        Self {
            kind: error.kind(),
            text: chain(&error),
        }
    }
}

impl Found {
    /// Connects and asks, until then at the latest.
    pub(super) async fn look(target: Target, options: &RemoteOptions, until: Instant) -> Self {
        let mut own = options.clone();
        own.connect_timeout = left(until);
        let connecting = Remote::connect(&target, own);
        match in_time(until, Box::pin(connecting)).await {
            Ok(remote) => Self::ask(target, remote, until).await,
            Err(unreached) => Self {
                target,
                remote: None,
                servers: Err(unreached),
            },
        }
    }

    /// The same, over the connection that there is, unless it was of no use.
    pub(super) async fn again(self, options: &RemoteOptions, until: Instant) -> Self {
        match (self.remote, self.servers) {
            (Some(remote), Ok(_)) => Self::ask(self.target, remote, until).await,
            (_, _) => Self::look(self.target, options, until).await,
        }
    }

    async fn ask(target: Target, remote: Remote, until: Instant) -> Self {
        let asking = remote.describe_within(left(until));
        let servers = in_time(until, asking).await;
        Self {
            target,
            remote: Some(remote),
            servers,
        }
    }

    /// Whether anybody answered.
    pub(super) fn is_there(&self) -> bool {
        let servers = self.servers.as_ref();
        servers.is_ok_and(|servers| !servers.is_empty())
    }

    async fn close(&self) {
        if let Some(remote) = &self.remote {
            remote.close().await;
        }
    }
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

async fn in_time<T>(
    until: Instant,
    work: impl Future<Output = Result<T, RemoteError>>,
) -> Result<T, Unreached> {
    let begun = Instant::now();
    match tokio::time::timeout_at(until + SLACK, work).await {
        Ok(done) => done.map_err(Unreached::from),
        Err(_) => Err(Unreached {
            kind: RemoteErrorKind::Unreachable,
            text: format!("no answer within {:.1} s", begun.elapsed().as_secs_f64()),
        }),
    }
}

/// Looks everywhere at once. If it is dropped, all connections are given up.
pub(super) async fn look(places: &Places) -> Vec<Found> {
    let looks = places.targets.iter().map(|target| {
        let look = Found::look(target.clone(), &places.options, places.until);
        Box::pin(look)
    });
    join_all(looks).await
}

/// Ends the connections.
pub(super) async fn close<'a>(found: impl IntoIterator<Item = &'a Found>) {
    let closing = join_all(found.into_iter().map(Found::close));
    // What has not ended by then ends with the program.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use nodewire::capability::Wire;

    use super::*;
    use crate::catalogue::places::options;

    #[tokio::test(start_paused = true)]
    async fn looking_ends_in_time_on_every_wire_and_says_why() {
        // An error says that another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let gone = TcpListener::bind("127.0.0.1:0").unwrap();
        let free = gone.local_addr().unwrap().port();
        drop(gone);
        let mut targets = Vec::new();
        for port in [port, free] {
            for (wire, text) in [
                (Wire::Nanograph, format!("127.0.0.1:{port}")),
                (Wire::Nats, format!("127.0.0.1:{port}")),
                (Wire::Autotrainer, format!("{port},{port}")),
                (Wire::Nnrp, format!("nnrp+tcp://127.0.0.1:{port}")),
                (Wire::Http, format!("127.0.0.1:{port}")),
            ] {
                targets.push(Target::parse(wire, &text).unwrap());
            }
        }
        let wait = Duration::from_secs(5);
        // The clock is paused: it goes on only while everybody waits, however busy the machine is.
        let begun = Instant::now();
        let places = Places {
            targets,
            options: options(wait),
            until: begun + wait,
            wait,
        };
        let found = look(&places).await;
        assert!(begun.elapsed() <= wait + 2 * SLACK, "{:?}", begun.elapsed());
        for found in &found {
            let unreached = found.servers.as_ref().unwrap_err();
            assert_eq!(unreached.kind, RemoteErrorKind::Unreachable, "{found:?}");
            assert!(!unreached.text.is_empty(), "{found:?}");
        }
        close(&found).await;
    }
}
