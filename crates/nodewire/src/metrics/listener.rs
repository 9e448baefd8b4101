//! A listener for metrics alone.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use nodewire_core::BoxFuture;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::{Metrics, MetricsConfig, MetricsError};
use crate::patience::Patient;
use crate::server::RunningWire;

/// How long a request's head may take to arrive, which is also how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a client may take nothing of what is sent to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes that a connection reads ahead, so that a head has no more.
const BUFFER_BYTES: usize = 16 * 1024;

/// After a failure, such as too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// The listener, serving. Dropping it ends it at once.
#[derive(Debug)]
pub(crate) struct RunningMetrics {
    address: SocketAddr,
    task: AbortOnDropHandle<()>,
}

/// Listens, and tells the metrics of any time.
///
/// # Errors
/// The address cannot be listened on.
pub(crate) async fn start(
    config: MetricsConfig,
    metrics: Metrics,
) -> Result<RunningMetrics, MetricsError> {
    let address = config.address;
    let failed = |source| MetricsError { address, source };
    config.check_token().map_err(failed)?;
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    if !address.ip().is_loopback() && config.is_open() {
        tracing::warn!(%address, "metrics are served beyond this machine, to whoever asks");
    }
    let places = Arc::new(Semaphore::new(config.connections_max.max(1)));
    let served = Arc::new(Served { config, metrics });
    let task = tokio::spawn(accept(listener, places, served));
    Ok(RunningMetrics {
        address,
        task: AbortOnDropHandle::new(task),
    })
}

/// What each connection has.
#[derive(Debug)]
struct Served {
    config: MetricsConfig,
    metrics: Metrics,
}

impl RunningMetrics {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl RunningWire for RunningMetrics {
    fn close(self: Box<Self>, _time: Duration) -> BoxFuture<'static, ()> {
        // Nobody is owed anything: a scrape that is cut off is one that failed.
        self.task.abort();
        Box::pin(std::future::ready(()))
    }
}

async fn accept(listener: TcpListener, places: Arc<Semaphore>, served: Arc<Served>) {
    let mut connections = JoinSet::new();
    // The semaphore is never closed.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        // Those that ended are not kept.
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => drop(connections.spawn(serve(stream, place, Arc::clone(&served)))),
            Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
        }
    }
}

async fn serve(stream: TcpStream, _place: OwnedSemaphorePermit, served: Arc<Served>) {
    let answer = service_fn(|request| {
        let answer = answer(&request, &served);
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let stream = Patient::new(stream, WRITE_TIMEOUT);
    let ended = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection for metrics ended");
    }
}

fn answer(request: &Request<Incoming>, served: &Served) -> Response<String> {
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "there is only /metrics here\n");
    }
    if request.headers().contains_key(ORIGIN) {
        return plain(StatusCode::FORBIDDEN, "pages in a browser are refused\n");
    }
    let authorization = request.headers().get(AUTHORIZATION);
    if !served
        .config
        .admits(authorization.map_or(b"", HeaderValue::as_bytes))
    {
        let mut answer = plain(StatusCode::UNAUTHORIZED, "the token is missing or wrong\n");
        let scheme = HeaderValue::from_static("Bearer");
        answer.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        return answer;
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "GET it\n");
        let allow = HeaderValue::from_static("GET, HEAD");
        answer.headers_mut().insert(ALLOW, allow);
        return answer;
    }
    match served.metrics.text() {
        Ok(text) => typed(StatusCode::OK, super::CONTENT_TYPE, text),
        Err(_) => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "metrics cannot be written\n",
        ),
    }
}

fn plain(status: StatusCode, text: &str) -> Response<String> {
    typed(status, "text/plain; charset=utf-8", text.to_owned())
}

fn typed(status: StatusCode, kind: &'static str, text: String) -> Response<String> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use nodewire_core::{Executor, ExecutorConfig};
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::capability::Losses;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_let_go() {
        let executor = Executor::new(ExecutorConfig::default());
        let metrics = Metrics::new(executor, Losses::default(), Vec::new(), None);
        let running = start(MetricsConfig::new(), metrics).await.unwrap();
        let mut client = TcpStream::connect(running.address()).await.unwrap();
        let requests = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1_000);
        let asking = async { while client.write_all(&requests).await.is_ok() {} };
        let ended = tokio::time::timeout(WRITE_TIMEOUT * 3, asking).await;
        assert!(ended.is_ok(), "the connection goes on");
    }
}
