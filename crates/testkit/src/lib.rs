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

#![forbid(unsafe_code)]

mod nats_server;
mod process;
mod python_nanograph;

use std::path::{Path, PathBuf};

pub use nats_server::{NatsServer, NatsServerOptions, nats_server_path};
pub use process::{PeerProcess, free_port};
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
