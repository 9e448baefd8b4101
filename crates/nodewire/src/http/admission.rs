//! Who may take the routes. A layer, so that no route is without it; its own, as `axum::middleware::from_fn` costs each
//! request a copy of the inner service and two more allocations.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use nodewire_core::BoxFuture;
use tower::{Layer, Service};

use super::access::Access;
use super::error::Problem;
use super::routes::HEALTH;
use super::shared::Shared;

/// Lets in who may, and counts what is answered.
#[derive(Clone)]
pub(super) struct Admission(Arc<Shared>);

impl Admission {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

impl<S> Layer<S> for Admission {
    type Service = Admitting<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Admitting {
            shared: Arc::clone(&self.0),
            inner,
        }
    }
}

/// A service behind [`Admission`].
#[derive(Clone)]
pub(super) struct Admitting<S> {
    shared: Arc<Shared>,
    inner: S,
}

impl<S> Service<Request> for Admitting<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let admitted = match refuse(&shared, &request) {
            Some(problem) => Err(problem),
            None => Ok(self.inner.call(request)),
        };
        Box::pin(async move {
            let response = match admitted {
                Ok(answering) => answering.await?,
                Err(problem) => problem.into_response(),
            };
            shared.counts.answered(response.status());
            Ok(response)
        })
    }
}

fn refuse(shared: &Shared, request: &Request) -> Option<Problem> {
    if request.uri().path() == HEALTH {
        return None;
    }
    let headers = request.headers();
    match &shared.config.access {
        Access::Open => from_browser(headers),
        access @ Access::Token(_) => access.check(headers).err(),
    }
}

/// Any page could use this server, in the browser of whoever runs both.
fn from_browser(headers: &HeaderMap) -> Option<Problem> {
    headers.contains_key(ORIGIN).then(|| {
        Problem::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "pages in a browser are refused while the server has no token",
        )
    })
}
