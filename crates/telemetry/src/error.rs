//! What can be wrong with the set-up. Addresses, keys and values are not part of the messages: they may be secret.

use thiserror::Error;

/// An exporter cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExportSetupError {
    /// The endpoint is no URL of a collector.
    #[error("the telemetry endpoint {0}")]
    Endpoint(&'static str),
    /// A header is none that HTTP can have.
    #[error("a header for the telemetry endpoint has characters that no HTTP header can have")]
    Header,
    /// The program has no TLS provider.
    #[error("no TLS provider is installed; install one of rustls before telemetry is started")]
    NoTlsProvider,
    /// The HTTP client cannot be had.
    #[error("telemetry has no HTTP client: {0}")]
    Client(String),
}

/// Telemetry is wanted and cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// A variable, or the value given in its place, cannot be used.
    #[error("{name} {problem}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The exporter cannot be had.
    #[error(transparent)]
    Export(#[from] ExportSetupError),
    /// It was started outside of a tokio runtime.
    #[error("telemetry is started outside of a tokio runtime; start it inside of one")]
    NoRuntime,
}
