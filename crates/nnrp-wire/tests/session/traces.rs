//! The recorded exchanges, replayed against our machines in both roles. What differs from the recording, and why, is listed.

use std::time::Duration;

use bytes::Bytes;
use nnrp_wire::session::{
    CacheLimits, ClientEvent, ClientOptions, ClientSession, ClientState, ConnectionEvent, FrameKey,
    FrameOutcome, PathEnd, PathId, Probe, Report, ServerCapabilities, ServerConnection,
    ServerOptions, ServerSession, ServerState, Submit, Transmit,
};
use nnrp_wire::{
    Category, DecodeOptions, Envelope, Message, MessageType, Packet, ResultClass, Rules,
    SplitLimits, Splitter, TransportId,
};
use serde_json::Value;

use crate::make::{A, B, client_events, ms};

const TCP: &str = include_str!("../vectors/nnrp-tcp-traces.json");
const QUIC: &str = include_str!("../vectors/nnrp-quic-stream-traces.json");

/// A recorded packet, by the side that sent it.
struct Recorded {
    by_client: bool,
    bytes: Bytes,
}

impl Recorded {
    fn packet(&self) -> Packet {
        Packet::decode(self.bytes.clone()).unwrap()
    }

    fn message(&self) -> (Envelope, Message) {
        let packet = self.packet();
        let message = Message::decode(&packet, &DecodeOptions::COMPATIBLE).unwrap();
        (Envelope::from(packet.header()), message)
    }
}

struct Exchange {
    name: String,
    transport: TransportId,
    packets: Vec<Recorded>,
}

/// The reference does not copy the view, so that one frame of this exchange stays in flight, and the window that it
/// announces has no room for the next.
const WITHOUT_VIEW: &str = "submit_tile_modes_and_reference_mode";

/// The reference looks at no window: three frames are in flight where one may be.
const BEYOND_WINDOW: &str = "out_of_order_results";

/// `max_concurrent_frames` of a hello's answer.
const WINDOW_AT: std::ops::Range<usize> = 90..92;

fn hex(text: &str) -> Bytes {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len())
        .step_by(2)
        .map(digit)
        .collect::<Vec<_>>()
        .into()
}

/// Each recorded connection, with what is a packet or was to be one.
fn exchanges() -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    for (text, transport) in [(TCP, TransportId::Tcp), (QUIC, TransportId::Quic)] {
        let traces: Value = serde_json::from_str(text).unwrap();
        for scenario in traces["scenarios"].as_array().unwrap() {
            for connection in scenario["connections"].as_array().unwrap() {
                let events = connection["events"].as_array().unwrap().iter();
                let with_bytes = events.filter(|event| event["msg"].is_string());
                let packets = with_bytes.map(|event| Recorded {
                    by_client: event["dir"] == "c2s",
                    bytes: hex(event["hex"].as_str().unwrap()),
                });
                let mut packets: Vec<_> = packets.collect();
                let name = scenario["name"].as_str().unwrap();
                if name == WITHOUT_VIEW || name == BEYOND_WINDOW {
                    let mut answer = packets[1].bytes.to_vec();
                    answer[WINDOW_AT].fill(0);
                    packets[1].bytes = answer.into();
                }
                exchanges.push(Exchange {
                    name: name.into(),
                    transport,
                    packets,
                });
            }
        }
    }
    exchanges
}

fn named(name: &str, transport: TransportId) -> Exchange {
    let mut all = exchanges().into_iter();
    all.find(|exchange| exchange.name == name && exchange.transport == transport)
        .unwrap()
}

/// Those that are conversations in a session: the first two packets are a hello and its answer, and all are packets.
fn conversations() -> Vec<Exchange> {
    let is_packet = |recorded: &Recorded| Packet::decode(recorded.bytes.clone()).is_ok();
    let is_session = |exchange: &Exchange| {
        let types: Vec<_> = exchange
            .packets
            .iter()
            .map(|recorded| recorded.bytes[6])
            .collect();
        types.starts_with(&[1, 2]) && exchange.packets.iter().all(is_packet)
    };
    exchanges().into_iter().filter(is_session).collect()
}

/// How what we send differs from what was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Differs {
    Header,
    Content,
}

#[derive(Default)]
struct Comparison {
    same: usize,
    different: Vec<(String, &'static str, Differs)>,
}

impl Comparison {
    fn compare(&mut self, exchange: &str, sent: &Transmit, recorded: &Recorded) {
        let (envelope, message) = recorded.message();
        let message_type = message.message_type();
        assert_eq!(sent.message.message_type(), message_type, "{exchange}");
        let mut bytes = Vec::new();
        sent.message.encode(&sent.envelope, &mut bytes).unwrap();
        let differs = if bytes == recorded.bytes {
            self.same += 1;
            return;
        } else if sent.message == message {
            Differs::Header
        } else {
            Differs::Content
        };
        assert_eq!(sent.envelope.frame_id, envelope.frame_id, "{exchange}");
        self.different
            .push((exchange.into(), message_type.name(), differs));
    }

    /// Compares with `(exchange, type, difference)`, any number of times each.
    fn expect(mut self, same: usize, expected: &[(&str, &'static str, Differs)]) {
        self.different.sort();
        self.different.dedup();
        let mut expected: Vec<_> = expected
            .iter()
            .map(|(exchange, name, differs)| ((*exchange).to_owned(), *name, *differs))
            .collect();
        expected.sort();
        assert_eq!(self.different, expected);
        assert_eq!(self.same, same);
    }
}

fn client_options(hello: Message) -> ClientOptions {
    let Message::ClientHello(hello) = hello else {
        panic!("{hello:?}")
    };
    ClientOptions {
        hello,
        rules: Rules::COMPATIBLE,
        // The recorded session server says that it keeps nothing, and keeps what it is given.
        puts_without_cache: true,
        checks_references: false,
        close_reason: "bye".into(),
        ..ClientOptions::default()
    }
}

/// What the recorded client did, done by ours. Says whether anything has to be sent because of it.
fn act_as_client(
    client: &mut ClientSession,
    now: Duration,
    envelope: &Envelope,
    message: Message,
) -> bool {
    match message {
        Message::FrameSubmit(submit) => {
            let submit = Submit {
                flags: envelope.flags,
                route_id: envelope.route_id,
                trace_id: envelope.trace_id,
                ..Submit::new(FrameKey::from(envelope), submit)
            };
            client.submit(submit, now).unwrap();
        }
        Message::FrameCancel => return client.cancel(FrameKey::from(envelope), now),
        Message::CachePut(put) => client.put(put, now).unwrap(),
        Message::CacheInvalidate(invalidate) => client.invalidate(invalidate).unwrap(),
        Message::SessionPatch(patch) => client.patch(patch, now).unwrap(),
        Message::FlowUpdate(update) => client.flow_update(update).unwrap(),
        Message::Close(reason) => client.close(reason, now).unwrap(),
        // Ours come by themselves, when it is time.
        Message::Ping => return false,
        Message::Pong => {}
        other => panic!("{other:?}"),
    }
    true
}

#[test]
fn our_client_says_what_the_recorded_client_said() {
    let mut comparison = Comparison::default();
    let conversations = conversations();
    assert_eq!(conversations.len(), 28);
    for exchange in &conversations {
        let name = &exchange.name;
        let mut client = ClientSession::new(client_options(exchange.packets[0].message().1));
        client.connected(A, exchange.transport, ms(0)).unwrap();
        // Long enough after each other for the times to wait that are asked for.
        let times = (0..).map(|place| ms(100 * place));
        for ((place, recorded), now) in exchange.packets.iter().enumerate().zip(times) {
            if !recorded.by_client {
                // The last packets of a server that has failed are of no interest.
                let taken = client.handle_packet(A, &recorded.packet(), now);
                assert!(
                    taken.is_ok() || client.state() == ClientState::Failed,
                    "{name}"
                );
                continue;
            }
            let (envelope, message) = recorded.message();
            if place > 0 && !act_as_client(&mut client, now, &envelope, message) {
                continue;
            }
            let sent = client.poll_transmit(now).expect(name);
            comparison.compare(name, &sent, recorded);
        }
        assert!(client.established().is_some(), "{name}");
        assert_eq!(
            (client.counters().undecodable, client.counters().unexpected),
            (0, 0),
            "{name}"
        );
    }
    comparison.expect(
        71,
        &[
            // The caller does not choose the trace id.
            ("flow_update", "FLOW_UPDATE", Differs::Header),
        ],
    );
}

/// How each frame of a conversation ended for our client.
fn outcomes(name: &str) -> Vec<(u32, FrameOutcome)> {
    let exchange = named(name, TransportId::Tcp);
    let mut client = ClientSession::new(client_options(exchange.packets[0].message().1));
    client.connected(A, TransportId::Tcp, ms(0)).unwrap();
    let now = ms(0);
    for recorded in &exchange.packets[1..] {
        if recorded.by_client {
            let (envelope, message) = recorded.message();
            act_as_client(&mut client, now, &envelope, message);
            while client.poll_transmit(ms(0)).is_some() {}
        } else {
            let _ = client.handle_packet(A, &recorded.packet(), ms(0));
        }
    }
    let mut ended = Vec::new();
    for event in client_events(&mut client) {
        if let ClientEvent::FrameDone { key, outcome, .. } = event {
            ended.push((key.frame_id, outcome));
        }
    }
    ended
}

#[test]
fn recorded_answers_end_the_frames_of_our_client() {
    use FrameOutcome::{Cancelled, Complete, Degraded, Dropped, Error, Stale};
    assert_eq!(outcomes("submit_result_smoke"), [(303, Complete)]);
    assert_eq!(
        outcomes("submit_result_typed_and_mixed"),
        [(304, Complete), (305, Complete)]
    );
    assert_eq!(
        outcomes(BEYOND_WINDOW),
        [(202, Complete), (203, Dropped), (201, Complete)]
    );
    assert_eq!(outcomes("result_drop"), [(401, Dropped)]);
    assert_eq!(outcomes("frame_cancel"), [(501, Cancelled)]);
    assert_eq!(
        outcomes("result_hint_degraded_stale"),
        [(601, Degraded), (602, Stale)]
    );
    assert_eq!(
        outcomes("cache_put_reference_invalidate_miss"),
        [(701, Complete), (702, Error)]
    );
    assert_eq!(outcomes("error_frame_then_session"), [(801, Error)]);
    assert_eq!(outcomes("replay_export_submit_result"), [(7, Stale)]);
    // The result of frame 4 belongs to no frame.
    let ended = outcomes(WITHOUT_VIEW);
    assert_eq!(ended, [1, 2, 3, 5].map(|frame| (frame, Complete)));
}

#[test]
fn a_recorded_refusal_fails_our_client() {
    let exchange = named("hello_rejected_error", TransportId::Tcp);
    let mut client = ClientSession::new(client_options(exchange.packets[0].message().1));
    client.connected(A, TransportId::Tcp, ms(0)).unwrap();
    client
        .handle_packet(A, &exchange.packets[1].packet(), ms(0))
        .unwrap();
    assert_eq!(
        client.failure().unwrap().to_string(),
        "the other side reports: AUTH_FAILED: auth failed"
    );
}

fn server_options() -> ServerOptions {
    ServerOptions {
        capabilities: ServerCapabilities {
            cache: CacheLimits {
                object_bytes_max: 16,
                ..CacheLimits::default()
            },
            ..ServerCapabilities::default()
        },
        rules: Rules::COMPATIBLE,
        // As the recorded policy has it.
        answers_unknown_cancels: true,
        close_reason: "bye".into(),
        migration_grace: ms(50),
        // The recorded results apply what their submits did not ask for, and say no end.
        checks_policy: false,
        marks_end: false,
        ..ServerOptions::default()
    }
}

/// Our server, with the answer to the hello that was recorded.
fn accept(
    exchange: &Exchange,
    path: PathId,
    changes_answer: impl Fn(&mut Message),
) -> ServerSession {
    let mut options = server_options();
    // Only where objects were put were references looked up.
    options.resolves_references = exchange.name.starts_with("cache");
    let mut connection = ServerConnection::new(options, path, exchange.transport, ms(0));
    connection
        .handle_packet(&exchange.packets[0].packet(), ms(0))
        .unwrap();
    assert!(
        matches!(connection.poll_event(), Some(ConnectionEvent::Hello(_))),
        "{}",
        exchange.name
    );
    let mut answer = exchange.packets[1].message().1;
    changes_answer(&mut answer);
    let Message::ServerHelloAck(ack) = answer else {
        panic!("{answer:?}")
    };
    connection.accept(ack, ms(0)).unwrap()
}

/// What the recorded server did, done by ours, unless ours does it by itself. Says whether anything has to be sent.
fn act_as_server(server: &mut ServerSession, envelope: &Envelope, message: Message) -> bool {
    let now = ms(0);
    let key = FrameKey::from(envelope);
    match message {
        Message::ResultPush(result) => {
            let is_partial = result.metadata.result_class == ResultClass::Partial;
            // The reference leaves the view of its result open.
            let key = (0..3)
                .map(|view_id| FrameKey { view_id, ..key })
                .find(|key| server.frame_state(*key).is_some());
            server
                .push_result(key.unwrap(), result, !is_partial, now)
                .unwrap();
        }
        // A cancellation has been answered.
        Message::ResultDrop if server.frame_state(key).is_some() => {
            server.drop_frame(key, now).unwrap()
        }
        Message::Error(report) if report.metadata.is_fatal != 0 => {
            let code = report.metadata.known_code().unwrap();
            let diagnostic = std::str::from_utf8(&report.diagnostic).unwrap();
            let retry_after_ms = report.metadata.retry_after_ms;
            server
                .fail_session(
                    Report {
                        code,
                        retry_after_ms,
                        diagnostic,
                    },
                    now,
                )
                .unwrap();
        }
        Message::Error(report) if server.frame_state(key).is_some() => {
            let diagnostic = std::str::from_utf8(&report.diagnostic).unwrap();
            server
                .fail_frame(key, report.metadata.known_code().unwrap(), diagnostic, now)
                .unwrap();
        }
        Message::FlowUpdate(update) => server.flow_update(update).unwrap(),
        // Ours has answered a cancellation by then.
        Message::ResultHint(_) if server.frame_state(key).is_none() => return false,
        Message::ResultHint(hint) => server.hint(key, hint).unwrap(),
        // Ours come by themselves, when it is time.
        Message::Ping => return false,
        _ => {}
    }
    true
}

#[test]
fn our_server_says_what_the_recorded_server_said() {
    let mut comparison = Comparison::default();
    for exchange in &conversations() {
        let name = &exchange.name;
        let has_cache = name.starts_with("cache");
        let mut server = accept(exchange, A, |answer| {
            if let (Message::ServerHelloAck(ack), true) = (answer, has_cache) {
                ack.metadata.cache_object_bitmap = 7;
            }
        });
        for (place, recorded) in exchange.packets.iter().enumerate().skip(1) {
            if recorded.by_client {
                server.handle_packet(A, &recorded.packet(), ms(0)).unwrap();
                continue;
            }
            let (envelope, message) = recorded.message();
            if place > 1 && !act_as_server(&mut server, &envelope, message) {
                continue;
            }
            let sent = server.poll_transmit(ms(0)).expect(name);
            comparison.compare(name, &sent, recorded);
        }
        assert!(server.poll_transmit(ms(0)).is_none(), "{name}");
        assert_eq!(server.counters().undecodable, 0, "{name}");
    }
    let smoke = "SERVER_HELLO_ACK";
    comparison.expect(
        59,
        &[
            // The smoke server leaves session and flags of this header open.
            ("hello_ack_with_transport_extension", smoke, Differs::Header),
            ("hello_only_smoke_server", smoke, Differs::Header),
            ("submit_result_smoke", smoke, Differs::Header),
            ("submit_result_smoke_defaults", smoke, Differs::Header),
            // Ids of the submit, which the recorded server did not copy, or other flags.
            (
                "submit_tile_modes_and_reference_mode",
                "RESULT_PUSH",
                Differs::Header,
            ),
            (
                "replay_export_submit_result",
                "RESULT_PUSH",
                Differs::Header,
            ),
            (BEYOND_WINDOW, "RESULT_PUSH", Differs::Header),
            ("result_drop", "RESULT_DROP", Differs::Header),
            ("flow_update", "FLOW_UPDATE", Differs::Header),
            ("control_traffic", "FLOW_UPDATE", Differs::Header),
            // The caller's own words, or none; and a cache that says the same limit each time.
            (
                "cache_put_reference_invalidate_miss",
                smoke,
                Differs::Content,
            ),
            (
                "cache_put_reference_invalidate_miss",
                "CACHE_ACK",
                Differs::Content,
            ),
            (
                "cache_put_reference_invalidate_miss",
                "ERROR",
                Differs::Content,
            ),
            ("error_frame_then_session", "CLOSE", Differs::Content),
            // Other reasons for the same decision.
            ("session_patch", "SESSION_PATCH_ACK", Differs::Content),
        ],
    );
}

#[test]
fn recorded_patches_and_puts_are_decided_as_they_were() {
    for name in ["session_patch", "cache_put_reference_invalidate_miss"] {
        let exchange = named(name, TransportId::Tcp);
        let mut server = accept(&exchange, A, |answer| {
            if let Message::ServerHelloAck(ack) = answer {
                ack.metadata.cache_object_bitmap = 7;
            }
        });
        server.poll_transmit(ms(0));
        let mut decided = 0;
        for recorded in &exchange.packets[2..] {
            if recorded.by_client {
                server.handle_packet(A, &recorded.packet(), ms(0)).unwrap();
                continue;
            }
            let (envelope, message) = recorded.message();
            act_as_server(&mut server, &envelope, message.clone());
            let sent = server.poll_transmit(ms(0)).unwrap().message;
            match (sent, message) {
                (Message::SessionPatchAck(ours), Message::SessionPatchAck(theirs)) => {
                    let decision = |ack: nnrp_wire::SessionPatchAck| {
                        let ack = ack.metadata;
                        (
                            ack.ack_status,
                            ack.applied_patch_mask,
                            ack.rejected_patch_mask,
                            ack.effective_quality_tier,
                        )
                    };
                    assert_eq!(decision(ours), decision(theirs));
                }
                (Message::CacheAck(ours), Message::CacheAck(theirs)) => {
                    let max_object_bytes = ours.max_object_bytes;
                    assert_eq!(
                        ours,
                        nnrp_wire::metadata::CacheAckMetadata {
                            max_object_bytes,
                            ..theirs
                        }
                    );
                }
                (Message::Error(ours), Message::Error(theirs)) => {
                    assert_eq!(ours.metadata.error_code, theirs.metadata.error_code);
                    continue;
                }
                _ => continue,
            }
            decided += 1;
        }
        assert_eq!(decided, 3, "{name}");
    }
}

#[test]
fn a_recorded_refusal_is_what_our_server_says() {
    let exchange = named("hello_rejected_error", TransportId::Tcp);
    let mut connection = ServerConnection::new(server_options(), A, TransportId::Tcp, ms(0));
    connection
        .handle_packet(&exchange.packets[0].packet(), ms(0))
        .unwrap();
    connection.refuse(Report {
        code: nnrp_wire::ErrorCode::AuthFailed,
        retry_after_ms: 0,
        diagnostic: "auth failed",
    });
    let mut comparison = Comparison::default();
    comparison.compare(
        &exchange.name,
        &connection.poll_transmit().unwrap(),
        &exchange.packets[1],
    );
    comparison.expect(1, &[]);
}

#[test]
fn recorded_probes_are_made_and_answered() {
    let is_probe = |exchange: &Exchange| {
        exchange
            .packets
            .first()
            .is_some_and(|first| first.bytes[6] == 0x19)
    };
    let probes: Vec<_> = exchanges().into_iter().filter(is_probe).collect();
    assert_eq!(probes.len(), 3 + 3 + 2);
    for exchange in probes {
        let (_, Message::TransportProbe(asked)) = exchange.packets[0].message() else {
            panic!()
        };
        let (_, Message::TransportProbeAck(answered)) = exchange.packets[1].message() else {
            panic!()
        };
        let sent_at = Duration::from_micros(asked.metadata.client_send_ts_us);
        let bytes = asked.metadata.probe_payload_bytes;
        let (probe, ours) = Probe::begin(asked.metadata.probe_id, bytes, sent_at);
        assert_eq!(ours, Message::TransportProbe(asked));
        assert!(probe.finish(&answered, sent_at + ms(1)).is_some());
        let mut connection = ServerConnection::new(server_options(), A, exchange.transport, ms(0));
        let at = Duration::from_micros(answered.server_recv_ts_us);
        connection
            .handle_packet(&exchange.packets[0].packet(), at)
            .unwrap();
        let mut comparison = Comparison::default();
        comparison.compare(
            &exchange.name,
            &connection.poll_transmit().unwrap(),
            &exchange.packets[1],
        );
        comparison.expect(1, &[]);
    }
}

#[test]
fn the_recorded_migration_moves_our_client() {
    let origin = named("migrate_quic_to_tcp_origin_leg", TransportId::Quic);
    let target = named("migrate_quic_to_tcp", TransportId::Tcp);
    let mut client = ClientSession::new(client_options(origin.packets[0].message().1));
    client.connected(A, TransportId::Quic, ms(0)).unwrap();
    let mut comparison = Comparison::default();
    let now = ms(0);
    for (place, recorded) in origin.packets.iter().enumerate() {
        if recorded.by_client {
            let (envelope, message) = recorded.message();
            assert!(place == 0 || act_as_client(&mut client, now, &envelope, message));
            comparison.compare("origin", &client.poll_transmit(ms(0)).unwrap(), recorded);
        } else {
            client.handle_packet(A, &recorded.packet(), ms(0)).unwrap();
        }
    }
    let (_, Message::SessionMigrate(migrate)) = target.packets[0].message() else {
        panic!()
    };
    let now = Duration::from_micros(migrate.metadata.client_migrate_ts_us);
    client
        .migrate(B, TransportId::Tcp, migrate.body, now)
        .unwrap();
    comparison.compare(
        "target",
        &client.poll_transmit(now).unwrap(),
        &target.packets[0],
    );
    client
        .handle_packet(B, &target.packets[1].packet(), now)
        .unwrap();
    assert_eq!(
        (client.primary_path(), client.state()),
        (Some(B), ClientState::Active)
    );
    let (envelope, message) = target.packets[2].message();
    act_as_client(&mut client, now, &envelope, message);
    comparison.compare(
        "target",
        &client.poll_transmit(now).unwrap(),
        &target.packets[2],
    );
    client
        .handle_packet(B, &target.packets[3].packet(), now)
        .unwrap();
    assert_eq!(client.frames().done_as(FrameOutcome::Complete), 2);
    // Route and trace of the recorded request are not the session's.
    comparison.expect(3, &[("target", "SESSION_MIGRATE", Differs::Header)]);
}

#[test]
fn the_recorded_migration_moves_our_server() {
    let origin = named("migrate_quic_to_tcp_origin_leg", TransportId::Quic);
    let target = named("migrate_quic_to_tcp", TransportId::Tcp);
    let mut server = accept(&origin, A, |_| {});
    server.poll_transmit(ms(0));
    server
        .handle_packet(A, &origin.packets[2].packet(), ms(0))
        .unwrap();
    let (envelope, result) = origin.packets[3].message();
    act_as_server(&mut server, &envelope, result);
    server.poll_transmit(ms(0));
    let (_, Message::SessionMigrateAck(ack)) = target.packets[1].message() else {
        panic!()
    };
    let now = Duration::from_micros(ack.metadata.server_migrate_ts_us);
    let mut connection = ServerConnection::new(server_options(), B, TransportId::Tcp, now);
    connection
        .handle_packet(&target.packets[0].packet(), now)
        .unwrap();
    let Some(ConnectionEvent::Migrate(offer)) = connection.poll_event() else {
        panic!()
    };
    server.adopt(&mut connection, &offer, true, now).unwrap();
    let mut comparison = Comparison::default();
    comparison.compare(
        "target",
        &server.poll_transmit(now).unwrap(),
        &target.packets[1],
    );
    server
        .handle_packet(B, &target.packets[2].packet(), now)
        .unwrap();
    let (envelope, result) = target.packets[3].message();
    act_as_server(&mut server, &envelope, result);
    comparison.compare(
        "target",
        &server.poll_transmit(now).unwrap(),
        &target.packets[3],
    );
    comparison.expect(2, &[]);
    // Of a session that is not there.
    let rejected = named("migrate_rejected", TransportId::Tcp);
    let mut connection = ServerConnection::new(server_options(), B, TransportId::Tcp, now);
    connection
        .handle_packet(&rejected.packets[0].packet(), now)
        .unwrap();
    let Some(ConnectionEvent::Migrate(offer)) = connection.poll_event() else {
        panic!()
    };
    let refusal = server
        .adopt(&mut connection, &offer, true, now)
        .unwrap_err();
    let (_, Message::SessionMigrateAck(ack)) = rejected.packets[1].message() else {
        panic!()
    };
    let then = Duration::from_micros(ack.metadata.server_migrate_ts_us);
    connection.refuse_migration(94, refusal, then);
    let mut comparison = Comparison::default();
    comparison.compare(
        "rejected",
        &connection.poll_transmit().unwrap(),
        &rejected.packets[1],
    );
    comparison.expect(1, &[]);
}

#[test]
fn recorded_garbage_ends_our_server_with_a_word() {
    // spec: nnrp-session 10 Q-05
    let exchange = named("malformed_header", TransportId::Tcp);
    let mut server = accept(&exchange, A, |_| {});
    server.poll_transmit(ms(0));
    let mut splitter = Splitter::new(SplitLimits::session(0));
    let error = splitter
        .split(&mut exchange.packets[2].bytes.clone())
        .unwrap_err();
    assert_eq!(error.category, Category::BadMagic);
    server
        .handle_path_end(A, PathEnd::Framing(error), ms(0))
        .unwrap();
    assert_eq!(server.state(), ServerState::Failed);
    let types: Vec<_> = std::iter::from_fn(|| server.poll_transmit(ms(0)))
        .map(|sent| sent.message.message_type())
        .collect();
    assert_eq!(types, [MessageType::Error, MessageType::Close]);
    let exchange = named("truncated_frame_then_eof", TransportId::Tcp);
    let mut splitter = Splitter::new(SplitLimits::BEFORE_HELLO);
    assert_eq!(
        splitter.split(&mut exchange.packets[0].bytes.clone()),
        Ok(None)
    );
    let error = splitter.end().unwrap_err();
    assert_eq!(
        (error.category, error.found),
        (Category::PacketTruncated, Some(70))
    );
    let mut connection = ServerConnection::new(server_options(), A, TransportId::Tcp, ms(0));
    connection.handle_path_end(PathEnd::Framing(error));
    assert!(matches!(
        connection.poll_event(),
        Some(ConnectionEvent::Ended(_))
    ));
}
