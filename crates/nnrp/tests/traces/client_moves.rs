//! Our client, which moves its session as the recorded one did. spec: nnrp-session 4.6

use nnrp::TransportId;
use nnrp::client::{MigrateError, Migrated};
use nnrp_wire::session::{FrameOutcome, MigrationFailure};
use nnrp_wire::{Envelope, Message, MessageType, Rules};
use nodewire_testkit::NnrpTransport;

use crate::client::{Played, begin};
use crate::compare::Comparison;
use crate::ours::link;
use crate::raw::soon;
use crate::recorded::{Exchange, named};

/// A session with this id, by the hello of another exchange.
async fn session_with_id(transport: NnrpTransport, session_id: u32) -> Played {
    let hello = named("hello_only", NnrpTransport::Tcp);
    let (envelope, Message::ServerHelloAck(mut ack)) = hello.writes[1].message() else {
        panic!("{hello:?}");
    };
    ack.metadata.session_id = session_id;
    let envelope = Envelope {
        session_id,
        ..envelope
    };
    let mut answer = Vec::new();
    Message::ServerHelloAck(ack)
        .encode(&envelope, &mut answer)
        .unwrap();
    begin(transport, &hello.writes[0], &answer, Rules::STRICT, |_| {}).await
}

/// Our client moves as the recorded one did, to the other transport.
async fn migrate(
    played: &mut Played,
    target: &Exchange,
    comparison: &mut Comparison,
) -> Result<Migrated, MigrateError> {
    let (_, Message::SessionMigrate(recorded)) = target.writes[0].message() else {
        panic!("{target:?}");
    };
    let session = played.session.clone();
    let moved = async {
        let port = played.listener.port();
        let link = link(target.transport, port, &played.certificate).await;
        soon("a migration", session.migrate_with(link, recorded.body)).await
    };
    let answered = async {
        let mut raw = played.listener.accept(target.transport).await;
        let sent = raw.packet().await.unwrap();
        comparison.compare(&target.name, &sent, &target.writes[0].bytes);
        raw.send(&target.writes[1].bytes).await;
        raw
    };
    let (moved, raw) = tokio::join!(moved, answered);
    if moved.is_ok() {
        // The old connection stays until the client closes it.
        let mut old = std::mem::replace(&mut played.raw, raw);
        tokio::spawn(async move { old.rest().await });
    }
    moved
}

#[tokio::test]
async fn the_recorded_migration_moves_our_client() {
    let origin = named("migrate_quic_to_tcp_origin_leg", NnrpTransport::Quic);
    let target = named("migrate_quic_to_tcp", NnrpTransport::Tcp);
    let mut comparison = Comparison::default();
    let (hello, ack) = (&origin.writes[0], &origin.writes[1].bytes);
    let mut played = begin(origin.transport, hello, ack, Rules::STRICT, |_| {}).await;
    played.play(origin, &mut comparison).await;
    // Its result is there, so that the request can say so.
    let mut outcomes = Vec::new();
    played.next_outcome(&mut outcomes).await.unwrap();
    played.next_outcome(&mut outcomes).await.unwrap();
    let moved = migrate(&mut played, target, &mut comparison).await.unwrap();
    assert_eq!(moved.transport, TransportId::Tcp);
    assert_eq!(moved.resume_from_frame_id, 822);
    played.play(target, &mut comparison).await;
    outcomes.extend(played.outcomes(1).await);
    assert_eq!(
        outcomes,
        [821, 822].map(|frame| (frame, FrameOutcome::Complete))
    );
    comparison.expect(
        2,
        &[(
            &target.name,
            "SESSION_MIGRATE",
            // Route and trace of the recorded request are the caller's.
            &[
                "header.route_id",
                "header.trace_id",
                "metadata.client_migrate_ts_us",
            ],
        )],
    );
}

#[tokio::test]
async fn the_recorded_migration_to_quic_moves_our_client() {
    let target = named("migrate_tcp_to_quic_target_leg", NnrpTransport::Quic);
    let session_id = target.writes[0].message().0.session_id;
    let mut played = session_with_id(NnrpTransport::Tcp, session_id).await;
    let mut comparison = Comparison::default();
    let moved = migrate(&mut played, target, &mut comparison).await.unwrap();
    assert_eq!(moved.transport, TransportId::Quic);
    played.play(target, &mut comparison).await;
    let outcomes = played.outcomes(1).await;
    assert_eq!(outcomes, [(902, FrameOutcome::Complete)]);
    comparison.expect(
        1,
        &[(
            &target.name,
            "SESSION_MIGRATE",
            // The frames before were not recorded.
            &[
                "metadata.client_migrate_ts_us",
                "metadata.last_result_frame_id",
            ],
        )],
    );
}

#[tokio::test]
async fn a_recorded_rejection_leaves_our_client_where_it_was() {
    let target = named("migrate_rejected", NnrpTransport::Tcp);
    let session_id = target.writes[0].message().0.session_id;
    let mut played = session_with_id(NnrpTransport::Quic, session_id).await;
    let mut comparison = Comparison::default();
    let refused = migrate(&mut played, target, &mut comparison).await;
    assert!(
        matches!(
            refused,
            Err(MigrateError::Failed(MigrationFailure::Refused {
                accept_code: 1
            }))
        ),
        "{refused:?}"
    );
    assert_eq!(played.session.transport(), TransportId::Quic);
    // It goes on there.
    played.act(&Envelope::default(), Message::Ping).await;
    let (ping, _) = played.raw.message_of(MessageType::Ping).await;
    played.raw.send_message(ping, Message::Pong).await;
    played.asked().await;
    assert!(played.outcomes(0).await.is_empty());
}
