//! Harnesses for real peers, recorded exchanges and impaired links.
//!
//! A peer that is missing is an error, never a skipped test: `cargo xtask test` installs them.
//!
//! ```no_run
//! use nodewire_testkit::{PythonNodeServer, SdkVersion};
//!
//! # async fn example() -> anyhow::Result<()> {
//! let server = PythonNodeServer::start(SdkVersion::V0_2_3).await?;
//! println!("{} logs {}", server.url(), server.logs());
//! # Ok(()) }
//! ```
//!
//! Folders of node servers that a test registers: [`javascript_server_folder`], [`python_server_folder`],
//! [`rust_server_folder`].
//!
//! Of the NATS wire there are the real broker ([`NatsServer`]), and the same service made with three libraries
//! ([`PythonMicroService`], [`OfficialNatsPyService`], [`JsService`]), with the clients of two of them.
//!
//! ```no_run
//! use nodewire_testkit::{JsService, NatsServer, PythonMicroClient};
//! use serde_json::json;
//!
//! # async fn example() -> anyhow::Result<()> {
//! let broker = NatsServer::start().await?;
//! let service = JsService::start(&broker.url()).await?;
//! let mut client = PythonMicroClient::connect(&broker.url()).await?;
//! let found = client.call(json!({"op": "ping"})).await?;
//! assert_eq!(found["ok"][0]["id"], service.id());
//! # Ok(()) }
//! ```
//!
//! Of the device API there are the real service of each release ([`AutotrainerService`]), the sockets of pyzmq
//! ([`AutotrainerClient`]) and the console ([`AutotrainerConsole`]).
//!
//! ```no_run
//! use nodewire_testkit::{AutotrainerClient, AutotrainerService, AutotrainerVersion};
//! use serde_json::json;
//!
//! # async fn example() -> anyhow::Result<()> {
//! let version = AutotrainerVersion::V0_12_0;
//! let mut service = AutotrainerService::start(version, Default::default()).await?;
//! let mut client = AutotrainerClient::start(version).await?;
//! client.connect("commands", "REQ", &service.command_endpoint()).await?;
//! let reply = client.request("commands", &json!({"command": 400, "nonce": 7})).await?;
//! assert_eq!(reply["data"], json!({"seen": true}));
//!
//! client.connect_subscriber("events", &service.event_endpoint(), &[b""]).await?;
//! service.join(&mut client, "events").await?;
//! service.publish(json!({"kind": 201})).await?;
//! println!("{:?}", client.receive("events", 1).await?);
//! # Ok(()) }
//! ```
//!
//! Of NNRP there are the real client and server of `nnrp-py` ([`NnrpPeer`]), its console command ([`NnrpSmokeCommand`])
//! and its recorded exchanges ([`nnrp_traces`]).
//!
//! ```no_run
//! use nodewire_testkit::{NnrpPeer, NnrpServerOptions, NnrpTransport, SelfSignedCertificate};
//! use serde_json::json;
//!
//! # async fn example() -> anyhow::Result<()> {
//! let certificate = SelfSignedCertificate::new()?;
//! let options = NnrpServerOptions { certificate: Some(&certificate), ..NnrpServerOptions::default() };
//! let (mut server, mut client) = (NnrpPeer::server(options).await?, NnrpPeer::client().await?);
//! let port = server.port(NnrpTransport::Quic)?;
//! let (session, hello) = tokio::try_join!(
//!     client.connect(NnrpTransport::Quic, port, json!({"requested_session_id": 9})),
//!     server.accept(NnrpTransport::Quic, json!({})),
//! )?;
//! assert_eq!((&session["session_id"], &hello["session_id"]), (&json!(9), &json!(9)));
//! # Ok(()) }
//! ```
//!
//! [`OtlpCollector`] takes traces, decoded with the types of the OpenTelemetry project.
//!
//! Of MCP there is a client of the official SDK for Python ([`McpClient`]).
//!
//! What must hold:
//! 1. Peers listen on the loopback interface only, on ports that were free.
//! 2. No peer outlives its harness: each has its own process group, which is killed when the harness is dropped.
//! 3. Harnesses wait for conditions; their limits of time only end what hangs.

#![forbid(unsafe_code)]

mod autotrainer_peers;
mod dialogue;
mod hex;
mod mcp_peers;
mod nats_peers;
mod nats_server;
mod nnrp_peers;
mod node_server_folders;
mod otlp_collector;
mod process;
mod python_nanograph;

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

pub use autotrainer_peers::{
    AutotrainerClient, AutotrainerConsole, AutotrainerService, AutotrainerServiceOptions,
    AutotrainerVersion, ZmqMessage,
};
pub use dialogue::Dialogue;
pub use hex::{from_hex, to_hex};
pub use mcp_peers::McpClient;
pub use nats_peers::{
    JsClient, JsService, NatsClientLibrary, NatsJs, NatsLibrary, OfficialNatsPy,
    OfficialNatsPyService, PeerClient, PeerService, PythonMicro, PythonMicroClient,
    PythonMicroService, python_micro_cli, python_micro_scripts,
};
pub use nats_server::{NatsServer, NatsServerOptions, nats_server_path};
pub use nnrp_peers::{
    NnrpFailure, NnrpPeer, NnrpServerOptions, NnrpSmokeCommand, NnrpTrace, NnrpTraceEvent,
    NnrpTraceStep, NnrpTransport, SelfSignedCertificate, nnrp_traces,
};
pub use node_server_folders::{javascript_server_folder, python_server_folder, rust_server_folder};
pub use otlp_collector::{CollectedSpan, CollectorManner, OtlpCollector};
pub use process::{PeerProcess, free_port, signal, status_without_reader};
pub use python_nanograph::{PythonNodeServer, SdkVersion};

/// Where a file of recorded exchanges is, `nanograph-traces.json` for instance.
#[must_use]
pub fn vector_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("vectors")
        .join(name)
}

/// Where real peers are installed: `NODEWIRE_PEERS`, else `target/peers` of this workspace.
#[must_use]
pub fn peers_dir() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers");
    let dir = std::env::var_os("NODEWIRE_PEERS").map_or_else(default, PathBuf::from);
    // Python finds its environment by the text of its path, so that must have no `..`.
    dir.canonicalize().unwrap_or(dir)
}

/// Something below [`peers_dir`].
///
/// # Errors
/// It is not installed.
fn installed(path: &str) -> anyhow::Result<PathBuf> {
    let path = peers_dir().join(path);
    ensure!(
        path.exists(),
        "{} is missing: run `cargo xtask peers`, which installs it",
        path.display()
    );
    Ok(path)
}

/// The folder of the scripts that use a peer.
fn scripts(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("peers")
        .join(folder)
}

/// Copies a folder with all that is in it.
fn copy_dir(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in
        std::fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?
    {
        let (entry, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name())))?;
        if entry.is_dir() {
            copy_dir(&entry, &target)?
        } else {
            std::fs::copy(&entry, &target).map(drop)?
        };
    }
    Ok(())
}

/// A program of this machine, on the search path or where Debian puts servers, which is not on everybody's.
fn find_program(name: &str) -> Option<PathBuf> {
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&search_path).chain([PathBuf::from("/usr/sbin")]);
    folders
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}
