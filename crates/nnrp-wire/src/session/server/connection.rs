//! A connection until it belongs to a session. spec: nnrp-session 5.1

use std::collections::VecDeque;
use std::time::Duration;

use super::options::{
    AcceptRefusal, ConnectionEvent, ConnectionState, HelloOffer, MigrateOffer, Report,
    ServerOptions,
};
use super::session::ServerSession;
use crate::error::WireError;
use crate::field::Reserved;
use crate::message::{
    ClientHello, Envelope, Message, ServerHelloAck, SessionMigrateAck, TransportProbe,
};
use crate::metadata::{SessionMigrateAckMetadata, TransportProbeAckMetadata};
use crate::numbers::{ErrorCode, HeaderFlags, MessageType, TransportId};
use crate::packet::Packet;
use crate::session::content::check_message;
use crate::session::fault::{Failure, Fault, HandleError, PathEnd};
use crate::session::migration::{MigrateRefusal, micros};
use crate::session::transmit::{Outbox, PathId, Transmit};

/// A connection that a server has accepted, without the connection and without a clock: answers probes until a hello or a
/// migration comes, and asks the caller about that. It is driven as sessions are; see [`crate::session`].
#[derive(Debug)]
pub struct ServerConnection {
    options: ServerOptions,
    path: PathId,
    transport: TransportId,
    state: ConnectionState,
    /// Whether it is a migration that is to be decided on.
    asks_to_migrate: bool,
    deadline: Duration,
    outbox: Outbox,
    events: VecDeque<ConnectionEvent>,
}

impl ServerConnection {
    /// It was accepted, and has the hello time from now on.
    #[must_use]
    pub fn new(
        options: ServerOptions,
        path: PathId,
        transport: TransportId,
        now: Duration,
    ) -> Self {
        Self {
            deadline: now.saturating_add(options.hello_timeout),
            options,
            path,
            transport,
            state: ConnectionState::Accepted,
            asks_to_migrate: false,
            outbox: Outbox::default(),
            events: VecDeque::new(),
        }
    }

    /// A packet has come.
    ///
    /// # Errors
    /// [`HandleError::Congested`] if the packet was not taken: the caller has been asked something, or has to send first.
    /// [`HandleError::Early`] if a submit has overtaken the hello, as happens on QUIC: it is the session's, if there will be
    /// one. [`HandleError::Over`] if it belongs to a session, or has ended.
    pub fn handle_packet(&mut self, packet: &Packet, now: Duration) -> Result<(), HandleError> {
        match self.state {
            // It came on a stream of its own, and may be ahead of the hello.
            ConnectionState::Accepted
                if self.transport == TransportId::Quic
                    && packet.header().message_type == MessageType::FrameSubmit =>
            {
                return Err(HandleError::Early);
            }
            ConnectionState::Accepted => {}
            ConnectionState::Deciding => return Err(HandleError::Congested),
            ConnectionState::Taken | ConnectionState::Ended => return Err(HandleError::Over),
        }
        if self.outbox.is_full(self.options.transmit_limits()) {
            return Err(HandleError::Congested);
        }
        // Unknown extensions that are critical are refused here (Q6).
        let options = self.options.extensions.decode_options(self.options.rules);
        match Message::decode(packet, &options) {
            Ok(message) => self.receive(Envelope::from(packet.header()), message, now),
            Err(error) => self.malformed(error),
        }
        Ok(())
    }

    fn receive(&mut self, envelope: Envelope, message: Message, now: Duration) {
        match message {
            Message::ClientHello(hello) => self.hello(envelope, hello),
            Message::SessionMigrate(migrate) => {
                self.state = ConnectionState::Deciding;
                self.asks_to_migrate = true;
                let offer = MigrateOffer { envelope, migrate };
                self.events
                    .push_back(ConnectionEvent::Migrate(Box::new(offer)));
            }
            Message::TransportProbe(probe) => {
                let ack = probe_ack(&probe, now);
                self.outbox.push(self.path, Envelope::default(), ack);
            }
            Message::Ping => {
                let envelope = crate::session::pong_envelope(&envelope);
                self.outbox.push(self.path, envelope, Message::Pong);
            }
            Message::ServerHelloAck(_)
            | Message::SessionPatch(_)
            | Message::SessionPatchAck(_)
            | Message::Close(_)
            | Message::Error(_)
            | Message::FrameSubmit(_)
            | Message::FrameCancel
            | Message::ResultPush(_)
            | Message::ResultDrop
            | Message::CachePut(_)
            | Message::CacheAck(_)
            | Message::CacheInvalidate(_)
            | Message::FlowUpdate(_)
            | Message::ResultHint(_)
            | Message::TransportProbeAck(_)
            | Message::SessionMigrateAck(_)
            | Message::Pong => self.refuse_state("a hello has to come first"),
        }
    }

    fn hello(&mut self, envelope: Envelope, hello: ClientHello) {
        match self.options.capabilities.negotiate(&hello) {
            Ok(ack) => {
                self.state = ConnectionState::Deciding;
                let offer = HelloOffer {
                    envelope,
                    hello,
                    ack,
                };
                self.events
                    .push_back(ConnectionEvent::Hello(Box::new(offer)));
            }
            Err(refusal) => self.refuse_with(refusal.code, refusal.reason),
        }
    }

    fn malformed(&mut self, error: WireError) {
        let code = error.category.error_code();
        let code = code.unwrap_or(ErrorCode::MalformedBody);
        self.tell(code, 0, &error.to_string());
        self.end(Failure::Malformed(error));
    }

    fn refuse_state(&mut self, reason: &'static str) {
        self.refuse_with(ErrorCode::InvalidState, reason);
    }

    fn refuse_with(&mut self, code: ErrorCode, reason: &'static str) {
        self.tell(code, 0, reason);
        self.end(Failure::Refused { code, reason });
    }

    fn tell(&mut self, code: ErrorCode, retry_after_ms: u32, diagnostic: &str) {
        let fault = Fault {
            retry_after_ms,
            ..Fault::connection(code)
        };
        let message = fault.message(diagnostic);
        self.outbox
            .push_last(self.path, Envelope::default(), message);
    }

    fn end(&mut self, failure: Failure) {
        self.state = ConnectionState::Ended;
        self.events
            .push_back(ConnectionEvent::Failed(Box::new(failure)));
    }

    /// Gives the client a session. `ack` is the offer's, with a session id that no other session has.
    ///
    /// # Errors
    /// If it cannot have one; the connection stays as it was.
    pub fn accept(
        &mut self,
        ack: ServerHelloAck,
        now: Duration,
    ) -> Result<ServerSession, AcceptRefusal> {
        if self.state != ConnectionState::Deciding {
            return Err(AcceptRefusal::NotAsked);
        }
        if self.asks_to_migrate {
            return Err(AcceptRefusal::AsksToMigrate);
        }
        let metadata = ack.metadata;
        if metadata.session_id == 0 {
            return Err(AcceptRefusal::NoSessionId);
        }
        let envelope = Envelope {
            flags: HeaderFlags::ACK_REQUIRED,
            ..Envelope::session(metadata.session_id)
        };
        let answer = Message::ServerHelloAck(ack);
        check_message(&answer, &envelope).map_err(AcceptRefusal::Invalid)?;
        let mut outbox = self.take();
        outbox.push(self.path, envelope, answer);
        let (options, at) = (self.options.clone(), (self.path, self.transport));
        Ok(ServerSession::new(options, metadata, at, outbox, now))
    }

    /// Gives the client none, and says why. The connection is over then.
    pub fn refuse(&mut self, report: Report<'_>) {
        if matches!(self.state, ConnectionState::Taken | ConnectionState::Ended) {
            return;
        }
        self.tell(report.code, report.retry_after_ms, report.diagnostic);
        self.end(Failure::Refused {
            code: report.code,
            reason: "refused by the caller",
        });
    }

    /// Does not take the session over. The connection is over then; the session is where it was. Nothing happens unless the
    /// client has asked for a migration.
    pub fn refuse_migration(&mut self, session_id: u32, refusal: MigrateRefusal, now: Duration) {
        if !self.is_migration_asked() {
            return;
        }
        let ack = migrate_ack(refusal.accept_code(), 0, Duration::ZERO, now);
        self.outbox
            .push(self.path, Envelope::session(session_id), ack);
        self.end(Failure::Refused {
            code: ErrorCode::InvalidState,
            reason: "the session is not taken over",
        });
    }

    /// Whether a migration is to be decided on.
    pub(super) fn is_migration_asked(&self) -> bool {
        self.state == ConnectionState::Deciding && self.asks_to_migrate
    }

    /// It goes to a session: what was to be sent, and where it is.
    pub(super) fn take(&mut self) -> Outbox {
        self.state = ConnectionState::Taken;
        std::mem::take(&mut self.outbox)
    }

    /// It has ended.
    pub fn handle_path_end(&mut self, end: PathEnd) {
        if matches!(self.state, ConnectionState::Taken | ConnectionState::Ended) {
            return;
        }
        if let PathEnd::Framing(_) = end {
            self.tell(ErrorCode::MalformedHeader, 0, "not a packet");
        }
        self.state = ConnectionState::Ended;
        self.events.push_back(ConnectionEvent::Ended(end));
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.next_timeout().is_some_and(|deadline| deadline <= now) {
            self.refuse_state("no hello came in time");
        }
    }

    /// When to call [`Self::handle_timeout`] at the latest. The caller's decision counts into the hello time.
    #[must_use]
    pub const fn next_timeout(&self) -> Option<Duration> {
        match self.state {
            ConnectionState::Accepted | ConnectionState::Deciding => Some(self.deadline),
            ConnectionState::Taken | ConnectionState::Ended => None,
        }
    }

    /// The next message to send, if there is one.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.pop()
    }

    /// Whether [`Self::poll_transmit`] has something.
    #[must_use]
    pub fn has_transmit(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// What has happened, if anything has.
    pub fn poll_event(&mut self) -> Option<ConnectionEvent> {
        self.events.pop_front()
    }

    /// Where it is.
    #[must_use]
    pub const fn state(&self) -> ConnectionState {
        self.state
    }

    /// The number that the caller gave it.
    #[must_use]
    pub const fn path(&self) -> PathId {
        self.path
    }

    /// What it is.
    #[must_use]
    pub const fn transport(&self) -> TransportId {
        self.transport
    }
}

pub(super) fn probe_ack(probe: &TransportProbe, now: Duration) -> Message {
    Message::TransportProbeAck(TransportProbeAckMetadata {
        probe_id: probe.metadata.probe_id,
        reserved: Reserved::default(),
        server_recv_ts_us: micros(now),
    })
}

pub(super) fn migrate_ack(
    accept_code: u32,
    resume_from_frame_id: u64,
    grace: Duration,
    now: Duration,
) -> Message {
    Message::SessionMigrateAck(SessionMigrateAck {
        metadata: SessionMigrateAckMetadata {
            accept_code,
            resume_from_frame_id,
            grace_window_ms: u32::try_from(grace.as_millis()).unwrap_or(u32::MAX),
            server_migrate_ts_us: micros(now),
        },
        body: bytes::Bytes::new(),
    })
}
