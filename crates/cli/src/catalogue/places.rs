//! Where to look for servers: flags, else the environment, else `nodewire.toml`; and the daemon.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nodewire::capability::Wire;
use nodewire::client::{NatsLogin, NnrpTrust, RemoteOptions, Secret, Target};
use tokio::time::Instant;

use super::config::{self, Catalogue};
use crate::core::{RunningServers, running_servers};
use crate::failure::Failure;
use crate::terminal;

/// Targets that are asked at once.
pub(super) const TARGETS_MAX: usize = 64;

/// So many servers that are not there are told of.
const ABSENT_TOLD_MAX: usize = 16;

/// Bytes of a token's or certificate's file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What the help of each command says.
pub(super) const WHERE: &str = "\
Where servers are is said by flags; without any, by NODEWIRE_CATALOGUE_NANOGRAPH, _NATS, _AUTOTRAINER, _NNRP and _HTTP \
(several with spaces between them), _NATS_CREDENTIALS, _NNRP_CA, _HTTP_TOKEN_FILE and _HTTP_TOKEN; without these, by the table \
[catalogue] of nodewire.toml in the current folder, with the keys nanograph, nats, autotrainer, nnrp, http (lists), \
nats_credentials, nnrp_ca, http_token_file, nnrp_insecure and daemon. The node servers that a running daemon knows, also those on \
NATS, are looked at, too, unless flags say where to look, or `daemon = false`.";

/// Where to look.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Where to look")]
pub(super) struct PlaceFlags {
    /// A Nanograph node server. May be repeated, as all of these.
    #[arg(long, value_name = "URL")]
    nanograph: Vec<String>,
    /// A NATS broker, or one service there.
    #[arg(long, value_name = "URL[/SERVICE]")]
    nats: Vec<String>,
    /// A file with a JWT and its seed, for the brokers.
    #[arg(long, value_name = "FILE")]
    nats_credentials: Option<PathBuf>,
    /// An Autotrainer device: where it publishes, and where it takes commands.
    #[arg(long, value_name = "EVENTS,COMMANDS")]
    autotrainer: Vec<String>,
    /// An NNRP server: TLS unless it is nnrp+tcp://HOST:PORT.
    #[arg(long, value_name = "HOST:PORT")]
    nnrp: Vec<String>,
    /// Certificates of the authorities to trust for NNRP, PEM; those that browsers trust unless given.
    #[arg(long, value_name = "FILE")]
    nnrp_ca: Option<PathBuf>,
    /// Trust any NNRP server on this machine.
    #[arg(long, conflicts_with = "nnrp_ca")]
    nnrp_insecure: bool,
    /// A server of plain HTTP.
    #[arg(long, value_name = "URL")]
    http: Vec<String>,
    /// A file with the token of the HTTP servers [or the token in NODEWIRE_CATALOGUE_HTTP_TOKEN].
    #[arg(long, value_name = "FILE")]
    http_token_file: Option<PathBuf>,
    /// The file with the table `[catalogue]`; `nodewire.toml` in the current folder unless given, if there is one.
    #[arg(long, value_name = "FILE", env = "NODEWIRE_CONFIG")]
    config: Option<PathBuf>,
    /// Leave the daemon's servers out.
    #[arg(long)]
    no_daemon: bool,
    /// How long to look, in seconds: at all places at once.
    #[arg(long, value_name = "SECONDS", default_value = "6", value_parser = patience)]
    wait: Duration,
}

/// Where to look, and until when.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) targets: Vec<Target>,
    pub(super) options: RemoteOptions,
    /// Nobody is waited for any longer.
    pub(super) until: Instant,
    /// How long each further look may take.
    pub(super) wait: Duration,
}

impl PlaceFlags {
    /// What is configured, on one wire or on all.
    ///
    /// # Errors
    /// Nothing is, or something is wrong.
    pub(super) async fn find(&self, via: Option<Wire>) -> Result<Places, Failure> {
        let until = Instant::now() + self.wait;
        let flags = self.as_catalogue();
        let is_flagged = flags.names_targets();
        let configured = if is_flagged {
            flags
        } else {
            let environment = from_environment(&variable);
            let named = if environment.names_targets() {
                Some(environment)
            } else {
                config::read(self.config.as_deref())?
            };
            self.with_flags(named.unwrap_or_default())
        };
        let wants_daemon = !is_flagged && !self.no_daemon && configured.daemon.unwrap_or(true);
        let mut targets = targets(&configured, variable("NODEWIRE_CATALOGUE_HTTP_TOKEN"))?;
        if wants_daemon {
            for target in self.of_daemon().await {
                if !targets.contains(&target) {
                    targets.push(target);
                }
            }
        }
        targets.retain(|target| via.is_none_or(|wire| target.wire() == wire));
        if targets.is_empty() {
            let on = via.map_or_else(String::new, |wire| format!(" on {wire}"));
            return Err(Failure::usage(format!(
                "there is nowhere to look{on}: say where servers are, with --nanograph, --nats, --autotrainer, --nnrp or --http, or in [catalogue] of nodewire.toml; --help has more"
            )));
        }
        if targets.len() > TARGETS_MAX {
            let count = targets.len();
            return Err(Failure::usage(format!(
                "{count} places to look at are too many; {TARGETS_MAX} are allowed"
            )));
        }
        Ok(Places {
            targets,
            options: options(self.wait),
            until,
            wait: self.wait,
        })
    }

    /// The node servers that a daemon knows. That it does not tell is no reason not to look elsewhere.
    async fn of_daemon(&self) -> Vec<Target> {
        // The other half is for its servers, and for everybody else.
        let running = running_servers(self.wait / 2).await;
        let running = running.unwrap_or_else(|failure| RunningServers {
            absent: vec![format!("the daemon's node servers are left out: {failure}")],
            ..RunningServers::default()
        });
        for why in running.absent.iter().take(ABSENT_TOLD_MAX) {
            let warning = terminal::warning_word();
            terminal::say(format_args!("{warning} {}", terminal::plain(why)));
        }
        running.targets
    }

    fn as_catalogue(&self) -> Catalogue {
        self.with_flags(Catalogue {
            nanograph: self.nanograph.clone(),
            nats: self.nats.clone(),
            autotrainer: self.autotrainer.clone(),
            nnrp: self.nnrp.clone(),
            http: self.http.clone(),
            nats_credentials: variable("NODEWIRE_CATALOGUE_NATS_CREDENTIALS").map(Into::into),
            nnrp_ca: variable("NODEWIRE_CATALOGUE_NNRP_CA").map(Into::into),
            http_token_file: variable("NODEWIRE_CATALOGUE_HTTP_TOKEN_FILE").map(Into::into),
            ..Catalogue::default()
        })
    }

    /// Flags about how to connect win wherever the targets come from.
    fn with_flags(&self, mut catalogue: Catalogue) -> Catalogue {
        let wins = |flag: &Option<PathBuf>, place: &mut Option<PathBuf>| {
            if flag.is_some() {
                place.clone_from(flag);
            }
        };
        wins(&self.nats_credentials, &mut catalogue.nats_credentials);
        wins(&self.nnrp_ca, &mut catalogue.nnrp_ca);
        wins(&self.http_token_file, &mut catalogue.http_token_file);
        catalogue.nnrp_insecure |= self.nnrp_insecure;
        if self.nnrp_ca.is_some() {
            catalogue.nnrp_insecure = false;
        }
        catalogue
    }
}

/// With this time for everything that is told.
pub(super) fn options(wait: Duration) -> RemoteOptions {
    let mut options = RemoteOptions::default();
    options.connect_timeout = wait;
    options.answer_timeout = wait;
    options.heartbeat_timeout = wait;
    options
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

fn from_environment(lookup: &impl Fn(&str) -> Option<String>) -> Catalogue {
    let text = |name: &str| lookup(&format!("NODEWIRE_CATALOGUE_{name}"));
    let list = |name: &str| {
        let text = text(name).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    };
    Catalogue {
        nanograph: list("NANOGRAPH"),
        nats: list("NATS"),
        autotrainer: list("AUTOTRAINER"),
        nnrp: list("NNRP"),
        http: list("HTTP"),
        nats_credentials: text("NATS_CREDENTIALS").map(Into::into),
        nnrp_ca: text("NNRP_CA").map(Into::into),
        http_token_file: text("HTTP_TOKEN_FILE").map(Into::into),
        ..Catalogue::default()
    }
}

fn targets(catalogue: &Catalogue, token: Option<String>) -> Result<Vec<Target>, Failure> {
    let token = match (&catalogue.http_token_file, token) {
        (Some(path), _) => {
            let text = file(path)?;
            let text = String::from_utf8(text)
                .map_err(|_| Failure::usage(format!("{}: a token is a text", path.display())))?;
            Some(Secret::new(text.trim()))
        }
        (None, token) => token.map(Secret::new),
    };
    let trust = match &catalogue.nnrp_ca {
        _ if catalogue.nnrp_insecure => NnrpTrust::AnybodyOnLoopback,
        Some(path) => NnrpTrust::Authorities(file(path)?),
        None => NnrpTrust::Web,
    };
    let lists = [
        (Wire::Nanograph, &catalogue.nanograph),
        (Wire::Nats, &catalogue.nats),
        (Wire::Autotrainer, &catalogue.autotrainer),
        (Wire::Nnrp, &catalogue.nnrp),
        (Wire::Http, &catalogue.http),
    ];
    let mut targets: Vec<Target> = Vec::new();
    for (wire, texts) in lists {
        for text in texts {
            let mut target = Target::parse(wire, text)
                .map_err(|error| Failure::usage(format!("{wire}: {error}")))?;
            match &mut target {
                Target::Nats { login, .. } => {
                    if let Some(file) = &catalogue.nats_credentials {
                        *login = NatsLogin::Credentials(file.clone());
                    }
                }
                Target::Nnrp { trust: trusted, .. } => trusted.clone_from(&trust),
                Target::Http { token: given, .. } => given.clone_from(&token),
                Target::Nanograph { .. } | Target::Autotrainer { .. } | _ => {}
            }
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
    }
    Ok(targets)
}

fn file(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |why: String| Failure::usage(format!("{}: {why}", path.display()));
    let length = std::fs::metadata(path).map(|it| it.len());
    let length = length.map_err(|error| failed(format!("cannot read it: {error}")))?;
    if length > FILE_BYTES_MAX {
        return Err(failed(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    std::fs::read(path).map_err(|error| failed(format!("cannot read it: {error}")))
}

/// Longest time that is waited.
const PATIENCE_MAX: Duration = Duration::from_secs(3_600);

/// Reads a time to wait, in seconds.
pub(super) fn patience(text: &str) -> Result<Duration, String> {
    let time = crate::micro::seconds(text)?;
    if time.is_zero() || time > PATIENCE_MAX {
        return Err("seconds must be more than 0, and at most 3600".to_owned());
    }
    Ok(time)
}

/// Reads `--via`.
pub(super) fn wire(text: &str) -> Result<Wire, String> {
    let wires = [
        Wire::Nanograph,
        Wire::Nats,
        Wire::Autotrainer,
        Wire::Nnrp,
        Wire::Http,
    ];
    let names = wires.map(Wire::name).join(", ");
    let found = wires.into_iter().find(|wire| wire.name() == text);
    found.ok_or_else(|| format!("the wires are {names}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_are_separated_by_spaces_in_the_environment() {
        let lookup = |name: &str| {
            (name == "NODEWIRE_CATALOGUE_AUTOTRAINER").then(|| "5556,5557 a:1,a:2".to_owned())
        };
        let read = from_environment(&lookup);
        assert_eq!(read.autotrainer, ["5556,5557", "a:1,a:2"]);
        let targets = targets(&read, None).unwrap();
        assert_eq!(targets.len(), 2);
    }

    #[test]
    fn a_target_is_asked_once_and_secrets_stay_out_of_messages() {
        let twice = Catalogue {
            nanograph: vec!["a:1".to_owned(), "ws://a:1".to_owned()],
            ..Catalogue::default()
        };
        assert_eq!(targets(&twice, None).unwrap().len(), 1);
        let wrong = Catalogue {
            nats: vec!["nats://user:secret@".to_owned()],
            ..Catalogue::default()
        };
        let error = targets(&wrong, None).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
        assert!(wire("nats").is_ok() && wire("mcp").is_err());
        assert!(patience("0.5").is_ok());
        for wrong in ["0", "-1", "3601", "1e18", "soon"] {
            assert!(patience(wrong).is_err(), "{wrong}");
        }
    }
}
