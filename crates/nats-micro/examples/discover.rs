//! Lists the services that are there: `cargo run -p nats-micro --example discover -- nats://127.0.0.1:4222`.

use std::io::Write;
use std::time::Duration;

use nats_micro::client::Client;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1);
    let connection = async_nats::connect(url.as_deref().unwrap_or("nats://127.0.0.1:4222")).await?;
    let client = Client::new(connection);
    // At most half a second in total; less if nobody answers for a while.
    let quiet = Duration::from_millis(200);
    let found = client.info().max_interval(quiet).await?;
    let mut output = std::io::stdout().lock();
    for instance in &found.documents {
        let (name, id, version) = (&instance.name, &instance.id, &instance.version);
        writeln!(output, "{name} {version} ({id}) {}", instance.description)?;
        for endpoint in &instance.endpoints {
            writeln!(output, "  {} on {}", endpoint.name, endpoint.subject)?;
        }
    }
    for unusable in &found.unusable {
        writeln!(output, "left out: {unusable}")?;
    }
    Ok(())
}
