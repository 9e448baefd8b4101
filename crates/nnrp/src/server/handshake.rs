//! A connection until it belongs to a session. spec: nnrp-session 5.1

use std::sync::Arc;

use bytes::Bytes;
use nnrp_wire::session::{
    ConnectionEvent, HandleError, HelloOffer, MigrateOffer, MigrateRefusal, PathEnd, PathId,
    Report, ServerConnection,
};
use nnrp_wire::{ErrorCode, Packet, ServerHelloAck, SplitLimits};

use super::accept::ServerShared;
use super::counters::{Refused, ServerTotals};
use super::hello::{Acceptance, Hello, Refusal};
use super::session::Shared;
use super::standing::{Standing, send};
use super::terms::Terms;
use crate::driver::PathTasks;
use crate::link::Link;
use crate::listener::handshakes::Phase;
use crate::proof::MigrationProof;

/// Submits that overtook the hello, and their bytes.
const EARLY_MAX: usize = 64;
const EARLY_BYTES_MAX: u64 = 1 << 20;

pub(super) struct Handshake {
    server: Arc<ServerShared>,
    link: Link,
    standing: Standing,
    path: PathId,
    connection: ServerConnection,
    early: Vec<Packet>,
    early_bytes: u64,
}

/// What a connection is for.
enum Wish {
    Hello(Box<HelloOffer>),
    Migrate(Box<MigrateOffer>),
    /// It is over.
    Nothing(Refused),
}

impl Handshake {
    pub(super) fn new(server: Arc<ServerShared>, link: Link, standing: Standing) -> Self {
        let path = server.next_path();
        let mut options = server.options.session.clone();
        options.explains_expiry &= server.options.explains_drops;
        let now = server.clock.now();
        let connection = ServerConnection::new(options, path, link.transport(), now);
        Self {
            server,
            link,
            standing,
            path,
            connection,
            early: Vec::new(),
            early_bytes: 0,
        }
    }

    /// Until it belongs to a session or is closed.
    pub(super) async fn run(mut self) {
        let server = Arc::clone(&self.server);
        let given_up = match &self.standing {
            Standing::Counted(room) => room.given_up_token(),
            Standing::Beyond(_) => return self.run_busy().await,
        };
        let wish = tokio::select! {
            wish = self.wish() => wish,
            () = server.stopping.cancelled() => self.refuse_busy(Refused::Busy),
            () = given_up.cancelled() => Wish::Nothing(Refused::Displaced),
        };
        let is_asked = !matches!(wish, Wish::Nothing(_));
        match wish {
            _ if is_asked && !self.standing.enter(Phase::Deciding) => self.give_way().await,
            Wish::Hello(offer) => self.hello(*offer).await,
            Wish::Migrate(offer) => self.migrate(&offer).await,
            Wish::Nothing(Refused::Displaced) => self.give_way().await,
            Wish::Nothing(why) => self.farewell(why).await,
        }
    }

    /// Another connection has its room.
    async fn give_way(mut self) {
        let Some(permit) = self.server.busy_permit() else {
            let count = |totals: &mut ServerTotals| totals.refuse(Refused::Displaced);
            return self.server.count(count);
        };
        self.standing = Standing::Beyond(permit);
        self.refuse_busy(Refused::Displaced);
        self.farewell(Refused::Displaced).await;
    }

    /// There is no room for it.
    pub(super) async fn run_busy(mut self) {
        self.refuse_busy(Refused::Busy);
        self.farewell(Refused::Busy).await;
    }

    fn refuse_busy(&mut self, why: Refused) -> Wish {
        let retry_after_ms = super::millis(self.server.options.busy_retry);
        self.connection.refuse(Report {
            code: ErrorCode::ServerBusy,
            retry_after_ms,
            diagnostic: "the server takes no more connections now",
        });
        Wish::Nothing(why)
    }

    async fn wish(&mut self) -> Wish {
        loop {
            match self.connection.poll_event() {
                None => self.step().await,
                Some(ConnectionEvent::Hello(offer)) => return Wish::Hello(offer),
                Some(ConnectionEvent::Migrate(offer)) => return Wish::Migrate(offer),
                Some(ConnectionEvent::Failed(failure)) => {
                    tracing::debug!(%failure, "a connection gets no session");
                    return Wish::Nothing(Refused::Protocol);
                }
                Some(ConnectionEvent::Ended(PathEnd::Framing(error))) => {
                    tracing::debug!(%error, "what came is no packet");
                    return Wish::Nothing(Refused::Protocol);
                }
                Some(ConnectionEvent::Ended(_) | _) => return Wish::Nothing(Refused::Ended),
            }
        }
    }

    /// Sends what is to be sent, and waits for something to happen.
    async fn step(&mut self) {
        let clock = self.server.clock;
        let deadline = self.connection.next_timeout();
        let deadline = clock.at(deadline.unwrap_or_else(|| clock.now()));
        tokio::select! {
            packet = exchange(&mut self.link, &mut self.connection) => self.take(packet),
            () = tokio::time::sleep_until(deadline) => self.connection.handle_timeout(clock.now()),
        }
    }

    fn take(&mut self, packet: Result<Packet, PathEnd>) {
        let packet = match packet {
            Ok(packet) => packet,
            Err(end) => return self.connection.handle_path_end(end),
        };
        // If it has given way, that is seen to elsewhere.
        self.standing.enter(Phase::Speaking);
        let taken = self
            .connection
            .handle_packet(&packet, self.server.clock.now());
        if taken == Err(HandleError::Early) {
            self.keep(packet);
        }
    }

    /// It belongs to the session, if there will be one.
    fn keep(&mut self, packet: Packet) {
        self.early_bytes += packet.bytes();
        if self.early.len() >= EARLY_MAX || self.early_bytes > EARLY_BYTES_MAX {
            self.connection.refuse(Report {
                code: ErrorCode::LimitExceeded,
                retry_after_ms: 0,
                diagnostic: "too much came before the hello",
            });
            return;
        }
        self.early.push(packet);
    }

    /// Tells the other side why, and closes the connection. It does so at once if others need its room.
    async fn farewell(mut self, why: Refused) {
        self.server.count(|totals| totals.refuse(why));
        self.standing.enter(Phase::Leaving);
        self.standing.leave(self.link, self.connection).await;
    }

    async fn refuse(mut self, refusal: &Refusal, why: Refused) {
        self.connection.refuse(Report {
            code: refusal.code,
            retry_after_ms: refusal.retry_after_ms,
            diagnostic: &refusal.text,
        });
        self.farewell(why).await;
    }

    async fn hello(mut self, offer: HelloOffer) {
        let server = Arc::clone(&self.server);
        let Some(place) = server.session_place() else {
            let retry_after_ms = super::millis(server.options.busy_retry);
            let refusal = Refusal::busy("there are as many sessions as may be", retry_after_ms);
            return self.refuse(&refusal, Refused::SessionsFull).await;
        };
        let asked = Hello {
            remote: self.link.remote(),
            transport: self.link.transport(),
            certificates: self.link.peer_certificates().to_vec(),
            offer: offer.clone(),
        };
        let clock = server.clock;
        let deadline = self.connection.next_timeout();
        let deadline = clock.at(deadline.unwrap_or_else(|| clock.now()));
        let decided = tokio::select! {
            decided = server.options.on_hello.decide(asked) => decided,
            () = tokio::time::sleep_until(deadline) => {
                self.connection.handle_timeout(clock.now());
                return self.farewell(Refused::Protocol).await;
            }
            () = server.stopping.cancelled() => {
                self.refuse_busy(Refused::Busy);
                return self.farewell(Refused::Busy).await;
            }
        };
        match decided {
            Ok(acceptance) => match self.begin(&offer, acceptance) {
                Ok(session) => server.began(session, place),
                Err(handshake) => handshake.farewell(Refused::Unusable).await,
            },
            Err(refusal) => self.refuse(&refusal, Refused::ByHook).await,
        }
    }

    /// There is a session from now on; nothing in here waits.
    fn begin(
        mut self,
        offer: &HelloOffer,
        acceptance: Acceptance,
    ) -> Result<Arc<Shared>, Box<Self>> {
        let server = Arc::clone(&self.server);
        let asked = offer.ack.session_id;
        let id = server.table.reserve(acceptance.session_id.unwrap_or(asked));
        let proof = MigrationProof::random();
        let terms = Terms::of(offer, self.link.transport());
        let mut ack = ServerHelloAck {
            metadata: acceptance.ack,
            extensions: acceptance.extensions,
            payload: Bytes::from(acceptance.model.clone()),
        };
        ack.metadata.session_id = id;
        ack.extensions.extend(terms.extensions(&ack));
        ack.extensions.extend(proof.map(|proof| proof.extension()));
        let body_bytes_max = ack.metadata.max_body_bytes;
        let machine = match self.connection.accept(ack, server.clock.now()) {
            Ok(machine) => machine,
            Err(error) => {
                tracing::error!(%error, "the hello hook's answer cannot be sent");
                server.table.remove(id);
                self.connection.refuse(Report {
                    code: ErrorCode::InternalError,
                    retry_after_ms: 0,
                    diagnostic: "the server's answer cannot be sent",
                });
                return Err(Box::new(self));
            }
        };
        let read_bytes_max = server.read_body_bytes(body_bytes_max);
        self.link
            .reader
            .set_limits(SplitLimits::session(read_bytes_max));
        let session = server.start(machine, terms.tolerance, |driver, arrivals| Shared {
            driver,
            id,
            remote: self.link.remote(),
            identity: acceptance.identity,
            model: acceptance.model,
            certificate: self.link.peer_certificates().first().cloned(),
            proof,
            arrivals,
        });
        // It is in the table before the client can know its id.
        server.table.insert(Arc::clone(&session));
        let tasks = PathTasks { early: self.early };
        session.driver.add_link(self.path, self.link, tasks);
        Ok(session)
    }

    /// spec: nnrp-session 4.6
    async fn migrate(mut self, offer: &MigrateOffer) {
        let server = Arc::clone(&self.server);
        let id = offer.envelope.session_id;
        let refusal = match server.table.get(id) {
            None => MigrateRefusal::UnknownSession,
            Some(session) => {
                let is_owner = server.is_owner(&session, &self.link, offer);
                let max_body_bytes = session
                    .driver
                    .with(|machine, _, _| machine.ack().max_body_bytes);
                let read_bytes_max = server.read_body_bytes(max_body_bytes);
                self.link
                    .reader
                    .set_limits(SplitLimits::session(read_bytes_max));
                let tasks = PathTasks { early: self.early };
                let connection = &mut self.connection;
                let adopted =
                    session
                        .driver
                        .add_link_with(self.path, self.link, tasks, |machine, _, now| {
                            machine.adopt(connection, offer, is_owner, now)
                        });
                match adopted {
                    Ok(()) => return server.count(|totals| totals.migrations += 1),
                    Err((refusal, link)) => {
                        self.link = link;
                        self.early = Vec::new();
                        refusal
                    }
                }
            }
        };
        tracing::debug!(session_id = id, %refusal, "a session does not move");
        let now = server.clock.now();
        self.connection.refuse_migration(id, refusal, now);
        self.farewell(Refused::Migration(refusal)).await;
    }
}

/// Sends what is to be sent, then the next packet. Nothing is lost when it is dropped.
async fn exchange(link: &mut Link, connection: &mut ServerConnection) -> Result<Packet, PathEnd> {
    send(link, connection).await.map_err(|_| PathEnd::Lost)?;
    link.reader.next().await
}
