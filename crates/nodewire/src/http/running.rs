//! Start and end of the wire.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use nodewire_core::{BoxFuture, Executor};

use super::config::HttpConfig;
use super::error::HttpError;
use super::listener::{ConnectionLimits, Listening};
use super::routes;
use super::shared::{Shared, Shown};
use crate::server::RunningWire;

/// The wire, serving. Dropping it cuts its connections off.
#[derive(Debug)]
pub(crate) struct RunningHttp {
    shared: Arc<Shared>,
    listening: Listening,
}

/// Listens, and serves the nodes that the executor has at any time; and further routes, which admit by themselves.
///
/// # Errors
/// See [`HttpError`].
///
/// Dropping the future leaves nothing behind.
pub(crate) async fn start(
    config: HttpConfig,
    executor: Executor,
    shown: Shown,
    further: Option<Router>,
) -> Result<RunningHttp, HttpError> {
    config.access.check_token()?;
    let address = config.address;
    let limits = ConnectionLimits {
        connections_max: config.connections_max,
        head_timeout: config.head_timeout,
        write_timeout: config.write_timeout,
    };
    let shared = Arc::new(Shared::new(config, executor, shown));
    let router = routes::router(&shared).merge(further.unwrap_or_default());
    let counts = Arc::clone(&shared.connections);
    let listening = Listening::start(address, limits, counts, router).await?;
    Ok(RunningHttp { shared, listening })
}

impl RunningHttp {
    pub(crate) fn address(&self) -> SocketAddr {
        self.listening.address()
    }
}

impl RunningWire for RunningHttp {
    fn leave(&mut self) -> BoxFuture<'_, ()> {
        // Requests that still come are told by the executor that the server stops.
        self.shared.is_leaving.store(true, Ordering::Relaxed);
        Box::pin(std::future::ready(()))
    }

    fn close(self: Box<Self>, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(self.listening.close(time))
    }
}
