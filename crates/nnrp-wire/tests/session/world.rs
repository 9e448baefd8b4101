//! A client and a server on links with delays, in virtual time. Links keep the order and may be cut.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use nnrp_wire::session::{
    ClientEvent, ClientOptions, ClientSession, ConnectionEvent, FrameKey, HandleError, PathEnd,
    PathId, ServerConnection, ServerEvent, ServerOptions, ServerSession, Transmit,
};
use nnrp_wire::{Packet, ResultClass, ServerHelloAck, SplitLimits, Splitter, TransportId};

use crate::make::{SESSION, ms, result_push};

/// One direction of a path: bytes under way, cut into packets at the other end.
struct Link {
    delay: Duration,
    under_way: VecDeque<(Duration, Option<Bytes>)>,
    splitter: Splitter,
    ready: VecDeque<Packet>,
    has_ended: bool,
}

impl Link {
    fn new(delay: Duration) -> Self {
        Self {
            delay,
            under_way: VecDeque::new(),
            splitter: Splitter::new(SplitLimits::session(0)),
            ready: VecDeque::new(),
            has_ended: false,
        }
    }

    fn send(&mut self, transmit: &Transmit, now: Duration) {
        let mut bytes = Vec::new();
        transmit
            .message
            .encode(&transmit.envelope, &mut bytes)
            .unwrap();
        for piece in bytes.chunks(50) {
            let piece = Bytes::copy_from_slice(piece);
            self.under_way.push_back((now + self.delay, Some(piece)));
        }
    }

    /// What has arrived becomes packets.
    fn arrive(&mut self, now: Duration) {
        while self.under_way.front().is_some_and(|(at, _)| *at <= now) {
            match self.under_way.pop_front() {
                Some((_, Some(mut bytes))) => {
                    while let Some(packet) = self.splitter.split(&mut bytes).unwrap() {
                        self.ready.push_back(packet);
                    }
                }
                Some((_, None)) => self.has_ended = true,
                None => {}
            }
        }
    }
}

pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) client: ClientSession,
    pub(crate) server: Option<ServerSession>,
    pub(crate) client_events: Vec<ClientEvent>,
    pub(crate) server_events: Vec<ServerEvent>,
    /// How long the server works on a frame; with `None` it never ends one.
    pub(crate) work: Option<Duration>,
    working: VecDeque<(Duration, FrameKey)>,
    connections: BTreeMap<PathId, ServerConnection>,
    to_server: BTreeMap<PathId, Link>,
    to_client: BTreeMap<PathId, Link>,
    options: ServerOptions,
    window: u16,
}

impl World {
    pub(crate) fn new(client: ClientOptions, server: ServerOptions, window: u16) -> Self {
        Self {
            now: ms(0),
            client: ClientSession::new(client),
            server: None,
            client_events: Vec::new(),
            server_events: Vec::new(),
            work: Some(ms(5)),
            working: VecDeque::new(),
            connections: BTreeMap::new(),
            to_server: BTreeMap::new(),
            to_client: BTreeMap::new(),
            options: server,
            window,
        }
    }

    /// A new connection between the two.
    pub(crate) fn link(&mut self, path: PathId, transport: TransportId, delay: Duration) {
        self.to_server.insert(path, Link::new(delay));
        self.to_client.insert(path, Link::new(delay));
        let connection = ServerConnection::new(self.options.clone(), path, transport, self.now);
        self.connections.insert(path, connection);
    }

    /// Both lose it, and whatever is under way.
    pub(crate) fn cut(&mut self, path: PathId) {
        self.to_server.remove(&path);
        self.to_client.remove(&path);
        self.connections.remove(&path);
        let _ = self.client.handle_path_end(path, PathEnd::Lost, self.now);
        if let Some(server) = &mut self.server {
            let _ = server.handle_path_end(path, PathEnd::Lost, self.now);
        }
        self.settle();
    }

    /// The client ends its connections, in order behind what it has sent.
    fn client_ends(&mut self, path: PathId) {
        if let Some(link) = self.to_server.get_mut(&path) {
            link.under_way.push_back((self.now + link.delay, None));
        }
    }

    fn server_ends(&mut self, path: PathId) {
        if let Some(link) = self.to_client.get_mut(&path) {
            link.under_way.push_back((self.now + link.delay, None));
        }
    }

    /// Runs until something holds; fails if nothing happens any more before.
    pub(crate) fn run_until(&mut self, mut holds: impl FnMut(&Self) -> bool) {
        self.settle();
        while !holds(self) {
            assert!(
                self.step(),
                "nothing happens any more: {:?}",
                self.client_events
            );
        }
    }

    /// Runs until nothing happens any more.
    pub(crate) fn run_out(&mut self) {
        self.settle();
        while self.step() {}
    }

    /// Runs until this time.
    pub(crate) fn run_to(&mut self, until: Duration) {
        self.settle();
        while self.next_time().is_some_and(|next| next <= until) {
            self.step();
        }
        self.now = until;
    }

    /// To the next time at which something happens.
    fn step(&mut self) -> bool {
        let Some(next) = self.next_time() else {
            return false;
        };
        assert!(
            next >= self.now,
            "time does not go back: {next:?} {:?} {:?} {:?} {:?}",
            self.client.next_timeout(),
            self.server.as_ref().map(ServerSession::next_timeout),
            self.working,
            self.client.state()
        );
        self.now = next;
        self.client.handle_timeout(next);
        let due = |at: Option<Duration>| at.is_none_or(|at| at > next);
        assert!(
            due(self.client.next_timeout()),
            "deadlines are over when they are handled"
        );
        if let Some(server) = &mut self.server {
            server.handle_timeout(next);
            assert!(
                due(server.next_timeout()),
                "deadlines are over when they are handled"
            );
        }
        for connection in self.connections.values_mut() {
            connection.handle_timeout(next);
        }
        self.settle();
        true
    }

    fn next_time(&self) -> Option<Duration> {
        let links = self.to_server.values().chain(self.to_client.values());
        let arrivals = links.filter_map(|link| link.under_way.front().map(|(at, _)| *at));
        let work = self.working.front().map(|(at, _)| *at);
        let timeouts = [
            self.client.next_timeout(),
            self.server.as_ref().and_then(ServerSession::next_timeout),
            work,
        ];
        let connections = self
            .connections
            .values()
            .filter_map(ServerConnection::next_timeout);
        let all = arrivals
            .chain(timeouts.into_iter().flatten())
            .chain(connections);
        all.min()
    }

    /// Delivers what has arrived, does what is due, sends what is to be sent.
    pub(crate) fn settle(&mut self) {
        self.finish_work();
        self.drain();
        self.deliver_to_server();
        self.deliver_to_client();
        self.drain();
    }

    fn finish_work(&mut self) {
        while self.working.front().is_some_and(|(at, _)| *at <= self.now) {
            let (Some((_, key)), Some(server)) = (self.working.pop_front(), &mut self.server)
            else {
                continue;
            };
            let result = result_push(ResultClass::Complete);
            let _ = server.push_result(key, result, true, self.now);
        }
    }

    fn deliver_to_server(&mut self) {
        let paths: Vec<PathId> = self.to_server.keys().copied().collect();
        for path in paths {
            let Some(link) = self.to_server.get_mut(&path) else {
                continue;
            };
            link.arrive(self.now);
            while let Some(packet) = self
                .to_server
                .get_mut(&path)
                .and_then(|link| link.ready.pop_front())
            {
                self.give_server(path, &packet);
                self.drain();
            }
            if self.to_server.get(&path).is_some_and(|link| link.has_ended) {
                self.to_server.remove(&path);
                if let Some(server) = &mut self.server {
                    let _ = server.handle_path_end(path, PathEnd::Finished, self.now);
                }
                self.drain();
            }
        }
    }

    fn give_server(&mut self, path: PathId, packet: &Packet) {
        let of_session = self
            .server
            .as_mut()
            .map(|server| server.handle_packet(path, packet, self.now));
        if let None | Some(Err(HandleError::UnknownPath | HandleError::Over)) = of_session
            && let Some(connection) = self.connections.get_mut(&path)
        {
            let _ = connection.handle_packet(packet, self.now);
            self.decide(path);
        }
    }

    /// Every hello is accepted, and every migration of the session.
    fn decide(&mut self, path: PathId) {
        let Some(connection) = self.connections.get_mut(&path) else {
            return;
        };
        match connection.poll_event() {
            Some(ConnectionEvent::Hello(offer)) => {
                let mut metadata = offer.ack;
                (metadata.session_id, metadata.max_concurrent_frames) = (SESSION, self.window);
                let (extensions, payload) = (Vec::new(), Bytes::new());
                let ack = ServerHelloAck {
                    metadata,
                    extensions,
                    payload,
                };
                self.server = Some(connection.accept(ack, self.now).unwrap());
            }
            Some(ConnectionEvent::Migrate(offer)) => {
                let refusal = self
                    .server
                    .as_mut()
                    .unwrap()
                    .adopt(connection, &offer, true, self.now);
                if let Err(refusal) = refusal {
                    connection.refuse_migration(SESSION, refusal, self.now);
                }
            }
            Some(ConnectionEvent::Failed(_) | ConnectionEvent::Ended(_)) | None => {}
            Some(other) => panic!("{other:?}"),
        }
    }

    fn deliver_to_client(&mut self) {
        let paths: Vec<PathId> = self.to_client.keys().copied().collect();
        for path in paths {
            let Some(link) = self.to_client.get_mut(&path) else {
                continue;
            };
            link.arrive(self.now);
            while let Some(packet) = link.ready.pop_front() {
                let _ = self.client.handle_packet(path, &packet, self.now);
            }
            if link.has_ended {
                self.to_client.remove(&path);
                let _ = self
                    .client
                    .handle_path_end(path, PathEnd::Finished, self.now);
            }
        }
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.client.poll_transmit(self.now) {
            if let Some(link) = self.to_server.get_mut(&transmit.path) {
                link.send(&transmit, self.now);
            }
        }
        while let Some(event) = self.client.poll_event() {
            match &event {
                ClientEvent::ClosePath(path) => self.client_ends(*path),
                ClientEvent::Closed | ClientEvent::Failed(_) => {
                    let paths: Vec<PathId> = self.to_server.keys().copied().collect();
                    paths.into_iter().for_each(|path| self.client_ends(path));
                }
                _ => {}
            }
            self.client_events.push(event);
        }
        self.drain_server();
    }

    fn drain_server(&mut self) {
        for connection in self.connections.values_mut() {
            while let Some(transmit) = connection.poll_transmit() {
                if let Some(link) = self.to_client.get_mut(&transmit.path) {
                    link.send(&transmit, self.now);
                }
            }
        }
        let Some(server) = &mut self.server else {
            return;
        };
        let mut ended = Vec::new();
        while let Some(transmit) = server.poll_transmit(self.now) {
            if let Some(link) = self.to_client.get_mut(&transmit.path) {
                link.send(&transmit, self.now);
            }
        }
        while let Some(event) = server.poll_event() {
            match (&event, self.work) {
                (ServerEvent::FrameSubmitted { key, .. }, Some(work)) => {
                    self.working.push_back((self.now + work, *key));
                }
                (ServerEvent::ClosePath(path), _) => ended.push(*path),
                (ServerEvent::Closed | ServerEvent::Failed(_), _) => {
                    ended.extend(self.to_client.keys().copied());
                }
                _ => {}
            }
            self.server_events.push(event);
        }
        ended.into_iter().for_each(|path| self.server_ends(path));
    }
}
