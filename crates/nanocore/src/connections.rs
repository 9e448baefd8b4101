//! HTTP connections: limited in number, and in how long they may be silent.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// How long connections may take to finish at the end.
const GRACE: Duration = Duration::from_secs(5);

/// What connections are limited in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// Connections at a time; further ones wait in the system's queue.
    pub(crate) connections_max: usize,
    /// How long a request's head may take, from the connection's start or the end of the request before. So it is also
    /// how long a connection may be idle.
    pub(crate) head_timeout: Duration,
}

/// A listener and its connections. Dropping it cuts them all off, but for those that became WebSockets.
#[derive(Debug)]
pub(crate) struct Connections {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Connections {
    /// Serves `router`; must be called within a tokio runtime. Connections that were silent for too long are counted in
    /// `timed_out`.
    pub(crate) fn serve(
        listener: TcpListener,
        router: Router,
        limits: ConnectionLimits,
        timed_out: Arc<AtomicU64>,
    ) -> Self {
        let stop = CancellationToken::new();
        let accepting = Accepting {
            listener,
            places: Arc::new(Semaphore::new(limits.connections_max.max(1))),
            serving: Serving {
                router,
                head_timeout: limits.head_timeout,
                stop: stop.clone(),
                timed_out,
            },
        };
        Self {
            stop,
            task: tokio::spawn(accepting.run()),
        }
    }

    /// Takes no more connections, and waits for the answers under way, 5 s at most; what is left is cut off.
    ///
    /// Cancel safety: if dropped, connections are cut off at once.
    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(GRACE, &mut self.task).await.is_err() {
            tracing::debug!("connections were cut off");
        }
    }
}

impl Drop for Connections {
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
                connection = self.next() => match connection {
                    Some(connection) => drop(connections.spawn(self.serving.clone().run(connection))),
                    None => break,
                },
            }
        }
        drop(self.listener);
        while connections.join_next().await.is_some() {}
    }

    /// The next connection, as soon as there is a place for it. Cancel safe. The semaphore is never closed, so there
    /// always is a next one.
    async fn next(&mut self) -> Option<Connection> {
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        // If there are too many open files, it waits a moment and tries again.
        let (stream, _) = Listener::accept(&mut self.listener).await;
        // Small answers and events must not wait for more. Fails on a connection that is gone already.
        let _ = stream.set_nodelay(true);
        Some(Connection {
            stream,
            _place: place,
        })
    }
}

#[derive(Clone)]
struct Serving {
    router: Router,
    head_timeout: Duration,
    stop: CancellationToken,
    timed_out: Arc<AtomicU64>,
}

impl Serving {
    async fn run(self, connection: Connection) {
        let service = TowerToHyperService::new(self.router);
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.head_timeout)
            .serve_connection(TokioIo::new(connection), service)
            .with_upgrades();
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
                self.timed_out.fetch_add(1, Ordering::Relaxed);
            }
            tracing::debug!(%error, "a connection ended");
        }
    }
}

/// A connection and its place, which WebSockets keep.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
