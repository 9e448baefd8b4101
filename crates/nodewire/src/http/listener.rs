//! A listener and its connections: limited in number, in how long they may be silent, and in how long their client may
//! take nothing of what is sent.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::error::HttpError;
use crate::patience::{Patient, is_stalled};

/// Last answers have so much time to leave the process, however short the drain time is.
const CLOSE_MIN: Duration = Duration::from_secs(1);

/// Bytes that a connection reads ahead or has to write; so a head has no more.
const BUFFER_BYTES: usize = 64 * 1024;

/// What bounds connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// At once. Further ones wait in the system's queue.
    pub(crate) connections_max: usize,
    /// For a request's head to arrive.
    pub(crate) head_timeout: Duration,
    /// For a client to take something of what is sent.
    pub(crate) write_timeout: Duration,
}

/// What became of connections.
#[derive(Debug, Default)]
pub(crate) struct ConnectionCounts {
    pub(crate) accepted: AtomicU64,
    pub(crate) silent: AtomicU64,
    pub(crate) stalled: AtomicU64,
}

/// A listener, serving. Dropping it cuts its connections off.
#[derive(Debug)]
pub(crate) struct Listening {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Listening {
    /// Listens, and serves the routes.
    ///
    /// # Errors
    /// The address cannot be listened on.
    ///
    /// Dropping the future leaves nothing behind.
    pub(crate) async fn start(
        address: SocketAddr,
        limits: ConnectionLimits,
        counts: Arc<ConnectionCounts>,
        router: Router,
    ) -> Result<Self, HttpError> {
        let failed = |source| HttpError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "HTTP without TLS is served beyond this machine");
        }
        let stop = CancellationToken::new();
        let accepting = Accepting {
            listener,
            places: Arc::new(Semaphore::new(
                limits.connections_max.clamp(1, Semaphore::MAX_PERMITS),
            )),
            serving: Serving {
                router,
                limits,
                counts,
                stop: stop.clone(),
            },
        };
        Ok(Self {
            address,
            stop,
            task: tokio::spawn(accepting.run()),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no further requests, and waits so long for the answers under way to go out.
    pub(crate) async fn close(mut self, time: Duration) {
        self.stop.cancel();
        let ended = tokio::time::timeout(time.max(CLOSE_MIN), &mut self.task).await;
        if ended.is_err() {
            tracing::warn!("HTTP connections were cut off: their clients take their time");
        }
    }
}

impl Drop for Listening {
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
    limits: ConnectionLimits,
    counts: Arc<ConnectionCounts>,
    stop: CancellationToken,
}

impl Serving {
    /// Serves one connection. When its client goes away, the request under way is dropped, and so its execution is
    /// cancelled.
    async fn run(self, stream: TcpStream, _place: OwnedSemaphorePermit) {
        self.counts.accepted.fetch_add(1, Ordering::Relaxed);
        let stream = Patient::new(stream, self.limits.write_timeout);
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head_timeout)
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
                self.counts.silent.fetch_add(1, Ordering::Relaxed);
            } else if is_stalled(&error) {
                self.counts.stalled.fetch_add(1, Ordering::Relaxed);
            }
            tracing::debug!(%error, "an HTTP connection ended");
        }
    }
}
