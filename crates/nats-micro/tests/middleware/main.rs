//! Middleware: its order, what it sees, and what is shipped. In memory, but for one look at the real broker.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod auth;
#[cfg(feature = "compression")]
mod compression;
mod levels;
mod limits;
mod log;
mod logging;
#[cfg(feature = "metrics")]
mod metrics;
mod recorded;
mod server;
#[cfg(feature = "tower")]
mod tower_layers;
#[cfg(feature = "trace")]
mod tracing_context;

use nats_micro::middleware::{Middleware, Next};
use nats_micro::testing::{Harness, TestReply};
use nats_micro::{Endpoint, HeaderMap, Request, Response, Service, ServiceBuilder, header};

/// Writes its name into the header `X-Order` of what comes back, behind the names that are there.
pub(crate) struct Mark(pub(crate) &'static str);

impl Middleware for Mark {
    async fn handle(&self, request: Request, next: Next) -> Response {
        let mut response = next.run(request).await;
        if let Some(headers) = response.headers_mut() {
            let before = header::lookup(headers, "X-Order").unwrap_or_default();
            let order = format!("{before}{}>", self.0);
            headers.insert("X-Order", order);
        }
        response
    }
}

pub(crate) fn service() -> ServiceBuilder {
    Service::builder("demo", "1.0.0")
}

pub(crate) async fn serve(builder: ServiceBuilder) -> Harness {
    Harness::start(builder).await.unwrap()
}

pub(crate) fn echo() -> Endpoint {
    Endpoint::new("echo", |request: Request| async move {
        request.payload().clone()
    })
}

/// What a handler with a bug does.
pub(crate) fn panics() -> &'static str {
    panic!("kaboom")
}

pub(crate) fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, *value);
    }
    headers
}

pub(crate) fn code(reply: &TestReply) -> Option<u32> {
    reply.error()?.code()
}
