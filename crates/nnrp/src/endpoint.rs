//! Where a server is. spec: nnrp-design "Endpoints and transports"

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::str::FromStr;

use nnrp_wire::TransportId;
use thiserror::Error;

/// The address of a server: `nnrps://host:port`, with TLS over TCP and with QUIC on the same port number, or
/// `nnrp+tcp://host:port`, plain TCP.
///
/// A server may have a port for each transport, as the reference has: `?tcp=9444` and `?quic=9445` name them. QUIC always
/// has TLS; beside plain TCP there is QUIC only where `?quic=` says so.
///
/// ```
/// use nnrp::{Endpoint, TransportId};
///
/// let endpoint: Endpoint = "nnrps://gpu.example:9444".parse()?;
/// assert_eq!(endpoint.port(TransportId::Quic), Some(9444));
///
/// let reference: Endpoint = "nnrp+tcp://[::1]:9444?quic=9445".parse()?;
/// assert_eq!(reference.port(TransportId::Tcp), Some(9444));
/// assert_eq!(reference.port(TransportId::Quic), Some(9445));
/// assert!(!reference.is_tls());
/// # Ok::<(), nnrp::EndpointError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    is_tls: bool,
    host: String,
    port: u16,
    tcp_port: Option<u16>,
    quic_port: Option<u16>,
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// It begins with something else.
    #[error(
        "{text:?} is no NNRP endpoint: write nnrps://host:port, or nnrp+tcp://host:port for plain TCP"
    )]
    Scheme {
        /// What it was.
        text: String,
    },
    /// It names no host, or something that cannot be one.
    #[error(
        "{text:?} names no host: write a name, an IPv4 address, or an IPv6 address in brackets"
    )]
    Host {
        /// What stands there.
        text: String,
    },
    /// It has no port, or none from 1 to 65535.
    #[error("{text:?} is no port from 1 to 65535: NNRP has no port of its own, so name one")]
    Port {
        /// What stands there.
        text: String,
    },
    /// There is more than that, and it is not understood.
    #[error(
        "{text:?} means nothing in an NNRP endpoint: only ?tcp=PORT and ?quic=PORT may follow the port"
    )]
    Rest {
        /// What stands there.
        text: String,
    },
}

impl Endpoint {
    /// TLS over TCP, and QUIC, on one port number. The host is a name or an address, an IPv6 one without brackets.
    ///
    /// # Errors
    /// [`EndpointError::Host`] or [`EndpointError::Port`].
    pub fn tls(host: &str, port: u16) -> Result<Self, EndpointError> {
        Self::new(true, host, port)
    }

    /// Plain TCP, and no QUIC.
    ///
    /// # Errors
    /// As [`Self::tls`].
    pub fn plain(host: &str, port: u16) -> Result<Self, EndpointError> {
        Self::new(false, host, port)
    }

    /// With another port for TCP.
    #[must_use]
    pub fn with_tcp_port(self, port: NonZeroU16) -> Self {
        let port = Some(port.get()).filter(|port| *port != self.port);
        Self {
            tcp_port: port,
            ..self
        }
    }

    /// With QUIC on another port; with QUIC at all, where TCP is plain.
    #[must_use]
    pub fn with_quic_port(self, port: NonZeroU16) -> Self {
        let port = Some(port.get()).filter(|port| !self.is_tls || *port != self.port);
        Self {
            quic_port: port,
            ..self
        }
    }

    /// Whether TCP has TLS.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The name or address, an IPv6 one without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port of a transport; `None` if the server does not have that.
    #[must_use]
    pub const fn port(&self, transport: TransportId) -> Option<u16> {
        match transport {
            TransportId::Quic => match self.quic_port {
                None if self.is_tls => Some(self.port),
                port => port,
            },
            TransportId::Tcp => match self.tcp_port {
                None => Some(self.port),
                port => port,
            },
            TransportId::Unspecified => None,
        }
    }

    fn new(is_tls: bool, host: &str, port: u16) -> Result<Self, EndpointError> {
        let is_name = |character: char| {
            character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_')
        };
        let is_host = !host.is_empty() && host.len() <= 253 && host.chars().all(is_name);
        if !is_host && host.parse::<IpAddr>().is_err() {
            return Err(EndpointError::Host { text: host.into() });
        }
        if port == 0 {
            return Err(EndpointError::Port { text: "0".into() });
        }
        Ok(Self {
            is_tls,
            host: host.into(),
            port,
            tcp_port: None,
            quic_port: None,
        })
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let after = |scheme| text.strip_prefix(scheme);
        let (is_tls, rest) = match (after("nnrps://"), after("nnrp+tcp://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(EndpointError::Scheme { text: text.into() }),
        };
        let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = split_authority(authority)?;
        let mut endpoint = Self::new(is_tls, host, parse_port(port)?.get())?;
        for setting in query.split('&').filter(|setting| !setting.is_empty()) {
            endpoint = match setting.split_once('=') {
                Some(("tcp", port)) => endpoint.with_tcp_port(parse_port(port)?),
                Some(("quic", port)) => endpoint.with_quic_port(parse_port(port)?),
                Some(_) | None => {
                    let text = setting.into();
                    return Err(EndpointError::Rest { text });
                }
            };
        }
        Ok(endpoint)
    }
}

fn split_authority(authority: &str) -> Result<(&str, &str), EndpointError> {
    let none = || EndpointError::Port { text: "".into() };
    let Some(bracketed) = authority.strip_prefix('[') else {
        return authority.rsplit_once(':').ok_or_else(none);
    };
    let (host, rest) = bracketed
        .split_once(']')
        .ok_or_else(|| EndpointError::Host {
            text: authority.into(),
        })?;
    Ok((host, rest.strip_prefix(':').ok_or_else(none)?))
}

fn parse_port(text: &str) -> Result<NonZeroU16, EndpointError> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = if is_number { text.parse().ok() } else { None };
    port.ok_or_else(|| EndpointError::Port { text: text.into() })
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "nnrps" } else { "nnrp+tcp" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)?;
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)?;
        }
        let mut separator = '?';
        for (name, port) in [("tcp", self.tcp_port), ("quic", self.quic_port)] {
            if let Some(port) = port {
                write!(f, "{separator}{name}={port}")?;
                separator = '&';
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, EndpointError, TransportId};

    #[test]
    fn endpoints_are_written_as_they_are_read() {
        for text in [
            "nnrps://gpu.example:9444",
            "nnrps://[::1]:9444?tcp=1&quic=2",
            "nnrp+tcp://127.0.0.1:80",
            "nnrp+tcp://localhost:80?quic=80",
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.to_string(), text);
        }
    }

    #[test]
    fn plain_tcp_has_quic_only_where_that_is_said() {
        let plain: Endpoint = "nnrp+tcp://localhost:80".parse().unwrap();
        assert_eq!(plain.port(TransportId::Quic), None);
        let both: Endpoint = "nnrp+tcp://localhost:80?quic=80".parse().unwrap();
        assert_eq!(both.port(TransportId::Quic), Some(80));
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_what_is_wrong() {
        let wrong = |text: &str| text.parse::<Endpoint>().unwrap_err();
        assert!(matches!(wrong("http://a:1"), EndpointError::Scheme { .. }));
        assert!(matches!(wrong("nnrps://:1"), EndpointError::Host { .. }));
        assert!(matches!(wrong("nnrps://a b:1"), EndpointError::Host { .. }));
        assert!(matches!(
            wrong("nnrps://[::1:1"),
            EndpointError::Host { .. }
        ));
        for port in ["", ":", ":0", ":65536", ":+1", ":1/x"] {
            let text = format!("nnrps://host{port}");
            assert!(matches!(wrong(&text), EndpointError::Port { .. }), "{text}");
        }
        for rest in ["?udp=1", "?tcp"] {
            let text = format!("nnrps://host:1{rest}");
            assert!(matches!(wrong(&text), EndpointError::Rest { .. }), "{text}");
        }
    }
}
