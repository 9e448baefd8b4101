//! The node set on all wires, in a process that can be killed: `conformance-server BROKER_URL`. It prints `serving ` and
//! where each wire can be reached.

#![expect(clippy::print_stdout, reason = "a program's output")]

use anyhow::Context;
use nodewire_conformance::serve;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let broker_url = std::env::args().nth(1).context("the broker's address")?;
    let (_server, _probe, addresses) = serve(&broker_url, None).await?;
    println!("serving {}", addresses.to_json());
    std::future::pending().await
}
