//! Where servers are.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use crate::capability::Wire;

/// Where servers are, on one wire.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// A Nanograph node server.
    Nanograph {
        /// `ws://host:port` or `wss://host:port`.
        url: String,
    },
    /// Services on a NATS broker.
    Nats {
        /// `nats://` or `tls://`; may have `user:password@` or `token@`. Several are separated by commas.
        url: Secret,
        /// Only those of this name.
        service: Option<String>,
        /// Who we are, if the address does not say so.
        login: NatsLogin,
        /// A file with the authorities to trust, PEM, beside those that the system trusts.
        tls_ca: Option<PathBuf>,
    },
    /// An Autotrainer device.
    Autotrainer {
        /// Where it publishes: `tcp://host:port`.
        events: String,
        /// Where it takes commands.
        commands: String,
    },
    /// An NNRP server.
    Nnrp {
        /// `nnrps://host:port`, or `nnrp+tcp://host:port` for plain TCP.
        endpoint: String,
        /// Who may answer.
        trust: NnrpTrust,
    },
    /// A server of plain HTTP.
    Http {
        /// `http://host:port`, or `https://` for a proxy before it.
        url: String,
        /// Its token.
        token: Option<Secret>,
    },
}

/// Who we are to a NATS broker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NatsLogin {
    /// Whoever the address says, or nobody.
    #[default]
    Url,
    /// A file with a JWT and its seed.
    Credentials(PathBuf),
    /// A user.
    User {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token.
    Token(Secret),
}

/// Who may answer for an NNRP server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NnrpTrust {
    /// Whom browsers trust.
    #[default]
    Web,
    /// Those who have a certificate of these authorities; PEM.
    Authorities(Vec<u8>),
    /// Anybody, on loopback only.
    AnybodyOnLoopback,
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A text that is no target. It is not repeated, as it may have a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no {wire} target: {problem}; write {form}")]
pub struct TargetError {
    /// For which wire.
    pub wire: Wire,
    /// What is wrong.
    pub problem: &'static str,
    /// What is wanted.
    pub form: &'static str,
}

impl Target {
    /// Reads a target as it is written in flags and files. Schemes may be left out.
    ///
    /// | Wire | Form |
    /// |---|---|
    /// | nanograph | `ws://HOST:PORT`, also `wss`, `http`, `https` |
    /// | nats | `nats://[USER:PASSWORD@]HOST:PORT[/SERVICE]`, also `tls` |
    /// | autotrainer | `EVENTS,COMMANDS`, each `[tcp://HOST:]PORT` |
    /// | nnrp | `nnrps://HOST:PORT` or `nnrp+tcp://HOST:PORT` |
    /// | http | `http://HOST:PORT`, also `https` |
    ///
    /// # Errors
    /// The text has none of these forms.
    pub fn parse(wire: Wire, text: &str) -> Result<Self, TargetError> {
        let text = text.trim();
        let read = match wire {
            Wire::Nanograph => nanograph(text),
            Wire::Nats => nats(text),
            Wire::Autotrainer => autotrainer(text),
            Wire::Nnrp => nnrp(text),
            Wire::Http => http(text),
            Wire::Mcp => Err("its servers are for MCP clients"),
        };
        read.map_err(|problem| TargetError {
            wire,
            problem,
            form: form(wire),
        })
    }

    /// Which wire it is on.
    #[must_use]
    pub const fn wire(&self) -> Wire {
        match self {
            Self::Nanograph { .. } => Wire::Nanograph,
            Self::Nats { .. } => Wire::Nats,
            Self::Autotrainer { .. } => Wire::Autotrainer,
            Self::Nnrp { .. } => Wire::Nnrp,
            Self::Http { .. } => Wire::Http,
        }
    }
}

const fn form(wire: Wire) -> &'static str {
    match wire {
        Wire::Nanograph => "ws://HOST:PORT",
        Wire::Nats => "nats://HOST:PORT or nats://HOST:PORT/SERVICE",
        Wire::Autotrainer => "EVENTS,COMMANDS, each PORT, HOST:PORT or tcp://HOST:PORT",
        Wire::Nnrp => "HOST:PORT, nnrps://HOST:PORT or nnrp+tcp://HOST:PORT",
        Wire::Http => "http://HOST:PORT",
        Wire::Mcp => "a target on another wire",
    }
}

/// The scheme, if there is one, and the rest.
fn scheme(text: &str) -> (Option<&str>, &str) {
    match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text),
    }
}

const NO_SCHEME: &str = "another scheme is needed";
const NO_PORT: &str = "host and port are needed";

/// Whether it is `host:port`, with an IPv6 address in brackets.
fn check_address(text: &str) -> Result<(), &'static str> {
    let (host, port) = text.rsplit_once(':').ok_or(NO_PORT)?;
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_host = match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        }
    };
    if is_port && is_host {
        Ok(())
    } else {
        Err(NO_PORT)
    }
}

fn check_url(rest: &str) -> Result<(), &'static str> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let address = authority.rsplit('@').next().unwrap_or_default();
    check_address(address)
}

fn nanograph(text: &str) -> Result<Target, &'static str> {
    let (scheme, rest) = scheme(text);
    let scheme = match scheme {
        None | Some("ws" | "http") => "ws",
        Some("wss" | "https") => "wss",
        Some(_) => return Err(NO_SCHEME),
    };
    check_url(rest)?;
    Ok(Target::Nanograph {
        url: format!("{scheme}://{rest}"),
    })
}

fn nats(text: &str) -> Result<Target, &'static str> {
    let (first, service) = match text.rsplit_once('/') {
        Some((before, service)) if !before.ends_with('/') && !before.ends_with(':') => {
            (before, Some(service).filter(|service| !service.is_empty()))
        }
        Some(_) | None => (text, None),
    };
    if let Some(service) = service {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !service.chars().all(is_name) {
            return Err(
                "the service's name has other characters than letters, digits, `-` and `_`",
            );
        }
    }
    let mut urls = Vec::new();
    for url in first.split(',') {
        let (scheme, rest) = scheme(url);
        let scheme = match scheme {
            None | Some("nats") => "nats",
            Some("tls") => "tls",
            Some(_) => return Err(NO_SCHEME),
        };
        check_url(rest)?;
        urls.push(format!("{scheme}://{rest}"));
    }
    Ok(Target::Nats {
        url: Secret::new(urls.join(",")),
        service: service.map(str::to_owned),
        login: NatsLogin::Url,
        tls_ca: None,
    })
}

fn autotrainer(text: &str) -> Result<Target, &'static str> {
    let (events, commands) = text
        .split_once(',')
        .ok_or("two endpoints are needed, with a comma between them")?;
    Ok(Target::Autotrainer {
        events: tcp(events.trim())?,
        commands: tcp(commands.trim())?,
    })
}

fn tcp(text: &str) -> Result<String, &'static str> {
    let (scheme, rest) = scheme(text);
    if !matches!(scheme, None | Some("tcp")) {
        return Err(NO_SCHEME);
    }
    let address = if rest.contains(':') {
        rest.to_owned()
    } else {
        format!("127.0.0.1:{rest}")
    };
    check_address(&address)?;
    Ok(format!("tcp://{address}"))
}

fn nnrp(text: &str) -> Result<Target, &'static str> {
    let (scheme, rest) = scheme(text);
    let scheme = match scheme {
        None | Some("nnrps") => "nnrps",
        Some("nnrp+tcp") => "nnrp+tcp",
        Some(_) => return Err(NO_SCHEME),
    };
    check_url(rest)?;
    Ok(Target::Nnrp {
        endpoint: format!("{scheme}://{rest}"),
        trust: NnrpTrust::Web,
    })
}

fn http(text: &str) -> Result<Target, &'static str> {
    let (scheme, rest) = scheme(text);
    let scheme = match scheme {
        None | Some("http") => "http",
        Some("https") => "https",
        Some(_) => return Err(NO_SCHEME),
    };
    // A proxy may have the usual port.
    if rest.is_empty() || rest.starts_with('/') {
        return Err("a host is needed");
    }
    if rest.contains(['?', '#', '@', ' ']) {
        return Err("a query, a fragment or a user is not taken");
    }
    Ok(Target::Http {
        url: format!("{scheme}://{}", rest.trim_end_matches('/')),
        token: None,
    })
}

/// Without passwords.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nanograph { url } | Self::Http { url, .. } => f.write_str(url),
            Self::Nats { url, service, .. } => {
                for (place, url) in url.reveal().split(',').enumerate() {
                    let (scheme, rest) = url.split_once("://").unwrap_or(("nats", url));
                    let shown = rest.rsplit('@').next().unwrap_or_default();
                    let separator = if place > 0 { "," } else { "" };
                    write!(f, "{separator}{scheme}://{shown}")?;
                }
                match service {
                    Some(service) => write!(f, "/{service}"),
                    None => Ok(()),
                }
            }
            Self::Autotrainer { events, commands } => write!(f, "{events},{commands}"),
            Self::Nnrp { endpoint, .. } => f.write_str(endpoint),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_shown_as_they_are_read() {
        let read = |wire, text| Target::parse(wire, text).unwrap().to_string();
        assert_eq!(
            read(Wire::Nanograph, "localhost:3017"),
            "ws://localhost:3017"
        );
        assert_eq!(read(Wire::Nanograph, "https://a:1/x"), "wss://a:1/x");
        assert_eq!(read(Wire::Nats, "u:p@a:4222/svc"), "nats://a:4222/svc");
        assert_eq!(read(Wire::Nats, "tls://a:1,b:2"), "tls://a:1,nats://b:2");
        assert_eq!(
            read(Wire::Autotrainer, "5556, tcp://[::1]:5557"),
            "tcp://127.0.0.1:5556,tcp://[::1]:5557"
        );
        assert_eq!(read(Wire::Nnrp, "a:1"), "nnrps://a:1");
        assert_eq!(read(Wire::Http, "http://a:8080/"), "http://a:8080");
        assert_eq!(
            read(Wire::Http, "https://nodes.example"),
            "https://nodes.example"
        );
    }

    #[test]
    fn what_is_none_is_refused_without_being_repeated() {
        for (wire, text) in [
            (Wire::Nanograph, "ftp://a:1"),
            (Wire::Nanograph, "ws://secret"),
            (Wire::Nanograph, ""),
            (Wire::Nats, "secret:secret@a"),
            (Wire::Nats, "nats://a:4222/sec.ret"),
            (Wire::Autotrainer, "5556"),
            (Wire::Autotrainer, "5556,70000"),
            (Wire::Autotrainer, "udp://a:1,2"),
            (Wire::Nnrp, "http://a:1"),
            (Wire::Nnrp, "a b:1"),
            (Wire::Http, "http://"),
            (Wire::Http, "http://u:secret@a:1"),
        ] {
            let error = Target::parse(wire, text).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{text}");
            assert_eq!(error.wire, wire, "{text}");
        }
        let target = Target::parse(Wire::Nats, "nats://u:secret@a:1").unwrap();
        assert!(!format!("{target:?} {target}").contains("secret"));
    }
}
