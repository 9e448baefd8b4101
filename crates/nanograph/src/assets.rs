//! Assets: references to files kept by the orchestrator, and the client of its asset server. spec: nanograph 10
//!
//! [`AssetRef`] names an asset, in either of the two forms in use; [`AssetClient`] fetches, sends, lists and probes
//! assets, and reports resources. Bodies are streamed both ways; whatever is collected in memory has a limit.
//!
//! The client speaks TLS through rustls with the process's default provider: the binary installs one
//! (`rustls::crypto::ring::default_provider().install_default()`) before it makes a client, for plain HTTP too, or gets
//! [`AssetError::NoTlsProvider`]. Proxies of the environment are not used.
//!
//! ```no_run
//! use nanograph::assets::{AssetClient, AssetClientConfig, AssetRef, Upload};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = AssetClient::new(AssetClientConfig::new("http://127.0.0.1:3001", "token"))?;
//! let asset = client.upload(Upload::path("photo.jpg").of_type("image")).await?;
//! let reference: AssetRef = "nanocore://local.nanograph/asset/0b5a3c1e-1111-4222-8333-444455556666".parse()?;
//! let bytes = client.resolve_bytes(&reference, 64 << 20).await?;
//! # Ok(()) }
//! ```

mod client;
mod download;
mod error;
mod model;
mod reference;
mod upload;

pub use client::{AssetClient, AssetClientConfig, Token};
pub use download::Download;
pub use error::AssetError;
pub use model::{Asset, AssetFilter, PresignedUrl, Resource};
pub use reference::{AssetRef, AssetRefError};
pub use upload::Upload;
