//! What can go wrong before a server serves.

use nodewire_core::RegistryError;

/// Why a server could not be built, started or run. `Debug` is for people, too: it is what a `main` that returns this
/// prints.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Two nodes with the same uid.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// `nanoserver.json` is missing or wrong.
    #[error(transparent)]
    Config(#[from] ::nanograph::config::ConfigError),
    /// `nodewire.toml`, the environment or a flag is wrong.
    #[cfg(feature = "config")]
    #[error(transparent)]
    Settings(#[from] crate::config::ConfigError),
    /// The asset server's address or token cannot be used.
    #[error(transparent)]
    Assets(#[from] ::nanograph::assets::AssetError),
    /// The Nanograph wire's address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ::nanograph::server::ServerError),
    /// The NATS wire cannot start.
    #[cfg(feature = "nats")]
    #[error(transparent)]
    Nats(#[from] crate::nats::NatsError),
    /// The Autotrainer wire cannot start.
    #[cfg(feature = "autotrainer")]
    #[error(transparent)]
    Autotrainer(#[from] crate::autotrainer::AutotrainerError),
    /// The NNRP wire's address cannot be listened on, or its certificate cannot be used.
    #[cfg(feature = "nnrp")]
    #[error(transparent)]
    Nnrp(#[from] ::nnrp::ListenerError),
    /// Plain HTTP cannot start.
    #[cfg(feature = "http")]
    #[error(transparent)]
    Http(#[from] crate::http::HttpError),
    /// MCP cannot start.
    #[cfg(feature = "mcp")]
    #[error(transparent)]
    Mcp(#[from] crate::mcp::McpError),
    /// The metrics' own listener cannot start.
    #[error(transparent)]
    Metrics(#[from] crate::metrics::MetricsError),
    /// No wire was configured.
    #[error(
        "no wire is configured: call `nanograph(config)` or another wire's method, or `run()` beside a nanoserver.json"
    )]
    NoWire,
    /// Signals cannot be caught.
    #[error("signals cannot be caught")]
    Signals(#[source] std::io::Error),
}

impl std::fmt::Debug for ServeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let reason = error.to_string();
            // Some texts have their cause in them already.
            if !text.contains(&reason) {
                text.push_str(": ");
                text.push_str(&reason);
            }
            cause = error.source();
        }
        f.write_str(&text)
    }
}
