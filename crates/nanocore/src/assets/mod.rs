//! Assets: files that nodes pass to each other by reference, kept once per content and served over HTTP.
//!
//! [`AssetStore`] is the folder: one file per content under its SHA-256, one small JSON file beside it. The contents may
//! lie in an object store instead ([`Contents`], [`S3`]). [`AssetService`] is the HTTP side that node servers call, for
//! both generations of the published SDKs: an asset is found by its uuid (`nanocore://<domain>/asset/<uuid>`, 0.1.x) and
//! by its hash (`sha256:<hex>`, 0.2.x). [`AssetServer`] is the service with a listener of its own.
//!
//! ```
//! use nanocore::assets::{AssetServer, AssetServerConfig, AssetStore, StoreOptions};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let store = AssetStore::open(folder.path(), StoreOptions::default())?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let server = AssetServer::start(store, listener, AssetServerConfig::default())?;
//! println!("NANOCORE_HTTP_ENDPOINT={}", server.endpoint());
//! server.shutdown().await;
//! # Ok(()) }
//! ```
//!
//! Invariants: of an upload or download a few pieces are in memory, however long it is; a file under its final name is complete and has the hash it is
//! named after; an entry exists only after its file does; no name that a client sends becomes part of a path.

mod auth;
mod blobs;
mod contents;
mod entry;
mod error;
mod id;
mod index;
mod literal;
mod outage;
mod resources;
mod rows;
mod server;
mod store;
mod tokens;
mod transfer;
mod upload;

pub use auth::Token;
pub use blobs::ContentStream;
pub use contents::{BadS3, Contents, S3};
pub use entry::{Asset, Entry, NewAsset, Patch};
pub use error::StoreError;
pub(crate) use id::hex;
pub use id::{AssetId, BadId, ContentHash};
pub use index::{Cursor, Filter, Order};
pub use outage::{ObjectsFailure, ObjectsProblem};
pub use resources::{Resource, Resources};
pub(crate) use server::is_loopback;
pub use server::{AssetServer, AssetServerConfig, AssetService, AssetServiceConfig, StartError};
pub use store::{AssetStore, StoreOptions};
pub use tokens::{Caller, Tokens};
pub use transfer::{
    AssetTransfer, ForeignAssets, TransferCounters, TransferError, TransferOptions,
};
pub use upload::{Stored, Upload};
