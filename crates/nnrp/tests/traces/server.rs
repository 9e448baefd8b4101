//! Our server with the recorded client.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use nnrp::server::{
    DropReason, HelloHook, Refusal, Refused, ServerOptions, Session, SessionEnd, Submitted,
};
use nnrp_wire::session::{
    CacheLimits, LivenessOptions, Report, ServerCapabilities, ServerOptions as WireOptions,
};
use nnrp_wire::{
    Envelope, ErrorCode, ErrorReport, Message, MessageType, ResultClass, ResultPush, ServerHelloAck,
};
use nodewire_testkit::{NnrpTraceEvent, NnrpTransport, nnrp_traces};
use tokio::task::JoinSet;

use crate::compare::Comparison;
use crate::ours::OurServer;
use crate::raw::{RawConnection, soon, until};
use crate::recorded::{Exchange, conversations, exchanges, named};

/// How the recorded server behaved, as far as that is a choice.
pub(super) fn wire_options() -> WireOptions {
    WireOptions {
        capabilities: ServerCapabilities {
            cache: CacheLimits {
                object_bytes_max: 16,
                ..CacheLimits::default()
            },
            ..ServerCapabilities::default()
        },
        // As the recorded policy has it.
        answers_unknown_cancels: true,
        close_reason: "bye".into(),
        // The recorded results apply what their submits did not ask for, and say no end.
        checks_policy: false,
        marks_end: false,
        enforces_budget: false,
        // A machine that is slow must not change what is sent.
        liveness: LivenessOptions {
            keep_alive: None,
            ..LivenessOptions::default()
        },
        migration_grace: Duration::from_millis(50),
        ..WireOptions::default()
    }
}

/// Gives the answer to a hello that was recorded.
pub(super) fn answering(ack: ServerHelloAck) -> HelloHook {
    HelloHook::new(move |hello| {
        let mut acceptance = hello.accept();
        acceptance.session_id = Some(ack.metadata.session_id);
        acceptance.ack = ack.metadata;
        acceptance.extensions.clone_from(&ack.extensions);
        acceptance.model = String::from_utf8(ack.payload.to_vec()).unwrap();
        std::future::ready(Ok(acceptance))
    })
}

pub(super) fn options(exchange: &Exchange) -> ServerOptions {
    let has_cache = exchange.name.starts_with("cache");
    let mut session = wire_options();
    // Only where objects were put were references looked up.
    session.resolves_references = has_cache;
    let (_, answer) = exchange.writes[1].message();
    let Message::ServerHelloAck(mut ack) = answer else {
        panic!("{answer:?}");
    };
    if has_cache {
        ack.metadata.cache_object_bitmap = 7;
    }
    ServerOptions {
        session,
        on_hello: answering(ack),
        drops_early: false,
        explains_drops: false,
        ..ServerOptions::default()
    }
}

/// The application behind our server: it does what the recorded one did.
pub(super) struct Application {
    pub(super) session: Session,
    frames: HashMap<u32, Submitted>,
    cancelled: HashSet<u32>,
}

impl Application {
    pub(super) fn new(session: Session) -> Self {
        Self {
            session,
            frames: HashMap::new(),
            cancelled: HashSet::new(),
        }
    }

    pub(super) async fn frame(&mut self, frame_id: u32) -> Submitted {
        while !self.frames.contains_key(&frame_id) {
            self.take_frame().await;
        }
        self.frames.remove(&frame_id).unwrap()
    }

    async fn take_frame(&mut self) {
        let frame = soon("a submit", self.session.next_submit()).await.unwrap();
        self.frames.insert(frame.key.frame_id, frame);
    }

    /// Says whether a packet comes of it, or of what has come.
    async fn act(&mut self, envelope: &Envelope, message: Message) -> bool {
        let frame_id = envelope.frame_id;
        match message {
            Message::ResultPush(result) => self.answer(frame_id, result).await,
            // Ours has answered a cancellation by then.
            Message::ResultDrop if !self.cancelled.contains(&frame_id) => {
                let frame = self.frame(frame_id).await;
                assert!(frame.answer.drop_frame(DropReason::Other));
            }
            Message::ResultHint(_) if self.cancelled.contains(&frame_id) => return false,
            Message::ResultHint(hint) => {
                let frame = self.frame(frame_id).await;
                frame.answer.hint(hint).unwrap();
                self.frames.insert(frame_id, frame);
            }
            Message::Error(report) => self.report(frame_id, &report).await,
            Message::FlowUpdate(update) => self.session.flow_update(update).await.unwrap(),
            // Ours come by themselves, when it is time.
            Message::Ping => return false,
            // And so do all answers.
            _ => {}
        }
        true
    }

    async fn answer(&mut self, frame_id: u32, result: ResultPush) {
        let frame = self.frame(frame_id).await;
        if result.metadata.result_class == ResultClass::Partial {
            frame.answer.partial(result).await.unwrap();
            self.frames.insert(frame_id, frame);
        } else {
            frame.answer.complete(result).unwrap();
        }
    }

    async fn report(&mut self, frame_id: u32, report: &ErrorReport) {
        let code = report.metadata.known_code().unwrap();
        let diagnostic = std::str::from_utf8(&report.diagnostic).unwrap();
        if report.metadata.is_fatal != 0 {
            let retry_after_ms = report.metadata.retry_after_ms;
            assert!(self.session.fail(Report {
                code,
                retry_after_ms,
                diagnostic,
            }));
        } else if !matches!(code, ErrorCode::CacheMiss | ErrorCode::FrameExpired) {
            // Those two come by themselves.
            let frame = self.frame(frame_id).await;
            assert!(frame.answer.fail(code, diagnostic));
        }
    }
}

/// Plays the client's part of a conversation, which has begun.
pub(super) async fn play(
    exchange: &Exchange,
    raw: &mut RawConnection,
    application: &mut Application,
    comparison: &mut Comparison,
) {
    for write in &exchange.writes[2..] {
        let (envelope, message) = write.message();
        if !write.by_client {
            if application.act(&envelope, message).await {
                let sent = raw.packet().await.expect(&exchange.name);
                comparison.compare(&exchange.name, &sent, &write.bytes);
            }
            continue;
        }
        raw.send(&write.bytes).await;
        match message {
            // Over QUIC, a cancellation would overtake it now and then.
            Message::FrameSubmit(_) if exchange.transport == NnrpTransport::Quic => {
                application.take_frame().await;
            }
            Message::FrameCancel => drop(application.cancelled.insert(envelope.frame_id)),
            _ => {}
        }
    }
}

/// Says hello as the recorded client did.
async fn begin(
    exchange: &Exchange,
    server: &OurServer,
    comparison: &mut Comparison,
) -> (RawConnection, Application) {
    let mut raw =
        RawConnection::connect(exchange.transport, server.port(), &server.certificate).await;
    raw.send(&exchange.writes[0].bytes).await;
    let sent = raw.packet().await.expect(&exchange.name);
    comparison.compare(&exchange.name, &sent, &exchange.writes[1].bytes);
    (raw, Application::new(server.session().await))
}

/// One conversation, to its end.
async fn converse(exchange: &Exchange) -> Comparison {
    let mut comparison = Comparison::default();
    let server = OurServer::start(options(exchange)).await;
    let (mut raw, mut application) = begin(exchange, &server, &mut comparison).await;
    play(exchange, &mut raw, &mut application, &mut comparison).await;
    raw.finish().await;
    soon("the end", application.session.ended()).await;
    let rest = raw.rest().await;
    assert!(rest.is_empty(), "{}: {rest:?}", exchange.name);
    let packets = application.session.counters().packets;
    assert_eq!(packets.undecodable, 0, "{}", exchange.name);
    comparison
}

const ACK: &str = "SERVER_HELLO_ACK";

/// Our server answers what a client asks for in extensions.
const ANSWERED: &[&str] = &[
    "body.extension_block",
    "body.extensions",
    "header.body_len",
    "metadata.control_extension_bytes",
];

/// The smoke server leaves session and flags of this header open.
const SMOKE: &[&str] = &["header.flags", "header.session_id"];

#[tokio::test]
async fn our_server_says_what_the_recorded_server_said() {
    let conversations = conversations();
    assert_eq!(conversations.len(), 28);
    let mut playing = JoinSet::new();
    for exchange in conversations {
        playing.spawn(converse(exchange));
    }
    let mut comparison = Comparison::default();
    for played in playing.join_all().await {
        comparison.add(played);
    }
    comparison.expect(
        53,
        &[
            ("hello_ack_with_transport_extension", ACK, SMOKE),
            ("hello_only_smoke_server", ACK, SMOKE),
            ("submit_result_smoke", ACK, SMOKE),
            ("submit_result_smoke_defaults", ACK, SMOKE),
            ("hello_force_tcp_auth_extensions", ACK, ANSWERED),
            ("hello_requested_model_prefer_tcp", ACK, ANSWERED),
            ("probe_then_session_tcp_selected", ACK, ANSWERED),
            // Ids of the submit, which the recorded server did not copy.
            (
                "submit_tile_modes_and_reference_mode",
                "RESULT_PUSH",
                &["header.route_id", "header.trace_id", "header.view_id"],
            ),
            (
                "replay_export_submit_result",
                "RESULT_PUSH",
                &["header.trace_id"],
            ),
            // Flags that the caller chose: EOS although no other result says it, CAN_DROP of the submit.
            ("out_of_order_results", "RESULT_PUSH", &["header.flags"]),
            ("result_drop", "RESULT_DROP", &["header.flags"]),
            // A trace id of the caller's; ours counts the epochs.
            (
                "flow_update",
                "FLOW_UPDATE",
                &["header.trace_id", "metadata.credit_epoch"],
            ),
            (
                "control_traffic",
                "FLOW_UPDATE",
                &["header.trace_id", "metadata.credit_epoch"],
            ),
            // The caller's own words, or none.
            (
                "error_frame_then_session",
                "CLOSE",
                &["body.payload", "body.shape", "header.body_len"],
            ),
            // A server that says that it keeps nothing keeps nothing, so that ours was told to say otherwise.
            (
                "cache_put_reference_invalidate_miss",
                ACK,
                &["metadata.cache_object_bitmap"],
            ),
            // Ours says its limit each time, and what is missing in other words.
            (
                "cache_put_reference_invalidate_miss",
                "CACHE_ACK",
                &["metadata.max_object_bytes"],
            ),
            (
                "cache_put_reference_invalidate_miss",
                "ERROR",
                &[
                    "body.payload",
                    "header.body_len",
                    "metadata.diagnostic_bytes",
                ],
            ),
            // The same decisions for other reasons; and ours always says the limits that hold.
            (
                "session_patch",
                "SESSION_PATCH_ACK",
                &[
                    "body.block",
                    "header.body_len",
                    "metadata.profile_patch_ack_bytes",
                    "metadata.reject_reason",
                    "metadata.retry_after_ms",
                ],
            ),
        ],
    );
}

#[tokio::test]
async fn a_recorded_refusal_is_what_our_server_says() {
    let exchange = named("hello_rejected_error", NnrpTransport::Tcp);
    let server = OurServer::start(ServerOptions {
        session: wire_options(),
        on_hello: HelloHook::new(|_| std::future::ready(Err(Refusal::auth("auth failed")))),
        ..ServerOptions::default()
    })
    .await;
    for transport in NnrpTransport::ALL {
        let mut raw = RawConnection::connect(transport, server.port(), &server.certificate).await;
        raw.send(&exchange.writes[0].bytes).await;
        let mut comparison = Comparison::default();
        let sent = raw.packet().await.unwrap();
        comparison.compare(&exchange.name, &sent, &exchange.writes[1].bytes);
        comparison.expect(1, &[]);
        raw.finish().await;
    }
}

#[tokio::test]
async fn recorded_probes_are_answered() {
    let server = OurServer::start(ServerOptions::default()).await;
    let is_probe = |exchange: &&Exchange| {
        exchange
            .writes
            .first()
            .is_some_and(|first| first.bytes[6] == 0x19)
    };
    let probes: Vec<_> = exchanges().iter().filter(is_probe).collect();
    assert_eq!(probes.len(), 3 + 3 + 2);
    for exchange in probes {
        let mut raw =
            RawConnection::connect(exchange.transport, server.port(), &server.certificate).await;
        raw.send(&exchange.writes[0].bytes).await;
        let sent = raw.packet().await.unwrap();
        let mut comparison = Comparison::default();
        comparison.compare(&exchange.name, &sent, &exchange.writes[1].bytes);
        // When it came is another time.
        comparison.expect(
            0,
            &[(
                &exchange.name,
                "TRANSPORT_PROBE_ACK",
                &["metadata.server_recv_ts_us"],
            )],
        );
        // The connection is as good as new.
        raw.send(&named("hello_only", NnrpTransport::Tcp).writes[0].bytes)
            .await;
        raw.packet_of(MessageType::ServerHelloAck).await;
        raw.finish().await;
    }
}

/// spec: nnrp-session 10 Q-05
#[tokio::test]
async fn recorded_garbage_ends_our_server_with_a_word() {
    let exchange = named("malformed_header", NnrpTransport::Tcp);
    let mut comparison = Comparison::default();
    for transport in NnrpTransport::ALL {
        let exchange = Exchange {
            transport,
            ..exchange.clone()
        };
        let server = OurServer::start(options(&exchange)).await;
        let (mut raw, application) = begin(&exchange, &server, &mut comparison).await;
        raw.send_control(&exchange.writes[2].bytes).await;
        let (_, said) = raw.message_of(MessageType::Error).await;
        let Message::Error(report) = said else {
            panic!("{said:?}");
        };
        assert_eq!(
            report.metadata.known_code(),
            Some(ErrorCode::MalformedHeader)
        );
        assert_eq!(report.metadata.is_fatal, 1);
        let rest = raw.rest().await;
        let types: Vec<_> = rest
            .iter()
            .map(|packet| packet.header().message_type)
            .collect();
        assert_eq!(types, [MessageType::Close]);
        let end = soon("the end", application.session.ended()).await;
        assert!(matches!(end, SessionEnd::Failed(_)), "{end:?}");
    }
    comparison.expect(2, &[]);
}

#[tokio::test]
async fn a_recorded_stump_gets_no_session() {
    let exchange = named("truncated_frame_then_eof", NnrpTransport::Tcp);
    let server = OurServer::start(ServerOptions::default()).await;
    for transport in NnrpTransport::ALL {
        let mut raw = RawConnection::connect(transport, server.port(), &server.certificate).await;
        raw.send_control(&exchange.writes[0].bytes).await;
        raw.finish().await;
        assert!(raw.rest().await.is_empty());
    }
    let is_counted = || server.server.totals().refused_as(Refused::Ended) == 2;
    until("both ends", is_counted).await;
    assert_eq!(server.server.session_count(), 0);
}

#[tokio::test]
async fn a_recorded_datagram_is_left_alone() {
    let traces = nnrp_traces(NnrpTransport::Quic).unwrap();
    let trace = traces
        .iter()
        .find(|trace| trace.name == "datagram")
        .unwrap();
    let NnrpTraceEvent::Datagram(bytes) = &trace.connections[0][0].event else {
        panic!("{trace:?}");
    };
    let server = OurServer::start(ServerOptions::default()).await;
    let mut raw =
        RawConnection::connect(NnrpTransport::Quic, server.port(), &server.certificate).await;
    raw.quic().send_datagram(bytes.clone().into()).unwrap();
    raw.send(&named("hello_only", NnrpTransport::Tcp).writes[0].bytes)
        .await;
    raw.packet_of(MessageType::ServerHelloAck).await;
    raw.quic().send_datagram(bytes.clone().into()).unwrap();
    raw.send_message(Envelope::session(1), Message::Ping).await;
    raw.packet_of(MessageType::Pong).await;
    raw.finish().await;
}
