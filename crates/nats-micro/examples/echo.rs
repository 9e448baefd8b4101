//! A service that echoes: `cargo run -p nats-micro --example echo -- nats://127.0.0.1:4222`.

use nats_micro::{Endpoint, Request, Service};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1);
    let client = async_nats::connect(url.as_deref().unwrap_or("nats://127.0.0.1:4222")).await?;
    let echo = Endpoint::new("echo", |request: Request| async move {
        request.payload().clone()
    });
    let service = Service::builder("echo", "1.0.0")
        .endpoint(echo)
        .start(&client)
        .await?;
    tokio::signal::ctrl_c().await?;
    service.stop().await;
    Ok(())
}
