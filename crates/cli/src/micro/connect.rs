//! Finding a server and connecting to it.

use std::time::Duration;

use async_nats::{ConnectErrorKind, ServerAddr};
use nats_broker::Broker;
use nats_micro::{ConnectOptions, ConnectionEvent, Context};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::servers;
use super::settings::Settings;
use crate::failure::{Failure, chain};
use crate::terminal;

/// Where a server is looked for when none was named.
const LOCAL: &str = "localhost:4222";
/// How long it may take to greet.
const LOCAL_TIMEOUT: Duration = Duration::from_millis(500);

/// What the connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Asking services: there must be a server.
    Ask,
    /// Serving: a broker is started if there is no server.
    Serve,
}

/// Settings that name a server.
#[derive(Debug)]
pub(crate) struct Place {
    pub(super) settings: Settings,
    /// Ends when this is dropped.
    _embedded: Option<Broker>,
}

impl Place {
    /// The server that was named, else one that answers locally, else a broker of our own. Says which one is taken,
    /// unless it was named.
    pub(crate) async fn find(settings: Settings, purpose: Purpose) -> Result<Self, Failure> {
        Self::find_near(settings, purpose, LOCAL).await
    }

    async fn find_near(
        mut settings: Settings,
        purpose: Purpose,
        local: &str,
    ) -> Result<Self, Failure> {
        if !settings.servers.is_empty() {
            return Ok(Self {
                settings,
                _embedded: None,
            });
        }
        if greets(local).await {
            settings.servers = servers::parse(local)?;
            terminal::say(format_args!("using the server that answers on {local}"));
            return Ok(Self {
                settings,
                _embedded: None,
            });
        }
        if purpose == Purpose::Ask {
            return Err(Failure::failed(format!(
                "no server was named and none answers on {local}; name one with --server, NATS_SERVER or a context"
            )));
        }
        let broker = Broker::builder()
            .start()
            .await
            .map_err(|error| Failure::failed(chain(&error)))?;
        settings.servers = servers::parse(&broker.url())?;
        let url = broker.url();
        terminal::say(format_args!(
            "no server was named and none answers on {local}; started the embedded broker, for other terminals: NATS_SERVER={url}"
        ));
        Ok(Self {
            settings,
            _embedded: Some(broker),
        })
    }

    /// The servers' addresses, without credentials.
    pub(crate) fn url(&self) -> String {
        servers::join(&self.settings.servers)
    }

    /// Connects: at once or not at all, unless somebody said how often to try.
    pub(super) async fn connect(&self) -> Result<Context, Failure> {
        let attempts = match self.settings.max_reconnect_is_given {
            true => self.attempts(),
            false => 1,
        };
        self.connect_with(self.options(attempts)?).await
    }

    /// Connects, and tries as often as later on if the server is not there yet.
    pub(crate) async fn connect_patiently(&self) -> Result<Context, Failure> {
        if self.attempts() > 1 && !reachable(&self.settings.servers).await {
            terminal::say(format_args!("waiting for {}", self.url()));
        }
        self.connect_with(self.options(self.attempts())?).await
    }

    async fn connect_with(&self, options: ConnectOptions) -> Result<Context, Failure> {
        Context::connect(options, self.settings.servers.as_slice())
            .await
            .map_err(|error| self.refused(&error))
    }

    pub(super) fn attempts(&self) -> usize {
        self.settings.max_reconnect.unwrap_or(usize::MAX)
    }

    /// Says what happens to the connection.
    pub(super) fn options(&self, attempts: usize) -> Result<ConnectOptions, Failure> {
        let options = ConnectOptions::from(self.settings.options()?);
        Ok(options
            .connect_attempts(attempts, self.settings.reconnect_delay)
            .on_event(tell))
    }

    /// One message, with what can be done.
    pub(super) fn refused(&self, error: &async_nats::ConnectError) -> Failure {
        let url = self.url();
        Failure::failed(match error.kind() {
            ConnectErrorKind::AuthorizationViolation => {
                format!("{url} refuses us: check the user, password, token or credentials")
            }
            ConnectErrorKind::TimedOut => format!("{url} does not answer in time"),
            ConnectErrorKind::ServerParse
            | ConnectErrorKind::Dns
            | ConnectErrorKind::Authentication
            | ConnectErrorKind::Tls
            | ConnectErrorKind::Io
            | ConnectErrorKind::MaxReconnects => {
                format!("cannot connect to {url}: {}", chain(error))
            }
        })
    }

    /// A client for services on a connection.
    pub(crate) fn client(&self, context: &Context) -> Result<nats_micro::client::Client, Failure> {
        let mut client = nats_micro::client::Client::builder(context.client().clone());
        if let Some(prefix) = &self.settings.control_prefix {
            client = client.control_prefix(prefix);
        }
        client
            .build()
            .map_err(|error| Failure::usage(error.to_string()))
    }
}

fn tell(event: &ConnectionEvent) {
    if matches!(
        event,
        ConnectionEvent::Disconnected
            | ConnectionEvent::Reconnected
            | ConnectionEvent::LameDuck
            | ConnectionEvent::SlowConsumer
            | ConnectionEvent::ServerError(_)
    ) {
        terminal::say(format_args!(
            "connection: {}",
            terminal::plain(&event.to_string())
        ));
    }
}

/// Whether a NATS server is there: it speaks first.
async fn greets(address: &str) -> bool {
    let greeting = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let mut begin = [0; 6];
        stream.read_exact(&mut begin).await.ok()?;
        (begin.eq_ignore_ascii_case(b"INFO {")).then_some(())
    };
    timeout(LOCAL_TIMEOUT, greeting)
        .await
        .ok()
        .flatten()
        .is_some()
}

async fn reachable(servers: &[ServerAddr]) -> bool {
    for server in servers {
        let connecting = TcpStream::connect((server.host(), server.port()));
        if let Ok(Ok(_)) = timeout(LOCAL_TIMEOUT, connecting).await {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::micro::connection_flags::ConnectionFlags;

    fn settings() -> Settings {
        let nothing = ConnectionFlags::default;
        Settings::resolve(nothing(), nothing(), &|_| None).unwrap()
    }

    #[tokio::test]
    async fn a_server_that_greets_is_taken_else_a_broker_is_started() {
        let broker = Broker::builder().start().await.unwrap();
        let address = broker.addr().to_string();
        for purpose in [Purpose::Ask, Purpose::Serve] {
            let place = Place::find_near(settings(), purpose, &address)
                .await
                .unwrap();
            assert!(place._embedded.is_none() && place.url().contains(&address));
        }
        broker.shutdown().await;
        assert!(
            Place::find_near(settings(), Purpose::Ask, &address)
                .await
                .is_err()
        );
        let place = Place::find_near(settings(), Purpose::Serve, &address)
            .await
            .unwrap();
        place.connect().await.unwrap();
    }

    #[tokio::test]
    async fn what_listens_but_is_no_server_is_not_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.write_all(b"SSH-2.0-x\r\n").await;
            }
        });
        assert!(
            Place::find_near(settings(), Purpose::Ask, &address)
                .await
                .is_err()
        );
    }
}
