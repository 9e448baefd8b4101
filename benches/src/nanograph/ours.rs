//! Our node servers: as an author makes one, and the protocol's part alone.

use anyhow::Context;
use nanograph::config::{ConfigFile, ServerConfig};
use nanograph::message::{ExecutionRequest, NodeDefinition};
use nanograph::server::{Backend, Identity, Replies, Server, ServerOptions};
use nodewire::nanograph::NanographConfig;
use nodewire::prelude::*;
use tokio::sync::watch;

/// Puts a prefix before each text.
#[node(output = "text")]
async fn echo(text: Vec<String>, #[param(default = "")] prefix: String) -> Vec<String> {
    text.into_iter()
        .map(|text| format!("{prefix}{text}"))
        .collect()
}

/// Serves the echo node until the process is killed.
///
/// # Errors
/// It cannot listen.
pub async fn serve(announce: impl FnOnce(&str)) -> anyhow::Result<()> {
    let file = ConfigFile::parse(
        r#"{"serverUid": "bench", "serverPackageId": "bench", "language": "rust"}"#,
    )?;
    let config = ServerConfig::resolve(file, |variable| {
        (variable == "PORT").then(|| "0".to_owned())
    })?;
    let server = NodeServer::builder()
        .node(echo())
        .nanograph(NanographConfig::new(config))
        .build()?;
    let running = server.start().await?;
    let address = running.nanograph_address().context("no address")?;
    announce(&address.to_string());
    std::future::pending().await
}

/// Serves an echo without prefix, done where the request is read: what the protocol costs without an executor.
///
/// # Errors
/// It cannot listen.
pub async fn serve_without_executor(announce: impl FnOnce(&str)) -> anyhow::Result<()> {
    let options = ServerOptions::new(Identity::new("bench", "bench"));
    let server = Server::bind("127.0.0.1:0", options, Echo(watch::Sender::new(0))).await?;
    announce(&server.local_addr().to_string());
    server.serve(std::future::pending()).await;
    Ok(())
}

struct Echo(watch::Sender<u64>);

impl Backend for Echo {
    type Handle = ();

    fn definitions(&self) -> Vec<NodeDefinition> {
        vec![NodeDefinition::new("echo")]
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }

    fn execute(&self, request: ExecutionRequest, replies: Replies) {
        replies.started();
        replies.complete(&request.inputs);
    }
}
