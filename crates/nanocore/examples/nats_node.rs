//! A node server on NATS, for the tests: `nats_node URL NAME FOLDER`. Its nodes tell what they do by files in FOLDER.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use nodewire::nats::NatsConfig;
use nodewire::prelude::*;

struct Me {
    name: String,
    folder: PathBuf,
}

static ME: OnceLock<Me> = OnceLock::new();

/// Which server executed it.
#[node(output = "who")]
async fn work(context: Context) -> String {
    context.progress(1, 2, "half");
    name()
}

/// The same, once there is a file `open`.
#[node(output = "who")]
async fn gate() -> String {
    note("held");
    let open = ME.get().map(|me| me.folder.join("open"));
    while !open.as_deref().is_some_and(Path::exists) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    name()
}

/// Waits until it is cancelled.
#[node(output = "who")]
async fn hold(context: Context) -> String {
    note("held");
    context.cancelled().await;
    note("cancelled");
    name()
}

/// What the wire brought, and the asset that was named.
#[node(output = "about")]
async fn about(context: Context, image: AssetRef) -> Vec<String> {
    let parent = context.trace_parent().unwrap_or("none").to_owned();
    vec![parent, image.as_str().to_owned()]
}

fn name() -> String {
    ME.get().map(|me| me.name.clone()).unwrap_or_default()
}

fn note(what: &str) {
    if let Some(me) = ME.get() {
        // Whoever waits for the file says so if it never comes.
        let _ = std::fs::write(me.folder.join(format!("{}-{what}", me.name)), "");
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(name), Some(folder)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        return Err("usage: nats_node URL NAME FOLDER".into());
    };
    let folder = folder.into();
    ME.get_or_init(|| Me { name, folder });
    let server = NodeServer::builder()
        .node(work())
        .node(gate())
        .node(hold())
        .node(about())
        .nats(NatsConfig::new("workers", "1.0.0", url.as_str()))
        .build()?;
    // The arguments are ours: a server that was built takes no flags.
    server.run().await?;
    Ok(())
}
