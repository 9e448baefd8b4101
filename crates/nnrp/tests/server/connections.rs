//! Connections until they have a session. spec: nnrp-session 2.4, 4.8, 5.1

use std::time::Duration;

use nnrp::server::{Refused, Server, ServerOptions};
use nnrp_wire::metadata::TransportProbeMetadata;
use nnrp_wire::session::ServerCapabilities;
use nnrp_wire::{
    ControlExtension, ControlExtensionFlags, ControlExtensionType, Envelope, ErrorCode, Header,
    KnownExtension, LossTolerance, Message, MessageType, Packet, PayloadKinds, TransportId,
    TransportPolicy, TransportProbe,
};

use crate::support::{Peer, assert_refused, hello, refused, server, submit};

#[tokio::test]
async fn a_version_that_is_not_there_is_refused() {
    let (server, mut peer) = server(ServerOptions::default());
    let mut hello = hello(1);
    hello.metadata.min_version_major = 2;
    hello.metadata.max_version_major = 2;
    peer.send_hello(hello).await;
    refused(&mut peer, ErrorCode::UnsupportedVersion).await;
    assert_refused(&server, Refused::Protocol);
}

#[tokio::test]
async fn a_wire_format_that_is_not_there_is_refused() {
    let (_server, mut peer) = server(ServerOptions::default());
    let mut hello = hello(1);
    hello.metadata.supported_wire_format_bitmap = 0;
    peer.send_hello(hello).await;
    refused(&mut peer, ErrorCode::UnsupportedVersion).await;
}

#[tokio::test]
async fn a_critical_extension_that_is_not_known_is_refused() {
    let (_server, mut peer) = server(ServerOptions::default());
    let mut hello = hello(1);
    hello.extensions.push(ControlExtension {
        ext_type: 0x7777,
        flags: ControlExtensionFlags::CRITICAL,
        payload: "what".into(),
    });
    peer.send_hello(hello).await;
    refused(&mut peer, ErrorCode::UnsupportedCapability).await;
}

#[tokio::test]
async fn lengths_that_the_body_does_not_have_are_refused() {
    let (_server, mut peer) = server(ServerOptions::default());
    let mut bytes = Vec::new();
    let message = Message::ClientHello(hello(1));
    message.encode(&Envelope::default(), &mut bytes).unwrap();
    // The hello's last two fields: 9 bytes of authentication, which are not there.
    let packet = Packet::decode(bytes.into()).unwrap();
    let mut metadata = packet.metadata().to_vec();
    let at = metadata.len() - 8;
    metadata[at..at + 4].copy_from_slice(&9_u32.to_le_bytes());
    let packet = Packet::new(*packet.header(), metadata.into(), "".into()).unwrap();
    peer.send_bytes(&packet.encode()).await;
    refused(&mut peer, ErrorCode::MalformedBody).await;
}

#[tokio::test]
async fn what_is_no_hello_is_refused() {
    for first in [
        Message::FrameSubmit(submit()),
        Message::FrameCancel,
        Message::Pong,
        Message::Close("".into()),
        Message::ResultDrop,
    ] {
        let (_server, mut peer) = server(ServerOptions::default());
        peer.send(Envelope::session(1), first).await;
        refused(&mut peer, ErrorCode::InvalidState).await;
    }
}

#[tokio::test]
async fn garbage_is_refused() {
    let (server, mut peer) = server(ServerOptions::default());
    peer.send_bytes(&[0xAA; 4096]).await;
    refused(&mut peer, ErrorCode::MalformedHeader).await;
    assert_refused(&server, Refused::Protocol);
}

/// A header may announce 8 GiB: nothing of that is waited for, or kept.
#[tokio::test]
async fn an_oversized_announcement_is_refused_at_once() {
    let (_server, mut peer) = server(ServerOptions::default());
    let header = Header {
        body_len: u32::MAX,
        meta_len: u32::MAX,
        ..Header::new(MessageType::ClientHello)
    };
    peer.send_bytes(&header.encode()).await;
    refused(&mut peer, ErrorCode::MalformedHeader).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_refused_in_time_and_delays_nobody() {
    let (server, mut silent) = server(ServerOptions::default());
    let mut peer = Peer::connect(&server);
    let ack = peer.hello(5).await;
    assert_eq!(ack.metadata.session_id, 5);
    assert_eq!(server.next_session().await.unwrap().id(), 5);
    refused(&mut silent, ErrorCode::InvalidState).await;
    assert_refused(&server, Refused::Protocol);
}

/// Half a header is no more than silence.
#[tokio::test(start_paused = true)]
async fn half_a_packet_is_refused_in_time() {
    let (_server, mut peer) = server(ServerOptions::default());
    peer.send_bytes(b"NNRP").await;
    refused(&mut peer, ErrorCode::InvalidState).await;
}

#[tokio::test]
async fn probes_and_pings_are_answered_before_the_hello() {
    let (_server, mut peer) = server(ServerOptions::default());
    for probe_id in 1..4 {
        let probe = TransportProbe {
            metadata: TransportProbeMetadata {
                probe_id,
                probe_payload_bytes: 32_768,
                client_send_ts_us: 0,
            },
            payload: vec![0x50; 32_768].into(),
        };
        let message = Message::TransportProbe(probe);
        peer.send(Envelope::default(), message).await;
        let (_, message) = peer.next().await;
        let Message::TransportProbeAck(ack) = message else {
            panic!("{message:?}");
        };
        assert_eq!(ack.probe_id, probe_id);
    }
    peer.send(Envelope::default(), Message::Ping).await;
    assert_eq!(peer.next().await.1, Message::Pong);
    peer.hello(1).await;
}

#[tokio::test]
async fn ids_are_those_asked_for_unless_taken() {
    let (server, mut first) = server(ServerOptions::default());
    assert_eq!(first.hello(9).await.metadata.session_id, 9);
    let mut second = Peer::connect(&server);
    let id = second.hello(9).await.metadata.session_id;
    assert!(id != 9 && id != 0);
    let mut any = Peer::connect(&server);
    let other = any.hello(0).await.metadata.session_id;
    assert!(other != id && other != 9 && other != 0);
    assert_eq!(server.session_count(), 3);
}

#[tokio::test]
async fn what_the_client_asks_in_extensions_is_answered() {
    let (server, mut peer) = server(ServerOptions::default());
    let mut hello = hello(1);
    hello.extensions = vec![
        ControlExtension::client_transport_policy(TransportPolicy::PreferTcp, TransportId::Tcp),
        ControlExtension::client_loss_tolerance(LossTolerance::LowLatency),
        ControlExtension::client_payload_capabilities(
            PayloadKinds::TENSOR | PayloadKinds::TOKEN_CHUNK,
        )
        .unwrap(),
    ];
    peer.send_hello(hello).await;
    let (_, message) = peer.next().await;
    let Message::ServerHelloAck(ack) = message else {
        panic!("{message:?}");
    };
    let answer = |ext_type: ControlExtensionType| {
        let mut extensions = ack.extensions.iter();
        let found = extensions.find(|extension| extension.ext_type == ext_type.number());
        found.unwrap().known().unwrap().unwrap()
    };
    let transport = answer(ControlExtensionType::ServerTransportPolicy);
    let KnownExtension::ServerTransportPolicy(policy) = transport else {
        panic!("{transport:?}");
    };
    assert_eq!(policy.active_transport_id, TransportId::Tcp);
    assert_eq!(policy.accepted_transport_policy, TransportPolicy::PreferTcp);
    assert_eq!(
        answer(ControlExtensionType::ServerLossTolerance),
        KnownExtension::LossTolerance(LossTolerance::LowLatency)
    );
    let kinds = answer(ControlExtensionType::ServerPayloadCapabilities);
    let KnownExtension::PayloadCapabilities(kinds) = kinds else {
        panic!("{kinds:?}");
    };
    let expected = PayloadKinds::TENSOR | PayloadKinds::TOKEN_CHUNK;
    assert_eq!(kinds.payload_kind_bitmap, expected);
    assert_eq!(server.session_count(), 1);
}

/// A client of the reference gets one extension that it does not look at: the token.
#[tokio::test]
async fn what_the_client_does_not_ask_is_not_answered() {
    let (_server, mut peer) = server(ServerOptions::default());
    let ack = peer.hello(1).await;
    let is_known = |extension: &ControlExtension| {
        ControlExtensionType::from_number(extension.ext_type).is_some()
    };
    assert_eq!(ack.extensions.len(), 1);
    assert!(!ack.extensions.iter().any(is_known));
    assert!(ack.extensions[0].flags.is_empty());
}

#[tokio::test]
async fn too_many_sessions_are_refused_and_come_back_later() {
    let options = ServerOptions {
        sessions_max: 1,
        busy_retry: Duration::from_millis(700),
        ..ServerOptions::default()
    };
    let (server, mut first) = server(options);
    first.hello(1).await;
    let mut second = Peer::connect(&server);
    second.send_hello(hello(2)).await;
    let told = second.error().await;
    assert_eq!(told.code, ErrorCode::ServerBusy);
    assert_eq!(told.retry_after_ms, 700);
    assert_eq!(second.rest().await, []);
    assert_refused(&server, Refused::SessionsFull);

    first.finish().await;
    while server.session_count() > 0 {
        tokio::task::yield_now().await;
    }
    // Its place is free as soon as it has left the table, or right after that.
    loop {
        let mut third = Peer::connect(&server);
        third.send_hello(hello(3)).await;
        if matches!(third.next().await.1, Message::ServerHelloAck(_)) {
            break;
        }
    }
}

fn two_at_once() -> ServerOptions {
    ServerOptions {
        handshakes_max: 2,
        ..ServerOptions::default()
    }
}

/// Whoever has sent nothing gives way, the oldest first: silence keeps nobody out.
#[tokio::test(start_paused = true)]
async fn silent_connections_give_way_to_others() {
    let (server, mut oldest) = server(two_at_once());
    let mut half = Peer::connect(&server);
    half.send_bytes(b"NNRP").await;
    for session_id in 1..=2 {
        let mut other = Peer::connect(&server);
        other.hello(session_id).await;
    }
    refused(&mut oldest, ErrorCode::ServerBusy).await;
    assert_refused(&server, Refused::Displaced);
    let _silent = Peer::connect(&server);
    let mut another = Peer::connect(&server);
    another.hello(3).await;
    refused(&mut half, ErrorCode::ServerBusy).await;
    assert_eq!(server.totals().refused_as(Refused::Displaced), 2);
}

/// Much more than may be told so: it ends all the same, and others are served meanwhile.
#[tokio::test(start_paused = true)]
async fn a_flood_of_silent_connections_keeps_nobody_out() {
    let server = Server::new(two_at_once());
    let mut silent: Vec<_> = (0..1000).map(|_| Peer::connect(&server)).collect();
    let mut peer = Peer::connect(&server);
    peer.hello(1).await;
    for peer in &mut silent {
        let _told = peer.rest().await;
    }
    let totals = server.totals();
    let displaced = totals.refused_as(Refused::Displaced);
    // One of them had its time.
    assert_eq!((displaced, totals.refused_as(Refused::Protocol)), (999, 1));
}

/// A connection that has sent a packet stays as long as there is a silent one, however old it is.
#[tokio::test(start_paused = true)]
async fn silent_connections_give_way_before_others() {
    let (server, mut first) = server(two_at_once());
    first.send(Envelope::default(), Message::Ping).await;
    assert_eq!(first.next().await.1, Message::Pong);
    let mut silent = Peer::connect(&server);
    let mut third = Peer::connect(&server);
    refused(&mut silent, ErrorCode::ServerBusy).await;
    third.send(Envelope::default(), Message::Ping).await;
    assert_eq!(third.next().await.1, Message::Pong);
    // Nobody is silent: it is the oldest's turn.
    let mut fourth = Peer::connect(&server);
    fourth.hello(4).await;
    refused(&mut first, ErrorCode::ServerBusy).await;
    third.hello(3).await;
    assert_eq!(server.totals().refused(), [(Refused::Displaced, 2)]);
}

/// Connections that have said hello do not give way.
#[tokio::test(start_paused = true)]
async fn too_many_hellos_at_once_are_refused() {
    let options = ServerOptions {
        on_hello: nnrp::server::HelloHook::new(|_| std::future::pending()),
        ..two_at_once()
    };
    let (server, mut first) = server(options);
    let mut second = Peer::connect(&server);
    for peer in [&mut first, &mut second] {
        peer.send_hello(hello(0)).await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let mut third = Peer::connect(&server);
    refused(&mut third, ErrorCode::ServerBusy).await;
    assert_refused(&server, Refused::Busy);
    // They have had their time.
    refused(&mut first, ErrorCode::InvalidState).await;
    refused(&mut second, ErrorCode::InvalidState).await;
}

#[tokio::test]
async fn a_client_that_knows_its_session_may_submit_at_once() {
    let (server, mut peer) = server(ServerOptions::default());
    peer.send_hello(hello(1)).await;
    peer.submit(1, 7, submit()).await;
    let session = server.next_session().await.unwrap();
    let frame = session.next_submit().await.unwrap();
    assert_eq!(frame.key.frame_id, 7);
    let _ = frame.answer.drop_frame(nnrp::server::DropReason::Other);
    peer.wait_for(|message| matches!(message, Message::ServerHelloAck(_)))
        .await;
    peer.wait_for(|message| matches!(message, Message::ResultDrop))
        .await;
}

#[tokio::test]
async fn only_what_both_sides_can_holds() {
    let mut options = ServerOptions::default();
    options.session.capabilities = ServerCapabilities {
        dtype_bitmap: 0b110,
        cache: nnrp_wire::session::CacheLimits::NONE,
        ..ServerCapabilities::default()
    };
    let (_server, mut peer) = server(options);
    let ack = peer.hello(1).await.metadata;
    assert_eq!(ack.accepted_dtype_bitmap, 0b110);
    assert_eq!((ack.max_cache_bytes, ack.cache_object_bitmap), (0, 0));
    // the reference announces tensors and sends others.
    let kinds = PayloadKinds::all().bits();
    assert_eq!(ack.accepted_payload_kind_bitmap, kinds);
}

/// A thousand sessions that do nothing: each is there, and all end.
#[tokio::test]
async fn a_thousand_idle_sessions() {
    let options = ServerOptions {
        handshakes_max: 1000,
        ..ServerOptions::default()
    };
    let server = Server::new(options);
    let mut peers: Vec<_> = (0..1000).map(|_| Peer::connect(&server)).collect();
    for peer in &mut peers {
        peer.hello(0).await;
    }
    assert_eq!(server.session_count(), 1000);
    let mut sessions = Vec::new();
    for _ in 0..1000 {
        sessions.push(server.next_session().await.unwrap());
    }
    let mut ids: Vec<_> = sessions.iter().map(nnrp::server::Session::id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1000);
    for peer in &mut peers {
        peer.finish().await;
    }
    for session in &sessions {
        session.ended().await;
    }
    while server.session_count() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.totals().ended, 1000);
}
