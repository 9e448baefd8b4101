//! The broker inside the daemon, at the address and with the password of the last time: node servers that were started by
//! hand find it again after a restart of the daemon.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nats_broker::{Broker, StartError};
use uuid::Uuid;

use crate::failure::{Failure, chain};
use crate::terminal;

/// Has the broker's address with its password, in the data folder. It stays there when the daemon ends.
const FILE: &str = "nats-url";
/// Longest such file read, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 10;
const USER: &str = "nodewire";
/// Longest password taken from the file, in bytes.
const PASSWORD_BYTES_MAX: usize = 256;

/// Below those that Linux gives to connections by itself.
const PORTS_FIRST: u16 = 20_000;
const PORTS: u16 = 12_000;
/// How many of them are tried.
const PORTS_TRIED: u16 = 16;

/// The broker, and where its address is written.
#[derive(Debug)]
pub(super) struct Embedded {
    broker: Broker,
    address: Address,
    path: PathBuf,
    /// Whether the file says something else, or nothing.
    is_new: bool,
    /// What the person is told once the data folder is ours.
    told: Vec<String>,
}

/// Where the broker listens, and its password.
#[derive(Clone, PartialEq, Eq)]
struct Address {
    port: u16,
    password: String,
}

/// Without the password.
impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Address")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// What the file says.
#[derive(Debug, PartialEq, Eq)]
enum Kept {
    Nothing,
    Address(Address),
    /// For people: why it cannot be used.
    Unusable(String),
}

impl Embedded {
    /// Starts it where it was the last time, else somewhere else with a new password. Nothing is written yet.
    pub(super) async fn start(data: &Path) -> Result<Self, Failure> {
        let path = data.join(FILE);
        let mut told = Vec::new();
        let kept = match read(&path) {
            Kept::Address(address) => Some(address),
            Kept::Nothing => None,
            Kept::Unusable(why) => {
                told.push(format!(
                    "{} is not used: {why}; the embedded NATS has a new address and password",
                    path.display()
                ));
                None
            }
        };
        if let Some(address) = kept {
            match listen(&address).await {
                Ok(broker) => {
                    return Ok(Self {
                        broker,
                        address,
                        path,
                        is_new: false,
                        told,
                    });
                }
                // Who has the port now was told the password by node servers that looked for us there.
                Err(StartError::Listen { source, .. }) => told.push(format!(
                    "the embedded NATS cannot listen on port {} any more ({source}), so it has a new address and password; \
                     start node servers that you start yourself again, with what is in {}",
                    address.port,
                    path.display()
                )),
                Err(error) => return Err(Failure::failed(chain(&error))),
            }
        }
        let (broker, address) = anywhere().await?;
        Ok(Self {
            broker,
            address,
            path,
            is_new: true,
            told,
        })
    }

    /// Where it is, with the password.
    pub(super) fn url(&self) -> String {
        self.address.url()
    }

    /// Keeps the address where only this user can read it. To be called by who has the data folder. If that fails, all
    /// works but node servers that somebody else starts.
    pub(super) fn keep(&mut self) {
        std::mem::take(&mut self.told).iter().for_each(warn);
        let kept = if self.is_new {
            write(&self.path, &self.url())
        } else {
            make_private(&self.path)
        };
        if let Err(error) = kept {
            warn(&format!(
                "the address of the embedded NATS cannot be kept in {}: {error}",
                self.path.display()
            ));
        }
    }

    pub(super) async fn end(self) {
        self.broker.shutdown().await;
    }
}

impl Address {
    /// With a new password.
    fn new(port: u16) -> Self {
        Self {
            port,
            password: format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()),
        }
    }

    fn socket(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn url(&self) -> String {
        format!("nats://{USER}:{}@{}", self.password, self.socket())
    }

    /// The same as [`Self::url`] writes, and nothing else.
    fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("nats://")?.strip_prefix(USER)?;
        let (password, at) = rest.strip_prefix(':')?.split_once('@')?;
        let is_password = !password.is_empty()
            && password.len() <= PASSWORD_BYTES_MAX
            && password.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let socket: SocketAddr = at.parse().ok()?;
        let address = Self {
            port: socket.port(),
            password: password.to_owned(),
        };
        (is_password && address.port != 0 && address.socket() == socket).then_some(address)
    }
}

/// A port that is to be free the next time, too, so one that systems do not give to connections; if these are all taken,
/// any.
async fn anywhere() -> Result<(Broker, Address), Failure> {
    let [high, low, ..] = Uuid::new_v4().into_bytes();
    let first = u16::from_be_bytes([high, low]) % PORTS;
    let ports = (0..PORTS_TRIED).map(|more| PORTS_FIRST + (first + more) % PORTS);
    for port in ports.chain([0]) {
        let mut address = Address::new(port);
        match listen(&address).await {
            Ok(broker) => {
                address.port = broker.addr().port();
                return Ok((broker, address));
            }
            Err(StartError::Listen { .. }) if port != 0 => {}
            Err(error) => return Err(Failure::failed(chain(&error))),
        }
    }
    Err(Failure::failed("the embedded NATS finds no port"))
}

async fn listen(address: &Address) -> Result<Broker, StartError> {
    Broker::builder()
        .listen(address.socket())
        .user_password(USER, &address.password)
        .start()
        .await
}

/// The address with the password, as it was kept.
pub(crate) fn kept_url(data: &Path) -> Option<String> {
    match read(&data.join(FILE)) {
        Kept::Address(address) => Some(address.url()),
        Kept::Nothing | Kept::Unusable(_) => None,
    }
}

/// What was kept. A link is not followed: what it leads to is not ours.
fn read(path: &Path) -> Kept {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Kept::Nothing,
        Err(error) => return Kept::Unusable(error.to_string()),
        Ok(file) if !file.is_file() => return Kept::Unusable("it is no file".to_owned()),
        Ok(file) if file.len() > FILE_BYTES_MAX => {
            return Kept::Unusable(format!("it is longer than {FILE_BYTES_MAX} bytes"));
        }
        Ok(_) => {}
    }
    let mut text = String::new();
    let read =
        fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
    match read {
        Err(error) => Kept::Unusable(error.to_string()),
        Ok(_) => match Address::parse(text.trim()) {
            Some(address) => Kept::Address(address),
            None => Kept::Unusable(format!(
                "it does not have an address such as nats://{USER}:PASSWORD@127.0.0.1:PORT"
            )),
        },
    }
}

/// Whole or not at all, and never readable by others.
fn write(path: &Path, url: &str) -> std::io::Result<()> {
    let part = path.with_extension("part");
    // One that was left behind may be open to others.
    if let Err(error) = fs::remove_file(&part)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)?;
    writeln!(file, "{url}")?;
    file.sync_all()?;
    fs::rename(&part, path)
}

fn make_private(path: &Path) -> std::io::Result<()> {
    if fs::metadata(path)?.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    warn(&format!(
        "others could read {}; they no longer can, but may know the password in it: delete the file while the daemon is \
         down for a new one",
        path.display()
    ));
    fs::set_permissions(path, Permissions::from_mode(0o600))
}

fn warn(line: &String) {
    terminal::say(format_args!("{} {line}", terminal::warning_word()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert_eq!(read(&path), Kept::Nothing);
        let address = Address::new(4222);
        write(&path, &address.url()).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(read(&path), Kept::Address(address.clone()));
        for garbage in [
            "",
            "nats://127.0.0.1:4222",
            "nats://nodewire:@127.0.0.1:4222",
            "nats://nodewire:a@127.0.0.1:0",
            "nats://nodewire:a@127.0.0.1:99999",
            "nats://nodewire:a@0.0.0.0:4222",
            "nats://nodewire:a@192.0.2.1:4222",
            "nats://nodewire:a b@127.0.0.1:4222",
            "nats://other:a@127.0.0.1:4222",
            &"x".repeat(5_000),
        ] {
            fs::write(&path, garbage).unwrap();
            assert!(matches!(read(&path), Kept::Unusable(_)), "{garbage}");
        }
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(read(&path), Kept::Unusable(_)));
        // A link is replaced, not followed.
        let other = folder.path().join("other");
        fs::write(&other, address.url()).unwrap();
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert!(matches!(read(&path), Kept::Unusable(_)));
        write(
            &path,
            &Address {
                port: 1,
                ..address.clone()
            }
            .url(),
        )
        .unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), address.url());
        assert!(!format!("{address:?}").contains(&address.password));
    }
}
