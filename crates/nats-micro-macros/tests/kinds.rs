//! All that methods may take and return, without a warning.
#![deny(warnings, missing_docs, unreachable_pub)]
#![allow(clippy::needless_lifetimes, reason = "not asked here")]

use std::sync::Arc;

use nats_micro::{
    Bytes, Json, Overflow, PendingLimits, Reply, Request, Response, Service, ServiceError, service,
};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize, schemars::JsonSchema)]
struct Point {
    x: i64,
    y: i64,
}

/// No schema.
#[derive(Deserialize, Serialize)]
struct Opaque(u8);

enum Failure {
    Missing,
}

impl From<Failure> for ServiceError {
    fn from(_: Failure) -> Self {
        Self::new(404, "missing")
    }
}

mod short {
    pub(crate) type Result<T> = std::result::Result<T, super::Failure>;
}

struct Pass;

impl nats_micro::middleware::Middleware for Pass {
    async fn handle(&self, request: Request, next: nats_micro::middleware::Next) -> Response {
        next.run(request).await
    }
}

const NAME: &str = "elsewhere";

struct Kinds<S> {
    store: S,
    limit: usize,
}

/// A block that uses everything.
#[service(
    name = "kinds", version = "1.2.3-rc.1+b.5", group = "all.kinds", queue_group = "fast", concurrency = self.limit,
    metadata(team = "a", "some.key" = NAME, type = format!("{NAME}!")), middleware = Pass, middleware = Pass,
    pending_limits = PendingLimits::default(),
)]
impl<S: Clone + Send + Sync + 'static> Kinds<S>
where
    S: AsRef<str>,
{
    const LIMIT: usize = 2;

    #[endpoint]
    async fn nothing(&self) {}

    #[endpoint()]
    async fn json(&self, Point { x, y }: Point) -> Point {
        Point { x: y, y: x }
    }

    #[endpoint]
    async fn failing(&self, point: &Point) -> Result<Option<i64>, Failure> {
        if point.x == 0 {
            Err(Failure::Missing)
        } else {
            Ok(point.y.checked_div(point.x))
        }
    }

    #[endpoint]
    async fn borrowed(&self, text: &str) -> short::Result<()> {
        if text.is_empty() {
            Err(Failure::Missing)
        } else {
            Ok(())
        }
    }

    #[endpoint]
    async fn slice(&self, mut_numbers: &[i64]) -> Vec<i64> {
        mut_numbers.to_vec()
    }

    #[endpoint(schema = false)]
    async fn opaque(&self, opaque: Opaque) -> Opaque {
        opaque
    }

    #[endpoint(schema = false)]
    async fn unnamed(&self) -> impl Serialize + use<S> {
        1
    }

    #[endpoint]
    async fn raw(&self, request: Request) -> Result<Reply, ServiceError> {
        Ok(Reply::new(request.payload().clone()))
    }

    #[endpoint]
    async fn raw_text(&self, request: &Request) -> String {
        request.subject().to_owned()
    }

    #[endpoint]
    async fn silent(&self, _: &Request) -> Result<(), ServiceError> {
        Ok(())
    }

    #[endpoint(schema = true)]
    async fn both(&self, point: Point, mut request: Request) -> Json<Point> {
        request.extensions_mut().insert(point.x);
        Json(point)
    }

    #[endpoint]
    async fn both_turned(
        &self,
        request: &Request,
        mut point: Point,
    ) -> Result<Json<Point>, Failure> {
        point.x += i64::from(request.headers().is_some());
        Ok(Json(point))
    }

    #[endpoint]
    async fn payload(&self, payload: Bytes) -> Bytes {
        payload
    }

    #[endpoint]
    async fn payload_and_request(self: Arc<Self>, payload: &Bytes, _request: &Request) -> Vec<u8> {
        payload.to_vec()
    }

    #[endpoint]
    async fn response(self: &Arc<Self>) -> Response {
        Response::Silent
    }

    #[endpoint]
    async fn only_fails() -> ServiceError {
        ServiceError::unavailable()
    }

    #[endpoint]
    fn plain(&self, text: String) -> String {
        format!("{text}{}", self.store.as_ref())
    }

    #[endpoint(blocking)]
    fn blocking(self: Arc<Self>, request: Request, point: Point) -> Result<i64, Failure> {
        drop(request);
        Ok(point.x)
    }

    #[endpoint(blocking = false, spawn)]
    fn in_place(_: &Request) -> &'static str {
        "here"
    }

    #[endpoint(
        name = NAME, subject = "a.*.>", group = format!("g.{}", "h"), description = NAME, concurrency = Self::LIMIT,
        no_queue_group, metadata(unit = "m",), spawn, streaming, overflow = Overflow::StopService, middleware = Pass,
    )]
    async fn options(&self, to: u32, request: &Request) {
        for _ in 0..to {
            let _ = request.respond("x").await;
        }
    }

    #[cfg(any())]
    #[endpoint]
    async fn not_there(&self) -> Missing {}

    #[endpoint]
    async fn r#type(&self) -> &'static str {
        self.helper()
    }

    fn helper(&self) -> &'static str {
        "helper"
    }
}

struct Small;

#[service]
impl Small {
    #[endpoint]
    async fn ping(&self) {}
}

#[test]
fn what_the_macro_accepts_compiles_and_is_a_service() {
    let kinds = Arc::new(Kinds {
        store: "s".to_owned(),
        limit: 3,
    });
    kinds
        .to_service()
        .group(Arc::new(Small).to_group())
        .check()
        .unwrap();
    Small.into_service().check().unwrap();
    let other = Service::builder("other", "1.0.0").group(kinds.to_group());
    other.check().unwrap();
}
