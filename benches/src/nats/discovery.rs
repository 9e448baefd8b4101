//! Finding many instances.

use std::time::{Duration, Instant};

use anyhow::ensure;
use nats_micro::client::Client;
use nats_micro::{Endpoint, Request, Service};
use serde::{Deserialize, Serialize};

/// Which instances to find.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    /// Where the broker is.
    pub url: String,
    /// How many instances there are.
    pub instances: usize,
}

impl Discovery {
    /// How long it takes until every instance's answer to `PING` has been read, in milliseconds.
    ///
    /// # Errors
    /// The connection fails, or instances are missing.
    pub async fn run(&self) -> anyhow::Result<f64> {
        let client = Client::new(async_nats::connect(&self.url).await?);
        let start = Instant::now();
        let limits = client.service(NAME).ping().max_wait(PATIENCE);
        let found = limits.max_count(self.instances).list().await?;
        let took = start.elapsed();
        let found = found.documents.len();
        ensure!(
            found == self.instances,
            "{found} of {} instances answered",
            self.instances
        );
        Ok(took.as_secs_f64() * 1e3)
    }
}

const NAME: &str = "many";

/// Longer than it may take by far; the search ends with the last instance's answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Hosts that many instances of one service, over ten connections, until the process is killed.
///
/// # Errors
/// They cannot start.
pub async fn host_instances(
    url: &str,
    instances: usize,
    announce: impl FnOnce(&str),
) -> anyhow::Result<()> {
    const CONNECTIONS: usize = 10;
    let mut services = Vec::new();
    for connection in 0..CONNECTIONS {
        let client = async_nats::connect(url).await?;
        for _ in (connection..instances).step_by(CONNECTIONS) {
            let echo = Endpoint::new("echo", |request: Request| async move {
                request.payload().clone()
            });
            let builder = Service::builder(NAME, "1.0.0").endpoint(echo);
            services.push(builder.start(&client).await?);
        }
    }
    announce(NAME);
    std::future::pending().await
}
