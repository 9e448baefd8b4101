//! The NATS wire.

mod described;
mod error;
mod execution;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_nats::{ConnectOptions, ServerAddr};
use futures_util::future::join_all;
use nats_micro::Context;
use nats_micro::client::{Client, Limits, RequestError};
use nats_micro::document::{Info, Stats};
use nodewire_core::BoxFuture;

use self::described::server;
use self::error::not_asked;
use self::execution::{Execution, HEADERS_BYTES};
use super::RemoteOptions;
use super::call::Call;
use super::description::ServerDescription;
use super::error::{RemoteError, RemoteErrorKind};
use super::execution::RemoteEvent;
use super::plain;
use super::target::{NatsLogin, Target};
use super::wire::{Told, Wire};
use crate::capability::Wire as WireName;

const NODE: &str = "nodewire.node";
const DEFINITION: &str = "nodewire.definition";
const CAPABILITY: &str = "nodewire.capability.";

/// Nobody else answers after so long without an answer.
const QUIET: Duration = Duration::from_millis(200);

/// Instances whose round trip is measured at once.
const PINGS_MAX: usize = 64;

/// Subjects that are remembered; beyond them all are forgotten.
const SUBJECTS_MAX: usize = 4_096;

/// Services on a broker.
#[derive(Debug)]
pub(super) struct Nats {
    client: Client,
    /// Keeps the connection.
    _context: Context,
    service: Option<String>,
    options: Arc<RemoteOptions>,
    /// By node.
    subjects: Mutex<HashMap<String, Place>>,
}

/// Where a node is.
#[derive(Debug, Clone)]
struct Place {
    subject: String,
    /// The name of the service.
    service: String,
}

impl Nats {
    pub(super) async fn connect(
        target: &Target,
        options: &Arc<RemoteOptions>,
    ) -> Result<Self, RemoteError> {
        let Target::Nats {
            url,
            service,
            login,
            tls_ca,
        } = target
        else {
            let text = "this is no target on NATS";
            return Err(RemoteError::new(RemoteErrorKind::Unsupported, text));
        };
        let unreachable = |why: String| RemoteError::new(RemoteErrorKind::Unreachable, why);
        let addresses: Result<Vec<ServerAddr>, _> =
            url.reveal().split(',').map(str::parse).collect();
        let addresses = addresses.map_err(|_| unreachable(format!("{target} is no address")))?;
        let connect = ConnectOptions::new()
            .name("nodewire client")
            .connection_timeout(options.connect_timeout);
        let connect = match login {
            NatsLogin::Url => connect,
            NatsLogin::Credentials(file) => {
                connect.credentials_file(file).await.map_err(|error| {
                    unreachable(format!("{} cannot be read: {error}", file.display()))
                })?
            }
            NatsLogin::User { user, password } => {
                connect.user_and_password(user.clone(), password.reveal().to_owned())
            }
            NatsLogin::Token(token) => connect.token(token.reveal().to_owned()),
        };
        let connect = match tls_ca {
            Some(file) => connect.add_root_certificates(file.clone()),
            None => connect,
        };
        // Several addresses are tried one after the other, each with the time of one.
        let connecting = Context::connect(connect.into(), addresses.as_slice());
        let connected = tokio::time::timeout(options.connect_timeout, connecting).await;
        let context = match connected {
            Ok(Ok(context)) => context,
            Ok(Err(error)) => {
                let text = format!("the broker at {target} cannot be reached: {error}");
                return Err(unreachable(text));
            }
            Err(_) => {
                let text = format!("the broker at {target} does not answer in time");
                return Err(unreachable(text));
            }
        };
        Ok(Self {
            client: Client::new(context.client().clone()),
            _context: context,
            service: service.clone(),
            options: Arc::clone(options),
            subjects: Mutex::default(),
        })
    }

    fn subjects(&self) -> MutexGuard<'_, HashMap<String, Place>> {
        self.subjects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn infos(&self, within: Duration) -> Result<Vec<Info>, RemoteError> {
        let asked = match &self.service {
            Some(service) => self.client.service(service).info(),
            None => self.client.info(),
        };
        let found = asked
            .limits(limits(within))
            .list()
            .await
            .map_err(not_asked)?;
        let mut subjects = self.subjects();
        if subjects.len() > SUBJECTS_MAX {
            subjects.clear();
        }
        for info in &found.documents {
            for endpoint in &info.endpoints {
                let Some(node) = endpoint.metadata.get(NODE) else {
                    continue;
                };
                let place = Place {
                    subject: endpoint.subject.clone(),
                    service: info.name.clone(),
                };
                subjects.insert(node.clone(), place);
            }
        }
        Ok(found.documents)
    }

    async fn stats(&self, within: Duration) -> Result<HashMap<String, Stats>, RemoteError> {
        let asked = match &self.service {
            Some(service) => self.client.service(service).stats(),
            None => self.client.stats(),
        };
        let found = asked
            .limits(limits(within))
            .list()
            .await
            .map_err(not_asked)?;
        let all = found.documents.into_iter();
        Ok(all.map(|stats| (stats.id.clone(), stats)).collect())
    }

    async fn round_trip(&self, info: &Info, within: Duration) -> Option<Duration> {
        let begun = Instant::now();
        let instance = self.client.instance(&info.name, &info.id);
        let answered = instance.with_timeout(within).ping().await;
        answered.ok().map(|_| begun.elapsed())
    }

    async fn described(&self, within: Duration) -> Result<Vec<ServerDescription>, RemoteError> {
        let begun = Instant::now();
        let (infos, stats) = tokio::try_join!(self.infos(within), self.stats(within))?;
        let mut servers = Vec::new();
        for some in infos.chunks(PINGS_MAX) {
            let left = within.saturating_sub(begun.elapsed());
            let trips = join_all(some.iter().map(|info| self.round_trip(info, left))).await;
            for (info, round_trip) in some.iter().zip(trips) {
                let mut server = server(info, stats.get(&info.id));
                server.round_trip = round_trip;
                servers.push(server);
            }
        }
        servers.sort_by(|a, b| (&a.name, &a.instance).cmp(&(&b.name, &b.instance)));
        Ok(servers)
    }

    async fn place(&self, node: &str) -> Result<Place, RemoteError> {
        let known = self.subjects().get(node).cloned();
        if let Some(place) = known {
            return Ok(place);
        }
        self.infos(self.options.answer_timeout).await?;
        let found = self.subjects().get(node).cloned();
        found.ok_or_else(|| RemoteError::unknown_node(node))
    }

    async fn executed(&self, call: &Call, told: &Told) -> RemoteEvent {
        let place = match self.place(&call.node).await {
            Ok(place) => place,
            Err(error) => return RemoteEvent::Failed(error),
        };
        let execution = Execution::new(&self.client, &place, told);
        let ended = execution.run(&place.subject, call).await;
        ended.unwrap_or_else(|error| {
            if matches!(error, RequestError::NoResponders { .. }) {
                self.subjects().remove(&*call.node);
            }
            plain::failed(not_asked(error))
        })
    }
}

impl Wire for Nats {
    fn describe(
        &self,
        at_most: Duration,
    ) -> BoxFuture<'_, Result<Vec<ServerDescription>, RemoteError>> {
        Box::pin(self.described(at_most.min(self.options.answer_timeout)))
    }

    fn carries(&self, call: &Call) -> Result<(), RemoteError> {
        let bytes = plain::request_bytes(call).saturating_add(HEADERS_BYTES as u64);
        let bytes_max = self.client.connection().max_payload() as u64;
        if bytes > bytes_max {
            return Err(RemoteError::too_large(WireName::Nats, bytes, bytes_max));
        }
        Ok(())
    }

    fn run(self: Arc<Self>, call: Call, told: Told) -> BoxFuture<'static, RemoteEvent> {
        Box::pin(async move { self.executed(&call, &told).await })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            // What cannot be flushed any more is lost with the connection.
            let _ = self.client.connection().drain().await;
        })
    }
}

fn limits(within: Duration) -> Limits {
    Limits {
        max_wait: within,
        max_interval: Some(QUIET),
        ..Limits::default()
    }
}
