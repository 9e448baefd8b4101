//! The listener and its connections: limited in number, and in how long they may be silent.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nodewire_core::{BoxFuture, Executor};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::config::HttpConfig;
use super::error::HttpError;
use super::routes;
use super::shared::Shared;
use crate::capability::Losses;
use crate::metrics::Metrics;
use crate::server::RunningWire;

/// Last answers have so much time to leave the process, however short the drain time is.
const CLOSE_MIN: Duration = Duration::from_secs(1);

/// Bytes that a connection reads ahead or has to write; so a head has no more.
const BUFFER_BYTES: usize = 64 * 1024;

/// The wire, serving. Dropping it cuts its connections off.
#[derive(Debug)]
pub(crate) struct RunningHttp {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Listens, and serves the nodes that the executor has at any time.
///
/// # Errors
/// See [`HttpError`].
///
/// Dropping the future leaves nothing behind.
pub(crate) async fn start(
    config: HttpConfig,
    executor: Executor,
    losses: Losses,
    metrics: Metrics,
) -> Result<RunningHttp, HttpError> {
    if config.token.as_ref().is_some_and(|token| token.is_empty()) {
        return Err(HttpError::EmptyToken);
    }
    let address = config.address;
    let failed = |source| HttpError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "plain HTTP without TLS is served beyond this machine");
    }
    let shared = Arc::new(Shared::new(config, executor, losses, metrics));
    let stop = CancellationToken::new();
    let accepting = Accepting {
        listener,
        places: Arc::new(Semaphore::new(shared.config.connections_max.max(1))),
        serving: Serving {
            router: routes::router(&shared),
            shared: Arc::clone(&shared),
            stop: stop.clone(),
        },
    };
    Ok(RunningHttp {
        address,
        shared,
        stop,
        task: tokio::spawn(accepting.run()),
    })
}

impl RunningHttp {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl RunningWire for RunningHttp {
    fn leave(&mut self) -> BoxFuture<'_, ()> {
        // Requests that still come are told by the executor that the server stops.
        self.shared.is_leaving.store(true, Ordering::Relaxed);
        Box::pin(std::future::ready(()))
    }

    fn close(mut self: Box<Self>, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.stop.cancel();
            let ended = tokio::time::timeout(time.max(CLOSE_MIN), &mut self.task).await;
            if ended.is_err() {
                tracing::warn!("HTTP connections were cut off: their clients take their time");
            }
        })
    }
}

impl Drop for RunningHttp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Accepting {
    listener: TcpListener,
    places: Arc<Semaphore>,
    serving: Serving,
}

impl Accepting {
    async fn run(mut self) {
        let stop = self.serving.stop.clone();
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                // Those that ended are not kept.
                Some(_) = connections.join_next() => {}
                next = self.next() => match next {
                    Some((stream, place)) => {
                        connections.spawn(self.serving.clone().run(stream, place));
                    }
                    None => break,
                },
            }
        }
        drop(self.listener);
        while connections.join_next().await.is_some() {}
    }

    /// The next connection, as soon as there is a place for it. The semaphore is never closed, so there always is one.
    async fn next(&mut self) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        // If there are too many open files, it waits a moment and tries again.
        let (stream, _) = Listener::accept(&mut self.listener).await;
        // Events must not wait for more. Fails on a connection that is gone already.
        let _ = stream.set_nodelay(true);
        Some((stream, place))
    }
}

#[derive(Clone)]
struct Serving {
    router: Router,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

impl Serving {
    /// Serves one connection. When its client goes away, the request under way is dropped, and so its execution is
    /// cancelled.
    async fn run(self, stream: TcpStream, _place: OwnedSemaphorePermit) {
        let counts = &self.shared.counts;
        counts.connections.fetch_add(1, Ordering::Relaxed);
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.shared.config.head_timeout)
            .max_buf_size(BUFFER_BYTES)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(self.router));
        let mut serving = pin!(serving);
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            () = self.stop.cancelled() => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = ended {
            if error.is_timeout() {
                counts.silent_connections.fetch_add(1, Ordering::Relaxed);
            }
            tracing::debug!(%error, "an HTTP connection ended");
        }
    }
}
