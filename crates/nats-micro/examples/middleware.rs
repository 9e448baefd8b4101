//! A service with middleware: `cargo run -p nats-micro --example middleware -- nats://127.0.0.1:4222`.
//!
//! Ask it with `nats request orders.get 7 -H 'Authorization: Bearer s3cret'`, and without the header.

use std::time::Duration;

use nats_micro::middleware::{
    Auth, BearerIdentity, ConcurrencyLimit, Logging, Middleware, Next, RateLimit, Timeout,
};
use nats_micro::{Endpoint, Group, Request, Response, Service, ServiceError};
use tracing::Level;

/// Says in each reply which instance made it.
struct Instance;

impl Middleware for Instance {
    async fn handle(&self, request: Request, next: Next) -> Response {
        let id = request.service_id().to_owned();
        let mut response = next.run(request).await;
        if let Some(headers) = response.headers_mut() {
            headers.insert("X-Instance", id);
        }
        response
    }
}

async fn get(request: Request) -> Result<String, ServiceError> {
    let number: u64 = request.json()?;
    let caller = request
        .extension::<BearerIdentity>()
        .map_or("nobody", BearerIdentity::name);
    if number == 0 {
        return Err(ServiceError::new(404, "no such order"));
    }
    Ok(format!("order {number} for {caller}"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    // Heard from here on, so that none ends the program in the middle of its start.
    let interrupted = tokio::spawn(tokio::signal::ctrl_c());
    let url = std::env::args().nth(1);
    let client = async_nats::connect(url.as_deref().unwrap_or("nats://127.0.0.1:4222")).await?;
    // A clone tells later how many were refused.
    let rate = RateLimit::per_second(100).burst(20);
    let orders = Group::new("orders")
        .middleware(Auth::bearer([("me", "s3cret")]))
        .middleware(rate.clone())
        .middleware(ConcurrencyLimit::new(8))
        .endpoint(Endpoint::new("get", get));
    let service = Service::builder("shop", "1.0.0")
        .middleware(Logging::new().success_level(Level::INFO))
        .middleware(Instance)
        .middleware(Timeout::new(Duration::from_secs(2)))
        .group(orders)
        .start(&client)
        .await?;
    interrupted.await??;
    service.stop().await;
    tracing::info!(refused = rate.refused(), "the rate limit");
    Ok(())
}
