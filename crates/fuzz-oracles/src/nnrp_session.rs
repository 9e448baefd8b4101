//! The machines of NNRP sessions, under any operations in any order with any packets.
//!
//! An input is a list of operations, each a byte that says what to do, and what that needs.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use nnrp_wire::metadata::{CacheInvalidateMetadata, CachePutMetadata};
use nnrp_wire::session::{
    CacheLimits, CacheStore, ClientEvent, ClientOptions, ClientSession, ClientState, FrameKey,
    LivenessOptions, PathEnd, PathId, ServerCapabilities, ServerConnection, ServerEvent,
    ServerOptions, ServerSession, Submit,
};
use nnrp_wire::{
    CacheFlags, CachePut, DecodeOptions, ErrorCode, FrameSubmit, Header, InvalidateScope, Message,
    MessageType, ObjectKind, ObjectKinds, Packet, ResultPush, Rules, ServerHelloAck, TransportId,
    WideObjectKind,
};

use crate::nnrp_operations::Operations;

const FIRST: PathId = PathId(1);
const SECOND: PathId = PathId(2);
const FRAMES_MAX: usize = 4;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn liveness() -> LivenessOptions {
    LivenessOptions {
        idle_timeout: Some(ms(200)),
        keep_alive: Some(ms(7)),
        missed_pongs_max: 30,
    }
}

/// A client: each frame ends once, nothing is said of it afterwards, and its counts add up.
pub fn nnrp_client_session(data: &[u8]) {
    let mut operations = Operations::new(data);
    let Some(mut client) = Client::active(u16::from(operations.byte() % 4)) else {
        return;
    };
    while !operations.is_empty() {
        client.apply(&mut operations);
        client.check();
    }
    let _ = client.session.close(Bytes::new(), client.now);
    for _ in 0..2 {
        client.now += ms(100);
        client.session.handle_timeout(client.now);
        client.check();
    }
    assert!(client.is_over());
}

struct Client {
    session: ClientSession,
    open: BTreeSet<FrameKey>,
    submitted: u64,
    done: u64,
    now: Duration,
}

impl Client {
    fn active(window: u16) -> Option<Self> {
        let options = ClientOptions {
            rules: Rules::COMPATIBLE,
            liveness: liveness(),
            cancel_timeout: ms(6),
            drain_timeout: ms(9),
            close_grace: ms(4),
            migration_timeout: ms(11),
            frames_max: FRAMES_MAX,
            pending_max: 2,
            finished_max: 4,
            checks_references: false,
            ..ClientOptions::default()
        };
        let answer = Message::ServerHelloAck(hello_ack(&options, window)?);
        let mut session = ClientSession::new(options);
        session.connected(FIRST, TransportId::Quic, ms(0)).ok()?;
        session.poll_transmit(ms(0))?;
        let packet = Operations::packet_of(&answer)?;
        session.handle_packet(FIRST, &packet, ms(0)).ok()?;
        session.poll_event()?;
        Some(Self {
            session,
            open: BTreeSet::new(),
            submitted: 0,
            done: 0,
            now: ms(0),
        })
    }

    fn apply(&mut self, operations: &mut Operations<'_>) {
        let (session, now) = (&mut self.session, self.now);
        match operations.byte() % 16 {
            0..=3 => self.submit(operations),
            4 => drop(session.cancel(operations.frame(), now)),
            5 => drop(session.release(operations.frame(), now)),
            6..=9 => {
                let (path, packet) = (operations.path(), operations.packet());
                let _ = session.handle_packet(path, &packet, now);
            }
            10 => {
                let (path, end) = (operations.path(), operations.path_end());
                let _ = session.handle_path_end(path, end, now);
            }
            11 | 12 => {
                self.now += ms(u64::from(operations.byte() % 16));
                session.handle_timeout(self.now);
                assert!(session.next_timeout().is_none_or(|next| next > self.now));
            }
            13 => while session.poll_transmit(now).is_some() {},
            14 => drop(session.migrate(SECOND, TransportId::Tcp, Bytes::new(), now)),
            _ => drop(session.probe(1, u32::from(operations.byte()), now)),
        }
    }

    fn submit(&mut self, operations: &mut Operations<'_>) {
        let (key, how) = (operations.frame(), operations.byte());
        let Some(message) = empty_submit() else {
            return;
        };
        let submit = Submit {
            waits: how & 1 != 0,
            is_stream: how & 2 != 0,
            deadline: (how & 4 != 0).then(|| self.now + ms(u64::from(how >> 4))),
            ..Submit::new(key, message)
        };
        if self.session.submit(submit, self.now).is_ok() {
            self.submitted += 1;
            assert!(self.open.insert(key), "{key:?} began twice");
        }
    }

    fn check(&mut self) {
        while let Some(event) = self.session.poll_event() {
            if let ClientEvent::FrameDone { key, .. } = &event {
                assert!(self.open.remove(key), "{key:?} ended twice");
                self.done += 1;
            }
            if let ClientEvent::FrameStarted(key)
            | ClientEvent::FrameResult { key, .. }
            | ClientEvent::FrameHint { key, .. } = &event
            {
                assert!(self.open.contains(key), "{event:?} after the end");
            }
        }
        let counts = self.session.frames();
        let not_done = counts.in_flight + counts.pending;
        assert_eq!(counts.submitted, self.submitted);
        assert_eq!(counts.done_total(), self.done);
        assert_eq!(counts.submitted, self.done + not_done);
        assert_eq!(self.open.len() as u64, not_done);
        let uses_credit = u64::from(self.session.credit().in_flight());
        assert!(uses_credit <= counts.in_flight + counts.cancelling);
        if self.is_over() {
            assert!(self.open.is_empty() && self.session.next_timeout().is_none());
            assert_eq!(uses_credit, 0);
        }
    }

    fn is_over(&self) -> bool {
        matches!(
            self.session.state(),
            ClientState::Closed | ClientState::Failed
        )
    }
}

/// A server: each frame ends once, there are never more than there may be, and its counts add up.
pub fn nnrp_server_session(data: &[u8]) {
    let mut operations = Operations::new(data);
    let Some(mut server) = Server::active() else {
        return;
    };
    while !operations.is_empty() {
        server.apply(&mut operations);
        server.check();
    }
    let _ = server.session.close(Bytes::new(), server.now);
    for _ in 0..2 {
        server.now += ms(100);
        server.session.handle_timeout(server.now);
        server.check();
    }
    assert!(server.open.is_empty());
}

struct Server {
    session: ServerSession,
    open: BTreeSet<FrameKey>,
    submitted: u64,
    now: Duration,
}

impl Server {
    fn active() -> Option<Self> {
        let options = ServerOptions {
            rules: Rules::COMPATIBLE,
            liveness: liveness(),
            frames_max: FRAMES_MAX,
            finished_max: 4,
            early_cancels_max: 2,
            early_cancel_time: ms(5),
            drain_timeout: ms(9),
            close_grace: ms(4),
            migration_grace: ms(10),
            resolves_references: false,
            ..ServerOptions::default()
        };
        let client = ClientOptions::default();
        let ack = hello_ack(&client, 16)?;
        let hello = Operations::packet_of(&Message::ClientHello(client.hello))?;
        let mut connection = ServerConnection::new(options, FIRST, TransportId::Quic, ms(0));
        connection.handle_packet(&hello, ms(0)).ok()?;
        let mut session = connection.accept(ack, ms(0)).ok()?;
        session.poll_transmit(ms(0))?;
        Some(Self {
            session,
            open: BTreeSet::new(),
            submitted: 0,
            now: ms(0),
        })
    }

    fn apply(&mut self, operations: &mut Operations<'_>) {
        let (session, now) = (&mut self.session, self.now);
        match operations.byte() % 16 {
            0..=6 => {
                let (path, packet) = (operations.path(), operations.packet());
                let _ = session.handle_packet(path, &packet, now);
            }
            7 | 8 => self.push_result(operations),
            9 => {
                let key = operations.frame();
                assert_eq!(session.drop_frame(key, now).is_ok(), self.open.remove(&key));
            }
            10 => {
                let key = operations.frame();
                let failed = session.fail_frame(key, ErrorCode::InternalError, "", now);
                assert_eq!(failed.is_ok(), self.open.remove(&key));
            }
            11 => {
                let (path, end) = (operations.path(), operations.path_end());
                let _ = session.handle_path_end(path, end, now);
            }
            12 | 13 => {
                self.now += ms(u64::from(operations.byte() % 16));
                session.handle_timeout(self.now);
                assert!(session.next_timeout().is_none_or(|next| next > self.now));
            }
            _ => while session.poll_transmit(now).is_some() {},
        }
    }

    fn push_result(&mut self, operations: &mut Operations<'_>) {
        let (key, is_last) = (operations.frame(), operations.byte() & 1 == 0);
        let Some(result) = empty_result() else {
            return;
        };
        if self
            .session
            .push_result(key, result, is_last, self.now)
            .is_ok()
        {
            assert!(self.open.contains(&key), "a result of no frame");
            if is_last {
                self.open.remove(&key);
            }
        }
    }

    fn check(&mut self) {
        while let Some(event) = self.session.poll_event() {
            if let ServerEvent::FrameSubmitted { key, .. } = &event {
                self.submitted += 1;
                assert!(self.open.insert(*key), "{key:?} began twice");
            }
            if let ServerEvent::FrameOver { key, .. } = &event {
                assert!(self.open.remove(key), "{key:?} ended twice");
            }
        }
        let counts = self.session.frames();
        assert_eq!(counts.submitted, self.submitted);
        assert_eq!(counts.submitted, counts.done_total() + counts.in_flight);
        assert_eq!(counts.in_flight, self.open.len() as u64);
        assert!(counts.in_flight <= FRAMES_MAX as u64);
    }
}

/// A cache: it stays within its limits, and its bytes are those of what it keeps.
pub fn nnrp_cache(data: &[u8]) {
    const LIMITS: CacheLimits = CacheLimits {
        kinds: ObjectKinds::all(),
        entries_max: 3,
        bytes_max: 40,
        object_bytes_max: 20,
        namespaces_max: 2,
        ttl_max: Some(ms(50)),
    };
    let mut operations = Operations::new(data);
    let mut store = CacheStore::new(LIMITS);
    let mut now = ms(0);
    while !operations.is_empty() {
        match operations.byte() % 4 {
            0 | 1 => drop(store.put(&operations.cache_put(), now)),
            2 => drop(store.invalidate(&operations.cache_invalidate())),
            _ => {
                now += ms(u64::from(operations.byte()));
                store.expire(now);
                assert!(store.next_timeout().is_none_or(|next| next > now));
            }
        }
        assert!(store.len() as u64 <= u64::from(LIMITS.entries_max));
        assert!(store.bytes() <= u64::from(LIMITS.bytes_max));
        assert!(!store.is_empty() || store.bytes() == 0);
    }
}

fn hello_ack(options: &ClientOptions, max_concurrent_frames: u16) -> Option<ServerHelloAck> {
    let capabilities = ServerCapabilities {
        max_concurrent_frames,
        ..ServerCapabilities::default()
    };
    let mut metadata = capabilities.negotiate(&options.hello).ok()?;
    metadata.session_id = Operations::SESSION_ID;
    Some(ServerHelloAck {
        metadata,
        extensions: Vec::new(),
        payload: Bytes::new(),
    })
}

fn decode(message_type: MessageType, metadata: &'static [u8]) -> Option<Message> {
    let header = Header::new(message_type);
    let packet = Packet::new(header, Bytes::from_static(metadata), Bytes::new()).ok()?;
    Message::decode(&packet, &DecodeOptions::COMPATIBLE).ok()
}

/// A tensor of nothing.
fn empty_submit() -> Option<FrameSubmit> {
    const METADATA: [u8; 72] = {
        let mut metadata = [0; 72];
        metadata[54] = 255;
        metadata[64] = 1;
        metadata
    };
    let Message::FrameSubmit(submit) = decode(MessageType::FrameSubmit, &METADATA)? else {
        return None;
    };
    Some(submit)
}

/// A result of nothing.
fn empty_result() -> Option<ResultPush> {
    let Message::ResultPush(result) = decode(MessageType::ResultPush, &[0; 64])? else {
        return None;
    };
    Some(result)
}

impl Operations<'_> {
    fn path(&mut self) -> PathId {
        PathId(u32::from(self.byte() % 3) + 1)
    }

    fn path_end(&mut self) -> PathEnd {
        if self.byte() & 1 == 0 {
            PathEnd::Lost
        } else {
            PathEnd::Finished
        }
    }

    fn frame(&mut self) -> FrameKey {
        let (frame_id, view_id) = self.ids();
        FrameKey { frame_id, view_id }
    }

    fn object_kind(&mut self) -> ObjectKind {
        ObjectKind::ALL[usize::from(self.byte()) % ObjectKind::ALL.len()]
    }

    fn cache_put(&mut self) -> CachePut {
        let object = vec![0; usize::from(self.byte() % 32)];
        CachePut {
            metadata: CachePutMetadata {
                cache_namespace: u32::from(self.byte() % 3),
                cache_key_hi: 0,
                cache_key_lo: u32::from(self.byte() % 5),
                object_kind: WideObjectKind(self.object_kind()),
                ttl_ms: u32::from(self.byte()),
                object_bytes: u32::try_from(object.len()).unwrap_or(0),
                codec_bitmap: 0,
                flags: if self.byte() & 1 == 0 {
                    CacheFlags::empty()
                } else {
                    CacheFlags::PINNED
                },
            },
            object: object.into(),
        }
    }

    fn cache_invalidate(&mut self) -> CacheInvalidateMetadata {
        let scopes = InvalidateScope::ALL;
        CacheInvalidateMetadata {
            invalidate_scope: scopes[usize::from(self.byte()) % scopes.len()],
            cache_namespace: u32::from(self.byte() % 3),
            cache_key_hi: 0,
            cache_key_lo: u32::from(self.byte() % 5),
            reason_code: 0,
        }
    }
}
