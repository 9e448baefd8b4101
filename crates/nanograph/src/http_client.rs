//! The HTTP client under assets and probe.

use std::time::Duration;

/// A client without proxies; `None` if the process has no TLS provider, without which reqwest would panic.
pub(crate) fn new(connect_timeout: Duration) -> Option<reqwest::Client> {
    rustls::crypto::CryptoProvider::get_default()?;
    // The library does not read the environment, so proxies named there are not used.
    reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(connect_timeout)
        .tcp_nodelay(true)
        .build()
        .ok()
}
