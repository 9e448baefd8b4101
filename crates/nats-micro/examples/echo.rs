//! A service that echoes: `cargo run -p nats-micro --example echo -- nats://127.0.0.1:4222`.

use nats_micro::{
    AddServiceError, ConnectOptions, Context, Endpoint, Request, RunError, Service, Signals, run,
};

/// The first argument, else what `nodewire micro run` and `dev` hand on, else the usual place.
fn url() -> String {
    let given = std::env::args()
        .nth(1)
        .or_else(|| std::env::var("NATS_URL").ok());
    given.unwrap_or_else(|| "nats://127.0.0.1:4222".to_owned())
}

#[tokio::main]
async fn main() -> Result<(), RunError> {
    run(ConnectOptions::new(), url(), Signals::Terminate, setup).await
}

async fn setup(context: Context) -> Result<(), AddServiceError> {
    let echo = Endpoint::new("echo", |request: Request| async move {
        request.payload().clone()
    });
    context
        .add_service(Service::builder("echo", "1.0.0").endpoint(echo))
        .await?;
    Ok(())
}
