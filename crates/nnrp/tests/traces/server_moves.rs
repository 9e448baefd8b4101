//! Our server, whose session the recorded client moves. spec: nnrp-session 4.6

use bytes::Bytes;
use nnrp::server::{DropReason, ServerOptions};
use nnrp_wire::{Envelope, Message, MessageType, Packet};
use nodewire_testkit::NnrpTransport;

use crate::compare::{Comparison, TOKEN_EXTENSION};
use crate::ours::OurServer;
use crate::raw::{RawConnection, message, soon};
use crate::recorded::{Write, named};
use crate::server::{Application, answering, options, play, wire_options};

/// What the answer to a hello says of how to move the session.
fn token(ack: &Packet) -> Bytes {
    let (_, Message::ServerHelloAck(ack)) = message(ack) else {
        panic!("{ack:?}");
    };
    let mut extensions = ack.extensions.iter();
    let token = extensions.find(|extension| extension.ext_type == TOKEN_EXTENSION);
    token.unwrap().payload.clone()
}

/// The recorded request, with another body.
fn migrate_with(recorded: &Write, body: Bytes) -> Vec<u8> {
    let (envelope, Message::SessionMigrate(mut migrate)) = recorded.message() else {
        panic!("{recorded:?}");
    };
    migrate.body = body;
    let mut bytes = Vec::new();
    Message::SessionMigrate(migrate)
        .encode(&envelope, &mut bytes)
        .unwrap();
    bytes
}

fn accept_code(packet: &Packet) -> u32 {
    let (_, Message::SessionMigrateAck(ack)) = message(packet) else {
        panic!("{packet:?}");
    };
    ack.metadata.accept_code
}

#[tokio::test]
async fn the_recorded_migration_moves_our_server() {
    let origin = named("migrate_quic_to_tcp_origin_leg", NnrpTransport::Quic);
    let target = named("migrate_quic_to_tcp", NnrpTransport::Tcp);
    let mut comparison = Comparison::default();
    let server = OurServer::start(options(origin)).await;
    let mut old =
        RawConnection::connect(NnrpTransport::Quic, server.port(), &server.certificate).await;
    old.send(&origin.writes[0].bytes).await;
    let ack = old.packet().await.unwrap();
    let mut application = Application::new(server.session().await);
    play(origin, &mut old, &mut application, &mut comparison).await;
    // The recorded proof is none that our server knows.
    let connect = || RawConnection::connect(NnrpTransport::Tcp, server.port(), &server.certificate);
    let mut refused = connect().await;
    refused.send(&target.writes[0].bytes).await;
    assert_eq!(accept_code(&refused.packet().await.unwrap()), 2);
    assert!(refused.rest().await.is_empty());
    // With the token, it goes as it was recorded.
    let mut new = connect().await;
    new.send(&migrate_with(&target.writes[0], token(&ack)))
        .await;
    let sent = new.packet().await.unwrap();
    comparison.compare(&target.name, &sent, &target.writes[1].bytes);
    play(target, &mut new, &mut application, &mut comparison).await;
    comparison.expect(
        2,
        &[(
            &target.name,
            "SESSION_MIGRATE_ACK",
            // The recorded server counted from another moment.
            &["metadata.server_migrate_ts_us"],
        )],
    );
    // Our server closes the old connection when its grace is over.
    assert!(old.rest().await.is_empty());
    new.finish().await;
    soon("the end", application.session.ended()).await;
}

#[tokio::test]
async fn the_recorded_migration_to_quic_moves_our_server() {
    let target = named("migrate_tcp_to_quic_target_leg", NnrpTransport::Quic);
    // Of the other leg nothing was recorded.
    let hello = named("hello_only", NnrpTransport::Tcp);
    let (_, Message::ServerHelloAck(mut ack)) = hello.writes[1].message() else {
        panic!("{hello:?}");
    };
    ack.metadata.session_id = target.writes[0].message().0.session_id;
    let server = OurServer::start(ServerOptions {
        session: wire_options(),
        on_hello: answering(ack),
        // The recorded client proves nothing.
        allows_unproven_migration: true,
        ..ServerOptions::default()
    })
    .await;
    let mut old =
        RawConnection::connect(NnrpTransport::Tcp, server.port(), &server.certificate).await;
    old.send(&hello.writes[0].bytes).await;
    old.packet_of(MessageType::ServerHelloAck).await;
    let mut application = Application::new(server.session().await);
    // The frame before the first that was recorded here.
    let (envelope, submit) = target.writes[2].message();
    let frame_id = envelope.frame_id - 1;
    old.send_message(
        Envelope {
            frame_id,
            ..envelope
        },
        submit,
    )
    .await;
    let frame = application.frame(frame_id).await;
    assert!(frame.answer.drop_frame(DropReason::Other));
    old.packet_of(MessageType::ResultDrop).await;
    let mut new =
        RawConnection::connect(NnrpTransport::Quic, server.port(), &server.certificate).await;
    new.send(&target.writes[0].bytes).await;
    let mut comparison = Comparison::default();
    let sent = new.packet().await.unwrap();
    comparison.compare(&target.name, &sent, &target.writes[1].bytes);
    play(target, &mut new, &mut application, &mut comparison).await;
    comparison.expect(
        1,
        &[(
            &target.name,
            "SESSION_MIGRATE_ACK",
            // How long the old connection may go on is a setting of the server's.
            &["metadata.grace_window_ms", "metadata.server_migrate_ts_us"],
        )],
    );
    assert!(old.rest().await.is_empty());
    new.finish().await;
    soon("the end", application.session.ended()).await;
}

#[tokio::test]
async fn a_recorded_migration_of_no_session_is_refused() {
    let exchange = named("migrate_rejected", NnrpTransport::Tcp);
    let server = OurServer::start(ServerOptions::default()).await;
    let mut raw =
        RawConnection::connect(exchange.transport, server.port(), &server.certificate).await;
    raw.send(&exchange.writes[0].bytes).await;
    let sent = raw.packet().await.unwrap();
    let mut comparison = Comparison::default();
    comparison.compare(&exchange.name, &sent, &exchange.writes[1].bytes);
    comparison.expect(
        0,
        &[(
            &exchange.name,
            "SESSION_MIGRATE_ACK",
            &["metadata.server_migrate_ts_us"],
        )],
    );
    assert!(raw.rest().await.is_empty());
}
