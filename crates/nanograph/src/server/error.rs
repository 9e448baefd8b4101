//! Why a server cannot run.

use std::io;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address cannot be listened on: it is in use, not ours, or not permitted.
    #[error("cannot listen on {address}; choose another port, or stop the program that uses it")]
    Bind {
        /// The address asked for.
        address: String,
        /// What the system said.
        source: io::Error,
    },
}
