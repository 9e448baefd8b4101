//! Layers of the `tower` package.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use nats_micro::middleware::HandlerService;
use nats_micro::{Endpoint, Group, Request, Response, ServiceError};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tower::limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer;
use tower::{Layer, Service, ServiceBuilder};

use crate::{Mark, code, echo, panics, serve, service};

const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn a_timeout_is_504() {
    let slow = Endpoint::new("slow", |_: Request| async {
        sleep(1000 * MS).await;
    });
    let harness = serve(
        service()
            .middleware(Mark("outer"))
            .tower_layer(TimeoutLayer::new(10 * MS))
            .endpoint(slow)
            .endpoint(echo()),
    )
    .await;
    let reply = harness.request("slow", "").await.unwrap();
    assert_eq!(reply.error().unwrap().to_string(), "504:Deadline Exceeded");
    assert_eq!(reply.header("X-Order"), Some("outer>"));
    let reply = harness.request("echo", "x").await.unwrap();
    assert_eq!(reply.payload(), "x");
}

/// Runs until it is let go.
fn held(name: &str, gate: &Arc<Semaphore>) -> Endpoint {
    let gate = Arc::clone(gate);
    Endpoint::new(name, move |_: Request| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            "done"
        }
    })
}

/// One request at a time, others refused.
fn one_at_a_time() -> impl Layer<
    HandlerService,
    Service: Service<Request, Response = Response, Error = tower::BoxError, Future: Send>
                 + Clone
                 + Send
                 + 'static,
> + Send
+ Sync
+ 'static {
    ServiceBuilder::new()
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(1))
        .into_inner()
}

#[tokio::test]
async fn a_limit_is_kept_from_request_to_request_for_each_endpoint() {
    let gate = Arc::new(Semaphore::new(0));
    let group = Group::new("g")
        .tower_layer(one_at_a_time())
        .endpoint(held("a", &gate))
        .endpoint(held("b", &gate));
    let harness = serve(service().group(group)).await;
    let mut first = harness.replies("g.a", "").unwrap();
    let refused = harness.request("g.a", "").await.unwrap();
    assert_eq!(
        refused.error().unwrap().to_string(),
        "503:Service Unavailable"
    );
    // The other endpoint has a limit of its own.
    let mut other = harness.replies("g.b", "").unwrap();
    gate.add_permits(2);
    assert_eq!(first.next().await.unwrap().payload(), "done");
    assert_eq!(other.next().await.unwrap().payload(), "done");
    gate.add_permits(1);
    let again = harness.request("g.a", "").await.unwrap();
    assert_eq!(again.payload(), "done");
}

#[tokio::test]
async fn a_global_limit_is_shared_by_endpoints() {
    let gate = Arc::new(Semaphore::new(0));
    let limit = ServiceBuilder::new()
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(1))
        .into_inner();
    let harness = serve(
        service()
            .tower_layer(limit)
            .endpoint(held("a", &gate))
            .endpoint(held("b", &gate)),
    )
    .await;
    let mut first = harness.replies("a", "").unwrap();
    let refused = harness.request("b", "").await.unwrap();
    assert_eq!(code(&refused), Some(503));
    gate.add_permits(1);
    assert_eq!(first.next().await.unwrap().payload(), "done");
}

/// Fails every request; counts how many services it has made.
#[derive(Clone)]
struct Failing {
    made: Arc<AtomicUsize>,
    error: fn() -> tower::BoxError,
}

#[derive(Clone)]
struct FailingService(fn() -> tower::BoxError);

impl<S> Layer<S> for Failing {
    type Service = FailingService;

    fn layer(&self, _: S) -> FailingService {
        self.made.fetch_add(1, Ordering::Relaxed);
        FailingService(self.error)
    }
}

impl Service<Request> for FailingService {
    type Response = Response;
    type Error = tower::BoxError;
    type Future = std::future::Ready<Result<Response, tower::BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), tower::BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        std::future::ready(Err((self.0)()))
    }
}

#[tokio::test]
async fn errors_of_layers_become_error_replies() {
    let made = Arc::new(AtomicUsize::new(0));
    let failing = |error: fn() -> tower::BoxError| Failing {
        made: Arc::clone(&made),
        error,
    };
    let harness = serve(
        service()
            .endpoint(echo().tower_layer(failing(|| "secret".into())))
            .group(Group::new("g").endpoint(
                echo().tower_layer(failing(|| ServiceError::new(418, "I am a teapot").into())),
            )),
    )
    .await;
    // They are made when the first request comes, once.
    assert_eq!(made.load(Ordering::Relaxed), 0);
    for _ in 0..3 {
        let reply = harness.request("echo", "x").await.unwrap();
        let error = reply.error().unwrap();
        assert_eq!(error.to_string(), "500:Internal Server Error");
        let reply = harness.request("g.echo", "x").await.unwrap();
        assert_eq!(reply.error().unwrap().to_string(), "418:I am a teapot");
    }
    assert_eq!(made.load(Ordering::Relaxed), 2);
    let stats = harness.stats().await.unwrap();
    assert!(stats.endpoints[0].last_error.ends_with("secret"));
}

#[tokio::test]
async fn a_panic_passes_layers_and_is_a_500() {
    let boom = Endpoint::new("boom", |_: Request| async { panics() });
    let endpoint = boom.tower_layer(TimeoutLayer::new(1000 * MS));
    let harness = serve(service().endpoint(endpoint)).await;
    for _ in 0..2 {
        let reply = harness.request("boom", "").await.unwrap();
        assert_eq!(code(&reply), Some(500));
    }
}

#[test]
fn a_description_is_checked_without_a_runtime() {
    let layer = tower::buffer::BufferLayer::<Request>::new(4);
    assert!(
        service()
            .tower_layer(layer)
            .endpoint(echo())
            .check()
            .is_ok()
    );
}

#[tokio::test]
async fn a_layer_with_a_task_of_its_own_works() {
    let layer = ServiceBuilder::new()
        .layer(tower::buffer::BufferLayer::<Request>::new(4))
        .layer(tower::limit::RateLimitLayer::new(1000, 1000 * MS))
        .into_inner();
    let harness = serve(service().tower_layer(layer).endpoint(echo())).await;
    let reply = harness.request("echo", "x").await.unwrap();
    assert_eq!(reply.payload(), "x");
}
