//! What holds after any operations, in any order, with any messages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use nnrp_wire::metadata::{CacheInvalidateMetadata, CachePutMetadata};
use nnrp_wire::session::{
    CacheLimits, CacheStore, ClientEvent, ClientOptions, ClientSession, ClientState,
    ConnectionEvent, ConnectionState, CreditWindow, FrameKey, LivenessOptions, OrderOptions,
    PathEnd, PathId, Report, ResultOrder, ServerConnection, ServerEvent, ServerOptions,
    ServerSession, Submit,
};
use nnrp_wire::{
    CacheFlags, CachePut, ErrorCode, FlowReason, FlowScope, Header, HeaderFlags, InvalidateScope,
    ObjectKind, ObjectKinds, Packet, ResultClass, Rules, ServerHelloAck, TransportId,
    WideObjectKind,
};
use proptest::prelude::*;
use serde_json::Value;

use crate::make::*;
use crate::world::World;

/// Every recorded packet that is one: of all types, with all kinds of content.
fn recorded() -> &'static [Packet] {
    static PACKETS: OnceLock<Vec<Packet>> = OnceLock::new();
    PACKETS.get_or_init(|| {
        let vectors: Value =
            serde_json::from_str(include_str!("../vectors/nnrp-packets.json")).unwrap();
        let all = vectors["vectors"].as_array().unwrap().iter();
        let bytes = all.map(|vector| {
            let hex = vector["hex"].as_str().unwrap();
            let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            (0..hex.len() / 2)
                .map(|place| digit(2 * place))
                .collect::<Vec<_>>()
        });
        bytes
            .filter_map(|bytes| Packet::decode(bytes.into()).ok())
            .collect()
    })
}

/// A recorded packet, of one of a few sessions and frames.
fn any_packet() -> impl Strategy<Value = Packet> {
    let ids = (0..3_usize, 0..6_u32, 0..2_u16, 0..3_usize);
    (any::<prop::sample::Index>(), ids).prop_map(|(index, (session, frame_id, view_id, flags))| {
        let packet = index.get(recorded());
        let header = Header {
            session_id: [SESSION, 0, 8][session],
            frame_id,
            view_id,
            flags: [
                HeaderFlags::empty(),
                HeaderFlags::EOS,
                HeaderFlags::CAN_DROP,
            ][flags],
            ..*packet.header()
        };
        Packet::new(header, packet.metadata().clone(), packet.body().clone()).unwrap()
    })
}

/// What is likely to matter: results, drops, updates, the answer to a migration.
fn likely_packet() -> impl Strategy<Value = Packet> {
    use nnrp_wire::Message;
    let result = (0..4_usize, 0..6_u32, 0..2_u16, any::<bool>()).prop_map(
        |(class, frame_id, view_id, is_last)| {
            let flags = if is_last {
                HeaderFlags::EOS
            } else {
                HeaderFlags::empty()
            };
            let envelope = nnrp_wire::Envelope {
                view_id,
                flags,
                ..frame_envelope(frame_id)
            };
            packet(
                &envelope,
                &Message::ResultPush(result_push(ResultClass::ALL[class])),
            )
        },
    );
    let frame = (0..3_usize, 0..6_u32, 0..2_u16).prop_map(|(what, frame_id, view_id)| {
        let envelope = nnrp_wire::Envelope {
            view_id,
            ..frame_envelope(frame_id)
        };
        let message = [
            Message::ResultDrop,
            Message::FrameCancel,
            Message::FrameSubmit(frame_submit(3)),
        ];
        packet(&envelope, &message[what])
    });
    let flow = (0..5_usize, 0..4_u16, 0..6_u32).prop_map(|(reason, credit, epoch)| {
        let update = flow(FlowScope::Session, FlowReason::ALL[reason], credit, epoch);
        packet(
            &nnrp_wire::Envelope::session(SESSION),
            &Message::FlowUpdate(update),
        )
    });
    let migrated = (0..2_u32, 0..8_u64).prop_map(|(accept_code, resume_from_frame_id)| {
        let metadata = nnrp_wire::metadata::SessionMigrateAckMetadata {
            accept_code,
            resume_from_frame_id,
            grace_window_ms: 5,
            server_migrate_ts_us: 0,
        };
        let ack = nnrp_wire::SessionMigrateAck {
            metadata,
            body: Bytes::new(),
        };
        packet(
            &nnrp_wire::Envelope::session(SESSION),
            &Message::SessionMigrateAck(ack),
        )
    });
    prop_oneof![4 => result, 4 => frame, 2 => flow, 1 => migrated]
}

fn a_packet() -> impl Strategy<Value = Packet> {
    prop_oneof![3 => likely_packet(), 1 => any_packet()]
}

fn a_path() -> impl Strategy<Value = PathId> {
    prop_oneof![4 => Just(A), 1 => Just(B), 1 => Just(PathId(3))]
}

#[derive(Debug, Clone)]
enum Op {
    Submit {
        frame: u32,
        view: u16,
        waits: bool,
        is_stream: bool,
        deadline: Option<u64>,
    },
    Cancel(u32, u16),
    Release(u32, u16),
    Packet(PathId, Packet),
    End(PathId, bool),
    Wait(u64),
    Send,
    Migrate,
    Close,
}

fn an_op() -> impl Strategy<Value = Op> {
    let submit = (
        0..6_u32,
        0..2_u16,
        any::<bool>(),
        any::<bool>(),
        prop::option::of(1..9_u64),
    );
    prop_oneof![
        6 => submit.prop_map(|(frame, view, waits, is_stream, deadline)| Op::Submit { frame, view, waits, is_stream, deadline }),
        2 => (0..6_u32, 0..2_u16).prop_map(|(frame, view)| Op::Cancel(frame, view)),
        1 => (0..6_u32, 0..2_u16).prop_map(|(frame, view)| Op::Release(frame, view)),
        8 => (a_path(), a_packet()).prop_map(|(path, packet)| Op::Packet(path, packet)),
        1 => (prop_oneof![1 => Just(A), 4 => Just(B)], any::<bool>()).prop_map(|(path, lost)| Op::End(path, lost)),
        3 => (0..8_u64).prop_map(Op::Wait),
        4 => Just(Op::Send),
        1 => Just(Op::Migrate),
        1 => prop_oneof![9 => Just(Op::Wait(1)), 1 => Just(Op::Close)],
    ]
}

fn liveness() -> LivenessOptions {
    LivenessOptions {
        idle_timeout: Some(ms(200)),
        keep_alive: Some(ms(7)),
        missed_pongs_max: 30,
    }
}

/// Frames as their owner sees them.
#[derive(Default)]
struct Owner {
    open: BTreeSet<FrameKey>,
    submitted: u64,
    done: u64,
}

impl Owner {
    fn sees(&mut self, event: &ClientEvent) {
        match event {
            ClientEvent::FrameStarted(key)
            | ClientEvent::FrameResult { key, .. }
            | ClientEvent::FrameHint { key, .. } => {
                assert!(self.open.contains(key), "{event:?} after the end")
            }
            ClientEvent::FrameDone { key, .. } => {
                assert!(self.open.remove(key), "{key:?} ended twice");
                self.done += 1;
            }
            _ => {}
        }
    }
}

struct Client {
    session: ClientSession,
    owner: Owner,
    now: Duration,
}

impl Client {
    fn apply(&mut self, op: Op) {
        let (session, now) = (&mut self.session, self.now);
        match op {
            Op::Submit {
                frame,
                view,
                waits,
                is_stream,
                deadline,
            } => {
                let key = FrameKey {
                    frame_id: frame,
                    view_id: view,
                };
                let deadline = deadline.map(|after| now + ms(after));
                let submit = Submit {
                    waits,
                    is_stream,
                    deadline,
                    ..Submit::new(key, frame_submit(0))
                };
                if session.submit(submit, now).is_ok() {
                    self.owner.submitted += 1;
                    // What ended before has been seen by now.
                    assert!(self.owner.open.insert(key));
                }
            }
            Op::Cancel(frame_id, view_id) => {
                session.cancel(FrameKey { frame_id, view_id }, now);
            }
            Op::Release(frame_id, view_id) => {
                session.release(FrameKey { frame_id, view_id }, now);
            }
            Op::Packet(path, packet) => drop(session.handle_packet(path, &packet, now)),
            Op::End(path, lost) => {
                let end = if lost {
                    PathEnd::Lost
                } else {
                    PathEnd::Finished
                };
                let _ = session.handle_path_end(path, end, now);
            }
            Op::Wait(time) => {
                self.now += ms(time);
                session.handle_timeout(self.now);
                assert!(session.next_timeout().is_none_or(|next| next > self.now));
            }
            Op::Send => while session.poll_transmit(now).is_some() {},
            Op::Migrate => drop(session.migrate(B, TransportId::Tcp, Bytes::new(), now)),
            Op::Close => drop(session.close(Bytes::new(), now)),
        }
        self.check();
    }

    fn check(&mut self) {
        while let Some(event) = self.session.poll_event() {
            self.owner.sees(&event);
        }
        let counts = self.session.frames();
        assert_eq!(counts.submitted, self.owner.submitted);
        assert_eq!(counts.done_total(), self.owner.done);
        assert_eq!(
            counts.submitted,
            counts.done_total() + counts.in_flight + counts.pending
        );
        assert_eq!(
            self.owner.open.len() as u64,
            counts.in_flight + counts.pending
        );
        let in_flight = u64::from(self.session.credit().in_flight());
        assert!(in_flight <= counts.in_flight + counts.cancelling);
        if matches!(
            self.session.state(),
            ClientState::Closed | ClientState::Failed
        ) {
            assert!(self.owner.open.is_empty() && self.session.next_timeout().is_none());
            assert_eq!(in_flight, 0);
        }
    }
}

#[derive(Debug, Clone)]
enum ServerOp {
    Packet(PathId, Packet),
    Result {
        frame: u32,
        view: u16,
        is_last: bool,
    },
    Drop(u32, u16),
    Fail(u32, u16),
    End(PathId, bool),
    Wait(u64),
    Send,
    Adopt,
    Close,
    FailSession,
}

fn a_server_op() -> impl Strategy<Value = ServerOp> {
    let frame = || (0..6_u32, 0..2_u16);
    prop_oneof![
        12 => (a_path(), a_packet()).prop_map(|(path, packet)| ServerOp::Packet(path, packet)),
        4 => (frame(), any::<bool>()).prop_map(|((frame, view), is_last)| ServerOp::Result { frame, view, is_last }),
        2 => frame().prop_map(|(frame, view)| ServerOp::Drop(frame, view)),
        1 => frame().prop_map(|(frame, view)| ServerOp::Fail(frame, view)),
        1 => (prop_oneof![1 => Just(A), 4 => Just(B)], any::<bool>()).prop_map(|(path, lost)| ServerOp::End(path, lost)),
        3 => (0..8_u64).prop_map(ServerOp::Wait),
        3 => Just(ServerOp::Send),
        1 => Just(ServerOp::Adopt),
        1 => prop_oneof![8 => Just(ServerOp::Wait(1)), 1 => Just(ServerOp::Close), 1 => Just(ServerOp::FailSession)],
    ]
}

struct Server {
    session: ServerSession,
    open: BTreeSet<FrameKey>,
    submitted: u64,
    now: Duration,
}

impl Server {
    fn apply(&mut self, op: ServerOp) {
        let (session, now) = (&mut self.session, self.now);
        match op {
            ServerOp::Packet(path, packet) => drop(session.handle_packet(path, &packet, now)),
            ServerOp::Result {
                frame,
                view,
                is_last,
            } => {
                let key = FrameKey {
                    frame_id: frame,
                    view_id: view,
                };
                let pushed =
                    session.push_result(key, result_push(ResultClass::Complete), is_last, now);
                if pushed.is_ok() {
                    assert!(self.open.contains(&key));
                    if is_last {
                        self.open.remove(&key);
                    }
                }
            }
            ServerOp::Drop(frame_id, view_id) => {
                let key = FrameKey { frame_id, view_id };
                assert_eq!(session.drop_frame(key, now).is_ok(), self.open.remove(&key));
            }
            ServerOp::Fail(frame_id, view_id) => {
                let key = FrameKey { frame_id, view_id };
                let failed = session.fail_frame(key, ErrorCode::InternalError, "", now);
                assert_eq!(failed.is_ok(), self.open.remove(&key));
            }
            ServerOp::End(path, lost) => {
                let end = if lost {
                    PathEnd::Lost
                } else {
                    PathEnd::Finished
                };
                let _ = session.handle_path_end(path, end, now);
            }
            ServerOp::Wait(time) => {
                self.now += ms(time);
                session.handle_timeout(self.now);
                assert!(session.next_timeout().is_none_or(|next| next > self.now));
            }
            ServerOp::Send => while session.poll_transmit(now).is_some() {},
            ServerOp::Adopt => self.adopt(),
            ServerOp::Close => drop(session.close(Bytes::new(), now)),
            ServerOp::FailSession => {
                let report = Report {
                    code: ErrorCode::ServerBusy,
                    retry_after_ms: 0,
                    diagnostic: "",
                };
                let _ = session.fail_session(report, now);
            }
        }
        self.check();
    }

    fn adopt(&mut self) {
        let mut connection =
            ServerConnection::new(ServerOptions::default(), B, TransportId::Tcp, self.now);
        let migrate = nnrp_wire::SessionMigrate {
            metadata: nnrp_wire::metadata::SessionMigrateMetadata {
                old_transport_id: TransportId::Quic,
                new_transport_id: TransportId::Tcp,
                last_result_frame_id: 0,
                client_migrate_ts_us: 0,
            },
            body: Bytes::new(),
        };
        let message = nnrp_wire::Message::SessionMigrate(migrate);
        let packet = packet(&nnrp_wire::Envelope::session(SESSION), &message);
        connection.handle_packet(&packet, self.now).unwrap();
        let Some(ConnectionEvent::Migrate(offer)) = connection.poll_event() else {
            panic!()
        };
        let _ = self.session.adopt(&mut connection, &offer, true, self.now);
    }

    fn check(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                ServerEvent::FrameSubmitted { key, .. } => {
                    self.submitted += 1;
                    assert!(self.open.insert(key), "{key:?} began twice");
                }
                ServerEvent::FrameOver { key, .. } => {
                    assert!(self.open.remove(&key), "{key:?} ended twice")
                }
                _ => {}
            }
        }
        let counts = self.session.frames();
        assert_eq!(counts.submitted, self.submitted);
        assert_eq!(counts.submitted, counts.done_total() + counts.in_flight);
        assert_eq!(counts.in_flight, self.open.len() as u64);
        assert!(counts.in_flight <= 4, "more frames than there may be");
    }
}

const LIMITS: CacheLimits = CacheLimits {
    kinds: ObjectKinds::all(),
    entries_max: 3,
    bytes_max: 40,
    object_bytes_max: 20,
    namespaces_max: 2,
    ttl_max: Some(Duration::from_millis(50)),
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_client_keeps_its_promises(
        window in 0..4_u16,
        is_strict in any::<bool>(),
        ops in prop::collection::vec(an_op(), 1..120),
    ) {
        let options = ClientOptions {
            rules: if is_strict { Rules::STRICT } else { Rules::COMPATIBLE },
            liveness: liveness(),
            cancel_timeout: ms(6),
            drain_timeout: ms(9),
            close_grace: ms(4),
            migration_timeout: ms(11),
            pending_max: 2,
            finished_max: 4,
            checks_references: false,
            ..ClientOptions::default()
        };
        let session = active(options, window);
        let mut client = Client { session, owner: Owner::default(), now: ms(0) };
        ops.into_iter().for_each(|op| client.apply(op));
        // In the end, every frame has one.
        client.apply(Op::Close);
        client.apply(Op::Wait(100));
        client.apply(Op::Wait(100));
        prop_assert!(matches!(client.session.state(), ClientState::Closed | ClientState::Failed));
    }

    #[test]
    fn a_server_keeps_its_promises(ops in prop::collection::vec(a_server_op(), 1..120)) {
        let options = ServerOptions {
            rules: Rules::COMPATIBLE,
            liveness: liveness(),
            frames_max: 4,
            finished_max: 4,
            early_cancels_max: 2,
            early_cancel_time: ms(5),
            drain_timeout: ms(9),
            close_grace: ms(4),
            migration_grace: ms(10),
            resolves_references: false,
            ..ServerOptions::default()
        };
        let session = serving(options, TransportId::Quic);
        let mut server = Server { session, open: BTreeSet::new(), submitted: 0, now: ms(0) };
        ops.into_iter().for_each(|op| server.apply(op));
        server.apply(ServerOp::Close);
        server.apply(ServerOp::Wait(100));
        server.apply(ServerOp::Wait(100));
        prop_assert!(server.open.is_empty());
    }

    #[test]
    fn greeting_takes_any_first_packets(packets in prop::collection::vec(any_packet(), 1..6)) {
        let mut client = greeting(ClientOptions::default());
        let mut connection = ServerConnection::new(ServerOptions::default(), A, TransportId::Tcp, ms(0));
        for packet in packets {
            let _ = client.handle_packet(A, &packet, ms(0));
            let _ = connection.handle_packet(&packet, ms(0));
            let answer = ServerHelloAck { metadata: ack(1), extensions: Vec::new(), payload: Bytes::new() };
            if connection.state() == ConnectionState::Deciding {
                let _ = connection.accept(answer, ms(0));
            }
        }
        client.handle_timeout(ms(10_000));
        connection.handle_timeout(ms(10_000));
        prop_assert!(connection.next_timeout().is_none());
    }

    #[test]
    fn credit_is_never_negative(
        window in 0..4_u16,
        steps in prop::collection::vec((0..4_u8, 0..3_usize, 0..5_usize, 0..4_u16, 0..6_u32), 1..80),
    ) {
        let mut credit = CreditWindow::new(window, 2);
        let mut in_flight = 0_u32;
        for (what, scope, reason, ceiling, epoch) in steps {
            match what {
                0 => drop(credit.update(&flow(FlowScope::ALL[scope], FlowReason::ALL[reason], ceiling, epoch), ms(0))),
                1 if credit.check(9, true, ms(0)).is_ok() => {
                    prop_assert!(credit.available().is_none_or(|available| available > 0));
                    credit.take(9);
                    in_flight += 1;
                }
                2 if in_flight > 0 => {
                    credit.give_back(9);
                    in_flight -= 1;
                }
                _ => {}
            }
            prop_assert_eq!(credit.in_flight(), in_flight);
        }
    }

    #[test]
    fn the_cache_stays_within_its_bounds(
        steps in prop::collection::vec((0..4_u8, 0..3_u32, 0..4_u32, 0..25_usize, 0..3_u32, any::<bool>(), 0..20_u64), 1..80),
    ) {
        let mut store = CacheStore::new(LIMITS);
        let mut put_last = BTreeMap::new();
        let mut now = ms(0);
        for (what, namespace, key, bytes, kind, is_pinned, wait) in steps {
            now += ms(wait / 4);
            let kind = ObjectKind::ALL[kind as usize];
            match what {
                0 | 1 => {
                    let flags = if is_pinned { CacheFlags::PINNED } else { CacheFlags::empty() };
                    let object = Bytes::from(vec![what; bytes]);
                    let metadata = CachePutMetadata {
                        cache_namespace: namespace,
                        cache_key_hi: 0,
                        cache_key_lo: key,
                        object_kind: WideObjectKind(kind),
                        ttl_ms: u32::try_from(wait).unwrap(),
                        object_bytes: 0,
                        codec_bitmap: 0,
                        flags,
                    };
                    let ack = store.put(&CachePut { metadata, object: object.clone() }, now);
                    if ack.status != nnrp_wire::CacheStatus::Rejected {
                        put_last.insert((namespace, key), (kind, object));
                    }
                }
                2 => {
                    let reference = nnrp_wire::body::ObjectReference { kind, namespace, key: u64::from(key) };
                    if let Some(object) = store.resolve(&reference, now) {
                        prop_assert_eq!(put_last.get(&(namespace, key)), Some(&(kind, object)));
                    }
                }
                _ => {
                    let scope = InvalidateScope::ALL[kind as usize % 4];
                    store.invalidate(&CacheInvalidateMetadata {
                        invalidate_scope: scope,
                        cache_namespace: namespace,
                        cache_key_hi: 0,
                        cache_key_lo: key,
                        reason_code: 0,
                    });
                }
            }
            prop_assert!(store.len() <= 3 && store.bytes() <= 40);
            store.expire(now);
            prop_assert!(store.next_timeout().is_none_or(|next| next > now));
        }
    }

    #[test]
    fn the_ordered_buffer_gives_each_item_once_in_order(
        start in prop::option::of(0..3_u32),
        steps in prop::collection::vec((0..8_u8, 0..8_u32, 0..2_u16), 1..100),
    ) {
        let mut order = ResultOrder::new(OrderOptions { start, items_max: 5, gap_timeout: Some(ms(10)) });
        let (mut added, mut taken, mut now) = (Vec::new(), Vec::new(), ms(0));
        for (item, (what, frame_id, view_id)) in steps.into_iter().enumerate() {
            now += ms(1);
            match what {
                0..=3 => {
                    if order.add(FrameKey { frame_id, view_id }, item, now).is_ok() {
                        added.push(item);
                    }
                }
                4 => drop(order.finish(frame_id, now)),
                5 if frame_id == 7 => order.skip(view_id.into(), now),
                6 => {
                    order.handle_timeout(now);
                    prop_assert!(order.next_timeout().is_none_or(|next| next > now));
                }
                _ => taken.extend(order.pop_next(None, now)),
            }
            prop_assert!(order.len() <= 6);
            prop_assert_eq!(order.len(), added.len() - taken.len());
        }
        order.skip(u32::MAX, now);
        while let Some(next) = order.pop_next(None, now) {
            taken.push(next);
        }
        prop_assert!(order.is_empty());
        if start.is_some() {
            let frames: Vec<_> = taken.iter().map(|(key, _)| key.frame_id).collect();
            prop_assert!(frames.is_sorted(), "{:?}", frames);
        }
        let mut of_key: BTreeMap<FrameKey, Vec<usize>> = BTreeMap::new();
        for (key, item) in &taken {
            of_key.entry(*key).or_default().push(*item);
        }
        prop_assert!(of_key.values().all(|items| items.is_sorted()), "as they came");
        let mut items: Vec<_> = taken.into_iter().map(|(_, item)| item).collect();
        items.sort_unstable();
        prop_assert_eq!(items, added);
    }

    #[test]
    fn every_frame_of_a_conversation_ends_once(
        window in 0..3_u16,
        delay in 1..20_u64,
        work in prop::option::of(0..30_u64),
        acts in prop::collection::vec((0..12_u8, 1..40_u32), 1..40),
    ) {
        let client = ClientOptions { liveness: liveness(), drain_timeout: ms(50), pending_max: 4, ..ClientOptions::default() };
        let server = ServerOptions { drain_timeout: ms(50), liveness: liveness(), migration_grace: ms(25), ..ServerOptions::default() };
        let mut world = World::new(client, server, window);
        world.work = work.map(ms);
        world.link(A, TransportId::Quic, ms(delay));
        world.client.connected(A, TransportId::Quic, ms(0)).unwrap();
        world.run_until(|world| world.client.state() == ClientState::Active);
        let mut submitted = 0;
        let mut moved = false;
        for (act, number) in acts {
            match act {
                0..=5 => {
                    let submit = Submit { waits: act < 3, ..Submit::new(FrameKey::new(number), frame_submit(40)) };
                    submitted += u64::from(world.client.submit(submit, world.now).is_ok());
                    world.settle();
                }
                6 => drop(world.client.cancel(FrameKey::new(number), world.now)),
                7 if !moved && world.client.state() == ClientState::Active => {
                    moved = true;
                    world.link(B, TransportId::Tcp, ms(u64::from(number)));
                    world.client.migrate(B, TransportId::Tcp, Bytes::new(), world.now).unwrap();
                }
                8 if number > 36 => world.cut(if number > 38 { A } else { B }),
                _ => {
                    let until = world.now + ms(number.into());
                    world.run_to(until);
                }
            }
        }
        let _ = world.client.close(Bytes::new(), world.now);
        world.run_out();
        let counts = world.client.frames();
        prop_assert_eq!((counts.submitted, counts.done_total()), (submitted, submitted));
        let is_end = |event: &&ClientEvent| matches!(event, ClientEvent::FrameDone { .. });
        prop_assert_eq!(world.client_events.iter().filter(is_end).count() as u64, submitted);
        let server = world.server.as_ref().unwrap().frames();
        prop_assert_eq!(server.submitted, server.done_total());
    }
}
