//! What a listener does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicServerConfig;

use super::ListenerError;
use crate::link::QuicOptions;
use crate::tls::{ServerTls, TlsError};

/// What TCP connections begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TcpSecurity {
    /// Packets, at once. The reference has nothing else. Anybody on the way can read and change everything.
    Plain,
    /// A TLS handshake.
    Tls,
}

/// What a listener does.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ListenerOptions {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it takes TCP connections, and what they begin with.
    pub tcp: Option<TcpSecurity>,
    /// Whether it takes QUIC connections.
    pub quic: bool,
    /// The certificate, for all but plain TCP.
    pub tls: Option<ServerTls>,
    /// Settings of QUIC.
    pub quic_options: QuicOptions,
    /// How long a handshake may take: 10 s unless set.
    pub handshake_timeout: Duration,
    /// Handshakes at the same time: 256 unless set. Beyond them the oldest one gives way, so that silent connections do not
    /// keep others out.
    pub handshakes_max: usize,
    /// Connections at the same time, whether they were accepted or not: 10,000 unless set. Others are refused.
    pub connections_max: usize,
    /// Connections that wait to be accepted: 256 unless set. Others wait in the system, or in their handshake.
    pub backlog_max: usize,
}

impl ListenerOptions {
    /// TLS over TCP, and QUIC.
    #[must_use]
    pub fn tls(address: SocketAddr, tls: ServerTls) -> Self {
        Self {
            tcp: Some(TcpSecurity::Tls),
            quic: true,
            tls: Some(tls),
            ..Self::plain(address)
        }
    }

    /// Plain TCP, and no QUIC.
    #[must_use]
    pub fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            tcp: Some(TcpSecurity::Plain),
            quic: false,
            tls: None,
            quic_options: QuicOptions::default(),
            handshake_timeout: Duration::from_secs(10),
            handshakes_max: 256,
            connections_max: 10_000,
            backlog_max: 256,
        }
    }

    /// Plain TCP, and QUIC, as the reference has it.
    #[must_use]
    pub fn plain_and_quic(address: SocketAddr, tls: ServerTls) -> Self {
        Self {
            tcp: Some(TcpSecurity::Plain),
            ..Self::tls(address, tls)
        }
    }

    pub(super) fn quic_config(&self) -> Result<quinn::ServerConfig, ListenerError> {
        let tls = self.tls.as_ref().ok_or(ListenerError::NoCertificate)?;
        let tls = tls.quic_config().map_err(ListenerError::Tls)?;
        let tls = QuicServerConfig::try_from(tls)
            .map_err(|error| rustls::Error::General(error.to_string()))
            .map_err(|error| ListenerError::Tls(TlsError::Unusable(error)))?;
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
        config.transport_config(self.quic_options.transport());
        Ok(config)
    }

    pub(super) fn tcp_config(&self) -> Result<Option<Arc<rustls::ServerConfig>>, ListenerError> {
        if self.tcp != Some(TcpSecurity::Tls) {
            return Ok(None);
        }
        let tls = self.tls.as_ref().ok_or(ListenerError::NoCertificate)?;
        let config = tls.tcp_config().map_err(ListenerError::Tls)?;
        Ok(Some(Arc::new(config)))
    }
}
