//! Whom a client trusts, and what a server shows.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use nnrp::{
    ClientTls, DialOptions, DialPolicy, Dialer, Link, Listener, ListenerOptions, ServerTls,
    TcpSecurity,
};
use tempfile::NamedTempFile;
use tokio::time::Instant;

use crate::failure::{Failure, chain};
use crate::terminal;

/// Whom a client trusts.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct TrustFlags {
    /// Trust the certificates of this PEM file, and what they have signed; without it, what browsers trust.
    #[arg(long, visible_alias = "cafile", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Trust whoever answers, on this machine only.
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
    /// Trust whoever answers anywhere: anybody on the way can read and change everything.
    #[arg(long, conflicts_with_all = ["ca", "insecure"])]
    insecure_anywhere: bool,
    /// Expect a certificate for this name instead of the endpoint's host.
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Show this certificate, PEM, to servers that ask for one.
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_certificate: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    client_key: Option<PathBuf>,
}

impl TrustFlags {
    pub(super) fn dialer(&self) -> Result<Dialer, Failure> {
        Ok(Dialer::new(DialOptions::tls(self.tls()?)))
    }

    fn tls(&self) -> Result<ClientTls, Failure> {
        let wrong = |error: nnrp::TlsError| Failure::usage(chain(&error));
        let mut tls = match &self.ca {
            Some(file) => ClientTls::with_authority_file(file).map_err(wrong)?,
            None if self.insecure => ClientTls::insecure(),
            None if self.insecure_anywhere => ClientTls::insecure_anywhere(),
            None => ClientTls::new(),
        };
        if let Some(name) = &self.server_name {
            tls = tls.with_server_name(name).map_err(wrong)?;
        }
        if let (Some(chain), Some(key)) = (&self.client_certificate, &self.client_key) {
            tls = tls
                .with_certificate(&read(chain)?, &read(key)?)
                .map_err(wrong)?;
        }
        Ok(tls)
    }
}

/// Which transport a client uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Policy {
    /// QUIC has a head start; whichever is connected first.
    Auto,
    /// TCP has the head start.
    PreferTcp,
    /// QUIC only.
    Quic,
    /// TCP only.
    Tcp,
}

impl From<Policy> for DialPolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Auto => Self::Auto,
            Policy::PreferTcp => Self::PreferTcp,
            Policy::Quic => Self::ForceQuic,
            Policy::Tcp => Self::ForceTcp,
        }
    }
}

/// What a server shows.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct IdentityFlags {
    /// Show this certificate chain, PEM; without it, one that is made for this run and signed by itself. Plain TCP shows none.
    #[arg(long, value_name = "FILE", requires = "private_key")]
    certificate: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    private_key: Option<PathBuf>,
    /// Write the certificate that is made to this file, for clients to trust; without it, to a temporary file. Not with plain
    /// TCP alone.
    #[arg(long, value_name = "FILE", conflicts_with = "certificate")]
    certificate_out: Option<PathBuf>,
}

/// A certificate to show.
#[derive(Debug)]
struct Identity {
    tls: ServerTls,
    /// What clients are to trust, if it was made here.
    made_pem: Option<String>,
}

/// What clients are to trust.
#[derive(Debug)]
struct Trust {
    path: PathBuf,
    /// Gone when this is.
    _file: Option<NamedTempFile>,
}

impl IdentityFlags {
    /// Refuses what would have no effect: a server that is believed to show a certificate, and a file that never comes.
    pub(super) fn check(&self, transports: Transports) -> Result<(), Failure> {
        match self.given() {
            Some(flag) if !transports.show_certificate() => Err(Failure::usage(format!(
                "{flag}: plain TCP shows no certificate; listen with TLS or QUIC, or leave it out"
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// A flag of these that was given.
    fn given(&self) -> Option<&'static str> {
        let flags = [
            ("--certificate-out", self.certificate_out.is_some()),
            ("--certificate", self.certificate.is_some()),
        ];
        let mut given = flags.iter().filter(|(_, is_given)| *is_given);
        given.next().map(|(flag, _)| *flag)
    }

    /// For a server at this address.
    fn identity(&self, address: IpAddr) -> Result<Identity, Failure> {
        if let (Some(chain_file), Some(key)) = (&self.certificate, &self.private_key) {
            let tls = ServerTls::from_files(chain_file, key);
            return Ok(Identity {
                tls: tls.map_err(|error| Failure::usage(chain(&error)))?,
                made_pem: None,
            });
        }
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".into(), "::1".into()];
        if !address.is_unspecified() && !names.contains(&address.to_string()) {
            names.push(address.to_string());
        }
        let made = ServerTls::self_signed(names);
        let made = made.map_err(|error| Failure::usage(chain(&error)))?;
        Ok(Identity {
            tls: made.tls,
            made_pem: Some(made.certificate_pem),
        })
    }
}

fn write_certificate(to: Option<&Path>, pem: &str) -> Result<Trust, Failure> {
    let failed =
        |path: &Path, error: std::io::Error| Failure::usage(format!("{}: {error}", path.display()));
    if let Some(path) = to {
        std::fs::write(path, pem).map_err(|error| failed(path, error))?;
        return Ok(Trust {
            path: path.to_owned(),
            _file: None,
        });
    }
    let mut builder = tempfile::Builder::new();
    let file = builder.prefix("nodewire-nnrp-").suffix(".pem").tempfile();
    let file = file.map_err(|error| failed(&std::env::temp_dir(), error))?;
    std::fs::write(file.path(), pem).map_err(|error| failed(file.path(), error))?;
    Ok(Trust {
        path: file.path().to_owned(),
        _file: Some(file),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// Where to listen, as an endpoint whose host is an address, and whose port may be 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListenAt {
    pub(super) tcp: TcpSecurity,
    pub(super) address: SocketAddr,
}

impl FromStr for ListenAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tcp, address) = if let Some(address) = text.strip_prefix("nnrps://") {
            (TcpSecurity::Tls, address)
        } else if let Some(address) = text.strip_prefix("nnrp+tcp://") {
            (TcpSecurity::Plain, address)
        } else {
            return Err(
                "write nnrps://ADDRESS:PORT, or nnrp+tcp://ADDRESS:PORT for plain TCP".into(),
            );
        };
        let address = address.replacen("localhost:", "127.0.0.1:", 1);
        let address = address.trim_end_matches('/').parse();
        let address = address.map_err(|_| {
            "an address of this machine and a port are expected, such as 127.0.0.1:9444 or [::]:0"
        })?;
        Ok(Self { tcp, address })
    }
}

/// Where a server listens, and what it shows.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ListenFlags {
    /// Where to listen: nnrps://ADDRESS:PORT for TLS over TCP and QUIC, nnrp+tcp://ADDRESS:PORT for plain TCP. With port 0,
    /// one that is free.
    #[arg(long, value_name = "ENDPOINT", default_value = "nnrps://127.0.0.1:0")]
    pub(super) listen: ListenAt,
    /// Take QUIC connections beside plain TCP, on the same port number.
    #[arg(long)]
    quic: bool,
    #[command(flatten)]
    identity: IdentityFlags,
}

/// A listener, and what is needed to reach it.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) listener: Listener,
    /// As clients write it.
    pub(super) endpoint: String,
    trust: Option<Trust>,
}

impl ListenFlags {
    /// Refuses a certificate where nothing is listened on.
    pub(super) fn check_unused(&self) -> Result<(), Failure> {
        match self.identity.given() {
            Some(flag) => Err(Failure::usage(format!("{flag} is for servers only"))),
            None => Ok(()),
        }
    }

    pub(super) async fn bind(&self) -> Result<Listening, Failure> {
        let has_quic = self.quic || self.listen.tcp == TcpSecurity::Tls;
        let transports = Transports {
            tcp: Some(self.listen.tcp),
            quic: has_quic,
        };
        self.identity.check(transports)?;
        listen(self.listen.address, transports, &self.identity).await
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Transports {
    pub(super) tcp: Option<TcpSecurity>,
    pub(super) quic: bool,
}

impl Transports {
    fn show_certificate(self) -> bool {
        self.quic || self.tcp == Some(TcpSecurity::Tls)
    }
}

pub(super) async fn listen(
    address: SocketAddr,
    transports: Transports,
    flags: &IdentityFlags,
) -> Result<Listening, Failure> {
    let identity = if transports.show_certificate() {
        Some(flags.identity(address.ip())?)
    } else {
        None
    };
    let mut options = ListenerOptions::plain(address);
    options.tcp = transports.tcp;
    options.quic = transports.quic;
    options.tls = identity.as_ref().map(|identity| identity.tls.clone());
    let listener = Listener::bind(options).await;
    let listener = listener.map_err(|error| Failure::servers(chain(&error)))?;
    // Not before: the file may be that of another server, which has the address.
    let made_pem = identity.and_then(|identity| identity.made_pem);
    let trust = made_pem.map(|pem| write_certificate(flags.certificate_out.as_deref(), &pem));
    let address = listener.local_addr();
    let endpoint = match transports.tcp {
        Some(TcpSecurity::Plain) if transports.quic => {
            format!("nnrp+tcp://{address}?quic={}", address.port())
        }
        Some(TcpSecurity::Plain) => format!("nnrp+tcp://{address}"),
        Some(TcpSecurity::Tls) | None => format!("nnrps://{address}"),
    };
    Ok(Listening {
        listener,
        endpoint,
        trust: trust.transpose()?,
    })
}

impl Listening {
    /// Where clients find what to trust, if it was made here.
    pub(super) fn trust(&self) -> Option<&Path> {
        self.trust.as_ref().map(|trust| trust.path.as_path())
    }

    /// Tells where it is: people on standard error, programs on standard output.
    pub(super) fn tell(&self, json: bool) {
        let trust = self.trust().map(|path| path.display().to_string());
        if json {
            terminal::json(serde_json::json!({
                "type": "listening", "endpoint": self.endpoint, "certificate": trust,
            }));
            return;
        }
        terminal::say(format_args!("listening on {}", self.endpoint));
        if let Some(trust) = trust {
            terminal::say(format_args!(
                "with a certificate that is signed by itself; clients trust it by --ca {trust}"
            ));
        }
    }
}

/// When something is to be done that may take so long. What is further away is never reached, and cannot always be told as a
/// time.
pub(super) fn deadline(timeout: Duration) -> Instant {
    let longest = Duration::from_secs(10 * 365 * 24 * 3600);
    Instant::now() + timeout.min(longest)
}

/// How long the other sides may take to learn that connections have ended.
const LEAVE: Duration = Duration::from_secs(1);

/// A process that ends at once leaves the other side of a QUIC connection waiting for its idle timeout.
pub(super) async fn leave(dialer: Option<&Dialer>, listener: Option<&Listener>) {
    let leaving = async {
        if let Some(dialer) = dialer {
            dialer.idle().await;
        }
        if let Some(listener) = listener {
            listener.close();
            listener.idle().await;
        }
    };
    // Connections of sides that do not end are not waited for.
    let _ = tokio::time::timeout(LEAVE, leaving).await;
}

/// The other side's address, for people.
pub(super) fn remote(link: &Link) -> String {
    link.remote()
        .map_or_else(|| "somewhere".to_owned(), |remote| remote.to_string())
}

#[cfg(test)]
mod tests {
    use super::ListenAt;

    #[test]
    fn where_to_listen() {
        for good in [
            "nnrps://127.0.0.1:0",
            "nnrp+tcp://[::1]:9444",
            "nnrps://localhost:1/",
        ] {
            assert!(good.parse::<ListenAt>().is_ok(), "{good}");
        }
        for wrong in [
            "127.0.0.1:0",
            "nnrps://host",
            "nnrp+tcp://example.org:1",
            "http://[::]:1",
        ] {
            assert!(wrong.parse::<ListenAt>().is_err(), "{wrong}");
        }
    }
}
