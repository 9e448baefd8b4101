//! A server's connection until it belongs to a session, under any operations. spec: nnrp-session 5.1
//!
//! An input is what the connection is, then a list of operations.

use std::time::Duration;

use bytes::Bytes;
use nnrp_wire::session::{
    ClientOptions, ConnectionEvent, ConnectionState, HandleError, HelloOffer, MigrateOffer,
    MigrateRefusal, PathEnd, PathId, Report, ServerConnection, ServerOptions, ServerSession,
    ServerState, Transmit,
};
use nnrp_wire::{
    ErrorCode, Header, Message, MessageType, Packet, Rules, ServerHelloAck, SessionMigrate,
    TransportId, TransportProbe,
};

use crate::nnrp_operations::Operations;

/// Where the session is that a client may ask to move.
const SESSION_PATH: PathId = PathId(1);
const PATH: PathId = PathId(2);
const HELLO_TIMEOUT: Duration = Duration::from_millis(40);
const TRANSMITS_MAX: usize = 3;

/// A connection ends in exactly one way: a session has it, it was refused, or the other side ended it. Until then each
/// probe and ping is answered once; afterwards nothing is taken in.
pub fn nnrp_connection(data: &[u8]) {
    let mut operations = Operations::new(data);
    let mut world = World::new(operations.byte());
    while !operations.is_empty() {
        world.apply(&mut operations);
        world.check();
    }
    world.end(PathEnd::Finished);
    world.check();
    assert_eq!(world.ends, 1);
}

struct World {
    connection: ServerConnection,
    /// Of another connection, by TCP.
    session: ServerSession,
    hello: Option<Box<HelloOffer>>,
    migrate: Option<Box<MigrateOffer>>,
    /// How the model has it.
    state: ConnectionState,
    asks_to_migrate: bool,
    offers: usize,
    /// Taken, refused, or ended.
    ends: usize,
    /// Probes and pings that were taken in, and answers that came out.
    asked: usize,
    answered: usize,
    now: Duration,
}

impl World {
    fn new(how: u8) -> Self {
        let transport = [TransportId::Quic, TransportId::Tcp][usize::from(how & 1)];
        let path = if how & 2 == 0 { PATH } else { SESSION_PATH };
        Self {
            connection: ServerConnection::new(options(), path, transport, Duration::ZERO),
            session: session(),
            hello: None,
            migrate: None,
            state: ConnectionState::Accepted,
            asks_to_migrate: false,
            offers: 0,
            ends: 0,
            asked: 0,
            answered: 0,
            now: Duration::ZERO,
        }
    }

    fn apply(&mut self, operations: &mut Operations<'_>) {
        match operations.byte() % 16 {
            0..=2 => self.packet(&operations.packet()),
            3 => self.packet(&hello()),
            4 => self.packet(&operations.migrate()),
            5 => self.packet(&probe()),
            6 => self.packet(&ping()),
            7 => self.accept(u32::from(operations.byte() % 3)),
            8 | 9 => self.adopt(!operations.byte().is_multiple_of(4)),
            10 => self.refuse(operations.byte()),
            11 => self.refuse_migration(),
            12 => self.end(operations.end()),
            13 => self.pass(Duration::from_millis(u64::from(operations.byte() % 32))),
            14 => self.events(),
            _ => self.transmits(),
        }
    }

    fn packet(&mut self, packet: &Packet) {
        let message_type = packet.header().message_type;
        let waits = self.asked - self.answered;
        let is_early = self.connection.transport() == TransportId::Quic
            && message_type == MessageType::FrameSubmit;
        let expected = match self.state {
            ConnectionState::Accepted if is_early => Err(HandleError::Early),
            ConnectionState::Accepted if waits < TRANSMITS_MAX => Ok(()),
            ConnectionState::Accepted | ConnectionState::Deciding => Err(HandleError::Congested),
            ConnectionState::Taken | ConnectionState::Ended => Err(HandleError::Over),
        };
        let handled = self.connection.handle_packet(packet, self.now);
        assert_eq!(handled, expected);
        if handled.is_err() {
            return;
        }
        match self.connection.state() {
            ConnectionState::Accepted => {
                let asks = [MessageType::TransportProbe, MessageType::Ping];
                assert!(
                    asks.contains(&message_type),
                    "{message_type:?} is not for here"
                );
                self.asked += 1;
            }
            ConnectionState::Deciding => {
                self.asks_to_migrate = message_type == MessageType::SessionMigrate;
                assert!(self.asks_to_migrate || message_type == MessageType::ClientHello);
                self.state = ConnectionState::Deciding;
            }
            ConnectionState::Ended => self.over(ConnectionState::Ended),
            ConnectionState::Taken => panic!("a packet has given it away"),
        }
    }

    /// With the answer that the connection proposes, or that it would have proposed.
    fn accept(&mut self, session_id: u32) {
        let Some(mut ack) = proposed(self.hello.as_deref()) else {
            return;
        };
        ack.metadata.session_id = session_id;
        let can = self.is_deciding() && !self.asks_to_migrate && session_id != 0;
        let accepted = self.connection.accept(ack, self.now);
        assert_eq!(accepted.is_ok(), can);
        let Ok(mut session) = accepted else {
            return;
        };
        self.over(ConnectionState::Taken);
        assert_eq!(session.state(), ServerState::Active);
        assert_eq!(session.session_id(), session_id);
        let (path, now) = (self.connection.path(), self.now);
        let mut acks = 0;
        while let Some(transmit) = session.poll_transmit(now) {
            acks += self.transmit(&transmit, path, MessageType::ServerHelloAck);
        }
        assert_eq!((acks, self.answered), (1, self.asked));
    }

    fn adopt(&mut self, is_owner: bool) {
        let Some(offer) = self.migrate.clone() else {
            return;
        };
        let path = self.session.primary_path();
        let adopted = self
            .session
            .adopt(&mut self.connection, &offer, is_owner, self.now);
        if adopted.is_err() {
            assert_eq!(self.session.primary_path(), path);
            return;
        }
        assert!(is_owner && self.is_deciding() && self.asks_to_migrate);
        assert_eq!(offer.envelope.session_id, self.session.session_id());
        assert_eq!(self.connection.transport(), TransportId::Quic);
        self.over(ConnectionState::Taken);
        let path = self.connection.path();
        assert_eq!(self.session.primary_path(), path);
        let mut acks = 0;
        while let Some(transmit) = self.session.poll_transmit(self.now) {
            acks += self.transmit(&transmit, path, MessageType::SessionMigrateAck);
        }
        assert_eq!((acks, self.answered), (1, self.asked));
    }

    fn refuse(&mut self, how: u8) {
        self.connection.refuse(Report {
            code: ErrorCode::ServerBusy,
            retry_after_ms: u32::from(how),
            diagnostic: &"é".repeat(usize::from(how) * 8),
        });
        if !self.is_over() {
            self.over(ConnectionState::Ended);
        }
    }

    fn refuse_migration(&mut self) {
        let session_id = Operations::SESSION_ID;
        let refusal = MigrateRefusal::Busy;
        self.connection
            .refuse_migration(session_id, refusal, self.now);
        if self.is_deciding() && self.asks_to_migrate {
            self.over(ConnectionState::Ended);
        }
    }

    fn end(&mut self, end: PathEnd) {
        self.connection.handle_path_end(end);
        if !self.is_over() {
            self.over(ConnectionState::Ended);
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.connection.handle_timeout(self.now);
        if !self.is_over() && self.now >= HELLO_TIMEOUT {
            self.over(ConnectionState::Ended);
        }
        let next = self.connection.next_timeout();
        assert!(next.is_none_or(|next| next > self.now));
    }

    fn events(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            match event {
                ConnectionEvent::Hello(offer) => {
                    self.offers += 1;
                    self.hello = Some(offer);
                }
                ConnectionEvent::Migrate(offer) => {
                    self.offers += 1;
                    self.migrate = Some(offer);
                }
                ConnectionEvent::Failed(_) | ConnectionEvent::Ended(_) => {
                    assert_eq!(self.state, ConnectionState::Ended, "{event:?}");
                    assert!(self.connection.poll_event().is_none(), "behind {event:?}");
                }
                _ => panic!("{event:?}"),
            }
        }
        assert!(self.offers <= 1);
    }

    fn transmits(&mut self) {
        let (path, is_over) = (self.connection.path(), self.is_over());
        let mut farewells = 0;
        while let Some(transmit) = self.connection.poll_transmit() {
            let message_type = transmit.message.message_type();
            if let Message::Error(report) = &transmit.message {
                assert_ne!(report.metadata.is_fatal, 0);
            }
            let is_refusal = matches!(
                &transmit.message,
                Message::SessionMigrateAck(ack) if ack.metadata.accept_code != 0
            );
            if is_refusal || message_type == MessageType::Error {
                farewells += self.transmit(&transmit, path, message_type);
            } else {
                let none = MessageType::Close;
                assert_eq!(self.transmit(&transmit, path, none), 0);
            }
        }
        assert!(farewells <= usize::from(is_over));
        assert_eq!(self.answered, self.asked, "what was asked has an answer");
    }

    /// It can be written, and goes the right way. Counts messages of this type; others are answers.
    fn transmit(&mut self, transmit: &Transmit, path: PathId, counted: MessageType) -> usize {
        assert_eq!(transmit.path, path);
        let encoded = transmit.message.encode(&transmit.envelope, &mut Vec::new());
        assert_eq!(encoded, Ok(()));
        let message_type = transmit.message.message_type();
        if message_type == counted {
            return 1;
        }
        let answers = [MessageType::TransportProbeAck, MessageType::Pong];
        assert!(answers.contains(&message_type), "{message_type:?}");
        self.answered += 1;
        0
    }

    fn over(&mut self, state: ConnectionState) {
        self.state = state;
        self.ends += 1;
    }

    fn is_deciding(&self) -> bool {
        self.state == ConnectionState::Deciding
    }

    fn is_over(&self) -> bool {
        matches!(self.state, ConnectionState::Taken | ConnectionState::Ended)
    }

    fn check(&self) {
        assert_eq!(self.connection.state(), self.state);
        assert_eq!(self.ends, usize::from(self.is_over()));
        let deadline = (!self.is_over()).then_some(HELLO_TIMEOUT);
        assert_eq!(self.connection.next_timeout(), deadline);
        assert!(self.answered <= self.asked);
    }
}

fn options() -> ServerOptions {
    ServerOptions {
        rules: Rules::COMPATIBLE,
        hello_timeout: HELLO_TIMEOUT,
        transmits_max: TRANSMITS_MAX,
        ..ServerOptions::default()
    }
}

/// A session whose client may ask to move it.
fn session() -> ServerSession {
    let now = Duration::ZERO;
    let mut connection = ServerConnection::new(options(), SESSION_PATH, TransportId::Tcp, now);
    let handled = connection.handle_packet(&hello(), now);
    assert_eq!(handled, Ok(()));
    let ack = proposed(None).map(|mut ack| {
        ack.metadata.session_id = Operations::SESSION_ID;
        ack
    });
    let session = ack.and_then(|ack| connection.accept(ack, now).ok());
    let Some(mut session) = session else {
        panic!("no session");
    };
    while session.poll_transmit(now).is_some() {}
    session
}

/// The answer to the hello that came, or to that of a client that did not change anything.
fn proposed(offer: Option<&HelloOffer>) -> Option<ServerHelloAck> {
    let metadata = match offer {
        Some(offer) => offer.ack,
        None => {
            let hello = ClientOptions::default().hello;
            options().capabilities.negotiate(&hello).ok()?
        }
    };
    Some(ServerHelloAck {
        metadata,
        extensions: Vec::new(),
        payload: Bytes::new(),
    })
}

fn hello() -> Packet {
    let hello = ClientOptions::default().hello;
    packet_of(&Message::ClientHello(hello))
}

fn ping() -> Packet {
    packet_of(&Message::Ping)
}

fn probe() -> Packet {
    let probe = TransportProbe::new(5, 7, Bytes::from_static(b"PP"));
    match probe {
        Ok(probe) => packet_of(&Message::TransportProbe(probe)),
        Err(error) => panic!("{error}"),
    }
}

fn packet_of(message: &Message) -> Packet {
    match Operations::packet_of(message) {
        Some(packet) => packet,
        None => panic!("{message:?} cannot be written"),
    }
}

impl Operations<'_> {
    /// Mostly of the session that there is, from where it is to where the connection is.
    fn migrate(&mut self) -> Packet {
        let which = self.byte();
        let transports = [TransportId::Tcp, TransportId::Quic];
        let from = transports[usize::from(which & 1)];
        let to = transports[usize::from(which >> 1 & 1 ^ 1)];
        let Ok(migrate) = SessionMigrate::new(from, to, u64::from(which), 9) else {
            panic!("transports that have no name");
        };
        let packet = packet_of(&Message::SessionMigrate(migrate));
        let header = Header {
            session_id: if which & 4 == 0 {
                Self::SESSION_ID
            } else {
                u32::from(which)
            },
            ..*packet.header()
        };
        match Packet::new(header, packet.metadata().clone(), packet.body().clone()) {
            Ok(packet) => packet,
            Err(error) => panic!("{error}"),
        }
    }

    fn end(&mut self) -> PathEnd {
        match self.byte() % 3 {
            0 => PathEnd::Finished,
            1 => PathEnd::Lost,
            _ => match Header::decode(&[]) {
                Err(error) => PathEnd::Framing(error),
                Ok(header) => panic!("{header:?} of nothing"),
            },
        }
    }
}
